//! In which hours a period's descriptor can be uploaded, and so which certificates an offline key needs.
//!
//! C tor makes the type-08 certificate anew before each upload, with expiry `ceil(t + 54 h)`. Whoever signs in advance
//! signs one for each hour of the span in which the period can be uploaded: a ladder.

use crate::period::PeriodRule;
use crate::units::{ExpirationHours, PeriodNumber, UnixTime};

/// How far a publisher's clock may be ahead, in **seconds**: the ladder begins so much earlier.
const AHEAD: u64 = 3600;
/// How long after its span a descriptor may still be uploaded, in **seconds**: a clock that is an hour behind, and a
/// consensus that is still used up to two hours after the next one is valid.
const BEHIND: u64 = 3 * 3600;

/// The network's clockwork: periods, and runs of the shared random protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clockwork {
    /// How periods are numbered.
    pub rule: PeriodRule,
    /// Length of a shared random run in **seconds**, at least 1: a day on the public network.
    pub run: u64,
}

impl Clockwork {
    /// The public network's.
    pub const PUBLIC: Self = Self { rule: PeriodRule::PUBLIC, run: 86_400 };

    /// The first run start at or after `time`.
    const fn run_start_from(&self, time: UnixTime) -> UnixTime {
        let run = if self.run == 0 { 1 } else { self.run };
        UnixTime(time.0.div_ceil(run).saturating_mul(run))
    }

    /// From when to when a period's descriptor is uploaded by right clocks: from the run start before the period to the run
    /// start after it, and never beyond the neighbouring periods.
    ///
    /// Spec: rend-spec-v3, 2.2.4; C tor, `hs_service.c:should_rotate_descriptors`.
    #[must_use]
    pub fn span(&self, period: PeriodNumber) -> (UnixTime, UnixTime) {
        let length = self.rule.length.seconds();
        let start = self.rule.start(period);
        let end = start.plus(length);
        let first = self.run_start_from(start.minus(length));
        let last = self.run_start_from(end);
        (UnixTime(first.0.min(start.0)), UnixTime(last.0.min(end.plus(length).0)))
    }

    /// The first and the last expiry that an upload of the period can carry.
    ///
    /// Spec: C tor, `build_desc_signing_key_cert`.
    #[must_use]
    pub fn ladder(&self, period: PeriodNumber) -> (ExpirationHours, ExpirationHours) {
        let (from, to) = self.span(period);
        let at = ExpirationHours::of_desc_signing_cert;
        (at(from.minus(AHEAD)), at(to.plus(BEHIND)))
    }

    /// How many rungs the ladder of a period has.
    #[must_use]
    pub fn rungs(&self, period: PeriodNumber) -> usize {
        let (first, last) = self.ladder(period);
        usize::try_from(last.0.saturating_sub(first.0)).unwrap_or(usize::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::{Segment, srv_run_start};
    use crate::units::{Minutes, PeriodLength};

    const HOUR: u64 = 3600;

    #[test]
    fn a_public_period_is_uploaded_for_48_hours_from_midnight() {
        let period = PeriodNumber(20_779);
        let (from, to) = Clockwork::PUBLIC.span(period);
        let start = PeriodRule::PUBLIC.start(period);
        assert_eq!((start.0 - from.0, to.0 - from.0), (12 * HOUR, 48 * HOUR));
        assert_eq!(from.0 % 86_400, 0);
        // 48 hours, both ends, one hour before and three after.
        assert_eq!(Clockwork::PUBLIC.rungs(period), 53);
    }

    /// The periods that C tor's rule puts under `time`, as the publisher's schedule computes them.
    fn used(clockwork: &Clockwork, time: UnixTime) -> [u64; 2] {
        let run_start = srv_run_start(time, clockwork.run / 24);
        let now = clockwork.rule.number_at(time).0;
        match Segment::at(&clockwork.rule, run_start, time) {
            Segment::BetweenSrvAndPeriod => [now, now + 1],
            Segment::BetweenPeriodAndSrv => [now - 1, now],
        }
    }

    #[test]
    fn the_span_is_exactly_when_the_schedule_uses_the_period() {
        for (minutes, run) in
            [(1440, 86_400), (4, 240), (24, 1440), (60, 86_400), (2880, 86_400), (720, 86_400)]
        {
            let rule = PeriodRule {
                length: PeriodLength::new(minutes).unwrap(),
                offset: Minutes(u32::try_from(run / 120).unwrap()),
            };
            let clockwork = Clockwork { rule, run };
            let step = (u64::from(minutes) * 60 / 48).max(5);
            let base = 1_795_365_600 / run * run;
            for time in
                (base..base + 3 * run.max(rule.length.seconds())).step_by(usize::try_from(step).unwrap())
            {
                let used = used(&clockwork, UnixTime(time));
                for period in used[0] - 2..used[1] + 3 {
                    let (from, to) = clockwork.span(PeriodNumber(period));
                    let inside = (from.0..to.0).contains(&time);
                    assert_eq!(inside, used.contains(&period), "{minutes} {run} {time} {period}");
                }
            }
        }
    }

    #[test]
    fn every_upload_of_a_clock_an_hour_off_finds_its_rung() {
        let (from, to) = Clockwork::PUBLIC.span(PeriodNumber(20_779));
        let (first, last) = Clockwork::PUBLIC.ladder(PeriodNumber(20_779));
        for time in (from.0 - HOUR..=to.0 + HOUR).step_by(60) {
            let wanted = ExpirationHours::of_desc_signing_cert(UnixTime(time));
            assert!((first..=last).contains(&wanted), "{time}");
        }
    }

    #[test]
    fn no_number_panics() {
        for run in [0, 1, u64::MAX] {
            let clockwork = Clockwork { run, ..Clockwork::PUBLIC };
            for period in [0, 1, u64::MAX] {
                let _any = clockwork.rungs(PeriodNumber(period));
            }
        }
    }
}
