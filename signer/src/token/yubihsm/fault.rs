//! Why an attempt at a YubiHSM 2 failed, and what that means for its session.

use super::device::Trouble;
use super::drain::Undrained;
use crate::token::TokenError;

/// What a password is called in errors.
pub(super) const PASSWORD: &str = "password of the authentication key";

/// Why an attempt failed: the device's answer, or a finding that no new session will change.
#[derive(Debug)]
pub(super) enum Fault {
    /// The device's answer.
    Trouble(Trouble),
    /// A finding.
    Finding(TokenError),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Finding(error)
    }
}

impl From<Undrained> for Fault {
    fn from(undrained: Undrained) -> Self {
        match undrained {
            Undrained::Device(trouble) => Self::Trouble(trouble),
            Undrained::Record(error) => Self::Finding(TokenError::Failed {
                what: "putting the device's log on record",
                why: error.to_string(),
            }),
        }
    }
}

impl Trouble {
    /// Whether a new session is the next thing to try.
    pub(super) const fn ends_the_session(&self) -> bool {
        match self {
            Self::Gone(_) | Self::Password | Self::LogFull => true,
            Self::Missing | Self::Other(_) => false,
        }
    }
}

/// The error of a call.
pub(super) fn failed(what: &'static str, fault: Fault) -> TokenError {
    match fault {
        Fault::Finding(error) => error,
        Fault::Trouble(Trouble::Password) => TokenError::PinIncorrect(PASSWORD),
        Fault::Trouble(Trouble::LogFull) => TokenError::Failed { what, why: "its log is full".to_owned() },
        Fault::Trouble(Trouble::Missing) => TokenError::Failed { what, why: "no such object".to_owned() },
        Fault::Trouble(Trouble::Gone(why) | Trouble::Other(why)) => TokenError::Failed { what, why },
    }
}
