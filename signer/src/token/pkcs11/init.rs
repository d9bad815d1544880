//! Prepares an empty token; the only place that can destroy what is on one, and only the one whose serial was typed.

use super::info::{Info, Seen};
use super::module::Module;
use super::{TokenError, answer};
use crate::pin::Pin;
use crate::seal::TokenName;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use std::path::Path;

/// A token that was prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Its label and its new serial number.
    pub name: TokenName,
    /// Its manufacturer.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
}

/// What is wanted of `token init`.
struct Wanted<'a> {
    /// The configured label.
    label: &'a str,
    /// The configured serial number.
    serial: Option<&'a str>,
    /// The serial number that was typed to have that token erased.
    erase: Option<&'a str>,
}

/// Initialises a token: label, security officer's PIN, user PIN. Returns its label and serial.
///
/// Takes the one uninitialised token of the module, or erases the token whose serial `erase` names; a token with the
/// configured label or serial is refused otherwise. No other token is touched.
///
/// # Errors
/// [`TokenError::Init`] if it would have to destroy something or finds no place; [`TokenError`] for PINs and answers.
pub fn initialise(
    path: &Path,
    label: &str,
    serial: Option<&str>,
    erase: Option<&str>,
    so_pin: &Pin,
    pin: &Pin,
) -> Result<Initialised, TokenError> {
    let module = Module::load(path)?;
    let result = prepare(&module, &Wanted { label, serial, erase }, so_pin, pin);
    module.unload();
    result
}

/// Chooses, initialises, finds the token again, sets the user PIN.
fn prepare(module: &Module, wanted: &Wanted<'_>, so_pin: &Pin, pin: &Pin) -> Result<Initialised, TokenError> {
    let before = module.tokens()?;
    let slot = choose(&before, wanted)?;
    check_so_pin(before.iter().find(|seen| seen.slot == slot).map(|seen| &seen.info))?;
    so_pin
        .with(|so_pin| module.context.init_token(slot, so_pin, wanted.label))
        .map_err(|error| answer::login("security officer's PIN", &error))?;
    // The library may give the token another slot and another serial number.
    let after = module.tokens()?;
    let fits: Vec<_> = after.iter().filter(|seen| seen.info.name.label == wanted.label).collect();
    let [made] = fits.as_slice() else {
        return Err(TokenError::Init(format!("{} tokens have the label {:?} now", fits.len(), wanted.label)));
    };
    set_user_pin(module, made.slot, so_pin, pin)?;
    let Info { manufacturer, model, .. } = &made.info;
    Ok(Initialised { name: made.name(), manufacturer: manufacturer.clone(), model: model.clone() })
}

/// The slot to initialise, if that destroys nothing but what was typed.
fn choose(tokens: &[Seen], wanted: &Wanted<'_>) -> Result<Slot, TokenError> {
    let serials: Vec<_> = tokens.iter().map(Seen::described).collect();
    choice(&serials, wanted).map_err(TokenError::Init).and_then(|index| {
        tokens.get(index).map(|seen| seen.slot).ok_or_else(|| TokenError::Init("no such slot".to_owned()))
    })
}

/// What the choice looks at.
struct Described {
    /// The token's label.
    label: String,
    /// Its serial number.
    serial: String,
    /// Whether it is initialised, and so may hold something.
    used: bool,
}

impl Seen {
    /// What the choice looks at.
    fn described(&self) -> Described {
        let name = self.name();
        Described { label: name.label, serial: name.serial, used: self.info.initialised }
    }
}

