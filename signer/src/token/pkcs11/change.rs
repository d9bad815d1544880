//! Changes the user PIN: the flags are looked at first, the old PIN is tried once.

use super::module::Module;
use super::{TokenError, answer};
use crate::pin::Pin;
use crate::token::Which;
use std::path::Path;

/// Changes the user PIN of the one token that fits.
///
/// # Errors
/// [`TokenError`] if the PINs are the same, the PIN is locked or on its last try, or the token refuses the old or the new one.
pub fn change_pin(path: &Path, which: &Which, old: &Pin, new: &Pin) -> Result<(), TokenError> {
    if old.is(new) {
        let why = "it is the old one".to_owned();
        return Err(TokenError::PinUnusable { what: "new PIN", why });
    }
    let module = Module::load(path)?;
    let changed = change(&module, which, old, new);
    module.unload();
    changed
}

/// One `C_SetPIN` in a session that is not logged in: the token checks the old PIN itself, and only once.
fn change(module: &Module, which: &Which, old: &Pin, new: &Pin) -> Result<(), TokenError> {
    let slot = module.pinned(which)?;
    module.look_at_pin(slot)?;
    let session =
        module.context.open_rw_session(slot).map_err(|error| answer::failed("opening a session", &error))?;
    old.with(|old| new.with(|new| session.set_pin(old, new)))
        .map_err(|error| answer::login("user PIN", &error))
}
