//! The wrapped key: what was wrapped comes out, what was changed or belongs elsewhere does not.

#![expect(clippy::string_slice, reason = "all of it is ASCII")]

use super::*;
use crate::backup::shamir::{Plan, Polynomial};
use onionkeep_common::OnionAddress;

fn key(seed: u8) -> ExpandedKey {
    ExpandedKey::from_seed(&[seed; 32]).unwrap()
}

fn made(seed: u8) -> (BackupSet, Polynomial) {
    let plan = Plan::new(2, 3).unwrap();
    let polynomial = Polynomial::random(plan).unwrap();
    let onion = OnionAddress::new(*key(seed).public());
    (BackupSet::new(onion, 1, plan, polynomial.commitments()).unwrap(), polynomial)
}

#[test]
fn any_two_of_three_shares_open_the_blob_to_the_same_key() {
    let (set, polynomial) = made(7);
    let blob = WrappedKey::wrap(&key(7), &set, &polynomial.secret()).unwrap();
    let blob = WrappedKey::from_text(&blob.to_text()).unwrap();
    for (one, other) in [(1, 2), (1, 3), (3, 2)] {
        let opened = set.open(&blob, &[polynomial.share(one), polynomial.share(other)]).unwrap();
        assert_eq!(opened.public(), key(7).public());
        assert!(opened.with_octets(|opened| key(7).with_octets(|own| opened == own)));
    }
}

#[test]
fn every_change_of_the_blob_is_found() {
    let (set, polynomial) = made(7);
    let text = WrappedKey::wrap(&key(7), &set, &polynomial.secret()).unwrap().to_text();
    let opens = |text: &str| {
        WrappedKey::from_text(text).and_then(|blob| blob.unwrap_key(&set, &polynomial.secret())).is_ok()
    };
    assert!(opens(&text));
    for at in 0..text.len() {
        let mut octets = text.clone().into_bytes();
        octets[at] ^= 1;
        assert!(!opens(&String::from_utf8_lossy(&octets)), "octet {at}");
        assert!(!opens(&text[..at]), "cut at {at}");
    }
    assert!(!opens(&format!("{text}\n")) && !opens(&text.to_uppercase()));
}

#[test]
fn another_secret_another_set_and_another_key_do_not_open_it() {
    let (set, polynomial) = made(7);
    let (twin, twins) = made(7);
    let blob = WrappedKey::wrap(&key(7), &set, &polynomial.secret()).unwrap();
    let error = |set: &BackupSet, secret| blob.unwrap_key(set, &secret).err().unwrap().to_string();
    assert!(error(&set, twins.secret()).contains("does not open"));
    assert!(error(&twin, polynomial.secret()).contains("different backups"));
    let wrong = WrappedKey::wrap(&key(8), &set, &polynomial.secret());
    assert!(matches!(wrong, Err(BackupError::OtherOnion)));
}

/// A blob that was made to hold another key under the right secret: the tag fits, the address does not.
#[test]
fn a_key_of_another_onion_inside_is_found() {
    let (set, polynomial) = made(7);
    let head = head(&set);
    let mut octets = key(8).with_octets(|octets| Zeroizing::new(*octets));
    let tag = cipher(&set, &polynomial.secret())
        .encrypt_inout_detached(&Nonce::default(), head.as_bytes(), buffer(&mut octets))
        .unwrap();
    let forged = WrappedKey { head, ciphertext: *octets, tag: tag.into() };
    assert!(matches!(forged.unwrap_key(&set, &polynomial.secret()), Err(BackupError::OtherOnion)));
}

#[test]
fn the_blob_shows_nothing_of_the_key() {
    let (set, polynomial) = made(7);
    let text = WrappedKey::wrap(&key(7), &set, &polynomial.secret()).unwrap().to_text();
    key(7).with_octets(|octets| {
        for part in octets.chunks(8) {
            assert!(!text.contains(&HEXLOWER.encode(part)));
        }
    });
    polynomial.secret().with_octets(|scalar| assert!(!text.contains(&HEXLOWER.encode(scalar))));
}
