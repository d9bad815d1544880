//! Tests of the evidence about a backend.

use super::*;
use crate::descriptor::Lengths;
use crate::merge::tests::point;
use onionkeep_common::{
    BlindedId, DescSigningKey, ExpirationHours, IntroAuthKey, PeriodLength, PeriodNumber,
};

mod ages;

/// Start of the protocol run.
const RUN: UnixTime = UnixTime(1_800_000_000);

fn period(number: u64) -> TimePeriod {
    TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY }
}

/// A descriptor with this counter and one point.
fn decoded(revision: u64, key: u8) -> Decoded {
    let base = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED.to_bytes();
    Decoded {
        revision,
        lifetime_minutes: 180,
        signing_key: DescSigningKey::from_bytes(base).unwrap(),
        cert_expires: ExpirationHours(1),
        blinded: BlindedId::from_bytes(base).unwrap(),
        auth_client_lines: 16,
        client_authorization: false,
        flow_control: None,
        single_onion: false,
        pow: Vec::new(),
        intro_points: vec![point(key, key)],
        skipped_points: Vec::new(),
        unknown_lines: Vec::new(),
        sign_bits: 0,
        lengths: Lengths { text: 0, superencrypted: 0, middle_padded: 0, middle: 0, encrypted: 0, inner: 0 },
    }
}

fn backend() -> Backend {
    Backend::new("b1".to_owned(), crate::config::tests::B.parse().unwrap(), 1)
}

/// The counter of an upload so many seconds after the start of the run.
fn counter(seconds: u64) -> u64 {
    seconds * 65_537 / 2
}

#[test]
fn a_descriptor_that_should_have_been_renewed_is_overdue() {
    let mut backend = backend();
    assert!(backend.is_overdue(RUN), "nothing is known");
    backend.observe(RUN.plus(40_000), period(1), RUN, decoded(counter(39_000), 1));
    assert!(!backend.is_overdue(RUN.plus(39_000 + 7100)));
    assert!(backend.is_overdue(RUN.plus(39_000 + 7300)));
    assert_eq!(backend.health(), Health::Up, "it is asked about before anything is held against it");
}

#[test]
fn unknown_then_up_with_the_time_of_the_upload() {
    let mut backend = backend();
    assert_eq!(backend.health(), Health::Unknown);
    let now = RUN.plus(40_000);
    assert_eq!(backend.observe(now, period(1), RUN, decoded(counter(39_000), 1)), Observation::New);
    assert_eq!(backend.health(), Health::Up);
    assert_eq!(backend.verdict(), Verdict::Good);
    assert!(backend.seen().unwrap().uploaded.since(RUN).abs_diff(39_000) <= 1);
}

#[test]
fn an_older_descriptor_is_refused_and_a_newer_one_taken() {
    let mut backend = backend();
    let now = RUN.plus(40_000);
    backend.observe(now, period(2), RUN, decoded(1000, 1));
    assert_eq!(backend.observe(now, period(2), RUN, decoded(999, 2)), Observation::Replayed);
    assert_eq!(backend.observe(now, period(1), RUN, decoded(5000, 2)), Observation::Replayed);
    assert_eq!(backend.seen().unwrap().points, [point(1, 1)]);
    assert_eq!(backend.observe(now, period(2), RUN, decoded(1000, 2)), Observation::Same);
    assert_eq!(backend.seen().unwrap().points, [point(1, 1)]);
    assert_eq!(backend.observe(now, period(2), RUN, decoded(1001, 2)), Observation::New);
    assert_eq!(backend.seen().unwrap().points, [point(2, 2)]);
    assert_eq!(backend.observe(now, period(3), RUN, decoded(1, 3)), Observation::New);
    assert_eq!(backend.seen().unwrap().points, [point(3, 3)]);
}

