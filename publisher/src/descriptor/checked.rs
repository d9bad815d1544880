//! What of one service's descriptors was checked before, so that the same octets are not checked again. Pure.
//!
//! A service renews its descriptor every hour or two; the key that signs it stays for a day, and an introduction point is in many
//! descriptors. Whether octets are a good key depends on nothing else. Signatures and times are checked each time.

use super::point::IntroPoint;
use onionkeep_common::keys::{KeyError, Verifier};
use onionkeep_common::{DescSigningKey, IntroAuthKey, IntroEncKey};

/// What was checked of the last descriptors of one service.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The last key that signed a descriptor, which is one, and what checks signatures by it.
    key: Option<(DescSigningKey, Verifier)>,
    /// The keys of introduction points, which are some: that of authentication, that of encryption, and its Ed25519 form.
    points: Vec<(IntroAuthKey, IntroEncKey, [u8; 32])>,
}

impl Checked {
    /// The key that signs the text, and what checks signatures by it.
    ///
    /// # Errors
    /// [`KeyError`] if these octets are no key.
    pub(super) fn signing_key(&mut self, octets: [u8; 32]) -> Result<(DescSigningKey, Verifier), KeyError> {
        let known = self.key.filter(|(key, _verifier)| *key.as_bytes() == octets);
        let made = || {
            let key = DescSigningKey::from_bytes(octets)?;
            Ok((key, Verifier::new(&key)?))
        };
        let key = known.map_or_else(made, Ok)?;
        self.key = Some(key);
        Ok(key)
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
    use ed25519_dalek::SigningKey;

    fn public(seed: u8) -> [u8; 32] {
        SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
    }

    #[test]
    fn a_signing_key_that_is_not_known_is_checked() {
        let mut checked = Checked::default();
        for seed in [2, 2, 3, 2] {
            let (key, verifier) = checked.signing_key(public(seed)).unwrap();
            assert_eq!(key.as_bytes(), &public(seed));
            assert_eq!(Verifier::new(&key), Ok(verifier));
            assert!(checked.signing_key([0xff; 32]).is_err());
        }
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
