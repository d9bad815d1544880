//! Refusals as the ledger records them: the first at once, the others counted, so that no peer can fill the disk.

use super::event::Event;
use onionkeep_common::UnixTime;
use onionkeep_common::wire::Rule;
use std::collections::BTreeMap;

/// Refusals of one peer by one rule make at most one line in this many **seconds**.
pub const EVERY: u64 = 3600;

/// What is counted of one peer and rule.
#[derive(Clone, Copy, Debug)]
struct Tally {
    /// When the last line was written.
    written: UnixTime,
    /// Refusals since then.
    count: u64,
}

/// What is counted and not yet recorded. As large as the configured peers times the rules.
#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<(u32, Rule), Tally>);

impl Refusals {
    /// Counts a refusal; the line that is to be written now, if one is.
    pub fn note(&mut self, now: UnixTime, uid: u32, rule: Rule) -> Option<Event> {
        let tally = self.0.entry((uid, rule)).or_insert(Tally { written: UnixTime(0), count: 0 });
        tally.count = tally.count.saturating_add(1);
        tally.is_due(now).then(|| tally.take(now, uid, rule))
    }

    /// Lines about refusals of more than an hour ago that are still to be written.
    pub fn due(&mut self, now: UnixTime) -> Vec<Event> {
        let due = self.0.iter_mut().filter(|(_who, tally)| tally.count > 0 && tally.is_due(now));
        due.map(|((uid, rule), tally)| tally.take(now, *uid, *rule)).collect()
    }
}

impl Tally {
    /// Whether the last line is long enough ago, by a clock that may also have been set back.
    const fn is_due(&self, now: UnixTime) -> bool {
        now.since(self.written) >= EVERY || now.0 < self.written.0
    }

    /// The line, after which counting begins anew.
    fn take(&mut self, now: UnixTime, uid: u32, rule: Rule) -> Event {
        let count = std::mem::replace(&mut self.count, 0);
        self.written = now;
        Event::Refused { uid, rule, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime(1_795_344_000);

    #[test]
    fn the_first_refusal_is_a_line_and_the_others_are_one_an_hour() {
        let mut refusals = Refusals::default();
        let line = |count| Some(Event::Refused { uid: 7, rule: Rule::KeyFresh, count });
        assert_eq!(refusals.note(START, 7, Rule::KeyFresh), line(1));
        for second in 1..EVERY {
            assert_eq!(refusals.note(START.plus(second), 7, Rule::KeyFresh), None);
        }
        assert_eq!(refusals.due(START.plus(EVERY - 1)), []);
        assert_eq!(refusals.note(START.plus(EVERY), 7, Rule::KeyFresh), line(EVERY));
        assert_eq!(refusals.due(START.plus(9 * EVERY)), []);
    }

    #[test]
    fn what_was_counted_is_written_when_the_hour_is_over() {
        let mut refusals = Refusals::default();
        let _first = refusals.note(START, 7, Rule::KeyFresh);
        let _counted = refusals.note(START, 7, Rule::KeyFresh);
        let _other = refusals.note(START, 8, Rule::KeyFresh);
        let due = refusals.due(START.plus(EVERY));
        assert_eq!(due, [Event::Refused { uid: 7, rule: Rule::KeyFresh, count: 1 }]);
        assert_eq!(refusals.due(START.plus(EVERY)), []);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_the_ledger() {
        let mut refusals = Refusals::default();
        let _first = refusals.note(START, 7, Rule::KeyFresh);
        assert!(refusals.note(START.minus(5), 7, Rule::KeyFresh).is_some());
    }
}
