//! When to ask one HSDir for our own descriptor, to see that it gives what it took: the clock of one HSDir.
//!
//! Each HSDir is asked once after each upload, at a moment of its own within the hour after it, so that neither the fetches
//! of one HSDir nor those of several make a rhythm. An HSDir that no client has a reason to ask is asked seldom.

use super::dice::{Dice, doubling};
use onionkeep_common::UnixTime;

/// The soonest look after an upload, in **seconds**: the HSDir has stored it by then.
const SOONEST: u64 = 3;
/// An HSDir that clients do not ask is looked at after one upload in so many.
const SELDOM: u64 = 4;
/// First wait before an upload is repeated that an HSDir did not keep, in **seconds**.
const AGAIN: u64 = 20;
/// Longest such wait, in **seconds**.
const AGAIN_MOST: u64 = 1800;
/// So often an upload is repeated to an HSDir that takes it and does not give it.
const AGAIN_TIMES: u32 = 5;
/// First wait before a look without an answer is repeated, in **seconds**.
const UNCLEAR: u64 = 60;
/// So often such a look is repeated.
const UNCLEAR_TIMES: u32 = 2;

/// What an HSDir gave when it was asked for our descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What we uploaded.
    Ours,
    /// One with a higher counter: somebody else publishes the address too.
    Newer,
    /// One that it should have replaced.
    Older,
    /// None.
    Missing,
    /// Nothing: no answer, a broken one, or one about another period.
    Unclear,
}

/// The clock of one HSDir.
#[derive(Clone, Debug, Default)]
pub(super) struct LookClock {
    /// The next look.
    next: Option<UnixTime>,
    /// Since when the HSDir is asked.
    asked: Option<UnixTime>,
    /// Looks in a row at which it did not give what it took.
    lost: u32,
    /// Looks after this upload that told nothing.
    unclear: u32,
}

impl LookClock {
    /// The HSDir has confirmed an upload: plans the look at it, within so many **seconds**; 0 for none.
    pub(super) fn stored(&mut self, now: UnixTime, within: u64, dice: &mut dyn Dice, asked_by_clients: bool) {
        (self.asked, self.unclear) = (None, 0);
        let skipped = !asked_by_clients && self.lost == 0 && dice.pick(1..=SELDOM) != 1;
        // One that has just lost a copy is looked at sooner.
        let within = if self.lost == 0 { within } else { within.min(doubling(UNCLEAR, within, self.lost)) };
        let at = (within > 0 && !skipped).then(|| now.plus(dice.pick(SOONEST.min(within)..=within)));
        self.next = at;
    }

    /// An upload begins: what would be found now says nothing.
    pub(super) const fn cancel(&mut self) {
        (self.next, self.asked) = (None, None);
    }

    /// Whether a look is due now; it has begun if so. One that cannot be made now is dropped.
    pub(super) fn start(&mut self, now: UnixTime, possible: bool) -> bool {
        let due = self.next.take_if(|next| now >= *next).is_some() && possible;
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Takes what was found; in how many **seconds** the upload is to be repeated, if it is.
    pub(super) fn found(&mut self, now: UnixTime, found: Found, dice: &mut dyn Dice) -> Option<u64> {
        self.asked.take()?;
        match found {
            Found::Ours | Found::Newer => self.lost = 0,
            Found::Older | Found::Missing => {
                self.lost = self.lost.saturating_add(1);
                let again = self.lost <= AGAIN_TIMES;
                return again.then(|| dice.about(doubling(AGAIN, AGAIN_MOST, self.lost)));
            }
            Found::Unclear => {
                self.unclear = self.unclear.saturating_add(1);
                let again = self.unclear <= UNCLEAR_TIMES;
                self.next = again.then(|| now.plus(dice.about(doubling(UNCLEAR, AGAIN_MOST, self.unclear))));
            }
        }
        None
    }

    /// Gives up a look whose age `lost` says that it will not be answered.
    pub(super) fn give_up(&mut self, lost: impl Fn(UnixTime) -> bool) {
        self.asked = self.asked.filter(|since| !lost(*since));
    }

    /// The wall clock went back by `seconds`.
    pub(super) fn shift_back(&mut self, seconds: u64) {
        for time in self.next.iter_mut().chain(&mut self.asked) {
            *time = time.minus(seconds);
        }
    }

    /// The next look.
    pub(super) const fn wake(&self) -> Option<UnixTime> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TestDice;
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn looks_are_spread_over_the_hour_and_made_once() {
        let (mut clock, mut dice) = (LookClock::default(), TestDice(5));
        let mut waits = Vec::new();
        for _ in 0..400 {
            clock.stored(NOW, 3600, &mut dice, true);
            let at = clock.wake().unwrap();
            waits.push(at.since(NOW));
            assert!(
                !clock.start(at.minus(1), true) && clock.start(at, true) && !clock.start(at.plus(9), true)
            );
            assert_eq!(clock.found(at, Found::Ours, &mut dice), None);
            assert_eq!(clock.wake(), None, "once for each upload");
        }
        for tenth in 0..10 {
            let count = waits.iter().filter(|wait| **wait / 360 == tenth).count();
            assert!((20..=60).contains(&count), "{count} of 400 in the tenth number {tenth} of the hour");
        }
    }

    #[test]
    fn where_no_client_asks_a_look_is_seldom_and_without_a_time_there_is_none() {
        let (mut clock, mut dice) = (LookClock::default(), TestDice(6));
        let looks = (0..400).filter(|_| {
            clock.stored(NOW, 3600, &mut dice, false);
            clock.wake().is_some()
        });
        assert!((60..=140).contains(&looks.count()));
        clock.stored(NOW, 0, &mut dice, true);
        assert_eq!(clock.wake(), None);
    }

    #[test]
    fn what_was_lost_is_uploaded_again_with_growing_waits_but_not_for_ever() {
        let (mut clock, mut dice) = (LookClock::default(), TestDice(7));
        let mut waits = Vec::new();
        for _ in 0..20 {
            clock.stored(NOW, 3600, &mut dice, true);
            let at = clock.wake().unwrap();
            assert!(clock.start(at, true));
            waits.push(clock.found(at, Found::Missing, &mut dice));
        }
        assert_eq!(waits.iter().flatten().count(), 5, "{waits:?}");
        assert!(waits[0].unwrap() <= 30 && waits[4].unwrap() >= 160, "{waits:?}");
        // Once it gives what it took, all begins anew.
        clock.stored(NOW, 3600, &mut dice, true);
        let at = clock.wake().unwrap();
        assert!(clock.start(at, true));
        assert_eq!(clock.found(at, Found::Newer, &mut dice), None);
        clock.stored(NOW, 3600, &mut dice, true);
        assert!(clock.start(NOW.plus(3600), true));
        assert!(clock.found(NOW, Found::Older, &mut dice).is_some());
    }

    #[test]
    fn without_an_answer_it_is_asked_again_twice_and_nothing_is_uploaded() {
        let (mut clock, mut dice) = (LookClock::default(), TestDice(8));
        clock.stored(NOW, 60, &mut dice, true);
        let mut looks = 0;
        for second in 0..20_000 {
            if clock.start(NOW.plus(second), true) {
                looks += 1;
                assert_eq!(clock.found(NOW.plus(second), Found::Unclear, &mut dice), None);
            }
        }
        assert_eq!(looks, 3);
        assert_eq!(clock.found(NOW, Found::Missing, &mut dice), None, "nobody was asked");
    }
}
