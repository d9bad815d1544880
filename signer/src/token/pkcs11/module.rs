//! The loaded PKCS#11 module: which tokens it has, and logging in to one of them.

use super::info::{Info, Seen};
use super::{TokenError, answer};
use crate::log::{Level, line};
use crate::pin::Pin;
use crate::seal::TokenName;
use crate::token::Which;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Error;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use std::path::{Path, PathBuf};

/// Whether objects on the token are only read or also written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Serving: a read-only session.
    Read,
    /// Making keys: a read-write session.
    Write,
}

/// A loaded and initialised module.
pub(super) struct Module {
    /// The library's context.
    pub(super) context: Pkcs11,
    /// Where it is.
    path: PathBuf,
    /// Whether this one initialised the library, and so is the one to finalize it: two tokens may share a library.
    owner: bool,
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
            Ok(()) => Ok(Self { context, path: path.to_owned(), owner: true }),
            Err(error) if answer::is_initialised(&error) => {
                Ok(Self { context, path: path.to_owned(), owner: false })
            }
            Err(error) => Err(cannot(error)),
        }
    }

    /// Finalizes the library if it is ours; all sessions must be dropped before.
    pub(super) fn unload(self) {
        if !self.owner {
            return;
        }
        if let Err(error) = self.context.finalize() {
            line(Level::Warn, "token-finalize-failed", &[("why", &answer::word(&error))]);
        }
    }

    /// All tokens, initialised or not; one whose information cannot be read is left out with a warning.
    pub(super) fn tokens(&self) -> Result<Vec<Seen>, TokenError> {
        let slots = self.context.get_slots_with_token();
        let slots = slots.map_err(|error| answer::failed("listing the slots", &error))?;
        let mut seen = Vec::with_capacity(slots.len());
        for slot in slots {
            match self.info(slot) {
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

    /// What the token in a slot says about itself.
    pub(super) fn info(&self, slot: Slot) -> Result<Info, Error> {
        match self.context.get_token_info(slot) {
            Ok(info) => Ok(Info::from(&info)),
            // The library fails on a malformed clock field (opencryptoki): read it without the clock.
            Err(Error::ParseInt(error)) => match onionkeep_token_info::token_info(&self.path, slot.id()) {
                Ok(raw) => Ok(Info::from(raw)),
                Err(_why) => Err(Error::ParseInt(error)),
            },
            Err(error) => Err(error),
        }
    }

    /// The slot of the one initialised token that is meant.
    pub(super) fn pinned(&self, which: &Which) -> Result<Slot, TokenError> {
        let seen = self.tokens()?;
        let TokenName { label, serial } = which.name.clone();
        let fits: Vec<_> = seen.iter().filter(|seen| seen.info.is(which)).collect();
        match fits.as_slice() {
            [one] => Ok(one.slot),
            [] => Err(TokenError::Absent { label, serial, others: others(&seen) }),
            many => Err(TokenError::Ambiguous { count: many.len(), label, serial }),
        }
    }

    /// Looks at the flags of the user PIN before it is used.
    pub(super) fn look_at_pin(&self, slot: Slot) -> Result<(), TokenError> {
        let info = self.info(slot);
        look_at_flags(&info.map_err(|error| answer::failed("reading the PIN's flags", &error))?)
    }

    /// Opens a session and logs in, once, after a look at the PIN's flags.
    pub(super) fn log_in(&self, slot: Slot, pin: &Pin, access: Access) -> Result<Session, TokenError> {
        self.look_at_pin(slot)?;
        let session = self.session(slot, access)?;
        match pin.with(|pin| session.login(UserType::User, Some(pin))) {
            Ok(()) => Ok(session),
            Err(error) => Err(answer::login("user PIN", &error)),
        }
    }

    /// Opens a session without a PIN; [`TokenError::Away`] if the process is no longer logged in.
    pub(super) fn session_as_logged_in(&self, slot: Slot, access: Access) -> Result<Session, TokenError> {
        let away = |why| TokenError::Away { why, retry_after: super::FRESH_PROCESS };
        let session = self.session(slot, access).map_err(|error| away(error.to_string()))?;
        let info = session.get_session_info().map_err(|error| away(answer::word(&error)))?;
        match info.session_state() {
            SessionState::RoUser | SessionState::RwUser => Ok(session),
            SessionState::RoPublic | SessionState::RwPublic | SessionState::RwSecurityOfficer => {
                Err(away("the log-in is lost".to_owned()))
            }
        }
    }

    /// Opens a session.
    fn session(&self, slot: Slot, access: Access) -> Result<Session, TokenError> {
        let session = match access {
            Access::Read => self.context.open_ro_session(slot),
            Access::Write => self.context.open_rw_session(slot),
        };
        session.map_err(|error| answer::failed("opening a session", &error))
    }
}

/// Looks at the flags of the user PIN before it is used.
fn look_at_flags(info: &Info) -> Result<(), TokenError> {
    if info.user_pin.was_wrong {
        line(Level::Warn, "token-pin-was-wrong-before", &[("label", &info.name.label)]);
    }
    info.user_pin.allowed()
}

/// The initialised tokens that are there, for the sentence about the one that is not.
fn others(seen: &[Seen]) -> String {
    let there: Vec<String> =
        seen.iter().filter(|seen| seen.info.initialised).map(|seen| seen.info.to_string()).collect();
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
    fn what_is_no_pkcs11_module_is_named() {
        for path in ["/nonexistent/module.so", "/dev/null"] {
            let error = Module::load(Path::new(path)).err().unwrap();
            assert!(matches!(&error, TokenError::Module { module, .. } if module == path), "{error}");
        }
    }
}
