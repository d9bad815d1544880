//! The record of every decision, `ledger` in the state directory; together with `ledger/` the only place that writes it.
//!
//! Append-only text, one line a decision, each line with a hash over itself and the line before, fsynced before anything
//! is answered. A file that does not exist is an error: only `onionkeep-signer init` makes it, so that a lost ledger
//! is noticed. To the octet: `docs/LEDGER.md`.

use crate::audit_key::{AuditKey, AuditKeyError, AuditSignature};
use crate::careful;
use crate::error::Explain as _;
use crate::log::{Level, line as log_line};
use crate::state;
use onionkeep_common::UnixTime;
use rustix::fs::{FlockOperation, flock};
use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub mod ceremonies;
pub mod chain;
pub mod custody;
pub mod device_log;
pub mod error;
pub mod event;
mod further;
pub mod line;
pub mod memory;
pub mod refusals;
pub mod segments;
pub mod verify;

pub use custody::{BackupMade, Custody, Serial};
pub use error::LedgerError;
pub use event::{Denied, Event, Requested, Slot};
pub use line::{Head, Line};
pub use memory::{Keep, Memory};

use chain::Chain;
use device_log::DeviceLog;
use segments::FILE;

/// The file that is locked while a signer uses the ledger.
const LOCK: &str = "lock";
/// A file that has grown by this many octets, beside what it repeats, is followed by the next one.
const SEGMENT_MAX: u64 = 4 << 20;
/// Lines after which a checkpoint is due.
const CHECKPOINT_EVERY: u64 = 64;

/// The open ledger: the file ready for the next line, the last days in memory.
#[derive(Debug)]
pub struct Ledger {
    /// The state directory.
    dir: PathBuf,
    /// The open file, at its end.
    file: File,
    /// Octets of whole lines in the file.
    len: u64,
    /// Octets of the lines that it repeats from the files before.
    repeated: u64,
    /// How many octets more there may be before the next file is begun.
    segment_max: u64,
    /// The number of the file.
    segment: u64,
    /// Set after a failed write that may have left something behind: the file is written anew before the next line.
    doubtful: bool,
    /// The last line's number.
    seq: u64,
    /// The last line's hash.
    head: Head,
    /// The audit key.
    key: AuditKey,
    /// Lines that no checkpoint covers.
    uncovered: u64,
    /// Octets of an unfinished line that opening cut off.
    cut: u64,
    /// What it says.
    memory: Memory,
    /// Locked for as long as this lives.
    _lock: File,
}

impl Ledger {
    /// Makes a ledger that says who signs its checkpoints.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if there is one, [`LedgerError::Headless`] if there are older files of one,
    /// [`LedgerError::Io`] if it cannot be written.
    pub fn create(state_dir: &Path, key: AuditKey, now: UnixTime) -> Result<Head, LedgerError> {
        let path = state_dir.join(FILE);
        let _lock = lock(state_dir)?;
        Self::must_be_absent(state_dir)?;
        let line = Line::new(Head::START, 1, now, Event::Init { key });
        state::replace(state_dir, FILE, line.to_text().as_bytes()).map_err(failed(&path, "created"))?;
        Ok(line.head)
    }

    /// Makes sure that there is no ledger, and no older file of one: a new ledger beside it would know nothing that it says.
    ///
    /// # Errors
    /// As [`Ledger::create`].
    pub fn must_be_absent(state_dir: &Path) -> Result<(), LedgerError> {
        let path = state_dir.join(FILE);
        if Self::exists(state_dir) {
            return Err(LedgerError::Exists(path));
        }
        let older = segments::any_older(state_dir).map_err(failed(&path, "looked for"))?;
        older.map_or(Ok(()), |older| Err(LedgerError::Headless(older)))
    }

    /// Whether there is a ledger, good or not.
    #[must_use]
    pub fn exists(state_dir: &Path) -> bool {
        state_dir.join(FILE).exists()
    }

