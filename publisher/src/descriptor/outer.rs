//! The outer layer: what an HSDir sees. Read with certificate and signature checked, and written.

use super::checked::Checked;
use super::error::{DescriptorError, Fault, Layer};
use super::table::Table;
use crate::netdoc::text_of;
use core::fmt::Write;
use data_encoding::{BASE64, BASE64_NOPAD};
use onionkeep_common::cert::{CertType, SignatureChecked, TimelyCert};
use onionkeep_common::keys::Verifier;
use onionkeep_common::{DescSigningKey, EncodedCert, Signature, UncheckedCert, UnixTime};

/// What the signature covers before the text.
///
/// Spec: rend-spec-v3, 2.4.
pub(super) const SIGNATURE_PREFIX: &str = "Tor onion service descriptor sig v3";
/// The longest lifetime that is accepted, in minutes.
///
/// Spec: C tor, `HS_DESC_MAX_LIFETIME`.
const MAX_LIFETIME: u64 = 720;
/// The keywords of this layer.
const KNOWN: [&str; 6] = [
    "hs-descriptor",
    "descriptor-lifetime",
    "descriptor-signing-key-cert",
    "revision-counter",
    "superencrypted",
    "signature",
];

/// The outer layer. Whose key signed the certificate, when it ends, and the signature of the text are **not** checked.
#[derive(Debug)]
pub(super) struct Outer<'t> {
    /// `descriptor-lifetime` in minutes.
    pub(super) lifetime_minutes: u64,
    /// `revision-counter`.
    pub(super) revision: u64,
    /// The certificate 08.
    pub(super) cert: SignatureChecked,
    /// Line of the certificate.
    pub(super) cert_line: usize,
    /// The key that it certifies, which signed the text.
    pub(super) signing_key: DescSigningKey,
    /// Content of `superencrypted`.
    pub(super) blob: Vec<u8>,
    /// Line of `superencrypted`.
    pub(super) blob_line: usize,
    /// Octets of the whole text.
    pub(super) len: usize,
    /// What checks signatures by it.
    verifier: Verifier,
    /// What the signature covers, without [`SIGNATURE_PREFIX`].
    signed: &'t str,
    /// The signature.
    signature: Signature,
    /// Line of the signature.
    signature_line: usize,
    /// All lines.
    pub(super) table: Table<'t>,
}

impl<'t> Outer<'t> {
    /// Reads the layer and checks the certificate's own signature; [`Outer::check_signature`] checks that of the text.
    ///
    /// `expected` is the blinded key that must have signed the certificate, if it is known already.
    ///
    /// Spec: rend-spec-v3, 2.4; C tor, `desc_decode_plaintext_v3`, `desc_sig_is_valid`.
    pub(super) fn read(octets: &'t [u8], expected: Option<&[u8; 32]>) -> Result<Self, DescriptorError> {
        Self::read_checked(octets, expected, &mut Checked::default())
    }

    /// [`Outer::read`] with a certified key that may be the same as before.
    pub(super) fn read_checked(
        octets: &'t [u8],
        expected: Option<&[u8; 32]>,
        checked: &mut Checked,
    ) -> Result<Self, DescriptorError> {
        if octets.len() >= usize::try_from(super::MAX_DESCRIPTOR_SIZE).unwrap_or(usize::MAX) {
            return Err(DescriptorError::new(Layer::Outer, None, Fault::TooLong(octets.len())));
        }
        let text = text_of(octets).map_err(|error| DescriptorError::syntax(Layer::Outer, error))?;
        let table = Table::read(Layer::Outer, text)?;
        let version = table.first("hs-descriptor")?;
        if version.item.arg(0) != Some("3") {
            return Err(version.error(Fault::Version));
        }
        let lifetime = table.required("descriptor-lifetime")?;
        let lifetime_minutes = lifetime.number(0)?;
        if lifetime_minutes > MAX_LIFETIME {
            return Err(lifetime.error(Fault::Lifetime(lifetime_minutes)));
        }
        let (cert, cert_line, (signing_key, verifier)) = read_cert(&table, expected, checked)?;
        let (signed, signature, signature_line) = read_signature(&table, text)?;
        let blob = table.required("superencrypted")?;
        Ok(Self {
            lifetime_minutes,
            revision: table.required("revision-counter")?.number(0)?,
            cert,
            cert_line,
            signing_key,
            blob: blob.object("MESSAGE")?,
            blob_line: blob.item.line,
            len: octets.len(),
            verifier,
            signed,
            signature,
            signature_line,
            table,
        })
    }

