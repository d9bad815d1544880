//! How a master key is sealed to a token: key derivation, encryption, format. The only place that knows the sealed octets.
//!
//! `KEK = HKDF-Expand-SHA256(root, info, 32)` with one block, which is exactly one HMAC by the token:
//! `HMAC-SHA256(root, info | 01)`, `info = context | kind | onion key | salt`. The root is a uniformly random key that
//! never leaves the token, so the extract step has nothing to add (RFC 5869, 3.3). The salt is fresh for each sealing,
//! so each KEK encrypts once and the nonce may be fixed.
//!
//! Octets, version 1: magic `OKSEAL` (6), version (1), kind (1), onion key (32), salt (32), ciphertext (64), tag (16).

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{IdentityKey, OnionAddress};
use onionkeep_core::{CoreError, EXPANDED_LEN, ExpandedKey};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// First octets of a sealed key.
const MAGIC: &[u8; 6] = b"OKSEAL";
/// The format's version.
const VERSION: u8 = 1;
/// Starts the text from which the key encryption key is derived.
const CONTEXT: &[u8] = b"onionkeep key encryption key v1";
/// Octets of a sealed key.
pub const SEALED_LEN: usize = 6 + 2 + 32 + 32 + EXPANDED_LEN + 16;

/// By which primitive of the token a key is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealKind {
    /// HMAC-SHA256 by a non-extractable secret key.
    HmacSha256,
}

impl SealKind {
    /// The kind's octet.
    const fn octet(self) -> u8 {
        match self {
            Self::HmacSha256 => 1,
        }
    }
}

impl fmt::Display for SealKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HmacSha256 => f.write_str("hmac-sha256"),
        }
    }
}

/// Why a sealed key does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The octets are no sealed key.
    #[error("the sealed object is not a sealed onion key, or is cut short ({0} octets)")]
    NotSealed(usize),
    /// A later format.
    #[error("the sealed object is of version {version}, kind {kind}; this signer knows version 1, kind 1")]
    Unknown {
        /// The version octet.
        version: u8,
        /// The kind octet.
        kind: u8,
    },
    /// The onion key in it is no key.
    #[error("the sealed object names an onion key that is not usable: {0}")]
    Onion(#[from] KeyError),
    /// It was altered, or is for another token, root key or onion.
    #[error("the sealed object does not open: it was altered, or sealed to another token")]
    Closed,
    /// It opened, and is not what it says.
    #[error("the sealed object opened but holds the key of another onion")]
    OtherOnion,
    /// It opened, and holds no key.
    #[error("the sealed object opened but holds no usable key: {0}")]
    Content(CoreError),
}

/// The token that a key is sealed to, as the associated data names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName {
    /// The token's label.
    pub label: String,
    /// The token's serial number.
    pub serial: String,
}

/// A key encryption key: what the token's HMAC gave. Wiped when dropped.
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Takes the token's HMAC over [`SealedKey::derivation`].
    #[must_use]
    pub const fn new(mac: Zeroizing<[u8; 32]>) -> Self {
        Self(mac)
    }

    /// The cipher under this key.
    fn cipher(&self) -> ChaCha20Poly1305 {
        let mut key = Key::from(*self.0);
        let cipher = ChaCha20Poly1305::new(&key);
        key.as_mut_slice().zeroize();
        cipher
    }
}

/// A master key under its KEK; no secret without the token.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// By which primitive.
    kind: SealKind,
    /// Whose key it is.
    onion: IdentityKey,
    /// Fresh for each sealing.
    salt: [u8; 32],
    /// The 64 octets, encrypted.
    ciphertext: [u8; EXPANDED_LEN],
    /// Poly1305.
    tag: [u8; 16],
}

impl SealedKey {
    /// The octets over which the token's HMAC gives the KEK.
    #[must_use]
    pub fn derivation(onion: &IdentityKey, salt: &[u8; 32]) -> Vec<u8> {
        [CONTEXT, &[SealKind::HmacSha256.octet()], onion.as_bytes(), salt, &[1]].concat()
    }

