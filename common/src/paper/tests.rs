//! Requests and bundles: written, read back, altered in every way.

use super::lines::FileError;
use super::*;
use crate::OnionAddress;
use crate::blinding::{BlindingFactor, TimePeriod};
use crate::cert::{CertBody, EncodedCert};
use crate::iso::Iso;
use crate::keys::{BlindedId, DescSigningKey, IdentityKey, Signature};
use crate::ladder::Clockwork;
use crate::units::{ExpirationHours, PeriodNumber, UnixTime};
use crate::wire::Proof;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use sha2::{Digest, Sha512};

/// A frontend's scalar; nothing here needs its nonce prefix.
const SCALAR: u64 = 0x6f6e_696f_6e6b;
const FIRST: u64 = 20_779;

fn address() -> OnionAddress {
    let point = EdwardsPoint::mul_base(&Scalar::from(SCALAR)).compress().to_bytes();
    OnionAddress::new(IdentityKey::from_bytes(point).unwrap())
}

fn desc_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn slot(period: u64, seed: u8) -> Slot {
    let secret = desc_key(seed);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let proof = Proof::new(address().identity(), PeriodNumber(period), 1440, &key);
    Slot { period: PeriodNumber(period), key, proof: Signature(secret.sign(proof.as_bytes()).to_bytes()) }
}

fn request() -> Request {
    Request {
        purpose: Purpose::Real,
        onion: address(),
        id: RequestId([7; 16]),
        sequence: 7,
        previous: Previous::Bundle(FileDigest([8; 32])),
        created: UnixTime(1_795_365_600),
        clockwork: Clockwork::PUBLIC,
        requester: RequestKey(desc_key(200).verifying_key().to_bytes()),
        slots: (0..3).map(|n| slot(FIRST + u64::from(n), n + 1)).collect(),
        standby: (0..3).map(|n| slot(FIRST + u64::from(n), n + 11)).collect(),
    }
}

fn request_file(request: &Request) -> Vec<u8> {
    request.to_file(|text| Signature(desc_key(200).sign(text).to_bytes())).into_bytes()
}

/// A certificate under the blinded key, signed with a nonce that only a test may use.
fn certify(period: PeriodNumber, key: &DescSigningKey, expires: ExpirationHours) -> EncodedCert {
    let period = TimePeriod { number: period, length: Clockwork::PUBLIC.rule.length };
    let secret = Scalar::from(SCALAR) * BlindingFactor::new(address().identity(), period).scalar();
    let public = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    let blinded = BlindedId::from_bytes(public).unwrap();
    let body = CertBody::desc_signing(key, expires, &blinded);
    let scalar = |hash: Sha512| Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let nonce = scalar(Sha512::new().chain_update(b"nonce of a test").chain_update(body.as_bytes()));
    let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let hash = Sha512::new().chain_update(commitment).chain_update(public).chain_update(body.as_bytes());
    let response = nonce + scalar(hash) * secret;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment);
    signature[32..].copy_from_slice(response.as_bytes());
    body.with_signature(&Signature(signature))
}

fn bundle() -> Bundle {
    let (request, file) = (request(), request_file(&request()));
    let slots = request.slots.iter().map(|slot| {
        let first = Clockwork::PUBLIC.ladder(slot.period).0;
        let rungs = u32::try_from(Clockwork::PUBLIC.rungs(slot.period)).unwrap();
        let certs = (0..rungs).map(|rung| certify(slot.period, &slot.key, ExpirationHours(first.0 + rung)));
        BundleSlot { period: slot.period, key: slot.key, first, certs: certs.collect() }
    });
    Bundle {
        purpose: Purpose::Real,
        kind: Kind::Main,
        onion: request.onion,
        request: request.id,
        request_digest: FileDigest::of(&file),
        sequence: request.sequence,
        previous: request.previous,
        created: UnixTime(1_795_366_000),
        clockwork: request.clockwork,
        ledger: LedgerHead { sequence: 44, hash: [9; 32] },
        auditor: "ed25519:00".to_string(),
        slots: slots.collect(),
    }
}

