//! Daily rotation: what is listed stays for a period, and over the periods everybody has its share.

use super::*;

/// Seconds of a period.
const DAY: u64 = 86_400;
/// A service's secret.
const SECRET: [u8; 32] = [9; 32];
/// As C tor lists them.
const DAILY: Mode = Mode::Ordinary { points: 3, rotate: Rotate::Daily };

/// A choice for a regular upload, `hour` hours into a period.
fn upload(
    candidates: &[Candidate<'_>],
    mode: Mode,
    period: u64,
    hour: u64,
    listed: &[IntroAuthKey],
) -> Choice {
    let seed = Rotate::seed(mode, &SECRET, PeriodNumber(period));
    let (now, avoid, listed) = (UnixTime(period * DAY + hour * 3600), BTreeSet::new(), [listed.to_vec()]);
    let situation = Situation {
        mode,
        sets: 1,
        now,
        seed: &seed,
        secret: &SECRET,
        listed: &listed,
        avoid: &avoid,
        hold: false,
    };
    choose(candidates, &situation).sets.into_iter().next().unwrap()
}

/// How many listed points change over a period with an upload each hour.
fn changes(candidates: &[Candidate<'_>], mode: Mode, period: u64) -> usize {
    let mut listed = keys(&upload(candidates, mode, period, 0, &[]));
    let mut changes = 0;
    for hour in 1..24 {
        let new = keys(&upload(candidates, mode, period, hour, &listed));
        changes += new.iter().filter(|key| !listed.contains(key)).count();
        listed = new;
    }
    changes
}

#[test]
fn what_is_listed_stays_for_a_period() {
    let (backends, flow) = (apart(8, 3), flow(31));
    let candidates = candidates(&backends, &flow);
    for period in 20_000..20_010 {
        assert_eq!(changes(&candidates, DAILY, period), 0);
        assert!(changes(&candidates, HOURLY, period) > 5, "the wheel of hourly rotation turns");
    }
}

#[test]
fn over_the_periods_everybody_has_its_weight() {
    let (backends, flow) = (apart(7, 3), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates.iter_mut().zip([1, 2, 1, 4, 3, 1, 2]).for_each(|(own, weight)| own.weight = weight);
    // Any weeks, not only long times.
    for first in (20_000..20_300).step_by(37) {
        let mut sums = [0_u32; 7];
        for period in first..first + 28 {
            let choice = upload(&candidates, DAILY, period, 1, &[]);
            for (sum, candidate) in sums.iter_mut().zip(&candidates) {
                *sum += u32::try_from(choice.count(candidate.backend)).unwrap();
            }
        }
        for (sum, candidate) in sums.iter().zip(&candidates) {
            let due = 28.0 * 3.0 * f64::from(candidate.weight) / 14.0;
            // Dice would be off by two or three places at each second look.
            assert!((f64::from(*sum) - due).abs() < 3.0, "{sum} of {due} from {first}: {candidate:?}");
        }
    }
}

#[test]
fn who_is_not_listed_comes_and_goes_unseen() {
    let (backends, flow) = (apart(8, 3), flow(31));
    let all = candidates(&backends, &flow);
    for period in 20_000..20_020 {
        let before = upload(&all, DAILY, period, 0, &[]);
        for gone in (0..8).filter(|backend| before.count(*backend) == 0) {
            let rest: Vec<_> = all.iter().filter(|own| own.backend != gone).copied().collect();
            let after = upload(&rest, DAILY, period, 1, &keys(&before));
            assert_eq!(keys(&after), keys(&before));
        }
    }
}

#[test]
fn who_is_listed_and_goes_is_replaced_alone() {
    let (backends, flow) = (apart(8, 3), flow(31));
    let all = candidates(&backends, &flow);
    for period in 20_000..20_020 {
        let before = upload(&all, DAILY, period, 0, &[]);
        let gone = before.points.first().unwrap().0;
        let rest: Vec<_> = all.iter().filter(|own| own.backend != gone).copied().collect();
        let after = upload(&rest, DAILY, period, 1, &keys(&before));
        let kept = keys(&after).iter().filter(|key| keys(&before).contains(key)).count();
        assert_eq!((after.points.len(), kept), (3, 2));
    }
}

#[test]
fn shares_that_are_not_fair_any_more_are_mended_with_the_next_upload() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let mut candidates = candidates(&backends, &flow);
    let two = upload(&candidates[..2], DAILY, 20_000, 0, &[]);
    let three = upload(&candidates, DAILY, 20_000, 1, &keys(&two));
    assert_eq!(counts(&three, 3), [1, 1, 1], "one that is due a place gets it");
    candidates[0].weight = 6;
    let heavy = upload(&candidates, DAILY, 20_000, 2, &keys(&three));
    assert!(heavy.count(0) >= 2, "weights 6, 1, 1: two places or three, {:?}", counts(&heavy, 3));
}
