//! The ceremony's two files: a request travels to the token, a bundle of certificates travels back.
//!
//! Both are canonical text that a person can read: printable ASCII, lines that end in LF, fields in a fixed order, counts, and a
//! signature in the last line. Format: `docs/BUNDLE.md`.

pub mod bundle;
pub mod lines;
pub mod request;
pub mod words;

use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use data_encoding::HEXLOWER;
use sha3::{Digest as _, Sha3_256};

pub use bundle::{Bundle, BundleSlot, Kind, LedgerHead};
pub use lines::FileError;
pub use request::{Request, RequestKey, Slot};

/// SHA3-256 of a whole file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest(pub [u8; 32]);

impl FileDigest {
    /// The digest of a file's octets.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        Self(Sha3_256::digest(file).into())
    }

    /// The first ten octets as words, to be read aloud and compared.
    #[must_use]
    pub fn words(&self) -> String {
        spoken(&self.0)
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one request; made at random by the publisher.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bundle that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// There is none: this is the first.
    First,
    /// Its digest.
    Bundle(FileDigest),
}

impl fmt::Display for Previous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Bundle(digest) => digest.fmt(f),
        }
    }
}

/// A text is none of the words that may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted is {0}")]
pub struct WordError(&'static str);

impl FromStr for Previous {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if text == "first" {
            return Ok(Self::First);
        }
        let digest = lines::hex(text).ok_or(WordError("the digest of a bundle in hex, or first"))?;
        Ok(Self::Bundle(FileDigest(digest)))
    }
}

/// A file that was read: what it says, its digest, and whether it was made in a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What it says; its signature is good.
    pub content: T,
    /// Of the whole file.
    pub digest: FileDigest,
}

/// Whether a file counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It does.
    Real,
    /// It was made to practise; nothing but a rehearsal takes it.
    Rehearsal,
}

impl Purpose {
    /// The line at the top of every file of a rehearsal.
    pub const BANNER: &str = "must-rehearsal this file was made to practise and is worth nothing\n";

    /// The banner, or nothing.
    const fn banner(self) -> &'static str {
        match self {
            Self::Real => "",
            Self::Rehearsal => Self::BANNER,
        }
    }
}

/// The first ten octets of a digest or key as words, to be read aloud and compared.
#[must_use]
pub fn spoken(octets: &[u8; 32]) -> String {
    words::words(octets.first_chunk::<10>().map_or(&[], |start| start))
}

/// Puts a signed text and its signature line together.
fn sealed(mut text: String, signature: &[u8; 64]) -> String {
    text.push_str("signature ");
    text.push_str(&data_encoding::BASE64.encode(signature));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
