//! What must not be found: the only place where the harness holds private keys of a frontend.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::{IdentityKey, OnionAddress, TimePeriod};
use onionkeep_core::ExpandedKey;
use sha2::{Digest, Sha512};

use curve25519_dalek::scalar::Scalar;

/// The string with which a blinded key's nonce prefix is derived.
///
/// Spec: rend-spec-v3, A.2.
const PREFIX_STRING: &[u8] = b"Derive temporary signing key hash input";

/// One secret that must not be found anywhere.
#[derive(Clone)]
pub struct Secret {
    /// What it is.
    pub name: String,
    /// Its octets.
    pub octets: Vec<u8>,
}

impl Secret {
    /// A secret of any kind.
    #[must_use]
    pub fn new(name: impl Into<String>, octets: &[u8]) -> Self {
        Self { name: name.into(), octets: octets.to_vec() }
    }

    /// The octets in every form in which they could stand somewhere, each with its name.
    #[must_use]
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let octets = self.octets.as_slice();
        let mut forms = vec![
            ("raw", octets.to_vec()),
            ("raw, backwards", octets.iter().rev().copied().collect()),
            ("hex", HEXLOWER.encode(octets).into_bytes()),
            ("HEX", HEXUPPER.encode(octets).into_bytes()),
            ("base64url", BASE64URL_NOPAD.encode(octets).into_bytes()),
        ];
        // Inside a longer text base64 looks different for each of three alignments.
        for skip in 0..3_usize {
            let shifted = [vec![0; skip], octets.to_vec()].concat();
            let text = BASE64.encode(&shifted).into_bytes();
            let whole = shifted.len() / 3 * 4;
            let from = if skip == 0 { 0 } else { 4 };
            forms.push(("base64", text[from..whole].to_vec()));
        }
        forms
    }
}

/// A frontend whose private key the harness knows, because it made it.
pub struct KnownKey {
    /// The seed it came from.
    seed: [u8; 32],
    /// Scalar and nonce prefix.
    expanded: [u8; 64],
    /// Whose key it is.
    pub onion: OnionAddress,
}

impl KnownKey {
    /// The key number `number` of a series that nobody else uses.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let hash = Sha512::new().chain_update(b"onionkeep assurance key").chain_update(number.to_be_bytes());
        let seed: [u8; 32] = hash.finalize()[..32].try_into().expect("SHA-512 is longer");
        let key = ExpandedKey::from_seed(&seed).expect("a seed is always good");
        let expanded = key.with_octets(|octets| *octets);
        Self { seed, expanded, onion: OnionAddress::new(*key.public()) }
    }

    /// The file that a C tor keeps it in.
    #[must_use]
    pub fn tor_file(&self) -> Vec<u8> {
        [b"== ed25519v1-secret: type0 ==\0\0\0".as_slice(), &self.expanded].concat()
    }

    /// Its identity key.
    #[must_use]
    pub fn identity(&self) -> &IdentityKey {
        self.onion.identity()
    }

    /// Seed, both halves, and what follows from them for each of `periods`.
    #[must_use]
    pub fn secrets(&self, periods: &[TimePeriod]) -> Vec<Secret> {
        let end = self.onion.redacted();
        let half = |name: &str, octets: &[u8]| Secret::new(format!("{name} of {end}"), octets);
        let scalar = Scalar::from_bytes_mod_order(self.expanded[..32].try_into().expect("32 octets"));
        let prefix = Sha512::new().chain_update(PREFIX_STRING).chain_update(&self.expanded[32..]).finalize();
        let mut secrets = vec![
            half("seed", &self.seed),
            half("scalar", &self.expanded[..32]),
            half("reduced scalar", scalar.as_bytes()),
            half("nonce prefix", &self.expanded[32..]),
            half("blinded nonce prefix", &prefix[..32]),
        ];
        for period in periods {
            let factor = BlindingFactor::new(self.identity(), *period).scalar();
            let name = format!("blinded scalar of period {}", period.number);
            secrets.push(half(&name, (scalar * factor).as_bytes()));
        }
        secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onionkeep_common::PeriodRule;
    use onionkeep_common::UnixTime;

    #[test]
    fn a_blinded_scalar_belongs_to_the_public_blinded_key() {
        let (key, period) = (KnownKey::new(1), PeriodRule::PUBLIC.at(UnixTime(1_795_365_600)));
        let secrets = key.secrets(&[period]);
        let blinded = secrets.iter().find(|secret| secret.name.starts_with("blinded scalar")).unwrap();
        let scalar = Scalar::from_bytes_mod_order(blinded.octets.as_slice().try_into().unwrap());
        let point = curve25519_dalek::EdwardsPoint::mul_base(&scalar).compress().to_bytes();
        assert_eq!(&point, key.identity().blinded(period).unwrap().as_bytes());
    }

    #[test]
    fn base64_is_recognised_at_each_alignment() {
        let secret = Secret::new("x", b"thirty-two octets of some secret");
        for skip in 0..3 {
            let text = BASE64.encode(&[vec![b'y'; skip], secret.octets.clone(), vec![b'z'; 7]].concat());
            let found = |form: &[u8]| text.as_bytes().windows(form.len()).any(|window| window == form);
            assert!(secret.forms().iter().any(|(name, form)| *name == "base64" && found(form)), "{skip}");
        }
    }
}
