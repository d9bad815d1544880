//! The revision counter against tor's own values.

use super::*;
use data_encoding::HEXLOWER;
use onionkeep_common::{PeriodLength, PeriodNumber};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/ope.json")).unwrap()
}

fn key(value: &Value) -> CounterKey {
    let octets = HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    CounterKey::from_raw(octets.try_into().unwrap())
}

fn other_key(octet: u8) -> CounterKey {
    CounterKey::from_raw([octet; 32])
}

#[test]
fn tor_pairs_and_edges_agree() {
    let vectors = vectors();
    for name in ["tor_vectors", "edge"] {
        let key = key(&vectors[name]["key"]);
        let pairs = vectors[name]["pairs"].as_array().unwrap();
        assert!(pairs.len() >= 8);
        for pair in pairs {
            assert_eq!(key.counter_at(pair[0].as_u64().unwrap()), Ok(pair[1].as_u64().unwrap()), "{pair}");
        }
    }
    let key = key(&vectors["edge"]["key"]);
    for bad in vectors["edge"]["invalid_inputs"].as_array().unwrap() {
        // A negative position cannot be written in this type; its 64 bits are far too large.
        let position = bad.as_u64().unwrap_or(u64::MAX);
        assert_eq!(key.counter_at(position), Err(PositionError(position)));
    }
}

#[test]
fn counters_logged_by_tor_are_reproduced() {
    for row in vectors()["live"]["rows"].as_array().unwrap() {
        let now = UnixTime(row["now"].as_u64().unwrap());
        let position = position(now, UnixTime(row["srv_run_start"].as_u64().unwrap()));
        assert_eq!(position, row["plaintext"].as_u64().unwrap());
        let counter = key(&row["ope_key"]).counter_at(position).unwrap();
        assert_eq!(counter, row["revision_counter"].as_u64().unwrap(), "{row}");
    }
}

#[test]
fn position_stays_in_range() {
    assert_eq!(position(UnixTime(5), UnixTime(5)), 1);
    assert_eq!(position(UnixTime(5), UnixTime(9)), 1);
    assert_eq!(position(UnixTime(u64::MAX), UnixTime(0)), MAX_POSITION);
}

#[test]
fn every_input_changes_the_key() {
    let onion = |name: &str| name.parse::<OnionAddress>().unwrap();
    let a = onion("25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion");
    let b = onion("aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead");
    let day = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
    let short = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::new(8).unwrap() };
    let mut keys = [
        CounterKey::derive(&[1; 32], &a, day).0,
        CounterKey::derive(&[2; 32], &a, day).0,
        CounterKey::derive(&[1; 32], &b, day).0,
        CounterKey::derive(&[1; 32], &a, day.next()).0,
        CounterKey::derive(&[1; 32], &a, short).0,
    ];
    assert_eq!(CounterKey::derive(&[1; 32], &a, day).0, keys[0]);
    keys.sort_unstable();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_counter_tells_its_position_and_a_strange_one_none() {
    let key = other_key(3);
    for position in [1, 2, 2047, 2048, 2049, 86_400, 172_800, MAX_POSITION] {
        let counter = key.counter_at(position).unwrap();
        assert_eq!(key.position_of(counter), Some(position));
        assert_eq!(key.position_of(counter + 1), None, "{position}");
    }
    assert_eq!(key.position_of(0), None);
    assert_eq!(key.position_of(u64::MAX), None);
    let strangers =
        (1..500).filter(|at| key.position_of(other_key(4).counter_at(at * 300).unwrap()).is_some());
    assert!(strangers.count() <= 2);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]

    #[test]
    fn counter_rises_with_every_second(at in 1_u64..MAX_POSITION, octet: u8) {
        let key = other_key(octet);
        proptest::prop_assert!(key.counter_at(at).unwrap() < key.counter_at(at + 1).unwrap());
    }
}
