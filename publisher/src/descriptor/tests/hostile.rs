//! Broken, old, foreign and altered descriptors: each ends in an error that names the place, none in a panic.

use super::*;
use crate::netdoc::Malformed;
use onionkeep_common::ExpirationHours;
use onionkeep_common::cert::CertError;

/// (layer, line, keyword) of an error.
fn place(error: &DescriptorError) -> (Layer, Option<usize>, Option<&'static str>) {
    (error.layer, error.line, error.keyword)
}

/// Signs a changed outer text again.
fn resign(frontend: &Frontend, text: &str) -> String {
    let end = text.find("\nsignature ").unwrap() + 1;
    let message = format!("{}{}", outer::SIGNATURE_PREFIX, &text[..end]);
    let signature = frontend.keys.sign(message.as_bytes());
    outer::finish(message, &signature)
}

#[test]
fn foreign_old_and_expired_descriptors_are_refused() {
    let frontend = Frontend::golden();
    let text = text("golden_plain.desc.txt");
    let cert_line = (Layer::Outer, Some(3), Some("descriptor-signing-key-cert"));
    let other: OnionAddress = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap();
    let error = decode(text.as_bytes(), &other, frontend.period, None, frontend.now).unwrap_err();
    assert_eq!((place(&error), error.fault), (cert_line, Fault::OtherService));
    let error =
        decode(text.as_bytes(), &frontend.onion, frontend.period.next(), None, frontend.now).unwrap_err();
    assert_eq!((place(&error), error.fault), (cert_line, Fault::OtherService));
    let end = ExpirationHours(480_070);
    assert!(decode(text.as_bytes(), &frontend.onion, frontend.period, None, end.time()).is_ok());
    let late = end.time().plus(1);
    let error = decode(text.as_bytes(), &frontend.onion, frontend.period, None, late).unwrap_err();
    assert_eq!(
        error.to_string(),
        "outer layer, line 3 (descriptor-signing-key-cert): the certificate expired at hour 480070 since the epoch"
    );
    assert_eq!(place(&error), cert_line);
}

#[test]
fn points_past_their_time_are_skipped() {
    let frontend = Frontend::golden();
    let text = text("golden_plain.desc.txt");
    let between = ExpirationHours(480_069).time().plus(1);
    let decoded = decode(text.as_bytes(), &frontend.onion, frontend.period, None, between).unwrap();
    assert!(decoded.intro_points.is_empty());
    let expired = |skipped: &Skipped| matches!(&skipped.reason, SkipReason::Broken(error) if error.fault == Fault::Cert(CertError::Expired(480_069)));
    assert_eq!(decoded.skipped_points.iter().filter(|skipped| expired(skipped)).count(), 3);
}

#[test]
fn outer_faults_are_named() {
    let frontend = Frontend::golden();
    let good = text("golden_plain.desc.txt");
    for (from, to, line, keyword, fault) in [
        ("hs-descriptor 3", "hs-descriptor 4", Some(1), Some("hs-descriptor"), Fault::Version),
        ("hs-descriptor 3\n", "x\nhs-descriptor 3\n", Some(2), Some("hs-descriptor"), Fault::NotFirst),
        ("hs-descriptor 3\n", "", None, Some("hs-descriptor"), Fault::Missing),
        ("lifetime 180", "lifetime 721", Some(2), Some("descriptor-lifetime"), Fault::Lifetime(721)),
        ("lifetime 180", "lifetime -1", Some(2), Some("descriptor-lifetime"), Fault::Argument),
        ("counter 1", "counter x1", Some(9), Some("revision-counter"), Fault::Argument),
        ("counter 1", "counter 99999999999999999999", Some(9), Some("revision-counter"), Fault::Argument),
        (
            "revision-counter",
            "revision-counter 1\nrevision-counter",
            Some(10),
            Some("revision-counter"),
            Fault::Duplicate,
        ),
        ("superencrypted\n", "superencrypted x\nfoo\n", Some(10), Some("superencrypted"), Fault::Object),
        ("BEGIN MESSAGE", "BEGIN MASSAGE", Some(11), None, Fault::Syntax(Malformed::NoEnd)),
        (
            "AQgAB1NG",
            "AQkAB1NG",
            Some(3),
            Some("descriptor-signing-key-cert"),
            Fault::Cert(CertError::Type { found: 9, wanted: 8 }),
        ),
        (
            "AQgAB1NG",
            "AQgAB1NH",
            Some(3),
            Some("descriptor-signing-key-cert"),
            Fault::Cert(CertError::Signature),
        ),
        ("AQgAB1NG", "AQgA!1NG", Some(3), Some("descriptor-signing-key-cert"), Fault::Object),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let error = frontend.decode(&resign(&frontend, &bad)).unwrap_err();
        assert_eq!((place(&error), error.fault), ((Layer::Outer, line, keyword), fault), "{to}");
    }
}

