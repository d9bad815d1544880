//! Another publisher of the same address, seen by the counters of descriptors that we did not write. Pure.
//!
//! Counters lie on a curve that only those who share the counter secret can compute. A counter on our curve is from a peer
//! with the same secret (one chance in some 30,000 that it is not), and tells the second by the peer's clock. A peer's
//! counter can be off the curve after a refusal: a little above ours, or raised by some minutes. So a stranger is one whose
//! counters are elsewhere again and again, and never on the curve.

use crate::revision::CounterKey;
use onionkeep_common::UnixTime;

/// So many counters off the curve, and none on it, make a stranger.
const STRANGE: u32 = 3;
/// ... if they were seen so many **seconds** apart: the copies of one upload that was refused differ a little.
const APART: u64 = 1800;
/// A counter so little above ours is that of a publisher that was refused and went above ours.
const ABOVE: u64 = 64;
/// A peer's clock may be so far ahead until it is worth a word, in **seconds**.
const CLOCK: u64 = 30;

/// What it means if two publishers differ in their secret.
pub(super) const DIFFERS: &str =
    "another publisher serves this address with another counter secret, or by another program";
/// What to do about it.
pub(super) const COPY_SECRET: &str = "copy counter-secret from one state_dir to the other (docs/operate/two-publishers.md), or stop one of them";

/// A descriptor that we did not write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Its counter.
    pub(super) revision: u64,
    /// Our last counter.
    pub(super) own: u64,
    /// When it was seen.
    pub(super) now: UnixTime,
    /// What counters count from.
    pub(super) run_start: UnixTime,
}

/// What a counter says about whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Nothing new: it was judged before.
    Known,
    /// It shares our secret; its clock is ahead of ours by at least so many **seconds**, if that is worth a word.
    Peer {
        /// By how much.
        ahead: Option<u64>,
    },
    /// It may, or may not.
    Unsure,
    /// It does not share our secret.
    Stranger,
}

/// What is known of another publisher in one period.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Other {
    /// The last counter of it, and when it was seen.
    pub(super) last: Option<(u64, UnixTime)>,
    /// When it uploaded by its own clock, if its counter tells.
    pub(super) uploaded: Option<UnixTime>,
    /// By how many **seconds** its clock is ahead of ours at least, if that is worth a word.
    pub(super) ahead: Option<u64>,
    /// Counters that are off our curve.
    strange: u32,
    /// The last of them that was counted, and when.
    counted: Option<(u64, UnixTime)>,
    /// Whether one of its counters was on our curve.
    peer: bool,
}

impl Other {
    /// Judges a counter.
    pub(super) fn see(&mut self, seen: &Seen, key: &CounterKey) -> Judged {
        let known = self.last.is_some_and(|(revision, _at)| revision == seen.revision);
        self.last = Some((seen.revision, seen.now));
        if known {
            return Judged::Known;
        }
        self.uploaded =
            key.position_of(seen.revision).map(|position| seen.run_start.plus(position.saturating_sub(1)));
        if let Some(uploaded) = self.uploaded {
            let ahead = uploaded.since(seen.now);
            self.ahead = (ahead > CLOCK).then_some(ahead);
            self.peer = true;
            return Judged::Peer { ahead: self.ahead };
        }
        let just_above = (1..=ABOVE).contains(&seen.revision.saturating_sub(seen.own));
        // The copies of one upload that was refused have counters one above the other.
        let apart = self.counted.is_none_or(|(revision, at)| {
            seen.now.since(at) >= APART && seen.revision.abs_diff(revision) > ABOVE
        });
        if apart && !just_above {
            self.counted = Some((seen.revision, seen.now));
            self.strange = self.strange.saturating_add(1);
        }
        if self.is_stranger() { Judged::Stranger } else { Judged::Unsure }
    }

    /// Whether it does not share our secret.
    pub(super) const fn is_stranger(&self) -> bool {
        self.strange >= STRANGE && !self.peer
    }

    /// Whether it shares our secret; `None` if that is not clear.
    pub(super) const fn shares_secret(&self) -> Option<bool> {
        if self.is_stranger() {
            Some(false)
        } else if self.peer {
            Some(true)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onionkeep_common::{PeriodLength, PeriodNumber, TimePeriod};

    const RUN: UnixTime = UnixTime(1_800_000_000);

    fn key(secret: u8) -> CounterKey {
        let period = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
        CounterKey::derive(&[secret; 32], &crate::config::tests::A.parse().unwrap(), period)
    }

    /// A counter of whoever has this secret and this clock, seen at a second.
    fn seen(secret: u8, theirs: u64, second: u64) -> Seen {
        let revision = key(secret).counter_at(theirs + 1).unwrap();
        Seen { revision, own: 5, now: RUN.plus(second), run_start: RUN }
    }

    #[test]
    fn a_peer_is_known_by_its_first_counter_with_its_time() {
        let (mut other, ours) = (Other::default(), key(1));
        assert_eq!(other.shares_secret(), None);
        assert_eq!(other.see(&seen(1, 50_000, 50_600), &ours), Judged::Peer { ahead: None });
        assert_eq!(other.uploaded, Some(RUN.plus(50_000)));
        assert_eq!(other.see(&seen(1, 50_000, 51_000), &ours), Judged::Known);
        assert_eq!(other.see(&seen(1, 56_000, 55_000), &ours), Judged::Peer { ahead: Some(1000) });
        assert_eq!(other.shares_secret(), Some(true));
    }

    #[test]
    fn another_secret_is_known_after_three_uploads() {
        for secret in 2..30 {
            let (mut other, ours) = (Other::default(), key(1));
            assert_eq!(other.see(&seen(secret, 50_000, 50_600), &ours), Judged::Unsure);
            assert_eq!(other.see(&seen(secret, 55_000, 55_600), &ours), Judged::Unsure);
            assert_eq!(other.shares_secret(), None);
            assert_eq!(other.see(&seen(secret, 60_000, 60_600), &ours), Judged::Stranger);
            assert_eq!(other.shares_secret(), Some(false));
        }
    }

    #[test]
    fn copies_of_one_upload_that_was_refused_are_not_three() {
        let (mut other, ours) = (Other::default(), key(1));
        for copy in 0..8 {
            let raised = ours.counter_at(50_000).unwrap() + (1 << 25) + copy;
            let seen = Seen { revision: raised, own: 5, now: RUN.plus(50_000 + copy * 60), run_start: RUN };
            assert_eq!(other.see(&seen, &ours), Judged::Unsure);
        }
        // Nor is one whose counter was on the curve once.
        other.see(&seen(1, 53_000, 53_000), &ours);
        for at in 0..5 {
            assert_ne!(other.see(&seen(2, 60_000 + at * 4000, 60_000 + at * 4000), &ours), Judged::Stranger);
        }
    }

    #[test]
    fn a_peer_that_was_refused_is_no_stranger() {
        let (mut other, ours) = (Other::default(), key(1));
        for second in [50_000, 55_000, 60_000, 65_000] {
            // Its clock is behind: refused, it asks the HSDirs and goes one above ours, which is off the curve.
            let own = ours.counter_at(second).unwrap();
            let seen = Seen { revision: own + 1, own, now: RUN.plus(second), run_start: RUN };
            assert_eq!(other.see(&seen, &ours), Judged::Unsure);
        }
        assert!(!other.is_stranger());
    }
}
