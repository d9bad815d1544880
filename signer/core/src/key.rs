//! The expanded master key, `KS_hs_id`; the only place where octets become the secret scalar.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use onionkeep_common::IdentityKey;
use onionkeep_common::keys::KeyError;
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// Octets of an expanded key: scalar and prefix, 32 each.
pub const EXPANDED_LEN: usize = 64;

/// Why a key cannot be taken, or a certificate not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// The first half is neither a clamped integer nor a number below the group order, or it is zero.
    #[error("the first 32 octets of the expanded key are no ed25519 secret scalar")]
    NotAScalar,
    /// The secret and the public computation of a blinded key differ: faulty memory or processor.
    #[error("two computations of the blinded key differ; the machine is faulty")]
    Fault,
    /// A key did not pass its check.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// `KS_hs_id`: the expanded secret of a master identity, `a | RH`, 64 octets; wiped when dropped.
///
/// `a` is kept as the integer that it came as (C tor writes it clamped, not reduced).
///
/// Spec: rend-spec-v3, 1.9; C tor, `ed25519_secret_key_t`.
#[doc(alias = "KS_hs_id")]
pub struct ExpandedKey {
    /// `a | RH`.
    octets: Zeroizing<[u8; EXPANDED_LEN]>,
    /// `a * B`.
    public: IdentityKey,
}

impl ExpandedKey {
    /// Takes the 64 octets of C tor's key file: `a` clamped or reduced modulo the group order, then `RH`.
    ///
    /// # Errors
    /// [`CoreError::NotAScalar`] if the first half is neither, or zero.
    pub fn from_octets(octets: &[u8; EXPANDED_LEN]) -> Result<Self, CoreError> {
        let octets = Zeroizing::new(*octets);
        let scalar = checked_scalar(&octets)?;
        let public = IdentityKey::from_bytes(EdwardsPoint::mul_base(&scalar).compress().to_bytes())?;
        Ok(Self { octets, public })
    }

    /// Expands an RFC 8032 seed: SHA-512, then the clamp.
    ///
    /// # Errors
    /// None in practice; [`CoreError`] is kept so that no panic is needed.
    ///
    /// Spec: RFC 8032, 5.1.5.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, CoreError> {
        let mut octets = Zeroizing::new([0; EXPANDED_LEN]);
        Sha512::new().chain_update(seed).finalize_into((&mut *octets).into());
        if let Some(first) = octets.first_chunk_mut::<32>() {
            let clamped = Zeroizing::new(clamp_integer(*first));
            first.copy_from_slice(&*clamped);
        }
        Self::from_octets(&octets)
    }

    /// The public key `a * B`, computed when the key was taken.
    #[must_use]
    pub const fn public(&self) -> &IdentityKey {
        &self.public
    }

    /// Lends the 64 octets, for sealing them and for nothing else.
    pub fn with_octets<T>(&self, seal: impl FnOnce(&[u8; EXPANDED_LEN]) -> T) -> T {
        seal(&self.octets)
    }

    /// The scalar `a` modulo the group order.
    pub(crate) fn scalar(&self) -> Zeroizing<Scalar> {
        let (mut integer, _prefix) = halves(&self.octets);
        let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(integer));
        integer.zeroize();
        scalar
    }

    /// `RH' = SHA-512("Derive temporary signing key hash input" | RH)[..32]`, the nonce prefix of blinded keys.
    ///
    /// Spec: C tor, `ed25519_donna_blind_secret_key`.
    pub(crate) fn blinded_prefix(&self) -> Zeroizing<[u8; 32]> {
        let (mut integer, prefix) = halves(&self.octets);
        integer.zeroize();
        let prefix = Zeroizing::new(prefix);
        let mut hash = Zeroizing::new([0; 64]);
        Sha512::new()
            .chain_update(b"Derive temporary signing key hash input")
            .chain_update(*prefix)
            .finalize_into((&mut *hash).into());
        let (first, mut second) = halves(&hash);
        second.zeroize();
        Zeroizing::new(first)
    }
}

