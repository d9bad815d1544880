//! What of one service's descriptors was checked before, so that the same octets are not checked again. Pure.
//!
//! A service renews its descriptor every hour or two; each HSDir holds a copy with the same certificate, the key that is certified
//! stays for a day, and an introduction point is in many descriptors. Whether octets are a good key or a well-signed certificate
//! depends on nothing else. Times are checked anew each time.

use super::error::Fault;
use super::point::IntroPoint;
use onionkeep_common::cert::{SignatureChecked, UncheckedCert};
use onionkeep_common::keys::{KeyError, Verifier};
use onionkeep_common::{DescSigningKey, IntroAuthKey, IntroEncKey};

/// What was checked of the last descriptors of one service.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The octets of the last certificate 08 whose signature was good.
    cert: Option<(Vec<u8>, SignatureChecked)>,
    /// The key that it certifies, which is one, and what checks signatures by it.
    key: Option<(DescSigningKey, Verifier)>,
    /// The keys of introduction points, which are some: that of authentication, that of encryption, and its Ed25519 form.
    points: Vec<(IntroAuthKey, IntroEncKey, [u8; 32])>,
}

impl Checked {
    /// The certificate after its signature was checked, the certified key, and what checks signatures by it.
    ///
    /// # Errors
    /// [`Fault`] if the signature is wrong or what it certifies is no key.
    pub(super) fn cert(
        &mut self,
        octets: &[u8],
        cert: UncheckedCert<'_>,
    ) -> Result<(SignatureChecked, DescSigningKey, Verifier), Fault> {
        let known = self.cert.as_ref().filter(|(known, _checked)| known == octets);
        let checked = known.map_or_else(|| cert.check_signature(), |(_octets, checked)| Ok(*checked))?;
        let certified = checked.dangerously_assume_timely();
        let (key, verifier) =
            match self.key.filter(|(key, _verifier)| key.as_bytes() == certified.certified()) {
                Some(known) => known,
                None => {
                    let key = DescSigningKey::from_bytes(*certified.certified())?;
                    (key, Verifier::new(&key)?)
                }
            };
        if known.is_none() {
            self.cert = Some((octets.to_vec(), checked));
        }
        self.key = Some((key, verifier));
        Ok((checked, key, verifier))
    }

    /// The key of an introduction point.
    ///
    /// # Errors
    /// [`KeyError`] if these octets are no key.
    pub(super) fn point(&self, octets: [u8; 32]) -> Result<IntroAuthKey, KeyError> {
        let known = self.points.iter().find(|(key, ..)| *key.as_bytes() == octets);
        known.map_or_else(|| IntroAuthKey::from_bytes(octets), |(key, ..)| Ok(*key))
    }

    /// Whether `form` is the Ed25519 form of an introduction point's key.
    pub(super) fn is_form(&self, key: &IntroEncKey, form: &[u8; 32]) -> bool {
        let known = |(_auth, own, own_form): &(_, IntroEncKey, [u8; 32])| own == key && own_form == form;
        self.points.iter().any(known) || key.has_ed25519_form(form)
    }

    /// Remembers the keys of introduction points that were checked, instead of those before.
    pub(super) fn remember<'p>(&mut self, points: impl Iterator<Item = &'p IntroPoint>) {
        let keys = |point: &IntroPoint| (*point.auth_key(), *point.enc_key(), *point.enc_key_ed25519());
        self.points = points.map(keys).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::X25519_BASEPOINT;
    use ed25519_dalek::{Signer, SigningKey};
    use onionkeep_common::cert::{CertBody, CertType};
    use onionkeep_common::{BlindedId, EncodedCert, ExpirationHours, Signature};

    fn public(seed: u8) -> [u8; 32] {
        SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
    }

    /// A certificate 08 by the key of seed 1 for that of `seed`.
    fn cert(seed: u8) -> EncodedCert {
        let key = DescSigningKey::from_bytes(public(seed)).unwrap();
        let body =
            CertBody::desc_signing(&key, ExpirationHours(9), &BlindedId::from_bytes(public(1)).unwrap());
        let signature = SigningKey::from_bytes(&[1; 32]).sign(body.as_bytes()).to_bytes();
        body.with_signature(&Signature(signature))
    }

    fn check(checked: &mut Checked, octets: &[u8]) -> Option<DescSigningKey> {
        let cert = UncheckedCert::parse(CertType::DescSigning, octets).unwrap();
        checked.cert(octets, cert).ok().map(|(_cert, key, verifier)| {
            assert_eq!(Verifier::new(&key), Ok(verifier));
            key
        })
    }

    #[test]
    fn only_the_same_octets_are_believed() {
        let (mut checked, good) = (Checked::default(), cert(2).0);
        assert_eq!(check(&mut checked, &good).unwrap().as_bytes(), &public(2));
        assert_eq!(check(&mut checked, &good).unwrap().as_bytes(), &public(2));
        for at in [good.len() - 1, 5, 10] {
            let mut forged = good;
            forged[at] ^= 1;
            assert_eq!(check(&mut checked, &forged), None, "octet {at}");
        }
        assert_eq!(check(&mut checked, &cert(3).0).unwrap().as_bytes(), &public(3), "another key");
        assert_eq!(check(&mut checked, &good).unwrap().as_bytes(), &public(2), "the one before again");
    }

    #[test]
    fn a_point_that_is_not_known_is_checked() {
        let mut checked = Checked::default();
        let key = checked.point(public(4)).unwrap();
        let (enc, other) = (IntroEncKey(X25519_BASEPOINT.0), IntroEncKey([10; 32]));
        // An IPv4 address and a fingerprint.
        let links = [&[2, 0, 6, 10, 0, 0, 1, 0x23, 0x29, 2, 20][..], &[7; 20]].concat();
        let point = IntroPoint::new(links, [5; 32], key, enc).unwrap();
        let form = *point.enc_key_ed25519();
        for _again in 0..2 {
            assert_eq!(checked.point(public(4)), Ok(key));
            assert!(checked.point([0xff; 32]).is_err());
            assert!(checked.is_form(&enc, &form));
            assert!(!checked.is_form(&other, &form), "another key with this form");
            assert!(!checked.is_form(&enc, &public(4)), "this key with another form");
            checked.remember([point.clone()].iter());
        }
    }
}
