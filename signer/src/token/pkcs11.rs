//! A token behind a PKCS#11 module: pinned by label and serial, logged in once.
//!
//! Together with the files below `token/pkcs11/` the only place that names the PKCS#11 library. What is done about a
//! failing call (the ladder) is decided in `Pkcs11Token::attempt`: find the object again; open a new session, which is
//! logged in as the process is; end the process. The PIN is wiped after the one log-in, so that only a fresh process,
//! which the keeper starts, can log in again.

use super::{Token, TokenError, Which};
use crate::audit_key::{AuditKey, AuditSignature};
use crate::pin::Pin;
use crate::seal::{SealKind, TokenName};
use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use onionkeep_common::OnionAddress;
use std::path::Path;
use zeroize::Zeroizing;

mod answer;
mod audit;
mod change;
mod info;
mod init;
mod look;
mod module;
mod object;
mod pair;

pub use change::change_pin;
pub use init::{Initialised, initialise};
pub use look::{TokenSeen, look};

use answer::Cure;
pub use module::Access;
use module::Module;

/// A logged-in session and what was found through it.
struct Live {
    /// The session.
    session: Session,
    /// The root key, once found.
    root: Option<ObjectHandle>,
}

/// Why an attempt failed: the library's answer, or a finding that no new session will change.
enum Trouble {
    /// The library's answer.
    Answer(Error),
    /// A finding.
    Finding(TokenError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<TokenError> for Trouble {
    fn from(error: TokenError) -> Self {
        Self::Finding(error)
    }
}

/// **Seconds** after which a fresh process may have brought the token back.
const FRESH_PROCESS: u32 = 1;

/// A token behind a PKCS#11 module.
pub struct Pkcs11Token {
    /// The loaded module; `None` only while this is dropped.
    module: Option<Module>,
    /// The session; `None` once only a fresh process helps. Dropped before the module.
    live: Option<Live>,
    /// Where the token is.
    slot: Slot,
    /// By what the token is known.
    which: Which,
    /// Whether objects are to be written.
    access: Access,
}

impl Pkcs11Token {
    /// Loads the module, finds the one token with this label and serial, looks at its PIN flags and logs in, once.
    ///
    /// # Errors
    /// [`TokenError`] if the module does not load, not exactly one token fits, or the PIN is locked, on its last try or wrong.
    pub fn open(path: &Path, which: impl Into<Which>, pin: Pin, access: Access) -> Result<Self, TokenError> {
        let which = which.into();
        let module = Module::load(path)?;
        let slot = module.pinned(&which)?;
        let session = module.log_in(slot, &pin, access)?;
        drop(pin);
        Ok(Self { module: Some(module), live: Some(Live { session, root: None }), slot, which, access })
    }

    /// Runs `act` and, if it fails, climbs the ladder as far as the answer asks for; each step is taken once.
    fn attempt<T>(
        &mut self,
        what: &'static str,
        act: impl Fn(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, TokenError> {
        let mut reached = Cure::None;
        loop {
            let Some(live) = self.live.as_mut() else {
                return Err(gone("the session was given up".to_owned()));
            };
            let trouble = match act(live) {
                Ok(value) => return Ok(value),
                Err(trouble) => trouble,
            };
            let cure = match &trouble {
                Trouble::Answer(error) => answer::cure(error),
                // An object that vanished under our hands may be back with a fresh library.
                Trouble::Finding(TokenError::NoRoot) if reached == Cure::FindAgain => Cure::StartAnew,
                Trouble::Finding(_) => Cure::None,
            };
            // The same answer after its cure asks for the next step.
            let cure = if cure == Cure::None { cure } else { cure.max(reached.next()) };
            match cure {
                Cure::None => return Err(trouble.error(what)),
                Cure::FindAgain => live.root = None,
                Cure::SessionAgain => self.new_session()?,
                Cure::StartAnew => {
                    self.live = None;
                    return Err(gone(trouble.error(what).to_string()));
                }
            }
            reached = cure;
        }
    }

    /// A new session, logged in as the process still is; the old one keeps the log-in alive until then.
    fn new_session(&mut self) -> Result<(), TokenError> {
        let old = self.live.take();
        let module = self.module.as_ref().ok_or_else(|| gone("no module".to_owned()))?;
        let session = module.session_as_logged_in(self.slot, self.access);
        drop(old);
        self.live = Some(Live { session: session?, root: None });
        Ok(())
    }
}

impl Trouble {
    /// As an error, for an attempt after which nothing is left to be done.
    fn error(self, what: &'static str) -> TokenError {
        match self {
            Self::Finding(error) => error,
            Self::Answer(error) => answer::failed(what, &error),
        }
    }
}

/// The error after which only a fresh process helps.
fn gone(why: String) -> TokenError {
    TokenError::Away { why, retry_after: FRESH_PROCESS }
}

impl Drop for Pkcs11Token {
    fn drop(&mut self) {
        self.live = None;
        if let Some(module) = self.module.take() {
            module.unload();
        }
    }
}

impl Token for Pkcs11Token {
    fn name(&self) -> &TokenName {
        &self.which.name
    }

    fn mac(&mut self, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        self.attempt("HMAC", |live| object::mac(live, message))
    }

    fn check_root(&mut self) -> Result<(), TokenError> {
        self.attempt("reading the root key's attributes", object::check_root)
    }

    fn create_root(&mut self) -> Result<(), TokenError> {
        self.attempt("generating the root key", object::create_root)?;
        self.check_root()
    }

    fn check_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        match kind {
            SealKind::HmacSha256 => self.check_root(),
            SealKind::RsaOaep | SealKind::EcdhP256 => {
                self.attempt("reading the root key pair's attributes", |live| pair::check(live, kind))
            }
        }
    }

    fn create_seal_key(&mut self, kind: SealKind) -> Result<(), TokenError> {
        match kind {
            SealKind::HmacSha256 => self.create_root(),
            SealKind::RsaOaep | SealKind::EcdhP256 => {
                self.attempt("generating the root key pair", |live| pair::create(live, kind))?;
                self.check_seal_key(kind)
            }
        }
    }

    fn fresh_material(
        &mut self,
        kind: SealKind,
        random: &Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, TokenError> {
        if kind == SealKind::EcdhP256 {
            return self.attempt("making a point", |live| pair::point(live));
        }
        let mut refused = TokenError::NoRoot;
        for hash in pair::OaepHash::ALL {
            match self.attempt("OAEP", |live| pair::encrypt(live, hash, random)) {
                // A hash that the token does not know; the next one may do.
                Err(error @ (TokenError::Failed { .. } | TokenError::Refused(_))) => refused = error,
                result => return result,
            }
        }
        Err(refused)
    }

    fn secret(&mut self, kind: SealKind, material: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        match kind {
            SealKind::EcdhP256 => self.attempt("key agreement", |live| pair::agree(live, material)),
            SealKind::RsaOaep | SealKind::HmacSha256 => {
                self.attempt("decryption of a seal", |live| pair::decrypt(live, material))
            }
        }
    }

    fn sealed(&mut self) -> Result<Vec<Vec<u8>>, TokenError> {
        self.attempt("reading the sealed keys", |live| object::sealed(&live.session))
    }

    fn store(&mut self, onion: &OnionAddress, sealed: &[u8]) -> Result<(), TokenError> {
        self.attempt("storing a sealed key", |live| object::store(&live.session, onion, sealed))
    }

    fn audit_key(&mut self) -> Result<AuditKey, TokenError> {
        self.attempt("reading the audit key", audit::public)
    }

    fn create_audit_key(&mut self) -> Result<AuditKey, TokenError> {
        self.attempt("generating the audit key", audit::create)?;
        self.audit_key()
    }

    fn sign_audit(&mut self, message: &[u8]) -> Result<AuditSignature, TokenError> {
        self.attempt("signing with the audit key", |live| audit::sign(live, message))
    }
}
