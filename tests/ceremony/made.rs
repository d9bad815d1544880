//! Requests and bundles from fixed keys, the same octets on every machine.

use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::audit_key::AuditKey;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{
    Bundle, BundleSlot, FileDigest, Kind, LedgerHead, Previous, Purpose, Request, RequestId, RequestKey, Slot,
};
use onionkeep_common::period::PeriodRule;
use onionkeep_common::wire::Proof;
use onionkeep_common::{
    DescSigningKey, Minutes, OnionAddress, PeriodLength, PeriodNumber, Signature, TimePeriod, UnixTime,
};
use onionkeep_core::{CertTerms, ExpandedKey, Hedge, Ladder};
use zeroize::Zeroizing;

/// The clockwork of a test network with periods of 24 minutes, whose ladders are short.
pub(crate) const SHORT: Clockwork =
    Clockwork { rule: PeriodRule { length: PeriodLength::new(24).unwrap(), offset: Minutes(12) }, run: 1440 };
/// When everything was made.
const CREATED: UnixTime = UnixTime(1_795_365_600);

fn identity() -> ExpandedKey {
    ExpandedKey::from_seed(&[0x11; 32]).unwrap()
}

pub(crate) fn onion() -> OnionAddress {
    OnionAddress::new(*identity().public())
}

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A slot with its proof.
fn slot(clockwork: &Clockwork, period: PeriodNumber, seed: u8) -> Slot {
    let secret = signing(seed);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let minutes = clockwork.rule.length.minutes();
    let text = Proof::new(onion().identity(), period, minutes, &key);
    Slot { period, key, proof: Signature(secret.sign(text.as_bytes()).to_bytes()) }
}

/// A request for `count` periods, with standby keys.
pub(crate) fn request(clockwork: Clockwork, count: u8) -> Vec<u8> {
    let first = clockwork.rule.number_at(CREATED).0;
    let slots = |seed: u8| {
        (0..count).map(|n| slot(&clockwork, PeriodNumber(first + u64::from(n)), seed + n)).collect::<Vec<_>>()
    };
    let request = Request {
        purpose: Purpose::Real,
        onion: onion(),
        id: RequestId([0x22; 16]),
        sequence: 1,
        previous: Previous::First,
        created: CREATED,
        clockwork,
        requester: RequestKey(signing(0x33).verifying_key().to_bytes()),
        slots: slots(0x40),
        standby: slots(0x60),
    };
    request.to_file(|text| Signature(signing(0x33).sign(text).to_bytes())).into_bytes()
}

/// The public audit key.
pub(crate) fn auditor() -> AuditKey {
    AuditKey::Ed25519(signing(0x44).verifying_key().to_bytes())
}

/// The signature by the audit key.
pub(crate) fn audit_signature(text: &[u8]) -> [u8; 64] {
    signing(0x44).sign(text).to_bytes()
}

/// The bundle of a kind that answers a request.
pub(crate) fn bundle(request: &[u8], kind: Kind) -> Bundle {
    let read = Request::parse(request).unwrap();
    let asked = read.content;
    let slots = match kind {
        Kind::Main => &asked.slots,
        Kind::Emergency => &asked.standby,
    };
    let certified = |slot: &Slot| {
        let period = TimePeriod { number: slot.period, length: asked.clockwork.rule.length };
        let first = CertTerms { period, key: slot.key, expires: asked.clockwork.ladder(slot.period).0 };
        let count = u32::try_from(asked.clockwork.rungs(slot.period)).unwrap();
        let mut certs = Vec::new();
        let hedge = Hedge::new(Zeroizing::new([0x55; 32]));
        identity().certify_ladder(&Ladder { first, count }, &hedge, |cert| certs.push(cert)).unwrap();
        BundleSlot { period: slot.period, key: slot.key, first: first.expires, certs }
    };
    Bundle {
        purpose: Purpose::Real,
        kind,
        onion: asked.onion,
        request: asked.id,
        request_digest: FileDigest::of(request),
        sequence: asked.sequence,
        previous: asked.previous,
        created: CREATED,
        clockwork: asked.clockwork,
        ledger: LedgerHead { sequence: 7, hash: [0x66; 32] },
        auditor: auditor().to_string(),
        slots: slots.iter().map(certified).collect(),
    }
}

/// A bundle's file.
pub(crate) fn file(bundle: &Bundle) -> Vec<u8> {
    bundle.to_file(&audit_signature(bundle.text().as_bytes())).into_bytes()
}
