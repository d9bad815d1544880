//! A token in memory for tests, with failures to order: absent, without data objects, lying, slow.

use super::{Token, TokenError};
use crate::audit_key::{AuditKey, AuditSignature};
use crate::ledger::device_log::DeviceLog;
use crate::seal::{SealKind, TokenName};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use onionkeep_common::OnionAddress;
use sha2::Sha256;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::Zeroizing;

/// What a test can see and change while the token is in use elsewhere.
#[derive(Default)]
pub(crate) struct Inside {
    /// The root key, once made.
    pub(crate) root: Option<[u8; 32]>,
    /// The audit key's seed, once made.
    pub(crate) audit: Option<[u8; 32]>,
    /// Set if audit signatures are wrong.
    pub(crate) wrong_signatures: bool,
    /// The stored objects.
    pub(crate) objects: Vec<Vec<u8>>,
    /// Set while the token is unplugged.
    pub(crate) away: bool,
    /// Set if it has no data objects.
    pub(crate) no_objects: bool,
    /// Set if its root key can be read.
    pub(crate) exposed: bool,
    /// How much of its own log is on record.
    pub(crate) log: Option<DeviceLog>,
    /// How long each HMAC takes.
    pub(crate) slow: Duration,
    /// How many HMACs it made.
    pub(crate) macs: usize,
}

/// The token.
#[derive(Clone)]
pub(crate) struct FakeToken {
    /// Label and serial.
    name: TokenName,
    /// What is in it.
    pub(crate) inside: Arc<Mutex<Inside>>,
}

impl FakeToken {
    /// An empty token.
    pub(crate) fn new(serial: &str) -> Self {
        let name = TokenName { label: "fake".to_owned(), serial: serial.to_owned() };
        Self { name, inside: Arc::default() }
    }

    /// What is in it, if it is plugged in.
    fn plugged<T>(&self, with: impl FnOnce(&mut Inside) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut inside = self.inside.lock().unwrap();
        if inside.away {
            return Err(TokenError::Away { why: "unplugged".to_owned(), retry_after: 7 });
        }
        with(&mut inside)
    }
}

impl Token for FakeToken {
    fn name(&self) -> &TokenName {
        &self.name
    }

    fn mac(&mut self, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        let root = self.plugged(|inside| {
            inside.macs += 1;
            std::thread::sleep(inside.slow);
            inside.root.ok_or(TokenError::NoRoot)
        })?;
        let mac = Hmac::<Sha256>::new_from_slice(&root).unwrap().chain_update(message);
        Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    fn check_root(&mut self) -> Result<(), TokenError> {
        self.plugged(|inside| match (inside.root, inside.exposed) {
            (None, _) => Err(TokenError::NoRoot),
            (Some(_), true) => Err(TokenError::Exposed("on order".to_owned())),
            (Some(_), false) => Ok(()),
        })
    }

    fn create_root(&mut self) -> Result<(), TokenError> {
        self.plugged(|inside| {
            inside.root = Some([0x5a; 32]);
            Ok(())
        })?;
        self.check_root()
    }

    fn check_seal_key(&mut self, _kind: SealKind) -> Result<(), TokenError> {
        self.check_root()
    }

    fn create_seal_key(&mut self, _kind: SealKind) -> Result<(), TokenError> {
        self.create_root()
    }

    fn fresh_material(
        &mut self,
        _kind: SealKind,
        random: &Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, TokenError> {
        Ok(random.to_vec())
    }

    fn secret(&mut self, kind: SealKind, material: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        self.mac(&[kind.name().as_bytes(), material].concat())
    }

    fn sealed(&mut self) -> Result<Vec<Vec<u8>>, TokenError> {
        self.plugged(|inside| Ok(inside.objects.clone()))
    }

    fn store(&mut self, _onion: &OnionAddress, sealed: &[u8]) -> Result<(), TokenError> {
        self.plugged(|inside| {
            if inside.no_objects {
                return Err(TokenError::NoDataObjects("on order".to_owned()));
            }
            inside.objects.push(sealed.to_vec());
            Ok(())
        })
    }

    fn audit_key(&mut self) -> Result<AuditKey, TokenError> {
        let seed = self.plugged(|inside| inside.audit.ok_or(TokenError::NoAuditKey))?;
        Ok(AuditKey::Ed25519(SigningKey::from_bytes(&seed).verifying_key().to_bytes()))
    }

    fn create_audit_key(&mut self) -> Result<AuditKey, TokenError> {
        self.plugged(|inside| match inside.audit.replace([0xa5; 32]) {
            Some(_old) => Err(TokenError::AuditKeys(1)),
            None => Ok(()),
        })?;
        self.audit_key()
    }

    fn device_log(&mut self) -> Result<Option<DeviceLog>, TokenError> {
        self.plugged(|inside| Ok(inside.log))
    }

    fn sign_audit(&mut self, message: &[u8]) -> Result<AuditSignature, TokenError> {
        self.plugged(|inside| {
            let seed = inside.audit.ok_or(TokenError::NoAuditKey)?;
            let mut signature = SigningKey::from_bytes(&seed).sign(message).to_bytes();
            signature[40] ^= u8::from(inside.wrong_signatures);
            Ok(AuditSignature(signature))
        })
    }
}
