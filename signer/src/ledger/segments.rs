//! The ledger's files: `ledger` and, before it, `ledger.00001` and so on; the only place that reads them.

use super::chain::{Chain, Flaw};
use super::error::LedgerError;
use super::line::{Head, LINE_MAX, Line};
use super::memory::Keep;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The newest file's name in the state directory.
pub const FILE: &str = "ledger";
/// By how many **seconds** a request may be recorded before an earlier one, amply: the rules allow a minute.
const MARGIN: u64 = 3600;

/// The name of a file that is not the newest any more.
#[must_use]
pub fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{FILE}.{segment:05}"))
}

/// What was found in the newest file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub segment: u64,
    /// Octets of its whole lines.
    pub whole: u64,
    /// Octets of those with which it begins because they hold on: they are in the files before too.
    pub repeated: u64,
    /// Octets after its last line end.
    pub torn: u64,
}

/// Reads the newest file and those before it as far back as `keep` says, oldest first; each line is judged, then given.
pub(super) fn replay(
    dir: &Path,
    keep: Keep,
    chain: &mut Chain,
    mut each: impl FnMut(&Line),
) -> Result<Found, LedgerError> {
    let newest = dir.join(FILE);
    let segment = first_segment(&newest)?;
    for old in oldest_needed(dir, segment, keep)?..segment {
        let found = walk(&path(dir, old), old, chain, |line, _number| {
            each(line);
            Ok(())
        })?;
        refuse_torn(&path(dir, old), &found)?;
    }
    walk(&newest, segment, chain, |line, _number| {
        each(line);
        Ok(())
    })
}

/// The number of the oldest file that the rules can need.
///
/// Only the times of `asked` lines count, for the rules keep them in order; every other line is written under any clock. One earlier
/// file is read in every case, if it is there. Files without requests are read up to the first that was moved away.
fn oldest_needed(dir: &Path, segment: u64, keep: Keep) -> Result<u64, LedgerError> {
    let (mut from, mut latest) = (segment, 0);
    loop {
        let file = if from == segment { dir.join(FILE) } else { path(dir, from) };
        let asked = asked_times(&file)?;
        latest = asked.map_or(latest, |(_first, last)| latest.max(last));
        let reach = keep.0.saturating_add(MARGIN);
        let enough = asked.is_some_and(|(first, _last)| first.saturating_add(reach) < latest);
        if from <= 1 || enough && from < segment {
            return Ok(from);
        }
        let before = path(dir, from.saturating_sub(1));
        if !before.exists() {
            let moved_away = || !(1..from).any(|older| path(dir, older).exists());
            if enough || asked.is_none() && from < segment && moved_away() {
                return Ok(from);
            }
            return Err(LedgerError::Missing(before));
        }
        from = from.saturating_sub(1);
    }
}

/// The earliest and the latest time of a file's whole lines about requests; `None` if there is none.
fn asked_times(path: &Path) -> Result<Option<(u64, u64)>, LedgerError> {
    let octets = std::fs::read(path).map_err(|source| io_error(path, source))?;
    let time = |line: &[u8]| {
        let text = str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let mut words = text.split(' ').skip(1);
        let time = words.next()?.parse::<u64>().ok()?;
        (words.next() == Some("asked")).then_some(time)
    };
    let times = octets.split_inclusive(|octet| *octet == b'\n').filter_map(time);
    let both = |known: Option<(u64, u64)>, time: u64| {
        Some(known.map_or((time, time), |(first, last)| (first.min(time), last.max(time))))
    };
    Ok(times.fold(None, both))
}

/// The number that a file's first line says.
pub(super) fn first_segment(path: &Path) -> Result<u64, LedgerError> {
    let mut octets = Vec::new();
    let mut start = BufReader::new(open(path)?.take(limit()));
    start.read_until(b'\n', &mut octets).map_err(|source| io_error(path, source))?;
    let broken = |flaw| LedgerError::Broken { path: path.to_owned(), line: 1, flaw };
    let text = octets.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok());
    let line = Line::parse(text.ok_or_else(|| broken(Flaw::First))?);
    let line = line.map_err(|why| broken(Flaw::Words(why)))?;
    line.segment().ok_or_else(|| broken(Flaw::First))
}

/// How much of a file one line may be.
fn limit() -> u64 {
    u64::try_from(LINE_MAX).unwrap_or(u64::MAX)
}

