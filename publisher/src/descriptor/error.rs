//! Where and how a descriptor is broken: layer, line, keyword, fault. The only place where these become text.

use super::point::PointError;
use crate::netdoc::{Malformed, SyntaxError};
use core::fmt;
use onionkeep_common::cert::CertError;
use onionkeep_common::keys::KeyError;

/// A layer of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The text itself, as an HSDir sees it.
    Outer,
    /// Inside `superencrypted`.
    Middle,
    /// Inside `encrypted`.
    Inner,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outer => "outer layer",
            Self::Middle => "middle layer",
            Self::Inner => "inner layer",
        })
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The line has no proper form.
    #[error("the line {0}")]
    Syntax(#[from] Malformed),
    /// The text is too long to be a descriptor.
    #[error("{0} octets are too long for a descriptor, it must have less than 50000")]
    TooLong(usize),
    /// A line that must be there is not.
    #[error("the line is missing")]
    Missing,
    /// A line that may stand once stands twice.
    #[error("the line stands twice")]
    Duplicate,
    /// The line must come first.
    #[error("the line must be the first one")]
    NotFirst,
    /// The line must come last.
    #[error("the line must be the last one")]
    NotLast,
    /// An argument is missing or malformed.
    #[error("an argument is missing or malformed")]
    Argument,
    /// The object after the line is missing, has another label or is not base64.
    #[error("the object after the line is missing, of the wrong kind or not base64")]
    Object,
    /// The descriptor's version is not 3.
    #[error("the version is not 3")]
    Version,
    /// The lifetime is longer than 12 hours.
    #[error("the lifetime is {0} minutes, at most 720 are allowed")]
    Lifetime(u64),
    /// A certificate is not good.
    #[error("{0}")]
    Cert(#[from] CertError),
    /// A key is not usable.
    #[error("a key is not usable: {0}")]
    Key(#[from] KeyError),
    /// The certificate is by another blinded key.
    #[error("the certificate is by another key than this onion address has in this time period")]
    OtherService,
    /// The certificate is by none of the blinded keys that were tried.
    #[error(
        "the certificate is by none of the keys that this onion address has in the {0} time periods tried"
    )]
    NoPeriod(usize),
    /// The signature over the text is wrong.
    #[error("the signature over the text does not verify")]
    Signature,
    /// The encrypted octets are too few.
    #[error("{0} encrypted octets are too few")]
    BlobLength(usize),
    /// The MAC of the middle layer is wrong.
    #[error("it does not decrypt: it was made for another address or period, or altered")]
    MiddleMac,
    /// The MAC of the inner layer is wrong, no client key was given.
    #[error("it does not decrypt without a client key: the service may use client authorization")]
    NeedsClientKey,
    /// The MAC of the inner layer is wrong, although a client key was given.
    #[error("it does not decrypt with this client key: the service may not have authorized it")]
    ClientKeyRefused,
    /// A certificate of an introduction point is by another key than the descriptor signing key.
    #[error("the certificate is by another key than the descriptor signing key")]
    Signer,
    /// Certificate 0B certifies another key than `enc-key`.
    #[error("the certificate is for another key than the enc-key line has")]
    CertifiedKey,
    /// A point of an introduction is not usable.
    #[error("{0}")]
    Point(#[from] PointError),
}

/// A descriptor is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptorError {
    /// The layer.
    pub layer: Layer,
    /// Number of the line in that layer's text, from 1; `None` if no line is to blame.
    pub line: Option<usize>,
    /// Keyword of the line, if it is a known one.
    pub keyword: Option<&'static str>,
    /// What is wrong.
    pub fault: Fault,
}

impl DescriptorError {
    /// An error in no line in particular.
    pub(super) fn new(layer: Layer, keyword: Option<&'static str>, fault: impl Into<Fault>) -> Self {
        Self { layer, line: None, keyword, fault: fault.into() }
    }

    /// A malformed line.
    pub(super) fn syntax(layer: Layer, error: SyntaxError) -> Self {
        Self { layer, line: Some(error.line), keyword: None, fault: Fault::Syntax(error.what) }
    }
}

impl fmt::Display for DescriptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layer)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(keyword) = self.keyword {
            write!(f, " ({keyword})")?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl core::error::Error for DescriptorError {}
