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

/// HSDirs of a descriptor.
const HSDIRS: u8 = 8;

fn hsdir(number: u8) -> Fingerprint {
    Fingerprint([number; 20])
}

/// The counter of an upload to all HSDirs.
fn sent_to_all(period: &mut Period, now: UnixTime) -> u64 {
    let revision = period.advance(now, RUN).unwrap();
    period.uploaded(now, revision, false, &[]);
    (1..=HSDIRS).for_each(|number| period.sent(now, hsdir(number), revision, "a"));
    revision
}

/// The last counter of the curve.
fn end(period: &Period) -> u64 {
    period.counter.counter_at(MAX_POSITION).unwrap()
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
        while sent_to_all(&mut ours, RUN.plus(172_000)) <= theirs {
            tries += 1;
            for number in 1..=HSDIRS {
                let before = ours.state.revision;
                ours.refused(hsdir(number), tries, false);
                assert!(ours.state.revision == before || number == 1, "eight refusals of one upload are one");
            }
        }
        assert!(tries <= 3, "{tries} tries");
    }
}

#[test]
fn each_refusal_in_a_row_raises_further_and_success_ends_the_row() {
    let mut period = period(1);
    let mut raises = Vec::new();
    for number in 1..12 {
        let before = sent_to_all(&mut period, RUN.plus(1000));
        (1..=HSDIRS).for_each(|hsdirs| period.refused(hsdir(hsdirs), number, false));
        raises.push(period.state.revision - before);
    }
    assert_eq!(raises[..4], [0, RAISE, RAISE * 2, RAISE * 4]);
    assert!(raises.iter().all(|raise| *raise <= RAISE << RAISE_MOST));
    assert!(period.state.revision <= end(&period) + 11, "no raise leads above the end of the curve");
    assert!(period.is_refused());
    period.answered(RUN, Fingerprint([1; 20]), "stored".to_owned(), Some(5));
    assert!(!period.is_refused());
}

#[test]
fn hsdirs_that_always_refuse_move_the_counter_only_if_they_are_several() {
    // (HSDirs that refuse, whether they can be asked), and whether the counter leaves the curve.
    for (refusing, asked_for, leaves) in
        [(1, false, false), (1, true, false), (2, false, true), (2, true, true)]
    {
        let mut period = period(1);
        let revision = sent_to_all(&mut period, RUN.plus(50_000));
        for number in refusing + 1..=HSDIRS {
            period.answered(RUN, hsdir(number), "stored".to_owned(), Some(revision));
        }
        for number in 1..=10 {
            if number > 1 {
                let again = period.advance(RUN.plus(50_000 + number * 400), RUN).unwrap();
                period.uploaded(RUN, again, true, &[]);
                (1..=refusing).for_each(|hsdirs| period.sent(RUN, hsdir(hsdirs), again, "b"));
            }
            (1..=refusing).for_each(|hsdirs| period.refused(hsdir(hsdirs), number, asked_for));
            assert!(!asked_for || !period.learned(Some(revision)));
        }
        let after = period.advance(RUN.plus(54_300), RUN).unwrap();
        let position = period.counter.position_of(after);
        assert_eq!(position != Some(54_301), leaves, "{refusing}, asked for: {asked_for}, {position:?}");
    }
}

#[test]
fn the_only_hsdir_moves_the_counter_too() {
    let mut period = period(1);
    for number in 1..=3 {
        let revision = period.advance(RUN.plus(50_000), RUN).unwrap();
        period.uploaded(RUN, revision, false, &[]);
        period.sent(RUN, hsdir(1), revision, "a");
        period.refused(hsdir(1), number, false);
    }
    assert!(period.state.revision > period.counter.counter_at(51_000).unwrap());
}

#[test]
fn only_a_counter_that_was_seen_leads_above_the_end_of_the_curve() {
    let mut period = period(1);
    let beyond = end(&period) + 1000;
    assert!(period.seen(beyond));
    for number in 1..=10 {
        assert_eq!(sent_to_all(&mut period, RUN.plus(50_000)), beyond + number, "one by one");
        (1..=HSDIRS).for_each(|hsdirs| period.refused(hsdir(hsdirs), number, false));
    }
}

#[test]
fn two_uploads_of_one_second_are_settled_by_the_time_and_stay_on_the_curve() {
    let at = |second: u64| RUN.plus(50_000 + second);
    let (mut one, mut two) = (period(1), period(1));
    let same = one.advance(at(0), RUN).unwrap();
    assert_eq!(two.advance(at(0), RUN).unwrap(), same);
    // Each is refused where the other was first. One can ask the HSDirs, and hears nothing new.
    for period in [&mut one, &mut two] {
        (1..=HSDIRS).for_each(|number| period.sent(at(0), hsdir(number), same, "a"));
    }
    one.refused(hsdir(1), 1, true);
    assert!(!one.learned(Some(same)));
    two.refused(hsdir(2), 1, false);
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