#[test]
fn a_newer_descriptor_that_tells_the_same_is_no_news_and_whatever_else_it_tells_is() {
    let (now, first) = (RUN.plus(40_000), decoded(1000, 1));
    let two = Decoded { intro_points: vec![point(1, 1), point(2, 2)], ..first.clone() };
    let turned = Decoded { intro_points: vec![point(2, 2), point(1, 1)], ..two.clone() };
    let outcome = |known: &Decoded, newer: Decoded| {
        let mut backend = backend();
        backend.observe(now, period(2), RUN, known.clone());
        let newer = Decoded { revision: 1001, ..newer };
        let observation = backend.observe(now, period(2), RUN, newer.clone());
        assert_eq!(backend.seen().map(|seen| seen.revision), Some(1001), "it is taken in any case");
        assert_eq!(backend.seen().unwrap().points, newer.intro_points);
        observation
    };
    assert_eq!(outcome(&first, first.clone()), Observation::Renewed);
    assert_eq!(outcome(&two, turned), Observation::Renewed, "in another order");
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    let key = DescSigningKey::from_bytes(*point(9, 9).auth_key().as_bytes()).unwrap();
    for newer in [
        two.clone(),
        decoded(1001, 2),
        Decoded { intro_points: vec![point(1, 2)], ..first.clone() },
        Decoded { flow_control: Some(flow), ..first.clone() },
        Decoded { single_onion: true, ..first.clone() },
        Decoded { pow: vec!["v1".to_owned()], ..first.clone() },
        Decoded { signing_key: key, ..first.clone() },
    ] {
        assert_eq!(outcome(&first, newer), Observation::New);
    }
    let mut backend = backend();
    backend.observe(now, period(2), RUN, first.clone());
    assert_eq!(backend.observe(now, period(3), RUN, first), Observation::New, "of another period");
}

#[test]
fn a_descriptor_that_is_not_renewed_becomes_stale_by_its_counter() {
    let mut backend = backend();
    let uploaded = 40_000;
    let seen_at = |age: u64| RUN.plus(uploaded + age);
    backend.observe(seen_at(60), period(1), RUN, decoded(counter(uploaded), 1));
    backend.observe(seen_at(8000), period(1), RUN, decoded(counter(uploaded), 1));
    assert_eq!(backend.health(), Health::Up);
    // HSDirs that give it out again and again do not make it younger.
    backend.observe(seen_at(9100), period(1), RUN, decoded(counter(uploaded), 1));
    assert_eq!(backend.health(), Health::Stale);
    assert_eq!(backend.verdict(), Verdict::Doubtful);
    backend.observe(seen_at(9200), period(1), RUN, decoded(counter(uploaded + 9150), 1));
    assert_eq!(backend.health(), Health::Up);
}

#[test]
fn silence_of_the_hsdirs_is_no_evidence() {
    let mut backend = backend();
    backend.observe(RUN.plus(40_000), period(1), RUN, decoded(counter(39_900), 1));
    // No answer for two days: nothing is observed, and nothing changes.
    assert_eq!(backend.health(), Health::Up);
}

#[test]
fn a_counter_that_does_not_follow_the_rule_is_not_believed() {
    for strange in [1, counter(200_000), u64::MAX] {
        let mut backend = backend();
        let now = RUN.plus(100_000);
        backend.observe(now, period(1), RUN, decoded(strange, 1));
        assert_eq!(backend.seen().unwrap().uploaded, now, "{strange}");
        assert_eq!(backend.health(), Health::Up);
    }
}

#[test]
fn missing_twice_in_a_row_is_missing() {
    let mut backend = backend();
    backend.missing();
    assert_eq!(backend.health(), Health::Missing, "nothing is known of it");
    backend.observe(RUN.plus(10), period(1), RUN, decoded(counter(5), 1));
    backend.missing();
    assert_eq!(backend.health(), Health::Up);
    backend.missing();
    assert_eq!(backend.health(), Health::Missing);
    backend.observe(RUN.plus(20), period(1), RUN, decoded(counter(5), 1));
    assert_eq!(backend.health(), Health::Up);
}

