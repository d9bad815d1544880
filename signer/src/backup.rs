//! Backup of a master key: wrapped under a fresh secret that is split among custodians. What may lie where, and every error.
//!
//! The wrapped blob and the verifier are public files; a share is only ever shown on a terminal, or written to a medium of
//! its custodian that is not the blob's. The wrapping secret never exists on a disk. Why so: `docs/decisions/0014-backup.md`.

use crate::error::{Explain, Kind};
use crate::vault::VaultError;
use onionkeep_common::OnionAddress;
use onionkeep_core::CoreError;
use std::io;
use std::path::PathBuf;

pub mod custodian;
pub mod medium;
pub mod set;
pub mod shamir;
pub mod store;
mod text;
pub mod wrapped;

pub use custodian::Custodians;
pub use set::BackupSet;
pub use shamir::{Plan, Polynomial, Share};
pub use store::Store;
pub use text::TextError;
pub use wrapped::WrappedKey;

/// What is wrong with a share that was typed, in words for its custodian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// It is not well written.
    #[error("not accepted: {0}")]
    Text(TextError),
    /// It is for another service.
    #[error("not accepted: it is a share of another onion's key")]
    OtherOnion,
    /// It is of an earlier or later backup.
    #[error("not accepted: it is of generation {share}, and the backup at hand is generation {set}")]
    OtherGeneration {
        /// The share's.
        share: u16,
        /// The backup's.
        set: u16,
    },
    /// It is of another set of the same generation.
    #[error("not accepted: it is of another set of shares")]
    OtherSet,
    /// Its number is not the one that was handed out.
    #[error("not accepted: share {0} is well written, but is not the one that was handed out")]
    Wrong(u8),
    /// The same share once more.
    #[error("not accepted: share {0} was typed before")]
    Again(u8),
}

/// Why a backup or a restore ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The numbers make no sense.
    #[error(
        "{threshold} of {shares} shares cannot be: wanted are 2 to 31 shares and a threshold of 2 or more of them"
    )]
    Plan {
        /// How many should restore.
        threshold: u8,
        /// How many there should be.
        shares: u8,
    },
    /// No number is left.
    #[error("this onion has had 1023 backups; a share cannot name another")]
    Generations,
    /// A file is no verifier.
    #[error("this is not a backup verifier of this version, or it was altered")]
    NotAVerifier,
    /// A file is no blob.
    #[error("this is not a wrapped key of this version, or it was altered")]
    NotABlob,
    /// Blob and verifier belong to different sets.
    #[error("the wrapped key and the verifier are of different backups")]
    Mismatch,
    /// The blob does not open.
    #[error("the wrapped key does not open: it was altered")]
    Closed,
    /// The blob opens, and holds no key.
    #[error("the wrapped key opened but holds no usable key: {0}")]
    Content(CoreError),
    /// The blob opens, and holds another key.
    #[error("the wrapped key is not that of the onion it names")]
    OtherOnion,
    /// A share is not accepted.
    #[error("the share is {0}")]
    Share(ShareError),
    /// Too many tries.
    #[error("{tries} tries and no share that is accepted; the last one was {last}")]
    Tries {
        /// How many.
        tries: u8,
        /// What was wrong with the last one.
        last: ShareError,
    },
    /// The shares ended.
    #[error("only {have} of {want} shares were given")]
    TooFew {
        /// How many came.
        have: usize,
        /// How many are needed.
        want: u8,
    },
    /// The shares do not give the secret, though each was checked.
    #[error("the shares do not fit together")]
    Combine,
    /// What was typed back is not what was shown.
    #[error("share {0} was not typed back as it was shown; no backup was made")]
    ReadBack(u8),
    /// A share may not lie there.
    #[error("{}: {why}", path.display())]
    Medium {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// There must be one directory for each share.
    #[error("{dirs} directories for {shares} shares: --to stands once for each custodian, or not at all")]
    Directories {
        /// How many there are.
        dirs: usize,
        /// How many are needed.
        shares: u8,
    },
    /// There is no backup of the onion.
    #[error("there is no backup of {} in the state directory", .0.redacted())]
    None(OnionAddress),
    /// The standard input holds the shares in a file.
    #[error("the standard input is not a pipe; shares are read from nothing that lasts")]
    NotAPipe,
    /// A file.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No terminal.
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Explain for BackupError {
    fn kind(&self) -> Kind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Plan { .. } | Self::Directories { .. } | Self::None(_) | Self::File { .. } => Kind::Usage,
            Self::NotAVerifier
            | Self::NotABlob
            | Self::Mismatch
            | Self::Closed
            | Self::Content(_)
            | Self::OtherOnion
            | Self::Share(_)
            | Self::Tries { .. }
            | Self::TooFew { .. }
            | Self::Combine
            | Self::ReadBack(_) => Kind::Verification,
            Self::Medium { .. } | Self::NotAPipe | Self::Generations => Kind::Refused,
            Self::Terminal(error) if error.kind() == io::ErrorKind::Interrupted => Kind::Interrupted,
            Self::Terminal(_) => Kind::Usage,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Vault(error) => return error.hint(),
            Self::Plan { .. } => "backup split --shares 5 --threshold 3",
            Self::Generations => "make a new onion",
            Self::NotAVerifier | Self::NotABlob | Self::Mismatch | Self::Closed | Self::Content(_) => {
                "take another copy: both files of one backup were written together, the names end in .verifier and .wrapped"
            }
            Self::OtherOnion => "do not use this blob",
            Self::Share(_) | Self::Tries { .. } => "compare group by group with what was written down",
            Self::TooFew { .. } | Self::Combine => "restore with another custodian's share",
            Self::ReadBack(_) => "start the split again; shares that were handed out now are worthless",
            Self::Medium { .. } => "name a directory on a medium of its own for each custodian",
            Self::Directories { .. } => "backup split without --to shows the shares on the terminal",
            Self::None(_) => "backup split makes one",
            Self::NotAPipe => "type the shares on the terminal",
            Self::File { .. } => "check the path, its owner and the free space",
            Self::Terminal(_) => "run it from a terminal",
        };
        hint.to_owned()
    }
}
