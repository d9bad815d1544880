//! The signer's protocol: one request, its replies, the frame around them. The only place that knows the octets.
//!
//! `docs/PROTOCOL.md` is the byte table; `tests/golden/wire` holds one frame of each kind. Both ends use these types;
//! neither end ever sends octets that are to be signed.

use crate::cert::{CERT_LEN, EncodedCert};
use crate::keys::{DescSigningKey, IdentityKey, KeyError, Signature};
use crate::units::PeriodNumber;

pub mod frame;
pub mod reply;
pub mod request;

pub use frame::{FRAME_MAX, Frame, FrameError, HEADER_LEN};
pub use reply::{AwayReason, Reply, Rule};
pub use request::{CertifyRequest, Proof};

/// Why a frame's content is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The kind is unknown, or belongs to the other direction.
    #[error("message kind {0:#04x} is not known in this direction")]
    Kind(u8),
    /// The content has the wrong length for its kind.
    #[error("message kind {kind:#04x} has {found} octets of content, wanted are {wanted}")]
    Length {
        /// The message kind.
        kind: u8,
        /// Octets found.
        found: usize,
        /// Octets expected.
        wanted: usize,
    },
    /// A key in the message is not usable.
    #[error("a key in the message is not usable: {0}")]
    Key(#[from] KeyError),
    /// A code in the message is unknown.
    #[error("code {0} is not known")]
    Code(u8),
}

/// Reads exactly the fields of a message off its content.
struct Fields<'a> {
    /// The message kind, for errors.
    kind: u8,
    /// Octets expected in all.
    wanted: usize,
    /// Octets in all.
    found: usize,
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts reading content that must have `wanted` octets.
    fn new(kind: u8, content: &'a [u8], wanted: usize) -> Result<Self, WireError> {
        let fields = Self { kind, wanted, found: content.len(), rest: content };
        if content.len() == wanted { Ok(fields) } else { Err(fields.length()) }
    }

    /// The error for a content of the wrong length.
    const fn length(&self) -> WireError {
        WireError::Length { kind: self.kind, found: self.found, wanted: self.wanted }
    }

    /// The next `N` octets.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(self.length())?;
        self.rest = rest;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests;
