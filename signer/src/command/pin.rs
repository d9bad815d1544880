//! The command `pin change`.

use super::{answer, books};
use crate::config::{Config, Depth};
use crate::error::{Failure, Kind};
use crate::ledger::{Custody, Event, Serial};
use crate::log::{Level, line};
use crate::pin::PinSource;
use crate::token::TokenError;
use crate::token::pkcs11::change_pin;
use std::path::Path;
use std::process::ExitCode;

/// The PIN is changed, and the ledger does not say so.
fn unrecorded(failure: Failure, label: &str, source: &PinSource) -> Failure {
    let done = format!(
        "the PIN of the token {label:?} IS changed, the old one is refused from now on, and that is on no record"
    );
    let place = match source {
        PinSource::Prompt => String::new(),
        source @ (PinSource::File(_) | PinSource::Credential(_)) => {
            format!("put the new PIN into {source}; ")
        }
    };
    let now = format!(
        "{place}make the ledger in state_dir writable (owner, free space), and run pin change once more with the new PIN as \
         the old one: that change is on record, and a note of this one belongs to the sheet"
    );
    failure.after(&done, &now)
}

/// `pin change`.
pub(super) fn change(path: &Path, new: &PinSource) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    if config.token.yubihsm.is_some() {
        let text = "the password of a YubiHSM's authentication key is not changed by this program";
        return Err(Failure::new(
            Kind::Usage,
            text,
            "reset the device, set it up with the new password and restore; docs/operate/yubihsm.md",
        ));
    }
    let which = config.which()?;
    // A signer that serves would enter the old PIN at its next start: then the ledger is in use, and nothing is done.
    let mut ledger = books::open_if_there(&config)?;
    let old = config.token.pin.read("old PIN of the token").map_err(TokenError::Pin)?;
    let new_pin = new.read_new("new PIN of the token").map_err(TokenError::Pin)?;
    change_pin(&config.token.module, &which, &old, &new_pin)?;
    line(Level::Info, "pin-changed", &[("label", &which.name.label), ("serial", &which.name.serial)]);
    if let Some(ledger) = &mut ledger {
        let serial = Serial::new(&which.name.serial);
        let recorded = books::record(ledger, Event::Custody(Custody::Pin { serial }));
        recorded.map_err(|failure| unrecorded(failure, &which.name.label, &config.token.pin))?;
    }
    let next = match &config.token.pin {
        PinSource::Prompt => String::new(),
        source @ (PinSource::File(_) | PinSource::Credential(_)) => {
            format!(
                "Put the new PIN into {source} before the signer starts again: each start with the old one is a wrong try.\n"
            )
        }
    };
    answer(&format!(
        "The PIN of the token {:?} is changed; the old one is refused from now on.\n{next}",
        which.name.label
    ))?;
    Ok(ExitCode::SUCCESS)
}