#[test]
fn a_request_reads_back() {
    let file = request_file(&request());
    let read = Request::parse(&file).unwrap();
    assert_eq!(read.content, request());
    assert_eq!(read.digest, FileDigest::of(&file));
    let rehearsal = Request { purpose: Purpose::Rehearsal, standby: Vec::new(), ..request() };
    assert_eq!(Request::parse(&request_file(&rehearsal)).unwrap().content, rehearsal);
}

#[test]
fn a_bundle_reads_back_and_gives_the_rung_of_the_hour() {
    let text = bundle().to_file(&[3; 64]);
    let (read, signed) = Bundle::parse(text.as_bytes()).unwrap();
    assert_eq!(read.content, bundle());
    assert_eq!((signed.text, signed.signature), (bundle().text().into_bytes(), [3; 64]));
    let slot = &read.content.slots[1];
    let (from, to) = Clockwork::PUBLIC.span(slot.period);
    for now in [from, from.plus(1), to.plus(3600), to.plus(3 * 3600)] {
        let cert = slot.rung(now).unwrap();
        let expires = u32::from_be_bytes(cert.0[2..6].try_into().unwrap());
        assert_eq!(ExpirationHours(expires), ExpirationHours::of_desc_signing_cert(now));
    }
    assert_eq!(slot.rung(from.minus(2 * 3600)), None);
    assert_eq!(slot.rung(to.plus(3 * 3600 + 1)), None);
}

#[test]
fn every_flipped_octet_of_a_request_is_found() {
    let file = request_file(&request());
    for at in 0..file.len() {
        for mask in [1, 0x20, 0x80] {
            let mut bad = file.clone();
            bad[at] ^= mask;
            assert!(Request::parse(&bad).is_err(), "octet {at} ^ {mask}");
        }
    }
}

#[test]
fn a_flipped_octet_of_a_bundle_is_found_or_in_what_the_audit_key_signs() {
    let mut small = bundle();
    small.slots.truncate(1);
    let file = small.to_file(&[3; 64]).into_bytes();
    // The certificates are alike: one of them and everything around is enough here; `tests/ceremony` alters every octet.
    let second_cert = file.windows(6).enumerate().filter(|(_at, w)| w == b"\ncert ").nth(1).unwrap().0;
    let tail = file.len() - 800;
    let (_read, before) = Bundle::parse(&file).unwrap();
    for at in (0..second_cert + 210).chain(tail..file.len()).step_by(3) {
        let mut bad = file.clone();
        bad[at] ^= 1;
        if let Ok((_read, after)) = Bundle::parse(&bad) {
            assert_ne!(before, after, "octet {at}");
        }
    }
}

#[test]
fn every_dropped_doubled_or_swapped_line_is_found() {
    let request = String::from_utf8(request_file(&request())).unwrap();
    let whole = bundle().to_file(&[3; 64]);
    for (text, is_request) in [(&request, true), (&whole, false)] {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let good = |lines: &[&str]| {
            let file = lines.concat();
            if is_request {
                Request::parse(file.as_bytes()).is_ok()
            } else {
                Bundle::parse(file.as_bytes()).is_ok()
            }
        };
        assert!(good(&lines));
        // All lines of the start, and a few of the many certificates.
        for at in (0..lines.len()).filter(|at| *at < 20 || at % 29 == 0 || *at + 4 > lines.len()) {
            let mut less = lines.clone();
            less.remove(at);
            assert!(!good(&less), "without line {}", at + 1);
            let mut more = lines.clone();
            more.insert(at, lines[at]);
            assert!(!good(&more), "line {} twice", at + 1);
            if at > 0 {
                let mut swapped = lines.clone();
                swapped.swap(at - 1, at);
                assert!(!good(&swapped), "lines {at} and {} swapped", at + 1);
            }
        }
    }
}

fn error(file: &[u8]) -> FileError {
    Request::parse(file).unwrap_err()
}

