//! What the publisher needs of a network consensus: times, parameters, shared random values, HSDirs.
//!
//! The signatures of a consensus are not checked here: it comes from the local tor, which has checked them.

use crate::netdoc::LineTooLong;
use core::fmt;
use onionkeep_common::period::srv_run_start;
use onionkeep_common::{Minutes, PeriodLength, PeriodRule, UnixTime};

mod microdesc;
mod params;
mod reader;
mod relay;
mod schedule;

pub use microdesc::MicrodescReader;
pub use params::{Lives, Params};
pub use reader::ConsensusReader;
pub use schedule::{HsSchedule, Role};

/// How long before and after its life a consensus still counts as reasonably live, in seconds.
///
/// Spec: C tor, `REASONABLY_LIVE_TIME`.
const REASONABLY_LIVE: u64 = 24 * 3600;

/// Why a consensus cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsensusError {
    /// It is not a consensus of the microdescriptor flavour.
    #[error("line {line} of the consensus is not \"network-status-version 3 microdesc\"")]
    NotAConsensus {
        /// Number of the line.
        line: usize,
    },
    /// A line is not text, or lacks an argument, or has a bad one.
    #[error("line {line} of the consensus ({keyword}) is malformed")]
    Malformed {
        /// Number of the line.
        line: usize,
        /// Keyword of the line.
        keyword: &'static str,
    },
    /// A line that may stand once stands twice.
    #[error("line {line} of the consensus repeats {keyword}")]
    Duplicate {
        /// Number of the second line.
        line: usize,
        /// Keyword of the line.
        keyword: &'static str,
    },
    /// A line that must be there is missing.
    #[error("the consensus has no line {keyword}")]
    Missing {
        /// Keyword of the line.
        keyword: &'static str,
    },
    /// Relays are not sorted by fingerprint, so one may stand twice.
    #[error("line {line} of the consensus: the relay is out of order or stands twice")]
    RelayOrder {
        /// Number of the `r` line.
        line: usize,
    },
    /// A relay's entry lacks a line.
    #[error("the relay of line {line} of the consensus has no line {keyword}")]
    RelayIncomplete {
        /// Number of the `r` line.
        line: usize,
        /// Keyword of the missing line.
        keyword: &'static str,
    },
    /// The text ends before the signatures.
    #[error("the consensus is cut off after line {line}")]
    Truncated {
        /// Number of the last line.
        line: usize,
    },
    /// The times contradict each other.
    #[error("the times of the consensus are not in order (valid-after, fresh-until, valid-until)")]
    Times,
    /// A line is too long.
    #[error(transparent)]
    LineTooLong(#[from] LineTooLong),
    /// It is too old or too new.
    #[error("the consensus of {valid_after} is not live at {now}: is the clock right, is tor connected?")]
    NotLive {
        /// When it became valid.
        valid_after: crate::netdoc::date::Iso,
        /// The time of the question.
        now: crate::netdoc::date::Iso,
    },
    /// Too few HSDirs are known.
    #[error("of {wanted} HSDirs in the consensus only {known} have a known microdescriptor")]
    TooFewHsDirs {
        /// HSDirs with a microdescriptor.
        known: usize,
        /// HSDirs in the consensus.
        wanted: usize,
    },
}

/// A relay's RSA fingerprint: SHA-1 of its RSA identity key. `Display` writes 40 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 20]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 40];
        data_encoding::HEXUPPER.encode_mut(&self.0, &mut text);
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut octets = [0; 20];
        let digits: &[u8; 40] = text.as_bytes().try_into().map_err(|_length| FingerprintError)?;
        let decoded = data_encoding::HEXUPPER_PERMISSIVE.decode_mut(digits, &mut octets);
        decoded.map_err(|_position| FingerprintError)?;
        Ok(Self(octets))
    }
}

/// A text is not 40 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relay fingerprint has 40 hexadecimal digits")]
pub struct FingerprintError;

/// A relay's Ed25519 identity key, as its microdescriptor states it (not checked to be a point).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayEd25519(pub [u8; 32]);

