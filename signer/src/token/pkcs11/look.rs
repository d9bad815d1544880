//! Looks at a token without logging in: what it says about itself and its PIN.

use super::TokenError;
use super::answer;
use super::module::Module;
use crate::token::Which;
use std::path::Path;

/// What a token says about itself without a log-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the token's")]
pub struct TokenSeen {
    /// Its label.
    pub label: String,
    /// Its manufacturer.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its firmware, if the library tells.
    pub firmware: Option<(u8, u8)>,
    /// There is a user PIN.
    pub pin_set: bool,
    /// The PIN was wrong since the last good log-in.
    pub pin_was_wrong: bool,
    /// One more wrong try locks it.
    pub pin_final_try: bool,
    /// It is locked.
    pub pin_locked: bool,
}

/// Looks at the one token that is meant.
///
/// # Errors
/// [`TokenError`] if the module does not load or not exactly one token fits.
pub fn look(path: &Path, which: &Which) -> Result<TokenSeen, TokenError> {
    let module = Module::load(path)?;
    let seen = read(&module, which);
    module.unload();
    seen
}

/// Reads what the token says.
fn read(module: &Module, which: &Which) -> Result<TokenSeen, TokenError> {
    let slot = module.pinned(which)?;
    let info =
        module.info(slot).map_err(|error| answer::failed("reading the token's information", &error))?;
    let pin = info.user_pin;
    Ok(TokenSeen {
        label: info.name.label,
        manufacturer: info.manufacturer,
        model: info.model,
        firmware: info.firmware,
        pin_set: pin.set,
        pin_was_wrong: pin.was_wrong,
        pin_final_try: pin.final_try,
        pin_locked: pin.locked,
    })
}
