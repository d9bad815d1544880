//! Whether a line follows the one before: number, hash, and what may stand where. The only place that judges a ledger.

use super::event::{Event, checkpoint_text};
use super::line::{Head, Line};
use crate::audit_key::{AuditKey, AuditKeyError};
use onionkeep_common::UnixTime;
use std::collections::VecDeque;

/// How many lines a checkpoint may come after the line that it covers; those that a file repeats do not count.
const REACH: usize = 4096;

/// Whether a checkpoint after line `last` may cover line `seq`. Repeated lines count here: older programs read it too.
pub(super) fn reaches(last: u64, seq: u64) -> bool {
    let back = last.checked_sub(seq).and_then(|back| usize::try_from(back).ok());
    back.is_some_and(|back| back < REACH)
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It cannot be read.
    #[error("{0}")]
    Words(&'static str),
    /// Its number is not the next one.
    #[error("it has the number {found}, wanted is {wanted}: lines are missing, added or in another order")]
    Number {
        /// What it says.
        found: u64,
        /// What it must say.
        wanted: u64,
    },
    /// Its hash is another.
    #[error("its hash does not fit its words and the line before: one of them was changed")]
    Hash,
    /// The first line is no first line.
    #[error("a file of the ledger starts with a line of init or rotate")]
    First,
    /// A first line stands in the middle.
    #[error("init and rotate stand only in the first line of a file")]
    NotFirst,
    /// The file is another one than its place says.
    #[error("it starts file {found} of the ledger, wanted is file {wanted}")]
    Segment {
        /// What it says.
        found: u64,
        /// What it must say.
        wanted: u64,
    },
    /// It goes on after another line than the last one.
    #[error(
        "it does not go on where the file before ended: lines at the end of that file are missing or changed"
    )]
    Seam,
    /// The audit key changed.
    #[error("it names another audit key than {0}")]
    Key(&'static str),
    /// The checkpoint is about no line of this ledger.
    #[error("the checkpoint covers line {0}, whose hash is another or which is too far back")]
    Covers(u64),
    /// The checkpoint's signature.
    #[error("the checkpoint is not good: {0}")]
    Signature(AuditKeyError),
    /// The certificate does not belong to the line that it names.
    #[error("the certificate does not fit line {0}, which it names, or that line is not near")]
    Cert(u64),
}

/// Takes lines in order and judges each.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The last line's number; `None` before the first line.
    last: Option<u64>,
    /// The first line's number that was taken.
    from: u64,
    /// The last line's hash.
    head: Option<Head>,
    /// The number of the file.
    segment: u64,
    /// The audit key that the first line names.
    key: Option<AuditKey>,
    /// The keys that an auditor trusts; empty if checkpoints' signatures are not checked.
    trusted: Vec<AuditKey>,
    /// The hashes of the last lines, the newest last.
    recent: VecDeque<Head>,
    /// The last lines again, without those in the middle of what a file repeats.
    counted: VecDeque<(u64, Head)>,
    /// When the file's first line was written, as long as it is followed by nothing but what it repeats.
    repeating: Option<UnixTime>,
    /// The line that the last good checkpoint covers.
    covered: Option<u64>,
}

impl Chain {
    /// A chain that also checks the signatures of checkpoints, which must be by one of these keys.
    #[must_use]
    pub fn checking(trusted: Vec<AuditKey>) -> Self {
        Self { trusted, ..Self::default() }
    }

    /// A chain that goes on after a line.
    #[must_use]
    pub(super) fn after(seq: u64, head: Head, key: AuditKey) -> Self {
        Self { last: Some(seq), head: Some(head), from: seq, key: Some(key), ..Self::default() }
    }

    /// A file begins whose number must be `segment`.
    pub fn enter(&mut self, segment: u64) {
        self.segment = segment;
    }

    /// The number of the file.
    #[must_use]
    pub const fn segment(&self) -> u64 {
        self.segment
    }

