//! One type per public key of the protocol; the only place where bytes from outside become keys.

use core::fmt;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};

mod verifier;
pub use verifier::Verifier;

/// Why 32 octets are not a key of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The octets are not the canonical encoding of a point.
    #[error("not the canonical encoding of an ed25519 point")]
    NotAPoint,
    /// The point has a small-order part, or is the neutral element.
    #[error("the ed25519 point is not in the prime-order group")]
    Torsion,
    /// A signature did not verify.
    #[error("the signature does not verify")]
    BadSignature,
}

/// An Ed25519 signature, `R | S`, 64 octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Checks that `bytes` encode a point of the prime-order group other than the neutral element.
fn check_point(bytes: [u8; 32]) -> Result<(), KeyError> {
    let point = CompressedEdwardsY(bytes).decompress().filter(|_point| is_reduced(&bytes));
    let point = point.ok_or(KeyError::NotAPoint)?;
    // With y reduced only the points with x = 0 have two encodings; both of them fail here.
    if point.is_identity() || !has_prime_order(&point) {
        return Err(KeyError::Torsion);
    }
    Ok(())
}

/// Whether y, the low 255 bits, is below `p = 2^255 - 19`.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|octet| *octet != 0xff)
}

/// Whether `l * point` is neutral, asked as `(l-1) * point = -point`, in variable time: keys here are public.
///
/// Says the same as `is_torsion_free` in half the time; a descriptor has a key for each introduction point.
fn has_prime_order(point: &EdwardsPoint) -> bool {
    let order_less_one = -Scalar::ONE;
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&order_less_one, point, &Scalar::ZERO) == -point
}

/// Checks an Ed25519 signature strictly (canonical encodings, no small-order key).
fn verify(key: &[u8; 32], message: &[u8], signature: &Signature) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_opaque| KeyError::NotAPoint)?;
    key.verify_strict(message, &DalekSignature::from_bytes(&signature.0))
        .map_err(|_opaque| KeyError::BadSignature)
}

/// Writes the first octets of a public key, enough to tell keys apart in a log.
fn fmt_short(name: &str, bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [a, b, c, d, ..] = bytes;
    write!(f, "{name}({a:02x}{b:02x}{c:02x}{d:02x}..)")
}

/// Defines the newtype of one Ed25519 public key.
macro_rules! ed25519_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 octets (RFC 8032 point encoding).
            ///
            /// # Errors
            /// [`KeyError::NotAPoint`] if they are not the canonical encoding of a point,
            /// [`KeyError::Torsion`] if the point is outside the prime-order group or neutral.
            pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
                check_point(bytes)?;
                Ok(Self(bytes))
            }

            /// Takes the encoding of a point that arithmetic has shown to be in the prime-order group.
            #[allow(dead_code, reason = "only keys that this crate computes need it, and the macro makes it for all")]
            pub(crate) const fn from_checked(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 octets.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Checks `signature` over `message` by this key, strictly.
            ///
            /// # Errors
            /// [`KeyError::BadSignature`] if it does not verify.
            pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
                verify(&self.0, message, signature)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_short(stringify!($name), &self.0, f)
            }
        }
    };
}

ed25519_key! {
    /// `KP_hs_id`: the master identity key of an onion service; the address is its text form.
    ///
    /// Spec: rend-spec-v3, 1.9.
    #[doc(alias = "KP_hs_id")]
    IdentityKey
}
ed25519_key! {
    /// `KP_hs_blind_id`: the identity key blinded for one time period; `HSDirs` store under it.
    ///
    /// Spec: rend-spec-v3, 1.9 and A.2.
    #[doc(alias = "KP_hs_blind_id")]
    BlindedId
}
ed25519_key! {
    /// `KP_hs_desc_sign`: signs descriptors; certified by the blinded key, one per period.
    ///
    /// Spec: rend-spec-v3, 1.9.
    #[doc(alias = "KP_hs_desc_sign")]
    DescSigningKey
}
ed25519_key! {
    /// `KP_hs_ipt_sid`: authentication key of one introduction point.
    ///
    /// Spec: rend-spec-v3, 1.9.
    #[doc(alias = "KP_hs_ipt_sid")]
    IntroAuthKey
}

/// `KP_hss_ntor`: x25519 key that a client encrypts its introduction to.
///
/// Spec: rend-spec-v3, 1.9 and 2.5.2.2 (`enc-key ntor`).
#[doc(alias = "KP_hss_ntor")]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntroEncKey(pub [u8; 32]);

