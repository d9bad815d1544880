//! An unencrypted PKCS#8 PEM file with an Ed25519 key, as Onionbalance and OpenSSL write it.

use super::FormatError;
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// DER tags that such a key consists of.
const SEQUENCE: u8 = 0x30;
/// INTEGER.
const INTEGER: u8 = 0x02;
/// OCTET STRING.
const OCTET_STRING: u8 = 0x04;
/// `[0]`, the attributes.
const ATTRIBUTES: u8 = 0xa0;
/// `[1]`, the public key, primitive.
const PUBLIC_KEY: u8 = 0x81;
/// The algorithm: object identifier 1.3.101.112 alone.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// What such a file holds.
pub(super) struct Found {
    /// The RFC 8032 seed.
    pub(super) seed: Zeroizing<[u8; 32]>,
    /// The public key, if it is in there too.
    pub(super) public: Option<[u8; 32]>,
}

/// Reads the PEM text.
///
/// Spec: RFC 7468, 10; RFC 8410, 7 and 10.3; RFC 5958, 2.
pub(super) fn read(octets: &[u8]) -> Result<Found, FormatError> {
    let text = std::str::from_utf8(octets).map_err(|_not_text| FormatError::Pem)?;
    let mut lines = text.lines().map(str::trim_end);
    match lines.next() {
        Some("-----BEGIN PRIVATE KEY-----") => {}
        Some("-----BEGIN ENCRYPTED PRIVATE KEY-----") => return Err(FormatError::Encrypted),
        _ => return Err(FormatError::Algorithm),
    }
    // The capacity is that of the file, so no copy of the secret is left behind by growing.
    let mut base64 = Zeroizing::new(String::with_capacity(octets.len()));
    loop {
        match lines.next() {
            Some("-----END PRIVATE KEY-----") => break,
            Some(line) => base64.push_str(line),
            None => return Err(FormatError::Pem),
        }
    }
    if lines.any(|line| !line.is_empty()) {
        return Err(FormatError::Pem);
    }
    let der = Zeroizing::new(BASE64.decode(base64.as_bytes()).map_err(|_position| FormatError::Pem)?);
    one_key(&der)
}

/// Reads `OneAsymmetricKey`.
fn one_key(der: &[u8]) -> Result<Found, FormatError> {
    let (mut rest, end) = element(der, SEQUENCE)?;
    expect_end(end)?;
    let version = take(&mut rest, INTEGER)?;
    if !matches!(version, [0 | 1]) {
        return Err(FormatError::Der);
    }
    if take(&mut rest, SEQUENCE)? != ED25519 {
        return Err(FormatError::Algorithm);
    }
    let (seed, end) = element(take(&mut rest, OCTET_STRING)?, OCTET_STRING)?;
    expect_end(end)?;
    let seed = Zeroizing::new(seed.try_into().map_err(|_length| FormatError::Der)?);
    if rest.first() == Some(&ATTRIBUTES) {
        let _unused = take(&mut rest, ATTRIBUTES)?;
    }
    let mut public = None;
    if rest.first() == Some(&PUBLIC_KEY) {
        // A bit string: how many bits of the last octet do not count, then the octets.
        let [0, key @ ..] = take(&mut rest, PUBLIC_KEY)? else { return Err(FormatError::Der) };
        public = Some(key.try_into().map_err(|_length| FormatError::Der)?);
    }
    expect_end(rest)?;
    Ok(Found { seed, public })
}

/// Splits one element with a short length off the front: its content, and what follows.
fn element(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), FormatError> {
    let (&[found, length], rest) = der.split_first_chunk().ok_or(FormatError::Der)?;
    // Every length in such a key is below 128, where DER has only the short form.
    if found != tag || length >= 0x80 {
        return Err(FormatError::Der);
    }
    rest.split_at_checked(usize::from(length)).ok_or(FormatError::Der)
}

/// Takes the content of the next element.
fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Result<&'a [u8], FormatError> {
    let (content, after) = element(rest, tag)?;
    *rest = after;
    Ok(content)
}

/// Refuses surplus octets.
const fn expect_end(rest: &[u8]) -> Result<(), FormatError> {
    if rest.is_empty() { Ok(()) } else { Err(FormatError::Der) }
}
