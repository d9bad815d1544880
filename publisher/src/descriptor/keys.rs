//! What is made once per onion and period and kept for all uploads of it. The only place with those secrets.

use super::auth::{AuthClient, CLIENT_LINE_LEN, CLIENT_LINES, ClientPublicKey};
use super::point::IntroPoint;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::keys::KeyError;
use onionkeep_common::wire::{CertifyRequest, Proof};
use onionkeep_common::{CertBody, DescSigningKey, EncodedCert, OnionAddress, Signature, TimePeriod};
use sha3::{Digest, Sha3_256};
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use std::collections::BTreeSet;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Octets of [`PeriodKeys::to_bytes`].
pub const PERIOD_KEYS_LEN: usize = 32 + 32 + CLIENT_LINES * CLIENT_LINE_LEN + 32;
/// Starts the hash that orders the introduction points.
const ORDER_PREFIX: &[u8] = b"onionkeep point order v1";
/// Starts the hash behind the `auth-client` lines.
const CLIENTS_PREFIX: &[u8] = b"onionkeep clients v1";

/// The secrets of one onion in one period: descriptor signing key, ephemeral key of the middle layer, its 16 false
/// `auth-client` lines, and the secret that orders the introduction points and is behind the lines of true clients.
///
/// C tor makes them once per descriptor object and reuses them at every upload, so an observer would notice new ones.
/// None of them is worth anything after the period.
///
/// Spec: rend-spec-v3, 1.9 (`KS_hs_desc_sign`, `KS_hss_desc_enc`) and 2.5.1.2.
#[doc(alias = "KS_hs_desc_sign")]
pub struct PeriodKeys {
    /// Descriptor signing key.
    signing: SigningKey,
    /// Its public half.
    signing_public: DescSigningKey,
    /// Ephemeral key of the client authorization.
    ephemeral: StaticSecret,
    /// Its public half.
    ephemeral_public: [u8; 32],
    /// The false lines; public once uploaded.
    fakes: [[u8; CLIENT_LINE_LEN]; CLIENT_LINES],
    /// Secret of the order of the points.
    order: Zeroizing<[u8; 32]>,
}

