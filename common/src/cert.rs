//! The 140-octet certificates 08, 09 and 0B: built, read, checked. The only place that knows their layout.

use crate::keys::{BlindedId, IntroEncKey};
use crate::keys::{DescSigningKey, IntroAuthKey, KeyError, Signature};
use crate::units::{ExpirationHours, UnixTime};
use core::fmt;
use ed25519_dalek::VerifyingKey;

#[cfg(feature = "batch")]
mod batch;
#[cfg(feature = "batch")]
pub use batch::check_signatures;

/// Octets before the signature of a certificate with one extension.
pub const BODY_LEN: usize = 76;
/// Octets of a certificate with one extension, as C tor writes all of them.
pub const CERT_LEN: usize = 140;
/// Extension type: the key that signed the certificate.
const EXT_SIGNED_WITH: u8 = 4;
/// Extension flag: a parser that does not know the extension must refuse the certificate.
const AFFECTS_VALIDATION: u8 = 1;

/// What a certificate certifies.
///
/// Spec: cert-spec, A.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertType {
    /// 08: a descriptor signing key, by the blinded key.
    DescSigning,
    /// 09: the authentication key of an introduction point, by the descriptor signing key.
    IntroAuth,
    /// 0B: the encryption key of an introduction point, by the descriptor signing key.
    IntroEnc,
}

impl CertType {
    /// The type's octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::DescSigning => 0x08,
            Self::IntroAuth => 0x09,
            Self::IntroEnc => 0x0b,
        }
    }

    /// The type of an octet, `None` for types that descriptors do not use.
    const fn of(octet: u8) -> Option<Self> {
        match octet {
            0x08 => Some(Self::DescSigning),
            0x09 => Some(Self::IntroAuth),
            0x0b => Some(Self::IntroEnc),
            _ => None,
        }
    }
}

/// Why octets are not a good certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// It ends in the middle of a field.
    #[error("the certificate ends after {0} octets, in the middle of a field")]
    Truncated(usize),
    /// Octets follow the signature.
    #[error("{0} octets follow the certificate's signature")]
    Trailing(usize),
    /// The version is not 1.
    #[error("the certificate is of version {0}, only version 1 is known")]
    Version(u8),
    /// The type is not the wanted one.
    #[error("the certificate is of type {found:02x}, wanted is {wanted:02x}")]
    Type {
        /// The octet in the certificate.
        found: u8,
        /// The octet that was expected.
        wanted: u8,
    },
    /// The certified key is not an Ed25519 key.
    #[error("the certified key is of type {0}, only 1 (ed25519) is known")]
    KeyType(u8),
    /// An extension that must not be ignored is unknown.
    #[error("the certificate has an extension of unknown type {0} that must not be ignored")]
    UnknownExtension(u8),
    /// The signed-with extension stands twice, or has a wrong length.
    #[error("the certificate's signing-key extension is repeated or malformed")]
    SignedWith,
    /// No signed-with extension.
    #[error("the certificate does not say which key signed it")]
    NoSigner,
    /// The signature is wrong.
    #[error("the certificate's signature does not verify")]
    Signature,
    /// The time is past.
    #[error("the certificate expired at hour {0} since the epoch")]
    Expired(u32),
    /// A key in it is not usable.
    #[error("a key in the certificate is not usable: {0}")]
    Key(#[from] KeyError),
}

/// The 76 octets that are signed: everything but the signature.
///
/// Spec: cert-spec, 2.1 and 2.2.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CertBody([u8; BODY_LEN]);

impl CertBody {
    /// A type-08 body: `key` is certified by the blinded key.
    #[must_use]
    pub fn desc_signing(key: &DescSigningKey, expires: ExpirationHours, blinded: &BlindedId) -> Self {
        Self::build(CertType::DescSigning, key.as_bytes(), expires, blinded.as_bytes())
    }

    /// A type-09 body: `key` is certified by the descriptor signing key.
    #[must_use]
    pub fn intro_auth(key: &IntroAuthKey, expires: ExpirationHours, signer: &DescSigningKey) -> Self {
        Self::build(CertType::IntroAuth, key.as_bytes(), expires, signer.as_bytes())
    }

