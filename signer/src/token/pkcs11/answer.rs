//! What the library's answers mean, and which step of the ladder cures them; the only place that knows return codes.

use super::TokenError;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

/// The steps of the ladder, each more thorough than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cure {
    /// Nothing helps.
    None,
    /// Find the object again.
    FindAgain,
    /// Open a new session, which is logged in as the process is.
    SessionAgain,
    /// Give up; a fresh process loads the library, finds the token and logs in.
    StartAnew,
}

impl Cure {
    /// The next step.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::None => Self::FindAgain,
            Self::FindAgain => Self::SessionAgain,
            Self::SessionAgain | Self::StartAnew => Self::StartAnew,
        }
    }
}

/// Codes after which the object's handle is stale.
const STALE_HANDLE: [RvError; 2] = [RvError::ObjectHandleInvalid, RvError::KeyHandleInvalid];
/// Codes after which the session or its login is gone.
const NO_SESSION: [RvError; 5] = [
    RvError::SessionHandleInvalid,
    RvError::SessionClosed,
    RvError::UserNotLoggedIn,
    RvError::OperationActive,
    RvError::SessionCount,
];
/// Codes after which only a fresh library helps, if anything does.
const DEVICE: [RvError; 9] = [
    RvError::DeviceRemoved,
    RvError::DeviceError,
    RvError::TokenNotPresent,
    RvError::TokenNotRecognized,
    RvError::SlotIdInvalid,
    RvError::GeneralError,
    RvError::FunctionFailed,
    RvError::CryptokiNotInitialized,
    RvError::HostMemory,
];
/// Codes by which a token says that it has no such objects.
const NO_DATA_OBJECTS: [RvError; 6] = [
    RvError::AttributeTypeInvalid,
    RvError::AttributeValueInvalid,
    RvError::TemplateInconsistent,
    RvError::TemplateIncomplete,
    RvError::FunctionNotSupported,
    RvError::DeviceMemory,
];

/// Codes by which a token says that it cannot decrypt or agree on what it was given.
const REFUSED_MATERIAL: [RvError; 9] = [
    RvError::EncryptedDataInvalid,
    RvError::EncryptedDataLenRange,
    RvError::DataInvalid,
    RvError::DataLenRange,
    RvError::ArgumentsBad,
    RvError::MechanismParamInvalid,
    RvError::FunctionFailed,
    RvError::GeneralError,
    RvError::PublicKeyInvalid,
];

/// Codes by which a token says that it does not know a kind of key.
const UNKNOWN_KIND: [RvError; 11] = [
    RvError::KeySizeRange,
    RvError::MechanismInvalid,
    RvError::MechanismParamInvalid,
    RvError::CurveNotSupported,
    RvError::DomainParamsInvalid,
    RvError::AttributeTypeInvalid,
    RvError::AttributeValueInvalid,
    RvError::TemplateInconsistent,
    RvError::TemplateIncomplete,
    RvError::KeyTypeInconsistent,
    RvError::FunctionNotSupported,
];

/// The return code in an answer.
fn code(error: &Error) -> Option<RvError> {
    if let Error::Pkcs11(code, _function) = error { Some(*code) } else { None }
}

/// Whether the answer is one of `codes`.
fn is_one_of(error: &Error, codes: &[RvError]) -> bool {
    code(error).is_some_and(|code| codes.contains(&code))
}

/// What the answer to decryption or key agreement means: material that the token refuses is altered or another token's.
///
/// `SoftHSM` answers it with a general error, which from any other call would mean that the token is gone.
pub(super) fn opening(error: Error) -> super::Trouble {
    let opening = matches!(&error, Error::Pkcs11(_, Function::Decrypt | Function::DeriveKey));
    if opening && is_one_of(&error, &REFUSED_MATERIAL) {
        super::Trouble::Finding(TokenError::Refused(word(&error)))
    } else {
        super::Trouble::Answer(error)
    }
}

/// Whether the token does not know the kind of key that was asked for.
pub(super) fn is_unknown_kind(error: &Error) -> bool {
    is_one_of(error, &UNKNOWN_KIND)
}

/// Which step cures an answer.
pub(super) fn cure(error: &Error) -> Cure {
    if is_one_of(error, &STALE_HANDLE) {
        Cure::FindAgain
    } else if is_one_of(error, &NO_SESSION) {
        Cure::SessionAgain
    } else if is_one_of(error, &DEVICE) {
        Cure::StartAnew
    } else {
        Cure::None
    }
}

