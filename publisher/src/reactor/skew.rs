//! Whether our clock is right: what tor says of it, what the consensus tells, and whether it jumped. Pure.

use onionkeep_common::UnixTime;
use std::time::{Duration, Instant};

/// What tor or a consensus told is believed for so many **seconds**: tor says it again as long as it is so.
const BELIEVED: u64 = 3 * 3600;
/// A clock that runs a little fast or slow, or is slewed by NTP, does not jump; in **seconds**.
const JUMP: i64 = 5;

/// What is known of our clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Skew {
    /// By how much we are ahead, and when that was told.
    told: Option<(i64, UnixTime)>,
    /// Wall clock and steady clock when they were last compared.
    compared: Option<(UnixTime, Instant)>,
    /// How often the wall clock jumped.
    pub(super) jumps: u64,
}

impl Skew {
    /// tor says that we are ahead by so many seconds; it heard it from an authority or saw it at a consensus.
    pub(super) const fn told(&mut self, now: UnixTime, ahead: i64) {
        self.told = Some((ahead, now));
    }

    /// A consensus has just come: none comes before it is valid, and none that is over is given out.
    pub(super) fn consensus(&mut self, now: UnixTime, valid_after: UnixTime, valid_until: UnixTime) {
        let early = valid_after.since(now);
        let late = now.since(valid_until);
        let bound = i64::try_from(early.max(late)).unwrap_or(i64::MAX);
        if early > 0 {
            self.told = Some((bound.saturating_neg(), now));
        } else if late > 0 {
            self.told = Some((bound, now));
        } else if self.told.is_some_and(|(ahead, _at)| ahead < 0 || i64_since(now, valid_after) < ahead) {
            // Were we behind, it would have come early; were we ahead by so much, it would look older.
            self.told = None;
        }
    }

    /// By how many seconds our clock is ahead, negative if behind; `None` if nothing speaks against it.
    pub(super) fn known(&self, now: UnixTime) -> Option<i64> {
        self.told.filter(|(_ahead, at)| *at <= now && now.since(*at) <= BELIEVED).map(|(ahead, _at)| ahead)
    }

    /// Compares the two clocks: by how many seconds the wall clock jumped since the last look, if it did.
    pub(super) fn jumped(&mut self, now: UnixTime, steady: Instant) -> Option<i64> {
        let (then, before) = self.compared.replace((now, steady))?;
        let passed = steady.saturating_duration_since(before);
        let jump = i64_since(now, then).saturating_sub(seconds(passed));
        if jump.abs() < JUMP {
            return None;
        }
        self.jumps = self.jumps.saturating_add(1);
        // Whatever was told was about another clock; tor tells anew.
        self.told = None;
        Some(jump)
    }
}

/// Seconds from `then` to `now`, negative if the clock went back.
fn i64_since(now: UnixTime, then: UnixTime) -> i64 {
    let length = |a: UnixTime, b: UnixTime| i64::try_from(a.since(b)).unwrap_or(i64::MAX);
    length(now, then).saturating_sub(length(then, now))
}

/// Whole seconds.
fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A consensus's life.
    const LIFE: (UnixTime, UnixTime) = (UnixTime(36_000), UnixTime(36_000 + 3 * 3600));

    #[test]
    fn a_consensus_from_the_future_or_the_past_tells_on_which_side_we_are() {
        let mut skew = Skew::default();
        let mut at = |now: u64| {
            skew.consensus(UnixTime(now), LIFE.0, LIFE.1);
            skew.known(UnixTime(now))
        };
        assert_eq!(at(36_000), None);
        assert_eq!(at(35_000), Some(-1000));
        assert_eq!(at(36_010), None, "the next one that fits ends it");
        assert_eq!(at(36_000 + 4 * 3600), Some(3600));
        assert_eq!(at(36_600), None);
    }

    #[test]
    fn what_tor_says_is_believed_until_a_consensus_contradicts_or_it_is_old() {
        let mut skew = Skew::default();
        skew.told(UnixTime(40_000), 7200);
        assert_eq!(skew.known(UnixTime(40_010)), Some(7200));
        skew.consensus(UnixTime(40_020 + 7200), UnixTime(40_000), UnixTime(60_000));
        assert_eq!(
            skew.known(UnixTime(47_220)),
            Some(7200),
            "this consensus would fit a clock that is ahead"
        );
        skew.consensus(UnixTime(47_300), UnixTime(47_000), UnixTime(60_000));
        assert_eq!(
            skew.known(UnixTime(47_300)),
            None,
            "a clock ahead by two hours cannot see one that young"
        );
        skew.told(UnixTime(50_000), -7200);
        assert_eq!(skew.known(UnixTime(50_000 + BELIEVED)), Some(-7200));
        assert_eq!(skew.known(UnixTime(50_001 + BELIEVED)), None);
    }

    #[test]
    fn jumps_are_seen_both_ways_and_time_that_passes_is_none() {
        let (mut skew, start) = (Skew::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(skew.jumped(UnixTime(1000), start), None);
        assert_eq!(skew.jumped(UnixTime(1020), later(20)), None);
        assert_eq!(skew.jumped(UnixTime(1041), later(40)), None, "rounding");
        skew.told(UnixTime(1041), 600);
        assert_eq!(skew.jumped(UnixTime(4641), later(40)), Some(3600));
        assert_eq!(skew.known(UnixTime(4641)), None, "that was about another clock");
        assert_eq!(skew.jumped(UnixTime(1050), later(49)), Some(-3600));
        assert_eq!(skew.jumps, 2);
    }
}
