//! The only place that reads a clock or turns a time into text.

use onionkeep_common::UnixTime;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the signer takes the time from; tests have their own.
pub trait Clock: Send + Sync {
    /// The time now; the epoch if the clock stands before it.
    fn now(&self) -> UnixTime;
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may read the wall clock")]
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

/// The moment `wait` from now, by the clock that never jumps.
#[must_use]
pub fn deadline_in(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}

/// How long it is until `deadline`; zero once it has passed.
#[must_use]
pub fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// A time as `2026-11-22T16:40:00Z`.
#[derive(Clone, Copy, Debug)]
pub struct Iso(pub UnixTime);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.0 / 86_400, self.0.0 % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month and day of a number of days since 1970-01-01 (H. Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days.saturating_add(719_468);
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = doe.saturating_sub(doe / 1460).saturating_add(doe / 36_524).saturating_sub(doe / 146_096) / 365;
    let doy = doe.saturating_sub((365 * yoe + yoe / 4).saturating_sub(yoe / 100));
    let shifted = (5 * doy + 2) / 153;
    let day = doy.saturating_sub((153 * shifted + 2) / 5).saturating_add(1);
    let month = if shifted < 10 { shifted + 3 } else { shifted.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(yoe).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_iso_8601() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_728_055_800, "2024-10-04T15:30:00Z"),
            (1_795_365_600, "2026-11-22T16:40:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Iso(UnixTime(time)).to_string(), text);
        }
    }

    #[test]
    fn no_time_panics() {
        assert!(!Iso(UnixTime(u64::MAX)).to_string().is_empty());
    }

    #[test]
    fn a_past_deadline_leaves_no_time() {
        assert_eq!(until(deadline_in(Duration::ZERO)), Duration::ZERO);
        assert!(until(deadline_in(Duration::from_secs(9))) > Duration::from_secs(8));
    }
}
