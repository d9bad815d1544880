//! The only place of the harness where the wall clock is read, and where a moment is written as tor writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970 now.
#[must_use]
pub fn unix_now() -> u64 {
    since_1970().as_secs()
}

/// Time since 1970 now, with its fraction.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the harness's clock file")]
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970")
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
