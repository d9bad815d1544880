//! What of one service's descriptors was checked before, so that the same octets are not checked again. Pure.
//!
//! A service renews its descriptor every hour or two; each HSDir holds a copy with the same certificate, the key that is certified
//! stays for a day, and an introduction point is in many descriptors. Whether octets are a good key or a well-signed certificate
//! depends on nothing else. Times are checked anew each time.

use super::error::Fault;
use onionkeep_common::cert::{SignatureChecked, UncheckedCert};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{DescSigningKey, IntroAuthKey};

/// What was checked of the last descriptors of one service.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The octets of the last certificate 08 whose signature was good.
    cert: Option<(Vec<u8>, SignatureChecked)>,
    /// The key that it certifies, which is one.
    key: Option<DescSigningKey>,
    /// The keys of introduction points, which are some.
    points: Vec<IntroAuthKey>,
}

impl Checked {
    /// The certificate after its signature was checked, and the certified key.
    ///
    /// # Errors
    /// [`Fault`] if the signature is wrong or what it certifies is no key.
    pub(super) fn cert(
        &mut self,
        octets: &[u8],
        cert: UncheckedCert<'_>,
    ) -> Result<(SignatureChecked, DescSigningKey), Fault> {
        let known = self.cert.as_ref().filter(|(known, _checked)| known == octets);
        let checked = known.map_or_else(|| cert.check_signature(), |(_octets, checked)| Ok(*checked))?;
        let certified = checked.dangerously_assume_timely();
        let known_key = self.key.filter(|key| key.as_bytes() == certified.certified());
        let key = known_key.map_or_else(|| DescSigningKey::from_bytes(*certified.certified()), Ok)?;
        self.cert = Some((octets.to_vec(), checked));
        self.key = Some(key);
        Ok((checked, key))
    }

    /// The key of an introduction point.
    ///
    /// # Errors
    /// [`KeyError`] if these octets are no key.
    pub(super) fn point(&self, octets: [u8; 32]) -> Result<IntroAuthKey, KeyError> {
        let known = self.points.iter().find(|key| *key.as_bytes() == octets);
        known.map_or_else(|| IntroAuthKey::from_bytes(octets), |key| Ok(*key))
    }

    /// Remembers the keys of introduction points that were checked, instead of those before.
    pub(super) fn remember(&mut self, points: impl Iterator<Item = IntroAuthKey>) {
        self.points = points.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        checked.cert(octets, cert).ok().map(|(_cert, key)| key)
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
        checked.remember([key].into_iter());
        assert_eq!(checked.point(public(4)), Ok(key));
        assert!(checked.point([0xff; 32]).is_err());
    }
}