/// Walks over the lines of one file; each is judged by `chain`, then given with its number in the file.
///
/// # Errors
/// [`LedgerError::Broken`] at the first flaw, [`LedgerError::Io`] if the file cannot be read.
pub fn walk(
    path: &Path,
    segment: u64,
    chain: &mut Chain,
    each: impl FnMut(&Line, usize) -> Result<(), Flaw>,
) -> Result<Found, LedgerError> {
    chain.enter(segment);
    lines(&mut BufReader::new(open(path)?), path, segment, chain, each)
}

/// Walks over the lines of one file's content.
///
/// # Errors
/// As [`walk`].
pub fn lines(
    reader: &mut impl BufRead,
    path: &Path,
    segment: u64,
    chain: &mut Chain,
    mut each: impl FnMut(&Line, usize) -> Result<(), Flaw>,
) -> Result<Found, LedgerError> {
    let mut found = Found { segment, ..Found::default() };
    let mut octets = Vec::with_capacity(LINE_MAX);
    for number in 1_usize.. {
        let broken = |flaw| LedgerError::Broken { path: path.to_owned(), line: number, flaw };
        octets.clear();
        reader
            .by_ref()
            .take(limit())
            .read_until(b'\n', &mut octets)
            .map_err(|source| io_error(path, source))?;
        let len = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        let Some(line) = octets.strip_suffix(b"\n") else {
            if octets.len() >= LINE_MAX {
                return Err(broken(Flaw::Words("it is too long")));
            }
            found.torn = len;
            if number == 1 {
                return Err(broken(Flaw::First));
            }
            break;
        };
        let text = str::from_utf8(line).map_err(|_octets| broken(Flaw::Words("it is not text")))?;
        let line = chain.take(text, number == 1).map_err(broken)?;
        each(&line, number).map_err(broken)?;
        found.whole = found.whole.saturating_add(len);
        if chain.is_repeating() {
            found.repeated = found.whole;
        }
    }
    Ok(found)
}

/// Refuses a file with an unfinished last line where there must be none.
///
/// # Errors
/// [`LedgerError::Broken`] if it has one.
pub fn refuse_torn(path: &Path, found: &Found) -> Result<(), LedgerError> {
    if found.torn == 0 {
        return Ok(());
    }
    let whole = std::fs::read(path).map_err(|source| io_error(path, source))?;
    let line = whole.iter().filter(|octet| **octet == b'\n').count().saturating_add(1);
    Err(LedgerError::Broken {
        path: path.to_owned(),
        line,
        flaw: Flaw::Words("it has no line end: it was cut, by a crash or by hand"),
    })
}

/// The first `len` octets of a file whose last line must have the hash `head`.
pub(super) fn good_part(path: &Path, segment: u64, len: u64, head: Head) -> Result<Vec<u8>, LedgerError> {
    let mut octets = Vec::new();
    open(path)?.take(len).read_to_end(&mut octets).map_err(|source| io_error(path, source))?;
    let mut chain = Chain::default();
    chain.enter(segment);
    let found = lines(&mut octets.as_slice(), path, segment, &mut chain, |_line, _number| Ok(()))?;
    if found.whole == len && chain.head() == head {
        return Ok(octets);
    }
    Err(io_error(path, io::Error::other("it has lost lines that were on the disk")))
}

/// Walks over a file that an interrupted change of files has left as the newest, after the lines that `chain` has taken.
pub(super) fn adopt(path: &Path, segment: u64, chain: &mut Chain) -> Result<Found, LedgerError> {
    let found = walk(path, segment, chain, |_line, _number| Ok(()))?;
    refuse_torn(path, &found)?;
    Ok(found)
}

/// Gives a file a second name. What an interrupted try left there goes first, but nothing that is not in the file itself.
pub(super) fn link_anew(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::read(to) {
        Ok(there) if std::fs::read(from)?.starts_with(&there) => std::fs::remove_file(to)?,
        Ok(_foreign) => {
            let why =
                format!("{} is in the way and of another ledger: move it to a safe place", to.display());
            return Err(io::Error::other(why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::hard_link(from, to)
}

/// A file of a ledger that is not its newest, if there is one.
pub(super) fn any_older(dir: &Path) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(FILE)?.strip_prefix('.'));
        if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Opens a file of the ledger.
fn open(path: &Path) -> Result<File, LedgerError> {
    File::open(path).map_err(|source| io_error(path, source))
}

/// A failed read.
fn io_error(path: &Path, source: io::Error) -> LedgerError {
    if source.kind() == io::ErrorKind::NotFound {
        return LedgerError::Missing(path.to_owned());
    }
    LedgerError::Io { path: path.to_owned(), what: "read", source }
}