/// The answer as a short word: the name of the return code, not the specification's prose about it.
pub(super) fn word(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{code:?} from {function:?}"),
        other @ (Error::LibraryLoading(_)
        | Error::NotSupported
        | Error::TryFromInt(_)
        | Error::TryFromSlice(_)
        | Error::ParseInt(_)
        | Error::Utf8(_)
        | Error::NulError(_)
        | Error::NullFunctionPointer
        | Error::MissingSymbol(_)
        | Error::InvalidValue
        | Error::PinNotSet) => other.to_string(),
    }
}

/// An answer that nothing cures, as an error.
pub(super) fn failed(what: &'static str, error: &Error) -> TokenError {
    TokenError::Failed { what, why: word(error) }
}

/// What the answer to a login or to setting a PIN means; `pin` names which PIN it was.
pub(super) fn login(pin: &'static str, error: &Error) -> TokenError {
    match code(error) {
        Some(RvError::PinIncorrect) => TokenError::PinIncorrect(pin),
        Some(RvError::PinLocked) => TokenError::PinLocked(pin),
        Some(RvError::UserPinNotInitialized) => TokenError::PinUnset,
        Some(RvError::PinLenRange | RvError::PinInvalid | RvError::PinExpired | RvError::PinTooWeak) => {
            TokenError::PinUnusable { what: pin, why: word(error) }
        }
        _ => failed("log-in", error),
    }
}

/// What the answer to storing a data object means.
pub(super) fn storing(error: Error) -> super::Trouble {
    if is_one_of(&error, &NO_DATA_OBJECTS) {
        super::Trouble::Finding(TokenError::NoDataObjects(word(&error)))
    } else {
        super::Trouble::Answer(error)
    }
}

/// Whether initialising the library was answered with "already initialised".
pub(super) fn is_initialised(error: &Error) -> bool {
    is_one_of(error, &[RvError::CryptokiAlreadyInitialized])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Explain, Kind};

    fn answer(code: RvError) -> Error {
        Error::Pkcs11(code, Function::Login)
    }

    #[test]
    fn pin_answers_are_told_apart() {
        for (code, kind) in [
            (RvError::PinIncorrect, "tried once"),
            (RvError::PinLocked, "locked"),
            (RvError::UserPinNotInitialized, "no user PIN"),
            (RvError::PinLenRange, "does not take the user PIN"),
            (RvError::PinExpired, "PinExpired"),
        ] {
            let error = login("user PIN", &answer(code));
            assert!(error.to_string().contains(kind), "{error}");
            assert_eq!(error.kind(), Kind::Pin, "{error}");
        }
        assert_eq!(login("user PIN", &answer(RvError::DeviceRemoved)).kind(), Kind::Away);
    }

    #[test]
    fn material_that_is_refused_is_told_from_a_token_that_is_gone() {
        for (code, function, refused) in [
            (RvError::GeneralError, Function::Decrypt, true),
            (RvError::EncryptedDataInvalid, Function::Decrypt, true),
            (RvError::MechanismParamInvalid, Function::DeriveKey, true),
            (RvError::GeneralError, Function::FindObjectsInit, false),
            (RvError::DeviceRemoved, Function::Decrypt, false),
        ] {
            let trouble = opening(Error::Pkcs11(code, function));
            let found = matches!(trouble, super::super::Trouble::Finding(TokenError::Refused(_)));
            assert_eq!(found, refused, "{code:?} {function:?}");
        }
    }

    #[test]
    fn each_answer_has_its_step() {
        use RvError as R;
        for (step, codes) in [
            (Cure::FindAgain, &[R::ObjectHandleInvalid, R::KeyHandleInvalid][..]),
            (Cure::SessionAgain, &[R::SessionHandleInvalid, R::SessionClosed, R::UserNotLoggedIn]),
            (Cure::SessionAgain, &[R::OperationActive, R::SessionCount]),
            (Cure::StartAnew, &[R::DeviceRemoved, R::DeviceError, R::TokenNotPresent, R::TokenNotRecognized]),
            (Cure::StartAnew, &[R::SlotIdInvalid, R::GeneralError, R::FunctionFailed, R::HostMemory]),
            (Cure::StartAnew, &[R::CryptokiNotInitialized]),
            (Cure::None, &[R::MechanismInvalid, R::DataInvalid, R::KeyFunctionNotPermitted]),
        ] {
            codes.iter().for_each(|code| assert_eq!(cure(&answer(*code)), step, "{code:?}"));
        }
        // A wrong PIN is cured by nothing: no step may try it again.
        for code in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired] {
            assert_eq!(cure(&answer(code)), Cure::None);
        }
    }

    #[test]
    fn answers_are_named_by_code_and_function() {
        assert_eq!(word(&answer(RvError::DeviceRemoved)), "DeviceRemoved from Login");
        assert!(word(&Error::MissingSymbol("C_GetFunctionList")).contains("C_GetFunctionList"));
    }
}
