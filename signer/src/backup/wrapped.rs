//! The master key under the wrapping secret: the blob that may be copied freely. The only place that wraps and unwraps.
//!
//! ```text
//! onionkeep wrapped key v1
//! onion ADDRESS.onion
//! generation 1
//! set 64 hexadecimal characters, as in the verifier file
//! key 160 hexadecimal characters: 64 octets encrypted, then the tag
//! ```
//!
//! The cipher's key is the first half of `SHA-512(context | scalar | set)`, the associated data the lines before the last,
//! word for word. Each set has its own secret, so each cipher key encrypts once and the nonce may be fixed.

use super::BackupError;
use super::set::{BackupSet, field};
use super::shamir::WrappingSecret;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, Key, KeyInit, Nonce, Tag};
use data_encoding::HEXLOWER;
use onionkeep_core::{EXPANDED_LEN, ExpandedKey};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// The blob's first line.
const TITLE: &str = "onionkeep wrapped key v1";
/// Starts the octets from which the cipher's key is derived.
const CONTEXT: &[u8] = b"onionkeep backup wrapping key v1\0";
/// Octets of the tag.
const TAG_LEN: usize = 16;

/// A wrapped master key; no secret without enough shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The lines that the tag covers.
    head: String,
    /// The 64 octets, encrypted.
    ciphertext: [u8; EXPANDED_LEN],
    /// Poly1305.
    tag: [u8; TAG_LEN],
}

impl WrappedKey {
    /// Wraps the key of the set's onion.
    ///
    /// # Errors
    /// [`BackupError::OtherOnion`] if it is another's.
    pub fn wrap(key: &ExpandedKey, set: &BackupSet, secret: &WrappingSecret) -> Result<Self, BackupError> {
        if key.public() != set.onion().identity() {
            return Err(BackupError::OtherOnion);
        }
        let head = head(set);
        let mut octets = key.with_octets(|octets| Zeroizing::new(*octets));
        let tag = cipher(set, secret)
            .encrypt_inout_detached(&Nonce::default(), head.as_bytes(), buffer(&mut octets))
            .map_err(|_opaque| BackupError::Closed)?;
        Ok(Self { head, ciphertext: *octets, tag: tag.into() })
    }

    /// Opens the blob and checks that the key inside is that of the set's onion.
    ///
    /// # Errors
    /// [`BackupError::Closed`] if the blob was altered, [`BackupError::OtherOnion`] if it holds another key.
    pub fn unwrap_key(&self, set: &BackupSet, secret: &WrappingSecret) -> Result<ExpandedKey, BackupError> {
        self.belongs_to(set)?;
        let mut octets = Zeroizing::new(self.ciphertext);
        let (nonce, tag) = (Nonce::default(), Tag::from(self.tag));
        cipher(set, secret)
            .decrypt_inout_detached(&nonce, self.head.as_bytes(), buffer(&mut octets), &tag)
            .map_err(|_opaque| BackupError::Closed)?;
        let key = ExpandedKey::from_octets(&octets).map_err(BackupError::Content)?;
        if key.public() == set.onion().identity() { Ok(key) } else { Err(BackupError::OtherOnion) }
    }

    /// Checks that blob and verifier are of the same set.
    ///
    /// # Errors
    /// [`BackupError::Mismatch`] if not.
    pub fn belongs_to(&self, set: &BackupSet) -> Result<(), BackupError> {
        if self.head == head(set) { Ok(()) } else { Err(BackupError::Mismatch) }
    }

    /// The blob's file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let octets = [self.ciphertext.as_slice(), &self.tag].concat();
        format!("{}key {}\n", self.head, HEXLOWER.encode(&octets))
    }

    /// Reads a blob's file.
    ///
    /// # Errors
    /// [`BackupError::NotABlob`] if it is none.
    pub fn from_text(text: &str) -> Result<Self, BackupError> {
        parse(text).filter(|blob| blob.to_text() == text).ok_or(BackupError::NotABlob)
    }
}

/// The lines before the key.
fn head(set: &BackupSet) -> String {
    let (onion, generation) = (set.onion(), set.generation());
    format!("{TITLE}\nonion {onion}\ngeneration {generation}\nset {}\n", set.name())
}

/// The cipher of a set.
fn cipher(set: &BackupSet, secret: &WrappingSecret) -> ChaCha20Poly1305 {
    let mut hash = Zeroizing::new([0; 64]);
    secret.with_octets(|scalar| {
        let fed = Sha512::new().chain_update(CONTEXT).chain_update(scalar).chain_update(set.digest());
        fed.finalize_into((&mut *hash).into());
    });
    let mut key = Key::default();
    key.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
    let cipher = ChaCha20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

/// The buffer that the cipher works in.
fn buffer(octets: &mut [u8; EXPANDED_LEN]) -> InOutBuf<'_, '_, u8> {
    octets.as_mut_slice().into()
}

/// Takes a text apart; what the head says is compared with a verifier before it is used.
fn parse(text: &str) -> Option<WrappedKey> {
    if !text.starts_with(TITLE) {
        return None;
    }
    let (head, last) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let octets = HEXLOWER.decode(field(last, "key")?.as_bytes()).ok()?;
    let (ciphertext, tag) = octets.split_first_chunk::<EXPANDED_LEN>()?;
    Some(WrappedKey { head: format!("{head}\n"), ciphertext: *ciphertext, tag: tag.try_into().ok()? })
}

#[cfg(test)]
mod tests;
