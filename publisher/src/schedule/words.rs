//! What the schedule is told and what it says then, and what a consensus means for one service: plain data.

use super::{Found, Reach, Verdict};
use crate::consensus::{Fingerprint, Role};
use onionkeep_common::{ExpirationHours, TimePeriod, UnixTime};

/// Stands for the introduction points that would be listed: another digest, another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// One descriptor as a consensus wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescPlan {
    /// Period, shared random value, start of the protocol run.
    pub role: Role,
    /// The responsible HSDirs, in tor's order.
    pub hsdirs: Vec<Fingerprint>,
    /// Those of them that clients ask.
    pub asked: Vec<Fingerprint>,
}

/// What a consensus means for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When the consensus became valid.
    pub valid_after: UnixTime,
    /// From when it is reasonably live.
    pub live_from: UnixTime,
    /// Until when it is.
    pub live_until: UnixTime,
    /// The first descriptor.
    pub first: DescPlan,
    /// The second descriptor.
    pub second: DescPlan,
    /// The period that clients (and our tor) fetch.
    pub fetch_period: TimePeriod,
    /// When that period ends: soon after, tor fetches the next one.
    pub fetch_until: UnixTime,
}

/// Whether an HSDir has stored an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It said so.
    Yes,
    /// It refused it: most likely it has seen a higher counter.
    Rejected,
    /// It did not answer, or could not be reached.
    No,
}

/// Why an upload is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was uploaded since the start or since the period came up.
    First,
    /// The regular time has come.
    Interval,
    /// The introduction points changed.
    Points,
    /// An HSDir is new.
    NewHsDir,
    /// An HSDir did not store the last one.
    Retry,
    /// Another publisher, whose address was taken over, has uploaded once more.
    TakeOver,
}

impl Why {
    /// The word for logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Interval => "interval",
            Self::Points => "points-changed",
            Self::NewHsDir => "new-hsdir",
            Self::Retry => "retry",
            Self::TakeOver => "take-over",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// tor is connected and bootstrapped.
    TorUp,
    /// The connection to tor ended.
    TorDown,
    /// A consensus was read.
    Network(Box<Plan>),
    /// What a descriptor would list now; `None` before any backend is known.
    Points(TimePeriod, Option<Digest>),
    /// What the upload that has just been asked for lists, if that was chosen anew for it.
    Listed(TimePeriod, Digest),
    /// The signer gave a certificate.
    Certified(TimePeriod, ExpirationHours),
    /// A certificate from an earlier run is still good.
    HeldCertificate(TimePeriod, ExpirationHours),
    /// The signer gave none; it may say how many **seconds** to wait.
    NotCertified(TimePeriod, Option<u64>),
    /// The HSDirs were asked for the counters that they have seen.
    CounterLearned(TimePeriod),
    /// One HSDir's answer to an upload.
    Uploaded {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
        /// The number of the upload.
        number: u64,
        /// Whether it is stored there.
        stored: Stored,
    },
    /// An HSDir was asked for our own descriptor.
    Looked(TimePeriod, Fingerprint, Found),
    /// A fetch of a backend's descriptor has ended.
    Fetched(usize, Verdict),
    /// A probe of a backend has ended: whether the backend took a connection.
    Probed(usize, bool),
    /// A probe of a backend has ended that says nothing about it: tor's SOCKS port failed, or the probe never had its turn.
    NotProbed(usize),
    /// News of a backend that does not answer probes: probe it again soon.
    ProbeSoon(usize),
    /// A backend that was down answers probes again: fetch its descriptor soon.
    FetchSoon(usize),
    /// HSDirs do not give our descriptor because the publisher that had the address before uploaded once more.
    TakeOver(TimePeriod),
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch a backend's descriptor.
    Fetch {
        /// The backend.
        backend: usize,
        /// How many HSDirs are asked.
        reach: Reach,
    },
    /// Connect to a backend.
    Probe {
        /// The backend.
        backend: usize,
    },
    /// Fetch our own descriptor to learn which counters the HSDirs have seen.
    LearnCounter {
        /// The descriptor's period.
        period: TimePeriod,
    },
    /// Ask an HSDir for our own descriptor, to see what it gives.
    Look {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
    },
    /// Ask the signer for a certificate.
    Certify {
        /// The descriptor's period.
        period: TimePeriod,
    },
    /// Make a descriptor and upload it.
    Upload {
        /// The descriptor's period.
        period: TimePeriod,
        /// A number for this upload, to be given back with each answer.
        number: u64,
        /// Where to.
        hsdirs: Vec<Fingerprint>,
        /// Why.
        why: Why,
    },
    /// A period has begun: its state is wanted, made or read back.
    Begin {
        /// The period.
        period: TimePeriod,
    },
    /// A period is over: its state may go.
    End {
        /// The period.
        period: TimePeriod,
    },
}
