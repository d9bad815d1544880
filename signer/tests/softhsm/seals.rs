//! The other kinds of seal: their keys are made guarded, open after a restart, and are refused when they can be read.

use crate::kit::ran::first_word;
use crate::kit::{Kit, PIN, in_child, log_in, session};
use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use onionkeep_common::wire::Reply;
use onionkeep_signer::seal::SealKind;
use onionkeep_signer::token::pkcs11::Access;
use onionkeep_signer::token::{Token, TokenError};
use zeroize::Zeroizing;

/// `EC_PARAMS` of P-256.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// The kinds beside `hmac`.
const PAIRS: [SealKind; 2] = [SealKind::RsaOaep, SealKind::EcdhP256];

fn secrets(kit: Kit) {
    let name = kit.init();
    let random = Zeroizing::new([7; 32]);
    let mut token = kit.open(&name, Access::Write).unwrap();
    let mut made = Vec::new();
    for kind in PAIRS {
        assert!(matches!(token.check_seal_key(kind), Err(TokenError::NoRoot)), "{kind}");
        token.create_seal_key(kind).unwrap();
        let (one, other) =
            (token.fresh_material(kind, &random).unwrap(), token.fresh_material(kind, &random).unwrap());
        assert_ne!(one, other);
        let secret = token.secret(kind, &one).unwrap();
        if kind == SealKind::RsaOaep {
            assert_eq!(*secret, [7; 32]);
        } else {
            assert_ne!(*secret, *token.secret(kind, &other).unwrap());
        }
        made.push((kind, one, secret));
    }
    drop(token);
    let mut token = kit.open(&name, Access::Read).unwrap();
    for (kind, material, secret) in &made {
        token.check_seal_key(*kind).unwrap();
        assert_eq!(*token.secret(*kind, material).unwrap(), **secret, "{kind}");
        // Altered material gives another secret or none.
        for at in [0, 1, material.len() - 1] {
            let mut bad = material.clone();
            bad[at] ^= 1;
            assert!(token.secret(*kind, &bad).ok().is_none_or(|other| *other != **secret), "{kind} {at}");
        }
        for bad in [&[][..], &material[..1], &material[..material.len() - 1]] {
            assert!(matches!(token.secret(*kind, bad), Err(TokenError::Refused(_))), "{kind}");
        }
    }
    let session = session(&kit.behind(), &name);
    let left = session.find_objects(&[Attribute::Token(false)]).unwrap();
    assert!(left.is_empty(), "{} session objects are left over", left.len());
}

#[test]
fn material_gives_the_same_secret_after_a_restart_and_nothing_stays_behind() {
    in_child("seals::material_gives_the_same_secret_after_a_restart_and_nothing_stays_behind", secrets);
}

/// The private halves on the token.
fn private(session: &Session, kind: KeyType) -> Vec<cryptoki::object::ObjectHandle> {
    session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(kind)]).unwrap()
}

fn attributes(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    for kind in PAIRS {
        token.create_seal_key(kind).unwrap();
    }
    let session = session(&kit.behind(), &name);
    for kind in [KeyType::RSA, KeyType::EC] {
        let key = private(&session, kind)[0];
        for (kind, value) in [
            (AttributeType::Sensitive, Attribute::Sensitive(true)),
            (AttributeType::Extractable, Attribute::Extractable(false)),
            (AttributeType::NeverExtractable, Attribute::NeverExtractable(true)),
            (AttributeType::Local, Attribute::Local(true)),
            (AttributeType::Private, Attribute::Private(true)),
            (AttributeType::Sign, Attribute::Sign(false)),
            (AttributeType::Unwrap, Attribute::Unwrap(false)),
        ] {
            assert_eq!(session.get_attributes(key, &[kind]).unwrap(), [value]);
        }
        for part in [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1] {
            assert!(session.get_attributes(key, &[part]).unwrap().is_empty(), "{part}");
        }
    }
}

#[test]
fn the_key_pairs_cannot_be_read() {
    in_child("seals::the_key_pairs_cannot_be_read", attributes);
}

