//! Why a configuration cannot be used.

use onionkeep_common::config::Problems;
use std::io;
use std::path::PathBuf;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{path} has {} problem{}:\n{problems}", problems.0.len(), if problems.0.len() == 1 { "" } else { "s" })]
    Problems {
        /// The file.
        path: PathBuf,
        /// All of it.
        problems: Problems,
    },
    /// The password file cannot be used.
    #[error("cannot use the file {path} of tor.password: {why}")]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file with our key for a backend cannot be used.
    #[error("cannot use the file {path} of client_key of backend {name:?}: {why}")]
    ClientKey {
        /// The file.
        path: PathBuf,
        /// The backend's name.
        name: String,
        /// Why.
        why: String,
    },
}
