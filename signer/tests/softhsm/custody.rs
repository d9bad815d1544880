//! What is on the token: guarded, private, and refused when it is not.

use crate::kit::{Kit, LABEL, PIN, SO_PIN, in_child, log_in, roots, session};
use crate::person::Person;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use onionkeep_signer::seal::TokenName;
use onionkeep_signer::token::pkcs11::Access;
use onionkeep_signer::token::{Token, TokenError};

/// Generates a key with the label of the root key but `sensitive` as it is said.
fn make_root(session: &Session, sensitive: bool) {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(b"onionkeep root v1".to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Sensitive(sensitive),
        Attribute::Extractable(!sensitive),
        Attribute::Sign(true),
    ];
    session.generate_key(&Mechanism::GenericSecretKeyGen, &template).unwrap();
}

fn missing_root(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    assert!(matches!(token.check_root(), Err(TokenError::NoRoot)));
    assert!(matches!(token.mac(b"x"), Err(TokenError::NoRoot)));
    token.create_root().unwrap();
    assert_eq!(*token.mac(b"x").unwrap(), *token.mac(b"x").unwrap());
    assert_ne!(*token.mac(b"x").unwrap(), *token.mac(b"y").unwrap());
}

#[test]
fn a_root_key_is_made_guarded_and_a_missing_one_is_named() {
    in_child("custody::a_root_key_is_made_guarded_and_a_missing_one_is_named", missing_root);
}

fn attributes(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    token.create_root().unwrap();
    let session = session(&kit.behind(), &name);
    let root = roots(&session)[0];
    let wanted = [
        (AttributeType::Sensitive, Attribute::Sensitive(true)),
        (AttributeType::Extractable, Attribute::Extractable(false)),
        (AttributeType::NeverExtractable, Attribute::NeverExtractable(true)),
        (AttributeType::Local, Attribute::Local(true)),
        (AttributeType::Private, Attribute::Private(true)),
        (AttributeType::Derive, Attribute::Derive(false)),
        (AttributeType::Wrap, Attribute::Wrap(false)),
        (AttributeType::Modifiable, Attribute::Modifiable(false)),
    ];
    for (kind, value) in wanted {
        assert_eq!(session.get_attributes(root, &[kind]).unwrap(), [value]);
    }
    assert!(session.get_attributes(root, &[AttributeType::Value]).unwrap().is_empty());
    for change in [Attribute::Sensitive(false), Attribute::Extractable(true), Attribute::Derive(true)] {
        assert!(session.update_attributes(root, &[change]).is_err());
    }
}

#[test]
fn the_root_key_cannot_be_read_nor_changed() {
    in_child("custody::the_root_key_cannot_be_read_nor_changed", attributes);
}

fn exposed(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    make_root(&session(&kit.behind(), &name), false);
    let error = token.check_root().unwrap_err();
    assert!(matches!(&error, TokenError::Exposed(why) if why.contains("SENSITIVE")), "{error}");
    drop(token);
    kit.run(&["key", "new"]).fails(4, "not guarded");
}

#[test]
fn a_root_key_that_can_be_read_is_refused() {
    in_child("custody::a_root_key_that_can_be_read_is_refused", exposed);
}

fn two_roots(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    token.create_root().unwrap();
    make_root(&session(&kit.behind(), &name), true);
    drop(token);
    let mut token = kit.open(&name, Access::Read).unwrap();
    assert!(matches!(token.check_root(), Err(TokenError::Roots(2))));
}

#[test]
fn two_root_keys_are_refused() {
    in_child("custody::two_root_keys_are_refused", two_roots);
}

/// All sealed objects with their values.
fn sealed(session: &Session) -> Vec<(cryptoki::object::ObjectHandle, Vec<u8>)> {
    let objects = session.find_objects(&[Attribute::Class(ObjectClass::DATA)]).unwrap();
    let value = |object| match session.get_attributes(object, &[AttributeType::Value]).unwrap().as_slice() {
        [Attribute::Value(value)] => value.clone(),
        other => panic!("{other:?}"),
    };
    objects.into_iter().map(|object| (object, value(object))).collect()
}

/// Puts `value` in the place of a sealed object.
fn put(session: &Session, old: cryptoki::object::ObjectHandle, value: &[u8]) {
    session.destroy_object(old).unwrap();
    let template = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Application(b"onionkeep".to_vec()),
        Attribute::Label(b"anything".to_vec()),
        Attribute::Value(value.to_vec()),
    ];
    session.create_object(&template).unwrap();
}