#[test]
fn a_failed_probe_is_down_and_a_success_with_a_descriptor_is_up() {
    let mut backend = backend();
    backend.observe(RUN.plus(10), period(1), RUN, decoded(counter(5), 1));
    backend.probed(RUN.plus(21), false);
    assert_eq!(backend.health(), Health::Down);
    // A fresh descriptor alone does not bring it back: its application may be the part that is dead.
    backend.observe(RUN.plus(30), period(1), RUN, decoded(counter(25), 2));
    assert_eq!(backend.health(), Health::Down);
    backend.probed(RUN.plus(31), true);
    assert!(backend.awaits_descriptor());
    assert_eq!(backend.health(), Health::Down, "its points may be those from before a restart");
    backend.observe(RUN.plus(32), period(1), RUN, decoded(counter(25), 2));
    assert!(!backend.awaits_descriptor());
    assert_eq!(backend.health(), Health::Up);
}

#[test]
fn a_successful_probe_outweighs_an_old_or_missing_descriptor() {
    let mut backend = backend();
    backend.observe(RUN.plus(40_000), period(1), RUN, decoded(counter(40_000), 1));
    backend.observe(RUN.plus(50_000), period(1), RUN, decoded(counter(40_000), 1));
    backend.missing();
    backend.missing();
    assert_eq!(backend.health(), Health::Missing);
    backend.probed(RUN.plus(50_001), true);
    assert_eq!(backend.health(), Health::Up);
    backend.probed(RUN.plus(50_103), false);
    assert_eq!(backend.health(), Health::Down);
}

#[test]
fn the_known_descriptor_again_is_good_news_and_another_one_is_left_to_be_read() {
    let mut backend = backend();
    let now = RUN.plus(40_000);
    assert!(!backend.again(now, period(1), counter(39_000)), "nothing is known");
    backend.observe(now, period(1), RUN, decoded(counter(39_000), 1));
    backend.missing();
    backend.missing();
    assert_eq!(backend.health(), Health::Missing);
    for (other, revision) in [(2, counter(39_000)), (1, counter(39_001)), (1, counter(38_999))] {
        assert!(!backend.again(now, period(other), revision));
    }
    assert_eq!(backend.health(), Health::Missing);
    assert!(backend.again(now.plus(60), period(1), counter(39_000)));
    assert_eq!((backend.health(), backend.last_good()), (Health::Up, Some(now.plus(60))));
}

#[test]
fn what_a_probe_told_lapses_and_then_the_descriptor_counts() {
    let mut backend = backend();
    backend.observe(RUN.plus(40_000), period(1), RUN, decoded(counter(39_900), 1));
    backend.probed(RUN.plus(40_010), true);
    backend.lapse_probe();
    assert_eq!((backend.health(), backend.last_probe()), (Health::Up, None), "its descriptor is good");
    backend.probed(RUN.plus(40_020), true);
    backend.missing();
    backend.missing();
    assert_eq!(backend.health(), Health::Up);
    backend.lapse_probe();
    assert_eq!(backend.health(), Health::Missing);
    backend.probed(RUN.plus(40_030), true);
    assert_eq!(backend.health(), Health::Up);
    assert!(!backend.awaits_descriptor(), "it was never down");
}

#[test]
fn one_that_was_down_when_it_lapsed_is_up_by_a_descriptor_that_it_uploaded_since() {
    let mut backend = backend();
    backend.observe(RUN.plus(40_000), period(1), RUN, decoded(counter(39_900), 1));
    backend.probed(RUN.plus(40_010), false);
    backend.lapse_probe();
    assert_eq!(backend.health(), Health::Down);
    backend.observe(RUN.plus(41_000), period(1), RUN, decoded(counter(40_005), 1));
    assert_eq!(backend.health(), Health::Down, "it was uploaded before");
    backend.observe(RUN.plus(44_000), period(1), RUN, decoded(counter(43_900), 2));
    assert_eq!(backend.health(), Health::Up);
    backend.probed(RUN.plus(44_005), true);
    assert_eq!((backend.health(), backend.awaits_descriptor()), (Health::Up, false), "nothing new is known");
    backend.probed(RUN.plus(44_010), false);
    assert_eq!(backend.health(), Health::Down, "a new probe counts as ever");
    backend.probed(RUN.plus(44_020), true);
    assert!(backend.awaits_descriptor());
}
