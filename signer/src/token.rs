//! What the signer wants of a token: one HMAC key that never leaves it and a place for sealed keys. No token is named here.
//!
//! The vault speaks to a token only through [`Token`]; `token/pkcs11.rs` is the one that exists. Everything that crosses
//! this trait is plain data, so that a token can also live behind another process or be a fake one in tests.

use crate::error::{Explain, Kind};
use crate::ledger::device_log::DeviceLog;
use crate::pin::PinError;
use crate::seal::{SealKind, TokenName};
use onionkeep_common::OnionAddress;
use zeroize::Zeroizing;

#[cfg(test)]
pub(crate) mod fake;
pub mod open;
pub mod pkcs11;
pub mod uri;
#[cfg(feature = "yubihsm")]
pub mod yubihsm;

pub use crate::audit_key::{AuditKey, AuditSignature};

/// A token that is open and logged in.
pub trait Token: Send {
    /// Its label and serial number.
    fn name(&self) -> &TokenName;

    /// HMAC-SHA256 of `message` by the root key.
    ///
    /// # Errors
    /// [`TokenError`] if the token is away, or has no root key.
    fn mac(&mut self, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError>;

    /// Reads the root key's attributes back and tries to read its value, which must be refused.
    ///
    /// # Errors
    /// [`TokenError::NoRoot`] if there is none, [`TokenError::Exposed`] if it is not guarded as it must be.
    fn check_root(&mut self) -> Result<(), TokenError>;

    /// Generates the root key on the token, and checks it.
    ///
    /// # Errors
    /// [`TokenError`] if the token cannot, or makes a key that is not guarded.
    fn create_root(&mut self) -> Result<(), TokenError>;

    /// Checks the key on which seals of `kind` rest, as [`Token::check_root`] does.
    ///
    /// # Errors
    /// [`TokenError::NoRoot`] if there is none, [`TokenError::Exposed`] if it is not guarded as it must be.
    fn check_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        match kind {
            SealKind::HmacSha256 => self.check_root(),
            SealKind::RsaOaep | SealKind::EcdhP256 => Err(TokenError::no_such_seal(kind)),
        }
    }

    /// Generates the key on which seals of `kind` rest, as [`Token::create_root`] does.
    ///
    /// # Errors
    /// [`TokenError`] if the token cannot, or makes a key that is not guarded.
    fn create_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        match kind {
            SealKind::HmacSha256 => self.create_root(),
            SealKind::RsaOaep | SealKind::EcdhP256 => Err(TokenError::no_such_seal(kind)),
        }
    }

    /// Material for a new seal of a kind that has one; `random` is what `oaep` encrypts.
    ///
    /// # Errors
    /// [`TokenError::NoSuchSeal`] if the token has no such seals, [`TokenError`] if it cannot make the material.
    fn fresh_material(
        &mut self,
        kind: SealKind,
        _random: &Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, TokenError> {
        Err(TokenError::no_such_seal(kind))
    }

    /// The secret that the token gives for material, every time the same.
    ///
    /// # Errors
    /// [`TokenError::NoSuchSeal`] if the token has no such seals, [`TokenError`] if it is away or refuses the material.
    fn secret(&mut self, kind: SealKind, _material: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        Err(TokenError::no_such_seal(kind))
    }

    /// All sealed keys on the token, as they were stored.
    ///
    /// # Errors
    /// [`TokenError`] if they cannot be read.
    fn sealed(&mut self) -> Result<Vec<Vec<u8>>, TokenError>;

    /// Stores a sealed key as a private object and reads it back.
    ///
    /// # Errors
    /// [`TokenError::NoDataObjects`] if the token has no such objects: then a file is the place.
    fn store(&mut self, onion: &OnionAddress, sealed: &[u8]) -> Result<(), TokenError>;

    /// The public half of the audit key, after reading the private half's attributes back.
    ///
    /// # Errors
    /// [`TokenError::NoAuditKey`] if there is none, [`TokenError::AuditExposed`] if it is not guarded as it must be.
    fn audit_key(&mut self) -> Result<AuditKey, TokenError>;

    /// Generates the audit key on the token, and checks it; there must be none.
    ///
    /// # Errors
    /// [`TokenError`] if the token cannot, has one, or makes a key that is not guarded.
    fn create_audit_key(&mut self) -> Result<AuditKey, TokenError>;

    /// How much of the token's own log is on record here; `None` for a token that keeps none.
    ///
    /// # Errors
    /// [`TokenError`] if the record cannot be read.
    fn device_log(&mut self) -> Result<Option<DeviceLog>, TokenError> {
        Ok(None)
    }

    /// Signs by the audit key: Ed25519, or ECDSA P-256 over SHA-256.
    ///
    /// # Errors
    /// [`TokenError`] if the token is away, or has no audit key.
    fn sign_audit(&mut self, message: &[u8]) -> Result<AuditSignature, TokenError>;
}

