//! Taking over an address that somebody else still publishes: noticing it, and the word when the other one must stop to
//! publish, and until when it must go on answering.

use super::act::Hands;
use super::frontend::Frontend;
use crate::log;
use crate::schedule::dice::{Dice, doubling};
use crate::schedule::{Event, SystemDice};
use onionkeep_common::iso::Iso;
use onionkeep_common::{TimePeriod, UnixTime};

/// How long after the end of a period somebody may still know its descriptor, in **seconds**: as long as a consensus is
/// live, by which a client counts its periods.
///
/// Spec: C tor, `cached_client_descriptor_has_expired`.
const STILL_KNOWN: u64 = 3 * 3600;

/// How far a descriptor is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Takeover {
    /// There is nobody to take it over from, as far as we know; or it is done.
    #[default]
    None,
    /// HSDirs hold a descriptor with this counter that is not ours.
    Found(u64),
    /// All HSDirs have confirmed ours, for the so manieth time; they are asked whether they give it.
    Asked(u32),
    /// They did not give it; it is uploaded again at this time.
    Lost(u32, UnixTime),
    /// It is uploaded again.
    Again(u32),
}

/// First wait before the next upload after one that HSDirs did not keep, in **seconds**.
const AGAIN: u64 = 20;
/// Longest such wait, in **seconds**.
const AGAIN_MOST: u64 = 1800;

impl Takeover {
    /// What a look at the HSDirs means before our first upload of a period. `peer`: it is of a publisher with our secret.
    pub(super) const fn found(own: u64, highest: Option<u64>, peer: bool) -> Self {
        match highest {
            Some(theirs) if own == 0 && !peer => Self::Found(theirs),
            _ => Self::None,
        }
    }

    /// What a look after our upload means; after each one that does not find it, the next upload waits longer.
    pub(super) fn looked(self, verified: bool, now: UnixTime, dice: &mut dyn Dice) -> Self {
        match self {
            Self::Asked(_tries) if verified => Self::None,
            Self::Asked(tries) => {
                let tries = tries.saturating_add(1);
                Self::Lost(tries, now.plus(dice.about(doubling(AGAIN, AGAIN_MOST, tries))))
            }
            other @ (Self::None | Self::Found(_) | Self::Lost(..) | Self::Again(_)) => other,
        }
    }

    /// Whether the next upload is due; it is on its way then.
    pub(super) fn due(&mut self, now: UnixTime) -> bool {
        match *self {
            // A clock that went back by more than the longest wait must not make it wait for long.
            Self::Lost(tries, at) if now >= at || at.since(now) > 2 * AGAIN_MOST => {
                *self = Self::Again(tries);
                true
            }
            Self::None | Self::Found(_) | Self::Asked(_) | Self::Lost(..) | Self::Again(_) => false,
        }
    }

    /// All HSDirs have confirmed an upload: whether they are to be asked whether they give it.
    pub(super) const fn stored(&mut self) -> bool {
        match *self {
            Self::Found(_) => *self = Self::Asked(0),
            Self::Again(tries) => *self = Self::Asked(tries),
            Self::None | Self::Asked(_) | Self::Lost(..) => return false,
        }
        true
    }
}

impl Frontend {
    /// Uploads again what HSDirs did not keep because the other publisher uploaded once more.
    pub(super) fn takeover_again(&mut self, hands: &mut Hands<'_>) {
        let due = self.periods.iter_mut().filter_map(|period| {
            let at = period.state.period;
            period.takeover.due(hands.now).then_some(at)
        });
        for at in due.collect::<Vec<_>>() {
            self.feed(Event::TakeOver(at), hands);
        }
    }

