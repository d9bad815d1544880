//! Certificates against the vectors of C tor, and why the blinded scalar must not leave.

use super::*;
use curve25519_dalek::scalar::clamp_integer;
use data_encoding::HEXLOWER;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use onionkeep_common::{CertType, PeriodLength, PeriodNumber, UncheckedCert, UnixTime};
use serde_json::Value;
use std::collections::HashSet;

fn blinding() -> Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/blinding.json")).unwrap()
}

fn octets<const N: usize>(value: &Value) -> [u8; N] {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap()
}

fn period(row: &Value) -> TimePeriod {
    let length = u32::try_from(number(row, "period_length_minutes")).unwrap();
    TimePeriod {
        number: PeriodNumber(number(row, "time_period")),
        length: PeriodLength::new(length).unwrap(),
    }
}

fn hours(value: u64) -> ExpirationHours {
    ExpirationHours(u32::try_from(value).unwrap())
}

/// A key to be certified; any will do.
fn some_key() -> DescSigningKey {
    DescSigningKey::from_bytes(octets(&blinding()["own"]["identity_public"])).unwrap()
}

/// Hedge of equal octets.
fn hedge(octet: u8) -> Hedge {
    Hedge::new(Zeroizing::new([octet; 32]))
}

/// What another implementation signs with the vector's blinded secret, RFC 8032 with a scalar given.
fn signed_elsewhere(secret: &[u8; 64], body: &CertBody) -> [u8; 64] {
    let mut secret = ExpandedSecretKey {
        scalar: Scalar::from_canonical_bytes(secret[..32].try_into().unwrap()).unwrap(),
        hash_prefix: secret[32..].try_into().unwrap(),
    };
    let public = (&secret).into();
    let signature = raw_sign::<Sha512>(&secret, body.as_bytes(), &public).to_bytes();
    secret.hash_prefix = [0; 32];
    signature
}

/// Our signature with the factor of a row is that of the row's blinded secret, so scalar and prefix are the row's.
fn check_row(expanded: &[u8; 64], factor: [u8; 32], row: &Value) {
    let key = ExpandedKey::from_octets(expanded).unwrap();
    let factor = Scalar::from_bytes_mod_order(clamp_integer(factor));
    let mut signed = None;
    let cert = key.sign_blinded(&factor, None, |blinded| {
        assert_eq!(*blinded.as_bytes(), octets(&row["blinded_public"]));
        let body = CertBody::desc_signing(&some_key(), ExpirationHours(480_070), blinded);
        signed = Some(body);
        Ok(body)
    });
    let body = signed.unwrap();
    assert_eq!(cert.unwrap().0[76..], signed_elsewhere(&octets(&row["blinded_secret"]), &body));
}

#[test]
fn raw_rows_of_tor_blind_to_the_same_secret() {
    let vectors = blinding();
    let rows = vectors["raw_rows"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    for row in rows {
        check_row(&octets(&row["expanded"]), octets(&row["blinding_param_h"]), row);
    }
}

#[test]
fn tor_example_and_own_periods_blind_to_the_same_secret() {
    let vectors = blinding();
    let tor = &vectors["tor_basics"];
    check_row(&octets(&tor["identity_secret_expanded"]), octets(&tor["h_unclamped"]), tor);
    let own = &vectors["own"];
    for row in own["periods"].as_array().unwrap() {
        check_row(&octets(&own["identity_secret_expanded"]), octets(&row["h_unclamped"]), row);
    }
}

#[test]
fn ctor_certificates_are_made_octet_for_octet() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/descriptors.json")).unwrap();
    let mut made = 0;
    for row in vectors["descriptors"].as_array().unwrap() {
        if row.get("identity_secret_expanded").is_none() {
            continue;
        }
        let key = ExpandedKey::from_octets(&octets(&row["identity_secret_expanded"])).unwrap();
        assert_eq!(*key.public().as_bytes(), octets(&row["identity_public"]));
        let terms = CertTerms {
            period: period(row),
            key: DescSigningKey::from_bytes(octets(&row["desc_signing_public"])).unwrap(),
            expires: hours(number(row, "signing_cert_expiration_hours")),
        };
        let cert = key.dangerously_certify_as_ctor(&terms).unwrap();
        assert_eq!(cert.0, octets::<140>(&row["signing_cert"]), "{}", row["name"]);
        made += 1;
    }
    assert!(made >= 5, "{made}");
}

#[test]
fn vector_certificates_of_type_08_are_made_octet_for_octet() {
    let vectors: Value = serde_json::from_str(include_str!("../../../../tests/vectors/certs.json")).unwrap();
    let own = &blinding()["own"];
    let key = ExpandedKey::from_octets(&octets(&own["identity_secret_expanded"])).unwrap();
    let mut made = 0;
    for row in vectors["valid"].as_array().unwrap().iter().filter(|row| row["type"] == 8) {
        let periods = own["periods"].as_array().unwrap();
        let signer = periods.iter().find(|p| p["blinded_public"] == row["signing_public"]).unwrap();
        let expires = ExpirationHours::of_desc_signing_cert(UnixTime(number(row, "now")));
        assert_eq!(expires, hours(number(row, "expiration_hours")));
        let certified = DescSigningKey::from_bytes(octets(&row["certified_key"])).unwrap();
        let terms = CertTerms { period: period(signer), key: certified, expires };
        let cert = key.dangerously_certify_as_ctor(&terms).unwrap();
        assert_eq!(cert.0, octets::<140>(&row["cert"]));
        made += 1;
    }
    assert_eq!(made, 3);
}

