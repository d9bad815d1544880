//! The loaded PKCS#11 module: which tokens it has, and logging in to one of them.

use super::{TokenError, answer};
use crate::log::{Level, line};
use crate::pin::Pin;
use crate::seal::TokenName;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use std::path::Path;

/// Whether objects on the token are only read or also written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Serving: a read-only session.
    Read,
    /// Making keys: a read-write session.
    Write,
}

/// A token as its slot shows it.
pub(super) struct Seen {
    /// The slot that it is in.
    pub(super) slot: Slot,
    /// What it says about itself.
    pub(super) info: TokenInfo,
}

impl Seen {
    /// Its label and serial.
    pub(super) fn name(&self) -> TokenName {
        TokenName { label: self.info.label().to_owned(), serial: self.info.serial_number().to_owned() }
    }
}

/// A loaded and initialised module.
pub(super) struct Module {
    /// The library's context.
    pub(super) context: Pkcs11,
}

impl Module {
    /// Loads and initialises the module.
    pub(super) fn load(path: &Path) -> Result<Self, TokenError> {
        let cannot = |error: Error| TokenError::Module {
            module: path.display().to_string(),
            why: answer::word(&error),
        };
        let context = Pkcs11::new(path).map_err(cannot)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => Ok(Self { context }),
            Err(error) if answer::is_initialised(&error) => Ok(Self { context }),
            Err(error) => Err(cannot(error)),
        }
    }

    /// Finalizes the library; all sessions must be dropped before.
    pub(super) fn unload(self) {
        if let Err(error) = self.context.finalize() {
            line(Level::Warn, "token-finalize-failed", &[("why", &answer::word(&error))]);
        }
    }

    /// All tokens, initialised or not.
    ///
    /// A token whose information the library cannot read is left out with a warning: `cryptoki` fails on a malformed clock
    /// field (seen with opencryptoki 3.8), and reading it otherwise would need unsafe code.
    pub(super) fn tokens(&self) -> Result<Vec<Seen>, TokenError> {
        let slots = self.context.get_slots_with_token();
        let slots = slots.map_err(|error| answer::failed("listing the slots", &error))?;
        let mut seen = Vec::with_capacity(slots.len());
        for slot in slots {
            match self.context.get_token_info(slot) {
                Ok(info) => seen.push(Seen { slot, info }),
                Err(error) => line(
                    Level::Warn,
                    "token-unreadable",
                    &[("slot", &slot.id()), ("why", &answer::word(&error))],
                ),
            }
        }
        Ok(seen)
    }

    /// The slot of the one initialised token with this label and serial.
    pub(super) fn pinned(&self, name: &TokenName) -> Result<Slot, TokenError> {
        let seen = self.tokens()?;
        let (label, serial) = (name.label.clone(), name.serial.clone());
        let fits: Vec<_> =
            seen.iter().filter(|seen| seen.info.token_initialized() && seen.name() == *name).collect();
        match fits.as_slice() {
            [one] => Ok(one.slot),
            [] => Err(TokenError::Absent { label, serial, others: others(&seen) }),
            many => Err(TokenError::Ambiguous { count: many.len(), label, serial }),
        }
    }

    /// Opens a session and logs in, once, after a look at the PIN's flags.
    ///
    /// `again` accepts "already logged in", which after the first login is no check of the PIN and need not be.
    pub(super) fn log_in(
        &self,
        slot: Slot,
        pin: &Pin,
        access: Access,
        again: bool,
    ) -> Result<Session, TokenError> {
        let info = self.context.get_token_info(slot);
        look_at_flags(&info.map_err(|error| answer::failed("reading the PIN's flags", &error))?)?;
        let session = match access {
            Access::Read => self.context.open_ro_session(slot),
            Access::Write => self.context.open_rw_session(slot),
        };
        let session = session.map_err(|error| answer::failed("opening a session", &error))?;
        match pin.with(|pin| session.login(UserType::User, Some(pin))) {
            Ok(()) => Ok(session),
            Err(error) if again && answer::is_logged_in(&error) => Ok(session),
            Err(error) => Err(answer::login("user PIN", &error)),
        }
    }
}

/// Looks at the flags of the user PIN before it is used.
fn look_at_flags(info: &TokenInfo) -> Result<(), TokenError> {
    if info.user_pin_count_low() {
        line(Level::Warn, "token-pin-was-wrong-before", &[("label", &info.label())]);
    }
    allowed(PinFlags {
        locked: info.user_pin_locked(),
        final_try: info.user_pin_final_try(),
        set: info.user_pin_initialized(),
    })
}

/// What a token says about its user PIN.
#[derive(Clone, Copy)]
struct PinFlags {
    /// It is locked.
    locked: bool,
    /// One more wrong try locks it.
    final_try: bool,
    /// There is one.
    set: bool,
}

/// Refuses to log in when the PIN is locked, on its last try or unset.
const fn allowed(flags: PinFlags) -> Result<(), TokenError> {
    match flags {
        PinFlags { locked: true, .. } => Err(TokenError::PinLocked("user PIN")),
        PinFlags { final_try: true, .. } => Err(TokenError::PinFinalTry("user PIN")),
        PinFlags { set: false, .. } => Err(TokenError::PinUnset),
        PinFlags { locked: false, final_try: false, set: true } => Ok(()),
    }
}

/// The initialised tokens that are there, for the sentence about the one that is not.
fn others(seen: &[Seen]) -> String {
    let there: Vec<String> = seen
        .iter()
        .filter(|seen| seen.info.token_initialized())
        .map(|seen| format!("{:?} {}", seen.info.label(), seen.info.serial_number()))
        .collect();
    if there.is_empty() {
        "; the module shows no initialised token".to_owned()
    } else {
        format!("; the module shows: {}", there.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pin_that_is_set_and_has_tries_left_is_used() {
        let flags = |locked, final_try, set| allowed(PinFlags { locked, final_try, set });
        assert!(flags(false, false, true).is_ok());
        assert!(matches!(flags(true, false, true), Err(TokenError::PinLocked(_))));
        assert!(matches!(flags(true, true, true), Err(TokenError::PinLocked(_))));
        assert!(matches!(flags(false, true, true), Err(TokenError::PinFinalTry(_))));
        assert!(matches!(flags(false, false, false), Err(TokenError::PinUnset)));
    }

    #[test]
    fn what_is_no_pkcs11_module_is_named() {
        for path in ["/nonexistent/module.so", "/dev/null"] {
            let error = Module::load(Path::new(path)).err().unwrap();
            assert!(matches!(&error, TokenError::Module { module, .. } if module == path), "{error}");
        }
    }
}
