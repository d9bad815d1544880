//! Taking over an address that somebody else still publishes: noticing it, and the word when the other one must stop to
//! publish, and until when it must go on answering.

use super::act::Hands;
use super::frontend::Frontend;
use crate::log;
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
    /// All HSDirs have confirmed ours; they are asked whether they give it.
    Asked,
}

impl Takeover {
    /// What a look at the HSDirs means before our first upload of a period. `peer`: it is of a publisher with our secret.
    pub(super) const fn found(own: u64, highest: Option<u64>, peer: bool) -> Self {
        match highest {
            Some(theirs) if own == 0 && !peer => Self::Found(theirs),
            _ => Self::None,
        }
    }
}

impl Frontend {
    /// HSDirs told the highest counter that they hold, before it was taken note of.
    pub(super) fn takeover_learned(&mut self, at: TimePeriod, highest: Option<u64>) {
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let before = period.takeover;
        let ours = period.last.map(|last| last.round);
        let verified = highest.is_some_and(|highest| period.is_ours(highest));
        period.takeover = match before {
            Takeover::None if ours.is_none() => {
                let peer = highest.is_some_and(|theirs| period.counter_key().position_of(theirs).is_some());
                Takeover::found(period.state.revision, highest, peer)
            }
            Takeover::None | Takeover::Found(_) => before,
            Takeover::Asked => Takeover::None,
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
            (Takeover::Asked, _) if verified => {
                self.line(log::info("take-over-verified")).with("period", at.number).write();
            }
            (Takeover::Asked, _) => {
                let line = self.line(log::warn("take-over-not-verified")).with("period", at.number);
                let line = line.maybe("ours", ours).maybe("held", highest);
                line.with(
                    "try",
                    "see that the other publisher does not publish any more, then restart this one",
                )
                .write();
            }
            (Takeover::None | Takeover::Found(_), _) => {}
        }
    }

    /// All HSDirs have confirmed the last upload.
    pub(super) fn takeover_stored(&mut self, at: TimePeriod, hands: &mut Hands<'_>) {
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let Takeover::Found(theirs) = period.takeover else { return };
        period.takeover = Takeover::Asked;
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

    /// What is to be done with the publisher that had this address before, if it has to answer.
    pub(super) fn former_warning(&self, now: UnixTime) -> Option<String> {
        let advice =
            |until| format!("the address was taken over; if a tor service had it before: {}", quiet(until));
        self.former_until(now).map(advice)
    }
}

/// What is to be done with a tor service whose address was taken over.
///
/// Its introduction points are known to clients until the period ends; they go when it ends.
fn quiet(until: UnixTime) -> String {
    format!(
        "set PublishHidServDescriptors 0 there and reload it now, and stop it after {}, when no client knows its \
         introduction points any more",
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
}
