//! One period: its counter only rises, an upload counts as held when every HSDir said so, and nothing is made without a certificate.

use super::*;
use crate::descriptor::PeriodKeys;
use onionkeep_common::{PeriodLength, PeriodNumber, TimePeriod};

/// Start of the protocol run.
pub(in super::super) const RUN: UnixTime = UnixTime(1_800_000_000);

pub(in super::super) fn period(secret: u8) -> Period {
    let at = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
    let fill = |octets: &mut [u8]| {
        octets.fill(7);
        Ok::<(), KeyError>(())
    };
    let state = PeriodState::new(at, PeriodKeys::generate(fill).unwrap());
    Period::new(&crate::config::tests::A.parse().unwrap(), state, &[secret; 32]).unwrap()
}

#[test]
fn counters_rise_even_in_one_second_and_when_the_clock_goes_back() {
    let mut period = period(1);
    let mut last = 0;
    for second in [0, 0, 1, 5000, 4000, 300_000, 300_000, 1] {
        let revision = period.advance(RUN.plus(second), RUN).unwrap();
        assert!(revision > last, "{second}");
        assert_eq!(period.state.revision, revision);
        last = revision;
    }
}

#[test]
fn a_counter_that_was_seen_is_passed() {
    let mut period = period(1);
    assert!(period.seen(9_000_000_000));
    assert!(!period.seen(8_000_000_000));
    assert_eq!(period.advance(RUN.plus(10), RUN).unwrap(), 9_000_000_001);
}

#[test]
fn refusals_raise_the_counter_above_another_publishers_within_a_few_tries() {
    for other in 2..30 {
        let theirs = period(other).advance(RUN.plus(172_000), RUN).unwrap();
        let mut ours = period(1);
        let mut tries: u64 = 0;
        while ours.advance(RUN.plus(172_000), RUN).unwrap() <= theirs {
            tries += 1;
            assert!(ours.first_refusal(tries));
            assert!(!ours.first_refusal(tries), "eight refusals of one upload are one");
            ours.raise();
        }
        assert!(tries <= 3, "{tries} tries");
    }
}

#[test]
fn each_refusal_in_a_row_raises_further_and_success_ends_the_row() {
    let mut period = period(1);
    let mut raises = Vec::new();
    for number in 1..12 {
        let before = period.state.revision;
        period.first_refusal(number);
        period.raise();
        raises.push(period.state.revision - before);
    }
    assert_eq!(raises[..4], [0, RAISE, RAISE * 2, RAISE * 4]);
    assert_eq!(raises.last(), Some(&(RAISE << RAISE_MOST)));
    assert!(period.is_refused());
    period.answered(RUN, Fingerprint([1; 20]), "stored".to_owned(), Some(5));
    assert!(!period.is_refused());
}

#[test]
fn two_uploads_of_one_second_are_settled_by_the_time_and_stay_on_the_curve() {
    let at = |second: u64| RUN.plus(50_000 + second);
    let (mut one, mut two) = (period(1), period(1));
    let same = one.advance(at(0), RUN).unwrap();
    assert_eq!(two.advance(at(0), RUN).unwrap(), same);
    // Each is refused where the other was first. One can ask the HSDirs, and hears nothing new.
    one.refused(1, true);
    assert!(!one.learned(Some(same)));
    two.refused(1, false);
    let (first, second) = (one.advance(at(2), RUN).unwrap(), two.advance(at(3), RUN).unwrap());
    assert_eq!([first, second].map(|own| one.counter.position_of(own)), [Some(50_003), Some(50_004)]);
    assert!(one.advance(at(4), RUN).unwrap() > second, "no minutes in which the other is refused");
}

#[test]
fn held_means_that_every_hsdir_confirmed_the_last_upload() {
    let mut period = period(1);
    let hsdirs = [Fingerprint([1; 20]), Fingerprint([2; 20])];
    assert!(!period.is_held_by(&hsdirs));
    period.last = Some(LastUpload { at: RUN, revision: 5, round: 5, points: 3, octets: 14_000, blocks: 1 });
    period.answered(RUN, hsdirs[0], "stored".to_owned(), Some(5));
    period.answered(RUN, hsdirs[1], "stored".to_owned(), Some(4));
    assert!(!period.is_held_by(&hsdirs));
    period.answered(RUN, hsdirs[1], "stored".to_owned(), Some(5));
    assert!(period.is_held_by(&hsdirs));
    assert!(period.is_ours(5) && !period.is_ours(4) && !period.is_ours(6));
}

#[test]
fn an_upload_again_to_some_hsdirs_takes_nothing_from_the_others() {
    let mut period = period(1);
    let hsdirs = [Fingerprint([1; 20]), Fingerprint([2; 20])];
    period.uploaded(RUN, 5, false, &[]);
    period.answered(RUN, hsdirs[0], "stored".to_owned(), Some(5));
    period.uploaded(RUN, 8, true, &[]);
    assert!(!period.is_held_by(&hsdirs));
    period.answered(RUN, hsdirs[1], "stored".to_owned(), Some(8));
    assert!(period.is_held_by(&hsdirs));
    assert!(period.is_ours(5) && period.is_ours(8) && !period.is_ours(9));
    period.uploaded(RUN, 20, false, &[]);
    assert!(!period.is_held_by(&hsdirs) && !period.is_ours(8));
}

#[test]
fn nothing_is_made_without_a_certificate() {
    let mut period = period(1);
    period.merged.sets = vec![Choice::default()];
    let made = period.make(RUN, &Places::default(), 50_000, &[Fingerprint([1; 20])]);
    assert!(matches!(made, Err(MakeError::NoCertificate)));
    assert_eq!(period.cert_expires(), None);
}

#[test]
fn a_damaged_certificate_has_no_end() {
    assert_eq!(expires(&EncodedCert([0; 140])), None);
}
