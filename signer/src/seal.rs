//! How a master key is sealed to a token: key derivation, encryption, format. The only place that knows the sealed octets.
//!
//! `KEK = HKDF-Expand-SHA256(root, info, 32)` with one block, which is exactly one HMAC by the token:
//! `HMAC-SHA256(root, info | 01)`, `info = context | kind | onion key | salt`. The root is a uniformly random key that
//! never leaves the token, so the extract step has nothing to add (RFC 5869, 3.3). The salt is fresh for each sealing,
//! so each KEK encrypts once and the nonce may be fixed.
//!
//! For tokens without HMAC two other kinds exist. There the token gives a secret Z of 32 octets for some stored *material*,
//! and `KEK = SHA-256(00000001 | Z | context | kind | onion key | salt | material)` (NIST SP 800-56C rev. 2, 4.1):
//! - `oaep`: Z is random, the material is Z encrypted to the token's RSA key (first octet: by which hash).
//! - `ecdh-p256`: the material is a P-256 point made for this sealing, Z is its ECDH with the token's key.
//!
//! Octets, version 1: magic `OKSEAL` (6), version (1), kind (1), onion key (32), salt (32), then for kinds 2 and 3 the
//! material with its length (2), ciphertext (64), tag (16). Everything before the ciphertext is associated data.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{IdentityKey, OnionAddress};
use onionkeep_core::{CoreError, EXPANDED_LEN, ExpandedKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

/// First octets of a sealed key.
const MAGIC: &[u8; 6] = b"OKSEAL";
/// The format's version.
const VERSION: u8 = 1;
/// Starts the text from which the key encryption key is derived.
const CONTEXT: &[u8] = b"onionkeep key encryption key v1";
/// Octets of a sealed key of kind `hmac`.
pub const SEALED_LEN: usize = 6 + 2 + 32 + 32 + EXPANDED_LEN + 16;
/// The longest material: RSA with 8192 bits, and the octet before it.
pub const MATERIAL_MAX: usize = 1025;

/// By which primitive of the token a key is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SealKind {
    /// HMAC-SHA256 by a non-extractable secret key.
    HmacSha256,
    /// Decryption by a non-extractable RSA key.
    RsaOaep,
    /// Key agreement by a non-extractable P-256 key.
    EcdhP256,
}

impl SealKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::RsaOaep, Self::EcdhP256];

    /// The kind's octet.
    const fn octet(self) -> u8 {
        match self {
            Self::HmacSha256 => 1,
            Self::RsaOaep => 2,
            Self::EcdhP256 => 3,
        }
    }

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac",
            Self::RsaOaep => "oaep",
            Self::EcdhP256 => "ecdh-p256",
        }
    }
}

impl fmt::Display for SealKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind of seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wanted is \"hmac\", \"oaep\" or \"ecdh-p256\"")]
pub struct NoSealKind;

impl FromStr for SealKind {
    type Err = NoSealKind;

    fn from_str(text: &str) -> Result<Self, NoSealKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NoSealKind)
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
    #[error(
        "the sealed object is of version {version}, kind {kind}; this signer knows version 1, kinds 1 to 3"
    )]
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

/// A key encryption key. Wiped when dropped.
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Takes the token's HMAC over [`Head::derivation`].
    #[must_use]
    pub const fn new(mac: Zeroizing<[u8; 32]>) -> Self {
        Self(mac)
    }

    /// Derives it from the secret that the token gave for the material of `head`.
    ///
    /// Spec: NIST SP 800-56C rev. 2, 4.1.
    #[must_use]
    pub fn from_secret(secret: &Zeroizing<[u8; 32]>, head: &Head) -> Self {
        let mut hash = Sha256::new();
        hash.update([0, 0, 0, 1]);
        hash.update(secret.as_slice());
        hash.update(head.info());
        hash.update(&head.material);
        let mut key = Zeroizing::new([0; 32]);
        hash.finalize_into((&mut *key).into());
        Self(key)
    }

    /// The cipher under this key.
    fn cipher(&self) -> ChaCha20Poly1305 {
        let mut key = Key::from(*self.0);
        let cipher = ChaCha20Poly1305::new(&key);
        key.as_mut_slice().zeroize();
        cipher
    }
}

/// What stands before the ciphertext: whose key it is, and how its KEK is had again.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// By which primitive.
    pub kind: SealKind,
    /// Whose key.
    pub onion: IdentityKey,
    /// Fresh for each sealing.
    pub salt: [u8; 32],
    /// For which the token gives its secret; empty for `hmac`.
    pub material: Vec<u8>,
}

impl Head {
    /// What the derivation of every kind speaks about.
    fn info(&self) -> Vec<u8> {
        [CONTEXT, &[self.kind.octet()], self.onion.as_bytes(), &self.salt].concat()
    }

