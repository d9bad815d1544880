//! `init` and `deny`: the commands that write into the ledger by hand. The signer must not be serving meanwhile.

use super::open_vault;
use crate::ceremony::dates;
use crate::ceremony::policy::clockwork_of;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Depth};
use crate::error::{Failure, Kind};
use crate::ledger::verify::{Checker, files_in};
use crate::ledger::{Custody, Denied, Event, Keep, Ledger, Line};
use crate::log::{Level, line};
use crate::token::pkcs11::Access;
use data_encoding::HEXLOWER_PERMISSIVE;
use onionkeep_common::paper::{self, RequestId};
use onionkeep_common::{DescSigningKey, OnionAddress};
use std::path::Path;

/// `init`: the audit key on the token and the ledger that names it; `rekey` names a new token's key in an old ledger.
pub(super) fn init(path: &Path, rekey: bool) -> Result<String, Failure> {
    let config = Config::load(path, Depth::Text)?;
    // Before the token is touched: what cannot be made shall change nothing.
    let old = if rekey { Some(open(&config)?) } else { absent(&config)? };
    let key = open_vault(&config, Access::Write)?.ensure_audit_key()?;
    let head = match old {
        None => Ledger::create(&config.state_dir, key, SystemClock.now())?,
        Some(old) if old.key() == key => old.head().1,
        Some(mut old) => {
            old.append(SystemClock.now(), Event::Rekey { key })?;
            old.head().1
        }
    };
    line(Level::Info, "ledger-ready", &[("state-dir", &config.state_dir.display()), ("audit-key", &key)]);
    Ok(format!(
        "The ledger is ready. Its audit key, for whoever is to check it (keep it elsewhere too):\n\n{key}\n\n\
         Its last hash: {head}\n"
    ))
}

/// Makes sure that there is no ledger, nor a part of one.
fn absent(config: &Config) -> Result<Option<Ledger>, Failure> {
    if Ledger::exists(&config.state_dir) {
        let text = format!("there is a ledger in {} already", config.state_dir.display());
        let hint = "nothing needs to be done; init --new-audit-key goes on with another token";
        return Err(Failure::new(Kind::Refused, text, hint));
    }
    Ledger::must_be_absent(&config.state_dir)?;
    Ok(None)
}

/// Opens the ledger if there is one: what is recorded where it makes sense, but must also work before `init`.
pub(super) fn open_if_there(config: &Config) -> Result<Option<Ledger>, Failure> {
    if Ledger::exists(&config.state_dir) {
        return open(config).map(Some);
    }
    line(Level::Warn, "no-ledger", &[("why", &"what is done now is on no record; init makes a ledger")]);
    Ok(None)
}

/// Records what was done with a key or a PIN.
pub(super) fn record(ledger: &mut Ledger, event: Event) -> Result<(), Failure> {
    let seq = ledger.append(SystemClock.now(), event)?;
    line(Level::Info, "on-record", &[("line", &seq)]);
    Ok(())
}

/// Whether the ledger's files, as far as they are here, have a line about a key.
pub(super) fn is_on_record(config: &Config, custody: &Custody) -> Result<bool, Failure> {
    let mut found = false;
    let mut look = |line: &Line| found |= matches!(&line.event, Event::Custody(known) if known == custody);
    Checker::new(Vec::new(), None, &mut look).files(&files_in(&config.state_dir)?)?;
    Ok(found)
}

/// Opens the ledger.
pub(super) fn open(config: &Config) -> Result<Ledger, Failure> {
    Ok(Ledger::open(&config.state_dir, Keep::for_periods(&config.periods))?)
}

/// `deny`: from the next start on, no certificate for this key, or for anything of this onion.
pub(super) fn deny(
    path: &Path,
    key: Option<&str>,
    onion: Option<OnionAddress>,
    request: Option<&str>,
) -> Result<String, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let denied = match (key, onion, request) {
        (Some(key), None, None) => Denied::Key(desc_key(key)?),
        (None, Some(onion), None) => Denied::Onion(onion),
        (None, None, Some(request)) => Denied::Request(request_id(request)?),
        _ => return Err(Failure::new(Kind::Usage, "wanted is one of --key, --onion and --request", "")),
    };
    let mut ledger = open(&config)?;
    let said = if ledger.memory().is_denied(&denied) {
        "denied already\n".to_owned()
    } else {
        let seq = ledger.append(SystemClock.now(), Event::Deny(denied))?;
        format!("denied for ever, by line {seq} of the ledger\n")
    };
    Ok(said + &dates::exposed(ledger.memory(), &denied, &clockwork_of(config.periods), SystemClock.now()))
}

/// The name of a request from its hex.
fn request_id(hex: &str) -> Result<RequestId, Failure> {
    let wrong =
        || Failure::new(Kind::Usage, "--request: wanted are the 32 hex digits that request show prints", "");
    paper::lines::hex(hex).map(RequestId).ok_or_else(wrong)
}

/// A key from its hex.
fn desc_key(hex: &str) -> Result<DescSigningKey, Failure> {
    let octets = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
    let octets = octets.and_then(|octets| <[u8; 32]>::try_from(octets).ok());
    let key = octets.and_then(|octets| DescSigningKey::from_bytes(octets).ok());
    key.ok_or_else(|| {
        Failure::new(Kind::Usage, "--key: wanted are the 64 hex digits of an ed25519 public key", "")
    })
}
