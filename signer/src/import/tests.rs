//! Key files that are taken, and every way to be no key file.

use super::*;
use data_encoding::{BASE64, HEXLOWER};
use std::fs;

/// RFC 8410, 10.3: a private key without public key.
const RFC_PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
/// RFC 8410, 10.3: the same key with an attribute and its public key.
const RFC_PEM_V2: &str = "-----BEGIN PRIVATE KEY-----\nMHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\noB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\nZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PRIVATE KEY-----\n";
/// Its public key.
const RFC_PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

fn expanded(seed: u8) -> [u8; 64] {
    ExpandedKey::from_seed(&[seed; 32]).unwrap().with_octets(|octets| *octets)
}

fn address(seed: u8) -> OnionAddress {
    OnionAddress::new(*ExpandedKey::from_seed(&[seed; 32]).unwrap().public())
}

fn tor_secret(seed: u8) -> Vec<u8> {
    [b"== ed25519v1-secret: type0 ==\0\0\0".as_slice(), &expanded(seed)].concat()
}

fn tor_public(seed: u8) -> Vec<u8> {
    let key = address(seed);
    [b"== ed25519v1-public: type0 ==\0\0\0".as_slice(), key.identity().as_bytes()].concat()
}

fn format(octets: &[u8]) -> FormatError {
    match key(octets).err() {
        Some(Wrong::Format(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn key_file_of_tor_is_taken() {
    assert_eq!(key(&tor_secret(1)).unwrap().with_octets(|octets| *octets), expanded(1));
}

#[test]
fn pem_of_the_rfc_is_taken_with_and_without_public_key() {
    for text in [RFC_PEM, RFC_PEM_V2, &RFC_PEM.replace('\n', "\r\n")] {
        let key = key(text.as_bytes()).unwrap();
        assert_eq!(HEXLOWER.encode(key.public().as_bytes()), RFC_PUBLIC);
    }
}

#[test]
fn cut_and_lengthened_files_are_refused() {
    let good = tor_secret(1);
    for len in 2..good.len() {
        assert!(matches!(format(&good[..len]), FormatError::Length(_)), "{len}");
    }
    assert_eq!(format(&[good.as_slice(), &[0]].concat()), FormatError::Length(97));
    for text in [RFC_PEM, RFC_PEM_V2] {
        for len in 0..text.len() - 1 {
            assert!(key(&text.as_bytes()[..len]).is_err(), "{len}");
        }
        assert_eq!(format(format!("{text}more\n").as_bytes()), FormatError::Pem);
    }
    assert_eq!(format(b""), FormatError::Unknown);
}

#[test]
fn wrong_tags_are_named() {
    let mut other = tor_secret(1);
    other[24] = b'1';
    assert_eq!(format(&other), FormatError::Tag);
    let public = [tor_public(1), vec![0; 32]].concat();
    assert_eq!(format(&public), FormatError::Public);
}

#[test]
fn wrong_pem_is_named() {
    let encrypted = RFC_PEM.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert_eq!(format(encrypted.as_bytes()), FormatError::Encrypted);
    assert_eq!(format(RFC_PEM.replace("PRIVATE", "RSA PRIVATE").as_bytes()), FormatError::Algorithm);
    // x25519 instead of ed25519.
    assert_eq!(format(RFC_PEM.replace("AwBQYDK2Vw", "AwBQYDK2Vu").as_bytes()), FormatError::Algorithm);
    let mut der = BASE64.decode(RFC_PEM_V2.lines().skip(1).take(3).collect::<String>().as_bytes()).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let mismatch =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&der));
    assert_eq!(format(mismatch.as_bytes()), FormatError::Mismatch);
}

#[test]
fn a_scalar_that_is_none_is_refused() {
    let file = [b"== ed25519v1-secret: type0 ==\0\0\0".as_slice(), &[0xff; 64]].concat();
    assert!(matches!(key(&file).err(), Some(Wrong::Key(CoreError::NotAScalar))));
}

#[test]
fn what_stands_beside_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("hs_ed25519_secret_key");
    fs::write(&secret, tor_secret(1)).unwrap();
    assert!(read(&secret, None).is_ok());

    let hostname = dir.path().join("hostname");
    fs::write(&hostname, format!("{}\n", address(1))).unwrap();
    fs::write(dir.path().join("hs_ed25519_public_key"), tor_public(1)).unwrap();
    assert!(read(&secret, None).is_ok());

    fs::write(&hostname, format!("{}\n", address(2))).unwrap();
    assert!(matches!(read(&secret, None).err(), Some(ImportError::OtherHostname { .. })));
    fs::write(&hostname, "nonsense\n").unwrap();
    assert!(matches!(read(&secret, None).err(), Some(ImportError::Hostname { .. })));
    let elsewhere = dir.path().join("other-hostname");
    fs::write(&elsewhere, address(1).to_string()).unwrap();
    assert!(read(&secret, Some(&elsewhere)).is_ok());

    fs::write(dir.path().join("hs_ed25519_public_key"), tor_public(2)).unwrap();
    assert!(matches!(read(&secret, Some(&elsewhere)).err(), Some(ImportError::OtherPublic(_))));
}

#[test]
fn a_named_hostname_file_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("key");
    fs::write(&secret, tor_secret(1)).unwrap();
    let missing = dir.path().join("missing");
    assert!(matches!(read(&secret, Some(&missing)).err(), Some(ImportError::Read { .. })));
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>, kind in 0..3) {
        let head: &[u8] = match kind {
            0 => b"",
            1 => b"== ed25519v1-secret: type0 ==\0\0\0",
            _ => b"-----BEGIN PRIVATE KEY-----\n",
        };
        let _unused = key(&[head, &octets].concat()).is_ok();
    }

    #[test]
    fn no_der_panics(der: Vec<u8>) {
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&der));
        let _unused = key(text.as_bytes()).is_ok();
    }

    #[test]
    fn one_flipped_bit_of_the_der_gives_an_error_or_another_key(bit in 0usize..48 * 8) {
        let mut der = BASE64.decode(RFC_PEM.lines().nth(1).unwrap().as_bytes()).unwrap();
        der[bit / 8] ^= 1 << (bit % 8);
        let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&der));
        if let Ok(key) = key(text.as_bytes()) {
            // Only the version and the seed itself have no check of their own.
            proptest::prop_assert!(bit / 8 >= 16 || bit / 8 == 4);
            proptest::prop_assert!(bit / 8 == 4 || HEXLOWER.encode(key.public().as_bytes()) != RFC_PUBLIC);
        }
    }
}
