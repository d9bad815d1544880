//! What a publisher may ask of a signer: one certificate for one key of one period.

use super::{DescSigningKey, Fields, Frame, IdentityKey, PeriodNumber, Signature, WireError};
use crate::keys::KeyError;

/// Message kind of [`CertifyRequest`] (requests are even).
pub const KIND_CERTIFY: u8 = 0x10;
/// Octets of its content.
const CONTENT_LEN: usize = 32 + 8 + 4 + 32 + 64;
/// Starts the text that a proof of possession signs; no other signature of the protocol starts so.
const PROOF_PREFIX: &[u8; 32] = b"onionkeep proof of possession v1";
/// Octets that a proof of possession signs.
const PROOF_TEXT_LEN: usize = 32 + 32 + 8 + 4 + 32;

/// The text by whose signature a publisher proves that it holds the private half of the key.
#[derive(Clone, Copy)]
pub struct Proof([u8; PROOF_TEXT_LEN]);

impl Proof {
    /// The text for these fields; `length` is the period length in minutes.
    #[must_use]
    pub fn new(onion: &IdentityKey, period: PeriodNumber, length: u32, key: &DescSigningKey) -> Self {
        let period = period.0.to_be_bytes();
        let length = length.to_be_bytes();
        let fields =
            PROOF_PREFIX.iter().chain(onion.as_bytes()).chain(&period).chain(&length).chain(key.as_bytes());
        let mut text = [0; PROOF_TEXT_LEN];
        for (to, from) in text.iter_mut().zip(fields) {
            *to = *from;
        }
        Self(text)
    }

    /// The octets to sign or verify.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PROOF_TEXT_LEN] {
        &self.0
    }
}

/// Asks for a type-08 certificate. The signer chooses the expiration itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertifyRequest {
    /// The frontend's identity key.
    pub onion: IdentityKey,
    /// The period that the certificate is for.
    pub period: PeriodNumber,
    /// The period's length in **minutes**, as the publisher sees it.
    pub length: u32,
    /// The key to certify.
    pub key: DescSigningKey,
    /// Signature of [`Proof`] by the private half of `key`.
    pub proof: Signature,
}

impl CertifyRequest {
    /// Frames the request.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame::new(
            KIND_CERTIFY,
            &[
                self.onion.as_bytes(),
                &self.period.0.to_be_bytes(),
                &self.length.to_be_bytes(),
                self.key.as_bytes(),
                &self.proof.0,
            ],
        )
    }

    /// Reads a request out of a frame's kind and content.
    ///
    /// # Errors
    /// [`WireError`] for another kind, a wrong length or a key that is not usable.
    pub fn parse(kind: u8, content: &[u8]) -> Result<Self, WireError> {
        if kind != KIND_CERTIFY {
            return Err(WireError::Kind(kind));
        }
        let mut fields = Fields::new(kind, content, CONTENT_LEN)?;
        Ok(Self {
            onion: IdentityKey::from_bytes(fields.array()?)?,
            period: PeriodNumber(u64::from_be_bytes(fields.array()?)),
            length: u32::from_be_bytes(fields.array()?),
            key: DescSigningKey::from_bytes(fields.array()?)?,
            proof: Signature(fields.array()?),
        })
    }

    /// Checks the proof of possession.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] if it was not made by the private half of `key` over these fields.
    pub fn check_proof(&self) -> Result<(), KeyError> {
        let proof = Proof::new(&self.onion, self.period, self.length, &self.key);
        self.key.verify(proof.as_bytes(), &self.proof)
    }
}
