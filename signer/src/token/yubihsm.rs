//! A YubiHSM 2 as token: root and audit key generated on it, sealed keys as opaque objects, its own log put on record.
//!
//! An authentication key takes the place of a PIN; the device counts no wrong passwords, so a refused one is not tried
//! again until the next start. With forced auditing the device stops when its log is full: the log is emptied every few
//! calls, and at once when a call is refused for it. `yubihsm/client.rs` is the only file that names the library.

use super::pkcs11::Access;
use super::{AuditKey, AuditSignature, Token, TokenError};
use crate::clock::{deadline_in, until};
use crate::ledger::device_log::DeviceLog;
use crate::log::{Level, line};
use crate::pin::Pin;
use crate::seal::TokenName;
use device::{AuthKey, Connect, Device, ED25519, HMAC_SHA256, Id, Kind, Trouble};
use drain::Drain;
use fault::{Fault, PASSWORD, failed};
use log::{LogSink, Record};
use onionkeep_common::OnionAddress;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

mod client;
mod device;
mod drain;
mod fault;
mod guard;
mod init;
pub mod log;
mod open;
mod rights;

pub use open::{initialise, open};

/// Number of the root key.
const ROOT: Id = 0x6b01;
/// Label of the root key.
const ROOT_LABEL: &str = "onionkeep root v1";
/// Number of the audit key.
const AUDIT: Id = 0x6b02;
/// Label of the audit key.
const AUDIT_LABEL: &str = "onionkeep audit v1";
/// Numbers of the sealed keys.
const SEALED: std::ops::RangeInclusive<Id> = 0x6b10..=0x6bff;
/// Starts the label of a sealed key.
const SEALED_LABEL: &str = "onionkeep sealed key ";
/// The command that the log must show after an HMAC.
const SIGN_HMAC_COMMAND: u8 = 0x53;
/// What is signed to see whether the device logs it; no key is derived from a text that starts so.
const LOG_CHECK: &[u8] = b"onionkeep log check v1";
/// How long a device that does not answer is left alone, in **seconds**.
const PAUSE: u32 = 2;

/// A YubiHSM 2.
pub struct YubihsmToken {
    /// The way to it.
    link: Box<dyn Connect>,
    /// The session; `None` while it is away.
    live: Option<Box<dyn Device>>,
    /// Its serial number; a device has no label.
    name: TokenName,
    /// Number of the authentication key.
    key: Id,
    /// What its password stands for on the device, for opening a session again; the password itself is wiped.
    secret: AuthKey,
    /// Set for ever once the password was refused.
    refused: bool,
    /// Whether keys are to be made.
    access: Access,
    /// No try to bring it back before this.
    not_before: Option<Instant>,
    /// The device's log.
    drain: Drain,
}

impl YubihsmToken {
    /// Opens a session, once, and checks device, authentication key and log.
    ///
    /// # Errors
    /// [`TokenError::PinIncorrect`] if the password is refused, [`TokenError::Unfit`] if something is not as it must be.
    fn new(
        link: Box<dyn Connect>,
        name: TokenName,
        key: Id,
        password: Pin,
        access: Access,
        sink: Box<dyn LogSink>,
    ) -> Result<Self, TokenError> {
        let (drain, live, not_before) = (Drain::new(sink), None, None);
        let secret = link.derive(&password);
        drop(password);
        let mut token = Self { link, live, name, key, secret, refused: false, access, not_before, drain };
        match token.fresh() {
            Ok(device) => token.live = Some(device),
            Err(fault) => return Err(failed("opening a session", fault)),
        }
        Ok(token)
    }

    /// A new session with the device that is wanted, checked.
    fn fresh(&mut self) -> Result<Box<dyn Device>, Fault> {
        let mut device = self.link.open(self.key, &self.secret)?;
        let serial = device.serial()?;
        if serial != self.name.serial {
            return Err(Fault::Finding(TokenError::Absent {
                label: self.name.label.clone(),
                serial: self.name.serial.clone(),
                others: format!("; {serial} is there"),
            }));
        }
        match guard::check(&mut *device, self.key, self.access) {
            Err(Fault::Trouble(Trouble::LogFull)) => {
                let _records = self.drain.run(&mut *device)?;
                guard::check(&mut *device, self.key, self.access)?;
            }
            checked => checked?,
        }
        self.prove_logging(&mut *device)?;
        Ok(device)
    }