impl PeriodKeys {
    /// Makes new keys; `fill` must fill its argument with fresh random octets.
    ///
    /// # Errors
    /// The error of `fill`.
    pub fn generate<E: From<KeyError>>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut octets = Zeroizing::new([0; PERIOD_KEYS_LEN]);
        fill(octets.as_mut_slice())?;
        Ok(Self::from_bytes(&octets)?)
    }

    /// Takes keys that [`PeriodKeys::to_bytes`] gave; any octets are keys.
    ///
    /// # Errors
    /// [`KeyError`] never for a key that was computed here; kept so that no panic is needed.
    pub fn from_bytes(octets: &[u8; PERIOD_KEYS_LEN]) -> Result<Self, KeyError> {
        let (words, _rest) = octets.as_chunks::<32>();
        let [seed, ephemeral, .., order] = words else { return Err(KeyError::NotAPoint) };
        let fakes = octets.get(64..).unwrap_or_default().as_chunks::<CLIENT_LINE_LEN>().0;
        let fakes = fakes.first_chunk::<CLIENT_LINES>().ok_or(KeyError::NotAPoint)?;
        let signing = SigningKey::from_bytes(seed);
        let ephemeral = StaticSecret::from(*ephemeral);
        Ok(Self {
            signing_public: DescSigningKey::from_bytes(signing.verifying_key().to_bytes())?,
            signing,
            ephemeral_public: PublicKey::from(&ephemeral).to_bytes(),
            ephemeral,
            fakes: *fakes,
            order: Zeroizing::new(*order),
        })
    }

    /// All keys as octets for the state file: signing seed, ephemeral secret, 16 lines of 40, order secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; PERIOD_KEYS_LEN]> {
        let mut octets = Zeroizing::new([0; PERIOD_KEYS_LEN]);
        let (head, tail) = (self.signing.as_bytes().iter(), self.fakes.as_flattened().iter());
        let fields = head.chain(self.ephemeral.as_bytes()).chain(tail).chain(self.order.iter());
        for (to, from) in octets.iter_mut().zip(fields) {
            *to = *from;
        }
        octets
    }

    /// The same keys with another descriptor-signing key.
    ///
    /// # Errors
    /// [`KeyError`] never for a seed that has a key, and every seed has one.
    pub fn with_signing(&self, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let mut octets = self.to_bytes();
        octets.iter_mut().zip(seed).for_each(|(to, from)| *to = *from);
        Self::from_bytes(&octets)
    }

    /// `KP_hs_desc_sign`, the key that the signer certifies.
    #[must_use]
    pub const fn signing_key(&self) -> &DescSigningKey {
        &self.signing_public
    }

    /// The request for a certificate of this key, with its proof of possession.
    #[must_use]
    pub fn certify_request(&self, onion: &OnionAddress, period: TimePeriod) -> CertifyRequest {
        let (onion, length, key) = (*onion.identity(), period.length.minutes(), self.signing_public);
        let proof = Proof::new(&onion, period.number, length, &key);
        CertifyRequest { onion, period: period.number, length, key, proof: self.sign(proof.as_bytes()) }
    }

    /// Public half of the ephemeral key.
    pub(super) const fn ephemeral_public(&self) -> &[u8; 32] {
        &self.ephemeral_public
    }

    /// The false `auth-client` lines.
    pub(super) fn fakes(&self) -> impl Iterator<Item = AuthClient> {
        self.fakes.iter().map(AuthClient::from_octets)
    }

    /// The ephemeral key of the client authorization.
    pub(super) const fn ephemeral(&self) -> &StaticSecret {
        &self.ephemeral
    }

    /// Octets that look random to everybody else, the same for the same set of clients in this period.
    pub(super) fn random_for(&self, clients: &BTreeSet<ClientPublicKey>) -> impl XofReader + use<> {
        let mut hash = Shake256::default();
        hash.update(CLIENTS_PREFIX);
        hash.update(&*self.order);
        clients.iter().for_each(|client| hash.update(client.as_bytes()));
        hash.finalize_xof()
    }

    /// The points in the order of this period: it looks random, and stays the same until the set changes.
    pub(super) fn ordered<'a>(&self, points: &'a [IntroPoint]) -> Vec<&'a IntroPoint> {
        let place = |point: &IntroPoint| -> [u8; 32] {
            let hash = Sha3_256::new().chain_update(ORDER_PREFIX).chain_update(*self.order);
            hash.chain_update(point.auth_key().as_bytes()).finalize().into()
        };
        let mut sorted: Vec<_> = points.iter().collect();
        sorted.sort_by_cached_key(|point| place(point));
        sorted
    }

    /// Signs a certificate of an introduction point.
    pub(super) fn certify(&self, body: &CertBody) -> EncodedCert {
        body.with_signature(&self.sign(body.as_bytes()))
    }

    /// Signs with the descriptor signing key.
    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onionkeep_common::{PeriodLength, PeriodNumber};

    fn keys(octet: u8) -> PeriodKeys {
        PeriodKeys::generate(|octets| {
            octets.fill(octet);
            Ok::<(), KeyError>(())
        })
        .unwrap()
    }

    #[test]
    fn octets_are_kept() {
        let octets: [u8; PERIOD_KEYS_LEN] = std::array::from_fn(|at| u8::try_from(at % 251).unwrap());
        let keys = PeriodKeys::from_bytes(&octets).unwrap();
        assert_eq!(*keys.to_bytes(), octets);
        assert_eq!(keys.fakes().count(), CLIENT_LINES);
        assert_eq!(keys.fakes().next().unwrap().id, octets[64..72]);
        assert_eq!(keys.fakes().last().unwrap().cookie, octets[64 + 640 - 16..64 + 640]);
    }

    #[test]
    fn failing_randomness_is_handed_on() {
        #[derive(Debug, PartialEq)]
        struct Broken;
        impl From<KeyError> for Broken {
            fn from(_error: KeyError) -> Self {
                Self
            }
        }
        assert_eq!(PeriodKeys::generate(|_octets| Err(Broken)).err(), Some(Broken));
    }

    #[test]
    fn request_proves_possession_and_only_of_these_fields() {
        let onion: OnionAddress = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap();
        let period = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
        let request = keys(1).certify_request(&onion, period);
        assert_eq!(request.check_proof(), Ok(()));
        let other = CertifyRequest { period: PeriodNumber(20_001), ..request };
        assert!(other.check_proof().is_err());
        let stolen = CertifyRequest { key: *keys(2).signing_key(), ..request };
        assert!(stolen.check_proof().is_err());
    }
}
