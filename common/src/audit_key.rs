//! The audit key's public half and its signatures: what a token returns, a ledger records, and auditors and publishers check with.
//!
//! The only place that verifies the signature of a checkpoint or a bundle. The private half never leaves the token.

use core::fmt;
use core::str::FromStr;
use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;

/// Octets of an Ed25519 public key.
const ED25519_LEN: usize = 32;
/// Octets of an uncompressed P-256 point.
const P256_LEN: usize = 65;

/// The public half of an audit key, written `ed25519:HEX` or `p256:HEX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditKey {
    /// An Ed25519 key as in RFC 8032.
    Ed25519([u8; ED25519_LEN]),
    /// An uncompressed point of P-256 (SEC 1), for tokens without `EdDSA`.
    P256([u8; P256_LEN]),
}

/// A signature by an audit key: Ed25519, or ECDSA's r and s side by side.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditSignature(pub [u8; 64]);

/// Why a key or a signature is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditKeyError {
    /// The text is not a key.
    #[error("an audit key is written ed25519:HEX or p256:HEX")]
    Text,
    /// The octets are no public key.
    #[error("the audit key's octets are no public key")]
    Key,
    /// The signature is not by this key.
    #[error("the signature is not by the audit key")]
    Signature,
    /// This program was built without P-256.
    #[error("this program was built without the feature p256, which checking this audit key needs")]
    NoP256,
}

impl AuditKey {
    /// A key from the octets of a point; its length says which.
    ///
    /// # Errors
    /// [`AuditKeyError::Key`] if it is no public key.
    pub fn from_octets(octets: &[u8]) -> Result<Self, AuditKeyError> {
        if let Ok(key) = <[u8; ED25519_LEN]>::try_from(octets) {
            let point = VerifyingKey::from_bytes(&key).map_err(|_no_point| AuditKeyError::Key)?;
            return if point.is_weak() { Err(AuditKeyError::Key) } else { Ok(Self::Ed25519(key)) };
        }
        match <[u8; P256_LEN]>::try_from(octets) {
            Ok(key) if key.first() == Some(&0x04) => Ok(Self::P256(key)),
            Ok(_) | Err(_) => Err(AuditKeyError::Key),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`AuditKeyError::Signature`] if it is not by this key; [`AuditKeyError::NoP256`] if this program cannot tell.
    pub fn verify(&self, message: &[u8], signature: &AuditSignature) -> Result<(), AuditKeyError> {
        match self {
            Self::Ed25519(key) => {
                let key = VerifyingKey::from_bytes(key).map_err(|_no_point| AuditKeyError::Key)?;
                let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                key.verify_strict(message, &signature).map_err(|_wrong| AuditKeyError::Signature)
            }
            Self::P256(key) => p256_verify(key, message, signature),
        }
    }
}

/// ECDSA over SHA-256.
#[cfg(feature = "p256")]
fn p256_verify(
    key: &[u8; P256_LEN],
    message: &[u8],
    signature: &AuditSignature,
) -> Result<(), AuditKeyError> {
    use p256::ecdsa::signature::Verifier as _;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_no_point| AuditKeyError::Key)?;
    let signature =
        p256::ecdsa::Signature::from_slice(&signature.0).map_err(|_range| AuditKeyError::Signature)?;
    key.verify(message, &signature).map_err(|_wrong| AuditKeyError::Signature)
}

/// Says what is missing.
#[cfg(not(feature = "p256"))]
const fn p256_verify(
    _key: &[u8; P256_LEN],
    _message: &[u8],
    _signature: &AuditSignature,
) -> Result<(), AuditKeyError> {
    Err(AuditKeyError::NoP256)
}

impl fmt::Display for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => write!(f, "ed25519:{}", HEXLOWER.encode(key)),
            Self::P256(key) => write!(f, "p256:{}", HEXLOWER.encode(key)),
        }
    }
}

impl FromStr for AuditKey {
    type Err = AuditKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, hex) = text.split_once(':').ok_or(AuditKeyError::Text)?;
        let octets = HEXLOWER.decode(hex.as_bytes()).map_err(|_hex| AuditKeyError::Text)?;
        let key = Self::from_octets(&octets)?;
        let fits = match key {
            Self::Ed25519(_) => kind == "ed25519",
            Self::P256(_) => kind == "p256",
        };
        if fits { Ok(key) } else { Err(AuditKeyError::Text) }
    }
}

