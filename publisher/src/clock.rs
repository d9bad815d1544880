//! The only place that reads the wall clock.

use onionkeep_common::UnixTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time now. A clock set before 1970 reads as 0.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock file")]
pub fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_later_than_this_file_and_does_not_stand() {
        let first = now();
        assert!(first > UnixTime(1_760_000_000));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(now() > first);
    }
}
