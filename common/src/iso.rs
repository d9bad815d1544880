//! A time as text, `2026-11-22T16:40:00Z`; the only place where one is written or read.

use crate::units::UnixTime;
use core::fmt;
use core::str::FromStr;

/// A time that is written and read as ISO 8601 in UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iso(pub UnixTime);

/// The text is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted is a time in UTC such as 2026-11-22T16:40:00Z")]
pub struct IsoError;

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.0 / 86_400, self.0.0 % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for Iso {
    type Err = IsoError;

    /// Reads exactly what [`fmt::Display`] writes, from 1970 to 9999.
    fn from_str(text: &str) -> Result<Self, IsoError> {
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            if digits.bytes().all(|octet| octet.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let parts = || {
            let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
            let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
            let seconds =
                hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
            days(year, month, day)?.checked_mul(86_400)?.checked_add(seconds)
        };
        let time = Self(UnixTime(parts().ok_or(IsoError)?));
        // The 30th of February and 25 o'clock come back as another text.
        if Text::of(&time).as_str() == Some(text) { Ok(time) } else { Err(IsoError) }
    }
}

/// The 20 octets of a time's text, without an allocation.
struct Text([u8; 20], usize);

impl Text {
    /// Writes a time.
    fn of(time: &Iso) -> Self {
        let mut text = Self([0; 20], 0);
        // A longer text, of a year above 9999, is not kept.
        if fmt::Write::write_fmt(&mut text, format_args!("{time}")).is_err() {
            text.1 = 0;
        }
        text
    }

    /// The text.
    fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.0.get(..self.1)?).ok()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.1.checked_add(more.len()).ok_or(fmt::Error)?;
        self.0.get_mut(self.1..end).ok_or(fmt::Error)?.copy_from_slice(more.as_bytes());
        self.1 = end;
        Ok(())
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

/// Days since 1970-01-01 (H. Hinnant's `days_from_civil`); `None` before that day or if the month is none.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, yoe) = (year / 400, year % 400);
    let shifted = (month + 9) % 12;
    let doy = (153 * shifted + 2) / 5 + day.checked_sub(1)?;
    let doe = (yoe * 365 + yoe / 4).checked_sub(yoe / 100)?.checked_add(doy)?;
    era.checked_mul(146_097)?.checked_add(doe)?.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_and_read() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_728_055_800, "2024-10-04T15:30:00Z"),
            (1_795_365_600, "2026-11-22T16:40:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Iso(UnixTime(time)).to_string(), text);
            assert_eq!(text.parse(), Ok(Iso(UnixTime(time))));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T16:40:00",
            "2026-11-22 16:40:00Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z ",
            "12026-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Iso>(), Err(IsoError), "{text}");
        }
    }

    #[test]
    fn no_time_panics() {
        assert!(!Iso(UnixTime(u64::MAX)).to_string().is_empty());
    }

    proptest! {
        #[test]
        fn a_text_reads_back(time in 0..253_402_300_800_u64) {
            let iso = Iso(UnixTime(time));
            prop_assert_eq!(iso.to_string().parse::<Iso>(), Ok(iso));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _any = text.parse::<Iso>();
        }
    }
}
