//! Why something asked of tor did not happen; the only place for the words about it.

use super::ControlAddr;
use crate::consensus::{ConsensusError, Fingerprint};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the connection to tor could not be made, ended, or gave no usable answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorError {
    /// Nobody listens, or the way there is closed.
    #[error("no connection to tor's control port {at}: {source}")]
    Unreachable {
        /// Where.
        at: ControlAddr,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Connecting and authenticating took too long.
    #[error("tor's control port {at} did not let us in within {seconds} s")]
    SlowStart {
        /// Where.
        at: ControlAddr,
        /// The deadline in **seconds**.
        seconds: u64,
    },
    /// What listens does not speak the control protocol.
    #[error("what listens at {at} does not speak tor's control protocol: {what}")]
    NotTor {
        /// Where.
        at: ControlAddr,
        /// What was wrong.
        what: String,
    },
    /// None of the ways that tor offers may be used.
    #[error("tor's control port {at} offers no way to authenticate that we may use (it offers: {offered})")]
    NoMethod {
        /// Where.
        at: ControlAddr,
        /// tor's list.
        offered: String,
    },
    /// The cookie file cannot be read.
    #[error("cannot read tor's cookie file {path}: {source} ({access})")]
    CookieUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
        /// Owner, group and mode of the file or of the folder that hides it.
        access: String,
    },
    /// The cookie file does not have 32 octets.
    #[error("tor's cookie file {path} has {found} octets, a cookie has 32")]
    CookieLength {
        /// The file.
        path: PathBuf,
        /// Octets found (33 stands for more).
        found: usize,
    },
    /// The server does not know the cookie: it may not be tor.
    #[error(
        "the server at {at} could not prove that it knows tor's cookie: refused, nothing secret was sent to it"
    )]
    Impostor {
        /// Where.
        at: ControlAddr,
    },
    /// tor did not accept our proof.
    #[error("tor refused our {method} authentication: {text}")]
    AuthRejected {
        /// Which way was tried.
        method: &'static str,
        /// What tor said.
        text: String,
    },
    /// The connection ended.
    #[error("the connection to tor ended: {why}")]
    Lost {
        /// Why.
        why: Arc<str>,
    },
    /// tor answered with an error code.
    #[error("tor refused {command}: {code} {text}")]
    Rejected {
        /// The command and its first argument.
        command: String,
        /// The status code.
        code: u16,
        /// What tor said.
        text: String,
    },
    /// tor's answer is not of the expected form.
    #[error("tor's answer to {command} is not understood: {what}")]
    Malformed {
        /// The command and its first argument.
        command: String,
        /// What was wrong.
        what: String,
    },
    /// A large answer made no progress, or took too long in all.
    #[error("tor's answer to {command} did not come to its end: {what}")]
    Stalled {
        /// The command and its first argument.
        command: String,
        /// Which deadline passed.
        what: &'static str,
    },
    /// An answer is larger than anything that can be meant.
    #[error("tor's answer to {command} is larger than {cap} octets")]
    TooLarge {
        /// The command and its first argument.
        command: String,
        /// The cap in octets.
        cap: u64,
    },
    /// The consensus or the microdescriptors are not readable.
    #[error("tor's consensus is not readable: {0}")]
    Consensus(Arc<ConsensusError>),
    /// tor is not ready within the deadline.
    #[error("tor is not ready after {seconds} s: {state}")]
    NotReady {
        /// The deadline in **seconds**.
        seconds: u64,
        /// How far it came.
        state: String,
    },
}

impl TorError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "see that tor runs, that its torrc has the same ControlSocket or ControlPort, and that this user may enter it"
            }
            Self::SlowStart { .. } | Self::Stalled { .. } => "see whether tor or its machine is overloaded",
            Self::NotTor { .. } => {
                "point tor.control at tor's ControlSocket or ControlPort, not at its SocksPort"
            }
            Self::NoMethod { .. } => {
                "set CookieAuthentication 1 in torrc, or configure tor.password with a HashedControlPassword"
            }
            Self::CookieUnreadable { .. } => {
                "set CookieAuthFileGroupReadable 1 in torrc and put this user into the group of the file"
            }
            Self::CookieLength { .. } => {
                "restart tor, it writes the cookie anew; see that no other program writes the file"
            }
            Self::Impostor { .. } => {
                "find out which program listens there; after a restart of tor under another data folder, set CookieAuthFile"
            }
            Self::AuthRejected { .. } => {
                "see that cookie file or password are those of the tor that listens there"
            }
            Self::Lost { .. } => "see tor's log; the publisher connects again by itself",
            Self::Rejected { .. } | Self::Malformed { .. } => {
                "see tor's log and version, 0.4.9 is the one that is known to fit"
            }
            Self::TooLarge { .. } => "see that tor.control points at a real tor",
            Self::Consensus(_) => "see that tor's clock is right and that it is up to date",
            Self::NotReady { .. } => "see tor's log for what it waits for; DisableNetwork must be 0",
        }
    }

    /// The status code of an error reply, if this is one.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        if let Self::Rejected { code, .. } = self { Some(*code) } else { None }
    }
}

/// Why one `HSDir` gave no descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFailure {
    /// The `HSDir` has none.
    #[error("not found there")]
    NotFound,
    /// What it has is not a descriptor.
    #[error("what it has is not a descriptor")]
    BadDescriptor,
    /// The `HSDir` refused the question.
    #[error("the HSDir refused the question")]
    QueryRejected,
    /// Any other reason that tor gives.
    #[error("tor says {0}")]
    Unexpected(String),
    /// tor does not know this relay.
    #[error("tor does not know the relay {0}")]
    UnknownServer(Fingerprint),
    /// tor refused the command.
    #[error("tor refused the command: {0}")]
    Refused(String),
    /// No answer within the deadline.
    #[error("no answer within the deadline")]
    Timeout,
    /// So many fetches are under way that its turn did not come.
    #[error("tor is busy with other fetches")]
    NoTurn,
    /// The connection to tor ended.
    #[error("the connection to tor ended")]
    ConnectionLost,
}

/// Why one `HSDir` did not confirm an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostFailure {
    /// `UPLOAD_REJECTED`: syntax, expired certificate, or the revision counter is not higher than the stored one.
    #[error("the HSDir refused the descriptor (syntax, expired certificate or revision counter not higher)")]
    Rejected,
    /// Any other reason that tor gives, for example `UNEXPECTED` for HTTP 503.
    #[error("tor says {0}")]
    Unexpected(String),
    /// No answer within the deadline.
    #[error("no answer within the deadline")]
    Timeout,
    /// tor itself could not read or verify the descriptor (554).
    #[error("tor refused the descriptor as invalid")]
    InvalidDescriptor,
    /// tor does not know this relay (552).
    #[error("tor does not know the relay {0}")]
    UnknownServer(Fingerprint),
    /// tor refused the command for another reason.
    #[error("tor refused the command: {0}")]
    Refused(String),
    /// The connection to tor ended.
    #[error("the connection to tor ended")]
    ConnectionLost,
}