    /// Makes an HMAC and refuses a device that does not log it.
    fn prove_logging(&mut self, device: &mut dyn Device) -> Result<(), Fault> {
        let mut records = self.drain.run(device)?;
        match device.sign_hmac(ROOT, LOG_CHECK) {
            Ok(_unused) => records.extend(self.drain.run(device)?),
            // A device without keys has nothing to serve, and whoever needs the root says so.
            Err(Trouble::Missing) => return Ok(()),
            Err(trouble) => return Err(trouble.into()),
        }
        let shows = |record: &Record| match record {
            Record::Entry(entry) => {
                (entry.command, entry.key, entry.target) == (SIGN_HMAC_COMMAND, self.key, ROOT)
            }
            Record::Gap { .. } | Record::Broken { .. } | Record::Unlogged { .. } => false,
        };
        if records.iter().any(shows) {
            return Ok(());
        }
        Err(guard::unfit(
            "its log does not show the HMAC that was just made (sign-hmac is not logged)".to_owned(),
        ))
    }

    /// The session; brings the device back first if it is away and the pause is over.
    fn live(&mut self) -> Result<&mut Box<dyn Device>, TokenError> {
        if self.refused {
            return Err(TokenError::PinIncorrect(PASSWORD));
        }
        if self.live.is_none() {
            if self.not_before.is_some_and(|moment| !until(moment).is_zero()) {
                return Err(TokenError::Away { why: "it did not answer".to_owned(), retry_after: PAUSE });
            }
            let device = self.fresh().map_err(|fault| self.away(fault))?;
            self.live = Some(device);
        }
        self.live.as_mut().ok_or_else(|| TokenError::Away { why: "no session".to_owned(), retry_after: 1 })
    }

    /// What a lost session means: a refused password for ever, everything else until the pause is over.
    fn away(&mut self, fault: Fault) -> TokenError {
        self.live = None;
        let error = failed("opening a session", fault);
        if matches!(error, TokenError::PinIncorrect(_)) {
            self.refused = true;
            return error;
        }
        self.not_before = Some(deadline_in(Duration::from_secs(PAUSE.into())));
        TokenError::Away { why: error.to_string(), retry_after: PAUSE }
    }

    /// Runs `act`; empties the log or opens a new session, once each, if that is what is wrong.
    fn attempt<T>(
        &mut self,
        what: &'static str,
        act: impl Fn(&mut dyn Device) -> Result<T, Fault>,
    ) -> Result<T, TokenError> {
        let (mut emptied, mut renewed) = (false, false);
        loop {
            let device = self.live()?;
            match act(&mut **device) {
                Ok(value) => {
                    self.empty_if_due();
                    return Ok(value);
                }
                Err(Fault::Trouble(Trouble::LogFull)) if !emptied => {
                    emptied = true;
                    if let Err(fault) = self.empty() {
                        return Err(self.away(fault));
                    }
                }
                Err(Fault::Trouble(Trouble::Gone(_why))) if !renewed => {
                    renewed = true;
                    self.live = None;
                }
                Err(Fault::Trouble(trouble)) if trouble.ends_the_session() => {
                    return Err(self.away(Fault::Trouble(trouble)));
                }
                Err(fault) => return Err(failed(what, fault)),
            }
        }
    }

    /// Empties the log now.
    fn empty(&mut self) -> Result<(), Fault> {
        match self.live.as_mut() {
            Some(device) => Ok(self.drain.run(&mut **device).map(drop)?),
            None => Ok(()),
        }
    }

    /// Empties the log if it is time. A failure is told and tried again; a full log then stops the device, not before.
    fn empty_if_due(&mut self) {
        if self.drain.is_due()
            && let Err(fault) = self.empty()
        {
            let why = failed("emptying the device's log", fault);
            line(Level::Error, "device-log-kept", &[("why", &why)]);
        }
    }

    /// A key's attributes, read back: `none` if it is not there, `exposed` with the reason if it is not guarded.
    fn check_key(
        &mut self,
        (kind, id, algorithm, capabilities): (Kind, Id, u8, u64),
        none: fn() -> TokenError,
        exposed: fn(String) -> TokenError,
    ) -> Result<(), TokenError> {
        self.attempt("reading a key's attributes", |device| {
            let info = match device.info(kind, id) {
                Err(Trouble::Missing) => return Err(none().into()),
                info => info?,
            };
            match guard::exposed(&info, algorithm, capabilities) {
                Some(why) => Err(exposed(why).into()),
                None => Ok(()),
            }
        })
    }
}

/// The label of a sealed key, with a fingerprint of the onion: the first 8 octets of SHA-256 of its identity key.
fn sealed_label(onion: &OnionAddress) -> String {
    let fingerprint = Sha256::digest(onion.identity().as_bytes());
    let hex = data_encoding::HEXLOWER.encode(fingerprint.get(..8).unwrap_or_default());
    format!("{SEALED_LABEL}{hex}")
}

