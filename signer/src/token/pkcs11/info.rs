//! What a token says about itself: names and PIN flags. The only place that reads them, from the library or by its raw call.

use super::TokenError;
use crate::seal::TokenName;
use crate::token::Which;
use cryptoki::slot::{Slot, TokenInfo};
use onionkeep_token_info::{RawTokenInfo, flag, trimmed};
use std::fmt;

/// A token as its slot shows it.
pub(super) struct Seen {
    /// The slot that it is in.
    pub(super) slot: Slot,
    /// What it says about itself.
    pub(super) info: Info,
}

impl Seen {
    /// Its label and serial.
    pub(super) fn name(&self) -> TokenName {
        self.info.name.clone()
    }
}

/// What a token says about itself.
pub(super) struct Info {
    /// Label and serial number.
    pub(super) name: TokenName,
    /// Manufacturer.
    pub(super) manufacturer: String,
    /// Model.
    pub(super) model: String,
    /// Firmware, major and minor, if the library could read it.
    pub(super) firmware: Option<(u8, u8)>,
    /// Whether it was prepared.
    pub(super) initialised: bool,
    /// About the user PIN.
    pub(super) user_pin: PinFlags,
    /// About the security officer's PIN.
    pub(super) so_pin: PinFlags,
}

impl Info {
    /// Whether this is the token that is meant.
    pub(super) fn is(&self, which: &Which) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        self.initialised
            && self.name == which.name
            && same(&which.manufacturer, &self.manufacturer)
            && same(&which.model, &self.model)
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenName { label, serial } = &self.name;
        write!(f, "{label:?} {serial} ({}, {})", self.manufacturer, self.model)
    }
}

impl From<&TokenInfo> for Info {
    fn from(info: &TokenInfo) -> Self {
        Self {
            name: TokenName {
                label: trimmed(info.label()).to_owned(),
                serial: trimmed(info.serial_number()).to_owned(),
            },
            manufacturer: trimmed(info.manufacturer_id()).to_owned(),
            model: trimmed(info.model()).to_owned(),
            firmware: Some((info.firmware_version().major(), info.firmware_version().minor())),
            initialised: info.token_initialized(),
            user_pin: PinFlags {
                what: "user PIN",
                set: info.user_pin_initialized(),
                was_wrong: info.user_pin_count_low(),
                final_try: info.user_pin_final_try(),
                locked: info.user_pin_locked(),
            },
            so_pin: PinFlags {
                what: "security officer's PIN",
                set: true,
                was_wrong: info.so_pin_count_low(),
                final_try: info.so_pin_final_try(),
                locked: info.so_pin_locked(),
            },
        }
    }
}

impl From<RawTokenInfo> for Info {
    fn from(raw: RawTokenInfo) -> Self {
        let has = |flag| raw.flags & flag != 0;
        Self {
            user_pin: PinFlags {
                what: "user PIN",
                set: has(flag::USER_PIN_INITIALIZED),
                was_wrong: has(flag::USER_PIN_COUNT_LOW),
                final_try: has(flag::USER_PIN_FINAL_TRY),
                locked: has(flag::USER_PIN_LOCKED),
            },
            so_pin: PinFlags {
                what: "security officer's PIN",
                set: true,
                was_wrong: has(flag::SO_PIN_COUNT_LOW),
                final_try: has(flag::SO_PIN_FINAL_TRY),
                locked: has(flag::SO_PIN_LOCKED),
            },
            firmware: None,
            initialised: has(flag::TOKEN_INITIALIZED),
            name: TokenName { label: raw.label, serial: raw.serial },
            manufacturer: raw.manufacturer,
            model: raw.model,
        }
    }
}

/// What a token says about one of its PINs.
#[derive(Clone, Copy)]
pub(super) struct PinFlags {
    /// Which PIN.
    what: &'static str,
    /// There is one.
    pub(super) set: bool,
    /// It was wrong since the last good log-in.
    pub(super) was_wrong: bool,
    /// One more wrong try locks it.
    pub(super) final_try: bool,
    /// It is locked.
    pub(super) locked: bool,
}

impl PinFlags {
    /// Refuses to use a PIN that is locked, on its last try or unset.
    pub(super) const fn allowed(self) -> Result<(), TokenError> {
        match self {
            Self { locked: true, what, .. } => Err(TokenError::PinLocked(what)),
            Self { final_try: true, what, .. } => Err(TokenError::PinFinalTry(what)),
            Self { set: false, .. } => Err(TokenError::PinUnset),
            Self { locked: false, final_try: false, set: true, .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token with these flags.
    fn token(flags: u64) -> Info {
        Info::from(RawTokenInfo {
            label: "l".to_owned(),
            manufacturer: "m".to_owned(),
            model: "n".to_owned(),
            serial: "0".to_owned(),
            flags,
        })
    }

    /// What is looked for.
    fn which(manufacturer: Option<&str>, model: Option<&str>) -> Which {
        let name = TokenName { label: "l".to_owned(), serial: "0".to_owned() };
        Which { name, manufacturer: manufacturer.map(str::to_owned), model: model.map(str::to_owned) }
    }

    #[test]
    fn only_a_pin_that_is_set_and_has_tries_left_is_used() {
        let set = flag::USER_PIN_INITIALIZED;
        let allowed = |flags| token(flags).user_pin.allowed();
        assert!(allowed(set | flag::USER_PIN_COUNT_LOW | flag::SO_PIN_LOCKED).is_ok());
        assert!(matches!(allowed(set | flag::USER_PIN_LOCKED), Err(TokenError::PinLocked("user PIN"))));
        let both = set | flag::USER_PIN_LOCKED | flag::USER_PIN_FINAL_TRY;
        assert!(matches!(allowed(both), Err(TokenError::PinLocked(_))));
        assert!(matches!(allowed(set | flag::USER_PIN_FINAL_TRY), Err(TokenError::PinFinalTry(_))));
        assert!(matches!(allowed(flag::TOKEN_INITIALIZED), Err(TokenError::PinUnset)));
        let officer = token(flag::SO_PIN_FINAL_TRY).so_pin.allowed();
        assert!(matches!(officer, Err(TokenError::PinFinalTry("security officer's PIN"))));
    }

    #[test]
    fn manufacturer_and_model_count_where_they_are_named() {
        let info = token(flag::TOKEN_INITIALIZED);
        for fits in [which(None, None), which(Some("m"), None), which(Some("m"), Some("n"))] {
            assert!(info.is(&fits));
        }
        for other in [which(Some("x"), None), which(None, Some("x")), which(Some("m"), Some("x"))] {
            assert!(!info.is(&other));
        }
        assert!(!token(0).is(&which(None, None)), "a token that was never prepared");
    }
}
