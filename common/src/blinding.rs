//! Public side of key blinding: period, blinded key, credential, subcredential. No secret is ever here.

use crate::keys::{BlindedId, IdentityKey, KeyError};
use crate::units::{PeriodLength, PeriodNumber};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::IsIdentity;
use sha3::{Digest, Sha3_256};

/// First part of the blinding hash, with the NUL octet that belongs to it.
const BLIND_STRING: &[u8] = b"Derive temporary signing key\0";
/// The base point in decimal text, as rend-spec writes it.
const BASE_POINT_TEXT: &[u8] =
    b"(15112221349535400772501151409588531511454012693041857206046113283949847762202, \
46316835694926478169428394003475163141307993866256225615783033603165251855960)";

/// One time period: number and length together, as blinding needs them.
///
/// Spec: rend-spec-v3, 2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimePeriod {
    /// The period's number.
    pub number: PeriodNumber,
    /// The period's length in minutes.
    pub length: PeriodLength,
}

impl TimePeriod {
    /// The period after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { number: self.number.next(), length: self.length }
    }

    /// The period before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self { number: self.number.previous(), length: self.length }
    }
}

/// The clamped blinding factor `h` of one identity key and period; public data.
///
/// Spec: rend-spec-v3, A.2 (`KEYBLIND`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlindingFactor([u8; 32]);

impl BlindingFactor {
    /// `h = clamp(H("Derive temporary signing key" NUL | KP_hs_id | B | "key-blind" | number | length))`.
    #[must_use]
    pub fn new(identity: &IdentityKey, period: TimePeriod) -> Self {
        let hash = Sha3_256::new()
            .chain_update(BLIND_STRING)
            .chain_update(identity.as_bytes())
            .chain_update(BASE_POINT_TEXT)
            .chain_update(b"key-blind")
            .chain_update(period.number.0.to_be_bytes())
            .chain_update(u64::from(period.length.minutes()).to_be_bytes());
        Self(clamp_integer(hash.finalize().into()))
    }

    /// The factor modulo the group order; the same result as the integer on keys of the prime-order group.
    #[must_use]
    pub fn scalar(&self) -> Scalar {
        Scalar::from_bytes_mod_order(self.0)
    }
}

impl IdentityKey {
    /// `KP_hs_blind_id = h * KP_hs_id` for a period.
    ///
    /// # Errors
    /// [`KeyError`] never for a key that was built from checked octets, short of a broken hash; no panic is needed.
    ///
    /// Spec: rend-spec-v3, A.2.
    pub fn blinded(&self, period: TimePeriod) -> Result<BlindedId, KeyError> {
        let point = CompressedEdwardsY(*self.as_bytes()).decompress().ok_or(KeyError::NotAPoint)?;
        let factor = BlindingFactor::new(self, period).scalar();
        // All of it is public, so variable time is fine; a multiple of a key of prime order is one, or neutral.
        let blinded = EdwardsPoint::vartime_double_scalar_mul_basepoint(&factor, &point, &Scalar::ZERO);
        if blinded.is_identity() {
            return Err(KeyError::Torsion);
        }
        Ok(BlindedId::from_checked(blinded.compress().to_bytes()))
    }

    /// `N_hs_cred = H("credential" | KP_hs_id)`.
    ///
    /// Spec: rend-spec-v3, 2.1.
    #[doc(alias = "N_hs_cred")]
    #[must_use]
    pub fn credential(&self) -> Credential {
        Credential(
            Sha3_256::new().chain_update(b"credential").chain_update(self.as_bytes()).finalize().into(),
        )
    }
}

/// `N_hs_cred`, known to all who know the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential(pub [u8; 32]);

/// `N_hs_subcred`, the credential of one period; known to all who know the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subcredential(pub [u8; 32]);

impl Credential {
    /// `N_hs_subcred = H("subcredential" | N_hs_cred | KP_hs_blind_id)`.
    ///
    /// Spec: rend-spec-v3, 2.1.
    #[doc(alias = "N_hs_subcred")]
    #[must_use]
    pub fn subcredential(&self, blinded: &BlindedId) -> Subcredential {
        let hash = Sha3_256::new().chain_update(b"subcredential").chain_update(self.0);
        Subcredential(hash.chain_update(blinded.as_bytes()).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use serde_json::Value;
    use std::vec::Vec;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/blinding.json")).unwrap()
    }

    fn octets(value: &Value) -> [u8; 32] {
        HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
    }

    fn period(value: &Value) -> TimePeriod {
        TimePeriod {
            number: PeriodNumber(value["time_period"].as_u64().unwrap()),
            length: PeriodLength::new(
                u32::try_from(value["period_length_minutes"].as_u64().unwrap()).unwrap(),
            )
            .unwrap(),
        }
    }

    /// Compares the blinded key and, where given, the subcredential of one row.
    fn check(identity: &IdentityKey, row: &Value) {
        let blinded = identity.blinded(period(row)).unwrap();
        assert_eq!(*blinded.as_bytes(), octets(&row["blinded_public"]));
        if row.get("subcredential").is_some() {
            let sub = identity.credential().subcredential(&blinded);
            assert_eq!(sub.0, octets(&row["subcredential"]));
        }
    }

    #[test]
    fn tor_arti_and_own_vectors_agree() {
        let vectors = vectors();
        for name in ["tor_basics", "arti"] {
            let identity = IdentityKey::from_bytes(octets(&vectors[name]["identity_public"])).unwrap();
            check(&identity, &vectors[name]);
        }
        let tor = IdentityKey::from_bytes(octets(&vectors["tor_basics"]["identity_public"])).unwrap();
        assert_eq!(tor.credential().0, octets(&vectors["tor_basics"]["credential"]));
        let own = IdentityKey::from_bytes(octets(&vectors["own"]["identity_public"])).unwrap();
        let rows: Vec<_> = vectors["own"]["periods"].as_array().unwrap().iter().collect();
        assert!(rows.len() >= 6);
        for row in rows {
            check(&own, row);
            assert_eq!(BlindingFactor::new(&own, period(row)).0, octets(&row["h_clamped"]));
        }
    }

    #[test]
    fn another_period_or_length_gives_another_key() {
        let vectors = vectors();
        let own = IdentityKey::from_bytes(octets(&vectors["own"]["identity_public"])).unwrap();
        let day = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
        let short = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::new(8).unwrap() };
        assert_ne!(own.blinded(day), own.blinded(day.next()));
        assert_ne!(own.blinded(day), own.blinded(short));
    }
}
