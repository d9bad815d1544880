//! A key whose point is worked out once, for whoever checks many signatures by it.

use super::{DescSigningKey, KeyError, Signature};
use ed25519_dalek::ed25519::signature::MultipartVerifier;
use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

/// The encoding of the neutral element.
const NEUTRAL: [u8; 32] = {
    let mut octets = [0; 32];
    octets[0] = 1;
    octets
};

/// Checks signatures by one key as [`DescSigningKey::verify`] does, in less time.
///
/// The strict check works out two points more, that of the key and `R`, to see that neither is of small order. The key is
/// in the prime-order group, for a [`DescSigningKey`] is nothing else. So `R = S*B - k*A` is in that group too, and there only
/// the neutral element has a small order; that both encodings of `R` are the same octets is checked anyhow.
///
/// Spec: RFC 8032, 5.1.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// Works out the key's point.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] if it is none, which no [`DescSigningKey`] is.
    pub fn new(key: &DescSigningKey) -> Result<Self, KeyError> {
        VerifyingKey::from_bytes(key.as_bytes()).map(Self).map_err(|_opaque| KeyError::NotAPoint)
    }

    /// Checks `signature` over the pieces of a message, one after the other.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] if it does not verify.
    pub fn verify(&self, message: &[&[u8]], signature: &Signature) -> Result<(), KeyError> {
        let Signature(octets) = signature;
        if octets.first_chunk() == Some(&NEUTRAL) {
            return Err(KeyError::BadSignature);
        }
        let signature = DalekSignature::from_bytes(octets);
        self.0.multipart_verify(message, &signature).map_err(|_opaque| KeyError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use ed25519_dalek::{Signer, SigningKey};
    use sha2::{Digest, Sha512};

    /// What both checks say, which must be the same.
    fn both(key: &DescSigningKey, message: &[u8], signature: [u8; 64]) -> bool {
        let (signature, verifier) = (Signature(signature), Verifier::new(key).unwrap());
        let whole = verifier.verify(&[message], &signature).is_ok();
        let (head, tail) = message.split_at(message.len() / 2);
        assert_eq!(verifier.verify(&[head, &[], tail], &signature).is_ok(), whole, "in pieces");
        assert_eq!(key.verify(message, &signature).is_ok(), whole, "as the strict check");
        whole
    }

    #[test]
    fn it_says_what_the_strict_check_says() {
        let secret = SigningKey::from_bytes(&[1; 32]);
        let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
        let good = secret.sign(b"text").to_bytes();
        assert!(both(&key, b"text", good));
        assert!(!both(&key, b"another", good));
        assert!(!both(
            &DescSigningKey::from_bytes(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes()).unwrap(),
            b"text",
            good
        ));
        for at in 0..512 {
            let mut other = good;
            other[at / 8] ^= 1 << (at % 8);
            assert!(!both(&key, b"text", other), "bit {at}");
        }
    }

    #[test]
    fn a_small_order_r_is_refused_however_it_is_made() {
        let secret = Scalar::from_bytes_mod_order([7; 32]);
        let public = EdwardsPoint::mul_base(&secret).compress();
        let key = DescSigningKey::from_bytes(public.0).unwrap();
        for torsion in EIGHT_TORSION {
            // The holder of the secret makes `S*B = R + k*A` hold for the neutral R, and up to torsion for the others.
            let r = torsion.compress();
            let hash = Sha512::new().chain_update(r.0).chain_update(public.0).chain_update(b"text");
            let s = Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * secret;
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&r.0);
            signature[32..].copy_from_slice(s.as_bytes());
            assert!(!both(&key, b"text", signature), "{r:?}");
        }
    }

    #[test]
    fn an_s_that_is_not_reduced_is_refused() {
        let secret = SigningKey::from_bytes(&[1; 32]);
        let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
        let mut signature = secret.sign(b"text").to_bytes();
        // l, little endian, added to S.
        let order = (-Scalar::ONE).to_bytes();
        let mut carry = 1_u16;
        for (to, from) in signature[32..].iter_mut().zip(order) {
            carry += u16::from(*to) + u16::from(from);
            *to = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(!both(&key, b"text", signature));
    }
}
