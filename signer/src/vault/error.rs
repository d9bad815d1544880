//! Why the vault cannot do something, and what to do then.

use crate::error::{Explain, Kind};
use crate::seal::SealError;
use crate::token::TokenError;
use onionkeep_common::OnionAddress;
use onionkeep_core::CoreError;
use std::io;
use std::path::PathBuf;

/// Why the vault cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The sealed key does not open.
    #[error("the sealed key of {}: {why}", onion.redacted())]
    Seal {
        /// Whose key.
        onion: OnionAddress,
        /// Why.
        why: SealError,
    },
    /// There is no sealed key for the onion.
    #[error("neither the token nor the state directory has a sealed key of {}{notes}", onion.redacted())]
    Unknown {
        /// Whose key.
        onion: OnionAddress,
        /// About objects that could not be read.
        notes: String,
    },
    /// There are two sealed keys for the onion.
    #[error("there is more than one sealed key of {}: {places}", onion.redacted())]
    Twice {
        /// Whose key.
        onion: OnionAddress,
        /// Where they are.
        places: String,
    },
    /// The key is already there.
    #[error("the key of {} is already on this token", .0.redacted())]
    Known(OnionAddress),
    /// The core refused.
    #[error("no certificate for {}: {why}", onion.redacted())]
    Core {
        /// Whose key.
        onion: OnionAddress,
        /// Why.
        why: CoreError,
    },
    /// A file in the state directory.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no random octets.
    #[error("the system gives no random octets")]
    Random(#[source] io::Error),
}

impl Explain for VaultError {
    fn kind(&self) -> Kind {
        match self {
            Self::Token(error) => error.kind(),
            Self::Seal { .. } | Self::Unknown { .. } | Self::Twice { .. } => Kind::Verification,
            Self::Known(_) => Kind::Refused,
            Self::Core { .. } | Self::Random(_) => Kind::Internal,
            Self::File { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Token(error) => return error.hint(),
            Self::Seal { .. } => {
                "restore the sealed key from a backup, or import the key again on a fresh token"
            }
            Self::Unknown { .. } => "onionkeep-signer key show lists what is there",
            Self::Twice { .. } => "delete the one that key show says does not open",
            Self::Known(_) => "nothing needs to be done; key show lists it",
            Self::Core { .. } | Self::Random(_) => "",
            Self::File { .. } => "check state_dir, its owner and the free space",
        };
        hint.to_owned()
    }
}
