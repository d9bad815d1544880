//! Splits a uniform scalar among custodians, with public commitments; the only place where the wrapping secret is a number.
//!
//! Shamir's scheme over the scalar field of Ed25519 with Feldman's commitments: share `i` is `f(i)`, `f(0)` the secret,
//! and coefficient `j` is committed to as `c_j * B`. So each share is checked alone against public points.

use super::BackupError;
use crate::vault::{VaultError, random, scrub};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use zeroize::Zeroizing;

/// Most shares of one set, so that the number of a share fits in one character of its text.
pub const SHARES_MAX: u8 = 31;

/// How many shares there are and how many restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many restore.
    threshold: u8,
    /// How many there are.
    shares: u8,
}

impl Plan {
    /// Checks that a single share never restores, and that enough are there.
    ///
    /// # Errors
    /// [`BackupError::Plan`] unless `2 <= threshold <= shares <= 31`.
    pub const fn new(threshold: u8, shares: u8) -> Result<Self, BackupError> {
        if threshold >= 2 && threshold <= shares && shares <= SHARES_MAX {
            Ok(Self { threshold, shares })
        } else {
            Err(BackupError::Plan { threshold, shares })
        }
    }

    /// How many restore.
    #[must_use]
    pub const fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many there are.
    #[must_use]
    pub const fn shares(self) -> u8 {
        self.shares
    }
}

/// The wrapping secret of one set: a uniform scalar, wiped when dropped.
pub struct WrappingSecret(Zeroizing<Scalar>);

impl WrappingSecret {
    /// Lends the octets, for deriving the wrapping key and for nothing else.
    pub(super) fn with_octets<T>(&self, use_them: impl FnOnce(&[u8; 32]) -> T) -> T {
        use_them(self.0.as_bytes())
    }
}

/// One custodian's share, wiped when dropped.
pub struct Share {
    /// Whose it is, from 1.
    index: u8,
    /// `f(index)`.
    value: Zeroizing<Scalar>,
}

impl Share {
    /// Reads the number that a share's text holds.
    ///
    /// `None` if it is not below the group order, which no share is.
    pub(super) fn from_octets(index: u8, octets: &Zeroizing<[u8; 32]>) -> Option<Self> {
        let value: Option<Scalar> = Scalar::from_canonical_bytes(**octets).into();
        Some(Self { index, value: Zeroizing::new(value?) })
    }

    /// Whose it is, from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// Lends the octets, for writing the share's text.
    pub(super) fn with_octets<T>(&self, use_them: impl FnOnce(&[u8; 32]) -> T) -> T {
        use_them(self.value.as_bytes())
    }
}

/// The secret polynomial while its shares are handed out; wiped when dropped.
pub struct Polynomial(Zeroizing<Vec<Scalar>>);

impl Polynomial {
    /// A fresh one: every coefficient, the secret too, is a uniform scalar.
    ///
    /// # Errors
    /// [`VaultError::Random`] if the system gives no random octets.
    pub fn random(plan: Plan) -> Result<Self, VaultError> {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(usize::from(plan.threshold)));
        for _ in 0..plan.threshold {
            coefficients.push(*random_scalar()?);
        }
        Ok(Self(coefficients))
    }

    /// The secret `f(0)`.
    #[must_use]
    pub fn secret(&self) -> WrappingSecret {
        WrappingSecret(Zeroizing::new(self.0.first().copied().unwrap_or(Scalar::ZERO)))
    }

    /// The share of custodian `index`.
    #[must_use]
    pub fn share(&self, index: u8) -> Share {
        let at = Scalar::from(index);
        let mut value = Zeroizing::new(Scalar::ZERO);
        for coefficient in self.0.iter().rev() {
            *value = *value * at + coefficient;
        }
        Share { index, value }
    }

    /// What is public about it.
    #[must_use]
    pub fn commitments(&self) -> Commitments {
        let points = self.0.iter().map(EdwardsPoint::mul_base);
        Commitments { points: points.map(|point| (point.compress(), point)).collect() }
    }
}

/// A uniform scalar: 64 random octets modulo the group order.
fn random_scalar() -> Result<Zeroizing<Scalar>, VaultError> {
    let (low, high) = (random::octets()?, random::octets()?);
    let mut wide = Zeroizing::new([0; 64]);
    let (first, second) = wide.split_at_mut(32);
    first.copy_from_slice(&*low);
    second.copy_from_slice(&*high);
    Ok(Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide)))
}