    /// Locks and reads the ledger as far back as `keep` says, and cuts off a last line that a crash left unfinished.
    ///
    /// Such a line was never answered for: the answer waits for the fsync of the whole line.
    ///
    /// # Errors
    /// [`LedgerError`] if it is missing, in use, unreadable, or has a broken line.
    pub fn open(state_dir: &Path, keep: Keep) -> Result<Self, LedgerError> {
        let path = state_dir.join(FILE);
        if !Self::exists(state_dir) {
            return Err(LedgerError::Missing(path));
        }
        let lock = lock(state_dir)?;
        let (mut chain, mut memory, mut uncovered) = (Chain::default(), Memory::new(keep), 0_u64);
        let read = segments::replay(state_dir, keep, &mut chain, |line| {
            let covered = matches!(line.event, Event::Checkpoint { .. });
            uncovered = if covered { 0 } else { uncovered.saturating_add(1) };
            memory.learn(line);
        })?;
        let file =
            OpenOptions::new().append(true).open(&path).map_err(failed(&path, "opened for writing"))?;
        if read.torn > 0 {
            file.set_len(read.whole).and_then(|()| file.sync_all()).map_err(failed(&path, "cut"))?;
        }
        let key = chain.key().ok_or_else(|| LedgerError::Missing(path.clone()))?;
        Ok(Self {
            dir: state_dir.to_owned(),
            file,
            len: read.whole,
            repeated: read.repeated,
            segment_max: SEGMENT_MAX,
            segment: read.segment,
            doubtful: false,
            seq: chain.last(),
            head: chain.head(),
            key,
            uncovered,
            cut: read.torn,
            memory,
            _lock: lock,
        })
    }

    /// What a ledger says about the last days, without locking it: a signer may be writing it meanwhile.
    ///
    /// # Errors
    /// [`LedgerError`] if it is missing or broken.
    pub fn peek(state_dir: &Path, keep: Keep) -> Result<Memory, LedgerError> {
        if !Self::exists(state_dir) {
            return Err(LedgerError::Missing(state_dir.join(FILE)));
        }
        let mut memory = Memory::new(keep);
        segments::replay(state_dir, keep, &mut Chain::default(), |line| memory.learn(line))?;
        Ok(memory)
    }

    /// What it says about the last days.
    #[must_use]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The key by which checkpoints are signed.
    #[must_use]
    pub const fn key(&self) -> AuditKey {
        self.key
    }

    /// Number and hash of the last line.
    #[must_use]
    pub const fn head(&self) -> (u64, Head) {
        (self.seq, self.head)
    }

    /// Octets of an unfinished line that opening cut off.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    /// Whether a checkpoint is due.
    #[must_use]
    pub const fn wants_checkpoint(&self) -> bool {
        self.uncovered >= CHECKPOINT_EVERY
    }

