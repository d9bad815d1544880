//! The log: one line per decision on stderr. The only place that writes it.
//!
//! A line is `2026-11-22T16:40:00Z level event key=value ...`. Onion addresses are written by their end only, secrets
//! and descriptors never. A line that comes again and again within a minute is counted instead of written.

use crate::clock;
use crate::netdoc::date::Iso;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

/// How long a repetition is suppressed, in **seconds**.
const QUIET: u64 = 60;
/// How often the same line is written within that time.
const BURST: u64 = 3;
/// How many different lines are remembered.
const REMEMBERED: usize = 256;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A decision.
    Info,
    /// Something that the operator may have to look at.
    Warn,
    /// Something that does not work.
    Error,
}

impl Level {
    /// The word in the line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line that is put together; [`Line::write`] ends it.
#[must_use]
pub struct Line {
    /// Level, event, pairs: everything but the time.
    text: String,
}

impl Line {
    /// Starts a line about an event, whose name has no spaces.
    pub fn new(level: Level, event: &str) -> Self {
        Self { text: format!("{} {event}", level.name()) }
    }

    /// Adds `key=value`; a value with spaces, quotes or control characters is quoted.
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        let plain = |symbol: char| symbol.is_ascii_graphic() && symbol != '"' && symbol != '=';
        let quoted = value.is_empty() || !value.chars().all(plain);
        let written =
            if quoted { write!(self.text, " {key}={value:?}") } else { write!(self.text, " {key}={value}") };
        // Writing to a string cannot fail.
        let _always = written.is_ok();
        self
    }

    /// Adds `key=value` if there is a value.
    pub fn maybe(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Writes the line to stderr.
    pub fn write(self) {
        static RECENT: Mutex<Option<Recent>> = Mutex::new(None);
        #[cfg(test)]
        if tests::kept(&self.text) {
            return;
        }
        let now = clock::now();
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        let repeated = recent.get_or_insert_default().repeated(now.0, &self.text);
        drop(recent);
        if let Some(repeated) = repeated {
            let line = if repeated > 0 { self.with("repeated", repeated) } else { self };
            // A log that cannot be written has nowhere to complain to.
            // Written at once: stderr has no buffer of its own.
            drop(std::io::stderr().lock().write_all(format!("{} {}\n", Iso(now), line.text).as_bytes()));
        }
    }
}

/// A decision.
pub fn info(event: &str) -> Line {
    Line::new(Level::Info, event)
}

/// Something that the operator may have to look at.
pub fn warn(event: &str) -> Line {
    Line::new(Level::Warn, event)
}

/// Something that does not work.
pub fn error(event: &str) -> Line {
    Line::new(Level::Error, event)
}

/// The lines of the last minute.
#[derive(Default)]
struct Recent {
    /// For each line: when its minute began, and how often it came since.
    lines: HashMap<String, (u64, u64)>,
}

impl Recent {
    /// `None` if the line is a repetition, else how many repetitions were left out since it was last written.
    fn repeated(&mut self, now: u64, text: &str) -> Option<u64> {
        if let Some((began, count)) = self.lines.get_mut(text)
            && now.abs_diff(*began) < QUIET
        {
            *count = count.saturating_add(1);
            return (*count <= BURST).then_some(0);
        }
        if self.lines.len() >= REMEMBERED {
            self.lines.retain(|_text, (began, _count)| now.abs_diff(*began) < QUIET);
        }
        if self.lines.len() >= REMEMBERED {
            self.lines.clear();
        }
        let before = self.lines.insert(text.to_owned(), (now, 1));
        Some(before.map_or(0, |(_began, count)| count.saturating_sub(BURST)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        /// The lines of this thread, once a test wants to read them.
        static KEPT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    }

    /// From now on this thread's lines are kept instead of written; those kept until now are given.
    pub(crate) fn keep() -> Vec<String> {
        KEPT.replace(Some(Vec::new())).unwrap_or_default()
    }

    /// Keeps a line, without its time, if lines are kept.
    pub(super) fn kept(text: &str) -> bool {
        KEPT.with_borrow_mut(|kept| kept.as_mut().map(|lines| lines.push(text.to_owned()))).is_some()
    }

    #[test]
    fn values_are_quoted_where_needed() {
        let line = info("upload")
            .with("period", 20_000)
            .with("why", "two words")
            .with("raw", "a\"b\n")
            .maybe("x", None::<u8>);
        assert_eq!(line.text, "info upload period=20000 why=\"two words\" raw=\"a\\\"b\\n\"");
        assert_eq!(warn("e").with("empty", "").text, "warn e empty=\"\"");
        assert_eq!(error("e").with("k", "a=b").text, "error e k=\"a=b\"");
    }

    #[test]
    fn a_repeated_line_is_counted_for_a_minute() {
        let mut recent = Recent::default();
        assert_eq!(recent.repeated(100, "a"), Some(0));
        assert_eq!(recent.repeated(100, "b"), Some(0));
        assert_eq!(recent.repeated(130, "a"), Some(0));
        assert_eq!(recent.repeated(140, "a"), Some(0));
        assert_eq!(recent.repeated(150, "a"), None);
        assert_eq!(recent.repeated(159, "a"), None);
        assert_eq!(recent.repeated(160, "a"), Some(2));
        assert_eq!(recent.repeated(161, "a"), Some(0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..10_000 {
            assert_eq!(recent.repeated(1, &number.to_string()), Some(0));
            assert!(recent.lines.len() <= REMEMBERED);
        }
    }
}
