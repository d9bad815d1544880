//! Every rule accepts what it must and rejects what it must. (`well-formed` is proven at the socket.)

use super::*;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, IdentityKey, PeriodLength, PeriodNumber, Signature};
use std::path::Path;

const NOW: UnixTime = UnixTime(1_795_344_000);
const UID: u32 = 997;

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn onion(seed: u8) -> OnionAddress {
    OnionAddress::new(IdentityKey::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap())
}

fn policy() -> Policy {
    let grants = vec![Grant { onion: onion(1), uid: UID }, Grant { onion: onion(2), uid: UID + 1 }];
    Policy { grants, periods: PeriodRule::PUBLIC }
}

/// A request for onion `of`, `ahead` periods after the one before the current, with the key of `seed`.
fn request(of: u8, ahead: u64, seed: u8) -> CertifyRequest {
    let period = PeriodNumber(PeriodRule::PUBLIC.number_at(NOW).0 - 1 + ahead);
    signed(of, period, 1440, seed)
}

fn signed(of: u8, period: PeriodNumber, length: u32, seed: u8) -> CertifyRequest {
    let secret = secret(seed);
    let onion = *onion(of).identity();
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let proof = secret.sign(Proof::new(&onion, period, length, &key).as_bytes());
    CertifyRequest { onion, period, length, key, proof: Signature(proof.to_bytes()) }
}

/// A journal that has certified these requests.
fn journal(dir: &Path, requests: &[CertifyRequest]) -> Journal {
    Journal::create(dir).unwrap();
    let mut journal = Journal::open(dir, PeriodNumber(0)).unwrap();
    for request in requests {
        let period =
            TimePeriod { number: request.period, length: PeriodLength::new(request.length).unwrap() };
        let onion = OnionAddress::new(request.onion);
        journal.record(Entry { onion, period, key: request.key, time: NOW }).unwrap();
    }
    journal
}

/// What the policy says to a request of `UID` at `now` after `seen`.
fn ask_at(now: UnixTime, request: &CertifyRequest, seen: &[CertifyRequest]) -> Result<TimePeriod, Rule> {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path(), seen);
    let question = Question { request, uid: UID, now };
    policy().check(&question, &journal).map_err(|refusal| refusal.rule)
}

fn ask(request: &CertifyRequest, seen: &[CertifyRequest]) -> Result<TimePeriod, Rule> {
    ask_at(NOW, request, seen)
}

#[test]
fn known_onion_accepts_the_peer_of_the_onion() {
    let good = request(1, 1, 10);
    assert_eq!(ask(&good, &[]).unwrap().number, good.period);
    assert!(policy().knows_peer(UID) && policy().knows_peer(UID + 1));
}

#[test]
fn known_onion_rejects_an_unknown_onion_and_another_peers_onion() {
    assert_eq!(ask(&request(3, 1, 10), &[]), Err(Rule::KnownOnion));
    assert_eq!(ask(&request(2, 1, 10), &[]), Err(Rule::KnownOnion));
    assert!(!policy().knows_peer(0));
}

#[test]
fn period_length_accepts_the_configured_one() {
    assert!(ask(&signed(1, request(1, 1, 10).period, 1440, 10), &[]).is_ok());
}

#[test]
fn period_length_rejects_any_other() {
    for length in [0, 8, 1439, 1441, u32::MAX] {
        assert_eq!(ask(&signed(1, request(1, 1, 10).period, length, 10), &[]), Err(Rule::PeriodLength));
    }
}

#[test]
fn period_window_accepts_the_current_period_and_its_neighbours() {
    for ahead in 0..=2 {
        assert!(ask(&request(1, ahead, 10), &[]).is_ok());
    }
}

#[test]
fn period_window_rejects_periods_further_off() {
    let current = PeriodRule::PUBLIC.number_at(NOW).0;
    for number in [0, current - 2, current + 2, u64::MAX] {
        let request = signed(1, PeriodNumber(number), 1440, 10);
        assert_eq!(ask(&request, &[]), Err(Rule::PeriodWindow));
    }
}

#[test]
fn proof_of_possession_accepts_the_holder() {
    assert!(ask(&request(1, 0, 11), &[]).is_ok());
}

#[test]
fn proof_of_possession_rejects_a_proof_for_other_fields_or_by_another_key() {
    let good = request(1, 1, 10);
    let other_field = CertifyRequest { proof: request(1, 2, 10).proof, ..good };
    let other_key = CertifyRequest { proof: request(1, 1, 12).proof, ..good };
    let zero = CertifyRequest { proof: Signature([0; 64]), ..good };
    for bad in [other_field, other_key, zero] {
        assert_eq!(ask(&bad, &[]), Err(Rule::ProofOfPossession));
    }
}

#[test]
fn key_fresh_accepts_a_new_key_and_the_same_key_again_in_its_place() {
    let good = request(1, 1, 10);
    assert!(ask(&good, &[request(1, 1, 11), request(1, 2, 12)]).is_ok());
    assert!(ask(&good, &[good]).is_ok());
}

#[test]
fn key_fresh_rejects_a_key_of_another_period_onion_or_length() {
    assert_eq!(ask(&request(1, 1, 10), &[request(1, 2, 10)]), Err(Rule::KeyFresh));
    assert_eq!(ask(&request(1, 1, 10), &[request(2, 1, 10)]), Err(Rule::KeyFresh));
    let good = request(1, 1, 10);
    assert_eq!(ask(&good, &[signed(1, good.period, 8, 10)]), Err(Rule::KeyFresh));
}

#[test]
fn keys_per_period_accepts_keys_up_to_the_cap_and_known_ones_beyond() {
    let full: Vec<_> = (10..18).map(|seed| request(1, 1, seed)).collect();
    assert_eq!(full.len(), KEYS_PER_PERIOD_MAX);
    assert!(ask(&request(1, 1, 17), &full[..7]).is_ok());
    assert!(ask(&full[0], &full).is_ok());
    assert!(ask(&request(1, 2, 30), &full).is_ok());
}

#[test]
fn keys_per_period_rejects_one_key_too_many() {
    let full: Vec<_> = (10..18).map(|seed| request(1, 1, seed)).collect();
    assert_eq!(ask(&request(1, 1, 30), &full), Err(Rule::KeysPerPeriod));
}

#[test]
fn key_distinct_accepts_an_independent_key() {
    assert!(ask(&request(1, 2, 13), &[]).is_ok());
}

#[test]
fn key_distinct_rejects_identity_and_blinded_keys() {
    for seed in [1, 2] {
        assert_eq!(ask(&request(1, 1, seed), &[]), Err(Rule::KeyDistinct));
    }
    let good = request(1, 1, 10);
    let period = PeriodRule::PUBLIC.at(NOW);
    for period in [period.previous(), period, period.next()] {
        let blinded = onion(1).identity().blinded(period).unwrap();
        let key = DescSigningKey::from_bytes(*blinded.as_bytes()).unwrap();
        assert_eq!(ask(&CertifyRequest { key, ..good }, &[]), Err(Rule::KeyDistinct));
    }
}

#[test]
fn clock_forward_accepts_a_small_correction() {
    let good = request(1, 1, 10);
    assert!(ask_at(NOW.minus(CLOCK_SLACK), &good, &[good]).is_ok());
    assert!(ask_at(NOW.plus(3600), &good, &[good]).is_ok());
}

#[test]
fn clock_forward_rejects_a_clock_behind_the_journal() {
    let good = request(1, 1, 10);
    assert_eq!(ask_at(NOW.minus(CLOCK_SLACK + 1), &good, &[good]), Err(Rule::ClockForward));
}