fn exposed(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    let session = session(&kit.behind(), &name);
    let rsa = [Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])];
    let ec = [Attribute::EcParams(P256.to_vec())];
    for (kind, label, how, size, usage) in [
        (
            SealKind::RsaOaep,
            "onionkeep root rsa v1",
            Mechanism::RsaPkcsKeyPairGen,
            &rsa[..],
            Attribute::Decrypt(true),
        ),
        (
            SealKind::EcdhP256,
            "onionkeep root p256 v1",
            Mechanism::EccKeyPairGen,
            &ec[..],
            Attribute::Derive(true),
        ),
    ] {
        let public = [size, &[Attribute::Token(true), Attribute::Label(label.into())]].concat();
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Label(label.into()),
            usage,
        ];
        session.generate_key_pair(&how, &public, &private).unwrap();
        let error = token.check_seal_key(kind).unwrap_err();
        assert!(matches!(&error, TokenError::Exposed(why) if why.contains("SENSITIVE")), "{error}");
    }
    drop((session, token));
    for kind in PAIRS {
        kit.append(&format!("seal = \"{kind}\"\n"));
        kit.run(&["key", "new"]).fails(4, "not guarded");
        kit.write_config(Some(&name.serial), &[], &kit.module);
    }
}

#[test]
fn key_pairs_that_can_be_read_are_refused() {
    in_child("seals::key_pairs_that_can_be_read_are_refused", exposed);
}

fn foreign_public(kit: Kit) {
    let name = kit.init();
    let mut token = kit.open(&name, Access::Write).unwrap();
    token.create_seal_key(SealKind::RsaOaep).unwrap();
    // Somebody puts their own public key in the place of ours.
    let session = session(&kit.behind(), &name);
    let public = session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)]).unwrap();
    session.destroy_object(public[0]).unwrap();
    let theirs = [
        Attribute::Token(true),
        Attribute::Label(b"onionkeep root rsa v1".to_vec()),
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &theirs, &[Attribute::Token(false)]).unwrap();
    assert!(token.fresh_material(SealKind::RsaOaep, &Zeroizing::new([7; 32])).is_err());
}

#[test]
fn a_public_half_of_somebody_else_seals_nothing() {
    in_child("seals::a_public_half_of_somebody_else_seals_nothing", foreign_public);
}

fn served(kit: Kit) {
    let name = kit.init();
    let mut onions = Vec::new();
    for kind in SealKind::ALL {
        kit.write_config(Some(&name.serial), &[], &kit.module);
        kit.append(&format!("seal = \"{kind}\"\n"));
        onions.push(first_word(&kit.run(&["key", "new"]).good()).parse().unwrap());
    }
    // Serving looks at each object; the configured kind is only for new ones.
    kit.write_config(Some(&name.serial), &onions, &kit.module);
    let shown = kit.run(&["key", "show"]).good();
    for kind in SealKind::ALL {
        assert!(shown.contains(&format!("  {kind}  on token  opens")), "{shown}");
    }
    kit.run(&["init"]).good();
    let serving = kit.serve();
    for (onion, seed) in onions.iter().zip(1..) {
        assert!(matches!(serving.ask(*onion, seed), Reply::Certificate(_)), "{}", kit.log());
    }
}

#[test]
fn keys_of_every_kind_are_served_side_by_side() {
    in_child("seals::keys_of_every_kind_are_served_side_by_side", served);
}

fn lost(kit: Kit) {
    let name = kit.init();
    kit.append("seal = \"ecdh-p256\"\n");
    kit.run(&["key", "new"]).good();
    let library = kit.behind();
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let session = session(&library, &name);
    log_in(&session, PIN);
    session.destroy_object(private(&session, KeyType::EC)[0]).unwrap();
    drop(session);
    library.finalize().unwrap();
    // A second pair would hide that what the first one sealed is lost.
    kit.run(&["key", "new"]).fails(4, "no onionkeep root key");
}

#[test]
fn a_lost_key_pair_is_not_replaced() {
    in_child("seals::a_lost_key_pair_is_not_replaced", lost);
}
