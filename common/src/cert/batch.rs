//! Checks many signatures by one key at once, which takes a third of the time of checking them one by one.
//!
//! With `S*B = R + k*A` for each signature, random factors z make one equation of all:
//! `sum(z*k)*A + sum(z*R) - sum(z*S)*B = 0`. The factors come from a hash over everything that is checked, so whoever
//! made the signatures cannot choose them to fit. A library's batch would treat A as a new point in each signature.

use super::{CertError, SignatureChecked, UncheckedCert};
use crate::keys::{DescSigningKey, Signature};
use alloc::vec::Vec;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

/// Checks the signatures of `certs`, all of which must name `signer`, and of `texts`, each in its pieces one after the other; the
/// result is that of `certs`.
///
/// Says the same as [`UncheckedCert::check_signature`] on each, except that it may accept a signature that `signer`
/// itself has made with a small-order part in it on purpose. It cannot say which one is wrong: ask them one by one.
///
/// # Errors
/// [`CertError::Signature`] if any signature is wrong or any certificate names another key.
///
/// Spec: RFC 8032, 5.1.7 and 8.2.
pub fn check_signatures(
    signer: &DescSigningKey,
    certs: &[UncheckedCert<'_>],
    texts: &[(&[&[u8]], Signature)],
) -> Result<Vec<SignatureChecked>, CertError> {
    if certs.iter().any(|cert| cert.signer != *signer.as_bytes()) {
        return Err(CertError::Signature);
    }
    let signed = certs.iter().map(|cert| Equation::new(signer, &[cert.signed], &cert.signature));
    let texts = texts.iter().map(|(text, signature)| Equation::new(signer, text, &signature.0));
    let equations = signed.chain(texts).collect::<Option<Vec<_>>>();
    if equations.is_some_and(|equations| all_hold(signer, &equations)) {
        Ok(certs.iter().map(UncheckedCert::checked).collect())
    } else {
        Err(CertError::Signature)
    }
}

/// One signature: `s*B = r + k*A`.
struct Equation {
    /// The point.
    r: CompressedEdwardsY,
    /// The scalar.
    s: Scalar,
    /// `SHA-512(R | A | M)`.
    k: Scalar,
}

impl Equation {
    /// The equation of a signature; `None` if its scalar is not reduced.
    fn new(signer: &DescSigningKey, message: &[&[u8]], signature: &[u8; 64]) -> Option<Self> {
        let (r, rest) = signature.split_first_chunk::<32>()?;
        let s = Scalar::from_canonical_bytes(rest.try_into().ok()?).into_option()?;
        let mut hash = Sha512::new().chain_update(r).chain_update(signer.as_bytes());
        message.iter().for_each(|piece| hash.update(piece));
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        Some(Self { r: CompressedEdwardsY(*r), s, k })
    }
}

/// Whether all equations hold, up to a chance of 2^-128.
fn all_hold(signer: &DescSigningKey, equations: &[Equation]) -> bool {
    let mut all = Sha512::new();
    // k stands for R, A and M, which it is a hash of.
    equations.iter().for_each(|equation| {
        all.update(equation.k.as_bytes());
        all.update(equation.s.as_bytes());
    });
    let seed: [u8; 64] = all.finalize().into();
    let factors: Vec<Scalar> =
        (0_u64..).zip(equations).map(|(number, _equation)| factor(&seed, number)).collect();
    let sum = |value: fn(&Equation) -> Scalar| -> Scalar {
        factors.iter().zip(equations).map(|(factor, equation)| factor * value(equation)).sum()
    };
    let scalars = [sum(|equation| equation.k), -sum(|equation| equation.s)];
    let fixed = [CompressedEdwardsY(*signer.as_bytes()).decompress(), Some(ED25519_BASEPOINT_POINT)];
    let points = fixed.into_iter().chain(equations.iter().map(|equation| equation.r.decompress()));
    EdwardsPoint::optional_multiscalar_mul(scalars.iter().chain(&factors), points)
        .is_some_and(|total| total.is_identity())
}

/// Factor number `number`: 128 bits.
fn factor(seed: &[u8; 64], number: u64) -> Scalar {
    let hash: [u8; 64] =
        Sha512::new().chain_update(seed).chain_update(number.to_be_bytes()).finalize().into();
    hash.first_chunk::<16>().map_or(Scalar::ONE, |octets| Scalar::from(u128::from_le_bytes(*octets)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::CertBody;
    use crate::keys::IntroAuthKey;
    use crate::units::ExpirationHours;
    use ed25519_dalek::{Signer, SigningKey};

    fn public(seed: u8) -> [u8; 32] {
        SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
    }

    /// Certificate number `n` by the key of `seed`.
    fn cert(seed: u8, n: u8) -> [u8; 140] {
        let signer = DescSigningKey::from_bytes(public(seed)).unwrap();
        let subject = IntroAuthKey::from_bytes(public(n)).unwrap();
        let body = CertBody::intro_auth(&subject, ExpirationHours(7), &signer);
        let signature = SigningKey::from_bytes(&[seed; 32]).sign(body.as_bytes()).to_bytes();
        body.with_signature(&Signature(signature)).0
    }

    /// What the batch says about these certificates, asked for the key of seed 1.
    fn check(octets: &[[u8; 140]]) -> Result<usize, CertError> {
        let parse = |octets| UncheckedCert::parse(crate::cert::CertType::IntroAuth, octets).unwrap();
        let certs: Vec<_> = octets.iter().map(|octets| parse(&octets[..])).collect();
        check_signatures(&DescSigningKey::from_bytes(public(1)).unwrap(), &certs, &[]).map(|good| good.len())
    }

    #[test]
    fn a_text_is_checked_with_them() {
        let octets = [cert(1, 2), cert(1, 3)];
        let parse = |octets| UncheckedCert::parse(crate::cert::CertType::IntroAuth, octets).unwrap();
        let certs: Vec<_> = octets.iter().map(|octets| parse(&octets[..])).collect();
        let signer = DescSigningKey::from_bytes(public(1)).unwrap();
        let sign = |seed: u8| Signature(SigningKey::from_bytes(&[seed; 32]).sign(b"text").to_bytes());
        let check = |text: &[&[u8]], seed| check_signatures(&signer, &certs, &[(text, sign(seed))]).is_ok();
        assert!(check(&[b"text"], 1));
        assert!(check(&[b"te", b"", b"xt"], 1), "in pieces");
        assert!(!check(&[b"another text"], 1));
        assert!(!check(&[b"xt", b"te"], 1), "in another order");
        assert!(!check(&[b"text"], 2));
        assert!(check_signatures(&signer, &[], &[(&[b"text"], sign(1))]).is_ok());
        assert!(check_signatures(&signer, &[], &[(&[b"text"], sign(2))]).is_err());
    }

    #[test]
    fn good_ones_are_accepted_together() {
        assert_eq!(check(&[]), Ok(0));
        assert_eq!(check(&[cert(1, 2)]), Ok(1));
        assert_eq!(check(&[cert(1, 2), cert(1, 3), cert(1, 4)]), Ok(3));
    }

    #[test]
    fn one_bad_one_spoils_all() {
        for at in [10, 80, 120] {
            let mut bad = cert(1, 3);
            bad[at] ^= 1;
            assert_eq!(check(&[cert(1, 2), bad, cert(1, 4)]), Err(CertError::Signature));
        }
        assert_eq!(check(&[cert(1, 2), cert(9, 3)]), Err(CertError::Signature));
    }

    #[test]
    fn swapped_signatures_are_noticed() {
        let (mut a, mut b) = (cert(1, 2), cert(1, 3));
        a[76..].swap_with_slice(&mut b[76..]);
        assert_eq!(check(&[a, b]), Err(CertError::Signature));
    }
}