    /// Records how much of the token's own log there is, unless the latest such line says so already.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn note_device_log(&mut self, now: UnixTime, log: DeviceLog) -> Result<(), LedgerError> {
        let known = self.memory.device_log();
        if known == Some((log.count, log.head)) {
            return Ok(());
        }
        if let Some((count, _head)) = known.filter(|(count, _head)| *count >= log.count) {
            // Not refused: the token serves, and the line that follows is for the auditor.
            let fields: [(&str, &dyn fmt::Display); 2] = [("lines", &log.count), ("recorded", &count)];
            log_line(Level::Error, "device-log-changed", &fields);
        }
        self.append(now, Event::DeviceLog { count: log.count, head: log.head }).map(drop)
    }

    /// Records an event durably, and gives its line's number.
    ///
    /// # Errors
    /// [`LedgerError::Io`] if the line is not on the disk: then nothing may be answered. The next call tries to mend
    /// the file first, so that the ledger goes on by itself when the disk does.
    pub fn append(&mut self, now: UnixTime, event: Event) -> Result<u64, LedgerError> {
        self.append_all(now, [event])
    }

    /// Records events that belong together, and gives the last line's number.
    ///
    /// An error records none of them; a power cut may leave some: whoever needs all looks at what is known after a start.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all(
        &mut self,
        now: UnixTime,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<u64, LedgerError> {
        self.be_sound()?;
        // What is repeated counts for nothing: it would make each file full from the start.
        if self.len.saturating_sub(self.repeated) > self.segment_max {
            self.rotate(now)?;
        }
        self.add(now, events)
    }

    /// Mends the file if it is in doubt.
    fn be_sound(&mut self) -> Result<(), LedgerError> {
        if self.doubtful { self.mend() } else { Ok(()) }
    }

    /// Writes lines into the file as it is.
    fn add(&mut self, now: UnixTime, events: impl IntoIterator<Item = Event>) -> Result<u64, LedgerError> {
        let (mut seq, mut head) = (self.seq, self.head);
        let next = |event| {
            seq = seq.saturating_add(1);
            let line = Line::new(head, seq, now, event);
            head = line.head;
            line
        };
        let lines: Vec<_> = events.into_iter().map(next).collect();
        let text: String = lines.iter().map(Line::to_text).collect();
        self.write(&text).map_err(failed(&self.dir.join(FILE), "written"))?;
        lines.iter().for_each(|line| self.went_on(line));
        Ok(self.seq)
    }

    /// Whether the token's audit key is the one that this ledger names.
    ///
    /// # Errors
    /// [`LedgerError::OtherKey`] if it is another.
    pub fn must_name(&self, key: AuditKey) -> Result<(), LedgerError> {
        if self.key == key {
            return Ok(());
        }
        Err(LedgerError::OtherKey { named: self.key.to_string(), found: key.to_string() })
    }

    /// Records a checkpoint, if its signature is by the audit key.
    ///
    /// It never begins a further file: what that repeats would stand between the checkpoint and the line that it covers.
    ///
    /// # Errors
    /// Why it is not recorded. A line that is too far back by now must be followed by a signature of the newest one.
    pub fn checkpoint(
        &mut self,
        now: UnixTime,
        seq: u64,
        head: Head,
        signature: AuditSignature,
    ) -> Result<(), String> {
        match self.key.verify(event::checkpoint_text(seq, head).as_bytes(), &signature) {
            // A program without P-256 records what it cannot check; an auditor checks it.
            Ok(()) | Err(AuditKeyError::NoP256) => {}
            Err(why) => return Err(why.to_string()),
        }
        self.be_sound().map_err(|error| error.in_full())?;
        if !chain::reaches(self.seq, seq) {
            let last = self.seq;
            return Err(format!(
                "line {seq} is too far before the last one, {last}: that one is to be signed"
            ));
        }
        let recorded = self.add(now, [Event::Checkpoint { seq, head, signature }]);
        recorded.map(drop).map_err(|error| error.in_full())
    }

    /// Notes a line that is on the disk.
    fn went_on(&mut self, line: &Line) {
        let covered = matches!(line.event, Event::Checkpoint { .. });
        self.uncovered = if covered { 0 } else { self.uncovered.saturating_add(1) };
        (self.seq, self.head) = (line.seq, line.head);
        if let Event::Rekey { key } = line.event {
            self.key = key;
        }
        self.memory.learn(line);
    }

    /// Appends whole lines and waits for the disk; on failure the file is cut back to the line before them.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // After a failed fsync nobody knows what is on the disk, even if cutting back seems to work.
            let cut = self.file.set_len(self.len).and_then(|()| self.file.sync_data());
            self.doubtful = cut.is_err() || error.kind() != io::ErrorKind::StorageFull;
            return Err(error);
        }
        self.len = self.len.saturating_add(octets(text));
        Ok(())
    }

    /// Makes every write fail, as a full disk does, until the file is opened anew.
    #[cfg(test)]
    pub(crate) fn break_writing_for_test(&mut self) {
        self.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    }

    /// Begins a new file after fewer octets.
    #[cfg(test)]
    pub(crate) fn rotate_after_for_test(&mut self, octets: u64) {
        self.segment_max = octets;
    }
}

/// The length of a text, as files count it.
fn octets(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// Opens a file at its end.
fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Turns what the system says into an error about a file.
fn failed(path: &Path, what: &'static str) -> impl Fn(io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Io { path: path.clone(), what, source }
}

/// Locks the state directory for this process. Only its owner can open the lock: no other local user keeps a signer from it.
fn lock(state_dir: &Path) -> Result<File, LedgerError> {
    let path = state_dir.join(LOCK);
    let fail = failed(&path, "locked");
    let file = careful::open_or_make(&path, OpenOptions::new().write(true).mode(0o600)).map_err(&fail)?;
    let found = file.metadata().map_err(&fail)?;
    if found.mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(&fail)?;
    }
    // A file that has another name too may be anybody's.
    if found.nlink() == 1 {
        state::give_to_owner(state_dir, &file).map_err(&fail)?;
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LedgerError::InUse(state_dir.join(FILE))),
        Err(error) => Err(fail(error.into())),
    }
}

#[cfg(test)]
mod tests;