/// A shared random value.
///
/// Spec: rend-spec-v3, 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Srv(pub [u8; 32]);

/// A relay that stores descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HsDir {
    /// RSA fingerprint, by which the control port names it.
    pub fingerprint: Fingerprint,
    /// Ed25519 identity, which decides its place in the ring.
    pub ed25519: RelayEd25519,
}

/// A consensus, reduced to what the publisher needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consensus {
    /// When it became valid; the clock of everything that follows the network.
    pub valid_after: UnixTime,
    /// When the next one is due.
    pub fresh_until: UnixTime,
    /// When it ends.
    pub valid_until: UnixTime,
    /// Parameters.
    pub params: Params,
    /// Shared random value of the run before the last.
    pub srv_previous: Option<Srv>,
    /// Shared random value of the last run.
    pub srv_current: Option<Srv>,
    /// HSDirs whose microdescriptor is known, by fingerprint.
    pub hsdirs: Vec<HsDir>,
    /// HSDirs whose microdescriptor is not known; they are not in the ring.
    pub hsdirs_without_microdesc: usize,
    /// Relays in the consensus.
    pub relay_count: usize,
}

impl Consensus {
    /// Reads a consensus and the concatenated microdescriptors, both held whole.
    ///
    /// # Errors
    /// [`ConsensusError`] says the line and what is wrong with it.
    pub fn parse(consensus: &[u8], microdescs: &[u8]) -> Result<Self, ConsensusError> {
        let mut reader = ConsensusReader::new();
        reader.push(consensus)?;
        let mut reader = reader.end()?;
        reader.push(microdescs)?;
        reader.end()
    }

    /// **Seconds** between two consensuses.
    ///
    /// Spec: C tor, `get_voting_interval`.
    #[must_use]
    pub const fn voting_interval(&self) -> u64 {
        self.fresh_until.since(self.valid_after)
    }

    /// Whether `now` is at most a day outside the life of the consensus.
    ///
    /// Spec: C tor, `networkstatus_consensus_reasonably_live`.
    #[must_use]
    pub fn is_reasonably_live(&self, now: UnixTime) -> bool {
        self.valid_after.minus(REASONABLY_LIVE) <= now && now <= self.valid_until.plus(REASONABLY_LIVE)
    }

    /// Checks that the consensus is good for publishing at `now`: live, and three quarters of its HSDirs are known.
    ///
    /// # Errors
    /// [`ConsensusError::NotLive`] or [`ConsensusError::TooFewHsDirs`].
    pub fn check_usable(&self, now: UnixTime) -> Result<(), ConsensusError> {
        use crate::netdoc::date::Iso;
        if !self.is_reasonably_live(now) {
            return Err(ConsensusError::NotLive { valid_after: Iso(self.valid_after), now: Iso(now) });
        }
        let known = self.hsdirs.len();
        let wanted = known.saturating_add(self.hsdirs_without_microdesc);
        if known == 0 || known.saturating_mul(4) < wanted.saturating_mul(3) {
            return Err(ConsensusError::TooFewHsDirs { known, wanted });
        }
        Ok(())
    }

    /// How this network numbers its time periods; `testing` is tor's option `TestingTorNetwork`.
    ///
    /// Spec: rend-spec-v3, 2.2.1; C tor, `get_time_period_length`.
    #[must_use]
    pub fn period_rule(&self, testing: bool) -> PeriodRule {
        let minutes = |intervals: u64| {
            u32::try_from(self.voting_interval().saturating_mul(intervals) / 60).unwrap_or(u32::MAX)
        };
        let length = if testing {
            minutes(24).clamp(1, PeriodLength::MAX.minutes())
        } else {
            self.params.hsdir_interval
        };
        PeriodRule {
            length: PeriodLength::new(length).unwrap_or(PeriodLength::DAY),
            offset: Minutes(minutes(12)),
        }
    }

    /// Start of the shared random protocol run that the consensus lies in.
    #[must_use]
    pub fn run_start(&self) -> UnixTime {
        srv_run_start(self.valid_after, self.voting_interval())
    }
}

#[cfg(test)]
mod tests;
