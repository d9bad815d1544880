//! Targets for the ceremony's files: requests and bundles. A request gets a good signature by the seeds' key.

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::paper::{Bundle, FileDigest, Request};

/// Who asks in the seeds.
fn requester() -> SigningKey {
    SigningKey::from_bytes(&[200; 32])
}

/// A request that is read is written the same, octet for octet.
pub fn request(octets: &[u8]) -> bool {
    let text = octets.split(|octet| *octet == b'\n').rev().skip(2).collect::<Vec<_>>();
    let text = text.into_iter().rev().flat_map(|line| [line, b"\n"].concat()).collect::<Vec<_>>();
    let signature = BASE64.encode(&requester().sign(&text).to_bytes());
    let signed = [&text[..], b"signature ", signature.as_bytes(), b"\n"].concat();
    let accepted = [octets, &signed].map(|file| {
        let Ok(read) = Request::parse(file) else { return false };
        assert_eq!(read.digest, FileDigest::of(file));
        let content = read.content;
        assert_eq!([content.text().as_bytes(), tail(file)].concat(), file);
        assert!(content.slots.iter().all(|slot| content.certify_request(slot).check_proof().is_ok()));
        true
    });
    accepted.contains(&true)
}

/// A bundle that is read is written the same, octet for octet; its certificates are those that were asked for.
pub fn bundle(octets: &[u8]) -> bool {
    let Ok((read, signed)) = Bundle::parse(octets) else { return false };
    let bundle = read.content;
    assert_eq!(bundle.to_file(&signed.signature).as_bytes(), octets);
    assert_eq!(bundle.text().as_bytes(), signed.text);
    assert!(bundle.certificates() >= bundle.slots.len());
    true
}

/// The last line.
fn tail(file: &[u8]) -> &[u8] {
    let end = file.len() - 1;
    let start = file[..end].iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    &file[start..]
}
