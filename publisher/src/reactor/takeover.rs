//! Taking over an address that somebody else still publishes: noticing it, and the word when the other one must stop.

use super::act::Hands;
use super::frontend::Frontend;
use crate::log;
use onionkeep_common::TimePeriod;

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
    /// What a look at the HSDirs means before our first upload of a period.
    pub(super) const fn found(own: u64, highest: Option<u64>) -> Self {
        match highest {
            Some(theirs) if own == 0 => Self::Found(theirs),
            _ => Self::None,
        }
    }
}

impl Frontend {
    /// HSDirs told the highest counter that they hold, before it was taken note of.
    pub(super) fn takeover_learned(&mut self, at: TimePeriod, highest: Option<u64>) {
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let before = period.takeover;
        let ours = period.last.map(|last| last.revision);
        period.takeover = match before {
            Takeover::None if ours.is_none() => Takeover::found(period.state.revision, highest),
            Takeover::None | Takeover::Found(_) => before,
            Takeover::Asked => Takeover::None,
        };
        let after = period.takeover;
        match (before, after) {
            (Takeover::None, Takeover::Found(theirs)) => {
                let line = self.line(log::warn("address-in-use")).with("period", at.number);
                let line = line.with("their-revision", theirs).with("meaning", "another publisher serves it");
                line.with("try", "let it run until \"taken-over\" is logged here, then stop it").write();
            }
            (Takeover::Asked, _) if highest.is_some() && highest == ours => {
                self.line(log::info("take-over-verified")).with("period", at.number).write();
            }
            (Takeover::Asked, _) => {
                let line = self.line(log::warn("take-over-not-verified")).with("period", at.number);
                let line = line.maybe("ours", ours).maybe("held", highest);
                line.with("try", "see that the other publisher is stopped, then restart this one").write();
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
        let line =
            self.line(log::warn("taken-over")).with("period", at.number).with("their-revision", theirs);
        line.maybe("ours", ours).with("try", "stop the other publisher now").write();
        self.start_counter(at, hands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_descriptor_before_our_first_is_somebody_elses() {
        assert_eq!(Takeover::found(0, Some(7)), Takeover::Found(7));
        assert_eq!(Takeover::found(0, None), Takeover::None);
        assert_eq!(Takeover::found(5, Some(7)), Takeover::None, "an earlier run of this publisher");
    }
}
