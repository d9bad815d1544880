//! Key pairs on a token that seals rest on where it has no HMAC: RSA with OAEP, P-256 with ECDH. The only place with their attributes.
//!
//! Both halves are made on the token. `oaep`: 32 random octets are encrypted to the public half by the token itself and
//! decrypted again by the private half. `ecdh-p256`: a second pair is made for each sealing and thrown away but for its public
//! point, from which the token's private half gives the same secret every time.

use super::object::{AttributeRule, broken_rule, is_refused, value_is_refused};
use super::{Live, TokenError, Trouble, answer};
use crate::seal::SealKind;
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use zeroize::{Zeroize, Zeroizing};

/// `CKA_EC_PARAMS` of P-256: its OID.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Octets of an uncompressed P-256 point.
const POINT_LEN: usize = 65;
/// Bits of a new RSA key; the second if the token does not make the first.
const RSA_BITS: [u64; 2] = [3072, 2048];
/// The public exponent.
const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// What a kind of seal needs of its pair.
struct Pair {
    /// Label of both halves.
    label: &'static [u8],
    /// `CKA_ID` of both halves.
    id: &'static [u8],
    /// Key type.
    kind: KeyType,
    /// How it is made.
    generation: Mechanism<'static>,
    /// Secret parts beside `CKA_VALUE`.
    parts: &'static [AttributeType],
}

impl Pair {
    /// The pair of a kind of seal.
    fn of(kind: SealKind) -> Result<Self, TokenError> {
        match kind {
            SealKind::RsaOaep => Ok(Self {
                label: b"onionkeep root rsa v1",
                id: b"onionkeep-root-rsa-v1",
                kind: KeyType::RSA,
                generation: Mechanism::RsaPkcsKeyPairGen,
                parts: &[AttributeType::PrivateExponent, AttributeType::Prime1, AttributeType::Exponent1],
            }),
            SealKind::EcdhP256 => Ok(Self {
                label: b"onionkeep root p256 v1",
                id: b"onionkeep-root-p256-v1",
                kind: KeyType::EC,
                generation: Mechanism::EccKeyPairGen,
                parts: &[],
            }),
            SealKind::HmacSha256 => {
                let why = "it rests on no key pair".to_owned();
                Err(TokenError::NoSuchSeal { kind, why })
            }
        }
    }

    /// What each attribute of the private half must be; those that must be false may also be missing.
    fn rules(&self) -> [AttributeRule; 11] {
        let rsa = self.kind == KeyType::RSA;
        [
            (AttributeType::Token, Attribute::Token, true),
            (AttributeType::Private, Attribute::Private, true),
            (AttributeType::Sensitive, Attribute::Sensitive, true),
            (AttributeType::AlwaysSensitive, Attribute::AlwaysSensitive, true),
            (AttributeType::Extractable, Attribute::Extractable, false),
            (AttributeType::NeverExtractable, Attribute::NeverExtractable, true),
            (AttributeType::Local, Attribute::Local, true),
            (AttributeType::Decrypt, Attribute::Decrypt, rsa),
            (AttributeType::Derive, Attribute::Derive, !rsa),
            (AttributeType::Sign, Attribute::Sign, false),
            (AttributeType::Unwrap, Attribute::Unwrap, false),
        ]
    }

    /// One half of the pair.
    fn find(&self, live: &Live, class: ObjectClass) -> Result<ObjectHandle, Trouble> {
        let template = [
            Attribute::Class(class),
            Attribute::KeyType(self.kind),
            Attribute::Token(true),
            Attribute::Label(self.label.to_vec()),
        ];
        match live.session.find_objects(&template)?.as_slice() {
            [one] => Ok(*one),
            [] => Err(TokenError::NoRoot.into()),
            many => Err(TokenError::Roots(many.len()).into()),
        }
    }

