//! Recognises descriptors that were verified before, so that they need not be verified again.
//!
//! A backend is asked for every few minutes at several HSDirs, but renews its descriptor every hour or two: nearly all answers are
//! known.

use onionkeep_common::{PeriodNumber, UnixTime};
use std::collections::VecDeque;

/// Length of a signature in base64.
const SIGNATURE: usize = 86;
/// So many are remembered: one of each HSDir, for each has a copy of its own.
const REMEMBERED: usize = 8;
/// So long, in **seconds**: HSDirs drop a descriptor after three hours.
const BELIEVED: u64 = 3 * 3600;

/// The signature of a descriptor, which stands for all of it: it does not verify under any other text.
///
/// An HSDir could put a known signature under another text. It gains nothing: the text is not read, and it could as well have given
/// the known descriptor again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; SIGNATURE]);

impl Mark {
    /// Takes it from the last line.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        let line = text.strip_suffix(b"\n")?.rsplit(|octet| *octet == b'\n').next()?;
        line.strip_prefix(b"signature ")?.try_into().ok().map(Self)
    }
}

/// A descriptor that was good.
#[derive(Clone, Copy, Debug)]
struct Good {
    /// Its mark.
    mark: Mark,
    /// Its period.
    period: PeriodNumber,
    /// Its revision counter.
    revision: u64,
    /// When it was verified.
    verified: UnixTime,
}

/// The descriptors of one backend that were good lately.
#[derive(Clone, Debug, Default)]
pub struct Known(VecDeque<Good>);

impl Known {
    /// Remembers a descriptor that was verified now.
    pub fn remember(&mut self, text: &[u8], period: PeriodNumber, revision: u64, now: UnixTime) {
        if let Some(mark) = Mark::of(text) {
            self.0.retain(|good| good.mark != mark);
            self.0.truncate(REMEMBERED.saturating_sub(1));
            self.0.push_front(Good { mark, period, revision, verified: now });
        }
    }

    /// The revision counter of a descriptor of this period if it was good lately.
    #[must_use]
    pub fn revision(&self, text: &[u8], period: PeriodNumber, now: UnixTime) -> Option<u64> {
        let mark = Mark::of(text)?;
        let lately = |good: &&Good| {
            good.mark == mark
                && good.period == period
                && now.since(good.verified) <= BELIEVED
                && now >= good.verified
        };
        self.0.iter().find(lately).map(|good| good.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of a descriptor whose signature is all of one letter.
    fn text(letter: char) -> Vec<u8> {
        format!("hs-descriptor 3\nsignature {}\n", letter.to_string().repeat(SIGNATURE)).into_bytes()
    }

    #[test]
    fn what_was_good_lately_is_known_and_nothing_else() {
        let (mut known, period) = (Known::default(), PeriodNumber(7));
        known.remember(&text('a'), period, 5, UnixTime(10_000));
        let ask =
            |text: &[u8], period: u64, now: u64| known.revision(text, PeriodNumber(period), UnixTime(now));
        assert_eq!(ask(&text('a'), 7, 10_000), Some(5));
        assert_eq!(ask(&text('a'), 7, 10_000 + BELIEVED), Some(5));
        assert_eq!(ask(&text('a'), 7, 10_001 + BELIEVED), None, "its certificates may have ended");
        assert_eq!(ask(&text('a'), 7, 9_999), None, "the clock went back");
        assert_eq!(ask(&text('a'), 8, 10_000), None, "another period");
        assert_eq!(ask(&text('b'), 7, 10_000), None, "another descriptor");
    }

    #[test]
    fn a_copy_of_each_hsdir_is_remembered_and_the_oldest_forgotten() {
        let (mut known, period, now) = (Known::default(), PeriodNumber(7), UnixTime(10_000));
        for letter in 'a'..='i' {
            known.remember(&text(letter), period, 5, now);
            known.remember(&text(letter), period, 5, now);
        }
        let is_known = |letter: &char| known.revision(&text(*letter), period, now).is_some();
        assert_eq!(('a'..='i').filter(is_known).collect::<String>(), "bcdefghi");
    }

    #[test]
    fn texts_without_a_whole_signature_have_no_mark() {
        for text in ["", "\n", "signature abc\n", "hs-descriptor 3\n", &"x".repeat(200)] {
            assert_eq!(Mark::of(text.as_bytes()), None, "{text}");
        }
        let mut cut = text('a');
        cut.pop();
        assert_eq!(Mark::of(&cut), None);
    }
}
