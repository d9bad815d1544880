//! What the room sees: marks every line of a rehearsal and keeps the transcript of a ceremony. The only place that does either.
//!
//! Whatever is written to standard output, standard error or the terminal comes by here first. What is typed unseen and what is
//! shown to one custodian alone never does.

use crate::careful;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Stands in front of every line of a rehearsal.
pub const BANNER: &str = "REHEARSAL  ";

/// Whether this process rehearses.
static REHEARSES: AtomicBool = AtomicBool::new(false);
/// The transcript.
static TRANSCRIPT: Mutex<Transcript> = Mutex::new(Transcript { file: None, failed: None });

/// A file that takes what the room sees.
#[derive(Debug)]
struct Transcript {
    /// The file.
    file: Option<File>,
    /// Why something is not in it.
    failed: Option<io::Error>,
}

/// From now on every line says that this is a rehearsal.
pub fn rehearse() {
    REHEARSES.store(true, Ordering::Relaxed);
}

/// From now on a file takes what the room sees, after what it has already.
///
/// # Errors
/// What the system says.
pub fn records_to(path: &Path) -> io::Result<()> {
    let file = careful::open_or_make(path, File::options().append(true))?;
    *transcript() = Transcript { file: Some(file), failed: None };
    Ok(())
}

/// Waits until the transcript is on the disk.
///
/// # Errors
/// Why something of it is not.
pub fn settle() -> io::Result<()> {
    let mut transcript = transcript();
    match (transcript.failed.take(), &transcript.file) {
        (Some(error), _) => Err(error),
        (None, Some(file)) => file.sync_all(),
        (None, None) => Ok(()),
    }
}

/// A text as the room sees it, on record.
#[must_use]
pub fn shown(text: &str) -> String {
    let text = marked(text);
    record(&text);
    text
}

/// Puts on record what somebody typed for all to see.
pub fn typed(text: &str) {
    record(&format!("{text}\n"));
}

/// A text as the room sees it: in a rehearsal every line says so.
#[must_use]
pub fn marked(text: &str) -> String {
    if !REHEARSES.load(Ordering::Relaxed) || text == "\n" {
        return text.to_owned();
    }
    banner(text)
}

/// Every line with its banner; one that overwrites itself keeps doing so.
fn banner(text: &str) -> String {
    let one = |line: &str| match line.strip_prefix('\r') {
        Some(rest) => format!("\r{BANNER}{rest}"),
        None => format!("{BANNER}{line}"),
    };
    text.split_inclusive('\n').map(one).collect()
}

/// Appends to the transcript; the first failure is kept for [`settle`].
fn record(text: &str) {
    let mut transcript = transcript();
    let written = transcript.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()));
    if let (Err(error), None) = (written, &transcript.failed) {
        transcript.failed = Some(error);
    }
}

/// The transcript. A thread that ended in the middle has at most left half a line.
fn transcript() -> MutexGuard<'static, Transcript> {
    TRANSCRIPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_marked_once() {
        assert_eq!(banner("a\nb\n\n"), format!("{BANNER}a\n{BANNER}b\n{BANNER}\n"));
        assert_eq!(banner("Type Yes: "), format!("{BANNER}Type Yes: "));
        assert_eq!(banner("\r[#]"), format!("\r{BANNER}[#]"));
        assert_eq!(marked("a\n"), "a\n", "nothing is marked unless this is a rehearsal");
    }
}
