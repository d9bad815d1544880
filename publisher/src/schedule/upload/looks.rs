//! The part of a descriptor's clocks that sees whether its HSDirs give what they took.

use super::{Context, Desc};
use crate::consensus::Fingerprint;
use crate::schedule::{Action, Dice, Found};
use onionkeep_common::UnixTime;

impl Desc {
    /// Starts the looks that are due. What cannot be asked for any more is not looked at.
    pub(super) fn look(&mut self, now: UnixTime, context: &Context, out: &mut Vec<Action>) {
        let period = self.plan.role.period;
        let fetched = context.fetched == Some(period);
        for slot in &mut self.slots {
            if slot.look.start(now, fetched) {
                out.push(Action::Look { period, hsdir: slot.hsdir });
            }
        }
    }

    /// Clients fetch this period from now on: its HSDirs can be looked at.
    pub(in crate::schedule) fn look_anew(&mut self, now: UnixTime, within: u64, dice: &mut dyn Dice) {
        for slot in self.slots.iter_mut().filter(|slot| slot.confirmed) {
            slot.look.stored(now, within, dice, self.plan.asked.contains(&slot.hsdir));
        }
    }

    /// An HSDir was looked at. One that lost its copy gets another one.
    pub(in crate::schedule) fn looked(
        &mut self,
        now: UnixTime,
        hsdir: Fingerprint,
        found: Found,
        dice: &mut dyn Dice,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.hsdir == hsdir) else { return };
        if let Some(wait) = slot.look.found(now, found, dice) {
            slot.retry_at = Some(now.plus(wait));
        }
    }
}
