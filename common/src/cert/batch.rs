//! Checks many signatures by one key at once, which takes a third of the time of checking them one by one.

use super::{CertError, SignatureChecked, UncheckedCert};
use crate::keys::DescSigningKey;
use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

/// Checks the signatures of `certs`, all of which must name `signer`; the result is in the same order.
///
/// Says the same as [`UncheckedCert::check_signature`] on each, except that it may accept a signature that `signer`
/// itself has made with a small-order part in it on purpose. It cannot say which one is wrong: ask them one by one.
///
/// # Errors
/// [`CertError::Signature`] if any signature is wrong or any certificate names another key.
pub fn check_signatures(
    signer: &DescSigningKey,
    certs: &[UncheckedCert<'_>],
) -> Result<Vec<SignatureChecked>, CertError> {
    let key = VerifyingKey::from_bytes(signer.as_bytes()).map_err(|_opaque| CertError::Signature)?;
    if certs.iter().any(|cert| cert.signer != *signer.as_bytes()) {
        return Err(CertError::Signature);
    }
    let texts: Vec<_> = certs.iter().map(|cert| cert.signed).collect();
    let signatures: Vec<_> = certs.iter().map(|cert| Signature::from_bytes(&cert.signature)).collect();
    let keys: Vec<_> = core::iter::repeat_n(key, certs.len()).collect();
    verify_batch(&texts, &signatures, &keys).map_err(|_opaque| CertError::Signature)?;
    Ok(certs.iter().map(UncheckedCert::checked).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::CertBody;
    use crate::keys::{IntroAuthKey, Signature as OwnSignature};
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
        body.with_signature(&OwnSignature(signature)).0
    }

    /// What the batch says about these certificates, asked for the key of seed 1.
    fn check(octets: &[[u8; 140]]) -> Result<usize, CertError> {
        let parse = |octets| UncheckedCert::parse(crate::cert::CertType::IntroAuth, octets).unwrap();
        let certs: Vec<_> = octets.iter().map(|octets| parse(&octets[..])).collect();
        check_signatures(&DescSigningKey::from_bytes(public(1)).unwrap(), &certs).map(|good| good.len())
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
