//! The audit key on the token: made there, guarded, its signatures checked in software; a key that is not guarded is refused.

use crate::kit::{Kit, in_child, session};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use onionkeep_signer::audit_key::{AuditKey, AuditSignature};
use onionkeep_signer::token::pkcs11::Access;
use onionkeep_signer::token::{Token, TokenError};

/// The label of both halves.
const LABEL: &[u8] = b"onionkeep audit v1";

fn made(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    assert!(matches!(token.audit_key(), Err(TokenError::NoAuditKey)));
    assert!(matches!(token.sign_audit(b"x"), Err(TokenError::NoAuditKey)));
    let key = token.create_audit_key().unwrap();
    assert!(matches!(key, AuditKey::Ed25519(_)), "{key}");
    assert!(matches!(token.create_audit_key(), Err(TokenError::AuditKeys(1))));
    let signature = token.sign_audit(b"a head").unwrap();
    assert_eq!(key.verify(b"a head", &signature), Ok(()));
    assert!(key.verify(b"a heaD", &signature).is_err());
    assert!(key.verify(b"a head", &AuditSignature([0; 64])).is_err());

    let session = session(&kit.behind(), &name);
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(LABEL.to_vec())];
    let private = session.find_objects(&template).unwrap()[0];
    let types = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Local];
    let wanted = [Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Local(true)];
    assert_eq!(session.get_attributes(private, &types).unwrap(), wanted);
    assert!(session.get_attributes(private, &[AttributeType::Value]).map_or(true, |found| found.is_empty()));
    drop(token);
    let mut token = kit.open(&name, Access::Read).unwrap();
    assert_eq!(token.audit_key().unwrap(), key);
}

#[test]
fn an_audit_key_is_made_guarded_and_signs() {
    in_child("audit::an_audit_key_is_made_guarded_and_signs", made);
}

fn exposed(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    let session = session(&kit.behind(), &name);
    let public = [
        Attribute::Token(true),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::EcParams(b"\x13\x0cedwards25519".to_vec()),
        Attribute::Label(LABEL.to_vec()),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Sign(true),
        Attribute::Label(LABEL.to_vec()),
    ];
    session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private).unwrap();
    assert!(matches!(token.audit_key(), Err(TokenError::AuditExposed(_))));
    assert!(matches!(token.create_audit_key(), Err(TokenError::AuditKeys(1))));
}

#[test]
fn an_audit_key_that_can_be_read_is_refused() {
    in_child("audit::an_audit_key_that_can_be_read_is_refused", exposed);
}
