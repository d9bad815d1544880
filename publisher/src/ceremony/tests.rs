//! A pretended ceremony: makes bundles for real requests, with certificates that verify.

use super::store::Place;
use crate::certs::tests::Onion;
use crate::config::tests::SAMPLE;
use crate::state::StateDir;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{
    Bundle, BundleSlot, FileDigest, Kind, LedgerHead, Previous, Purpose, Request, RequestId, Slot,
};
use onionkeep_common::{
    CertBody, DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, PeriodNumber, TimePeriod, UnixTime,
};
use std::path::{Path, PathBuf};

use super::import::{Imported, import};
use super::request::{Wish, new};
use super::seal::Seal;
use super::standby::Standby;
use super::{Bundles, CeremonyError, Store};

mod bad;
mod good;
mod month;
mod requests;
mod sealed;

/// A day on which tests happen, at noon: a period has just begun.
pub(crate) const NOW: UnixTime = UnixTime(20_780 * 86_400 + 43_200);

/// The seed of the token's audit key.
const AUDITOR: u8 = 77;

/// A frontend, its token, and a publisher's state folder.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) token: Onion,
    pub(crate) store: Store,
    pub(crate) clockwork: Clockwork,
    files: std::cell::Cell<u32>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (dir, token) = (tempfile::tempdir().unwrap(), Onion::new(7));
        let store = Store::at(&dir.path().join("state"), OnionAddress::new(token.identity));
        let files = std::cell::Cell::new(0);
        Self { dir, token, store, clockwork: Clockwork::PUBLIC, files }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// A file name that is not taken.
    fn file(&self) -> PathBuf {
        self.files.set(self.files.get() + 1);
        self.dir.path().join(format!("file{}", self.files.get()))
    }

    fn wish<'a>(&self, output: &'a Path, periods: u64, now: UnixTime) -> Wish<'a> {
        let periods = Some(periods);
        let (seal, clockwork) = (Seal::Plain, self.clockwork);
        Wish { periods, from: None, standby: None, seal, output, replace: false, clockwork, now }
    }

    /// `request new`; the request and where it is.
    pub(crate) fn request(&self, periods: u64, now: UnixTime) -> (Request, PathBuf) {
        let output = self.file();
        (new(&self.store, &self.wish(&output, periods, now)).unwrap().request, output)
    }

    /// The same with standby keys, which are in the last file.
    fn request_with_standby(&self, periods: u64, now: UnixTime) -> (Request, PathBuf, PathBuf) {
        let (output, standby) = (self.file(), self.file());
        let wish = Wish { standby: Some(&standby), ..self.wish(&output, periods, now) };
        (new(&self.store, &wish).unwrap().request, output, standby)
    }

    /// What a right ceremony makes of a request.
    pub(crate) fn bundle(&self, request: &Path, kind: Kind, now: UnixTime) -> Bundle {
        answer(request, kind, now, |period, key, expires| {
            let body = CertBody::desc_signing(key, expires, &self.token.identity.blinded(period).unwrap());
            self.token.sign_for(period, &body)
        })
    }

    pub(crate) fn import(&self, bundle: &Bundle, now: UnixTime) -> Result<Imported, CeremonyError> {
        import(&self.store, &sealed(bundle), None, now)
    }

    /// Asks for periods and takes the bundle.
    pub(crate) fn ceremony(&self, periods: u64, now: UnixTime) -> Bundle {
        let (_request, path) = self.request(periods, now);
        let bundle = self.bundle(&path, Kind::Main, now);
        self.import(&bundle, now).unwrap();
        bundle
    }

    pub(crate) fn bundles(&self) -> Bundles {
        Bundles::open(&self.state_dir(), self.store.onion)
    }
}

/// What a right ceremony makes of a request, by a token that certifies a key for a period.
pub(crate) fn answer(
    request: &Path,
    kind: Kind,
    now: UnixTime,
    certify: impl Fn(TimePeriod, &DescSigningKey, ExpirationHours) -> EncodedCert,
) -> Bundle {
    let read = Request::parse(&std::fs::read(request).unwrap()).unwrap();
    let (digest, request) = (read.digest, read.content);
    let asked = if kind == Kind::Main { &request.slots } else { &request.standby };
    // One slot with its ladder.
    let slot = |slot: &Slot| {
        let clockwork = &request.clockwork;
        let period = TimePeriod { number: slot.period, length: clockwork.rule.length };
        let first = clockwork.ladder(slot.period).0;
        let rungs = u32::try_from(clockwork.rungs(slot.period)).unwrap();
        let cert = |rung| certify(period, &slot.key, ExpirationHours(first.0 + rung));
        BundleSlot { period: slot.period, key: slot.key, first, certs: (0..rungs).map(cert).collect() }
    };
    Bundle {
        purpose: Purpose::Real,
        kind,
        onion: request.onion,
        request: request.id,
        request_digest: digest,
        sequence: request.sequence,
        previous: request.previous,
        created: now,
        clockwork: request.clockwork,
        ledger: LedgerHead { sequence: 5, hash: [9; 32] },
        auditor: auditor(AUDITOR),
        slots: asked.iter().map(slot).collect(),
    }
}

/// The audit key of a seed, as bundles write it.
fn auditor(seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    format!("ed25519:{}", data_encoding::HEXLOWER.encode(&key))
}

/// A bundle's file, signed by the audit key.
pub(crate) fn sealed(bundle: &Bundle) -> Vec<u8> {
    signed_by(bundle, AUDITOR)
}

/// The same by the audit key of a seed.
fn signed_by(bundle: &Bundle, seed: u8) -> Vec<u8> {
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(bundle.text().as_bytes());
    bundle.to_file(&signature.to_bytes()).into_bytes()
}
