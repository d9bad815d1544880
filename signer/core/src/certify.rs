//! Issues a type-08 certificate; the only place where the blinded secret scalar exists.

use crate::key::{CoreError, ExpandedKey};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::{
    BlindedId, CertBody, DescSigningKey, EncodedCert, ExpirationHours, Signature, TimePeriod,
};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

/// Fresh random octets for one certificate, or for one ladder, whose messages all differ; wiped when dropped.
///
/// They are hashed into the nonce besides the secret prefix, so that neither a weak random source nor a repeated
/// message alone can repeat a nonce.
pub struct Hedge(Zeroizing<[u8; 32]>);

impl Hedge {
    /// Takes 32 octets from the system's random source.
    #[must_use]
    pub const fn new(random: Zeroizing<[u8; 32]>) -> Self {
        Self(random)
    }
}

/// What a certificate is to say. There is no way to ask for a signature over anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertTerms {
    /// The period whose blinded key signs.
    pub period: TimePeriod,
    /// The key to certify.
    pub key: DescSigningKey,
    /// End of life, chosen by the signer and not by who asks.
    pub expires: ExpirationHours,
}

/// Certificates for one key in one period, one for each of some hours that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// What the first one is to say.
    pub first: CertTerms,
    /// How many there are.
    pub count: u32,
}

impl ExpandedKey {
    /// Makes the type-08 certificate: builds its 76 octets, signs them under the blinded key, verifies, returns it.
    ///
    /// # Errors
    /// [`CoreError::Fault`] if the two ways to the blinded key differ or our own signature does not verify.
    ///
    /// Spec: rend-spec-v3, A.2; cert-spec, 2.1.
    pub fn certify(&self, terms: &CertTerms, hedge: &Hedge) -> Result<EncodedCert, CoreError> {
        self.issue(terms, &self.factor(terms.period), Some(hedge))
    }

    /// Makes a ladder, and gives each certificate to `each` after it was verified; the key is blinded once.
    ///
    /// # Errors
    /// As [`ExpandedKey::certify`]; what `each` was given before is good.
    ///
    /// Spec: rend-spec-v3, A.2; cert-spec, 2.1.
    pub fn certify_ladder(
        &self,
        ladder: &Ladder,
        hedge: &Hedge,
        each: impl FnMut(EncodedCert),
    ) -> Result<(), CoreError> {
        self.climb(ladder, &self.factor(ladder.first.period), hedge, each)
    }

    /// Makes the ladder if `factor` leads to the public blinded key.
    fn climb(
        &self,
        ladder: &Ladder,
        factor: &Scalar,
        hedge: &Hedge,
        each: impl FnMut(EncodedCert),
    ) -> Result<(), CoreError> {
        let Ladder { first: CertTerms { period, key, expires }, count } = ladder;
        let expected = self.public().blinded(*period)?;
        let body = |rung: u32, blinded: &BlindedId| {
            let expires = expires.0.checked_add(rung).map(ExpirationHours);
            match expires {
                Some(expires) if *blinded == expected => Ok(CertBody::desc_signing(key, expires, blinded)),
                Some(_) | None => Err(CoreError::Fault),
            }
        };
        self.sign_each(factor, Some(hedge), *count, body, each)
    }

    /// The certificate exactly as C tor makes it, with a nonce from the message alone: for the vectors.
    #[cfg(test)]
    fn dangerously_certify_as_ctor(&self, terms: &CertTerms) -> Result<EncodedCert, CoreError> {
        self.issue(terms, &self.factor(terms.period), None)
    }

    /// The blinding factor `h` of a period; public data.
    fn factor(&self, period: TimePeriod) -> Scalar {
        BlindingFactor::new(self.public(), period).scalar()
    }

    /// Makes the certificate if `factor` leads to the public blinded key; without a hedge the nonce is C tor's.
    fn issue(
        &self,
        terms: &CertTerms,
        factor: &Scalar,
        hedge: Option<&Hedge>,
    ) -> Result<EncodedCert, CoreError> {
        let expected = self.public().blinded(terms.period)?;
        self.sign_blinded(factor, hedge, |blinded| {
            if *blinded != expected {
                return Err(CoreError::Fault);
            }
            Ok(CertBody::desc_signing(&terms.key, terms.expires, blinded))
        })
    }

    /// Signs the body that `body` makes for the blinded key, and verifies the signature.
    fn sign_blinded(
        &self,
        factor: &Scalar,
        hedge: Option<&Hedge>,
        mut body: impl FnMut(&BlindedId) -> Result<CertBody, CoreError>,
    ) -> Result<EncodedCert, CoreError> {
        let mut made = None;
        self.sign_each(factor, hedge, 1, |_only, blinded| body(blinded), |cert| made = Some(cert))?;
        made.ok_or(CoreError::Fault)
    }

    /// Signs `count` bodies, of which `body` makes one after the other for the blinded key, and verifies each signature.
    ///
    /// `a' = h * a mod l` lives in this function only. The public half `A' = a' * B` is computed here from `a'`,
    /// never taken from outside: a signature under a wrong `A'` would give the scalar away.
    fn sign_each(
        &self,
        factor: &Scalar,
        hedge: Option<&Hedge>,
        count: u32,
        mut body: impl FnMut(u32, &BlindedId) -> Result<CertBody, CoreError>,
        mut each: impl FnMut(EncodedCert),
    ) -> Result<(), CoreError> {
        let scalar = Zeroizing::new(*self.scalar() * factor);
        let blinded = BlindedId::from_bytes(EdwardsPoint::mul_base(&scalar).compress().to_bytes())?;
        let prefix = self.blinded_prefix();
        for number in 0..count {
            let body = body(number, &blinded)?;
            let nonce = nonce(&prefix, &blinded, hedge, &body);
            let commitment = EdwardsPoint::mul_base(&nonce).compress();
            let challenge = hash_to_scalar(&[commitment.as_bytes(), blinded.as_bytes(), body.as_bytes()]);
            let response = *nonce + *challenge * *scalar;
            let mut signature = Signature([0; 64]);
            let octets = commitment.as_bytes().iter().chain(response.as_bytes());
            signature.0.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
            blinded.verify(body.as_bytes(), &signature).map_err(|_bad_signature| CoreError::Fault)?;
            each(body.with_signature(&signature));
        }
        Ok(())
    }
}

/// The nonce: `SHA-512(RH' | A' | random | M)`, or C tor's `SHA-512(RH' | M)` without a hedge.
fn nonce(
    prefix: &[u8; 32],
    blinded: &BlindedId,
    hedge: Option<&Hedge>,
    body: &CertBody,
) -> Zeroizing<Scalar> {
    match hedge {
        Some(hedge) => hash_to_scalar(&[prefix, blinded.as_bytes(), &*hedge.0, body.as_bytes()]),
        None => hash_to_scalar(&[prefix, body.as_bytes()]),
    }
}

/// SHA-512 of the parts, modulo the group order.
fn hash_to_scalar(parts: &[&[u8]]) -> Zeroizing<Scalar> {
    let mut hash = Sha512::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut wide = Zeroizing::new([0; 64]);
    hash.finalize_into((&mut *wide).into());
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

#[cfg(test)]
mod tests;