/// The two halves of 64 octets.
fn halves(octets: &[u8; EXPANDED_LEN]) -> ([u8; 32], [u8; 32]) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    let (head, tail) = octets.split_at(32);
    first.copy_from_slice(head);
    second.copy_from_slice(tail);
    (first, second)
}

/// The scalar in the first half, if it is clamped or reduced, and not zero.
fn checked_scalar(octets: &[u8; EXPANDED_LEN]) -> Result<Zeroizing<Scalar>, CoreError> {
    let (integer, mut prefix) = halves(octets);
    prefix.zeroize();
    let integer = Zeroizing::new(integer);
    let clamped = Zeroizing::new(clamp_integer(*integer));
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*integer));
    let usual = *clamped == *integer || scalar.as_bytes() == &*integer;
    if usual && *scalar != Scalar::ZERO { Ok(scalar) } else { Err(CoreError::NotAScalar) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use serde_json::Value;
    use std::vec::Vec;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/vectors/blinding.json")).unwrap()
    }

    fn octets<const N: usize>(value: &Value) -> [u8; N] {
        HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn seeds_of_the_vectors_expand_to_the_same_octets_and_public_keys() {
        let vectors = vectors();
        let rows: Vec<_> = vectors["raw_rows"]["rows"].as_array().unwrap().iter().collect();
        assert_eq!(rows.len(), 10);
        for row in rows {
            let key = ExpandedKey::from_seed(&octets(&row["seed"])).unwrap();
            assert_eq!(key.with_octets(|octets| *octets), octets(&row["expanded"]));
            assert_eq!(*key.public().as_bytes(), octets(&row["public"]));
        }
        let own = ExpandedKey::from_seed(&octets(&vectors["own"]["identity_seed"])).unwrap();
        assert_eq!(own.with_octets(|octets| *octets), octets(&vectors["own"]["identity_secret_expanded"]));
        assert_eq!(own.scalar().as_bytes(), &octets(&vectors["own"]["scalar_mod_l"]));
    }

    #[test]
    fn clamped_and_reduced_forms_are_the_same_key() {
        let vectors = vectors();
        let mut reduced: [u8; 64] = octets(&vectors["own"]["identity_secret_expanded"]);
        reduced[..32].copy_from_slice(&octets::<32>(&vectors["own"]["scalar_mod_l"]));
        let key = ExpandedKey::from_octets(&reduced).unwrap();
        assert_eq!(*key.public().as_bytes(), octets(&vectors["own"]["identity_public"]));
    }

    #[test]
    fn tor_example_has_its_public_key() {
        let row = &vectors()["tor_basics"];
        let key = ExpandedKey::from_octets(&octets(&row["identity_secret_expanded"])).unwrap();
        assert_eq!(*key.public().as_bytes(), octets(&row["identity_public"]));
    }

    #[test]
    fn zero_and_unclamped_large_integers_are_refused() {
        assert_eq!(ExpandedKey::from_octets(&[0; 64]).err(), Some(CoreError::NotAScalar));
        assert_eq!(ExpandedKey::from_octets(&[0xff; 64]).err(), Some(CoreError::NotAScalar));
        let mut order = [0; 64];
        order[..32].copy_from_slice(&(-Scalar::ONE).to_bytes());
        assert!(ExpandedKey::from_octets(&order).is_ok());
        order[0] += 1;
        assert_eq!(ExpandedKey::from_octets(&order).err(), Some(CoreError::NotAScalar));
    }

    proptest::proptest! {
        #[test]
        fn any_seed_gives_a_key_that_reads_back(seed: [u8; 32]) {
            let key = ExpandedKey::from_seed(&seed).unwrap();
            let again = key.with_octets(ExpandedKey::from_octets).unwrap();
            proptest::prop_assert_eq!(key.public(), again.public());
        }
    }
}
