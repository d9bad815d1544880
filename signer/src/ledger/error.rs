//! Why a ledger cannot be used, and what the operator can do about it.

use super::chain::Flaw;
use crate::error::{Explain, Kind};
use std::io;
use std::path::PathBuf;

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It is not there.
    #[error("the ledger {} is missing; a signer that forgets its keys could certify one twice", .0.display())]
    Missing(PathBuf),
    /// It is there already.
    #[error("the ledger {} exists already", .0.display())]
    Exists(PathBuf),
    /// It is not there, but one of its older files is.
    #[error("{} is a file of a ledger whose newest file is missing; a new ledger would forget what was denied and certified", .0.display())]
    Headless(PathBuf),
    /// Another signer uses it.
    #[error("another signer is using the ledger {}", .0.display())]
    InUse(PathBuf),
    /// Reading or writing failed.
    #[error("the ledger {} cannot be {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The token has another audit key.
    #[error("the ledger names the audit key {named}, the token has {found}")]
    OtherKey {
        /// What the ledger says.
        named: String,
        /// What the token has.
        found: String,
    },
    /// A line is not what it must be.
    #[error("line {line} of {} is broken: {flaw}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line in this file, counted from 1.
        line: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

impl Explain for LedgerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) | Self::Headless(_) | Self::Broken { .. } => Kind::Ledger,
            Self::OtherKey { .. } => Kind::Verification,
            Self::Exists(_) | Self::InUse(_) | Self::Io { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Missing(_) => {
                "put this file back, from the backup or from where it was moved to; only where there never was a ledger: onionkeep-signer init"
            }
            Self::Headless(_) => {
                "put the file ledger back from the backup; if it is lost, move all files ledger.NNNNN away together: docs/operate/backup.md says what that costs"
            }
            Self::Broken { .. } => {
                "keep the file as evidence and restore the ledger from a backup; docs/LEDGER.md says what is lost"
            }
            Self::OtherKey { .. } => {
                "use the token that this ledger belongs to; after moving to another one: init --new-audit-key"
            }
            Self::InUse(_) => "stop the other signer first",
            Self::Exists(_) => "",
            Self::Io { .. } => "check state_dir, its owner and the free space",
        };
        hint.to_owned()
    }
}
