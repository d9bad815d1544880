//! The only place that reads a clock.

pub use onionkeep_common::iso::Iso;

use onionkeep_common::UnixTime;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_past_deadline_leaves_no_time() {
        assert_eq!(until(deadline_in(Duration::ZERO)), Duration::ZERO);
        assert!(until(deadline_in(Duration::from_secs(9))) > Duration::from_secs(8));
    }
}