#[test]
fn signature_must_be_last_and_good() {
    let frontend = Frontend::golden();
    let good = text("golden_plain.desc.txt");
    let error = frontend.decode(&format!("{good}more 1\n")).unwrap_err();
    assert_eq!((error.keyword, error.fault), (Some("signature"), Fault::NotLast));
    let error = frontend.decode(&good.replacen("signature ", "signature A", 1)).unwrap_err();
    assert_eq!((error.keyword, error.fault), (Some("signature"), Fault::Argument));
    let error = frontend.decode(&good.replacen("lifetime 180", "lifetime 181", 1)).unwrap_err();
    assert_eq!((error.keyword, error.fault), (Some("signature"), Fault::Signature));
    let error = frontend.decode(&"x".repeat(50_000)).unwrap_err();
    assert_eq!(error.fault, Fault::TooLong(50_000));
    let error =
        decode(b"hs-descriptor 3\n\xff", &frontend.onion, frontend.period, None, frontend.now).unwrap_err();
    assert_eq!(
        (place(&error), error.fault),
        ((Layer::Outer, Some(2), None), Fault::Syntax(Malformed::NotText))
    );
    assert_eq!(frontend.decode("").unwrap_err().fault, Fault::Missing);
}

#[test]
fn altered_ciphertext_is_noticed_by_its_mac() {
    let frontend = Frontend::golden();
    let good = text("golden_plain.desc.txt");
    let at = good.find("BEGIN MESSAGE").unwrap() + 3000;
    let mut bad = good.clone();
    bad.replace_range(at..=at, if &good[at..=at] == "A" { "B" } else { "A" });
    let error = frontend.decode(&resign(&frontend, &bad)).unwrap_err();
    assert_eq!(
        (place(&error), error.fault),
        ((Layer::Outer, Some(10), Some("superencrypted")), Fault::MiddleMac)
    );
    let start = good.find("-----BEGIN MESSAGE-----\n").unwrap() + 24;
    let end = good.find("-----END MESSAGE").unwrap();
    let short = format!("{}AAAA\n{}", &good[..start], &good[end..]);
    let error = frontend.decode(&resign(&frontend, &short)).unwrap_err();
    assert_eq!(error.fault, Fault::BlobLength(3));
}

#[test]
fn middle_faults_are_named() {
    let frontend = Frontend::golden();
    let (header, inner) = (frontend.header(), frontend.inner(&[point(1)]));
    assert_eq!(frontend.decode(&frontend.forge(&header, &inner)).unwrap().intro_points, [point(1)]);
    let client = header.lines().nth(2).unwrap();
    for (from, to, line, keyword, fault) in [
        ("desc-auth-type x25519", "desc-auth-type x448", Some(1), Some("desc-auth-type"), Fault::Argument),
        ("desc-auth-type x25519\n", "", None, Some("desc-auth-type"), Fault::Missing),
        ("ephemeral-key ", "ephemeral-key A", Some(2), Some("desc-auth-ephemeral-key"), Fault::Argument),
        (client, "auth-client AAAA AAAA AAAA", Some(3), Some("auth-client"), Fault::Argument),
        (client, "auth-client", Some(3), Some("auth-client"), Fault::Argument),
    ] {
        let error = frontend.decode(&frontend.forge(&header.replacen(from, to, 1), &inner)).unwrap_err();
        assert_eq!((place(&error), error.fault), ((Layer::Middle, line, keyword), fault), "{to}");
    }
    let none: String = header.split_inclusive('\n').filter(|line| !line.starts_with("auth-client")).collect();
    let error = frontend.decode(&frontend.forge(&none, &inner)).unwrap_err();
    assert_eq!((error.keyword, error.fault), (Some("auth-client"), Fault::Missing));
}

#[test]
fn inner_header_faults_are_named() {
    let frontend = Frontend::golden();
    let good = frontend.inner(&[point(1)]);
    for (from, to, line, keyword, fault) in [
        ("create2-formats 2", "create2-formats 3", Some(1), Some("create2-formats"), Fault::Argument),
        ("create2-formats 2\n", "", None, Some("create2-formats"), Fault::Missing),
        ("flow-control 1-2 31", "flow-control 1-2 0", Some(2), Some("flow-control"), Fault::Argument),
        ("flow-control 1-2 31", "flow-control 1-2 256", Some(2), Some("flow-control"), Fault::Argument),
        (
            "flow-control 1-2 31",
            "flow-control 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 31",
            Some(2),
            Some("flow-control"),
            Fault::Argument,
        ),
        ("flow-control 1-2 31", "flow-control 31", Some(2), Some("flow-control"), Fault::Argument),
        ("flow-control", "flow-control 1 1\nflow-control", Some(3), Some("flow-control"), Fault::Duplicate),
        (
            "flow-control",
            "intro-auth-required x\nflow-control",
            Some(2),
            Some("intro-auth-required"),
            Fault::Argument,
        ),
        ("flow-control", " flow-control", Some(2), None, Fault::Syntax(Malformed::Keyword)),
    ] {
        let error =
            frontend.decode(&frontend.forge(&frontend.header(), &good.replacen(from, to, 1))).unwrap_err();
        assert_eq!((place(&error), error.fault), ((Layer::Inner, line, keyword), fault), "{to}");
    }
}

