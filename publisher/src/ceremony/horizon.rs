//! How long bundles last, and when that is worth a warning: pure functions of bundles and time.

use onionkeep_common::ladder::Clockwork;
use onionkeep_common::{PeriodNumber, UnixTime};
use std::collections::BTreeSet;

/// The last day, in **seconds**.
const DAY: u64 = 86_400;
/// A log line on the last day comes so often, in **seconds**.
const LOUD: u64 = 3600;

/// The first period that can still be uploaded at `now`.
#[must_use]
pub fn first_in_use(clockwork: &Clockwork, now: UnixTime) -> PeriodNumber {
    let near = clockwork.rule.number_at(now);
    let (mut period, after) = (PeriodNumber(near.0.saturating_sub(2)), near.next());
    while period < after && clockwork.span(period).1 <= now {
        period = period.next();
    }
    period
}

/// How urgent the next ceremony is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// More than half is left.
    Good,
    /// Half or less is left.
    Half,
    /// A quarter or less.
    Quarter,
    /// A tenth or less.
    Tenth,
    /// A day or less, and a tenth or less.
    LastDay,
    /// Nothing is left.
    Over,
}

impl Level {
    /// The word for logs and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Half => "50",
            Self::Quarter => "25",
            Self::Tenth => "10",
            Self::LastDay => "last-day",
            Self::Over => "over",
        }
    }
}

/// How long bundles last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Up to when every period in use has a slot; the time itself if one in use now has none.
    pub until: UnixTime,
    /// Time left in **seconds**.
    pub left: u64,
    /// The same in hundredths of the time between the newest bundle's making and its end.
    pub percent: u64,
    /// Periods between now and the last slot without one.
    pub missing: Vec<PeriodNumber>,
    /// Slots of periods that are not over.
    pub slots: usize,
}

impl Horizon {
    /// The horizon of slots whose private keys are at hand, the newest bundle being of `created`.
    #[must_use]
    pub fn of(
        clockwork: &Clockwork,
        slots: &BTreeSet<PeriodNumber>,
        created: UnixTime,
        now: UnixTime,
    ) -> Self {
        let first = first_in_use(clockwork, now);
        let open: Vec<_> = slots.range(first..).copied().collect();
        // The next period is uploaded before this one ends.
        let end =
            |period: Option<&PeriodNumber>| period.map_or(now, |period| clockwork.span(period.next()).0);
        let run = open.iter().zip(first.0..).take_while(|(period, wanted)| period.0 == *wanted);
        let until = end(run.last().map(|(period, _wanted)| period));
        let last = open.last().map_or(first.0, |last| last.0);
        let missing = (first.0..last).map(PeriodNumber).filter(|period| !slots.contains(period)).collect();
        let left = until.since(now);
        let whole = end(open.last()).since(created).max(1);
        let percent = (left.saturating_mul(100) / whole).min(100);
        Self { until, left, percent, missing, slots: open.len() }
    }

    /// How urgent the next ceremony is.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self.percent {
            _ if self.left == 0 => Level::Over,
            0..=10 if self.left <= DAY => Level::LastDay,
            0..=10 => Level::Tenth,
            11..=25 => Level::Quarter,
            26..=50 => Level::Half,
            _ => Level::Good,
        }
    }
}

/// Decides when a horizon is worth a log line.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What was said last, and when.
    said: Option<(Level, UnixTime)>,
}

impl Watch {
    /// Whether to say it now: when it has changed, and every hour from the last day on.
    pub fn is_due(&mut self, level: Level, now: UnixTime) -> bool {
        let loud = level >= Level::LastDay;
        let due = match self.said {
            None => true,
            Some((before, at)) => before != level || (loud && now.since(at) >= LOUD),
        };
        if due {
            self.said = Some((level, now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Clockwork = Clockwork::PUBLIC;
    const FIRST: u64 = 20_779;

    /// Slots `from..to`, made when the first of them came into use.
    fn horizon(slots: &[u64], now: UnixTime) -> Horizon {
        let slots: BTreeSet<_> = slots.iter().copied().map(PeriodNumber).collect();
        let created = RULE.span(*slots.first().unwrap()).0;
        Horizon::of(&RULE, &slots, created, now)
    }

    #[test]
    fn the_first_period_in_use_is_the_one_that_the_ladder_covers() {
        let (from, to) = RULE.span(PeriodNumber(FIRST));
        assert_eq!(first_in_use(&RULE, from), PeriodNumber(FIRST - 1));
        assert_eq!(first_in_use(&RULE, from.plus(86_400)), PeriodNumber(FIRST));
        assert_eq!(first_in_use(&RULE, to.minus(1)), PeriodNumber(FIRST));
        assert_eq!(first_in_use(&RULE, to), PeriodNumber(FIRST + 1));
        assert_eq!(first_in_use(&RULE, UnixTime(0)), PeriodNumber(0));
    }

    #[test]
    fn levels_follow_each_other_as_time_passes_and_only_once_each() {
        let slots: Vec<_> = (FIRST..FIRST + 30).collect();
        let begin = RULE.span(PeriodNumber(FIRST)).0.plus(86_400);
        let (mut watch, mut said) = (Watch::default(), Vec::new());
        for hour in 0..32 * 24 {
            let now = begin.plus(hour * 3600);
            let level = horizon(&slots, now).level();
            if watch.is_due(level, now) {
                said.push(level);
            }
        }
        let count = |level| said.iter().filter(|said| **said == level).count();
        let once = [Level::Good, Level::Half, Level::Quarter, Level::Tenth];
        assert_eq!(said.first_chunk::<4>(), Some(&once), "{said:?}");
        assert!(once.iter().all(|level| count(*level) == 1), "{said:?}");
        assert_eq!(count(Level::LastDay), 24, "every hour of the last day");
        assert!(count(Level::Over) > 10);
        assert!(said.is_sorted());
    }

    #[test]
    fn a_hole_ends_the_horizon_and_is_named() {
        let now = RULE.span(PeriodNumber(FIRST)).0.plus(86_400);
        let whole = horizon(&[FIRST, FIRST + 1, FIRST + 2, FIRST + 3], now);
        assert_eq!((whole.missing.len(), whole.until), (0, RULE.span(PeriodNumber(FIRST + 4)).0));
        let holed = horizon(&[FIRST, FIRST + 1, FIRST + 3], now);
        assert_eq!(holed.missing, [PeriodNumber(FIRST + 2)]);
        assert_eq!(holed.until, RULE.span(PeriodNumber(FIRST + 2)).0);
        let late = horizon(&[FIRST + 1, FIRST + 2], now);
        assert_eq!((late.level(), late.missing), (Level::Over, vec![PeriodNumber(FIRST)]));
    }
}
