//! The audit key on a token: a signing key made there, sensitive and not extractable. The only place with its attributes.

use super::object::{AttributeRule, broken_rule, value_is_refused};
use super::{Live, TokenError, Trouble, answer};
use crate::audit_key::{AuditKey, AuditSignature};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use sha2::{Digest as _, Sha256};

/// Label of both halves.
const LABEL: &[u8] = b"onionkeep audit v1";
/// `CKA_ID` of both halves.
const ID: &[u8] = b"onionkeep-audit-v1";

/// How a kind of key is asked for.
struct Curve {
    /// Its key type.
    kind: KeyType,
    /// `CKA_EC_PARAMS`.
    params: &'static [u8],
}

/// The kinds to be tried, the better one first; Edwards curves are named in two ways, by name and by OID (RFC 8410).
const CURVES: [Curve; 3] = [
    Curve { kind: KeyType::EC_EDWARDS, params: b"\x13\x0cedwards25519" },
    Curve { kind: KeyType::EC_EDWARDS, params: &[0x06, 0x03, 0x2b, 0x65, 0x70] },
    Curve { kind: KeyType::EC, params: &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] },
];

/// What each attribute of the private half must be; those that must be false may also be missing.
const RULES: [AttributeRule; 11] = [
    (AttributeType::Token, Attribute::Token, true),
    (AttributeType::Private, Attribute::Private, true),
    (AttributeType::Sensitive, Attribute::Sensitive, true),
    (AttributeType::AlwaysSensitive, Attribute::AlwaysSensitive, true),
    (AttributeType::Extractable, Attribute::Extractable, false),
    (AttributeType::NeverExtractable, Attribute::NeverExtractable, true),
    (AttributeType::Local, Attribute::Local, true),
    (AttributeType::Sign, Attribute::Sign, true),
    (AttributeType::Decrypt, Attribute::Decrypt, false),
    (AttributeType::Derive, Attribute::Derive, false),
    (AttributeType::Unwrap, Attribute::Unwrap, false),
];

/// Generates the key pair, of the first kind that the token knows.
pub(super) fn create(live: &mut Live) -> Result<(), Trouble> {
    if !find(live, ObjectClass::PRIVATE_KEY)?.is_empty() {
        return Err(TokenError::AuditKeys(1).into());
    }
    let mut unknown = String::new();
    for curve in &CURVES {
        match generate(live, curve) {
            Ok(()) => return Ok(()),
            Err(error) if answer::is_unknown_kind(&error) => {
                unknown = answer::word(&error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(TokenError::NoAuditKind(unknown).into())
}

/// Generates a key pair of one kind. The public half is not asked to verify: that is done in software, and a TPM's module takes
/// `CKA_VERIFY` for the right to decrypt, which the private half must not have.
fn generate(live: &Live, curve: &Curve) -> cryptoki::error::Result<()> {
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::KeyType(curve.kind),
        Attribute::EcParams(curve.params.to_vec()),
        Attribute::Label(LABEL.to_vec()),
        Attribute::Id(ID.to_vec()),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::KeyType(curve.kind),
        Attribute::Label(LABEL.to_vec()),
        Attribute::Id(ID.to_vec()),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Derive(false),
        Attribute::Unwrap(false),
    ];
    let how =
        if curve.kind == KeyType::EC { Mechanism::EccKeyPairGen } else { Mechanism::EccEdwardsKeyPairGen };
    live.session.generate_key_pair(&how, &public, &private).map(drop)
}

/// Finds our objects of one class.
fn find(live: &Live, class: ObjectClass) -> Result<Vec<ObjectHandle>, Trouble> {
    let template = [Attribute::Class(class), Attribute::Token(true), Attribute::Label(LABEL.to_vec())];
    Ok(live.session.find_objects(&template)?)
}

/// The one object of a class.
fn one(live: &Live, class: ObjectClass) -> Result<ObjectHandle, Trouble> {
    match find(live, class)?.as_slice() {
        [one] => Ok(*one),
        [] => Err(TokenError::NoAuditKey.into()),
        many => Err(TokenError::AuditKeys(many.len()).into()),
    }
}

/// Reads the private half's attributes back, tries to read its value, and gives the public half.
pub(super) fn public(live: &mut Live) -> Result<AuditKey, Trouble> {
    let private = one(live, ObjectClass::PRIVATE_KEY)?;
    let types = RULES.map(|(kind, _make, _wanted)| kind);
    if let Some(why) = broken_rule(&RULES, &live.session.get_attributes(private, &types)?) {
        return Err(TokenError::AuditExposed(why).into());
    }
    value_is_refused(&live.session, private)?;
    let public = one(live, ObjectClass::PUBLIC_KEY)?;
    let found = live.session.get_attributes(public, &[AttributeType::EcPoint])?;
    let point =
        found.iter().find_map(|found| if let Attribute::EcPoint(point) = found { Some(point) } else { None });
    let octets = point.map(|point| bare(point)).unwrap_or_default();
    AuditKey::from_octets(octets).map_err(|why| {
        let why = format!("{why} ({} octets)", octets.len());
        TokenError::Failed { what: "reading the audit key", why }.into()
    })
}

/// A point without the DER octet string around it, which some tokens add and others do not.
fn bare(point: &[u8]) -> &[u8] {
    match point {
        [0x04, len, inner @ ..] if matches!(len, 32 | 65) && usize::from(*len) == inner.len() => inner,
        other => other,
    }
}

/// Signs: `EdDSA`, or ECDSA over SHA-256, which is computed here.
pub(super) fn sign(live: &mut Live, message: &[u8]) -> Result<AuditSignature, Trouble> {
    let private = one(live, ObjectClass::PRIVATE_KEY)?;
    let kind = live.session.get_attributes(private, &[AttributeType::KeyType])?;
    let signature = if kind == [Attribute::KeyType(KeyType::EC)] {
        live.session.sign(&Mechanism::Ecdsa, private, &Sha256::digest(message))?
    } else {
        let params = EddsaParams::new(EddsaSignatureScheme::Ed25519);
        live.session.sign(&Mechanism::Eddsa(params), private, message)?
    };
    let len = signature.len();
    signature.try_into().map(AuditSignature).map_err(|_length| {
        TokenError::Failed { what: "the audit signature", why: format!("{len} octets instead of 64") }.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_raw_and_in_der() {
        let (edwards, p256) = ([7_u8; 32], [[4_u8].as_slice(), &[7; 64]].concat());
        assert_eq!(bare(&edwards), edwards);
        assert_eq!(bare(&[[4, 32].as_slice(), &edwards].concat()), edwards);
        assert_eq!(bare(&p256), p256);
        assert_eq!(bare(&[[4, 65].as_slice(), &p256].concat()), p256);
    }

    #[test]
    fn every_attribute_that_is_turned_round_is_named() {
        let good: Vec<_> = RULES.iter().map(|(_kind, make, wanted)| make(*wanted)).collect();
        assert_eq!(broken_rule(&RULES, &good), None);
        for (index, (kind, make, wanted)) in RULES.iter().enumerate() {
            let mut bad = good.clone();
            bad[index] = make(!wanted);
            assert!(broken_rule(&RULES, &bad).unwrap().starts_with(&format!("{kind} is ")));
        }
    }
}