#[test]
fn counts_of_points_are_reported() {
    let frontend = Frontend::golden();
    let decode_with = |count: u64| {
        let points: Vec<_> = (0..count).map(point).collect();
        frontend.decode(&frontend.forge(&frontend.header(), &frontend.inner(&points)))
    };
    let none = decode_with(0).unwrap();
    assert!(none.intro_points.is_empty() && !none.has_too_many_points());
    assert!(!decode_with(20).unwrap().has_too_many_points());
    let many = decode_with(21).unwrap();
    assert!(many.has_too_many_points());
    assert_eq!(many.intro_points.len(), 21);
    assert!(matches!(decode_with(60).unwrap_err().fault, Fault::TooLong(_)));
}

#[test]
fn legacy_points_are_skipped_and_unknown_lines_listed() {
    let frontend = Frontend::golden();
    let inner = frontend.inner(&[point(1), point(2)]);
    let legacy = inner.replacen(
        "enc-key ntor",
        "legacy-key\n-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\nenc-key ntor",
        1,
    );
    let decoded = frontend.decode(&frontend.forge(&frontend.header(), &legacy)).unwrap();
    assert_eq!(decoded.intro_points, [point(2)]);
    assert_eq!(decoded.skipped_points, [Skipped { line: 3, reason: SkipReason::LegacyKey }]);
    let odd = inner.replacen("create2-formats 2\n", "create2-formats 2 3\ncaa 0 issue x\n", 1);
    let odd = odd.replacen(
        "onion-key ntor",
        "onion-key other AAAA\nblip\n-----BEGIN X-----\nAAAA\n-----END X-----\nonion-key ntor",
        1,
    );
    let header = format!("{}caa-critical\n", frontend.header());
    let text = frontend.forge(&header, &odd).replacen("revision-counter", "future 1 2\nrevision-counter", 1);
    let decoded = frontend.decode(&resign(&frontend, &text)).unwrap();
    assert_eq!(decoded.intro_points, [point(1), point(2)]);
    let unknown = |layer, line, keyword: &str| UnknownLine { layer, line, keyword: keyword.to_owned() };
    let wanted = [
        unknown(Layer::Outer, 9, "future"),
        unknown(Layer::Middle, 19, "caa-critical"),
        unknown(Layer::Inner, 2, "caa"),
        unknown(Layer::Inner, 6, "blip"),
    ];
    assert_eq!(decoded.unknown_lines, wanted);
}

proptest::proptest! {
    #[test]
    fn every_change_of_the_text_is_noticed(at in 0_usize..14_111, octet: u8, kind in 0_u8..4) {
        let frontend = Frontend::golden();
        let good = text("golden_plain.desc.txt").into_bytes();
        let mut bad = good.clone();
        match kind {
            0 => bad[at] = octet,
            1 => bad.insert(at, octet),
            2 => drop(bad.remove(at)),
            _ => bad.truncate(at),
        }
        let decoded = decode(&bad, &frontend.onion, frontend.period, None, frontend.now);
        // Only line feeds around the signed text may come and go; everything that is signed is as it was.
        let trimmed = |text: &[u8]| text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect::<Vec<_>>();
        proptest::prop_assert!(decoded.is_err() || trimmed(&bad) == trimmed(&good));
        let _shown = show(&bad, &frontend.onion, frontend.now, &[], None);
    }

    #[test]
    fn no_change_of_an_encrypted_layer_panics(at: usize, octet: u8, kind in 0_u8..4, in_inner: bool) {
        let frontend = Frontend::golden();
        let (mut header, mut inner) = (frontend.header(), frontend.inner(&[point(1), point(2)]));
        let text = if in_inner { &mut inner } else { &mut header };
        let at = at % text.len();
        let letter = char::from(octet % 128);
        match kind {
            0 => text.replace_range(at..=at, &letter.to_string()),
            1 => text.insert(at, letter),
            2 => drop(text.remove(at)),
            _ => text.truncate(at),
        }
        if let Ok(decoded) = frontend.decode(&frontend.forge(&header, &inner)) {
            proptest::prop_assert!(decoded.intro_points.iter().all(|found| [point(1), point(2)].contains(found) || in_inner));
        }
    }

    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let frontend = Frontend::golden();
        proptest::prop_assert!(decode(&octets, &frontend.onion, frontend.period, None, frontend.now).is_err());
        proptest::prop_assert!(show(&octets, &frontend.onion, frontend.now, &[], None).is_err());
    }
}
