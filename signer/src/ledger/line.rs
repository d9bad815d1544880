//! One line of the ledger and the hash that ties it to the line before; the only place with the line's frame.
//!
//! `SEQ TIME EVENT... HASH`, each separated by one blank. What an event's words are: `ledger/event.rs`.

use super::event::Event;
use data_encoding::HEXLOWER;
use onionkeep_common::UnixTime;
use sha3::{Digest as _, Sha3_256};
use std::fmt;
use std::str::FromStr;

/// Starts every hashed text, so that no other use of SHA3-256 gives the same hashes.
const DOMAIN: &[u8] = b"onionkeep ledger line v1\n";
/// The longest line with its line end, in octets; every event is far below.
pub(super) const LINE_MAX: usize = 1024;

/// The hash of a line, which covers every line before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// What stands before the first line of all.
    pub const START: Self = Self([0; 32]);

    /// The hash of the line that starts with `text` and follows this one.
    fn after(self, text: &str) -> Self {
        let mut hash = Sha3_256::new();
        hash.update(DOMAIN);
        hash.update(self.0);
        hash.update(text.as_bytes());
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({self})")
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_hex| "a hash is not lower-case hex")?;
        octets.try_into().map(Self).map_err(|_length| "a hash has not 32 octets")
    }
}

/// A line that was read. Whether it fits the line before is for [`super::chain::Chain`] to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number; lines are counted from 1 over all segments.
    pub seq: u64,
    /// When it was written.
    pub time: UnixTime,
    /// What it says.
    pub event: Event,
    /// Its hash, as it stands there.
    pub head: Head,
}

impl Line {
    /// The line after `before`.
    #[must_use]
    pub fn new(before: Head, seq: u64, time: UnixTime, event: Event) -> Self {
        let head = before.after(&start(seq, time, &event));
        Self { seq, time, event, head }
    }

    /// The line's text, with its line end.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{} {}\n", start(self.seq, self.time, &self.event), self.head)
    }

    /// The number of the file that this line starts, if it starts one.
    #[must_use]
    pub const fn segment(&self) -> Option<u64> {
        match self.event {
            Event::Init { .. } => Some(1),
            Event::Rotate { segment, .. } => Some(segment),
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
            | Event::Checkpoint { .. } => None,
        }
    }

    /// Whether its hash is what follows from its words and the line before.
    #[must_use]
    pub fn follows(&self, before: Head) -> bool {
        before.after(&start(self.seq, self.time, &self.event)) == self.head
    }

    /// Reads a line without its line end; only the one canonical spelling is a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (start, head) = text.rsplit_once(' ').ok_or("it has fewer than 4 words")?;
        let mut words = start.splitn(3, ' ');
        let mut word = || words.next().ok_or("it has fewer than 4 words");
        let seq = word()?.parse().map_err(|_number| "its number is no number")?;
        let time = UnixTime(word()?.parse().map_err(|_number| "its time is no number")?);
        let event = Event::parse(word()?)?;
        let line = Self { seq, time, event, head: head.parse()? };
        if line.to_text().trim_end_matches('\n') == text {
            Ok(line)
        } else {
            Err("its spelling is not canonical")
        }
    }
}

/// What is hashed of a line, and stands before its hash.
fn start(seq: u64, time: UnixTime, event: &Event) -> String {
    format!("{seq} {} {event}", time.0)
}