#[test]
fn what_a_medium_or_an_editor_does_to_a_file_is_named() {
    let file = request_file(&request());
    let text = String::from_utf8(file.clone()).unwrap();
    for (bad, words) in [
        (text.replace('\n', "\r\n").into_bytes(), "CR LF"),
        ([b"\xef\xbb\xbf".as_slice(), &file].concat(), "byte order mark"),
        (file[..file.len() / 2].to_vec(), "cut short"),
        (file[..file.len() - 1].to_vec(), "no end"),
        (Vec::new(), "empty or cut short"),
        (text.replace("onion ", "onion  ").into_bytes(), "two blanks"),
        (text.replace("sequence 7", "sequence 07").into_bytes(), "is to be written 7"),
        (text.replace("onionkeep-request 1", "onionkeep-request 2").into_bytes(), "onionkeep-request 1"),
        ([file.clone(), file.clone()].concat(), "no place"),
        (text.replace(" \u{37}", "\u{a0}7").into_bytes(), "printable ASCII"),
    ] {
        let error = error(&bad).to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn unknown_may_lines_are_passed_over_and_must_lines_are_not() {
    let with = |line: &str| {
        let text = request().text().replace("\nsequence", &format!("\n{line}\nsequence"));
        let signature = desc_key(200).sign(text.as_bytes()).to_bytes();
        sealed(text, &signature).into_bytes()
    };
    assert_eq!(Request::parse(&with("may-be-useful later")).unwrap().content, request());
    assert!(error(&with("must-be-known 1")).what.contains("later version"));
    assert!(error(&with("colour blue")).what.contains("wanted is"));
}

#[test]
fn gaps_wrong_proofs_and_other_counts_are_found() {
    let mut gap = request();
    gap.standby.clear();
    gap.slots.remove(1);
    assert!(error(&request_file(&gap)).what.contains("gap"));
    let mut proof = request();
    proof.slots[1].proof = proof.slots[0].proof;
    assert!(error(&request_file(&proof)).what.contains("proof"));
    let mut other = request();
    other.standby = (0..3).map(|n| slot(FIRST + 1 + u64::from(n), n + 11)).collect();
    assert!(error(&request_file(&other)).what.contains("other periods"));
    let mut fewer = request();
    fewer.standby.pop();
    assert!(error(&request_file(&fewer)).what.contains("as many standby keys"));
}

#[test]
fn a_certificate_of_another_hour_key_or_period_is_found() {
    let check = |alter: &dyn Fn(&mut Bundle)| {
        let mut bad = bundle();
        alter(&mut bad);
        Bundle::parse(bad.to_file(&[3; 64]).as_bytes()).unwrap_err().what
    };
    assert!(check(&|bad| bad.slots[0].certs.swap(3, 4)).contains("another hour"));
    assert!(check(&|bad| bad.slots[1].certs[0] = bad.slots[0].certs[24]).contains("blinded key"));
    assert!(check(&|bad| bad.slots[0].key = bad.slots[1].key).contains("another key"));
    assert!(check(&|bad| bad.slots[0].certs.truncate(52)).contains("wanted are 53"));
    assert!(check(&|bad| drop(bad.slots.remove(1))).contains("gap"));
    assert!(check(&|bad| bad.slots[0].certs[0].0[139] ^= 1).contains("not good"));
}

#[test]
fn previous_and_kind_are_words_or_digests() {
    assert_eq!("first".parse(), Ok(Previous::First));
    assert!("First".parse::<Previous>().is_err());
    assert!("other".parse::<Kind>().is_err());
    let all = [Kind::Main, Kind::Emergency];
    assert!(all.iter().all(|kind| kind.to_string().parse() == Ok(*kind)));
    assert_eq!(Iso(UnixTime(0)).to_string(), "1970-01-01T00:00:00Z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _any = (Request::parse(&octets), Bundle::parse(&octets));
    }

    #[test]
    fn no_mutation_panics_or_passes(at in any::<usize>(), with in proptest::collection::vec(32_u8..127, 0..40)) {
        let mut file = request_file(&request());
        let at = at % file.len();
        let end = (at + with.len()).min(file.len());
        let before = file.clone();
        file.splice(at..end, with);
        prop_assert!(file == before || Request::parse(&file).is_err());
    }
}
