//! The harness's own eyes on a descriptor: the only place of the harness where one is decrypted.
//!
//! It shares no descriptor code with the publisher, because what C tor makes and what the publisher makes go through
//! the same checks here, byte for byte.

use std::collections::BTreeSet;

use aes::Aes256;
use anyhow::{Context, Result, ensure};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::{BASE64, BASE64_NOPAD};
use onionkeep_common::cert::{CertType, UncheckedCert};
use onionkeep_common::{BlindedId, DescSigningKey, OnionAddress, Signature, Subcredential};
use sha3::{Digest, Sha3_256};
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

/// What the signature covers before the text itself.
///
/// Spec: rend-spec-v3, 2.4.
const SIGNATURE_PREFIX: &[u8] = b"Tor onion service descriptor sig v3";

/// A descriptor with all its layers open, exactly as they were written.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The outer document.
    pub outer: String,
    /// The middle layer with its padding.
    pub middle: Vec<u8>,
    /// The inner layer.
    pub inner: Vec<u8>,
    /// Salt of the middle layer's encryption.
    pub middle_salt: Vec<u8>,
    /// Salt of the inner layer's encryption.
    pub inner_salt: Vec<u8>,
    /// `revision-counter`.
    pub revision: u64,
    /// `KP_hs_blind_id`, the key under which the HSDir stores it.
    pub blinded: [u8; 32],
    /// `KP_hs_desc_sign`.
    pub signing_key: [u8; 32],
    /// Expiry of the type-08 certificate, hours since 1970.
    pub expires: u32,
}

impl Opened {
    /// Verifies certificate and signature and decrypts both layers.
    pub fn new(address: &str, outer: &str) -> Result<Self> {
        let onion: OnionAddress = address.parse()?;
        let cert = object(outer, "descriptor-signing-key-cert")?;
        let checked = UncheckedCert::parse(CertType::DescSigning, &cert)?
            .check_signature()?
            .dangerously_assume_timely();
        verify_signature(outer, checked.certified())?;
        let blinded = BlindedId::from_bytes(*checked.signer())?;
        let revision = value(outer, "revision-counter")?.parse()?;
        let lock =
            Lock { blinded, subcredential: onion.identity().credential().subcredential(&blinded), revision };
        let (middle_salt, middle) =
            lock.open(&object(outer, "superencrypted")?, "hsdir-superencrypted-data")?;
        let end = middle.iter().position(|octet| *octet == 0).unwrap_or(middle.len());
        let middle_text = std::str::from_utf8(&middle[..end])?.to_owned();
        let (inner_salt, inner) = lock.open(&object(&middle_text, "encrypted")?, "hsdir-encrypted-data")?;
        Ok(Self {
            outer: outer.to_owned(),
            middle,
            inner,
            middle_salt,
            inner_salt,
            revision,
            blinded: *checked.signer(),
            signing_key: *checked.certified(),
            expires: checked.expires().0,
        })
    }

    /// The middle layer without its padding.
    pub fn middle_text(&self) -> Result<&str> {
        let end = self.middle.iter().position(|octet| *octet == 0).unwrap_or(self.middle.len());
        Ok(std::str::from_utf8(&self.middle[..end])?)
    }

    /// The inner layer as text.
    pub fn inner_text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.inner)?)
    }

    /// The blocks of the introduction points, each from its own first line on.
    pub fn points(&self) -> Result<Vec<&str>> {
        let text = self.inner_text()?;
        let starts: Vec<_> = text.match_indices("introduction-point ").map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        Ok(starts.iter().zip(ends).map(|(from, to)| &text[*from..to]).collect())
    }
}

/// `KP_hs_ipt_sid` of every introduction point of a descriptor, which tells whose points they are.
pub fn auth_keys(opened: &Opened) -> Result<BTreeSet<[u8; 32]>> {
    let points = opened.points()?;
    points
        .iter()
        .map(|point| {
            let octets = object(point, "auth-key")?;
            let cert = UncheckedCert::parse(CertType::IntroAuth, &octets)?.check_signature()?;
            Ok(*cert.dangerously_assume_timely().certified())
        })
        .collect()
}