    /// Seals `key` under `kek`, which was derived with the same salt.
    ///
    /// # Errors
    /// [`SealError::Closed`] never for these lengths; kept so that no panic is needed.
    pub fn seal(key: &ExpandedKey, kek: &Kek, salt: [u8; 32], token: &TokenName) -> Result<Self, SealError> {
        let head = Head { kind: SealKind::HmacSha256, onion: *key.public(), salt };
        let mut octets = key.with_octets(|octets| Zeroizing::new(*octets));
        let tag = kek
            .cipher()
            .encrypt_inout_detached(&Nonce::default(), &head.associated(token), buffer(&mut octets))
            .map_err(|_opaque| SealError::Closed)?;
        Ok(Self { kind: head.kind, onion: head.onion, salt, ciphertext: *octets, tag: tag.into() })
    }

    /// Opens the seal and checks that scalar times base point is the onion key.
    ///
    /// # Errors
    /// [`SealError::Closed`] if it was altered or belongs elsewhere, [`SealError::OtherOnion`] if the key inside is another.
    pub fn open(&self, kek: &Kek, token: &TokenName) -> Result<ExpandedKey, SealError> {
        let mut octets = Zeroizing::new(self.ciphertext);
        kek.cipher()
            .decrypt_inout_detached(
                &Nonce::default(),
                &self.head().associated(token),
                buffer(&mut octets),
                &Tag::from(self.tag),
            )
            .map_err(|_opaque| SealError::Closed)?;
        let key = ExpandedKey::from_octets(&octets).map_err(SealError::Content)?;
        if *key.public() == self.onion { Ok(key) } else { Err(SealError::OtherOnion) }
    }

    /// The octets to store.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        [&self.head().octets(), self.ciphertext.as_slice(), &self.tag].concat()
    }

    /// Reads stored octets.
    ///
    /// # Errors
    /// [`SealError`] for another length, magic, version or kind, or an onion key that is none.
    pub fn from_octets(octets: &[u8]) -> Result<Self, SealError> {
        let wrong = SealError::NotSealed(octets.len());
        let (magic, rest) = octets.split_first_chunk::<6>().ok_or(wrong)?;
        let ([version, kind], rest) = rest.split_first_chunk::<2>().ok_or(wrong)?;
        if magic != MAGIC {
            return Err(wrong);
        }
        if (*version, *kind) != (VERSION, SealKind::HmacSha256.octet()) {
            return Err(SealError::Unknown { version: *version, kind: *kind });
        }
        let (onion, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let (salt, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let (ciphertext, rest) = rest.split_first_chunk::<EXPANDED_LEN>().ok_or(wrong)?;
        let tag = rest.try_into().map_err(|_length| wrong)?;
        let onion = IdentityKey::from_bytes(*onion)?;
        Ok(Self { kind: SealKind::HmacSha256, onion, salt: *salt, ciphertext: *ciphertext, tag })
    }

    /// Whose key it is.
    #[must_use]
    pub const fn onion(&self) -> OnionAddress {
        OnionAddress::new(self.onion)
    }

    /// By which primitive it is sealed.
    #[must_use]
    pub const fn kind(&self) -> SealKind {
        self.kind
    }

    /// The salt, for [`SealedKey::derivation`].
    #[must_use]
    pub const fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// Everything before the ciphertext.
    const fn head(&self) -> Head {
        Head { kind: self.kind, onion: self.onion, salt: self.salt }
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({})", self.onion().redacted())
    }
}

/// What stands before the ciphertext.
struct Head {
    /// By which primitive.
    kind: SealKind,
    /// Whose key.
    onion: IdentityKey,
    /// Fresh salt.
    salt: [u8; 32],
}

impl Head {
    /// The octets.
    fn octets(&self) -> Vec<u8> {
        [MAGIC.as_slice(), &[VERSION, self.kind.octet()], self.onion.as_bytes(), &self.salt].concat()
    }

    /// The associated data: all of the head, then label and serial, each with its length in one octet.
    fn associated(&self, token: &TokenName) -> Vec<u8> {
        let mut data = self.octets();
        for text in [&token.label, &token.serial] {
            // A token's label has at most 32 octets and its serial 16.
            data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            data.extend_from_slice(text.as_bytes());
        }
        data
    }
}

/// The buffer that the cipher works in.
fn buffer(octets: &mut [u8; EXPANDED_LEN]) -> InOutBuf<'_, '_, u8> {
    octets.as_mut_slice().into()
}

#[cfg(test)]
mod tests;
