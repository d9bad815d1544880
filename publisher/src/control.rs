//! The control socket's words: one request in one line of JSON, one answer; and the client that asks.
//!
//! It is apart from the status socket, which reads nothing. Off without `control_socket` in the configuration.

mod change;
mod server;

pub use change::{Scene, changed};
pub use server::{Caller, ControlServer};

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the publisher may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// The longest request, in octets.
pub(crate) const REQUEST_MAX: u64 = 4096;
/// The longest answer, in octets: a broken configuration may have many problems.
const ANSWER_MAX: u64 = 256 * 1024;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Read the configuration file again.
    Reload {},
    /// Change a backend's weight.
    Weight {
        /// The frontend: its address or the end of it.
        service: String,
        /// The backend's name.
        backend: String,
        /// The new weight.
        weight: i64,
    },
    /// Send no new clients to a backend.
    Drain {
        /// The frontend: its address or the end of it.
        service: String,
        /// The backend's name.
        backend: String,
        /// Even if no other backend could take its clients.
        force: bool,
    },
    /// Send new clients to a backend again.
    Undrain {
        /// The frontend: its address or the end of it.
        service: String,
        /// The backend's name.
        backend: String,
    },
    /// Take in a new backend.
    Add {
        /// The frontend: its address or the end of it.
        service: String,
        /// The new backend's name.
        backend: String,
        /// Its address.
        address: String,
        /// Its weight.
        weight: i64,
    },
    /// Forget a backend.
    Remove {
        /// The frontend: its address or the end of it.
        service: String,
        /// The backend's name.
        backend: String,
        /// Even if no other backend could take its clients.
        force: bool,
    },
}

impl Request {
    /// The service that it is about.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Reload {} => None,
            Self::Weight { service, .. }
            | Self::Drain { service, .. }
            | Self::Undrain { service, .. }
            | Self::Add { service, .. }
            | Self::Remove { service, .. } => Some(service),
        }
    }

    /// The word for the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reload {} => "reload",
            Self::Weight { .. } => "weight",
            Self::Drain { .. } => "drain",
            Self::Undrain { .. } => "undrain",
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
        }
    }
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The request or the configuration is wrong.
    Wrong,
    /// It is understood and refused.
    Refused,
    /// It could not be done.
    Failed,
}

/// Something that is not done, and everything stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Objection {
    /// Of which kind.
    pub kind: Kind,
    /// Why.
    pub why: String,
    /// What the operator can do.
    pub hint: String,
}

impl Objection {
    /// The request or the configuration is wrong.
    pub fn wrong(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Wrong, why: why.into(), hint: hint.into() }
    }

    /// It is understood and refused.
    pub fn refused(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, why: why.into(), hint: hint.into() }
    }

    /// The exit code of the command that was refused.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Wrong => 2,
            Kind::Refused => 3,
            Kind::Failed => 1,
        }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is done, and this is what changes.
    Done(String),
    /// It is not.
    Not(Objection),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The configuration names no control socket.
    #[error("the configuration has no control_socket: nothing can be changed while the publisher runs")]
    Off,
    /// Nobody answers at the socket.
    #[error("cannot reach the publisher at {path}: {source}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What answers is no publisher, or one of another version, or one that does not listen to this user.
    #[error("what answers at {path} is not understood: {source}")]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        source: serde_json::Error,
    },
}

impl ControlError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Off => {
                "set control_socket in the configuration and restart the publisher; SIGHUP reloads without it"
            }
            Self::Unreachable { .. } => {
                "see that the publisher runs with this control_socket, and do this as its user or as root"
            }
            Self::NotUnderstood { .. } => "use the command of the version that runs, as its user or as root",
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Off => 2,
            Self::Unreachable { .. } | Self::NotUnderstood { .. } => 5,
        }
    }
}

/// Asks a running publisher.
///
/// # Errors
/// [`ControlError`] if it cannot be reached or is not understood.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ControlError> {
    let unreachable = |source| ControlError::Unreachable { path: path.to_path_buf(), source };
    let not_understood = |source| ControlError::NotUnderstood { path: path.to_path_buf(), source };
    let mut stream = UnixStream::connect(path).map_err(unreachable)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(unreachable)?;
    stream.set_write_timeout(Some(DEADLINE)).map_err(unreachable)?;
    let mut line = serde_json::to_vec(request).map_err(not_understood)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(unreachable)?;
    let mut text = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut text).map_err(unreachable)?;
    serde_json::from_slice(&text).map_err(not_understood)
}

#[cfg(test)]
mod tests;
