//! `C_GetTokenInfo` by a raw call: the only unsafe code of this workspace outside its test rigs.
//!
//! `cryptoki` fails on a token whose clock field is malformed (opencryptoki's soft token), and with it on label, serial
//! number and PIN flags. Without these a token cannot be pinned, and a PIN could be locked. This crate reads them without
//! looking at the clock. The module must be loaded and initialised by the caller already: loading it a second time
//! gives the same library, in the same state.

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CK_SLOT_ID, CK_TOKEN_INFO, CKR_OK, Pkcs11};
use std::path::Path;

/// Flags of [`RawTokenInfo::flags`]. Spec: PKCS#11 v2.40, 3.2.
pub mod flag {
    use cryptoki_sys as sys;

    /// The user PIN was set.
    pub const USER_PIN_INITIALIZED: u64 = sys::CKF_USER_PIN_INITIALIZED;
    /// The token was prepared.
    pub const TOKEN_INITIALIZED: u64 = sys::CKF_TOKEN_INITIALIZED;
    /// The user PIN was wrong since the last log-in.
    pub const USER_PIN_COUNT_LOW: u64 = sys::CKF_USER_PIN_COUNT_LOW;
    /// One more wrong user PIN locks it.
    pub const USER_PIN_FINAL_TRY: u64 = sys::CKF_USER_PIN_FINAL_TRY;
    /// The user PIN is locked.
    pub const USER_PIN_LOCKED: u64 = sys::CKF_USER_PIN_LOCKED;
    /// The security officer's PIN was wrong since its last log-in.
    pub const SO_PIN_COUNT_LOW: u64 = sys::CKF_SO_PIN_COUNT_LOW;
    /// One more wrong PIN of the security officer locks it.
    pub const SO_PIN_FINAL_TRY: u64 = sys::CKF_SO_PIN_FINAL_TRY;
    /// The security officer's PIN is locked.
    pub const SO_PIN_LOCKED: u64 = sys::CKF_SO_PIN_LOCKED;
}

/// What a token says about itself, without its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTokenInfo {
    /// Label.
    pub label: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Flags, see [`flag`].
    pub flags: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// The module cannot be loaded.
    #[error("cannot load the module")]
    Load,
    /// The module lacks a function.
    #[error("the module has no {0}")]
    Function(&'static str),
    /// A call failed.
    #[error("{call} answers {code:#x}")]
    Code {
        /// Which call.
        call: &'static str,
        /// Its return code.
        code: u64,
    },
    /// The slot's number does not fit.
    #[error("the slot's number does not fit")]
    Slot,
}

/// Asks the token in `slot` of the module at `module`.
///
/// # Errors
/// [`RawError`] if the module is not loadable, or answers with an error.
#[expect(unsafe_code, reason = "calls through a C function list; each block says why it is sound")]
pub fn token_info(module: &Path, slot: u64) -> Result<RawTokenInfo, RawError> {
    let slot = CK_SLOT_ID::try_from(slot).map_err(|_size| RawError::Slot)?;
    // SAFETY: the module is loaded already (see the head), so that no initialiser runs; its C ABI is PKCS#11's, as everywhere.
    let library = unsafe { Pkcs11::new(module) }.map_err(|_why| RawError::Load)?;
    let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
    if library.C_GetFunctionList.is_err() {
        return Err(RawError::Function("C_GetFunctionList"));
    }
    // SAFETY: the symbol is there, and `list` is a valid place for the one pointer that it writes.
    let code = unsafe { library.C_GetFunctionList(&raw mut list) };
    good("C_GetFunctionList", code)?;
    // SAFETY: null is told apart; otherwise PKCS#11 promises a list that lives as long as the library, which lives until the end.
    let list = unsafe { list.as_ref() }.ok_or(RawError::Function("function list"))?;
    let call = list.C_GetTokenInfo.ok_or(RawError::Function("C_GetTokenInfo"))?;
    let mut info = CK_TOKEN_INFO::default();
    // SAFETY: `call` has the signature that PKCS#11 gives it, and `info` is a valid place for the one structure that it writes.
    let code = unsafe { call(slot, &raw mut info) };
    good("C_GetTokenInfo", code)?;
    Ok(RawTokenInfo {
        label: text(&info.label),
        manufacturer: text(&info.manufacturerID),
        model: text(&info.model),
        serial: text(&info.serialNumber),
        flags: info.flags,
    })
}

/// Tells a good return code from the others.
fn good(call: &'static str, code: CK_RV) -> Result<(), RawError> {
    if code == CKR_OK { Ok(()) } else { Err(RawError::Code { call, code }) }
}

/// A padded field as text: blanks and zero octets at the end are cut off.
fn text(field: &[u8]) -> String {
    trimmed(&String::from_utf8_lossy(field)).to_owned()
}

/// Cuts blanks and zero octets off the end; some modules pad with zeros where the standard wants blanks.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_end_matches([' ', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_cut_off() {
        assert_eq!(text(b"onionkeep       "), "onionkeep");
        assert_eq!(text(b"  a b  \0 \0\0    "), "  a b");
        assert_eq!(text(b"                "), "");
        assert_eq!(text(b"\xff1"), "\u{fffd}1");
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        for path in ["/nonexistent/module.so", "/dev/null"] {
            assert!(matches!(token_info(Path::new(path), 0), Err(RawError::Load)));
        }
    }
}