/// Runs `serve` and `key show` with `value` instead of the good sealed object; both must fail with exit code 4.
fn refused_with(kit: &Kit, name: &TokenName, value: &[u8], words: &str) {
    let library = kit.behind();
    library
        .initialize(cryptoki::context::CInitializeArgs::new(
            cryptoki::context::CInitializeFlags::OS_LOCKING_OK,
        ))
        .unwrap();
    let session = session(&library, name);
    log_in(&session, PIN);
    let (object, _good) = sealed(&session).remove(0);
    put(&session, object, value);
    drop(session);
    library.finalize().unwrap();
    kit.run(&["serve"]).fails(4, words);
    let shown = kit.run(&["key", "show"]);
    assert_eq!(shown.code, Some(4));
    assert!(shown.stdout.contains("NOT GOOD"), "{shown:?}");
}

fn tampered(kit: Kit) {
    let (name, onion) = kit.init_with_key();
    let library = kit.behind();
    library
        .initialize(cryptoki::context::CInitializeArgs::new(
            cryptoki::context::CInitializeFlags::OS_LOCKING_OK,
        ))
        .unwrap();
    let first = session(&library, &name);
    log_in(&first, PIN);
    let good = sealed(&first).remove(0).1;
    drop(first);
    library.finalize().unwrap();

    let mut altered = good.clone();
    altered[100] ^= 1;
    refused_with(&kit, &name, &altered, "does not open");
    refused_with(&kit, &name, &good[..good.len() - 1], "cut short");
    let mut later = good.clone();
    later[6] = 9;
    refused_with(&kit, &name, &later, "version 9");
    // The head says another onion: then the configured one is not there.
    let other = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes();
    let mut foreign = good.clone();
    foreign[8..40].copy_from_slice(&other);
    refused_with(&kit, &name, &foreign, "neither the token nor the state directory");
    assert!(kit.run(&["serve"]).stderr.contains(&onion.redacted().to_string()));
}

#[test]
fn an_altered_cut_or_foreign_sealed_object_is_refused() {
    in_child("custody::an_altered_cut_or_foreign_sealed_object_is_refused", tampered);
}

fn pinned(kit: Kit) {
    let name = kit.init();
    for (label, serial) in [(LABEL, "0000000000000000"), ("other", name.serial.as_str())] {
        let wrong = TokenName { label: label.to_owned(), serial: serial.to_owned() };
        let error = kit.open(&wrong, Access::Read).err().unwrap();
        assert!(
            matches!(&error, TokenError::Absent { others, .. } if others.contains(&name.serial)),
            "{error}"
        );
    }
    kit.open(&name, Access::Read).unwrap();
}

#[test]
fn label_and_serial_must_both_fit() {
    in_child("custody::label_and_serial_must_both_fit", pinned);
}

fn private(kit: Kit) {
    let (name, _onion) = kit.init_with_key();
    let library = kit.behind();
    library
        .initialize(cryptoki::context::CInitializeArgs::new(
            cryptoki::context::CInitializeFlags::OS_LOCKING_OK,
        ))
        .unwrap();
    let session = session(&library, &name);
    assert!(sealed(&session).is_empty(), "sealed keys are seen without a PIN");
    assert!(roots(&session).is_empty());
    log_in(&session, PIN);
    assert_eq!((sealed(&session).len(), roots(&session).len()), (1, 1));
}

#[test]
fn without_the_pin_nothing_is_seen() {
    in_child("custody::without_the_pin_nothing_is_seen", private);
}

fn typed_twice(kit: Kit) {
    let path = kit.home.join("signer.toml");
    let files = std::fs::read_to_string(&path).unwrap();
    let home = kit.home.display();
    let prompts = files
        .replace(&format!("file:{home}/pin"), "prompt")
        .replace(&format!("file:{home}/so-pin"), "prompt");
    std::fs::write(&path, prompts).unwrap();
    let types = |lines: [(&str, &str); 4]| {
        let mut person = Person::runs(&kit.command(&["token", "init"]));
        for (prompt, line) in lines {
            person.reads(prompt);
            person.types(line);
            if prompt == "once more: " && line.ends_with("slip") {
                break;
            }
        }
        person.leaves().0
    };
    let (officer, user) = ("new PIN of the security officer: ", "new PIN of the token: ");
    let before = std::fs::read_dir(kit.tokens()).unwrap().count();
    let slips = [
        [(officer, SO_PIN), ("once more: ", "a-slip"), (user, PIN), ("once more: ", PIN)],
        [(officer, SO_PIN), ("once more: ", SO_PIN), (user, PIN), ("once more: ", "a-slip")],
    ];
    for lines in slips {
        types(lines).fails(6, "two different ways");
    }
    assert_eq!(
        std::fs::read_dir(kit.tokens()).unwrap().count(),
        before,
        "a token was made with a slip in its PIN"
    );
    types([(officer, SO_PIN), ("once more: ", SO_PIN), (user, PIN), ("once more: ", PIN)]).good();
}

/// A slip in a PIN that is typed once locks the token for good.
#[test]
fn new_pins_of_a_token_are_typed_twice() {
    in_child("custody::new_pins_of_a_token_are_typed_twice", typed_twice);
}
