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

/// A head of `kind` about the key of `seed`.
fn head(kind: SealKind, seed: u8) -> Head {
    let material = match kind {
        SealKind::HmacSha256 => Vec::new(),
        SealKind::RsaOaep => vec![4; 257],
        SealKind::EcdhP256 => vec![5; 65],
    };
    Head { kind, onion: *key(seed).public(), salt: [3; 32], material }
}

fn sealed_as(kind: SealKind) -> SealedKey {
    SealedKey::seal(&key(1), &kek(2), head(kind, 1), &token()).unwrap()
}

fn sealed() -> SealedKey {
    sealed_as(SealKind::HmacSha256)
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
    assert_eq!(HEXLOWER.encode(&head(SealKind::HmacSha256, 1).derivation()), derivation);
    let read = SealedKey::from_octets(&HEXLOWER.decode(line.as_bytes()).unwrap()).unwrap();
    assert_eq!(read.open(&kek(2), &token()).unwrap().public(), key(1).public());
}

#[test]
fn every_flipped_bit_keeps_it_closed() {
    for octets in SealKind::ALL.map(|kind| sealed_as(kind).to_octets()) {
        for at in 0..octets.len() * 8 {
            let mut bad = octets.clone();
            bad[at / 8] ^= 1 << (at % 8);
            let opened = SealedKey::from_octets(&bad).and_then(|sealed| sealed.open(&kek(2), &token()));
            assert!(opened.is_err(), "bit {at}");
        }
    }
}

#[test]
fn every_truncation_and_a_surplus_octet_are_refused() {
    for mut octets in SealKind::ALL.map(|kind| sealed_as(kind).to_octets()) {
        for len in 0..octets.len() {
            assert_eq!(SealedKey::from_octets(&octets[..len]), Err(SealError::NotSealed(len)));
        }
        octets.push(0);
        assert_eq!(SealedKey::from_octets(&octets), Err(SealError::NotSealed(octets.len())));
    }
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
    swapped.head.onion = *key(9).public();
    assert_eq!(swapped.open(&kek(2), &token()).err(), Some(SealError::Closed));
    // Even a correct encryption of another key does not pass.
    let head = head(SealKind::HmacSha256, 9);
    let mut octets = key(1).with_octets(|octets| Zeroizing::new(*octets));
    let tag = kek(2).cipher();
    let tag = tag.encrypt_inout_detached(&Nonce::default(), &head.associated(&token()), buffer(&mut octets));
    let forged = SealedKey { head, ciphertext: *octets, tag: tag.unwrap().into() };
    assert_eq!(forged.open(&kek(2), &token()).err(), Some(SealError::OtherOnion));
}

#[test]
fn every_kind_opens_to_the_same_key_and_reads_back() {
    for kind in SealKind::ALL {
        let read = SealedKey::from_octets(&sealed_as(kind).to_octets()).unwrap();
        assert!(read.kind() == kind && *read.head() == head(kind, 1));
        assert_eq!(read.open(&kek(2), &token()).unwrap().with_octets(|o| *o), key(1).with_octets(|o| *o));
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert_eq!("gcm".parse::<SealKind>(), Err(NoSealKind));
}

#[test]
fn golden_file_of_kinds_2_and_3_reads_and_is_written_the_same() {
    let golden = include_str!("../../../tests/golden/seal/v1.txt");
    for kind in [SealKind::RsaOaep, SealKind::EcdhP256] {
        let line = golden.lines().find_map(|line| line.strip_prefix(&format!("{kind} "))).unwrap();
        let head = head(kind, 1);
        let kek = Kek::from_secret(&Zeroizing::new([6; 32]), &head);
        let sealed = SealedKey::seal(&key(1), &kek, head, &token()).unwrap();
        assert_eq!(HEXLOWER.encode(&sealed.to_octets()), line);
        let read = SealedKey::from_octets(&HEXLOWER.decode(line.as_bytes()).unwrap()).unwrap();
        assert_eq!(read.open(&kek, &token()).unwrap().public(), key(1).public());
    }
}

#[test]
fn the_kek_depends_on_secret_kind_onion_salt_and_material() {
    let of = |secret: u8, change: fn(&mut Head)| {
        let mut head = head(SealKind::EcdhP256, 1);
        change(&mut head);
        *Kek::from_secret(&Zeroizing::new([secret; 32]), &head).0
    };
    let first = of(6, |_same| ());
    assert_eq!(of(6, |_same| ()), first);
    for other in [
        of(7, |_same| ()),
        of(6, |head| head.kind = SealKind::RsaOaep),
        of(6, |head| head.onion = *key(9).public()),
        of(6, |head| head.salt[0] ^= 1),
        of(6, |head| head.material[64] ^= 1),
    ] {
        assert_ne!(other, first);
    }
}

#[test]
fn a_head_of_another_onion_or_with_too_much_material_seals_nothing() {
    let other = SealedKey::seal(&key(1), &kek(2), head(SealKind::HmacSha256, 9), &token());
    assert_eq!(other.err(), Some(SealError::OtherOnion));
    let mut long = head(SealKind::RsaOaep, 1);
    long.material = vec![4; MATERIAL_MAX + 1];
    let refused = SealedKey::seal(&key(1), &kek(2), long, &token());
    assert_eq!(refused.err(), Some(SealError::NotSealed(MATERIAL_MAX + 1)));
    let mut empty = sealed_as(SealKind::EcdhP256).to_octets();
    empty[72..74].copy_from_slice(&[0, 0]);
    assert!(matches!(SealedKey::from_octets(&empty), Err(SealError::NotSealed(_))));
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
    fn no_octets_panic(octets: Vec<u8>, kind in 0_u8..5) {
        let octets = if kind > 0 { [b"OKSEAL\x01".as_slice(), &[kind], &octets].concat() } else { octets };
        let _unused = SealedKey::from_octets(&octets).map(|sealed| sealed.open(&kek(2), &token()).is_ok());
    }

    #[test]
    fn any_key_survives(seed: [u8; 32], salt: [u8; 32], root: [u8; 32]) {
        let key = ExpandedKey::from_seed(&seed).unwrap();
        let kek = Kek::new(Zeroizing::new(root));
        let head = Head { kind: SealKind::HmacSha256, onion: *key.public(), salt, material: Vec::new() };
        let octets = SealedKey::seal(&key, &kek, head, &token()).unwrap().to_octets();
        let opened = SealedKey::from_octets(&octets).unwrap().open(&kek, &token()).unwrap();
        proptest::prop_assert_eq!(opened.public(), key.public());
    }
}