    /// HSDirs told the highest counter that they hold, before it was taken note of.
    pub(super) fn takeover_learned(&mut self, at: TimePeriod, highest: Option<u64>, now: UnixTime) {
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let before = period.takeover;
        let ours = period.last.map(|last| last.round);
        let verified = highest.is_some_and(|highest| period.is_ours(highest));
        period.takeover = match before {
            Takeover::None if ours.is_none() => {
                let peer = highest.is_some_and(|theirs| period.counter_key().position_of(theirs).is_some());
                Takeover::found(period.state.revision, highest, peer)
            }
            Takeover::None
            | Takeover::Found(_)
            | Takeover::Asked(_)
            | Takeover::Lost(..)
            | Takeover::Again(_) => before.looked(verified, now, &mut SystemDice),
        };
        let after = period.takeover;
        match (before, after) {
            (Takeover::None, Takeover::Found(theirs)) => {
                let line = self.line(log::warn("address-in-use")).with("period", at.number);
                let line = line
                    .with("their-revision", theirs)
                    .with("meaning", "another publisher serves it, or one with another counter-secret");
                line.with("try", "let it run, and do what the line \"taken-over\" says when it comes")
                    .write();
            }
            (Takeover::Asked(_), Takeover::None) => {
                self.line(log::info("take-over-verified")).with("period", at.number).write();
            }
            (Takeover::Asked(_), Takeover::Lost(_tries, again)) => {
                let line = self.line(log::warn("take-over-not-verified")).with("period", at.number);
                let line = line.maybe("ours", ours).maybe("held", highest).with("again", Iso(again));
                line.with("try", "see that the other publisher does not publish any more").write();
            }
            _other => {}
        }
    }

    /// All HSDirs have confirmed the last upload.
    pub(super) fn takeover_stored(&mut self, at: TimePeriod, hands: &mut Hands<'_>) {
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let before = period.takeover;
        if !period.takeover.stored() {
            return;
        }
        let Takeover::Found(theirs) = before else { return self.start_counter(at, hands) };
        let ours = period.last.map(|last| last.revision);
        let until = self.fetch_until.plus(STILL_KNOWN);
        period.state.former_until = Some(until);
        let saved = hands.state.save(&self.config.address, &period.state);
        let line =
            self.line(log::warn("taken-over")).with("period", at.number).with("their-revision", theirs);
        let line = line.maybe("ours", ours).with("answers-until", Iso(until));
        line.with("try", format!("a tor service: {}; Onionbalance: stop it now", quiet(until))).write();
        if let Err(error) = saved {
            self.line(log::warn("state")).with("error", &error).with("try", error.advice()).write();
        }
        self.start_counter(at, hands);
    }

    /// Until when the publisher that had this address before has to answer, if it has to.
    pub(super) fn former_until(&self, now: UnixTime) -> Option<UnixTime> {
        self.periods.iter().filter_map(|period| period.state.former_until).filter(|until| *until > now).max()
    }
}

/// What is to be done with a tor service whose address was taken over.
///
/// Its introduction points are known to clients until the period ends; they go when it ends.
fn quiet(until: UnixTime) -> String {
    format!(
        "set PublishHidServDescriptors 0 there (for the whole tor: others of its onion services go into a second tor first) and \
         reload it now, and stop it after {}, when no client knows its introduction points any more",
        Iso(until)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_before_our_first_is_somebody_elses() {
        assert_eq!(Takeover::found(0, Some(7), false), Takeover::Found(7));
        assert_eq!(Takeover::found(0, None, false), Takeover::None);
        assert_eq!(Takeover::found(5, Some(7), false), Takeover::None, "an earlier run of this publisher");
        assert_eq!(
            Takeover::found(0, Some(7), true),
            Takeover::None,
            "a second publisher with the same secret"
        );
    }
    #[test]
    fn until_ours_is_found_it_is_uploaded_again_with_growing_waits() {
        let (mut takeover, mut dice, mut now) = (Takeover::Found(7), SystemDice, UnixTime(10_000));
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(!takeover.due(now) && takeover.stored() && !takeover.stored());
            takeover = takeover.looked(false, now, &mut dice);
            let Takeover::Lost(_tries, again) = takeover else { panic!("{takeover:?}") };
            assert!(!takeover.stored(), "an answer about an older upload");
            assert!(!takeover.due(again.minus(1)) && takeover.due(again) && !takeover.due(again));
            waits.push(again.since(now));
            now = again;
        }
        assert!(waits[0] <= 30 && waits[11] >= 900 && waits[11] <= 2700, "{waits:?}");
        assert!(takeover.stored());
        assert_eq!(takeover.looked(true, now, &mut dice), Takeover::None);
    }

    #[test]
    fn who_quietens_a_tor_is_told_that_it_is_for_all_its_services() {
        let told = quiet(UnixTime(1_800_000_000));
        for wanted in
            ["PublishHidServDescriptors 0", "the whole tor", "second tor", "reload", "2027-01-15T08:00:00Z"]
        {
            assert!(told.contains(wanted), "{wanted} in {told}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_makes_nobody_wait_for_it() {
        let mut takeover = Takeover::Lost(1, UnixTime(900_000));
        assert!(takeover.due(UnixTime(10_000)));
        assert_eq!(takeover, Takeover::Again(1));
    }
}