/// By what a token is known again among all that a module shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its label and serial number; they are also in the associated data of every seal.
    pub name: TokenName,
    /// Its manufacturer, if it is looked at: for tokens whose serial number tells nothing.
    pub manufacturer: Option<String>,
    /// Its model, if it is looked at.
    pub model: Option<String>,
}

impl From<TokenName> for Which {
    fn from(name: TokenName) -> Self {
        Self { name, manufacturer: None, model: None }
    }
}

/// What is wrong with a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The module cannot be loaded.
    #[error("cannot load the PKCS#11 module {module}: {why}")]
    Module {
        /// Its path.
        module: String,
        /// Why.
        why: String,
    },
    /// No token has the label and serial.
    #[error("no token has the label {label:?} and serial {serial:?}{others}")]
    Absent {
        /// The wanted label.
        label: String,
        /// The wanted serial number.
        serial: String,
        /// What is there instead, for the operator.
        others: String,
    },
    /// Several tokens have them.
    #[error("{count} tokens have the label {label:?} and serial {serial:?}; exactly one must")]
    Ambiguous {
        /// How many.
        count: usize,
        /// The label.
        label: String,
        /// The serial number.
        serial: String,
    },
    /// The PIN is wrong.
    #[error("the token refuses the {0}; it was tried once")]
    PinIncorrect(&'static str),
    /// The PIN is locked.
    #[error("the token has locked the {0}")]
    PinLocked(&'static str),
    /// One more wrong PIN locks the token.
    #[error("the token allows only one more try of the {0}; the signer does not use up the last one")]
    PinFinalTry(&'static str),
    /// There is no user PIN.
    #[error("the token has no user PIN yet")]
    PinUnset,
    /// The PIN is too short, too long or expired.
    #[error("the token does not take the {what}: {why}")]
    PinUnusable {
        /// Which PIN.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The PIN could not be read.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The token does not answer.
    #[error("the token is away ({why}); next try in {retry_after} s")]
    Away {
        /// What it answered last.
        why: String,
        /// **Seconds** until it is asked again.
        retry_after: u32,
    },
    /// There is no root key.
    #[error("the token has no onionkeep root key")]
    NoRoot,
    /// There are several root keys.
    #[error("the token has {0} onionkeep root keys; exactly one must be there")]
    Roots(usize),
    /// This token has no seals of the kind.
    #[error("this token cannot seal by {kind}: {why}")]
    NoSuchSeal {
        /// The kind.
        kind: SealKind,
        /// Why not.
        why: String,
    },
    /// The token does not decrypt or agree on what a seal holds.
    #[error("the token refuses the sealed object, which was altered or is another token's ({0})")]
    Refused(String),
    /// The root key is not guarded.
    #[error("the token's root key is not guarded: {0}")]
    Exposed(String),
    /// This token makes no key that the ledger can be signed with.
    #[error("this token makes no audit key, neither Ed25519 nor P-256, so it cannot serve: {0}")]
    NoAuditKind(String),
    /// There is no audit key.
    #[error("the token has no onionkeep audit key")]
    NoAuditKey,
    /// There are audit keys where there must be another number of them.
    #[error("the token has {0} onionkeep audit key(s) already; exactly one must be there")]
    AuditKeys(usize),
    /// The audit key is not guarded.
    #[error("the token's audit key is not guarded: {0}")]
    AuditExposed(String),
    /// The token has no data objects.
    #[error("the token cannot store data objects ({0})")]
    NoDataObjects(String),
    /// What was stored reads back differently.
    #[error("the token gives back another object than was stored")]
    StoredWrong,
    /// Device or authentication key are not as serving needs them.
    #[error("the token is not set up for serving: {0}")]
    Unfit(String),
    /// `token init` would destroy something, or has no place.
    #[error("{0}")]
    Init(String),
    /// The token answered something else.
    #[error("the token failed at {what}: {why}")]
    Failed {
        /// What was asked of it.
        what: &'static str,
        /// Its answer.
        why: String,
    },
}

impl TokenError {
    /// A token that has only the kind that every token has.
    fn no_such_seal(kind: SealKind) -> Self {
        Self::NoSuchSeal { kind, why: "it has no such key".to_owned() }
    }
}

impl Explain for TokenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Module { .. } | Self::Ambiguous { .. } => Kind::Usage,
            Self::Absent { .. } | Self::Away { .. } | Self::Failed { .. } => Kind::Away,
            Self::PinIncorrect(_)
            | Self::PinLocked(_)
            | Self::PinFinalTry(_)
            | Self::PinUnset
            | Self::PinUnusable { .. }
            | Self::Pin(_) => Kind::Pin,
            Self::NoRoot | Self::Roots(_) | Self::Exposed(_) | Self::StoredWrong => Kind::Verification,
            Self::NoAuditKey | Self::AuditKeys(_) | Self::AuditExposed(_) => Kind::Verification,
            Self::Unfit(_) => Kind::Verification,
            Self::NoDataObjects(_) => Kind::Internal,
            Self::NoSuchSeal { .. } | Self::NoAuditKind(_) => Kind::Usage,
            Self::Refused(_) => Kind::Verification,
            Self::Init(_) => Kind::Refused,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Pin(error) => return error.hint(),
            Self::Module { .. } => {
                "check module in [token], and that the package with the module is installed"
            }
            Self::Absent { .. } => {
                "plug the token in; check label and serial in [token], and SOFTHSM2_CONF for SoftHSM"
            }
            Self::Ambiguous { .. } => "remove the other token, or give it another label",
            Self::PinIncorrect(_) => "correct the PIN by hand before the next start; every start is one try",
            Self::PinLocked(_) => "unlock it with the token's own tool and the security officer's PIN",
            Self::PinFinalTry(_) => "log in once by hand with the token's own tool, which resets the count",
            Self::PinUnset => "onionkeep-signer token init, or the token's own tool",
            Self::PinUnusable { .. } => "choose a PIN of the length that the token wants",
            Self::Away { .. } | Self::Failed { .. } => {
                "check that the token is plugged in and answers its own tool"
            }
            Self::NoRoot => "onionkeep-signer key new or key import makes it with the first key",
            Self::Roots(_) => "keep the root key with which the onion keys were sealed, delete the other",
            Self::Exposed(_) => {
                "do not use this token; the root key must be made on it, sensitive and not extractable"
            }
            Self::NoAuditKind(_) => {
                "take another token for serving: docs/TOKENS.md says which have such keys"
            }
            Self::NoAuditKey => "onionkeep-signer init makes it together with the ledger",
            Self::AuditKeys(_) => "delete those that the ledger's first line does not name",
            Self::AuditExposed(_) => {
                "do not use this token; the audit key must be made on it, sensitive and not extractable"
            }
            Self::StoredWrong => "do not use this token",
            Self::Unfit(_) => {
                "reset the device and run onionkeep-signer token init; docs/operate/yubihsm.md explains each right"
            }
            Self::NoSuchSeal { .. } => "seal in [token]: another kind, docs/TOKENS.md says which fits",
            Self::Refused(_) => {
                "restore the sealed key from a backup, or import the key again on a fresh token"
            }
            Self::NoDataObjects(_) => "",
            Self::Init(_) => "to destroy everything on a token, name its serial: token init --erase SERIAL",
        };
        hint.to_owned()
    }
}
