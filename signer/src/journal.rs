//! The record of certified keys, `journal` in the state directory; the only place that reads or writes it.
//!
//! One line per key: `v1 <onion> <period> <minutes> <key hex> <time>`, appended and fsynced before the certificate leaves.
//! A file that does not exist is an error here: only the key commands create it, so that a lost journal is noticed.

use data_encoding::HEXLOWER;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodLength, PeriodNumber, TimePeriod, UnixTime};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name in the state directory.
const FILE: &str = "journal";
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
    #[error("the journal {0} is missing; a signer that forgets its keys could certify one twice")]
    Missing(PathBuf),
    /// It is there already.
    #[error("the journal {0} exists already")]
    Exists(PathBuf),
    /// Reading or writing failed.
    #[error("the journal {path} cannot be {what}")]
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
    #[error("line {line} of the journal {path} is broken: {why}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
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
    /// What it says.
    entries: Vec<Entry>,
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
        replace(&path, &format!("{HEAD}\n")).map_err(|source| JournalError::Io { path, what: "created", source })
    }

    /// Whether there is a journal, good or not.
    #[must_use]
    pub fn exists(state_dir: &Path) -> bool {
        state_dir.join(FILE).exists()
    }

    /// Reads the journal, drops a last line that a crash cut short, and prunes periods long past `current`.
    ///
    /// A cut last line was never answered for: the answer waits for the fsync of the whole line.
    ///
    /// # Errors
    /// [`JournalError`] if it is missing, unreadable, or has a broken line other than a cut last one.
    pub fn open(state_dir: &Path, current: PeriodNumber) -> Result<Self, JournalError> {
        let path = state_dir.join(FILE);
        let fail = |what| {
            let path = path.clone();
            move |source: io::Error| match source.kind() {
                io::ErrorKind::NotFound => JournalError::Missing(path),
                _ => JournalError::Io { path, what, source },
            }
        };
        let mut text = String::new();
        let file = File::open(&path).map_err(fail("opened"))?;
        file.take(MAX_LEN).read_to_string(&mut text).map_err(fail("read"))?;
        let mut entries = parse(&path, &text)?;
        // Not further than the newest entry allows: a clock that runs ahead for a moment must not empty the journal.
        let newest = entries.iter().map(|entry| entry.period.number).max().unwrap_or(current).min(current);
        entries.retain(|entry| entry.period.number.0.saturating_add(KEEP_PERIODS) >= newest.0);
        let whole: String = entries.iter().map(|entry| entry.to_line()).collect();
        let whole = format!("{HEAD}\n{whole}");
        if whole != text {
            replace(&path, &whole).map_err(fail("rewritten"))?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(fail("opened for writing"))?;
        Ok(Self { path, file, len: u64::try_from(whole.len()).unwrap_or(u64::MAX), entries })
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
        let line = entry.to_line();
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            let what = match self.file.set_len(self.len) {
                Ok(()) => "written",
                Err(_also) => "written, nor cut back to its last whole line",
            };
            return Err(JournalError::Io { path: self.path.clone(), what, source });
        }
        self.len = self.len.saturating_add(u64::try_from(line.len()).unwrap_or(0));
        self.entries.push(entry);
        Ok(())
    }
}

/// Reads all lines; a last line without a line end is left out.
fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, JournalError> {
    let broken = |line: usize, why| JournalError::Broken { path: path.to_owned(), line, why };
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).enumerate();
    match lines.next() {
        Some((_first, HEAD)) => {}
        _ => return Err(broken(1, "it does not say what file this is")),
    }
    lines.map(|(index, line)| Entry::parse(line).map_err(|why| broken(index.saturating_add(1), why))).collect()
}

/// Writes a file whole: a temporary one beside it, fsync, rename, fsync of the directory.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests;