/// The reason why no function returns `a'`: with the public `h` it is the master scalar.
#[test]
fn blinded_scalar_gives_the_master_scalar_back() {
    let own = &blinding()["own"];
    let key = ExpandedKey::from_octets(&octets(&own["identity_secret_expanded"])).unwrap();
    for row in own["periods"].as_array().unwrap() {
        let released: [u8; 64] = octets(&row["blinded_secret"]);
        let released = Scalar::from_canonical_bytes(released[..32].try_into().unwrap()).unwrap();
        let factor = BlindingFactor::new(key.public(), period(row)).scalar();
        let recovered = released * factor.invert();
        assert_eq!(recovered.to_bytes(), octets(&row["recovered_scalar_mod_l"]));
        assert_eq!(EdwardsPoint::mul_base(&recovered).compress().as_bytes(), key.public().as_bytes());
    }
}

#[test]
fn certificate_is_what_was_asked_for() {
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let period = TimePeriod { number: PeriodNumber(20_780), length: PeriodLength::DAY };
    let terms = CertTerms { period, key: some_key(), expires: ExpirationHours(498_800) };
    let cert = key.certify(&terms, &hedge(1)).unwrap();
    let read = UncheckedCert::parse(CertType::DescSigning, &cert.0).unwrap();
    let read = read.check_signature().unwrap().check_time(UnixTime(0)).unwrap();
    assert_eq!(read.certified(), terms.key.as_bytes());
    assert_eq!(read.signer(), key.public().blinded(period).unwrap().as_bytes());
    assert_eq!(read.expires(), terms.expires);
}

/// A nonce that repeats over two messages gives the scalar away: none may, whatever is equal besides.
#[test]
fn no_nonce_repeats() {
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let first = TimePeriod { number: PeriodNumber(20_780), length: PeriodLength::DAY };
    let mut commitments = HashSet::new();
    for random in 0..4 {
        for period in [first, first.next()] {
            for hour in [1, 2] {
                let terms = CertTerms { period, key: some_key(), expires: ExpirationHours(hour) };
                let cert = key.certify(&terms, &hedge(random)).unwrap();
                assert!(commitments.insert(cert.0[76..108].to_vec()));
            }
        }
    }
}

#[test]
fn hedge_decides_the_nonce_and_nothing_else() {
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let period = TimePeriod { number: PeriodNumber(1), length: PeriodLength::DAY };
    let terms = CertTerms { period, key: some_key(), expires: ExpirationHours(9) };
    let (one, same) = (key.certify(&terms, &hedge(1)).unwrap(), key.certify(&terms, &hedge(1)).unwrap());
    let other = key.certify(&terms, &hedge(2)).unwrap();
    assert_eq!(one, same);
    assert_eq!(one.0[..76], other.0[..76]);
    assert_ne!(one.0[76..], other.0[76..]);
}

#[test]
fn a_blinded_key_that_differs_from_the_public_one_is_a_fault() {
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let period = TimePeriod { number: PeriodNumber(1), length: PeriodLength::DAY };
    let terms = CertTerms { period, key: some_key(), expires: ExpirationHours(9) };
    assert!(key.issue(&terms, &key.factor(period), Some(&hedge(1))).is_ok());
    let result = key.issue(&terms, &key.factor(period.next()), Some(&hedge(1)));
    assert_eq!(result, Err(CoreError::Fault));
    let (ladder, mut given) = (Ladder { first: terms, count: 3 }, 0);
    assert_eq!(key.climb(&ladder, &key.factor(period), &hedge(1), |_cert| given += 1), Ok(()));
    let result = key.climb(&ladder, &key.factor(period.next()), &hedge(1), |_cert| given += 1);
    assert_eq!((result, given), (Err(CoreError::Fault), 3));
}

proptest::proptest! {
    #[test]
    fn every_certificate_verifies(seed: [u8; 32], random: [u8; 32], n: u64, length in 1u32..14_401, hour: u32) {
        let key = ExpandedKey::from_seed(&seed).unwrap();
        let period = TimePeriod { number: PeriodNumber(n), length: PeriodLength::new(length).unwrap() };
        let terms = CertTerms { period, key: some_key(), expires: ExpirationHours(hour) };
        let cert = key.certify(&terms, &Hedge::new(Zeroizing::new(random))).unwrap();
        proptest::prop_assert!(UncheckedCert::parse(CertType::DescSigning, &cert.0).unwrap().check_signature().is_ok());
    }
}

#[test]
fn a_ladder_is_what_single_certificates_are_and_ends_where_hours_end() {
    let key = ExpandedKey::from_seed(&[7; 32]).unwrap();
    let period = TimePeriod { number: PeriodNumber(20_779), length: PeriodLength::DAY };
    let first = CertTerms { period, key: some_key(), expires: ExpirationHours(498_714) };
    let mut rungs = std::vec::Vec::new();
    key.certify_ladder(&Ladder { first, count: 53 }, &hedge(1), |cert| rungs.push(cert)).unwrap();
    assert_eq!(rungs.len(), 53);
    for (rung, cert) in (0..).zip(&rungs) {
        let terms = CertTerms { expires: ExpirationHours(first.expires.0 + rung), ..first };
        assert_eq!(cert.0, key.certify(&terms, &hedge(1)).unwrap().0);
    }
    let last = CertTerms { expires: ExpirationHours(u32::MAX), ..first };
    let mut given = 0;
    let result = key.certify_ladder(&Ladder { first: last, count: 2 }, &hedge(1), |_cert| given += 1);
    assert_eq!((result, given), (Err(CoreError::Fault), 1));
}