    /// The octets over which the token's HMAC gives the KEK.
    #[must_use]
    pub fn derivation(&self) -> Vec<u8> {
        [self.info().as_slice(), &[1]].concat()
    }

    /// The octets.
    fn octets(&self) -> Vec<u8> {
        let mut octets =
            [MAGIC.as_slice(), &[VERSION, self.kind.octet()], self.onion.as_bytes(), &self.salt].concat();
        if self.kind != SealKind::HmacSha256 {
            // Longer material is refused before anything is sealed with it.
            octets.extend(u16::try_from(self.material.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend_from_slice(&self.material);
        }
        octets
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

    /// Reads the head; returns what follows it.
    fn read(octets: &[u8]) -> Result<(Self, &[u8]), SealError> {
        let wrong = SealError::NotSealed(octets.len());
        let (magic, rest) = octets.split_first_chunk::<6>().ok_or(wrong)?;
        let ([version, kind], rest) = rest.split_first_chunk::<2>().ok_or(wrong)?;
        if magic != MAGIC {
            return Err(wrong);
        }
        let unknown = SealError::Unknown { version: *version, kind: *kind };
        let known = SealKind::ALL.into_iter().find(|known| *version == VERSION && known.octet() == *kind);
        let kind = known.ok_or(unknown)?;
        let (onion, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let (salt, rest) = rest.split_first_chunk::<32>().ok_or(wrong)?;
        let (material, rest) = material(kind, rest).ok_or(wrong)?;
        let onion = IdentityKey::from_bytes(*onion)?;
        Ok((Self { kind, onion, salt: *salt, material: material.to_vec() }, rest))
    }
}

/// The material at the start of `octets`, and what follows.
fn material(kind: SealKind, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    if kind == SealKind::HmacSha256 {
        return Some((&[], octets));
    }
    let (length, rest) = octets.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > MATERIAL_MAX {
        return None;
    }
    rest.split_at_checked(length)
}

/// A master key under its KEK; no secret without the token.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// What stands before the ciphertext.
    head: Head,
    /// The 64 octets, encrypted.
    ciphertext: [u8; EXPANDED_LEN],
    /// Poly1305.
    tag: [u8; 16],
}

impl SealedKey {
    /// Seals `key` under `kek`, which was derived for `head`.
    ///
    /// # Errors
    /// [`SealError::OtherOnion`] if the head is about another key, [`SealError::NotSealed`] if its material is too long.
    pub fn seal(key: &ExpandedKey, kek: &Kek, head: Head, token: &TokenName) -> Result<Self, SealError> {
        if head.onion != *key.public() {
            return Err(SealError::OtherOnion);
        }
        if head.material.len() > MATERIAL_MAX {
            return Err(SealError::NotSealed(head.material.len()));
        }
        let mut octets = key.with_octets(|octets| Zeroizing::new(*octets));
        let tag = kek
            .cipher()
            .encrypt_inout_detached(&Nonce::default(), &head.associated(token), buffer(&mut octets))
            .map_err(|_opaque| SealError::Closed)?;
        Ok(Self { head, ciphertext: *octets, tag: tag.into() })
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
                &self.head.associated(token),
                buffer(&mut octets),
                &Tag::from(self.tag),
            )
            .map_err(|_opaque| SealError::Closed)?;
        let key = ExpandedKey::from_octets(&octets).map_err(SealError::Content)?;
        if *key.public() == self.head.onion { Ok(key) } else { Err(SealError::OtherOnion) }
    }

    /// The octets to store.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        [&self.head.octets(), self.ciphertext.as_slice(), &self.tag].concat()
    }

    /// Reads stored octets.
    ///
    /// # Errors
    /// [`SealError`] for another length, magic, version or kind, or an onion key that is none.
    pub fn from_octets(octets: &[u8]) -> Result<Self, SealError> {
        let wrong = SealError::NotSealed(octets.len());
        let (head, rest) = Head::read(octets)?;
        let (ciphertext, rest) = rest.split_first_chunk::<EXPANDED_LEN>().ok_or(wrong)?;
        let tag = rest.try_into().map_err(|_length| wrong)?;
        Ok(Self { head, ciphertext: *ciphertext, tag })
    }

    /// Whose key it is.
    #[must_use]
    pub const fn onion(&self) -> OnionAddress {
        OnionAddress::new(self.head.onion)
    }

    /// By which primitive it is sealed.
    #[must_use]
    pub const fn kind(&self) -> SealKind {
        self.head.kind
    }

    /// How its KEK is had again.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({})", self.onion().redacted())
    }
}

/// The buffer that the cipher works in.
fn buffer(octets: &mut [u8; EXPANDED_LEN]) -> InOutBuf<'_, '_, u8> {
    octets.as_mut_slice().into()
}

#[cfg(test)]
mod tests;
