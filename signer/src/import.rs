//! Reads the key files of others; the only place that knows their formats.
//!
//! C tor's `hs_ed25519_secret_key` and Onionbalance's unencrypted PKCS#8 PEM. What stands beside such a file, the public
//! key and the host name, is compared when it is there.

use crate::error::{Explain, Kind};
use onionkeep_common::OnionAddress;
use onionkeep_common::address::AddressError;
use onionkeep_core::{CoreError, ExpandedKey};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

mod pem;
mod tor;

/// Key files are refused above this size, in octets.
const FILE_MAX: u64 = 8192;

/// Why a key file is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no key file that is known.
    #[error("{} is neither C tor's hs_ed25519_secret_key nor an unencrypted PKCS#8 PEM file: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: FormatError,
    },
    /// It holds no usable key.
    #[error("the key in {} is not usable: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        why: CoreError,
    },
    /// The public key beside it is of another key.
    #[error("{} is not the public key of the secret key: they belong to different services", .0.display())]
    OtherPublic(PathBuf),
    /// The host name beside it is of another key.
    #[error("{} names {}, but the secret key is that of {}", path.display(), named.redacted(), is.redacted())]
    OtherHostname {
        /// The file.
        path: PathBuf,
        /// The address in it.
        named: OnionAddress,
        /// The address of the key.
        is: OnionAddress,
    },
    /// The host name beside it is no address.
    #[error("{} does not hold an onion address: {why}", path.display())]
    Hostname {
        /// The file.
        path: PathBuf,
        /// Why.
        why: AddressError,
    },
}

/// What is wrong with the octets of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Neither the tag nor a PEM line is at the start.
    #[error("it starts with neither the tag of C tor nor a PEM line")]
    Unknown,
    /// The tag is right and the length is not.
    #[error("it has {0} octets, a secret key file of C tor has 96")]
    Length(usize),
    /// A public key file of C tor.
    #[error("it is a public key file; the secret one is hs_ed25519_secret_key")]
    Public,
    /// Another tag of C tor.
    #[error("its tag is of another kind of key")]
    Tag,
    /// The PEM is encrypted.
    #[error("it is encrypted; openssl pkey -in FILE decrypts it")]
    Encrypted,
    /// The PEM lines or the base64 are broken.
    #[error("its PEM text is broken or cut short")]
    Pem,
    /// The DER is not that of a private key.
    #[error("its DER is broken or not a PKCS#8 private key")]
    Der,
    /// The key is not Ed25519.
    #[error("its key is not an ed25519 key")]
    Algorithm,
    /// The public key in the PEM belongs to another key.
    #[error("the public key in it does not belong to its private key")]
    Mismatch,
}

impl Explain for ImportError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Usage,
            Self::Format { .. }
            | Self::Key { .. }
            | Self::OtherPublic(_)
            | Self::OtherHostname { .. }
            | Self::Hostname { .. } => Kind::Verification,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Read { .. } => "run as the user that owns the key file",
            Self::Format { .. } | Self::Key { .. } => "take the file from a backup; nothing was imported",
            Self::OtherPublic(_) | Self::OtherHostname { .. } | Self::Hostname { .. } => {
                "put the files of one service together, or import the key from a directory of its own"
            }
        };
        hint.to_owned()
    }
}

/// Reads the key file at `path` and compares what stands beside it; `hostname` names another host name file.
///
/// # Errors
/// [`ImportError`] if the file is no key file, or what stands beside it is of another key.
pub fn read(path: &Path, hostname: Option<&Path>) -> Result<ExpandedKey, ImportError> {
    let octets = limited(path)?;
    let key = key(&octets).map_err(|why| match why {
        Wrong::Format(why) => ImportError::Format { path: path.to_owned(), why },
        Wrong::Key(why) => ImportError::Key { path: path.to_owned(), why },
    })?;
    compare_public(&path.with_file_name("hs_ed25519_public_key"), &key)?;
    match hostname {
        Some(path) => compare_hostname(path, &key)?,
        None => {
            let beside = path.with_file_name("hostname");
            if beside.exists() {
                compare_hostname(&beside, &key)?;
            }
        }
    }
    Ok(key)
}

/// What is wrong with the content of a key file.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// Its form.
    Format(FormatError),
    /// Its key.
    Key(CoreError),
}

impl From<FormatError> for Wrong {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl From<CoreError> for Wrong {
    fn from(error: CoreError) -> Self {
        Self::Key(error)
    }
}

/// The key in the octets of a file, by what they start with.
fn key(octets: &[u8]) -> Result<ExpandedKey, Wrong> {
    if octets.starts_with(b"==") {
        Ok(ExpandedKey::from_octets(tor::secret(octets)?)?)
    } else if octets.starts_with(b"-----BEGIN ") {
        let found = pem::read(octets)?;
        let key = ExpandedKey::from_seed(&found.seed)?;
        if found.public.is_some_and(|public| public != *key.public().as_bytes()) {
            return Err(FormatError::Mismatch.into());
        }
        Ok(key)
    } else {
        Err(FormatError::Unknown.into())
    }
}

/// A file's octets; one above the limit is cut there, and refused for its length.
fn limited(path: &Path) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let unreadable = |source| ImportError::Read { path: path.to_owned(), source };
    let mut octets = Zeroizing::new(Vec::with_capacity(8192));
    File::open(path).map_err(unreadable)?.take(FILE_MAX).read_to_end(&mut octets).map_err(unreadable)?;
    Ok(octets)
}

/// Compares C tor's public key file, if it is there.
fn compare_public(path: &Path, key: &ExpandedKey) -> Result<(), ImportError> {
    if !path.exists() {
        return Ok(());
    }
    let octets = limited(path)?;
    match tor::public(&octets) {
        Ok(public) if public == key.public().as_bytes() => Ok(()),
        Ok(_other) => Err(ImportError::OtherPublic(path.to_owned())),
        Err(why) => Err(ImportError::Format { path: path.to_owned(), why }),
    }
}

/// Compares a host name file.
fn compare_hostname(path: &Path, key: &ExpandedKey) -> Result<(), ImportError> {
    let octets = limited(path)?;
    let text = String::from_utf8_lossy(&octets);
    let named: OnionAddress = text
        .trim_end_matches(['\n', '\r'])
        .parse()
        .map_err(|why| ImportError::Hostname { path: path.to_owned(), why })?;
    let is = OnionAddress::new(*key.public());
    if named == is { Ok(()) } else { Err(ImportError::OtherHostname { path: path.to_owned(), named, is }) }
}

#[cfg(test)]
mod tests;