/// What both layers are locked with, besides their constant.
struct Lock {
    /// `KP_hs_blind_id`.
    blinded: BlindedId,
    /// `N_hs_subcred`.
    subcredential: Subcredential,
    /// `revision-counter`.
    revision: u64,
}

impl Lock {
    /// Decrypts one layer; returns its salt and its plaintext.
    ///
    /// Spec: rend-spec-v3, 2.5.3.
    fn open(&self, blob: &[u8], constant: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        ensure!(blob.len() > 48, "{constant}: {} octets are too few", blob.len());
        let (salt, rest) = blob.split_at(16);
        let (ciphertext, mac) = rest.split_at(rest.len() - 32);
        let mut hash = Shake256::default();
        hash.update(self.blinded.as_bytes());
        hash.update(&self.subcredential.0);
        hash.update(&self.revision.to_be_bytes());
        hash.update(salt);
        hash.update(constant.as_bytes());
        let mut keys = [0; 80];
        hash.finalize_xof().read(&mut keys);
        let expected = Sha3_256::new()
            .chain_update(32_u64.to_be_bytes())
            .chain_update(&keys[48..])
            .chain_update(16_u64.to_be_bytes())
            .chain_update(salt)
            .chain_update(ciphertext)
            .finalize();
        ensure!(expected[..] == *mac, "{constant}: the MAC does not fit");
        let mut plaintext = ciphertext.to_vec();
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[32..48])?.apply_keystream(&mut plaintext);
        Ok((salt.to_vec(), plaintext))
    }
}

/// Checks the last line of the outer document.
fn verify_signature(outer: &str, key: &[u8; 32]) -> Result<()> {
    let at = outer.find("\nsignature ").context("no signature line")? + 1;
    let signature = value(outer, "signature")?;
    ensure!(outer.ends_with(&format!("{signature}\n")), "something follows the signature");
    let octets: [u8; 64] =
        BASE64_NOPAD.decode(signature.as_bytes())?.try_into().ok().context("signature length")?;
    let signed = [SIGNATURE_PREFIX, &outer.as_bytes()[..at]].concat();
    Ok(DescSigningKey::from_bytes(*key)?.verify(&signed, &Signature(octets))?)
}

/// The value of the only line with this keyword.
pub fn value<'a>(text: &'a str, keyword: &str) -> Result<&'a str> {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
    let value = found.next().with_context(|| format!("no line {keyword}"))?;
    ensure!(found.next().is_none(), "two lines {keyword}");
    Ok(value)
}

/// The octets of the object that follows the line with this keyword.
pub fn object(text: &str, keyword: &str) -> Result<Vec<u8>> {
    let mut lines = text.lines().skip_while(|line| *line != keyword).skip(1);
    let begin = lines.next().with_context(|| format!("no object {keyword}"))?;
    ensure!(begin.starts_with("-----BEGIN "), "no object {keyword}");
    let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    BASE64.decode(body.as_bytes()).with_context(|| format!("object {keyword}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor that C tor made, with its address.
    fn from_c_tor() -> (String, String) {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/descriptors.json")).unwrap();
        let entry =
            vectors["descriptors"].as_array().unwrap().iter().find(|entry| entry["name"] == "ctor_plain");
        let address = format!("{}.onion", entry.unwrap()["address"].as_str().unwrap());
        (address, include_str!("../vectors/ctor_plain.desc.txt").to_owned())
    }

    #[test]
    fn what_c_tor_made_opens() {
        let (address, text) = from_c_tor();
        let opened = Opened::new(&address, &text).unwrap();
        assert!(opened.inner_text().unwrap().starts_with("create2-formats 2\n"));
        assert_eq!(opened.points().unwrap().len(), 3);
        assert_eq!(opened.middle.len() % 10_000, 0);
    }

    #[test]
    fn one_changed_character_is_noticed() {
        let (address, text) = from_c_tor();
        let altered = text.replacen("descriptor-lifetime 180", "descriptor-lifetime 181", 1);
        assert!(Opened::new(&address, &altered).is_err());
    }
}
