//! Every rule accepts what it must and rejects what it must. (`well-formed` is proven at the socket.)

use super::*;
use crate::ledger::{Denied, Event, Head, Keep, Line, Requested, Slot};
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::paper::{FileDigest, Kind, Purpose, RequestId};
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, ExpirationHours, IdentityKey, PeriodLength, PeriodNumber, Signature};

const NOW: UnixTime = UnixTime(1_795_344_000);
const UID: u32 = 997;

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn onion(seed: u8) -> OnionAddress {
    OnionAddress::new(IdentityKey::from_bytes(secret(seed).verifying_key().to_bytes()).unwrap())
}

fn policy() -> Policy {
    let grant = |seed, uid| Grant { onion: onion(seed), uid, budget: Budget::DEFAULT };
    Policy { grants: vec![grant(1, UID), grant(2, UID + 1)], periods: PeriodRule::PUBLIC }
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

/// A memory that has let these requests pass, each at its time.
fn memory(requests: &[(UnixTime, CertifyRequest)]) -> Memory {
    let mut memory = Memory::new(Keep::for_periods(&PeriodRule::PUBLIC));
    for (seq, (time, request)) in (1..).zip(requests) {
        let length = PeriodLength::new(request.length).unwrap();
        let slot = Slot {
            onion: OnionAddress::new(request.onion),
            period: TimePeriod { number: request.period, length },
            key: request.key,
            expires: ExpirationHours::of_desc_signing_cert(*time),
        };
        memory.learn(&Line::new(Head::START, seq, *time, Event::Asked { slot, uid: UID }));
    }
    memory
}

/// What the policy says to a request of `UID` at `now`.
fn check(now: UnixTime, request: &CertifyRequest, memory: &Memory) -> Result<TimePeriod, Refusal> {
    policy().check(&Question { request, uid: UID, now }, memory)
}

/// What the policy says to a request of `UID` at `now` after `seen`.
fn ask_at(now: UnixTime, request: &CertifyRequest, seen: &[CertifyRequest]) -> Result<TimePeriod, Rule> {
    let seen: Vec<_> = seen.iter().map(|seen| (NOW, *seen)).collect();
    check(now, request, &memory(&seen)).map_err(|refusal| refusal.rule)
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

/// A memory of a ceremony that named a request's key for its place.
fn ceremony(named: &CertifyRequest) -> Memory {
    let (onion, first) = (OnionAddress::new(named.onion), named.period);
    let (id, digest, purpose) = (RequestId([1; 16]), FileDigest([1; 32]), Purpose::Real);
    let period = TimePeriod { number: first, length: PeriodLength::new(named.length).unwrap() };
    let requested = Requested { onion, id, digest, sequence: 1, first, count: 1, purpose };
    let mut memory = memory(&[]);
    let key = Event::Key { onion, period, key: named.key, kind: Kind::Main };
    for (seq, event) in [(1, Event::Request(requested)), (2, key)] {
        memory.learn(&Line::new(Head::START, seq, NOW, event));
    }
    memory
}

#[test]
fn key_fresh_accepts_a_key_that_a_ceremony_named_for_the_same_place() {
    let good = request(1, 1, 10);
    assert!(check(NOW, &good, &ceremony(&good)).is_ok());
    assert!(check(NOW, &good, &ceremony(&request(1, 2, 11))).is_ok());
}

#[test]
fn key_fresh_rejects_a_key_that_a_ceremony_named_for_another_place() {
    let good = request(1, 1, 10);
    let refused = Err(Refusal { rule: Rule::KeyFresh, retry_after: 0 });
    for named in [request(1, 2, 10), request(2, 1, 10), signed(1, good.period, 720, 10)] {
        assert_eq!(check(NOW, &good, &ceremony(&named)), refused);
    }
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
fn clock_forward_rejects_a_clock_behind_the_ledger() {
    let good = request(1, 1, 10);
    assert_eq!(ask_at(NOW.minus(CLOCK_SLACK + 1), &good, &[good]), Err(Rule::ClockForward));
}

#[test]
fn denied_key_accepts_what_was_not_denied() {
    let mut memory = memory(&[]);
    memory.learn(&Line::new(Head::START, 1, NOW, Event::Deny(Denied::Key(request(1, 1, 11).key))));
    memory.learn(&Line::new(Head::START, 2, NOW, Event::Deny(Denied::Onion(onion(2)))));
    assert!(check(NOW, &request(1, 1, 10), &memory).is_ok());
}

#[test]
fn denied_key_rejects_a_denied_key_and_all_of_a_denied_onion_for_ever() {
    let good = request(1, 1, 10);
    for denied in [Denied::Key(good.key), Denied::Onion(onion(1))] {
        // Also a key that was certified before.
        let mut memory = memory(&[(NOW, good)]);
        memory.learn(&Line::new(Head::START, 2, NOW, Event::Deny(denied)));
        let refused = Refusal { rule: Rule::DeniedKey, retry_after: 0 };
        assert_eq!(check(NOW, &good, &memory), Err(refused));
        // Long after everything else was forgotten.
        let later = NOW.plus(40 * 86_400);
        let period = PeriodRule::PUBLIC.number_at(later);
        memory.learn(&Line::new(
            Head::START,
            3,
            later,
            Event::Asked {
                slot: Slot {
                    onion: onion(2),
                    period: PeriodRule::PUBLIC.at(later),
                    key: request(2, 1, 44).key,
                    expires: ExpirationHours::of_desc_signing_cert(later),
                },
                uid: UID,
            },
        ));
        assert_eq!(check(later, &signed(1, period, 1440, 10), &memory), Err(refused));
    }
}

/// As many requests of onion 1 as `count`, `apart` seconds one after the other, the last at `NOW`.
fn busy(count: u64, apart: u64) -> Vec<(UnixTime, CertifyRequest)> {
    let request = request(1, 1, 10);
    (0..count).rev().map(|back| (NOW.minus(back * apart), request)).collect()
}

#[test]
fn rate_budget_accepts_a_steady_publisher_and_what_was_asked_for_before() {
    // Two publishers, two periods each, every hour.
    assert!(check(NOW.plus(900), &request(1, 1, 10), &memory(&busy(96, 900))).is_ok());
    // The same certificate again costs nothing.
    let full = busy(30, 1);
    assert!(check(NOW.plus(1), &request(1, 1, 10), &memory(&full[..29])).is_ok());
    assert!(check(NOW, &request(1, 1, 10), &memory(&full)).is_ok());
    // Another onion has its own budget.
    let other: Vec<_> = full.iter().map(|(time, _one)| (*time, request(2, 1, 12))).collect();
    assert!(check(NOW, &request(1, 1, 10), &memory(&other)).is_ok());
}

#[test]
fn rate_budget_rejects_too_many_in_an_hour_and_in_a_day_and_says_when() {
    let later = NOW.plus(1);
    let refused = |retry_after| Err(Refusal { rule: Rule::RateBudget, retry_after });
    // 30 within 30 seconds: the first of them leaves the hour 3570 seconds later.
    assert_eq!(check(later, &request(1, 1, 11), &memory(&busy(30, 1))), refused(3600 - 30));
    // 120 within a day, evenly spread: the first leaves the day.
    let day = busy(120, 700);
    assert_eq!(check(later, &request(1, 1, 11), &memory(&day)), refused(86_400 - 119 * 700 - 1));
    assert!(check(NOW.plus(86_400 - 119 * 700), &request(1, 1, 11), &memory(&day)).is_ok());
}

#[test]
fn rate_budget_has_hard_caps_and_follows_short_periods() {
    assert_eq!((Budget::new(9), Budget::new(1001), Budget::new(0)), (None, None, None));
    assert_eq!(Budget::new(10).map(Budget::burst), Some(KEYS_PER_PERIOD_MAX));
    assert_eq!((Budget::DEFAULT.per_day(), Budget::DEFAULT.burst()), (120, 30));
    let short = PeriodRule { length: PeriodLength::new(24).unwrap(), ..PeriodRule::PUBLIC };
    assert_eq!(Budget::DEFAULT.spans(&short), [(24 * 60, 120), (60, 30)]);
    let long = PeriodRule { length: PeriodLength::MAX, ..PeriodRule::PUBLIC };
    assert_eq!(Budget::DEFAULT.spans(&long), [(86_400, 120), (3600, 30)]);
}

#[test]
fn every_rule_is_met_once() {
    let met: std::collections::BTreeSet<_> = ORDER.iter().map(|(rule, _check)| *rule).collect();
    assert_eq!(met.len(), ORDER.len());
    assert_eq!(met.len() + 1, Rule::ALL.len(), "well-formed alone is met elsewhere");
}
