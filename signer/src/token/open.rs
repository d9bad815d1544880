//! Opens or prepares the configured token, of whichever kind it is; the only place that chooses between the kinds.

use super::pkcs11::{self, Access, Initialised, Pkcs11Token};
use super::{AuditKey, AuditSignature, Token, TokenError};
use crate::config::{Config, ConfigError};
use crate::error::Failure;
use crate::pin::Pin;
use crate::seal::{SealKind, TokenName};
use onionkeep_common::OnionAddress;
use zeroize::Zeroizing;

/// Reads what the token is opened with: the PIN, or of a `YubiHSM` the password of the key for serving or for making keys.
///
/// # Errors
/// [`Failure`] if it is not configured or cannot be read.
pub fn pin(config: &Config, access: Access) -> Result<Pin, Failure> {
    let token = &config.token;
    let source = match (&token.yubihsm, access) {
        (Some(_), Access::Write) => token.so_pin.as_ref().ok_or(ConfigError::Missing("so_pin in [token]"))?,
        (Some(_), Access::Read) | (None, _) => &token.pin,
    };
    let what =
        if token.yubihsm.is_some() { "password of the authentication key" } else { "PIN of the token" };
    Ok(source.read(what).map_err(TokenError::Pin)?)
}

/// Opens the token.
///
/// # Errors
/// [`Failure`] if it is not there, refuses the PIN, or is not as it must be.
pub fn open(config: &Config, pin: Pin, access: Access) -> Result<Box<dyn Token>, Failure> {
    let which = config.which()?;
    #[cfg(feature = "yubihsm")]
    if let Some(device) = &config.token.yubihsm {
        let token = super::yubihsm::open(device, which.name, pin, access, &config.state_dir)?;
        return Ok(Box::new(token));
    }
    Ok(Box::new(Pkcs11Token::open(&config.token.module, which, pin, access)?))
}

/// Prepares an empty token.
///
/// # Errors
/// [`TokenError::Init`] if it would have to destroy something; [`Failure`] for PINs and answers.
pub fn initialise(
    config: &Config,
    erase: Option<&str>,
    so_pin: &Pin,
    pin: &Pin,
) -> Result<Initialised, Failure> {
    let token = &config.token;
    #[cfg(feature = "yubihsm")]
    if let Some(device) = &token.yubihsm {
        if erase.is_some() {
            let why = "a YubiHSM is erased by touching its contact for ten seconds while it is plugged in";
            return Err(TokenError::Init(why.to_owned()).into());
        }
        let serial = super::yubihsm::initialise(device, config.serial()?, (pin, so_pin), &config.state_dir)?;
        let name = TokenName { label: token.label.clone(), serial };
        let (manufacturer, model) = ("Yubico".to_owned(), "YubiHSM 2".to_owned());
        return Ok(Initialised { name, manufacturer, model });
    }
    Ok(pkcs11::initialise(&token.module, &token.label, token.serial.as_deref(), erase, so_pin, pin)?)
}

impl Token for Box<dyn Token> {
    fn name(&self) -> &TokenName {
        (**self).name()
    }

    fn mac(&mut self, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        (**self).mac(message)
    }

    fn check_root(&mut self) -> Result<(), TokenError> {
        (**self).check_root()
    }

    fn create_root(&mut self) -> Result<(), TokenError> {
        (**self).create_root()
    }

    fn check_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        (**self).check_seal_key(kind)
    }

    fn create_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        (**self).create_seal_key(kind)
    }

    fn fresh_material(
        &mut self,
        kind: SealKind,
        random: &Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, TokenError> {
        (**self).fresh_material(kind, random)
    }

    fn secret(&mut self, kind: SealKind, material: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        (**self).secret(kind, material)
    }

    fn sealed(&mut self) -> Result<Vec<Vec<u8>>, TokenError> {
        (**self).sealed()
    }

    fn store(&mut self, onion: &OnionAddress, sealed: &[u8]) -> Result<(), TokenError> {
        (**self).store(onion, sealed)
    }

    fn audit_key(&mut self) -> Result<AuditKey, TokenError> {
        (**self).audit_key()
    }

    fn create_audit_key(&mut self) -> Result<AuditKey, TokenError> {
        (**self).create_audit_key()
    }

    fn sign_audit(&mut self, message: &[u8]) -> Result<AuditSignature, TokenError> {
        (**self).sign_audit(message)
    }
}
