//! The audit key on the token: made there, guarded, its signatures checked in software; a key that is not guarded is refused.

use crate::kit::serving::request;
use crate::kit::{Kit, in_child, session};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use data_encoding::HEXLOWER;
use onionkeep_common::wire::{Reply, Rule};
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

/// The word after `before` in a text.
fn word<'t>(text: &'t str, before: &str) -> &'t str {
    let rest = text.split(before).nth(1).unwrap_or_else(|| panic!("{before}: {text}"));
    rest.split_whitespace().next().unwrap()
}

fn commands(kit: Kit) {
    let (name, onion) = kit.init_with_key();
    let serving = kit.serve();
    let before = serving.ask(onion, 10);
    assert!(matches!(before, Reply::Certificate(_)));
    kit.run(&["deny", "--onion", &onion.to_string()]).fails(2, "another signer is using");
    kit.run(&["audit", "checkpoint"]).fails(2, "another signer is using");
    // An auditor may look while the signer serves.
    let report = kit.run(&["audit", "verify"]).good();
    assert!(report.contains("1 certificates are what was asked for"), "{report}");
    drop(serving);

    let key = word(&report, "audit key: ").to_owned();
    assert!(key.starts_with("ed25519:"), "{key}");
    let signed = kit.run(&["audit", "checkpoint"]).good();
    let head = signed.split_whitespace().last().unwrap().to_owned();
    let out = kit.home.join("export").display().to_string();
    kit.run(&["audit", "export", "--out", &out]).good();
    kit.run(&["audit", "export", "--out", &out]).fails(2, "cannot write");
    for files in [vec![], vec![out.as_str()]] {
        let verify = ["audit", "verify", "--key", &key, "--expect-head", &head];
        let report = kit.run(&[verify.as_slice(), &files].concat()).good();
        assert!(report.contains("2 checkpoints are good"), "{report}");
    }
    let shown = kit.run(&["audit", "show", "--last", "3"]).good();
    let words: Vec<_> = shown.lines().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(words, ["asked", "issued", "checkpoint"], "{shown}");

    let other = format!("ed25519:{}", HEXLOWER.encode(onion.identity().as_bytes()));
    kit.run(&["audit", "verify", "--key", &other]).fails(4, "line 1 of ");
    kit.run(&["audit", "verify", "--expect-head", &"ab".repeat(32)]).fails(4, "no line has the hash");
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::write(&out, text.replace(" issued ", " issueD ")).unwrap();
    kit.run(&["audit", "verify", &out]).fails(4, "line 6 of ");

    // Denied while stopped: from now on nothing, not even what is stored.
    let desc_key = HEXLOWER.encode(request(onion, 10, 0).key.as_bytes());
    kit.run(&["deny", "--key", "00"]).fails(2, "64 hex digits");
    kit.run(&["deny", "--key", &desc_key]).good();
    assert!(kit.run(&["deny", "--key", &desc_key]).good().contains("already"));
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Refused { rule: Rule::DeniedKey, .. }));
    assert!(matches!(serving.ask(onion, 11), Reply::Certificate(_)));
    drop(serving);
    kit.run(&["audit", "verify", "--key", &key]).good();
    moved(&kit, &name.serial, &key);
}

/// The ledger goes on with another token only when that is said.
fn moved(kit: &Kit, serial: &str, old: &str) {
    let erased = kit.run(&["token", "init", "--erase", serial]).good();
    let serial = erased.lines().find_map(|line| line.strip_prefix("serial = \"")).unwrap();
    kit.write_config(Some(serial.trim_end_matches('"')), &[], &kit.module);
    kit.run(&["audit", "checkpoint"]).fails(4, "no onionkeep audit key");
    kit.run(&["init"]).fails(3, "already");
    let made = kit.run(&["init", "--new-audit-key"]).good();
    let new = made.split_whitespace().find(|word| word.starts_with("ed25519:")).unwrap();
    assert_ne!(new, old);
    kit.run(&["audit", "checkpoint"]).good();
    kit.run(&["audit", "verify", "--key", old]).fails(4, "names another audit key");
    kit.run(&["audit", "verify", "--key", old, "--key", new]).good();
}

#[test]
fn a_ledger_is_checked_shown_handed_over_and_goes_on_with_another_token() {
    in_child("audit::a_ledger_is_checked_shown_handed_over_and_goes_on_with_another_token", commands);
}