    /// Generates the pair.
    fn generate(&self, live: &Live, size: &[Attribute]) -> cryptoki::error::Result<()> {
        let mut public = vec![
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Label(self.label.to_vec()),
            Attribute::Id(self.id.to_vec()),
        ];
        public.extend_from_slice(size);
        if self.kind == KeyType::RSA {
            public.push(Attribute::Encrypt(true));
        }
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Label(self.label.to_vec()),
            Attribute::Id(self.id.to_vec()),
            Attribute::Sign(false),
            Attribute::Unwrap(false),
            Attribute::Decrypt(self.kind == KeyType::RSA),
            Attribute::Derive(self.kind == KeyType::EC),
        ];
        live.session.generate_key_pair(&self.generation, &public, &private).map(drop)
    }
}

/// Generates the pair that seals of `kind` rest on.
pub(super) fn create(live: &Live, kind: SealKind) -> Result<(), Trouble> {
    let pair = Pair::of(kind)?;
    let sizes = match kind {
        SealKind::RsaOaep => RSA_BITS
            .map(|bits| {
                vec![Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(RSA_EXPONENT.to_vec())]
            })
            .to_vec(),
        SealKind::EcdhP256 | SealKind::HmacSha256 => vec![vec![Attribute::EcParams(P256.to_vec())]],
    };
    let mut why = String::new();
    for size in &sizes {
        match pair.generate(live, size) {
            Ok(()) => return Ok(()),
            Err(error) if answer::is_unknown_kind(&error) => why = answer::word(&error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(TokenError::NoSuchSeal { kind, why }.into())
}

/// Reads the private half's attributes back, and tries to read each of its secret parts.
pub(super) fn check(live: &Live, kind: SealKind) -> Result<(), Trouble> {
    let pair = Pair::of(kind)?;
    let private = pair.find(live, ObjectClass::PRIVATE_KEY)?;
    let rules = pair.rules();
    let found = live.session.get_attributes(private, &rules.map(|(kind, _make, _wanted)| kind))?;
    if let Some(why) = broken_rule(&rules, &found) {
        return Err(TokenError::Exposed(why).into());
    }
    value_is_refused(&live.session, private)?;
    pair.parts.iter().try_for_each(|part| is_refused(&live.session, private, *part))
}

/// The hashes of OAEP, the better one first; `SoftHSM` and some cards know SHA-1 alone, which OAEP stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OaepHash {
    /// SHA-256.
    Sha256,
    /// SHA-1.
    Sha1,
}

impl OaepHash {
    /// All, in the order in which they are tried.
    pub(super) const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// First octet of the material.
    const fn octet(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha1 => 2,
        }
    }

    /// The mechanism.
    fn mechanism(self) -> Mechanism<'static> {
        let (hash, mask) = match self {
            Self::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
            Self::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        };
        Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
    }
}

/// Has the token encrypt `random`, and decrypt it again to see that it can.
pub(super) fn encrypt(live: &Live, hash: OaepHash, random: &Zeroizing<[u8; 32]>) -> Result<Vec<u8>, Trouble> {
    let public = Pair::of(SealKind::RsaOaep)?.find(live, ObjectClass::PUBLIC_KEY)?;
    let mut material = vec![hash.octet()];
    material.extend(live.session.encrypt(&hash.mechanism(), public, random.as_slice())?);
    if *decrypt(live, &material)? == **random {
        return Ok(material);
    }
    Err(TokenError::Exposed("the public half does not belong to the private half".to_owned()).into())
}

/// Has the token decrypt material.
pub(super) fn decrypt(live: &Live, material: &[u8]) -> Result<Zeroizing<[u8; 32]>, Trouble> {
    let bad = |why: &str| TokenError::Refused(why.to_owned());
    let (octet, ciphertext) = material.split_first().ok_or_else(|| bad("no material"))?;
    let hash = OaepHash::ALL.into_iter().find(|hash| hash.octet() == *octet);
    let hash = hash.ok_or_else(|| bad("the material names an unknown hash"))?;
    let private = Pair::of(SealKind::RsaOaep)?.find(live, ObjectClass::PRIVATE_KEY)?;
    let plain = live.session.decrypt(&hash.mechanism(), private, ciphertext).map_err(answer::opening);
    let plain = Zeroizing::new(plain?);
    Ok(of_32(&plain).ok_or_else(|| bad("not 32 octets"))?)
}

