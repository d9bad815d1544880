//! The only place that reads the wall clock.

use onionkeep_common::UnixTime;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from instead of the system.
static INSTEAD: OnceLock<fn() -> UnixTime> = OnceLock::new();

/// The time now. A clock set before 1970 reads as 0.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock file")]
pub fn now() -> UnixTime {
    #[cfg(test)]
    if let Some(now) = tests::pretended() {
        return now;
    }
    if let Some(instead) = INSTEAD.get() {
        return instead();
    }
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Takes the time from a function from now on, for as long as the process lives: for a bench that lives through a day in a
/// minute. The program never calls it, and a second call does nothing.
pub fn instead(source: fn() -> UnixTime) {
    INSTEAD.get_or_init(|| source);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::Instant;

    thread_local! {
        /// What time it was taken to be, and when.
        static PRETENDED: Cell<Option<(UnixTime, Instant)>> = const { Cell::new(None) };
    }

    /// As long as it lives this thread's wall clock goes with tokio's, which a test may pause and set forward.
    pub(crate) struct Pretended;

    impl Drop for Pretended {
        fn drop(&mut self) {
            PRETENDED.set(None);
        }
    }

    /// Sets the wall clock of this thread.
    pub(crate) fn pretend(now: UnixTime) -> Pretended {
        PRETENDED.set(Some((now, Instant::now())));
        Pretended
    }

    /// The pretended time, if there is one.
    pub(super) fn pretended() -> Option<UnixTime> {
        PRETENDED.get().map(|(then, at)| then.plus(at.elapsed().as_secs()))
    }

    #[test]
    fn the_clock_is_later_than_this_file_and_does_not_stand() {
        let first = now();
        assert!(first > UnixTime(1_760_000_000));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(now() > first);
    }
}
