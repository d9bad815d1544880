//! The objects on a token: the root key and the sealed keys. The only place with their attributes.

use super::{Live, TokenError, Trouble, answer};
use crate::seal::SealKind;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use onionkeep_common::OnionAddress;
use zeroize::{Zeroize, Zeroizing};

/// Label of the root key.
const ROOT_LABEL: &[u8] = b"onionkeep root v1";
/// `CKA_APPLICATION` of the sealed keys.
const APPLICATION: &[u8] = b"onionkeep";
/// `CKA_OBJECT_ID` of the sealed keys: DER of 2.25.225881049718325350629562982485887580822 (UUID a9ef1b95-a62d-434b-9641-12578a8c7a96).
const OBJECT_ID: &[u8] = &[
    0x06, 0x14, 0x69, 0x82, 0xd3, 0xef, 0x8d, 0xe5, 0xb4, 0xe2, 0xea, 0x8d, 0x97, 0x96, 0xa0, 0xc4, 0xca,
    0xf8, 0xd4, 0xb1, 0xf5, 0x16,
];
/// Octets of the root key.
const ROOT_LEN: u64 = 32;
/// Sealed objects are refused above this size.
const SEALED_MAX: usize = 4096;

/// HMAC-SHA256 of `message` by the root key.
pub(super) fn mac(live: &mut Live, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, Trouble> {
    let root = root(live)?;
    let mac = Zeroizing::new(live.session.sign(&Mechanism::Sha256Hmac, root, message)?);
    let mac: &[u8; 32] = mac.as_slice().try_into().map_err(|_length| TokenError::Failed {
        what: "HMAC",
        why: format!("{} octets instead of 32", mac.len()),
    })?;
    Ok(Zeroizing::new(*mac))
}

/// The one root key; its handle is kept.
fn root(live: &mut Live) -> Result<ObjectHandle, Trouble> {
    if let Some(root) = live.root {
        return Ok(root);
    }
    let found = live.session.find_objects(&root_template())?;
    match found.as_slice() {
        [one] => {
            live.root = Some(*one);
            Ok(*one)
        }
        [] => Err(TokenError::NoRoot.into()),
        many => Err(TokenError::Roots(many.len()).into()),
    }
}

/// By what the root key is found; its key type is not asked for: a TPM's HMAC keys are of a type of their own.
fn root_template() -> [Attribute; 3] {
    [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true), Attribute::Label(ROOT_LABEL.to_vec())]
}

