//! One line per decision on standard error; the only place that writes there.

use crate::clock::{Clock, Iso, SystemClock};
use crate::room;
use flood::Flood;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

mod flood;

/// What peers have written.
static FLOOD: Mutex<Flood> = Mutex::new(Flood::new());

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What happened, as it should.
    Info,
    /// Something the operator should look at.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// The word in the line.
    const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Writes `time level event key=value ...`. Values with blanks, quotes or control characters are quoted.
pub fn line(level: Level, event: &str, fields: &[(&str, &dyn Display)]) {
    let text = format!("{} {} {event}{}\n", Iso(SystemClock.now()), level.word(), pairs(fields));
    raw(&text);
}

/// The same for what a peer can bring about as often as it likes: `uid` makes some such lines at once and then one a
/// second; the next line says how many were not written. All peers that may not ask for anything are `None`.
pub fn by_peer(uid: Option<u32>, level: Level, event: &'static str, fields: &[(&str, &dyn Display)]) {
    let admitted = flood().admit((uid, event), Instant::now());
    match admitted {
        Some(0) => line(level, event, fields),
        Some(suppressed) => {
            let told: [(&str, &dyn Display); 1] = [("suppressed", &suppressed)];
            line(level, event, &[fields, told.as_slice()].concat());
        }
        None => {}
    }
}

/// Tells of the lines of peers that were not written and that no later line has told of.
pub fn settle() {
    let due = flood().settle(Instant::now());
    for ((uid, event), suppressed) in due {
        let uid = uid.map_or("any".to_owned(), |uid| uid.to_string());
        line(
            Level::Warn,
            "lines-not-written",
            &[("event", &event), ("uid", &uid), ("suppressed", &suppressed)],
        );
    }
}

/// What peers have written. A thread that ended in the middle has at most counted a line too few.
fn flood() -> MutexGuard<'static, Flood> {
    FLOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes text for the operator to standard error; the room's transcript has it too.
pub fn raw(text: &str) {
    write(&room::shown(text));
}

/// Writes what overwrites itself, such as a bar; no transcript has it.
pub fn fleeting(text: &str) {
    write(&room::marked(text));
}

/// Writes to standard error.
fn write(text: &str) {
    // A closed standard error must not stop the signer, and there is nowhere else to say so.
    let _nowhere_to_report = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The fields of a line, each with a blank in front.
fn pairs(fields: &[(&str, &dyn Display)]) -> String {
    let mut text = String::new();
    for (key, value) in fields {
        let value = value.to_string();
        let plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"');
        // Writing to a String cannot fail.
        let _infallible =
            if plain { write!(text, " {key}={value}") } else { write!(text, " {key}={value:?}") };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_could_forge_a_line_are_quoted() {
        let fields: [(&str, &dyn Display); 3] =
            [("uid", &997), ("why", &"two words"), ("x", &"a\n2026-01-01T00:00:00Z info fake")];
        let text = pairs(&fields);
        assert_eq!(text, " uid=997 why=\"two words\" x=\"a\\n2026-01-01T00:00:00Z info fake\"");
    }
}
