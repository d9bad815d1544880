//! The seal opens for whom it was made, and for nobody else.

use super::*;
use data_encoding::HEXLOWER;

fn token() -> TokenName {
    TokenName { label: "onionkeep".to_owned(), serial: "1a2b3c4d5e6f7081".to_owned() }
}

fn kek(octet: u8) -> Kek {
    Kek::new(Zeroizing::new([octet; 32]))
}

fn key(seed: u8) -> ExpandedKey {
    ExpandedKey::from_seed(&[seed; 32]).unwrap()
}

fn sealed() -> SealedKey {
    SealedKey::seal(&key(1), &kek(2), [3; 32], &token()).unwrap()
}

#[test]
fn what_is_sealed_opens_to_the_same_key() {
    let opened = sealed().open(&kek(2), &token()).unwrap();
    assert_eq!(opened.with_octets(|o| *o), key(1).with_octets(|o| *o));
}

#[test]
fn stored_octets_read_back() {
    let octets = sealed().to_octets();
    assert_eq!(octets.len(), SEALED_LEN);
    assert_eq!(SealedKey::from_octets(&octets), Ok(sealed()));
}

#[test]
fn golden_file_of_version_1_reads_and_is_written_the_same() {
    let golden = include_str!("../../../tests/golden/seal/v1.txt");
    let line = golden.lines().find_map(|line| line.strip_prefix("sealed ")).unwrap();
    assert_eq!(HEXLOWER.encode(&sealed().to_octets()), line);
    let derivation = golden.lines().find_map(|line| line.strip_prefix("derivation ")).unwrap();
    assert_eq!(HEXLOWER.encode(&SealedKey::derivation(key(1).public(), &[3; 32])), derivation);
    let read = SealedKey::from_octets(&HEXLOWER.decode(line.as_bytes()).unwrap()).unwrap();
    assert_eq!(read.open(&kek(2), &token()).unwrap().public(), key(1).public());
}

#[test]
fn every_flipped_bit_keeps_it_closed() {
    let octets = sealed().to_octets();
    for at in 0..octets.len() * 8 {
        let mut bad = octets.clone();
        bad[at / 8] ^= 1 << (at % 8);
        let opened = SealedKey::from_octets(&bad).and_then(|sealed| sealed.open(&kek(2), &token()));
        assert!(opened.is_err(), "bit {at}");
    }
}

#[test]
fn every_truncation_and_a_surplus_octet_are_refused() {
    let mut octets = sealed().to_octets();
    for len in 0..octets.len() {
        assert_eq!(SealedKey::from_octets(&octets[..len]), Err(SealError::NotSealed(len)));
    }
    octets.push(0);
    assert_eq!(SealedKey::from_octets(&octets), Err(SealError::NotSealed(SEALED_LEN + 1)));
}

#[test]
fn another_token_or_root_keeps_it_closed() {
    let other = |label: &str, serial: &str| TokenName { label: label.to_owned(), serial: serial.to_owned() };
    for token in [
        other("onionkeep", "1a2b3c4d5e6f7082"),
        other("onionkeeq", "1a2b3c4d5e6f7081"),
        other("onionkeep1", "a2b3c4d5e6f7081"),
    ] {
        assert_eq!(sealed().open(&kek(2), &token).err(), Some(SealError::Closed));
    }
    assert_eq!(sealed().open(&kek(3), &token()).err(), Some(SealError::Closed));
}

#[test]
fn a_seal_made_for_another_onion_is_noticed() {
    let mut swapped = sealed();
    swapped.onion = *key(9).public();
    assert_eq!(swapped.open(&kek(2), &token()).err(), Some(SealError::Closed));
    // Even a correct encryption of another key does not pass.
    let head = Head { kind: SealKind::HmacSha256, onion: *key(9).public(), salt: [3; 32] };
    let mut octets = key(1).with_octets(|octets| Zeroizing::new(*octets));
    let tag = kek(2).cipher();
    let tag = tag.encrypt_inout_detached(&Nonce::default(), &head.associated(&token()), buffer(&mut octets));
    let forged = SealedKey {
        kind: head.kind,
        onion: head.onion,
        salt: head.salt,
        ciphertext: *octets,
        tag: tag.unwrap().into(),
    };
    assert_eq!(forged.open(&kek(2), &token()).err(), Some(SealError::OtherOnion));
}

#[test]
fn later_versions_and_kinds_are_named() {
    let mut octets = sealed().to_octets();
    octets[6] = 2;
    assert_eq!(SealedKey::from_octets(&octets), Err(SealError::Unknown { version: 2, kind: 1 }));
    octets[6] = 1;
    octets[7] = 7;
    assert_eq!(SealedKey::from_octets(&octets), Err(SealError::Unknown { version: 1, kind: 7 }));
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>, head: bool) {
        let octets = if head { [b"OKSEAL\x01\x01".as_slice(), &octets].concat() } else { octets };
        let _unused = SealedKey::from_octets(&octets).map(|sealed| sealed.open(&kek(2), &token()).is_ok());
    }

    #[test]
    fn any_key_survives(seed: [u8; 32], salt: [u8; 32], root: [u8; 32]) {
        let key = ExpandedKey::from_seed(&seed).unwrap();
        let kek = Kek::new(Zeroizing::new(root));
        let octets = SealedKey::seal(&key, &kek, salt, &token()).unwrap().to_octets();
        let opened = SealedKey::from_octets(&octets).unwrap().open(&kek, &token()).unwrap();
        proptest::prop_assert_eq!(opened.public(), key.public());
    }
}