/// Generates the root key: made on the token, signs, and nothing else.
pub(super) fn create_root(live: &mut Live) -> Result<(), Trouble> {
    let mut template = root_template().to_vec();
    template.extend([
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::ValueLen(ROOT_LEN.into()),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Sign(true),
        Attribute::Verify(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Derive(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
    ]);
    match live.session.generate_key(&Mechanism::GenericSecretKeyGen, &template) {
        Ok(root) => {
            live.root = Some(root);
            Ok(())
        }
        Err(error) if answer::is_unknown_kind(&error) => {
            Err(TokenError::NoSuchSeal { kind: SealKind::HmacSha256, why: answer::word(&error) }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// An attribute that is a truth value, and what it must be.
pub(super) type AttributeRule = (AttributeType, fn(bool) -> Attribute, bool);

/// What each attribute of the root key must be; those that must be false may also be missing.
const ROOT_RULES: [AttributeRule; 13] = [
    (AttributeType::Token, Attribute::Token, true),
    (AttributeType::Private, Attribute::Private, true),
    (AttributeType::Sensitive, Attribute::Sensitive, true),
    (AttributeType::AlwaysSensitive, Attribute::AlwaysSensitive, true),
    (AttributeType::Extractable, Attribute::Extractable, false),
    (AttributeType::NeverExtractable, Attribute::NeverExtractable, true),
    (AttributeType::Local, Attribute::Local, true),
    (AttributeType::Sign, Attribute::Sign, true),
    (AttributeType::Encrypt, Attribute::Encrypt, false),
    (AttributeType::Decrypt, Attribute::Decrypt, false),
    (AttributeType::Derive, Attribute::Derive, false),
    (AttributeType::Wrap, Attribute::Wrap, false),
    (AttributeType::Unwrap, Attribute::Unwrap, false),
];

/// Reads the root key's attributes back and tries to read its value.
pub(super) fn check_root(live: &mut Live) -> Result<(), Trouble> {
    let root = root(live)?;
    let types = ROOT_RULES.map(|(kind, _make, _wanted)| kind);
    let found = live.session.get_attributes(root, &types)?;
    match broken_rule(&ROOT_RULES, &found) {
        Some(why) => Err(TokenError::Exposed(why).into()),
        None => value_is_refused(&live.session, root),
    }
}

/// The first rule that the attributes break, as a sentence.
pub(super) fn broken_rule(rules: &[AttributeRule], found: &[Attribute]) -> Option<String> {
    rules.iter().find_map(|(kind, make, wanted)| {
        let (yes, no) = (found.contains(&make(true)), found.contains(&make(false)));
        let is = match (yes, no) {
            (true, _) => "true",
            (false, true) => "false",
            (false, false) => "missing",
        };
        (yes != *wanted).then(|| format!("{kind} is {is}, must be {wanted}"))
    })
}

/// Tries to read the value of a key. An answer with the value is the end of it.
pub(super) fn value_is_refused(session: &Session, key: ObjectHandle) -> Result<(), Trouble> {
    is_refused(session, key, AttributeType::Value)
}

/// Tries to read one secret part of a key.
pub(super) fn is_refused(session: &Session, key: ObjectHandle, part: AttributeType) -> Result<(), Trouble> {
    let Ok(given) = session.get_attributes(key, &[part]) else { return Ok(()) };
    let mut exposed = false;
    for attribute in given {
        if let Attribute::Value(mut secret)
        | Attribute::PrivateExponent(mut secret)
        | Attribute::Prime1(mut secret)
        | Attribute::Exponent1(mut secret) = attribute
        {
            exposed |= !secret.is_empty();
            secret.zeroize();
        }
    }
    if exposed {
        return Err(TokenError::Exposed("the token gives its value away".to_owned()).into());
    }
    Ok(())
}

/// The values of all sealed keys.
pub(super) fn sealed(session: &Session) -> Result<Vec<Vec<u8>>, Trouble> {
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Application(APPLICATION.to_vec()),
    ];
    let found = session.find_objects(&template)?;
    found.into_iter().map(|object| value(session, object)).collect()
}

/// The value of a data object; one that is too long is cut, and so refused by who reads it.
fn value(session: &Session, object: ObjectHandle) -> Result<Vec<u8>, Trouble> {
    let attributes = session.get_attributes(object, &[AttributeType::Value])?;
    let mut values = attributes
        .into_iter()
        .filter_map(|attribute| if let Attribute::Value(value) = attribute { Some(value) } else { None });
    let mut value = values.next().unwrap_or_default();
    value.truncate(SEALED_MAX);
    Ok(value)
}

/// Stores a sealed key as a private object, and reads it and its attributes back.
pub(super) fn store(session: &Session, onion: &OnionAddress, sealed: &[u8]) -> Result<(), Trouble> {
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Modifiable(false),
        Attribute::Label(format!("onionkeep sealed key {onion}").into_bytes()),
        Attribute::Application(APPLICATION.to_vec()),
        Attribute::ObjectId(OBJECT_ID.to_vec()),
        Attribute::Value(sealed.to_vec()),
    ];
    let object = session.create_object(&template).map_err(answer::storing)?;
    let guards = session.get_attributes(object, &[AttributeType::Token, AttributeType::Private])?;
    let guarded = guards == [Attribute::Token(true), Attribute::Private(true)];
    if guarded && value(session, object)? == sealed {
        return Ok(());
    }
    // What is not as it was asked for must not stay; that it may not go either is said by the error below.
    let _kept = session.destroy_object(object);
    Err(TokenError::StoredWrong.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attributes of a root key as it must be.
    fn good() -> Vec<Attribute> {
        ROOT_RULES.iter().map(|(_kind, make, wanted)| make(*wanted)).collect()
    }

    #[test]
    fn root_key_as_it_must_be_passes() {
        assert_eq!(broken_rule(&ROOT_RULES, &good()), None);
        let without_false: Vec<_> =
            ROOT_RULES.iter().filter(|rule| rule.2).map(|(_kind, make, wanted)| make(*wanted)).collect();
        assert_eq!(broken_rule(&ROOT_RULES, &without_false), None);
    }

    #[test]
    fn every_attribute_that_is_turned_round_is_named() {
        for (index, (kind, make, wanted)) in ROOT_RULES.iter().enumerate() {
            let mut bad = good();
            bad[index] = make(!wanted);
            let why = broken_rule(&ROOT_RULES, &bad).unwrap();
            assert!(why.starts_with(&format!("{kind} is {}", !wanted)), "{why}");
        }
    }

    #[test]
    fn a_missing_guard_is_no_guard() {
        for (index, rule) in ROOT_RULES.iter().enumerate().filter(|(_, rule)| rule.2) {
            let mut bad = good();
            bad.remove(index);
            assert_eq!(broken_rule(&ROOT_RULES, &bad), Some(format!("{} is missing, must be true", rule.0)));
        }
    }
}
