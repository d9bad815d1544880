//! When to read the consensus: at news of it, soon again while microdescriptors are missing, and now and then in case news were lost.

use crate::consensus::Consensus;
use crate::schedule::dice::{Dice, doubling};
use onionkeep_common::UnixTime;

/// First wait before the consensus is read again while something is missing, in **seconds**.
const AGAIN: u64 = 4;
/// Longest such wait, in **seconds**.
const AGAIN_MOST: u64 = 300;
/// After news tor needs some seconds for the microdescriptors.
const SETTLE: std::ops::RangeInclusive<u64> = 1..=2;
/// Shortest time between two looks whether there is news, in **seconds**.
const LOOK: u64 = 15;
/// How often tor is told that it is in use, in **seconds**.
const ACTIVE_EVERY: u64 = 600;

/// When the consensus is read, and when tor is kept awake.
#[derive(Clone, Debug)]
pub(super) struct NetworkClock {
    /// The next reading; `None` while one is under way.
    next: Option<UnixTime>,
    /// Readings in a row after which something was missing.
    incomplete: u32,
    /// The consensus that was read whole.
    known: Option<UnixTime>,
    /// When tor is to be told that it is in use.
    active: UnixTime,
}

impl NetworkClock {
    /// Nothing is known, and no reading is planned.
    pub(super) const fn new() -> Self {
        Self { next: None, incomplete: 0, known: None, active: UnixTime(0) }
    }

    /// tor is ready: read at once.
    pub(super) const fn start(&mut self, now: UnixTime) {
        self.known = None;
        self.next = Some(now);
    }

    /// The connection ended.
    pub(super) const fn stop(&mut self) {
        self.next = None;
    }

    /// tor has news.
    pub(super) fn news(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        if let Some(next) = &mut self.next {
            *next = (*next).min(now.plus(dice.pick(SETTLE)));
        } else {
            // A reading is under way and may have come too early.
            self.known = None;
        }
    }

    /// Starts a reading if one is due; gives the consensus that need not be read again.
    pub(super) fn due(&mut self, now: UnixTime) -> Option<Option<UnixTime>> {
        self.next.take_if(|next| now >= *next).map(|_due| self.known)
    }

    /// Whether tor is to be told now that it is in use.
    pub(super) fn keep_awake(&mut self, now: UnixTime) -> bool {
        let due = now >= self.active || self.active > now.plus(ACTIVE_EVERY);
        if due {
            self.active = now.plus(ACTIVE_EVERY);
        }
        due
    }

    /// A reading has ended well.
    pub(super) fn read(&mut self, now: UnixTime, consensus: &Consensus, usable: bool, dice: &mut dyn Dice) {
        let whole = usable && consensus.hsdirs_without_microdesc == 0;
        self.known = whole.then_some(consensus.valid_after);
        self.incomplete = if whole { 0 } else { self.incomplete.saturating_add(1) };
        let wait = if whole {
            let late = consensus.fresh_until.since(now).saturating_add(consensus.voting_interval() / 4);
            dice.about(late.max(LOOK))
        } else {
            dice.about(doubling(AGAIN, AGAIN_MOST, self.incomplete))
        };
        self.next = Some(now.plus(wait));
    }

    /// There was no news, or the reading failed.
    pub(super) fn again(&mut self, now: UnixTime, failed: bool, dice: &mut dyn Dice) {
        self.incomplete = if failed { self.incomplete.saturating_add(1) } else { 0 };
        let wait =
            if failed { doubling(AGAIN, AGAIN_MOST, self.incomplete) } else { LOOK.saturating_mul(10) };
        self.next = Some(now.plus(dice.about(wait)));
    }

    /// The next reading.
    pub(super) const fn wake(&self) -> Option<UnixTime> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Params;
    use crate::schedule::SystemDice;

    fn consensus(missing: usize) -> Consensus {
        Consensus {
            valid_after: UnixTime(3600),
            fresh_until: UnixTime(7200),
            valid_until: UnixTime(14_400),
            params: Params::default(),
            srv_previous: None,
            srv_current: None,
            hsdirs: Vec::new(),
            hsdirs_without_microdesc: missing,
            relay_count: 0,
        }
    }

    #[test]
    fn missing_microdescriptors_are_asked_for_soon_and_a_whole_consensus_late() {
        let (mut clock, mut dice) = (NetworkClock::new(), SystemDice);
        assert_eq!(clock.due(UnixTime(4000)), None);
        clock.start(UnixTime(4000));
        assert_eq!(clock.due(UnixTime(4000)), Some(None));
        assert_eq!(clock.due(UnixTime(4000)), None, "one reading at a time");
        clock.read(UnixTime(4001), &consensus(3), true, &mut dice);
        assert!(clock.wake().unwrap() <= UnixTime(4007));
        assert_eq!(clock.due(UnixTime(4010)), Some(None), "not whole: to be read again");
        clock.read(UnixTime(4010), &consensus(0), true, &mut dice);
        assert!(clock.wake().unwrap() >= UnixTime(4010 + 2000));
        clock.news(UnixTime(4020), &mut dice);
        assert!(clock.wake().unwrap() <= UnixTime(4022));
        assert_eq!(clock.due(UnixTime(4022)), Some(Some(UnixTime(3600))));
    }

    #[test]
    fn news_during_a_reading_are_not_lost() {
        let (mut clock, mut dice) = (NetworkClock::new(), SystemDice);
        clock.start(UnixTime(10));
        clock.due(UnixTime(10)).unwrap();
        clock.read(UnixTime(10), &consensus(0), true, &mut dice);
        clock.news(UnixTime(20), &mut dice);
        clock.due(UnixTime(22)).unwrap();
        clock.news(UnixTime(22), &mut dice);
        clock.again(UnixTime(23), false, &mut dice);
        assert_eq!(clock.due(UnixTime(400)), Some(None));
    }

    #[test]
    fn failures_back_off_and_tor_is_kept_awake() {
        let (mut clock, mut dice) = (NetworkClock::new(), SystemDice);
        clock.again(UnixTime(0), true, &mut dice);
        assert!(clock.wake().unwrap() <= UnixTime(6));
        for _ in 0..20 {
            clock.again(UnixTime(0), true, &mut dice);
        }
        assert!(clock.wake().unwrap() >= UnixTime(AGAIN_MOST / 2));
        assert!(clock.keep_awake(UnixTime(1000)));
        assert!(!clock.keep_awake(UnixTime(1001)));
        assert!(clock.keep_awake(UnixTime(1600)));
    }
}
