//! The publisher's side of the ceremony: requests, the private halves of their keys, bundles and how long they last.
//!
//! Everything about one frontend is in `STATE_DIR/ceremony/ADDRESS/`: `request-key`, `slots/PERIOD-KEY.key` (one private key each,
//! mode 0600, sealed or not), `request` (the open one), `bundle`, `bundle.old`, `auditor` and, after `retire --all`, `chain`.

pub mod bundles;
pub mod horizon;
pub mod import;
mod outputs;
pub mod request;
pub mod retire;
pub mod seal;
pub mod slot;
pub mod standby;
pub mod status;
pub mod store;

pub use bundles::{BundleFault, Bundles};
pub use store::Store;

use crate::state::{FileError, StateError};
use import::ImportFault;
use onionkeep_common::paper::RequestId;
use std::path::PathBuf;

/// Why a command of the ceremony did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A bundle was not taken.
    #[error("{fault}; nothing was imported")]
    Import {
        /// Why.
        #[from]
        fault: ImportFault,
    },
    /// What was asked for cannot be.
    #[error("{what}; nothing was done")]
    Usage {
        /// Why not.
        what: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A bundle that was imported is no longer what it was.
    #[error("{path} is not the bundle that was imported: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The open request is no longer what was written.
    #[error("{path} is damaged: it is not the request that was written")]
    RequestDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A request could not be made, and what was written for it is still there.
    #[error("{why}; the request was not made, but {} could not be taken back", left.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and "))]
    Left {
        /// Why it was not made.
        why: Box<CeremonyError>,
        /// What is still there.
        left: Vec<PathBuf>,
    },
    /// A request is made and open, and keys of the one that was given up are still there.
    #[error("request {request} is made and open, but keys that no bundle needs could not be wiped: {why}")]
    NotWiped {
        /// The request.
        request: RequestId,
        /// Why not.
        why: StateError,
    },
}

impl From<FileError> for CeremonyError {
    fn from(error: FileError) -> Self {
        Self::State(StateError::File(error))
    }
}

impl CeremonyError {
    /// The exit code, listed in the manual.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) | Self::RequestDamaged { .. } | Self::Left { .. } | Self::NotWiped { .. } => 1,
            Self::Import { .. } | Self::Damaged { .. } => 4,
            Self::Usage { .. } => 2,
        }
    }

    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::State(error) => error.advice(),
            Self::Import { fault } => fault.advice(),
            Self::Usage { advice, .. } => advice,
            Self::Damaged { .. } => {
                "import the bundle from its medium again; what runs goes on with the certificates that it has"
            }
            Self::RequestDamaged { .. } => {
                "bring the file back from a backup; or give the request up with `request new --replace`, so that its bundle will be worth nothing"
            }
            Self::Left { .. } => "wipe and remove that by hand: it can hold private keys that nobody needs",
            Self::NotWiped { .. } => {
                "carry the new request on, and remove their files from ceremony/ADDRESS/slots"
            }
        }
    }
}

/// A usage error.
pub(crate) fn usage(what: impl Into<String>, advice: &'static str) -> CeremonyError {
    CeremonyError::Usage { what: what.into(), advice }
}

#[cfg(test)]
pub(crate) mod tests;