/// Stores a sealed key under the first free number, and reads it back.
fn store(device: &mut dyn Device, label: &str, sealed: &[u8]) -> Result<(), Fault> {
    let taken = device.list(Kind::Opaque)?;
    let id = SEALED.into_iter().find(|id| !taken.contains(id));
    let id = id.ok_or_else(|| TokenError::NoDataObjects("no number is free".to_owned()))?;
    device.put_opaque(id, label, sealed)?;
    let kept = device.get_opaque(id)?;
    if kept == sealed && device.info(Kind::Opaque, id)?.label == label {
        return Ok(());
    }
    // What is not as it was stored must not stay; that it may not go either is said by the error below.
    let _kept = device.delete(Kind::Opaque, id);
    Err(TokenError::StoredWrong.into())
}

/// The octets of all sealed keys.
fn sealed(device: &mut dyn Device) -> Result<Vec<Vec<u8>>, Fault> {
    let mut found = Vec::new();
    for id in device.list(Kind::Opaque)?.into_iter().filter(|id| SEALED.contains(id)) {
        if device.info(Kind::Opaque, id)?.label.starts_with(SEALED_LABEL) {
            found.push(device.get_opaque(id)?);
        }
    }
    Ok(found)
}

impl Token for YubihsmToken {
    fn name(&self) -> &TokenName {
        &self.name
    }

    fn mac(&mut self, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, TokenError> {
        self.attempt("HMAC", |device| {
            let mac = match device.sign_hmac(ROOT, message) {
                Err(Trouble::Missing) => return Err(TokenError::NoRoot.into()),
                mac => mac?,
            };
            let why = || Trouble::Other(format!("{} octets instead of 32", mac.len()));
            let mac: &[u8; 32] = mac.as_slice().try_into().map_err(|_length| why())?;
            Ok(Zeroizing::new(*mac))
        })
    }

    fn check_root(&mut self) -> Result<(), TokenError> {
        let key = (Kind::Hmac, ROOT, HMAC_SHA256, rights::SIGN_HMAC);
        self.check_key(key, || TokenError::NoRoot, TokenError::Exposed)
    }

    fn create_root(&mut self) -> Result<(), TokenError> {
        self.attempt("generating the root key", |device| {
            Ok(device.generate_hmac(ROOT, ROOT_LABEL, rights::SIGN_HMAC)?)
        })?;
        self.check_root()
    }

    fn sealed(&mut self) -> Result<Vec<Vec<u8>>, TokenError> {
        self.attempt("reading the sealed keys", sealed)
    }

    fn store(&mut self, onion: &OnionAddress, octets: &[u8]) -> Result<(), TokenError> {
        let label = sealed_label(onion);
        self.attempt("storing a sealed key", |device| store(device, &label, octets))
    }

    fn audit_key(&mut self) -> Result<AuditKey, TokenError> {
        let key = (Kind::Asymmetric, AUDIT, ED25519, rights::SIGN_EDDSA);
        self.check_key(key, || TokenError::NoAuditKey, TokenError::AuditExposed)?;
        let public = self.attempt("reading the audit key", |device| Ok(device.public_key(AUDIT)?))?;
        let what = "reading the audit key";
        AuditKey::from_octets(&public).map_err(|error| TokenError::Failed { what, why: error.to_string() })
    }

    fn create_audit_key(&mut self) -> Result<AuditKey, TokenError> {
        self.attempt("generating the audit key", |device| {
            if device.list(Kind::Asymmetric)?.contains(&AUDIT) {
                return Err(TokenError::AuditKeys(1).into());
            }
            Ok(device.generate_ed25519(AUDIT, AUDIT_LABEL, rights::SIGN_EDDSA)?)
        })?;
        self.audit_key()
    }

    fn device_log(&mut self) -> Result<Option<DeviceLog>, TokenError> {
        // What the device has logged since is put on record first, so that the ledger says how far it got.
        if let Err(fault) = self.empty() {
            let why = failed("emptying the device's log", fault);
            line(Level::Error, "device-log-kept", &[("why", &why)]);
        }
        let what = "reading device-log";
        let head = self.drain.head().map_err(|error| TokenError::Failed { what, why: error.to_string() })?;
        Ok(Some(head))
    }

    fn sign_audit(&mut self, message: &[u8]) -> Result<AuditSignature, TokenError> {
        self.attempt("signing by the audit key", |device| match device.sign_ed25519(AUDIT, message) {
            Err(Trouble::Missing) => Err(TokenError::NoAuditKey.into()),
            signature => Ok(AuditSignature(signature?)),
        })
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;
