//! Time periods and the two segments of the day; the only place where a time becomes a period number.

use crate::blinding::TimePeriod;
use crate::units::{Minutes, PeriodLength, PeriodNumber, UnixTime};

/// How a network numbers its time periods.
///
/// On the public network the length is 1440 minutes and the offset 720.
///
/// Spec: rend-spec-v3, 2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodRule {
    /// Length of a period.
    pub length: PeriodLength,
    /// Rotation offset: period numbers start this long after the epoch.
    pub offset: Minutes,
}

impl PeriodRule {
    /// The public network's rule.
    pub const PUBLIC: Self = Self { length: PeriodLength::DAY, offset: Minutes(720) };

    /// The number of the period that `time` lies in (period 0 for times before the offset).
    #[must_use]
    pub fn number_at(&self, time: UnixTime) -> PeriodNumber {
        let minutes = (time.0 / 60).saturating_sub(u64::from(self.offset.0));
        PeriodNumber(minutes.checked_div(u64::from(self.length.minutes())).unwrap_or(0))
    }

    /// The period that `time` lies in.
    #[must_use]
    pub fn at(&self, time: UnixTime) -> TimePeriod {
        TimePeriod { number: self.number_at(time), length: self.length }
    }

    /// The first second of a period.
    #[must_use]
    pub fn start(&self, number: PeriodNumber) -> UnixTime {
        UnixTime(number.0.saturating_mul(self.length.seconds()).saturating_add(self.offset.seconds()))
    }
}

/// Which half of the schedule a consensus lies in; decides which two descriptors are published.
///
/// Spec: rend-spec-v3, 2.2.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// From a new shared random value to the next period start (00:00 to 12:00 UTC).
    BetweenSrvAndPeriod,
    /// From a period start to the next shared random value (12:00 to 24:00 UTC).
    BetweenPeriodAndSrv,
}

impl Segment {
    /// The segment of a consensus valid after `valid_after` in a shared random run that began at `run_start`.
    ///
    /// Spec: C tor, `hs_in_period_between_tp_and_srv`.
    #[must_use]
    pub fn at(rule: &PeriodRule, run_start: UnixTime, valid_after: UnixTime) -> Self {
        let next_period_start = rule.start(rule.number_at(run_start).next());
        if run_start <= valid_after && valid_after < next_period_start {
            Self::BetweenSrvAndPeriod
        } else {
            Self::BetweenPeriodAndSrv
        }
    }
}

/// Start of the shared random protocol run that `valid_after` lies in: 24 voting intervals, 00:00 UTC on the public network.
///
/// `voting_interval` is in **seconds**; 0 is taken as 1.
///
/// Spec: C tor, `sr_state_get_start_time_of_current_protocol_run`.
#[must_use]
pub fn srv_run_start(valid_after: UnixTime, voting_interval: u64) -> UnixTime {
    let interval = voting_interval.max(1);
    let round = valid_after.0.checked_div(interval).unwrap_or(0) % 24;
    valid_after.minus(round.saturating_mul(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/vectors/time.json")).unwrap()
    }

    #[test]
    fn vector_cases_agree() {
        let vectors = vectors();
        let cases = vectors["cases"].as_array().unwrap();
        assert!(cases.len() >= 15);
        for case in cases {
            let number = |key: &str| case[key].as_u64().unwrap();
            let interval = number("voting_interval_s");
            let rule = PeriodRule {
                length: PeriodLength::new(u32::try_from(number("period_length_minutes")).unwrap()).unwrap(),
                offset: Minutes(u32::try_from(12 * interval / 60).unwrap()),
            };
            let valid_after = UnixTime(number("valid_after"));
            let period = rule.number_at(valid_after);
            assert_eq!(period.0, number("time_period"), "{case}");
            assert_eq!(rule.start(period.next()).0, number("next_time_period_start"), "{case}");
            let run = srv_run_start(valid_after, interval);
            assert_eq!(run.0, number("srv_run_start"), "{case}");
            assert_eq!(run.0 - 24 * interval, number("previous_srv_run_start"));
            assert_eq!(run.0 + 24 * interval, number("next_rotation"));
            let late = Segment::at(&rule, run, valid_after) == Segment::BetweenPeriodAndSrv;
            assert_eq!(late, case["between_tp_and_srv"].as_bool().unwrap(), "{case}");
        }
    }

    #[test]
    fn tor_numbers_agree() {
        // The vector's times as written by tor's own test, read with its own calendar.
        for row in vectors()["numbers"].as_array().unwrap() {
            let time = UnixTime(iso(row["time"].as_str().unwrap()));
            assert_eq!(PeriodRule::PUBLIC.number_at(time).0, row["tp"].as_u64().unwrap(), "{row}");
        }
        // 10 s votes: 4-minute periods, offset 2 minutes.
        let testing = PeriodRule { length: PeriodLength::new(4).unwrap(), offset: Minutes(2) };
        for row in vectors()["testing_next_tp"]["cases"].as_array().unwrap() {
            let now = UnixTime(iso(row["time"].as_str().unwrap()));
            let next = iso(row["next_start"].as_str().unwrap());
            assert_eq!(testing.start(testing.number_at(now).next()).0, next, "{row}");
        }
    }

    /// Seconds since the epoch of a UTC time in 2016 to 2029, by counting days.
    fn iso(text: &str) -> u64 {
        let field = |from: usize, to: usize| text.get(from..to).unwrap().parse::<u64>().unwrap();
        let (year, month, day) = (field(0, 4), field(5, 7), field(8, 10));
        let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719_468;
        days * 86_400 + field(11, 13) * 3600 + field(14, 16) * 60 + field(17, 19)
    }

    proptest::proptest! {
        #[test]
        fn a_time_lies_in_its_period(t in 720u64 * 60..1 << 40, length in 1u32..14_401) {
            let rule = PeriodRule { length: PeriodLength::new(length).unwrap(), offset: Minutes(720) };
            let number = rule.number_at(UnixTime(t));
            proptest::prop_assert!(rule.start(number).0 <= t);
            proptest::prop_assert!(t < rule.start(number.next()).0);
        }

        #[test]
        fn no_number_panics(t: u64, interval: u64, p: u64) {
            let run = srv_run_start(UnixTime(t), interval);
            let _segment = Segment::at(&PeriodRule::PUBLIC, run, UnixTime(t));
            let _start = PeriodRule::PUBLIC.start(PeriodNumber(p));
        }
    }
}
