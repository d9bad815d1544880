//! Broken introduction points: each is skipped with its fault, and the others are kept.

use super::super::inner::CertifiedPoint;
use super::*;
use onionkeep_common::cert::CertError;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{CertBody, ExpirationHours};

/// Decodes an inner layer of three points of which the first has been changed, and returns why it is skipped.
fn skipped(change: impl Fn(&str) -> String) -> (Option<usize>, Option<&'static str>, Fault) {
    let frontend = Frontend::golden();
    let changed = change(&frontend.inner(&[point(1)]));
    let rest = frontend.inner(&[point(2), point(3)]);
    let rest = &rest[rest.find("introduction-point").unwrap()..];
    let decoded = frontend.decode(&frontend.forge(&frontend.header(), &format!("{changed}{rest}"))).unwrap();
    assert_eq!(decoded.intro_points, [point(2), point(3)]);
    let [Skipped { line: 3, reason: SkipReason::Broken(error) }] = &decoded.skipped_points[..] else {
        panic!("{:?}", decoded.skipped_points);
    };
    assert_eq!(error.layer, Layer::Inner);
    (error.line, error.keyword, error.fault.clone())
}

#[test]
fn broken_points_are_skipped_and_named_and_the_others_kept() {
    for (from, missing) in [
        ("\nonion-key ", "onion-key"),
        ("\nenc-key ", "enc-key"),
        ("\nenc-key-cert\n", "enc-key-cert"),
        ("\nauth-key\n", "auth-key"),
    ] {
        let unknown = from.replacen('\n', "\nx-", 1);
        let (line, found, fault) = skipped(|text| text.replacen(from, &unknown, 1));
        assert_eq!((line, found, fault), (None, Some(missing), Fault::Missing));
    }
    let (line, keyword, fault) = skipped(|text| text.replacen("onion-key ntor ", "onion-key ntor A", 1));
    assert_eq!((line, keyword, fault), (Some(4), Some("onion-key"), Fault::Argument));
    let (line, keyword, fault) = skipped(|text| text.replacen("enc-key ntor", "enc-key xtor", 1));
    assert_eq!((line, keyword, fault), (Some(11), Some("enc-key"), Fault::Argument));
    let (_, keyword, fault) =
        skipped(|text| text.replacen("introduction-point AwAG", "introduction-point AgAG", 1));
    assert_eq!(
        (keyword, fault),
        (Some("introduction-point"), Fault::Point(PointError::Link(LinkError::Length)))
    );
    // Twenty such points would be more than an HSDir takes of us.
    let long = [&[3, 0, 6, 127, 0, 0, 1, 0, 80, 2, 20][..], &[7; 20], &[200, 96], &[0; 96]].concat();
    let long = format!("introduction-point {}\nonion-key", data_encoding::BASE64.encode(&long));
    let (start, end) = ("introduction-point", "\nonion-key");
    let (_, keyword, fault) = skipped(|text| {
        let (head, rest) = text.split_once(start).unwrap();
        format!("{head}{long}{}", rest.split_once(end).unwrap().1)
    });
    assert_eq!(
        (keyword, fault),
        (Some("introduction-point"), Fault::Point(PointError::Link(LinkError::TooLong)))
    );
    let (line, keyword, fault) =
        skipped(|text| text.replacen("enc-key ntor ", "enc-key ntor AAAA\nenc-key ntor ", 1));
    assert_eq!((line, keyword, fault), (Some(12), Some("enc-key"), Fault::Duplicate));
}

/// An inner layer whose first point has other certificates than it should.
fn with_certs(auth: &CertBody, enc: &CertBody, signer: &PeriodKeys) -> impl Fn(&str) -> String {
    let first = point(1);
    let certified = CertifiedPoint { point: &first, auth: signer.certify(auth), enc: signer.certify(enc) };
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    let text = inner::write(Some(&flow), false, std::iter::once(certified));
    move |_text: &str| text.clone()
}

#[test]
fn every_certificate_of_a_point_is_checked() {
    let frontend = Frontend::golden();
    let (own, expires) = (frontend.keys.signing_key(), ExpirationHours::of_intro_certs(frontend.now));
    let other = PeriodKeys::from_bytes(&[5; PERIOD_KEYS_LEN]).unwrap();
    let first = point(1);
    let auth = CertBody::intro_auth(first.auth_key(), expires, own);
    let enc = CertBody::intro_enc(first.enc_key(), expires, own).unwrap();
    let foreign = CertBody::intro_auth(first.auth_key(), expires, other.signing_key());
    let (_, keyword, fault) = skipped(with_certs(&foreign, &enc, &frontend.keys));
    assert_eq!((keyword, fault), (Some("auth-key"), Fault::Signer));
    let (_, keyword, fault) = skipped(with_certs(&auth, &enc, &other));
    assert_eq!((keyword, fault), (Some("auth-key"), Fault::Cert(CertError::Signature)));
    let (_, keyword, fault) = skipped(with_certs(&enc, &auth, &frontend.keys));
    assert_eq!((keyword, fault), (Some("auth-key"), Fault::Cert(CertError::Type { found: 11, wanted: 9 })));
    let old = CertBody::intro_enc(first.enc_key(), ExpirationHours(400_000), own).unwrap();
    let (_, keyword, fault) = skipped(with_certs(&auth, &old, &frontend.keys));
    assert_eq!((keyword, fault), (Some("enc-key-cert"), Fault::Cert(CertError::Expired(400_000))));
    let wrong = CertBody::intro_enc(point(2).enc_key(), expires, own).unwrap();
    let (_, keyword, fault) = skipped(with_certs(&auth, &wrong, &frontend.keys));
    assert_eq!((keyword, fault), (Some("enc-key-cert"), Fault::CertifiedKey));
}

#[test]
fn an_authentication_key_that_is_no_point_is_refused() {
    let frontend = Frontend::golden();
    let expires = ExpirationHours::of_intro_certs(frontend.now);
    let enc = CertBody::intro_enc(point(1).enc_key(), expires, frontend.keys.signing_key()).unwrap();
    // A body whose certified key is y = 2, which is on no point: made from the octets of a good one.
    let mut octets =
        *CertBody::intro_auth(point(1).auth_key(), expires, frontend.keys.signing_key()).as_bytes();
    octets[7..39].copy_from_slice(&[[2].as_slice(), &[0; 31]].concat());
    let signature = frontend.keys.sign(&octets);
    let cert = EncodedCert([octets.as_slice(), &signature.0].concat().try_into().unwrap());
    let first = point(1);
    let certified = CertifiedPoint { point: &first, auth: cert, enc: frontend.keys.certify(&enc) };
    let text = inner::write(Some(&frontend.flow), false, std::iter::once(certified));
    let (_, keyword, fault) = skipped(|_text| text.clone());
    assert_eq!((keyword, fault), (Some("auth-key"), Fault::Key(KeyError::NotAPoint)));
}

#[test]
fn a_sign_bit_in_0b_is_accepted_and_reported() {
    let frontend = Frontend::golden();
    let expires = ExpirationHours::of_intro_certs(frontend.now);
    let first = point(1);
    let mut form = *first.enc_key_ed25519();
    form[31] |= 0x80;
    let auth = CertBody::intro_auth(first.auth_key(), expires, frontend.keys.signing_key());
    let enc = CertBody::intro_enc_form(&form, expires, frontend.keys.signing_key());
    let text = with_certs(&auth, &enc, &frontend.keys)("");
    let decoded = frontend.decode(&frontend.forge(&frontend.header(), &text)).unwrap();
    assert_eq!((decoded.intro_points, decoded.sign_bits), (vec![first], 1));
}
