//! Certificates against the vectors and against every way to be broken.

use super::*;
use data_encoding::HEXLOWER;
use serde_json::Value;
use std::vec::Vec;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/certs.json")).unwrap()
}

fn octets(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn key(value: &Value) -> [u8; 32] {
    octets(value).try_into().unwrap()
}

fn kind(row: &Value) -> CertType {
    CertType::of(u8::try_from(row["type"].as_u64().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_certificate_shows_none_of_its_octets() {
    assert_eq!(std::format!("{:?}", EncodedCert([0x5a; CERT_LEN])), "EncodedCert(..)");
}

#[test]
fn valid_vectors_are_read_checked_and_built_again() {
    let vectors = vectors();
    let rows = vectors["valid"].as_array().unwrap();
    assert!(rows.len() >= 5);
    for row in rows {
        let cert = octets(&row["cert"]);
        let now = UnixTime(row["now"].as_u64().unwrap());
        let good = UncheckedCert::parse(kind(row), &cert).unwrap();
        let good = good.check_signature().unwrap().check_time(now).unwrap();
        assert_eq!(u64::from(good.expires().0), row["expiration_hours"].as_u64().unwrap());
        assert_eq!(*good.certified(), key(&row["certified_key"]));
        assert_eq!(*good.signer(), key(&row["signing_public"]));
        let body = CertBody::build(good.kind(), good.certified(), good.expires(), good.signer());
        assert_eq!(body.as_bytes().as_slice(), octets(&row["to_be_signed"]));
        let signature = Signature(cert[BODY_LEN..].try_into().unwrap());
        assert_eq!(body.with_signature(&signature).0.as_slice(), cert);
        let expected = match good.kind() {
            CertType::DescSigning => ExpirationHours::of_desc_signing_cert(now),
            CertType::IntroAuth | CertType::IntroEnc => ExpirationHours::of_intro_certs(now),
        };
        assert_eq!(good.expires(), expected, "{row}");
    }
}

#[test]
fn unusual_but_valid_vectors_are_taken() {
    for row in vectors()["valid_unusual"].as_array().unwrap() {
        let cert = octets(&row["cert"]);
        assert!(
            UncheckedCert::parse(CertType::DescSigning, &cert).unwrap().check_signature().is_ok(),
            "{row}"
        );
    }
}

#[test]
fn invalid_vectors_are_refused() {
    let vectors = vectors();
    let rows = vectors["invalid"].as_array().unwrap();
    assert!(rows.len() >= 5);
    for row in rows {
        let cert = octets(&row["cert"]);
        let result =
            UncheckedCert::parse(CertType::DescSigning, &cert).and_then(UncheckedCert::check_signature);
        assert!(result.is_err(), "{row}");
    }
}

#[test]
fn x25519_vectors_give_the_ed25519_form() {
    for row in vectors()["curve25519_to_ed25519"].as_array().unwrap() {
        let form = IntroEncKey(key(&row["curve25519"])).ed25519_form().unwrap();
        assert_eq!(form, key(&row["ed25519_sign0"]));
    }
}

#[test]
fn expired_and_wrong_type_are_refused() {
    let vectors = vectors();
    let row = &vectors["valid"][0];
    let cert = octets(&row["cert"]);
    let checked = UncheckedCert::parse(CertType::DescSigning, &cert).unwrap().check_signature().unwrap();
    let end = ExpirationHours(u32::try_from(row["expiration_hours"].as_u64().unwrap()).unwrap());
    assert!(checked.check_time(end.time()).is_ok());
    assert_eq!(checked.check_time(end.time().plus(1)).unwrap_err(), CertError::Expired(end.0));
    let error = UncheckedCert::parse(CertType::IntroAuth, &cert).unwrap_err();
    assert_eq!(error, CertError::Type { found: 8, wanted: 9 });
}

#[test]
fn every_flipped_bit_is_noticed() {
    let cert = octets(&vectors()["valid"][0]["cert"]);
    for at in 0..cert.len() * 8 {
        let mut bad = cert.clone();
        bad[at / 8] ^= 1 << (at % 8);
        let result =
            UncheckedCert::parse(CertType::DescSigning, &bad).and_then(UncheckedCert::check_signature);
        assert!(result.is_err(), "bit {at}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let cert = octets(&vectors()["valid"][0]["cert"]);
    for len in 0..cert.len() {
        assert!(UncheckedCert::parse(CertType::DescSigning, &cert[..len]).is_err(), "length {len}");
    }
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        let _unused = UncheckedCert::parse(CertType::DescSigning, &octets).map(|c| c.check_signature().is_ok());
    }

    #[test]
    fn what_is_built_is_read(certified: [u8; 32], signer: [u8; 32], hours: u32, signature: [u8; 32]) {
        let body = CertBody::build(CertType::IntroAuth, &certified, ExpirationHours(hours), &signer);
        let mut both = [0; 64];
        both[..32].copy_from_slice(&signature);
        let cert = body.with_signature(&Signature(both));
        let read = UncheckedCert::parse(CertType::IntroAuth, &cert.0).unwrap();
        proptest::prop_assert_eq!((read.certified, read.signer, read.expires.0), (certified, signer, hours));
    }
}
