//! C tor's key files: a tag of 32 octets, then the key.

use super::FormatError;
use onionkeep_core::EXPANDED_LEN;

/// First octets of `hs_ed25519_secret_key`.
const SECRET_TAG: &[u8; 32] = b"== ed25519v1-secret: type0 ==\0\0\0";
/// First octets of `hs_ed25519_public_key`.
const PUBLIC_TAG: &[u8; 32] = b"== ed25519v1-public: type0 ==\0\0\0";

/// The 64 octets of a secret key file.
///
/// Spec: C tor, `crypto_write_tagged_contents_to_file`, `ed25519_seckey_write_to_file`.
pub(super) fn secret(octets: &[u8]) -> Result<&[u8; EXPANDED_LEN], FormatError> {
    let (tag, rest) = octets.split_first_chunk::<32>().ok_or(FormatError::Length(octets.len()))?;
    if tag == PUBLIC_TAG {
        return Err(FormatError::Public);
    }
    if tag != SECRET_TAG {
        return Err(FormatError::Tag);
    }
    rest.try_into().map_err(|_length| FormatError::Length(octets.len()))
}

/// The 32 octets of a public key file.
pub(super) fn public(octets: &[u8]) -> Result<&[u8; 32], FormatError> {
    let (tag, rest) = octets.split_first_chunk::<32>().ok_or(FormatError::Length(octets.len()))?;
    if tag != PUBLIC_TAG {
        return Err(FormatError::Tag);
    }
    rest.try_into().map_err(|_length| FormatError::Length(octets.len()))
}