impl fmt::Display for AuditSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for AuditSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditSignature({self})")
    }
}

impl FromStr for AuditSignature {
    type Err = AuditKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_hex| AuditKeyError::Signature)?;
        octets.try_into().map(Self).map_err(|_length| AuditKeyError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use ed25519_dalek::{Signer, SigningKey};

    #[test]
    fn a_signature_by_the_key_is_accepted_and_every_other_rejected() {
        let secret = SigningKey::from_bytes(&[3; 32]);
        let key = AuditKey::from_octets(&secret.verifying_key().to_bytes()).unwrap();
        let signature = AuditSignature(secret.sign(b"head").to_bytes());
        assert_eq!(key.verify(b"head", &signature), Ok(()));
        assert_eq!(key.verify(b"heaD", &signature), Err(AuditKeyError::Signature));
        for octet in 0..64 {
            let mut bad = signature;
            bad.0[octet] ^= 1;
            assert_eq!(key.verify(b"head", &bad), Err(AuditKeyError::Signature));
        }
    }

    #[test]
    fn keys_and_signatures_read_back_and_nothing_else_reads() {
        let key =
            AuditKey::from_octets(&SigningKey::from_bytes(&[3; 32]).verifying_key().to_bytes()).unwrap();
        assert_eq!(key.to_string().parse(), Ok(key));
        let mut point = [7; 65];
        point[0] = 4;
        let point = AuditKey::from_octets(&point).unwrap();
        assert_eq!(point.to_string().parse(), Ok(point));
        let signature = AuditSignature([9; 64]);
        assert_eq!(signature.to_string().parse(), Ok(signature));
        let upper = key.to_string().to_uppercase();
        let crossed = key.to_string().replace("ed25519", "p256");
        for bad in ["", "ed25519:", "ed25519:00", "x", &upper, &crossed, &"0".repeat(64)] {
            assert!(bad.parse::<AuditKey>().is_err(), "{bad}");
        }
        // A point of small order would accept signatures of many messages.
        assert!(AuditKey::from_octets(&[0; 32]).is_err());
    }

    /// The key and the two signatures with SHA-256 of RFC 6979, A.2.5.
    #[cfg(feature = "p256")]
    fn p256_vector() -> (AuditKey, [AuditSignature; 2]) {
        let key = "p256:0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                   7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
        let sample = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                      f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        let test = "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
                    019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083";
        (key.parse().unwrap(), [sample, test].map(|signature| signature.parse().unwrap()))
    }

    #[test]
    #[cfg(feature = "p256")]
    fn a_p256_signature_of_the_published_vector_is_accepted() {
        let (key, [sample, test]) = p256_vector();
        assert_eq!(key.verify(b"sample", &sample), Ok(()));
        assert_eq!(key.verify(b"test", &test), Ok(()));
    }

    #[test]
    #[cfg(feature = "p256")]
    fn every_other_p256_signature_message_or_key_is_rejected() {
        let (key, [sample, test]) = p256_vector();
        assert_eq!(key.verify(b"test", &sample), Err(AuditKeyError::Signature));
        assert_eq!(key.verify(b"sample", &test), Err(AuditKeyError::Signature));
        for octet in 0..64 {
            let mut bad = sample;
            bad.0[octet] ^= 1;
            assert_eq!(key.verify(b"sample", &bad), Err(AuditKeyError::Signature), "{octet}");
        }
        for constant in [0, 0xff] {
            let bad = AuditSignature([constant; 64]);
            assert_eq!(key.verify(b"sample", &bad), Err(AuditKeyError::Signature));
        }
        let AuditKey::P256(mut point) = key else { panic!("{key}") };
        point[64] ^= 1;
        assert_eq!(AuditKey::P256(point).verify(b"sample", &sample), Err(AuditKeyError::Key));
    }

    #[test]
    #[cfg(not(feature = "p256"))]
    fn without_the_feature_a_p256_key_is_said_to_be_uncheckable() {
        let mut point = [7; 65];
        point[0] = 4;
        let key = AuditKey::from_octets(&point).unwrap();
        assert_eq!(key.verify(b"", &AuditSignature([0; 64])), Err(AuditKeyError::NoP256));
    }
}
