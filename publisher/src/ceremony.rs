//! The publisher's side of the ceremony: requests, the private halves of their keys, bundles and how long they last.
//!
//! Everything about one frontend is in `STATE_DIR/ceremony/ADDRESS/`: `request-key`, `slots/PERIOD-KEY.key` (one private key each,
//! mode 0600, sealed or not), `request` (the open one), `bundle`, `bundle.old`, `auditor` and, after `retire --all`, `chain`.

pub mod bundles;
pub mod horizon;
pub mod import;
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
            Self::State(_) => 1,
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
        }
    }
}

/// A usage error.
pub(crate) fn usage(what: impl Into<String>, advice: &'static str) -> CeremonyError {
    CeremonyError::Usage { what: what.into(), advice }
}

#[cfg(test)]
pub(crate) mod tests;
