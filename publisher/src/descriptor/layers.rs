//! A descriptor with its layers open, each exactly as it was written: for those who look at the form and not at the meaning.

use super::crypt::{LayerSecrets, SALT_LEN, Sealed, decrypt, without_padding};
use super::error::{DescriptorError, Fault, Layer};
use super::middle::Middle;
use super::outer::Outer;
use crate::netdoc::text_of;
use onionkeep_common::{BlindedId, ExpirationHours, OnionAddress, TimePeriod, UnixTime};

/// The layers of a descriptor whose signatures and MACs are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// The outer layer.
    pub outer: String,
    /// The middle layer with its padding.
    pub middle: Vec<u8>,
    /// The inner layer; `None` if only a client with a key can read it.
    pub inner: Option<Vec<u8>>,
    /// Salts of the middle and of the inner layer.
    pub salts: [[u8; SALT_LEN]; 2],
    /// `revision-counter`.
    pub revision: u64,
    /// `KP_hs_desc_sign`.
    pub signing_key: [u8; 32],
    /// End of the certificate of that key.
    pub cert_expires: ExpirationHours,
}

impl Layers {
    /// Opens the descriptor of `onion` in `period`.
    ///
    /// # Errors
    /// [`DescriptorError`] names layer, line, keyword and fault.
    ///
    /// Spec: rend-spec-v3, 2.4 and 2.5.
    pub fn open(
        text: &[u8],
        onion: &OnionAddress,
        period: TimePeriod,
        now: UnixTime,
    ) -> Result<Self, DescriptorError> {
        let blinded = onion.identity().blinded(period);
        let blinded = blinded.map_err(|error| DescriptorError::new(Layer::Outer, None, error))?;
        Self::open_as(text, onion, &blinded, now)
    }

    /// Opens it under a blinded key.
    fn open_as(
        text: &[u8],
        onion: &OnionAddress,
        blinded: &BlindedId,
        now: UnixTime,
    ) -> Result<Self, DescriptorError> {
        let outer = Outer::read(text, Some(blinded.as_bytes()))?;
        outer.check_signature()?;
        let cert = outer.timely_cert(Some(now))?;
        let subcredential = onion.identity().credential().subcredential(blinded);
        let secrets = LayerSecrets::new(blinded, &subcredential, outer.revision);
        let fault = |fault| DescriptorError::new(Layer::Outer, Some("superencrypted"), fault);
        let padded =
            decrypt(&secrets, Sealed::Middle, &outer.blob).map_err(|_crypt| fault(Fault::MiddleMac))?;
        let middle = Middle::read(without_padding(&padded))?;
        // Without authorization the inner layer needs no cookie; if it does not open so, clients need a key.
        let inner = decrypt(&secrets, Sealed::Inner(None), &middle.blob).ok();
        let salt = |blob: &[u8]| blob.first_chunk().copied().unwrap_or_default();
        Ok(Self {
            outer: text_of(text).map_err(|error| DescriptorError::syntax(Layer::Outer, error))?.to_owned(),
            salts: [salt(&outer.blob), salt(&middle.blob)],
            inner,
            revision: outer.revision,
            signing_key: *outer.signing_key.as_bytes(),
            cert_expires: cert.expires(),
            middle: padded,
        })
    }

    /// The middle layer without its padding.
    #[must_use]
    pub fn middle_text(&self) -> &str {
        text_of(without_padding(&self.middle)).unwrap_or_default()
    }

    /// The inner layer as text, if it can be read.
    #[must_use]
    pub fn inner_text(&self) -> Option<&str> {
        self.inner.as_deref().map(|inner| text_of(inner).unwrap_or_default())
    }
}

/// Lengths of a descriptor's layers in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The whole text.
    pub text: usize,
    /// `superencrypted`, decoded.
    pub superencrypted: usize,
    /// The middle layer with its padding.
    pub middle_padded: usize,
    /// The middle layer without it.
    pub middle: usize,
    /// `encrypted`, decoded.
    pub encrypted: usize,
    /// The inner layer.
    pub inner: usize,
}
