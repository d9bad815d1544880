//! The device's own log: how its entries are chained, what is missing, and the durable record of them.
//!
//! The device keeps 62 entries of 32 octets: number, command, length, three objects, result, tick, and the first 16 octets
//! of SHA-256 over the other 16 octets and the digest before. With forced auditing it stops when they are full. An entry is
//! freed on the device only after [`LogSink::append`] has returned.

use crate::ledger::device_log::DeviceLog;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;

pub mod file;

/// The command number of the entry with which a device's log starts.
const GENESIS: u8 = 0xff;
/// The library writes the error result `e` of a log entry as this number less `e`.
const ERROR_BASE: u8 = 0x75;

/// One entry of the device's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u16,
    /// The command.
    pub command: u8,
    /// Octets of the command.
    pub length: u16,
    /// The authentication key of the session.
    pub key: u16,
    /// The object.
    pub target: u16,
    /// The second object.
    pub second: u16,
    /// The result: command with the top bit set, or an error.
    pub result: u8,
    /// The device's clock.
    pub tick: u32,
    /// Over this entry and the digest before.
    pub digest: [u8; 16],
}

/// Where the chain goes on: number and digest of the last entry on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The entry's number.
    pub number: u16,
    /// The entry's digest.
    pub digest: [u8; 16],
}

/// Everything in the device's log store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Starts of the device that could not be logged.
    pub(super) unlogged_boots: u16,
    /// Log-ins that could not be logged.
    pub(super) unlogged_logins: u16,
    /// The entries, oldest first.
    pub(super) entries: Vec<Entry>,
}

/// What is put on record. All but [`Record::Entry`] are alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An entry that follows the one before.
    Entry(Entry),
    /// The next entry does not follow the last one on record: some were lost, or freed by somebody else.
    Gap {
        /// The last number on record.
        last: Option<u16>,
        /// The number that came.
        next: u16,
    },
    /// Within one answer the digest of the next entry is wrong.
    Broken {
        /// Its number.
        number: u16,
    },
    /// Events that the device could not log.
    Unlogged {
        /// Its starts.
        boots: u16,
        /// Log-ins.
        logins: u16,
    },
}

/// Where the device's log is put on record.
pub trait LogSink: Send {
    /// The last entry on record.
    ///
    /// # Errors
    /// What the system says.
    fn last(&mut self) -> io::Result<Option<Link>>;

    /// How much is on record.
    ///
    /// # Errors
    /// What the system says.
    fn head(&mut self) -> io::Result<DeviceLog>;

    /// Puts on record; durable when it returns.
    ///
    /// # Errors
    /// What the system says; then nothing may be freed on the device.
    fn append(&mut self, records: &[Record]) -> io::Result<()>;
}

impl Record {
    /// Whether somebody must look.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        !matches!(self, Self::Entry(_))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(entry) => write!(f, "{entry}"),
            Self::Gap { last: Some(last), next } => write!(f, "gap last={last} next={next}"),
            Self::Gap { last: None, next } => write!(f, "gap last=none next={next}"),
            Self::Broken { number } => write!(f, "broken number={number}"),
            Self::Unlogged { boots, logins } => write!(f, "unlogged boots={boots} logins={logins}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, command, length, key, target, second, result, tick, digest } = self;
        write!(f, "entry number={number} command={command:02x} length={length} key={key:04x} ")?;
        write!(f, "target={target:04x} second={second:04x} result={result:02x} tick={tick} digest=")?;
        digest.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Entry {
    /// Its number and digest.
    pub(super) const fn link(&self) -> Link {
        Link { number: self.number, digest: self.digest }
    }

    /// The digest that this entry must have after another.
    pub(super) fn digest_after(&self, previous: &[u8; 16]) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.number.to_be_bytes());
        hash.update([self.command]);
        for field in [self.length, self.key, self.target, self.second] {
            hash.update(field.to_be_bytes());
        }
        hash.update([self.result]);
        hash.update(self.tick.to_be_bytes());
        hash.update(previous);
        let mut digest = [0; 16];
        for (octet, from) in digest.iter_mut().zip(hash.finalize()) {
            *octet = from;
        }
        digest
    }

    /// This entry as the device logged it, if it follows `previous`; an error's result may have been read in another form.
    fn after(&self, previous: &[u8; 16]) -> Option<Self> {
        let other = ERROR_BASE.checked_sub(self.result).map(|result| Self { result, ..self.clone() });
        [Some(self.clone()), other].into_iter().flatten().find(|it| it.digest_after(previous) == it.digest)
    }
}

/// What is to be put on record of a page, after what is on record already.
pub(super) fn judge(last: Option<Link>, page: &Page) -> Vec<Record> {
    let known = last.and_then(|last| page.entries.iter().position(|entry| entry.link() == last));
    let new = page.entries.iter().skip(known.map_or(0, |index| index.saturating_add(1)));
    let (mut previous, mut first, mut records) = (last, known.is_none(), Vec::new());
    for entry in new {
        let follows = previous.and_then(|previous| entry.after(&previous.digest));
        let genesis = previous.is_none() && entry.number == 1 && entry.command == GENESIS;
        if follows.is_none() && !genesis {
            records.push(if first {
                Record::Gap { last: last.map(|last| last.number), next: entry.number }
            } else {
                Record::Broken { number: entry.number }
            });
        }
        records.push(Record::Entry(follows.unwrap_or_else(|| entry.clone())));
        (previous, first) = (Some(entry.link()), false);
    }
    records
}

#[cfg(test)]
mod tests;