/// The point of a pair that is made for one sealing; nobody keeps its private half.
pub(super) fn point(live: &Live) -> Result<Vec<u8>, Trouble> {
    let public = [Attribute::Token(false), Attribute::EcParams(P256.to_vec())];
    let private = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Derive(true),
    ];
    let (public, private) = live.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    let found = live.session.get_attributes(public, &[AttributeType::EcPoint]);
    live.session.destroy_object(private)?;
    live.session.destroy_object(public)?;
    let point = found?
        .into_iter()
        .find_map(|found| if let Attribute::EcPoint(point) = found { Some(point) } else { None });
    let point = point.as_deref().and_then(bare);
    Ok(point.map(<[u8]>::to_vec).ok_or_else(|| TokenError::Failed {
        what: "making a point",
        why: "its point is none of P-256".to_owned(),
    })?)
}

/// A point without the DER octet string around it, which some tokens add and others do not.
fn bare(point: &[u8]) -> Option<&[u8]> {
    let inner = match point {
        [0x04, 65, inner @ ..] if inner.len() == POINT_LEN => inner,
        other => other,
    };
    (inner.len() == POINT_LEN && inner.first() == Some(&0x04)).then_some(inner)
}

/// The secret that the token's private half and a point have in common.
pub(super) fn agree(live: &Live, point: &[u8]) -> Result<Zeroizing<[u8; 32]>, Trouble> {
    let bad = |why: &str| TokenError::Refused(why.to_owned());
    let point =
        bare(point).filter(|bare| bare.len() == point.len()).ok_or_else(|| bad("no point of P-256"))?;
    let private = Pair::of(SealKind::EcdhP256)?.find(live, ObjectClass::PRIVATE_KEY)?;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
    ];
    let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
    let shared = live.session.derive_key(&mechanism, private, &template).map_err(answer::opening)?;
    let found = live.session.get_attributes(shared, &[AttributeType::Value]);
    live.session.destroy_object(shared)?;
    let mut secret = None;
    for attribute in found? {
        if let Attribute::Value(mut value) = attribute {
            secret = of_32(&value);
            value.zeroize();
        }
    }
    Ok(secret.ok_or_else(|| bad("the shared secret is not 32 octets that can be read"))?)
}

/// 32 octets that are wiped when dropped.
fn of_32(octets: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let octets: &[u8; 32] = octets.try_into().ok()?;
    Some(Zeroizing::new(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_of_a_pair_that_is_turned_round_is_named() {
        for kind in [SealKind::RsaOaep, SealKind::EcdhP256] {
            let rules = Pair::of(kind).unwrap().rules();
            let good: Vec<_> = rules.iter().map(|(_kind, make, wanted)| make(*wanted)).collect();
            assert_eq!(broken_rule(&rules, &good), None);
            for (index, (kind, make, wanted)) in rules.iter().enumerate() {
                let mut bad = good.clone();
                bad[index] = make(!wanted);
                assert!(broken_rule(&rules, &bad).unwrap().starts_with(&format!("{kind} is ")));
            }
        }
        assert!(matches!(Pair::of(SealKind::HmacSha256), Err(TokenError::NoSuchSeal { .. })));
    }

    #[test]
    fn points_are_read_raw_and_in_der_and_nothing_else() {
        let point = [[4_u8].as_slice(), &[7; 64]].concat();
        let der = [[4, 65].as_slice(), &point].concat();
        assert_eq!(bare(&point), Some(point.as_slice()));
        assert_eq!(bare(&der), Some(point.as_slice()));
        let compressed = [[2_u8].as_slice(), &[7; 32]].concat();
        for bad in [&point[..64], &der[..66], &[], &compressed, &[0; 65]] {
            assert_eq!(bare(bad), None);
        }
    }
}
