//! Everything that can end a command, its exit code and the advice that goes with it.

use crate::ceremony::CeremonyError;
use crate::clients::EditError;
use crate::compare::CompareError;
use crate::config::ConfigError;
use crate::control::{ControlError, Objection};
use crate::descriptor::DescriptorError;
use crate::harden::HardenError;
use crate::import::ImportError;
use crate::socket::SocketError;
use crate::state::StateError;
use crate::status::{StatusError, WatchError};
use std::io;
use std::path::PathBuf;

/// Why a command ended without doing what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value on the command line.
    #[error("{0}")]
    Usage(String),
    /// What was to be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The folder of clients.
    #[error(transparent)]
    Clients(#[from] EditError),
    /// A comparison.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The status socket of a running publisher.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The terminal that the status is watched on.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The control socket of a running publisher.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A running publisher does not do what was asked.
    #[error(transparent)]
    Objection(#[from] Objection),
    /// Our own sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A right that could not be given up.
    #[error(transparent)]
    Harden(#[from] HardenError),
    /// A command of the ceremony.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A file that was given on the command line.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A descriptor that is broken.
    #[error("{path}: {source}")]
    Descriptor {
        /// Its file.
        path: PathBuf,
        /// Where it breaks.
        source: DescriptorError,
    },
    /// The answer could not be written, or the runtime could not start.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl Failure {
    /// The exit code, listed in the manual.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Clients(error) if error.is_usage() => 2,
            Self::Config(_) | Self::Import(_) | Self::Usage(_) | Self::File { .. } => 2,
            Self::Ceremony(error) => error.exit_code(),
            Self::Watch(WatchError::NoTerminal(_)) => 2,
            Self::Watch(WatchError::Terminal(_)) => 1,
            Self::Descriptor { .. } => 4,
            Self::Status(_) | Self::Compare(_) => 5,
            Self::Control(error) => error.exit_code(),
            Self::Objection(objection) => objection.exit_code(),
            Self::Clients(_) | Self::State(_) | Self::Socket(_) | Self::Harden(_) | Self::System { .. } => 1,
        }
    }

    /// One line that says what the operator can do.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            Self::Config(ConfigError::Unreadable { .. }) => "name the configuration with --config FILE",
            Self::Config(ConfigError::Problems { .. }) => {
                "correct these lines and run `onionkeep-publisher --config FILE check-config`"
            }
            Self::Config(ConfigError::Password { .. }) => {
                "write the password's line into that file and chmod it 0640"
            }
            Self::Usage(_) => "see `onionkeep-publisher --help`",
            Self::Config(ConfigError::ClientKey { .. }) => {
                "write the line of the .auth_private file into it and chmod it 0640"
            }
            Self::Import(error) => error.advice(),
            Self::Clients(error) => error.advice(),
            Self::Compare(error) => error.advice(),
            Self::State(error) => error.advice(),
            Self::Ceremony(error) => error.advice(),
            Self::Status(error) => error.advice(),
            Self::Watch(error) => error.advice(),
            Self::Control(error) => error.advice(),
            Self::Objection(objection) => &objection.hint,
            Self::Socket(_) => {
                "see that its folder exists and belongs to this user, and that no other publisher runs"
            }
            Self::Harden(_) => "run it on Linux, without a seccomp filter that forbids prctl",
            Self::File { .. } => "name an existing file that this user may read",
            Self::Descriptor { .. } => "see that the file is whole and belongs to the onion address given",
            Self::System { .. } => "see the system's log",
        }
    }
}