impl IntroEncKey {
    /// The Ed25519 form that certificate 0B certifies: `y = (u-1)/(u+1)`, sign bit 0.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`] if `u` is not on the curve.
    ///
    /// Spec: rend-spec-v3, 2.5.2.2 (`enc-key-cert`).
    pub fn ed25519_form(&self) -> Result<[u8; 32], KeyError> {
        let point = MontgomeryPoint(self.0).to_edwards(0).ok_or(KeyError::NotAPoint)?;
        Ok(point.compress().to_bytes())
    }

    /// Whether `form` is [`IntroEncKey::ed25519_form`], asked the other way round, which takes half the time.
    #[must_use]
    pub fn has_ed25519_form(&self, form: &[u8; 32]) -> bool {
        let [.., high] = form;
        let point =
            CompressedEdwardsY(*form).decompress().filter(|_point| is_reduced(form) && high & 0x80 == 0);
        point.is_some_and(|point| point.to_montgomery() == MontgomeryPoint(self.0))
    }
}

impl fmt::Debug for IntroEncKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_short("IntroEncKey", &self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The neutral element.
    const IDENTITY: [u8; 32] = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };

    #[test]
    fn neutral_element_and_small_order_points_are_refused() {
        assert_eq!(IdentityKey::from_bytes(IDENTITY), Err(KeyError::Torsion));
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            assert!(IdentityKey::from_bytes(point.compress().to_bytes()).is_err());
        }
    }

    #[test]
    fn point_with_a_torsion_part_is_refused() {
        let [_, t, ..] = curve25519_dalek::constants::EIGHT_TORSION;
        let mixed = curve25519_dalek::constants::ED25519_BASEPOINT_POINT + t;
        assert_eq!(BlindedId::from_bytes(mixed.compress().to_bytes()), Err(KeyError::Torsion));
    }

    #[test]
    fn non_canonical_encodings_are_refused() {
        assert_eq!(DescSigningKey::from_bytes([0xff; 32]), Err(KeyError::NotAPoint));
        let mut p_plus_one = [0xff; 32];
        p_plus_one[0] = 0xee;
        p_plus_one[31] = 0x7f;
        assert!(DescSigningKey::from_bytes(p_plus_one).is_err());
    }

    /// `p + n`, little endian; `n` may be negative.
    fn p_plus(n: i16) -> [u8; 32] {
        let mut bytes = [0xff; 32];
        bytes[0] = u8::try_from(0xed + n).unwrap();
        bytes[31] = 0x7f;
        bytes
    }

    #[test]
    fn y_is_reduced_below_p_and_nowhere_else() {
        for (bytes, reduced) in [
            (p_plus(-1), true),
            (p_plus(0), false),
            (p_plus(1), false),
            (p_plus(0x12), false),
            // One smaller octet, be it in the middle or on top, makes the whole smaller.
            (
                {
                    let mut middle = p_plus(1);
                    middle[17] = 0xfe;
                    middle
                },
                true,
            ),
            (
                {
                    let mut high = p_plus(1);
                    high[31] = 0x7e;
                    high
                },
                true,
            ),
            // The sign bit does not count.
            (
                {
                    let mut sign = p_plus(1);
                    sign[31] |= 0x80;
                    sign
                },
                false,
            ),
            ([0; 32], true),
        ] {
            assert_eq!(is_reduced(&bytes), reduced, "{bytes:02x?}");
        }
    }

    #[test]
    fn signatures_and_encryption_keys_show_nothing_or_the_start() {
        assert_eq!(std::format!("{:?}", Signature([0x5a; 64])), "Signature(..)");
        assert_eq!(std::format!("{:?}", IntroEncKey([0x5a; 32])), "IntroEncKey(5a5a5a5a..)");
    }

    #[test]
    fn ed25519_form_is_recognised_and_nothing_else() {
        let key = IntroEncKey(curve25519_dalek::constants::X25519_BASEPOINT.0);
        let form = key.ed25519_form().unwrap();
        assert!(key.has_ed25519_form(&form));
        for at in [0, 5, 31] {
            let mut other = form;
            other[at] ^= 0x80;
            assert!(!key.has_ed25519_form(&other), "{at}");
        }
        // Octets that are not reduced are nobody's form.
        assert!(!IntroEncKey([0; 32]).has_ed25519_form(&[0xff; 32]));
    }

    #[test]
    fn debug_shows_only_the_start() {
        let base = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED.to_bytes();
        let key = IdentityKey::from_bytes(base).unwrap();
        assert_eq!(std::format!("{key:?}"), "IdentityKey(58666666..)");
    }
}
