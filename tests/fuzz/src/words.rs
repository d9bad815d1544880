//! Targets for the words both programs share: address, certificates, the signer protocol, and short texts.

use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::address::OnionAddress;
use onionkeep_common::cert::{CertType, check_signatures};
use onionkeep_common::wire::frame::{HEADER_LEN, Header};
use onionkeep_common::wire::{CertifyRequest, Reply};
use onionkeep_common::{BlindedId, CertBody, DescSigningKey, IntroAuthKey, Signature, UncheckedCert};
use onionkeep_publisher::consensus::Fingerprint;
use onionkeep_publisher::descriptor::ClientKey;
use onionkeep_publisher::netdoc::{base64, date};
use onionkeep_publisher::probe::SocksAddr;
use onionkeep_publisher::tor::ControlAddr;
use onionkeep_signer::pin::PinSource;

/// An address that is read is written as it was read, but for upper case and the missing `.onion`.
pub fn address(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(address) = text.parse::<OnionAddress>() else { return false };
    let bare = text.to_ascii_lowercase();
    let bare = bare.strip_suffix(".onion").unwrap_or(&bare);
    assert_eq!(address.bare().to_string(), bare);
    assert_eq!(address.to_string().parse(), Ok(address));
    assert_eq!(OnionAddress::new(*address.identity()), address);
    assert!(!address.redacted().to_string().contains(bare));
    true
}

/// Each certificate type; one that names the seeds' signer is signed, and must then verify and be written the same.
pub fn cert(octets: &[u8]) -> bool {
    let mut accepted = false;
    for kind in [CertType::DescSigning, CertType::IntroAuth, CertType::IntroEnc] {
        let Ok(cert) = UncheckedCert::parse(kind, octets) else { continue };
        if let Ok(signer) = DescSigningKey::from_bytes(*cert.signer()) {
            let together = check_signatures(&signer, &[cert], &[]);
            assert!(cert.check_signature().is_err() || together.is_ok(), "good alone, bad together");
        }
        sign_and_read(kind, octets, &cert);
        accepted = true;
    }
    accepted
}

/// Signs a certificate with the seeds' key, if it names that key.
fn sign_and_read(kind: CertType, octets: &[u8], cert: &UncheckedCert<'_>) {
    let signer = SigningKey::from_bytes(&[7; 32]);
    if *cert.signer() != signer.verifying_key().to_bytes() {
        return;
    }
    let (body, _signature) = octets.split_last_chunk::<64>().unwrap();
    let signature = Signature(signer.sign(body).to_bytes());
    let signed = [body, &signature.0].concat();
    let good = UncheckedCert::parse(kind, &signed).unwrap().check_signature().unwrap();
    let good = good.dangerously_assume_timely();
    assert_eq!((good.kind(), good.certified(), good.signer()), (kind, cert.certified(), cert.signer()));
    let plain = body.len() == onionkeep_common::cert::BODY_LEN && body[43] == 0;
    let by = BlindedId::from_bytes(*good.signer()).unwrap();
    let built = match kind {
        CertType::DescSigning => DescSigningKey::from_bytes(*good.certified())
            .ok()
            .map(|key| CertBody::desc_signing(&key, good.expires(), &by)),
        CertType::IntroAuth => IntroAuthKey::from_bytes(*good.certified()).ok().map(|key| {
            let by = DescSigningKey::from_bytes(*by.as_bytes()).unwrap();
            CertBody::intro_auth(&key, good.expires(), &by)
        }),
        CertType::IntroEnc => {
            let by = DescSigningKey::from_bytes(*by.as_bytes()).unwrap();
            Some(CertBody::intro_enc_form(good.certified(), good.expires(), &by))
        }
    };
    if let Some(built) = built.filter(|_built| plain) {
        assert!(built.with_signature(&signature).0[..] == signed[..], "written differently");
    }
}

/// Frames one after the other, each read as a request and as a reply; what is read is written the same.
pub fn wire(octets: &[u8]) -> bool {
    let mut rest = octets;
    let mut accepted = false;
    while let Some((head, tail)) = rest.split_first_chunk::<HEADER_LEN>() {
        let Ok(header) = Header::parse(*head) else { break };
        let Some((content, tail)) = tail.split_at_checked(header.content_len) else { break };
        let frame = [head, content].concat();
        let request = CertifyRequest::parse(header.kind, content);
        let reply = Reply::parse(header.kind, content);
        assert!(request.is_err() || reply.is_err(), "one frame is both request and reply");
        accepted |= request.is_ok() || reply.is_ok();
        if let Ok(request) = request {
            assert_eq!(request.to_frame().as_bytes(), frame);
            let other = CertifyRequest { length: request.length ^ 1, ..request };
            assert!(request.check_proof().is_err() || other.check_proof().is_err());
        }
        if let Ok(reply) = reply {
            assert_eq!(reply.to_frame().as_bytes(), frame);
        }
        rest = tail;
    }
    accepted
}

/// Short texts from configurations, documents and the command line.
pub fn texts(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    if let Ok(found) = text.parse::<Fingerprint>() {
        assert_eq!(found.to_string(), text.to_ascii_uppercase());
    }
    if let Ok(found) = text.parse::<PinSource>() {
        assert_eq!(found.to_string(), text);
    }
    if let Ok(found) = text.parse::<ControlAddr>() {
        assert_eq!(found.to_string().parse().ok(), Some(found));
    }
    if let Some(found) = base64(text) {
        let bare = text.trim_end_matches('=');
        assert_eq!(data_encoding::BASE64_NOPAD.encode(&found), bare);
    }
    for separator in [' ', 'T'] {
        if let Some(found) = date::parse(text, separator) {
            let written = date::Iso(found).to_string();
            assert_eq!(date::parse(written.trim_end_matches('Z'), 'T'), Some(found), "{written}");
        }
    }
    text.parse::<SocksAddr>().is_ok() || ClientKey::from_auth_private(text).is_ok()
}
