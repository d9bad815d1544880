//! When no backend counts as up any more, it is more likely us than all of them: keeps the last good set. Pure.
//!
//! An outage of ours is not noticed in one moment: probes fail one after the other, and succeed again one after the
//! other. So the last good set is what was up shortly before the last one failed, and it is kept a little longer. With many
//! backends that takes long, as not all are probed at the same time: so after some that failed while nobody answered at all,
//! no HSDir and no backend, the others that fail are not believed until somebody answers.

use onionkeep_common::UnixTime;
use std::collections::{BTreeMap, BTreeSet};

/// Backends that left within so many **seconds** before the last one left with it, by the same cause.
const TOGETHER: u64 = 300;
/// So many leave at once though nobody has answered since the first of them failed.
const BELIEVED: usize = 3;
/// If nobody has answered for so many **seconds**, it was an outage of ours: those that were not believed are given time.
const SILENCE: u64 = 30;
/// So many **seconds** after the first came back the others are still given time.
const GRACE: u64 = 120;

/// Which backends may be listed when some or all of them fail.
#[derive(Clone, Debug, Default)]
pub(super) struct Outage {
    /// Those that were up at the last look.
    up: BTreeSet<usize>,
    /// When others ceased to be.
    left: BTreeMap<usize, UnixTime>,
    /// The last good set, while it is kept.
    kept: BTreeSet<usize>,
    /// Until when it is kept although some are up again.
    ends: Option<UnixTime>,
    /// How many left since anybody answered.
    unanswered: usize,
    /// Those that left since then and are not believed, and when the first of them did.
    doubted: (BTreeSet<usize>, Option<UnixTime>),
}

impl Outage {
    /// The backends that may be listed now that those of `up` are up; empty only if none ever was.
    pub(super) fn live(&mut self, now: UnixTime, up: &[usize]) -> Vec<usize> {
        let up: BTreeSet<usize> = up.iter().copied().collect();
        for gone in self.up.difference(&up) {
            self.left.insert(*gone, now);
            self.unanswered = self.unanswered.saturating_add(1);
            if self.unanswered > BELIEVED {
                self.doubted.0.insert(*gone);
                self.doubted.1.get_or_insert(now);
            }
        }
        self.doubted.0.retain(|at| !up.contains(at));
        // A clock that went back must not make them recent for ever.
        self.left.retain(|at, left| !up.contains(at) && *left <= now && now.since(*left) <= TOGETHER);
        if up.is_empty() {
            if !self.up.is_empty() {
                self.kept.extend(self.left.keys());
            }
            self.kept.extend(&self.doubted.0);
            self.ends = None;
        } else if !self.kept.is_empty() && has_come(*self.ends.get_or_insert(now.plus(GRACE)), now) {
            self.kept.clear();
        }
        if self.kept.is_empty() {
            self.ends = None;
        }
        self.up.clone_from(&up);
        let listed = up.union(&self.kept).copied().collect::<BTreeSet<_>>();
        listed.union(&self.doubted.0).copied().collect()
    }

    /// Somebody answers: tor and its network are well. Whether it is to be chosen anew, as some were not believed to be dead.
    pub(super) fn answered(&mut self, now: UnixTime) -> bool {
        self.unanswered = 0;
        let (doubted, since) = std::mem::take(&mut self.doubted);
        if since.is_some_and(|since| now.since(since) >= SILENCE || since > now) {
            self.kept.extend(&doubted);
            self.ends = None;
        }
        !doubted.is_empty()
    }

    /// Whether the kept set may go now.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        self.ends.is_some_and(|ends| has_come(ends, now))
    }
}

