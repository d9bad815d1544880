//! The command `key copy`: seals a key to a second token.

use super::{answer, books, open_vault};
use crate::config::{Config, Depth, MemoryLock};
use crate::error::{Failure, Kind};
use crate::harden;
use crate::ledger::{Custody, Event, Serial};
use crate::log::{Level, line};
use crate::token::pkcs11::Access;
use crate::vault::VaultError;
use onionkeep_common::OnionAddress;
use std::path::Path;
use std::process::ExitCode;

/// `key copy`: the ledger and both tokens are open before the key is. A key that is there already gets the line that is missing.
pub(super) fn key_copy(from: &Path, onion: OnionAddress, to: &Path) -> Result<ExitCode, Failure> {
    let (source, target) = (Config::load(from, Depth::Text)?, Config::load(to, Depth::Text)?);
    if source.state_dir == target.state_dir || source.which()?.name == target.which()?.name {
        let text = "both configurations name the same token or the same state_dir";
        return Err(Failure::new(Kind::Usage, text, "give the second token a configuration of its own"));
    }
    harden::harden(MemoryLock::IfPossible)?;
    let mut ledger = books::open(&source)?;
    let mut first = open_vault(&source, Access::Read)?;
    first.check(onion)?;
    let mut second = open_vault(&target, Access::Write)?;
    let (label, serial) = (&target.token.label, Serial::new(target.serial()?));
    let custody = Custody::Copied { onion, serial };
    let before = second.knows(onion);
    if before && books::is_on_record(&source, &custody)? {
        return Err(VaultError::Known(onion).into());
    }
    if !before {
        first.lend(onion, |key| second.keep(key).map(drop))??;
    }
    second.check(onion)?;
    line(Level::Info, "key-copied", &[("onion", &onion.redacted()), ("token", label), ("before", &before)]);
    books::record(&mut ledger, Event::Custody(custody)).map_err(|failure| {
        let done = format!("the key IS sealed to the token {label:?} too, and that is on no record");
        failure.after(
            &done,
            "make the ledger in state_dir writable (owner, free space) and run the same key copy again: it writes the line \
             that is missing",
        )
    })?;
    let earlier =
        if before { "It was there before this command; the ledger says so from now on.\n" } else { "" };
    answer(&format!(
        "{onion}\n\nThe key is sealed to the token {label:?} too; opened there it is the key of this address.\n{earlier}\
         Two signers that serve it have a ledger each: neither knows of the other's certificates.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
