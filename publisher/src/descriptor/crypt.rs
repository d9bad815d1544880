//! Encryption of the middle and the inner layer: key derivation, AES, MAC. The only place that decrypts a layer.

use aes::Aes256;
use core::ffi::CStr;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use onionkeep_common::{BlindedId, Subcredential};
use sha3::{Digest, Sha3_256};
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Octets of the salt before the ciphertext.
pub(super) const SALT_LEN: usize = 16;
/// Octets of the MAC after the ciphertext.
const MAC_LEN: usize = 32;
/// Octets of a descriptor cookie.
pub(super) const COOKIE_LEN: usize = 16;

/// What the keys of both layers are derived from.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerSecrets<'a> {
    /// `KP_hs_blind_id`.
    pub(super) blinded: &'a [u8; 32],
    /// `N_hs_subcred`.
    pub(super) subcredential: &'a Subcredential,
    /// Revision counter of the descriptor.
    pub(super) revision: u64,
}

impl<'a> LayerSecrets<'a> {
    /// The secrets of a service in one period.
    pub(super) const fn new(blinded: &'a BlindedId, subcredential: &'a Subcredential, revision: u64) -> Self {
        Self { blinded: blinded.as_bytes(), subcredential, revision }
    }
}

/// Which layer is encrypted.
#[derive(Clone, Copy)]
pub(super) enum Sealed<'a> {
    /// The middle layer, into `superencrypted`.
    Middle,
    /// The inner layer, into `encrypted`, with the descriptor cookie if clients need authorization.
    Inner(Option<&'a [u8; COOKIE_LEN]>),
}

/// Keys of one layer and salt.
struct Keys {
    /// Cipher at the start of its key stream.
    cipher: Ctr128BE<Aes256>,
    /// MAC key.
    mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// `SHAKE-256(SECRET_DATA | N_hs_subcred | INT_8(revision) | SALT | STRING_CONSTANT)`, 80 octets.
    ///
    /// Spec: rend-spec-v3, 2.5.3.
    fn derive(secrets: &LayerSecrets<'_>, layer: Sealed<'_>, salt: &[u8; SALT_LEN]) -> Self {
        let (cookie, constant): (&[u8], &[u8]) = match layer {
            Sealed::Middle => (&[], b"hsdir-superencrypted-data"),
            Sealed::Inner(cookie) => (cookie.map_or(&[], |cookie| cookie), b"hsdir-encrypted-data"),
        };
        let mut hash = Shake256::default();
        for part in [secrets.blinded, cookie, &secrets.subcredential.0] {
            hash.update(part);
        }
        hash.update(&secrets.revision.to_be_bytes());
        hash.update(salt);
        hash.update(constant);
        let mut reader = hash.finalize_xof();
        let (mut key, mut mac) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        let mut iv = [0; 16];
        reader.read(key.as_mut_slice());
        reader.read(&mut iv);
        reader.read(mac.as_mut_slice());
        Self { cipher: Ctr128BE::new((&*key).into(), (&iv).into()), mac }
    }

    /// `SHA3-256(INT_8(32) | MAC_KEY | INT_8(16) | SALT | CIPHERTEXT)`.
    ///
    /// Spec: rend-spec-v3, 2.5.3.
    fn mac(&self, salt_and_ciphertext: &[u8]) -> [u8; MAC_LEN] {
        let hash = Sha3_256::new()
            .chain_update(32_u64.to_be_bytes())
            .chain_update(*self.mac)
            .chain_update(16_u64.to_be_bytes())
            .chain_update(salt_and_ciphertext);
        hash.finalize().into()
    }
}

/// Encrypts a layer: salt, ciphertext, MAC.
pub(super) fn encrypt(
    secrets: &LayerSecrets<'_>,
    layer: Sealed<'_>,
    salt: &[u8; SALT_LEN],
    plaintext: &[u8],
) -> Vec<u8> {
    let mut keys = Keys::derive(secrets, layer, salt);
    let mut blob = Vec::with_capacity(plaintext.len().saturating_add(SALT_LEN + MAC_LEN));
    blob.extend_from_slice(salt);
    blob.extend_from_slice(plaintext);
    if let Some(text) = blob.get_mut(SALT_LEN..) {
        keys.cipher.apply_keystream(text);
    }
    let mac = keys.mac(&blob);
    blob.extend_from_slice(&mac);
    blob
}

/// Why a layer was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CryptError {
    /// Too few octets.
    Length(usize),
    /// The MAC is wrong: wrong keys or altered octets.
    Mac,
}

/// Checks the MAC, then decrypts; the result still has its padding.
pub(super) fn decrypt(
    secrets: &LayerSecrets<'_>,
    layer: Sealed<'_>,
    blob: &[u8],
) -> Result<Vec<u8>, CryptError> {
    let short = CryptError::Length(blob.len());
    let (covered, mac) = blob.split_last_chunk::<MAC_LEN>().ok_or(short)?;
    let (salt, ciphertext) = covered.split_first_chunk::<SALT_LEN>().ok_or(short)?;
    if ciphertext.is_empty() {
        return Err(short);
    }
    let mut keys = Keys::derive(secrets, layer, salt);
    if !bool::from(keys.mac(covered).ct_eq(mac)) {
        return Err(CryptError::Mac);
    }
    let mut plaintext = ciphertext.to_vec();
    keys.cipher.apply_keystream(&mut plaintext);
    Ok(plaintext)
}

/// The plaintext up to its first NUL, which starts the padding.
pub(super) fn without_padding(plaintext: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(plaintext).map_or(plaintext, CStr::to_bytes)
}