    /// The last line's number, 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last.unwrap_or(0)
    }

    /// The last line's hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.unwrap_or(Head::START)
    }

    /// The audit key, once a first line was taken.
    #[must_use]
    pub const fn key(&self) -> Option<AuditKey> {
        self.key
    }

    /// The line that the last checkpoint covers.
    #[must_use]
    pub const fn covered(&self) -> Option<u64> {
        self.covered
    }

    /// Whether the last line is one that its file repeats from the files before, or the line that says so.
    #[must_use]
    pub(super) const fn is_repeating(&self) -> bool {
        self.repeating.is_some()
    }

    /// Judges the next line of a file; `first` says whether it is the file's first.
    ///
    /// # Errors
    /// The [`Flaw`]; nothing may be taken after that.
    pub fn take(&mut self, text: &str, first: bool) -> Result<Line, Flaw> {
        let line = Line::parse(text).map_err(Flaw::Words)?;
        let before = if first { self.first(&line)? } else { self.later(&line)? };
        let wanted = match self.last {
            Some(last) => last.saturating_add(1),
            // The first file that is looked at may be a later one: then its first number is taken as it is.
            None if self.segment > 1 => line.seq,
            None => 1,
        };
        if line.seq != wanted {
            return Err(Flaw::Number { found: line.seq, wanted });
        }
        if !line.follows(before) {
            return Err(Flaw::Hash);
        }
        if let Event::Rekey { key } = line.event {
            self.trust(key)?;
        }
        self.count(&line, first);
        self.checkpoint(&line)?;
        if self.last.is_none() {
            self.from = line.seq;
        }
        (self.last, self.head) = (Some(line.seq), Some(line.head));
        push(&mut self.recent, line.head);
        Ok(line)
    }

    /// Counts the line before `line`, unless both are repeated: nobody signs the middle of what is written at once.
    fn count(&mut self, line: &Line, first: bool) {
        let goes_on =
            self.repeating.filter(|since| *since == line.time && !first && is_repeatable(&line.event));
        if let (None, Some(last), Some(head)) = (goes_on, self.last, self.head) {
            push(&mut self.counted, (last, head));
        }
        let rotates = matches!(line.event, Event::Rotate { .. });
        self.repeating = if rotates { Some(line.time) } else { goes_on };
    }

    /// Judges a file's first line; the hash before it.
    fn first(&mut self, line: &Line) -> Result<Head, Flaw> {
        let (segment, head, key) = match &line.event {
            Event::Init { key } => (1, Head::START, *key),
            Event::Rotate { segment, head, key } => (*segment, *head, *key),
            Event::Rekey { .. }
            | Event::Start { .. }
            | Event::Asked { .. }
            | Event::Issued { .. }
            | Event::Refused { .. }
            | Event::Enrol { .. }
            | Event::Request(_)
            | Event::Key { .. }
            | Event::Bundle { .. }
            | Event::Deny(_)
            | Event::Backup(_)
            | Event::Custody(_)
            | Event::DeviceLog { .. }
            | Event::Checkpoint { .. } => return Err(Flaw::First),
        };
        if segment != self.segment {
            return Err(Flaw::Segment { found: segment, wanted: self.segment });
        }
        if self.head.is_some_and(|last| last != head) {
            return Err(Flaw::Seam);
        }
        if self.key.is_some_and(|known| known != key) {
            return Err(Flaw::Key("the file before does"));
        }
        self.trust(key)?;
        Ok(head)
    }

    /// Takes a key that a line names, if it is one of those that are trusted.
    fn trust(&mut self, key: AuditKey) -> Result<(), Flaw> {
        if !self.trusted.is_empty() && !self.trusted.contains(&key) {
            return Err(Flaw::Key("was given"));
        }
        self.key = Some(key);
        Ok(())
    }

    /// Judges a line that is not a file's first; the hash before it.
    fn later(&self, line: &Line) -> Result<Head, Flaw> {
        match line.event {
            Event::Init { .. } | Event::Rotate { .. } => Err(Flaw::NotFirst),
            Event::Rekey { .. }
            | Event::Start { .. }
            | Event::Asked { .. }
            | Event::Issued { .. }
            | Event::Refused { .. }
            | Event::Enrol { .. }
            | Event::Request(_)
            | Event::Key { .. }
            | Event::Bundle { .. }
            | Event::Deny(_)
            | Event::Backup(_)
            | Event::Custody(_)
            | Event::DeviceLog { .. }
            | Event::Checkpoint { .. } => Ok(self.head()),
        }
    }

    /// Judges a checkpoint: that it covers a line of this ledger, and, if wanted, its signature.
    fn checkpoint(&mut self, line: &Line) -> Result<(), Flaw> {
        let Event::Checkpoint { seq, head, signature } = &line.event else { return Ok(()) };
        // A line before the first that was looked at cannot be compared; the signature can.
        let before_all = *seq > 0 && *seq < self.from;
        if !before_all && self.near(*seq) != Some(head) {
            return Err(Flaw::Covers(*seq));
        }
        if let Some(key) = self.key.filter(|_key| !self.trusted.is_empty()) {
            key.verify(checkpoint_text(*seq, *head).as_bytes(), signature).map_err(Flaw::Signature)?;
        }
        self.covered = Some(*seq);
        Ok(())
    }

    /// The hash of a line that is not too far back.
    fn near(&self, seq: u64) -> Option<&Head> {
        let back = self.last().checked_sub(seq).and_then(|back| usize::try_from(back).ok());
        let at = back.and_then(|back| self.recent.len().checked_sub(back.saturating_add(1)));
        let recent = at.and_then(|at| self.recent.get(at));
        let counted = || self.counted.binary_search_by_key(&seq, |(line, _head)| *line).ok();
        recent.or_else(|| counted().and_then(|at| self.counted.get(at)).map(|(_line, head)| head))
    }
}

/// Adds the newest of the last [`REACH`] lines.
fn push<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() == REACH {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// Whether an event is one of those that a further file repeats, as [`super::Memory::repeated`] lists them.
const fn is_repeatable(event: &Event) -> bool {
    matches!(
        event,
        Event::Deny(_)
            | Event::Backup(_)
            | Event::DeviceLog { .. }
            | Event::Enrol { .. }
            | Event::Request(_)
            | Event::Key { .. }
            | Event::Bundle { .. }
    )
}

#[cfg(test)]
mod tests;
