//! The vault with a token in memory: what is kept opens, what was tampered with does not, files where the token has no place.

use super::*;
use crate::error::{Explain, Kind};
use crate::token::fake::{FakeToken, Inside};
use onionkeep_common::{
    DescSigningKey, ExpirationHours, PeriodLength, PeriodNumber, TimePeriod, UncheckedCert,
};
use std::sync::MutexGuard;

/// A token, a state directory, and a vault that is opened anew each time.
struct Home {
    token: FakeToken,
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { token: FakeToken::new("1"), dir: tempfile::tempdir().unwrap() }
    }

    fn vault(&self) -> Vault<FakeToken> {
        Vault::open(self.token.clone(), self.dir.path()).unwrap()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.token.inside.lock().unwrap()
    }
}

fn terms() -> CertTerms {
    let public = ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
    CertTerms {
        period: TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY },
        key: DescSigningKey::from_bytes(public).unwrap(),
        expires: ExpirationHours(499_000),
    }
}

#[test]
fn a_new_key_certifies_and_survives_a_restart() {
    let home = Home::new();
    let onion = home.vault().generate().unwrap();
    let mut vault = home.vault();
    vault.check_root().unwrap();
    vault.check(onion).unwrap();
    let cert = vault.certify(onion, &terms()).unwrap();
    let read = UncheckedCert::parse(onionkeep_common::CertType::DescSigning, &cert.0).unwrap();
    assert!(read.check_signature().is_ok());
}

#[test]
fn every_kind_of_seal_certifies_and_opens_by_what_it_was_sealed_with() {
    for kind in SealKind::ALL {
        let home = Home::new();
        let onion = home.vault().sealing_by(kind).generate().unwrap();
        // Opening looks at the object, not at the configuration.
        let mut vault = home.vault();
        vault.check_root().unwrap();
        vault.certify(onion, &terms()).unwrap();
        assert_eq!(vault.show()[0].kind, kind);
    }
}

#[test]
fn several_onions_share_a_token_and_each_has_its_own_seal() {
    let home = Home::new();
    let (first, second) = (home.vault().generate().unwrap(), home.vault().generate().unwrap());
    assert_ne!(first, second);
    let mut vault = home.vault();
    assert_eq!(vault.show().iter().filter(|shown| shown.opens.is_ok()).count(), 2);
    let (one, other) = (vault.certify(first, &terms()).unwrap(), vault.certify(second, &terms()).unwrap());
    assert_ne!(one.0[44..76], other.0[44..76]);
}

#[test]
fn a_key_that_is_there_is_refused() {
    let home = Home::new();
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let onion = home.vault().keep(&key).unwrap();
    assert!(matches!(home.vault().keep(&key), Err(VaultError::Known(known)) if known == onion));
    assert_eq!(home.inside().objects.len(), 1);
}

#[test]
fn a_token_without_data_objects_gets_files() {
    let home = Home::new();
    home.inside().no_objects = true;
    let onion = home.vault().generate().unwrap();
    assert!(home.inside().objects.is_empty());
    let mut vault = home.vault();
    vault.check(onion).unwrap();
    let shown = vault.show();
    assert!(matches!(&shown[0].place, Place::File(path) if path.starts_with(home.dir.path())));
}

#[test]
fn an_altered_cut_or_foreign_object_never_opens() {
    let home = Home::new();
    let onion = home.vault().generate().unwrap();
    let good = home.inside().objects[0].clone();
    for at in [8, 45, 80, 140] {
        home.inside().objects[0][at] ^= 1;
        assert!(home.vault().certify(onion, &terms()).is_err(), "octet {at}");
        home.inside().objects[0] = good.clone();
    }
    home.inside().objects[0].truncate(100);
    let error = home.vault().check(onion).unwrap_err();
    assert!(matches!(&error, VaultError::Unknown { notes, .. } if notes.contains("100 octets")), "{error}");
    assert_eq!(error.kind(), Kind::Verification);
    // The same object and even the same root key, on a token with another serial number.
    let stranger = FakeToken::new("2");
    *stranger.inside.lock().unwrap() =
        Inside { root: Some([0x5a; 32]), objects: vec![good], ..Inside::default() };
    assert!(Vault::open(stranger, home.dir.path()).unwrap().check(onion).is_err());
}

#[test]
fn two_sealed_keys_of_one_onion_are_refused() {
    let home = Home::new();
    let onion = home.vault().generate().unwrap();
    let again = home.inside().objects[0].clone();
    home.inside().objects.push(again);
    assert!(matches!(home.vault().check(onion), Err(VaultError::Twice { .. })));
}

#[test]
fn a_lost_root_key_is_not_replaced_while_sealed_keys_are_there() {
    let home = Home::new();
    home.vault().generate().unwrap();
    home.inside().root = None;
    let result = home.vault().generate();
    assert!(matches!(result, Err(VaultError::Token(TokenError::NoRoot))));
    assert_eq!(home.inside().root, None);
}

#[test]
fn an_exposed_root_key_keeps_nothing() {
    let home = Home::new();
    home.inside().exposed = true;
    assert!(matches!(home.vault().generate(), Err(VaultError::Token(TokenError::Exposed(_)))));
    assert!(home.inside().objects.is_empty());
}

#[test]
fn an_unknown_onion_is_named() {
    let home = Home::new();
    home.vault().generate().unwrap();
    let other = OnionAddress::new(*ExpandedKey::from_seed(&[9; 32]).unwrap().public());
    assert!(matches!(home.vault().certify(other, &terms()), Err(VaultError::Unknown { .. })));
}

#[test]
fn the_self_test_asks_the_token_and_sees_what_a_certificate_would_see() {
    let home = Home::new();
    let onion = home.vault().generate().unwrap();
    let mut vault = home.vault();
    let before = home.inside().macs;
    assert_eq!(vault.answer(&Ask::SelfTest { onion }), Answer::Well);
    assert_eq!(home.inside().macs, before + 1);
    home.inside().root = Some([1; 32]);
    assert!(matches!(vault.answer(&Ask::SelfTest { onion }), Answer::Failed(_)));
    home.inside().away = true;
    assert!(matches!(vault.answer(&Ask::SelfTest { onion }), Answer::Away { .. }));
}

#[test]
fn each_certificate_asks_the_token_once_and_no_key_is_kept() {
    let home = Home::new();
    let onion = home.vault().generate().unwrap();
    let mut vault = home.vault();
    let before = home.inside().macs;
    for _ in 0..3 {
        vault.certify(onion, &terms()).unwrap();
    }
    assert_eq!(home.inside().macs, before + 3);
}
