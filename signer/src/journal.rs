//! The record of certified keys, `journal` in the state directory; the only place that reads or writes it.
//!
//! One line per key: `v1 <onion> <period> <minutes> <key hex> <time>`, appended and fsynced before the certificate leaves.
//! A file that does not exist is an error here: only the key commands and `serve --new-journal`
//! create it, so that a lost journal is noticed.

use crate::error::{Explain, Kind};
use crate::state;
use data_encoding::HEXLOWER;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodLength, PeriodNumber, TimePeriod, UnixTime};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
const FILE: &str = "journal";
/// The file that is locked while a signer uses the journal.
const LOCK: &str = "lock";
/// Starts the first line.
const HEAD: &str = "onionkeep-signer journal v1";
/// The largest journal that is read, in octets: far above what pruning leaves.
const MAX_LEN: u64 = 16 << 20;
/// Entries of periods that ended longer ago than this many periods are dropped when the journal is opened.
const KEEP_PERIODS: u64 = 10;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It is not there.
    #[error("the journal {} is missing; a signer that forgets its keys could certify one twice", .0.display())]
    Missing(PathBuf),
    /// It is there already.
    #[error("the journal {} exists already", .0.display())]
    Exists(PathBuf),
    /// Another signer uses it.
    #[error("another signer is using the journal {}", .0.display())]
    InUse(PathBuf),
    /// Reading or writing failed.
    #[error("the journal {} cannot be {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A line cannot be read.
    #[error("line {line} of the journal {} is broken: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Explain for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) | Self::Broken { .. } => Kind::Ledger,
            Self::Exists(_) | Self::InUse(_) | Self::Io { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Missing(_) => {
                "restore it from a backup; key new and key import make it with the first key; \
                 serve --new-journal starts an empty one, which knows nothing of the keys before"
            }
            Self::Broken { .. } => "restore the journal from a backup, or correct the line by hand",
            Self::InUse(_) => "stop the other signer first",
            Self::Exists(_) => "",
            Self::Io { .. } => "check state_dir, its owner and the free space",
        };
        hint.to_owned()
    }
}

/// One certified key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The frontend.
    pub onion: OnionAddress,
    /// The period that the key was certified for.
    pub period: TimePeriod,
    /// The certified key.
    pub key: DescSigningKey,
    /// When it was first certified.
    pub time: UnixTime,
}

impl Entry {
    /// The entry's line, with its line end.
    fn to_line(self) -> String {
        let key = HEXLOWER.encode(self.key.as_bytes());
        let minutes = self.period.length.minutes();
        format!("v1 {} {} {minutes} {key} {}\n", self.onion.bare(), self.period.number, self.time.0)
    }

    /// Reads a line.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or("it has fewer than 6 words");
        if word()? != "v1" {
            return Err("it is not of version v1");
        }
        let onion = word()?.parse().map_err(|_address| "the onion address is not good")?;
        let number = word()?.parse().map_err(|_number| "the period number is no number")?;
        let minutes = word()?.parse().map_err(|_number| "the period length is no number")?;
        let length = PeriodLength::new(minutes).ok_or("the period length is out of range")?;
        let key = HEXLOWER.decode(word()?.as_bytes()).map_err(|_hex| "the key is not hex")?;
        let key = key.try_into().map_err(|_length| "the key has not 32 octets")?;
        let key = DescSigningKey::from_bytes(key).map_err(|_point| "the key is no ed25519 key")?;
        let time = UnixTime(word()?.parse().map_err(|_number| "the time is no number")?);
        if words.next().is_some() {
            return Err("it has more than 6 words");
        }
        Ok(Self { onion, period: TimePeriod { number: PeriodNumber(number), length }, key, time })
    }
}

/// The open journal: all entries in memory, the file ready for the next.
#[derive(Debug)]
pub struct Journal {
    /// The file's path.
    path: PathBuf,
    /// The open file, at its end.
    file: File,
    /// Octets of whole lines in the file.
    len: u64,
    /// Set after a failed write that may have left something behind: the next record writes the file anew.
    doubtful: bool,
    /// What it says.
    entries: Vec<Entry>,
    /// Locked for as long as this lives.
    _lock: File,
}

impl Journal {
    /// Makes an empty journal.
    ///
    /// # Errors
    /// [`JournalError::Exists`] if there is one, [`JournalError::Io`] if it cannot be written.
    pub fn create(state_dir: &Path) -> Result<(), JournalError> {
        let path = state_dir.join(FILE);
        if path.exists() {
            return Err(JournalError::Exists(path));
        }
        state::replace(state_dir, FILE, format!("{HEAD}\n").as_bytes()).map_err(|source| JournalError::Io {
            path,
            what: "created",
            source,
        })
    }

    /// Whether there is a journal, good or not.
    #[must_use]
    pub fn exists(state_dir: &Path) -> bool {
        state_dir.join(FILE).exists()
    }