/// Whether an end has come; also if it is further away than it ever was, as the clock went back then.
fn has_come(ends: UnixTime, now: UnixTime) -> bool {
    now >= ends || ends.since(now) > GRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is live after these looks: a second, and who is up then.
    fn live(looks: &[(u64, &[usize])]) -> Vec<usize> {
        let mut outage = Outage::default();
        looks.iter().map(|(second, up)| outage.live(UnixTime(10_000 + second), up)).last().unwrap()
    }

    #[test]
    fn a_backend_that_fails_alone_leaves_at_once() {
        assert_eq!(live(&[(0, &[0, 1, 2]), (5, &[0, 2])]), [0, 2]);
        assert_eq!(live(&[(0, &[0, 1]), (5, &[0]), (500, &[0])]), [0]);
    }

    #[test]
    fn all_that_failed_shortly_after_each_other_stay_listed() {
        assert_eq!(live(&[(0, &[0, 1, 2]), (20, &[1, 2]), (60, &[2]), (90, &[])]), [0, 1, 2]);
        assert_eq!(live(&[(0, &[0, 1]), (1, &[]), (5000, &[])]), [0, 1], "for as long as it lasts");
    }

    #[test]
    fn one_that_was_dead_long_before_does_not_come_back() {
        assert_eq!(live(&[(0, &[0, 1, 2]), (10, &[1, 2]), (1000, &[])]), [1, 2]);
    }

    #[test]
    fn the_first_that_comes_back_does_not_push_the_others_out() {
        let before: &[(u64, &[usize])] = &[(0, &[0, 1, 2]), (10, &[])];
        assert_eq!(live(&[before, &[(50, &[1])]].concat()), [0, 1, 2]);
        assert_eq!(live(&[before, &[(50, &[1]), (60, &[1, 2]), (169, &[1, 2])]].concat()), [0, 1, 2]);
        assert_eq!(live(&[before, &[(50, &[1]), (170, &[1, 2])]].concat()), [1, 2], "its time is over");
        let mut outage = Outage::default();
        outage.live(UnixTime(1), &[0, 1]);
        outage.live(UnixTime(2), &[]);
        assert!(!outage.is_over(UnixTime(5000)), "none is back");
        outage.live(UnixTime(10), &[0]);
        assert!(!outage.is_over(UnixTime(129)) && outage.is_over(UnixTime(130)));
    }

    #[test]
    fn a_second_outage_within_the_first_keeps_the_same_set() {
        let looks: &[(u64, &[usize])] = &[(0, &[0, 1, 2]), (10, &[]), (50, &[1]), (60, &[]), (900, &[])];
        assert_eq!(live(looks), [0, 1, 2]);
    }

    #[test]
    fn a_clock_that_goes_back_ends_the_time_that_is_given() {
        let mut outage = Outage::default();
        outage.live(UnixTime(100_000), &[0, 1]);
        outage.live(UnixTime(100_002), &[]);
        assert_eq!(outage.live(UnixTime(100_010), &[0]), [0, 1]);
        assert!(!outage.is_over(UnixTime(100_010)));
        let back = UnixTime(96_420);
        assert!(outage.is_over(back), "an hour back");
        assert_eq!(outage.live(back, &[0]), [0]);
    }

    #[test]
    fn of_many_that_fail_while_nobody_answers_only_the_first_leave_until_somebody_does() {
        let all: Vec<usize> = (0..40).collect();
        let mut outage = Outage::default();
        assert_eq!(outage.live(UnixTime(1000), &all), all);
        let mut listed = Vec::new();
        // One after the other, far longer than those that left together are remembered.
        for gone in 1..=39 {
            listed = outage.live(UnixTime(1000 + 60 * gone), &all[usize::try_from(gone).unwrap()..]);
            assert!(listed.len() >= all.len() - BELIEVED, "{gone}: {listed:?}");
        }
        assert_eq!(listed, all[BELIEVED..]);
        listed = outage.live(UnixTime(1000 + 60 * 40), &[]);
        assert_eq!(listed, all[BELIEVED..], "nobody is up, and the first left long ago");
        // tor is well again; they are probed one after the other.
        assert!(outage.answered(UnixTime(5000)));
        assert_eq!(outage.live(UnixTime(5000), &[7]), all[BELIEVED..]);
        assert_eq!(outage.live(UnixTime(5000 + GRACE), &[7, 8]), [7, 8]);
    }

    #[test]
    fn many_that_die_at_once_leave_as_soon_as_anybody_answers() {
        let all: Vec<usize> = (0..20).collect();
        let mut outage = Outage::default();
        outage.live(UnixTime(1000), &all);
        assert_eq!(outage.live(UnixTime(1020), &all[10..]).len(), 20 - BELIEVED);
        assert!(outage.answered(UnixTime(1022)), "an HSDir gave a descriptor");
        assert_eq!(outage.live(UnixTime(1022), &all[10..]), all[10..]);
        assert!(!outage.answered(UnixTime(1023)), "nothing else was doubted");
        // While somebody answers all the time, each leaves at once.
        for gone in 11..19 {
            outage.answered(UnixTime(1100));
            assert_eq!(outage.live(UnixTime(1100), &all[gone..]), all[gone..]);
        }
    }

    #[test]
    fn one_that_was_not_believed_and_is_up_again_is_no_longer_doubted() {
        let mut outage = Outage::default();
        outage.live(UnixTime(1000), &[0, 1, 2, 3, 4, 5]);
        assert_eq!(outage.live(UnixTime(1001), &[4, 5]).len(), 3, "who of them is doubted is by number");
        outage.live(UnixTime(1002), &[0, 1, 2, 3, 4, 5]);
        assert!(!outage.answered(UnixTime(1003)), "nobody is doubted");
    }

    #[test]
    fn before_any_was_up_there_is_nothing_to_keep() {
        assert!(live(&[(0, &[]), (100, &[])]).is_empty());
    }
}