/// The public commitments to a polynomial's coefficients; the first is to the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// Each in both forms.
    points: Vec<(CompressedEdwardsY, EdwardsPoint)>,
}

impl Commitments {
    /// Reads encoded points: canonical, of the prime-order group, not neutral.
    ///
    /// `None` if one of them is none.
    pub(super) fn from_octets(encoded: &[[u8; 32]]) -> Option<Self> {
        let point = |octets: &[u8; 32]| {
            let encoded = CompressedEdwardsY(*octets);
            let point = encoded.decompress().filter(|point| point.compress() == encoded)?;
            (point.is_torsion_free() && !point.is_identity()).then_some((encoded, point))
        };
        Some(Self { points: encoded.iter().map(point).collect::<Option<_>>()? })
    }

    /// The encoded points.
    pub(super) fn octets(&self) -> impl ExactSizeIterator<Item = &[u8; 32]> {
        self.points.iter().map(|(encoded, _point)| encoded.as_bytes())
    }

    /// Whether a share is the one that was handed out: `f(i) * B` equals the sum of `i^j * C_j`.
    #[must_use]
    pub fn fits(&self, share: &Share) -> bool {
        let at = Scalar::from(share.index);
        let horner = |sum: EdwardsPoint, (_encoded, point): &(_, EdwardsPoint)| sum * at + point;
        let expected = self.points.iter().rev().fold(EdwardsPoint::identity(), horner);
        scrub::after(|| EdwardsPoint::mul_base(&share.value) == expected)
    }

    /// Puts the secret together from checked shares with different numbers, and checks it against the first commitment.
    ///
    /// `None` if they are too few, doubled or wrong.
    #[must_use]
    pub fn combine(&self, shares: &[Share]) -> Option<WrappingSecret> {
        let enough = shares.get(..self.points.len())?;
        let mut secret = Zeroizing::new(Scalar::ZERO);
        for share in enough {
            *secret += *share.value * weight(share.index, enough)?;
        }
        let (_encoded, first) = self.points.first()?;
        (EdwardsPoint::mul_base(&secret) == *first).then_some(WrappingSecret(secret))
    }
}