    /// What the signature covers, in two pieces, and the signature: to be checked with others of the same key.
    pub(super) const fn signed(&self) -> ([&'t [u8]; 2], Signature) {
        ([SIGNATURE_PREFIX.as_bytes(), self.signed.as_bytes()], self.signature)
    }

    /// Checks the signature of the text.
    pub(super) fn check_signature(&self) -> Result<(), DescriptorError> {
        let (text, signature) = self.signed();
        self.verifier.verify(&text, &signature).map_err(|_bad_signature| {
            let error = DescriptorError::new(Layer::Outer, Some("signature"), Fault::Signature);
            DescriptorError { line: Some(self.signature_line), ..error }
        })
    }

    /// Keywords that this layer has.
    pub(super) const fn known() -> &'static [&'static str] {
        &KNOWN
    }

    /// The certificate, if it is still good at `now`; without `now` its time is not looked at.
    pub(super) fn timely_cert(&self, now: Option<UnixTime>) -> Result<TimelyCert, DescriptorError> {
        let Some(now) = now else { return Ok(self.cert.dangerously_assume_timely()) };
        self.cert.check_time(now).map_err(|error| self.cert_error(error))
    }

    /// An error in the certificate.
    pub(super) fn cert_error(&self, fault: impl Into<Fault>) -> DescriptorError {
        let error = DescriptorError::new(Layer::Outer, Some("descriptor-signing-key-cert"), fault);
        DescriptorError { line: Some(self.cert_line), ..error }
    }
}

/// Reads the certificate 08: (certificate, its line, the certified key and what checks signatures by it).
fn read_cert(
    table: &Table<'_>,
    expected: Option<&[u8; 32]>,
    checked: &mut Checked,
) -> Result<(SignatureChecked, usize, (DescSigningKey, Verifier)), DescriptorError> {
    let entry = table.required("descriptor-signing-key-cert")?;
    let octets = entry.object("ED25519 CERT")?;
    let cert = UncheckedCert::parse(CertType::DescSigning, &octets).map_err(|error| entry.error(error))?;
    if expected.is_some_and(|expected| expected != cert.signer()) {
        return Err(entry.error(Fault::OtherService));
    }
    let cert = cert.check_signature().map_err(|error| entry.error(error))?;
    let certified = *cert.dangerously_assume_timely().certified();
    let (key, verifier) = checked.signing_key(certified).map_err(|error| entry.error(error))?;
    Ok((cert, entry.item.line, (key, verifier)))
}

/// Reads the signature over the text, all up to the line feed before the first line `signature`: (text, signature, line).
fn read_signature<'t>(
    table: &Table<'_>,
    text: &'t str,
) -> Result<(&'t str, Signature, usize), DescriptorError> {
    let entry = table.last("signature")?;
    let signature = Signature(entry.octets(0)?);
    // A verifier takes the first such line for the end; it must be this one, not one hidden in an object.
    let signed = text.get(..entry.item.offset).unwrap_or_default();
    // Base64 has no blanks, so there are few of them.
    let hidden =
        |(at, _blank): (usize, &str)| signed.get(..at).is_some_and(|head| head.ends_with("\nsignature"));
    if signed.match_indices(' ').any(hidden) {
        return Err(entry.error(Fault::Signature));
    }
    Ok((signed, signature, entry.item.line))
}

/// Appends an object in base64 lines of 64 characters, with a line feed after each but no line feed after the END line.
pub(super) fn write_object(text: &mut String, label: &str, octets: &[u8]) {
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in octets.chunks(48) {
        BASE64.encode_append(line, text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----");
}

/// Writes the layer: prefix of the signature, then the text up to and without the line `signature`.
pub(super) fn write(cert: &EncodedCert, revision: u64, blob: &[u8]) -> String {
    let mut text = String::with_capacity(blob.len().saturating_mul(7) / 5 + 700);
    text.push_str(SIGNATURE_PREFIX);
    text.push_str("hs-descriptor 3\ndescriptor-lifetime 180\ndescriptor-signing-key-cert\n");
    write_object(&mut text, "ED25519 CERT", &cert.0);
    text.push_str("\nrevision-counter ");
    let _infallible = write!(text, "{revision}");
    text.push_str("\nsuperencrypted\n");
    write_object(&mut text, "MESSAGE", blob);
    text.push('\n');
    text
}

/// Appends the line `signature` and takes the prefix away.
pub(super) fn finish(mut text: String, signature: &Signature) -> String {
    text.push_str("signature ");
    BASE64_NOPAD.encode_append(&signature.0, &mut text);
    text.push('\n');
    text.drain(..SIGNATURE_PREFIX.len());
    text
}
