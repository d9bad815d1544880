//! A token behind a PKCS#11 module: pinned by label and serial, logged in once, brought back when it fails.
//!
//! Together with the files below `token/pkcs11/` the only place that names the PKCS#11 library. What is done about a
//! failing call (the ladder) is decided in `Pkcs11Token::attempt`: find the object again; open a new session and log in;
//! finalize, load and pin anew, with growing pauses. A PIN that was refused is never tried again.

use super::{Token, TokenError, Which};
use crate::audit_key::{AuditKey, AuditSignature};
use crate::pin::Pin;
use crate::seal::{SealKind, TokenName};
use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use onionkeep_common::OnionAddress;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

mod answer;
mod audit;
mod backoff;
mod change;
mod info;
mod init;
mod module;
mod object;
mod pair;

pub use change::change_pin;
pub use init::{Initialised, initialise};

use answer::Cure;
use backoff::Backoff;
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

/// A token behind a PKCS#11 module.
pub struct Pkcs11Token {
    /// The loaded module; `None` between finalizing and loading.
    module: Option<Module>,
    /// The session; `None` while the token is away. Dropped before the module.
    live: Option<Live>,
    /// Where the module is.
    path: std::path::PathBuf,
    /// By what the token is known again.
    which: Which,
    /// For logging in again after the token was away.
    pin: Pin,
    /// Set for ever once the PIN was refused.
    pin_refused: bool,
    /// Whether objects are to be written.
    access: Access,
    /// Pauses between tries to bring the token back.
    backoff: Backoff,
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
        let session = module.log_in(slot, &pin, access, false)?;
        Ok(Self {
            module: Some(module),
            live: Some(Live { session, root: None }),
            path: path.to_owned(),
            which,
            pin,
            pin_refused: false,
            access,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
        })
    }

    /// Runs `act` and, if it fails, climbs the ladder as far as the answer asks for; each step is taken once.
    fn attempt<T>(
        &mut self,
        what: &'static str,
        act: impl Fn(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, TokenError> {
        let mut reached = Cure::None;
        loop {
            let trouble = match self.live() {
                Ok(live) => match act(live) {
                    Ok(value) => return Ok(value),
                    Err(trouble) => trouble,
                },
                Err(error) => return Err(error),
            };
            let cure = match &trouble {
                Trouble::Answer(error) => answer::cure(error),
                // An object that vanished between two sessions may be back with a fresh library.
                Trouble::Finding(TokenError::NoRoot) if reached == Cure::FindAgain => Cure::LoadAgain,
                Trouble::Finding(_) => Cure::None,
            };
            // The same answer after its cure asks for the next step.
            let cure = if cure == Cure::None { cure } else { cure.max(reached.next()) };
            if cure == Cure::None || reached == Cure::LoadAgain {
                return Err(self.given_up(what, trouble));
            }
            reached = cure;
            self.take(cure)?;
        }
    }

    /// Takes one step of the ladder.
    fn take(&mut self, cure: Cure) -> Result<(), TokenError> {
        match cure {
            Cure::None => Ok(()),
            Cure::FindAgain => {
                if let Some(live) = self.live.as_mut() {
                    live.root = None;
                }
                Ok(())
            }
            Cure::LogInAgain => {
                self.live = None;
                self.come_back(false)
            }
            Cure::LoadAgain => self.come_back(true),
        }
    }

    /// The session; brings the token back first if it is away and the pause is over.
    fn live(&mut self) -> Result<&mut Live, TokenError> {
        if self.live.is_none() {
            self.come_back(true)?;
        }
        self.live.as_mut().ok_or_else(|| TokenError::Away { why: "no session".to_owned(), retry_after: 1 })
    }

    /// Drops session and module, so that the library forgets everything.
    fn unload(&mut self) {
        self.live = None;
        if let Some(module) = self.module.take() {
            module.unload();
        }
    }

    /// Pins the token and logs in again; `anew` with a fresh library, and not before the pause is over.
    fn come_back(&mut self, anew: bool) -> Result<(), TokenError> {
        if self.pin_refused {
            return Err(TokenError::PinIncorrect("user PIN"));
        }
        if anew && let Some(wait) = self.backoff.wait() {
            return Err(TokenError::Away {
                why: "it did not answer".to_owned(),
                retry_after: backoff::seconds(wait),
            });
        }
        if anew {
            self.unload();
        }
        match self.bring_back() {
            Ok(session) => {
                self.backoff.worked();
                self.live = Some(Live { session, root: None });
                Ok(())
            }
            Err(error) => Err(self.away(error)),
        }
    }

    /// One try to have a session again.
    fn bring_back(&mut self) -> Result<Session, TokenError> {
        let module = match self.module.take() {
            Some(module) => module,
            None => Module::load(&self.path)?,
        };
        let module = self.module.insert(module);
        let slot = module.pinned(&self.which)?;
        module.log_in(slot, &self.pin, self.access, true)
    }

    /// What a failed try to come back means: a refused PIN for ever, everything else until the pause is over.
    fn away(&mut self, error: TokenError) -> TokenError {
        let pin = matches!(
            error,
            TokenError::PinIncorrect(_) | TokenError::PinLocked(_) | TokenError::PinFinalTry(_)
        );
        if pin {
            self.pin_refused = true;
            return error;
        }
        let retry_after = backoff::seconds(self.backoff.failed());
        TokenError::Away { why: error.to_string(), retry_after }
    }

    /// The error of an attempt after which nothing is left to be done.
    fn given_up(&mut self, what: &'static str, trouble: Trouble) -> TokenError {
        match trouble {
            Trouble::Finding(error) => error,
            Trouble::Answer(error) if answer::cure(&error) == Cure::None => answer::failed(what, &error),
            Trouble::Answer(error) => {
                self.live = None;
                let error = answer::failed(what, &error);
                self.away(error)
            }
        }
    }
}

impl Drop for Pkcs11Token {
    fn drop(&mut self) {
        self.unload();
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