    /// Locks and reads the journal, drops a last line that a crash cut short, and prunes periods long past `current`.
    ///
    /// A cut last line was never answered for: the answer waits for the fsync of the whole line.
    ///
    /// # Errors
    /// [`JournalError`] if it is missing, in use, unreadable, or has a broken line other than a cut last one.
    pub fn open(state_dir: &Path, current: PeriodNumber) -> Result<Self, JournalError> {
        let path = state_dir.join(FILE);
        let fail = |what| {
            let path = path.clone();
            move |source: io::Error| {
                if source.kind() == io::ErrorKind::NotFound {
                    return JournalError::Missing(path);
                }
                JournalError::Io { path, what, source }
            }
        };
        let mut octets = Vec::new();
        let file = File::open(&path).map_err(fail("opened"))?;
        let lock = lock(state_dir)?;
        file.take(MAX_LEN).read_to_end(&mut octets).map_err(fail("read"))?;
        let text = text(&path, &octets)?;
        let mut entries = parse(&path, text)?;
        // Not further than the newest entry allows: a clock that runs ahead for a moment must not empty the journal.
        let newest = entries.iter().map(|entry| entry.period.number).max().unwrap_or(current).min(current);
        entries.retain(|entry| entry.period.number.0.saturating_add(KEEP_PERIODS) >= newest.0);
        let whole = whole(&entries);
        if whole.as_bytes() != octets {
            state::replace(state_dir, FILE, whole.as_bytes()).map_err(fail("rewritten"))?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(fail("opened for writing"))?;
        let len = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        Ok(Self { path, file, len, doubtful: false, entries, _lock: lock })
    }

    /// Everything that was certified and is not pruned.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The latest time that was recorded; the clock must not be behind it.
    #[must_use]
    pub fn latest(&self) -> UnixTime {
        self.entries.iter().map(|entry| entry.time).max().unwrap_or(UnixTime(0))
    }

    /// Records an entry durably; on failure the file is cut back to its last whole line.
    ///
    /// # Errors
    /// [`JournalError::Io`] if the line is not on the disk: then nothing may be answered.
    pub fn record(&mut self, entry: Entry) -> Result<(), JournalError> {
        let ready = if self.doubtful { self.write_anew() } else { Ok(()) };
        ready.and_then(|()| self.append(&entry.to_line())).map_err(|source| JournalError::Io {
            path: self.path.clone(),
            what: "written",
            source,
        })?;
        self.entries.push(entry);
        Ok(())
    }

    /// Appends a line and waits for the disk.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // After a failed fsync nobody knows what is on the disk, even if cutting back seems to work.
            let cut = self.file.set_len(self.len).and_then(|()| self.file.sync_data());
            self.doubtful = cut.is_err() || error.kind() != io::ErrorKind::StorageFull;
            return Err(error);
        }
        self.len = self.len.saturating_add(u64::try_from(line.len()).unwrap_or(0));
        Ok(())
    }

    /// Makes every append fail, as a full disk does.
    #[cfg(test)]
    pub(crate) fn break_writing_for_test(&mut self) {
        self.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    }

    /// Writes the whole file anew from memory.
    fn write_anew(&mut self) -> io::Result<()> {
        let whole = whole(&self.entries);
        let state_dir = self.path.parent().unwrap_or(Path::new("/"));
        state::replace(state_dir, FILE, whole.as_bytes())?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.len = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        self.doubtful = false;
        Ok(())
    }
}

/// The whole text of a journal.
fn whole(entries: &[Entry]) -> String {
    let lines: String = entries.iter().map(|entry| entry.to_line()).collect();
    format!("{HEAD}\n{lines}")
}

/// Locks the state directory for this process.
fn lock(state_dir: &Path) -> Result<File, JournalError> {
    let path = state_dir.join(LOCK);
    let fail = |source| JournalError::Io { path: path.clone(), what: "locked", source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    state::give_to_owner(state_dir, &file).map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse(state_dir.join(FILE))),
        Err(error) => Err(fail(error.into())),
    }
}

/// The octets up to the last line end as text.
fn text<'o>(path: &Path, octets: &'o [u8]) -> Result<&'o str, JournalError> {
    let end = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at.saturating_add(1));
    let lines = octets.get(..end).unwrap_or_default();
    std::str::from_utf8(lines).map_err(|error| {
        let good = lines.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|octet| **octet == b'\n').count().saturating_add(1);
        JournalError::Broken { path: path.to_owned(), line, why: "it is not text" }
    })
}

/// Reads all lines; a last line without a line end is left out.
fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, JournalError> {
    let broken = |line: usize, why| JournalError::Broken { path: path.to_owned(), line, why };
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).enumerate();
    match lines.next() {
        Some((_first, HEAD)) => {}
        _ => return Err(broken(1, "it does not say what file this is")),
    }
    lines
        .map(|(index, line)| Entry::parse(line).map_err(|why| broken(index.saturating_add(1), why)))
        .collect()
}

#[cfg(test)]
mod tests;
