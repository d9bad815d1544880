//! The only place of the harness where the wall clock is read, and where a moment is written as tor writes it.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock_step::Moved;

/// By what the wall clock of the whole run is moved, the harness's too.
static FOLLOWED: OnceLock<Moved> = OnceLock::new();

/// Moves the wall clock of the harness as those of its programs are moved, from now on; its waits stay real.
pub fn follow(moved: Moved) {
    // A second clock of one harness is a mistake of its author; the first counts.
    drop(FOLLOWED.set(moved));
}

/// What [`follow`] was given.
#[must_use]
pub fn followed() -> Option<&'static Moved> {
    FOLLOWED.get()
}

/// Seconds since 1970 now.
#[must_use]
pub fn unix_now() -> u64 {
    since_1970().as_secs()
}

/// Time since 1970 now, with its fraction.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the harness's clock file")]
pub fn since_1970() -> Duration {
    let ahead = FOLLOWED.get().map_or(0, |moved| moved.ahead().expect("the run's clock can be read"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970");
    let by = Duration::from_nanos(ahead.unsigned_abs());
    if ahead < 0 { now.saturating_sub(by) } else { now + by }
}

/// `2026-11-22 16:40:00`, UTC, as in tor's state files and `GETINFO consensus/valid-after`.
#[must_use]
pub fn tor_time(unix: u64) -> String {
    let moment = UNIX_EPOCH + Duration::from_secs(unix);
    humantime::format_rfc3339_seconds(moment).to_string().replace('T', " ").replace('Z', "")
}

/// The inverse of [`tor_time`].
pub fn parse_tor_time(text: &str) -> anyhow::Result<u64> {
    let moment = humantime::parse_rfc3339_weak(text.trim())?;
    Ok(moment.duration_since(UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tor_times_come_back_as_they_went() {
        assert_eq!(tor_time(1_795_365_600), "2026-11-22 16:40:00");
        assert_eq!(parse_tor_time("2026-11-22 16:40:00").unwrap(), 1_795_365_600);
        assert!(parse_tor_time("yesterday").is_err());
    }
}