    /// A type-0B body: the Ed25519 form of `key` is certified by the descriptor signing key.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] if `key` has no Ed25519 form.
    pub fn intro_enc(
        key: &IntroEncKey,
        expires: ExpirationHours,
        signer: &DescSigningKey,
    ) -> Result<Self, KeyError> {
        Ok(Self::intro_enc_form(&key.ed25519_form()?, expires, signer))
    }

    /// A type-0B body from the Ed25519 form of the key, for callers that have computed it already.
    #[must_use]
    pub fn intro_enc_form(form: &[u8; 32], expires: ExpirationHours, signer: &DescSigningKey) -> Self {
        Self::build(CertType::IntroEnc, form, expires, signer.as_bytes())
    }

    /// The octets to be signed. There is no prefix string.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BODY_LEN] {
        &self.0
    }

    /// The whole certificate.
    #[must_use]
    pub fn with_signature(&self, signature: &Signature) -> EncodedCert {
        let mut cert = [0; CERT_LEN];
        for (to, from) in cert.iter_mut().zip(self.0.iter().chain(signature.0.iter())) {
            *to = *from;
        }
        EncodedCert(cert)
    }

    /// Lays the fields out.
    fn build(kind: CertType, certified: &[u8; 32], expires: ExpirationHours, signer: &[u8; 32]) -> Self {
        let head = [1, kind.octet()];
        let extension = [1, 0, 32, EXT_SIGNED_WITH, 0];
        let hours = expires.0.to_be_bytes();
        let fields = head.iter().chain(&hours).chain(&[1]).chain(certified).chain(&extension).chain(signer);
        let mut body = [0; BODY_LEN];
        for (to, from) in body.iter_mut().zip(fields) {
            *to = *from;
        }
        Self(body)
    }
}

/// A certificate's 140 octets, made by us or already checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncodedCert(pub [u8; CERT_LEN]);

impl fmt::Debug for EncodedCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodedCert(..)")
    }
}

