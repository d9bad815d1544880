//! Calendar times as Tor's documents write them; the only place that turns them into seconds and back.

use core::fmt;
use onionkeep_common::UnixTime;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;

/// Reads `YYYY-MM-DD`, `separator`, `HH:MM:SS`, UTC, years 1970 to 9999; `None` for anything else.
///
/// Spec: dir-spec, 1.2 (`YYYY-MM-DD SP HH:MM:SS`).
#[must_use]
pub fn parse(text: &str, separator: char) -> Option<UnixTime> {
    let (date, time) = text.split_once(separator)?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let sane = year >= 1970 && (1..=12).contains(&month) && (1..=length).contains(&day);
    if !sane || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_before(year, month, day)?;
    let seconds = days.checked_mul(86_400)?.checked_add(hour * 3600 + minute * 60 + second)?;
    Some(UnixTime(seconds))
}

/// Cuts a text into three numbers of fixed width.
fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    if parts.next().is_some() { None } else { Some(numbers) }
}

/// Days from 1970-01-01 to a date; years are counted from March so that the leap day comes last.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1;
    days.checked_sub(EPOCH_DAYS)
}

/// A time that is written `YYYY-MM-DDTHH:MM:SSZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iso(pub UnixTime);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.0 / 86_400 + EPOCH_DAYS, self.0.0 % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + carry;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_read_and_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00", 0),
            ("2016-04-13T11:59:59", 1_460_548_799),
            ("2024-02-29T23:59:59", 1_709_251_199),
            ("2100-03-01T00:00:00", 4_107_542_400),
        ] {
            assert_eq!(parse(text, 'T'), Some(UnixTime(seconds)), "{text}");
            assert_eq!(Iso(UnixTime(seconds)).to_string(), format!("{text}Z"));
        }
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in [
            "2023-02-29 00:00:00",
            "2024-13-01 00:00:00",
            "2024-00-10 00:00:00",
            "2024-01-01 24:00:00",
            "2024-1-01 00:00:00",
            "2024-01-01 00:00",
            "2024-01-01 00:00:00 ",
            "+024-01-01 00:00:00",
            "",
        ] {
            assert_eq!(parse(text, ' '), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn written_times_are_read_back(seconds in 0_u64..253_402_300_800) {
            let text = Iso(UnixTime(seconds)).to_string();
            proptest::prop_assert_eq!(parse(text.trim_end_matches('Z'), 'T'), Some(UnixTime(seconds)));
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,30}", seconds: u64) {
            let _unused = parse(&text, ' ');
            let _text = Iso(UnixTime(seconds)).to_string();
        }
    }
}
