//! The protocol against its golden frames and against hostile octets.

use super::*;
use crate::keys::DescSigningKey;
use crate::wire::frame::Header;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use std::vec::Vec;

/// The request of the golden file: keys from fixed seeds.
fn request() -> CertifyRequest {
    let onion = SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
    let secret = SigningKey::from_bytes(&[2; 32]);
    let onion = IdentityKey::from_bytes(onion).unwrap();
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let period = PeriodNumber(20_780);
    let proof = Proof::new(&onion, period, 1440, &key);
    let proof = Signature(secret.sign(proof.as_bytes()).to_bytes());
    CertifyRequest { onion, period, length: 1440, key, proof }
}

/// Splits a frame as a socket reader does.
fn split(octets: &[u8]) -> (Header, &[u8]) {
    let (head, content) = octets.split_first_chunk().unwrap();
    (Header::parse(*head).unwrap(), content)
}

#[test]
fn golden_frames_are_written_and_read() {
    let refused = Reply::Refused { rule: Rule::PeriodWindow, retry_after: 0 };
    let away = Reply::Away { reason: AwayReason::TokenAway, retry_after: 30 };
    let certificate = Reply::Certificate(EncodedCert([0x5a; CERT_LEN]));
    let golden = include_str!("../../../tests/golden/wire/v1.txt");
    let lines: Vec<(&str, Vec<u8>)> = golden
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name, HEXLOWER.decode(hex.as_bytes()).unwrap()))
        .collect();
    let written = [
        ("certify", request().to_frame()),
        ("certificate", certificate.to_frame()),
        ("refused", refused.to_frame()),
        ("away", away.to_frame()),
    ];
    assert_eq!(lines.len(), written.len());
    for ((name, octets), (ours, frame)) in lines.iter().zip(&written) {
        assert_eq!((*name, HEXLOWER.encode(octets)), (*ours, HEXLOWER.encode(frame.as_bytes())));
        let (head, content) = split(octets);
        assert_eq!(head.content_len, content.len());
        if *name == "certify" {
            assert_eq!(CertifyRequest::parse(head.kind, content), Ok(request()));
        } else {
            assert_eq!(Reply::parse(head.kind, content).unwrap().to_frame().as_bytes(), octets);
        }
    }
}

#[test]
fn proof_fits_only_its_own_fields() {
    let good = request();
    assert!(good.check_proof().is_ok());
    let other_period = CertifyRequest { period: good.period.next(), ..good };
    let other_length = CertifyRequest { length: 8, ..good };
    let other_onion =
        CertifyRequest { onion: IdentityKey::from_bytes(*good.key.as_bytes()).unwrap(), ..good };
    for bad in [other_period, other_length, other_onion] {
        assert_eq!(bad.check_proof(), Err(KeyError::BadSignature));
    }
}

#[test]
fn reasons_and_rules_have_the_names_of_the_documents() {
    let names = AwayReason::ALL.map(AwayReason::name);
    assert_eq!(names, ["busy", "token-away", "storage", "internal"]);
    assert_eq!(std::format!("{}", Rule::ClockForward), "clock-forward");
}

#[test]
fn every_rule_and_reason_has_its_own_code_and_name() {
    for rule in Rule::ALL {
        let reply = Reply::Refused { rule: *rule, retry_after: 7 };
        let frame = reply.to_frame();
        let (head, content) = split(frame.as_bytes());
        assert_eq!(Reply::parse(head.kind, content), Ok(reply));
        assert_eq!(Rule::ALL.iter().filter(|other| other.name() == rule.name()).count(), 1);
    }
    for reason in AwayReason::ALL {
        let reply = Reply::Away { reason, retry_after: u32::MAX };
        let frame = reply.to_frame();
        let (head, content) = split(frame.as_bytes());
        assert_eq!(Reply::parse(head.kind, content), Ok(reply));
    }
}

#[test]
fn headers_outside_the_cap_or_of_another_version_are_refused() {
    assert_eq!(Header::parse([0, 1, 1, 0x10]), Err(FrameError::Length(1)));
    assert_eq!(Header::parse([1, 1, 1, 0x10]), Err(FrameError::Length(257)));
    assert_eq!(Header::parse([0xff, 0xff, 1, 0x10]), Err(FrameError::Length(65_535)));
    assert_eq!(Header::parse([0, 2, 2, 0x10]), Err(FrameError::Version(2)));
    assert!(Header::parse([1, 0, 1, 0x10]).is_ok());
}

#[test]
fn wrong_direction_and_wrong_length_are_refused() {
    let frame = request().to_frame();
    assert_eq!(Reply::parse(0x10, frame.content()), Err(WireError::Kind(0x10)));
    assert_eq!(CertifyRequest::parse(0x11, frame.content()), Err(WireError::Kind(0x11)));
    for len in (0..frame.content().len()).chain([frame.content().len() + 1]) {
        let mut content = frame.content().to_vec();
        content.resize(len, 0);
        assert!(matches!(CertifyRequest::parse(0x10, &content), Err(WireError::Length { .. })));
    }
}

proptest::proptest! {
    #[test]
    fn no_octets_panic(head: [u8; 4], kind: u8, content: Vec<u8>) {
        let _header = Header::parse(head);
        let _request = CertifyRequest::parse(kind, &content);
        let _reply = Reply::parse(kind, &content);
    }

    #[test]
    fn certificates_survive(octets: Vec<u8>) {
        let mut cert = [0; CERT_LEN];
        for (to, from) in cert.iter_mut().zip(&octets) { *to = *from; }
        let reply = Reply::Certificate(EncodedCert(cert));
        proptest::prop_assert_eq!(Reply::parse(0x11, reply.to_frame().content()), Ok(reply));
    }
}