/// The index of the token to initialise, or the sentence that says why there is none.
fn choice(tokens: &[Described], wanted: &Wanted<'_>) -> Result<usize, String> {
    let configured = |token: &Described| {
        token.used && (token.label == wanted.label || wanted.serial == Some(token.serial.as_str()))
    };
    if let Some(serial) = wanted.erase {
        let named: Vec<_> = tokens.iter().enumerate().filter(|(_, token)| token.serial == serial).collect();
        return match named.as_slice() {
            [(index, token)] if configured(token) => Ok(*index),
            [(_, token)] => Err(format!(
                "the token {serial} has the label {:?}; only a token with the configured label or serial is erased",
                token.label
            )),
            [] => Err(format!("no token has the serial {serial}")),
            many => Err(format!("{} tokens have the serial {serial}", many.len())),
        };
    }
    if let Some(token) = tokens.iter().find(|token| configured(token)) {
        return Err(format!(
            "the token {:?} with serial {} is already initialised and may hold keys",
            token.label, token.serial
        ));
    }
    let empty: Vec<_> = tokens.iter().enumerate().filter(|(_, token)| !token.used).collect();
    let fits: Vec<_> = match wanted.serial {
        Some(serial) if empty.len() > 1 => {
            empty.into_iter().filter(|(_, token)| token.serial == serial).collect()
        }
        _ => empty,
    };
    match fits.as_slice() {
        [(index, _)] => Ok(*index),
        [] => Err("the module shows no uninitialised token".to_owned()),
        many => {
            Err(format!("the module shows {} uninitialised tokens; configure the serial of one", many.len()))
        }
    }
}

/// Refuses a security officer's PIN that is locked or on its last try; an empty token's flags mean nothing (SoftHSM: locked).
fn check_so_pin(info: Option<&Info>) -> Result<(), TokenError> {
    info.filter(|info| info.initialised).map_or(Ok(()), |info| info.so_pin.allowed())
}

/// Sets the user PIN in a session of the security officer.
fn set_user_pin(module: &Module, slot: Slot, so_pin: &Pin, pin: &Pin) -> Result<(), TokenError> {
    let session: Session =
        module.context.open_rw_session(slot).map_err(|error| answer::failed("opening a session", &error))?;
    so_pin
        .with(|so_pin| session.login(UserType::So, Some(so_pin)))
        .map_err(|error| answer::login("security officer's PIN", &error))?;
    pin.with(|pin| session.init_pin(pin)).map_err(|error| answer::login("user PIN", &error))?;
    session.logout().map_err(|error| answer::failed("log-out", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(label: &str, serial: &str, used: bool) -> Described {
        Described { label: label.to_owned(), serial: serial.to_owned(), used }
    }

    fn wanted<'a>(serial: Option<&'a str>, erase: Option<&'a str>) -> Wanted<'a> {
        Wanted { label: "onionkeep", serial, erase }
    }

    #[test]
    fn the_empty_token_is_taken_and_others_are_left_alone() {
        let tokens = [token("theirs", "1", true), token("", "", false)];
        assert_eq!(choice(&tokens, &wanted(None, None)), Ok(1));
    }

    #[test]
    fn an_initialised_token_is_refused_unless_its_serial_is_typed() {
        let tokens = [token("onionkeep", "12", true), token("", "", false)];
        assert!(choice(&tokens, &wanted(None, None)).unwrap_err().contains("may hold keys"));
        assert!(choice(&tokens, &wanted(None, Some("1"))).unwrap_err().contains("no token has the serial 1"));
        assert_eq!(choice(&tokens, &wanted(None, Some("12"))), Ok(0));
    }

    #[test]
    fn a_token_of_somebody_else_is_never_erased() {
        let tokens = [token("theirs", "7", true), token("onionkeep", "12", true)];
        assert!(choice(&tokens, &wanted(Some("12"), Some("7"))).unwrap_err().contains("only a token with"));
    }

    #[test]
    fn a_renamed_token_with_the_configured_serial_is_refused_too() {
        let tokens = [token("renamed", "12", true), token("", "", false)];
        assert!(choice(&tokens, &wanted(Some("12"), None)).is_err());
    }

    #[test]
    fn several_or_no_empty_tokens_are_refused() {
        let two = [token("", "1", false), token("", "2", false)];
        assert!(choice(&two, &wanted(None, None)).is_err());
        assert_eq!(choice(&two, &wanted(Some("2"), None)), Ok(1));
        assert!(choice(&[token("theirs", "1", true)], &wanted(None, None)).is_err());
    }

    #[test]
    fn two_tokens_with_the_typed_serial_are_refused() {
        let two = [token("onionkeep", "0000", true), token("onionkeep", "0000", true)];
        assert!(choice(&two, &wanted(None, Some("0000"))).unwrap_err().contains("2 tokens"));
    }
}