/// Lagrange's weight of a share at 0; `None` if another share has the same number.
fn weight(index: u8, shares: &[Share]) -> Option<Scalar> {
    let own = Scalar::from(index);
    let (mut above, mut below) = (Scalar::ONE, Scalar::ONE);
    let mut seen = 0_usize;
    for other in shares {
        if other.index == index {
            seen = seen.saturating_add(1);
            continue;
        }
        let at = Scalar::from(other.index);
        above *= at;
        below *= at - own;
    }
    (seen == 1).then(|| above * below.invert())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn polynomial(threshold: u8, shares: u8) -> Polynomial {
        Polynomial::random(Plan::new(threshold, shares).unwrap()).unwrap()
    }

    fn copy(share: &Share) -> Share {
        Share { index: share.index, value: Zeroizing::new(*share.value) }
    }

    #[test]
    fn plans_that_are_none_are_refused() {
        for (threshold, shares) in [(2, 2), (2, 3), (3, 5), (31, 31)] {
            assert!(Plan::new(threshold, shares).is_ok(), "{threshold} of {shares}");
        }
        for (threshold, shares) in [(0, 0), (0, 3), (1, 1), (1, 5), (4, 3), (2, 32), (32, 32)] {
            assert!(Plan::new(threshold, shares).is_err(), "{threshold} of {shares}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_threshold_of_the_shares_restores(
            (threshold, order) in (2_u8..=7, 2_u8..=7).prop_flat_map(|(a, b)| {
                let all: Vec<u8> = (1..=a.max(b)).collect();
                (Just(a.min(b)), Just(all).prop_shuffle())
            })
        ) {
            let secret = polynomial(threshold, u8::try_from(order.len()).unwrap());
            let commitments = secret.commitments();
            let shares: Vec<_> = order.iter().map(|index| secret.share(*index)).collect();
            prop_assert!(shares.iter().all(|share| commitments.fits(share)));
            let whole = commitments.combine(&shares).unwrap();
            prop_assert_eq!(*whole.0, *secret.secret().0);
            let fewer = usize::from(threshold) - 1;
            prop_assert!(commitments.combine(&shares[..fewer]).is_none());
        }

        /// Without the commitments, one share too few fits every secret: for each there is exactly one polynomial.
        #[test]
        fn one_share_too_few_says_nothing_about_the_secret(claimed: [u8; 32], threshold in 2_u8..=6) {
            let secret = polynomial(threshold, threshold);
            let known: Vec<_> = (1..threshold).map(|index| secret.share(index)).collect();
            let claimed = Scalar::from_bytes_mod_order(claimed);
            // The polynomial through (0, claimed) and the known shares, evaluated at the missing number.
            let at = |x: u8| {
                let points = || {
                    let known = known.iter().map(|share| (Scalar::from(share.index), *share.value));
                    std::iter::once((Scalar::ZERO, claimed)).chain(known)
                };
                let mut sum = Scalar::ZERO;
                for (own, value) in points() {
                    let others = points().filter(|(other, _)| *other != own);
                    sum += others.fold(value, |product, (other, _)| {
                        product * (Scalar::from(x) - other) * (own - other).invert()
                    });
                }
                sum
            };
            let missing = Share { index: threshold, value: Zeroizing::new(at(threshold)) };
            prop_assert!(known.iter().all(|share| at(share.index) == *share.value));
            let all: Vec<_> = known.iter().map(copy).chain([copy(&missing)]).collect();
            let mut sum = Scalar::ZERO;
            for share in &all {
                sum += *share.value * weight(share.index, &all).unwrap();
            }
            prop_assert_eq!(sum, claimed);
            // The commitments tell the wrong completion from the right one.
            prop_assert!(!secret.commitments().fits(&missing));
        }
    }

    #[test]
    fn a_wrong_share_and_a_wrong_commitment_are_caught() {
        let secret = polynomial(3, 5);
        let commitments = secret.commitments();
        let mut wrong = secret.share(2);
        *wrong.value += Scalar::ONE;
        assert!(!commitments.fits(&wrong));
        let mut renumbered = secret.share(2);
        renumbered.index = 3;
        assert!(!commitments.fits(&renumbered));
        assert!(commitments.combine(&[secret.share(1), wrong, secret.share(3)]).is_none());
        for at in 0..3 {
            let mut octets: Vec<[u8; 32]> = commitments.octets().copied().collect();
            octets[at] = *polynomial(2, 2).commitments().octets().next().unwrap();
            let other = Commitments::from_octets(&octets).unwrap();
            assert!((1..=5).all(|index| !other.fits(&secret.share(index))), "commitment {at}");
        }
    }

    #[test]
    fn doubled_shares_and_shares_of_another_set_restore_nothing() {
        let (one, other) = (polynomial(2, 3), polynomial(2, 3));
        let commitments = one.commitments();
        assert!(commitments.combine(&[one.share(1), one.share(1)]).is_none());
        assert!(commitments.combine(&[one.share(1), other.share(2)]).is_none());
        assert!(!commitments.fits(&other.share(1)));
        assert!(commitments.combine(&[one.share(1), one.share(3)]).is_some());
    }

    #[test]
    fn points_that_are_no_commitment_are_refused() {
        let good = *polynomial(2, 2).commitments().octets().next().unwrap();
        assert!(Commitments::from_octets(&[good]).is_some());
        let neutral = EdwardsPoint::identity().compress().to_bytes();
        let order_eight = curve25519_dalek::constants::EIGHT_TORSION[1].compress().to_bytes();
        let torsion =
            CompressedEdwardsY(good).decompress().unwrap() + curve25519_dalek::constants::EIGHT_TORSION[1];
        for bad in [neutral, order_eight, torsion.compress().to_bytes(), [0xff; 32]] {
            assert!(Commitments::from_octets(&[good, bad]).is_none());
        }
    }

    #[test]
    fn numbers_above_the_group_order_are_no_share() {
        assert!(Share::from_octets(1, &Zeroizing::new((-Scalar::ONE).to_bytes())).is_some());
        assert!(Share::from_octets(1, &Zeroizing::new([0xff; 32])).is_none());
    }
}