/// Reads fields off the front of a certificate.
struct Fields<'a> {
    /// All octets.
    whole: &'a [u8],
    /// What is not read yet.
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The next `N` octets.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CertError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(CertError::Truncated(self.whole.len()))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` octets.
    fn slice(&mut self, len: usize) -> Result<&'a [u8], CertError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(CertError::Truncated(self.whole.len()))?;
        self.rest = rest;
        Ok(head)
    }
}

/// A certificate that was read but whose signature and time are **not** checked.
#[derive(Clone, Copy, Debug)]
pub struct UncheckedCert<'a> {
    /// Type.
    kind: CertType,
    /// End of life.
    expires: ExpirationHours,
    /// The certified key, as it stands.
    certified: [u8; 32],
    /// The signing key, as it stands.
    signer: [u8; 32],
    /// What the signature covers.
    signed: &'a [u8],
    /// The signature.
    signature: [u8; 64],
}

impl<'a> UncheckedCert<'a> {
    /// Reads a certificate of type `wanted`; unknown extensions are skipped unless they forbid it.
    ///
    /// # Errors
    /// [`CertError`] for a wrong version, type or key type, a bad extension, missing or surplus octets.
    ///
    /// Spec: cert-spec, 2.1; C tor, `tor_cert_parse`.
    pub fn parse(wanted: CertType, octets: &'a [u8]) -> Result<Self, CertError> {
        let mut fields = Fields { whole: octets, rest: octets };
        let [version, kind] = fields.array()?;
        if version != 1 {
            return Err(CertError::Version(version));
        }
        if CertType::of(kind) != Some(wanted) {
            return Err(CertError::Type { found: kind, wanted: wanted.octet() });
        }
        let expires = ExpirationHours(u32::from_be_bytes(fields.array()?));
        let [key_type] = fields.array()?;
        if key_type != 1 {
            return Err(CertError::KeyType(key_type));
        }
        let certified = fields.array()?;
        let signer = signed_with(&mut fields)?;
        let signed = octets.get(..octets.len().saturating_sub(fields.rest.len())).unwrap_or_default();
        let signature = fields.array()?;
        if !fields.rest.is_empty() {
            return Err(CertError::Trailing(fields.rest.len()));
        }
        Ok(Self { kind: wanted, expires, certified, signer, signed, signature })
    }

    /// The key that it certifies, if the signature is good.
    #[must_use]
    pub const fn certified(&self) -> &[u8; 32] {
        &self.certified
    }

    /// The key that the certificate says has signed it.
    #[must_use]
    pub const fn signer(&self) -> &[u8; 32] {
        &self.signer
    }

    /// The end of life that it names.
    #[must_use]
    pub const fn expires(&self) -> ExpirationHours {
        self.expires
    }

    /// Checks the signature by the key that the certificate itself names.
    ///
    /// # Errors
    /// [`CertError::Signature`] if it does not verify, [`CertError::Key`] if a key is not usable.
    pub fn check_signature(self) -> Result<SignatureChecked, CertError> {
        let key =
            VerifyingKey::from_bytes(&self.signer).map_err(|_opaque| CertError::Key(KeyError::NotAPoint))?;
        key.verify_strict(self.signed, &ed25519_dalek::Signature::from_bytes(&self.signature))
            .map_err(|_opaque| CertError::Signature)?;
        Ok(self.checked())
    }

    /// The certificate after its signature has been checked.
    const fn checked(&self) -> SignatureChecked {
        SignatureChecked {
            kind: self.kind,
            expires: self.expires,
            certified: self.certified,
            signer: self.signer,
        }
    }
}

/// Walks the extensions and returns the signing key.
fn signed_with(fields: &mut Fields<'_>) -> Result<[u8; 32], CertError> {
    let [count] = fields.array()?;
    let mut signer = None;
    for _index in 0..count {
        let len = u16::from_be_bytes(fields.array()?);
        let [kind, flags] = fields.array()?;
        let data = fields.slice(usize::from(len))?;
        if kind == EXT_SIGNED_WITH {
            let key = data.try_into().map_err(|_length| CertError::SignedWith)?;
            if signer.replace(key).is_some() {
                return Err(CertError::SignedWith);
            }
        } else if flags & AFFECTS_VALIDATION != 0 {
            return Err(CertError::UnknownExtension(kind));
        }
    }
    signer.ok_or(CertError::NoSigner)
}

/// A certificate whose signature is good; its time is **not** checked.
#[derive(Clone, Copy, Debug)]
pub struct SignatureChecked {
    /// Type.
    kind: CertType,
    /// End of life.
    expires: ExpirationHours,
    /// The certified key.
    certified: [u8; 32],
    /// The signing key.
    signer: [u8; 32],
}

impl SignatureChecked {
    /// Checks that the certificate is still good at `now`.
    ///
    /// # Errors
    /// [`CertError::Expired`] if it is not.
    pub fn check_time(self, now: UnixTime) -> Result<TimelyCert, CertError> {
        if self.expires.is_past(now) { Err(CertError::Expired(self.expires.0)) } else { Ok(TimelyCert(self)) }
    }

    /// Takes the certificate without looking at the time: for showing old descriptors only.
    #[must_use]
    pub const fn dangerously_assume_timely(self) -> TimelyCert {
        TimelyCert(self)
    }
}

/// A certificate that is good: read, signature checked, not expired.
#[derive(Clone, Copy, Debug)]
pub struct TimelyCert(SignatureChecked);

impl TimelyCert {
    /// The type.
    #[must_use]
    pub const fn kind(&self) -> CertType {
        self.0.kind
    }

    /// End of life.
    #[must_use]
    pub const fn expires(&self) -> ExpirationHours {
        self.0.expires
    }

    /// The certified key's 32 octets as they stand (for 0B: the Ed25519 form of an x25519 key).
    #[must_use]
    pub const fn certified(&self) -> &[u8; 32] {
        &self.0.certified
    }

    /// The signing key's 32 octets.
    #[must_use]
    pub const fn signer(&self) -> &[u8; 32] {
        &self.0.signer
    }
}

#[cfg(test)]
mod tests;
