//! The inner layer: what a client learns about the service. Read (introduction points with all certificates
//! checked) and written.

use super::checked::Checked;
use super::error::{DescriptorError, Fault, Layer};
use super::outer::write_object;
use super::point::{IntroPoint, PointError};
use super::table::{Entry, Table};
use crate::netdoc::{base64, text_of};
use core::fmt::Write;
use data_encoding::BASE64;
use onionkeep_common::cert::{CertType, SignatureChecked, TimelyCert};
use onionkeep_common::{DescSigningKey, EncodedCert, IntroEncKey, UncheckedCert, UnixTime};

/// The keywords before the first introduction point.
const KNOWN_HEADER: [&str; 5] =
    ["create2-formats", "intro-auth-required", "single-onion-service", "flow-control", "pow-params"];
/// The keywords of an introduction point.
const KNOWN_POINT: [&str; 7] = [
    "introduction-point",
    "onion-key",
    "auth-key",
    "enc-key",
    "enc-key-cert",
    "legacy-key",
    "legacy-key-cert",
];

/// The version list of `flow-control` may have so many octets; C tor's has 3.
const VERSIONS_MOST: usize = 32;

/// The line `flow-control`: congestion control at the service.
///
/// Spec: proposal 324; rend-spec-v3, 2.5.2.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowControl {
    /// Supported versions of the protocol `FlowCtrl`, `1-2` in C tor.
    pub versions: String,
    /// Cells between two acknowledgements, never 0.
    pub sendme_inc: u8,
}

impl FlowControl {
    /// Whether `versions` is a list as tor writes it: a few digits, commas and hyphens.
    pub(super) fn is_well_formed(&self) -> bool {
        let good = |octet: u8| octet.is_ascii_digit() || octet == b',' || octet == b'-';
        let is_short = (1..=VERSIONS_MOST).contains(&self.versions.len());
        self.sendme_inc > 0 && is_short && self.versions.bytes().all(good)
    }
}

/// The inner layer before its introduction points are checked.
#[derive(Debug)]
pub(super) struct Inner<'t> {
    /// `flow-control`.
    pub(super) flow_control: Option<FlowControl>,
    /// Whether `single-onion-service` is there.
    pub(super) single_onion: bool,
    /// Arguments of the `pow-params` lines.
    pub(super) pow: Vec<String>,
    /// The lines before the first point.
    pub(super) header: Table<'t>,
    /// The lines of each point.
    pub(super) points: Vec<Table<'t>>,
}

impl<'t> Inner<'t> {
    /// Reads the layer.
    ///
    /// Spec: rend-spec-v3, 2.5.2.2; C tor, `desc_decode_encrypted_v3`.
    pub(super) fn read(octets: &'t [u8]) -> Result<Self, DescriptorError> {
        let text = text_of(octets).map_err(|error| DescriptorError::syntax(Layer::Inner, error))?;
        let (header, points) = Table::read(Layer::Inner, text)?.cut_at("introduction-point");
        let formats = header.first("create2-formats")?;
        if !formats.item.args().any(|format| format == "2") {
            return Err(formats.error(Fault::Argument));
        }
        if let Some(required) = header.optional("intro-auth-required")?
            && !required.item.args().any(|kind| kind == "ed25519")
        {
            return Err(required.error(Fault::Argument));
        }
        let flow_control =
            header.optional("flow-control")?.map(|entry| read_flow_control(&entry)).transpose()?;
        let single_onion = header.optional("single-onion-service")?.is_some();
        let pow = header.all("pow-params").map(|entry| entry.item.rest.to_owned()).collect();
        Ok(Self { flow_control, single_onion, pow, header, points })
    }

    /// Keywords of the header, and of a point.
    pub(super) const fn known() -> (&'static [&'static str], &'static [&'static str]) {
        (&KNOWN_HEADER, &KNOWN_POINT)
    }
}

/// Reads `flow-control VERSIONS NUMBER`.
fn read_flow_control(entry: &Entry<'_>) -> Result<FlowControl, DescriptorError> {
    let versions = entry.item.arg(0).unwrap_or_default().to_owned();
    let flow_control = FlowControl { versions, sendme_inc: entry.number(1)? };
    if flow_control.is_well_formed() { Ok(flow_control) } else { Err(entry.error(Fault::Argument)) }
}

/// The lines of one introduction point, decoded but with unchecked certificates.
#[derive(Debug)]
pub(super) struct RawPoint<'t> {
    /// `introduction-point`.
    links: Vec<u8>,
    /// `onion-key ntor`.
    onion_key: [u8; 32],
    /// `enc-key ntor`.
    enc_key: IntroEncKey,
    /// Line `introduction-point`.
    line: Entry<'t>,
    /// Line `auth-key`.
    auth_line: Entry<'t>,
    /// The certificate after it.
    auth_cert: Vec<u8>,
    /// Line `enc-key-cert`.
    enc_line: Entry<'t>,
    /// The certificate after it.
    enc_cert: Vec<u8>,
}

/// The two certificates of a point, in some state of checking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<C> {
    /// Certificate 09.
    pub(super) auth: C,
    /// Certificate 0B.
    pub(super) enc: C,
}

impl<'t> RawPoint<'t> {
    /// Whether a point has obsolete keys, which makes clients skip it.
    pub(super) fn is_legacy(lines: &Table<'t>) -> bool {
        lines.all("legacy-key").next().is_some() || lines.all("legacy-key-cert").next().is_some()
    }

    /// Reads the lines of a point.
    ///
    /// Spec: rend-spec-v3, 2.5.2.2; C tor, `decode_introduction_point`.
    pub(super) fn read(lines: &Table<'t>) -> Result<Self, DescriptorError> {
        let line = lines.first("introduction-point")?;
        let links = line.item.arg(0).and_then(base64).ok_or_else(|| line.error(Fault::Argument))?;
        let onion_key = ntor_onion_key(lines)?;
        let auth_line = lines.required("auth-key")?;
        let enc_key = IntroEncKey(ntor_key(&lines.required("enc-key")?)?);
        let enc_line = lines.required("enc-key-cert")?;
        let (auth_cert, enc_cert) = (auth_line.object("ED25519 CERT")?, enc_line.object("ED25519 CERT")?);
        Ok(Self { links, onion_key, enc_key, line, auth_line, auth_cert, enc_line, enc_cert })
    }

    /// Number of its first line.
    pub(super) const fn first_line(&self) -> usize {
        self.line.item.line
    }

    /// Reads the two certificates: type and signing key, but **not** the signatures.
    pub(super) fn certs(&self, signer: &DescSigningKey) -> Result<Pair<UncheckedCert<'_>>, DescriptorError> {
        Ok(Pair {
            auth: read_cert(CertType::IntroAuth, &self.auth_line, &self.auth_cert, signer)?,
            enc: read_cert(CertType::IntroEnc, &self.enc_line, &self.enc_cert, signer)?,
        })
    }

    /// Checks the two signatures one by one, and says which of them is wrong.
    pub(super) fn check(
        &self,
        certs: &Pair<UncheckedCert<'_>>,
    ) -> Result<Pair<SignatureChecked>, DescriptorError> {
        Ok(Pair {
            auth: certs.auth.check_signature().map_err(|error| self.auth_line.error(error))?,
            enc: certs.enc.check_signature().map_err(|error| self.enc_line.error(error))?,
        })
    }

    /// The point that the certificates certify, if they are good at `now`; and whether the sign bit in 0B is set.
    pub(super) fn into_point(
        self,
        certs: Pair<SignatureChecked>,
        now: Option<UnixTime>,
        checked: &Checked,
    ) -> Result<(IntroPoint, bool), DescriptorError> {
        let auth = *timely(&self.auth_line, certs.auth, now)?.certified();
        let mut enc = *timely(&self.enc_line, certs.enc, now)?.certified();
        let auth = checked.point(auth).map_err(|error| self.auth_line.error(error))?;
        let [.., sign] = &mut enc;
        let sign_bit = *sign & 0x80 != 0;
        *sign &= 0x7f;
        if !checked.is_form(&self.enc_key, &enc) {
            return Err(self.enc_line.error(Fault::CertifiedKey));
        }
        let point = IntroPoint::with_form(self.links, self.onion_key, auth, (self.enc_key, enc));
        let point = point.map_err(|error| self.line.error(PointError::Link(error)))?;
        Ok((point, sign_bit))
    }
}

/// A certificate that is good at `now`; without `now` its time is not looked at.
fn timely(
    line: &Entry<'_>,
    cert: SignatureChecked,
    now: Option<UnixTime>,
) -> Result<TimelyCert, DescriptorError> {
    let Some(now) = now else { return Ok(cert.dangerously_assume_timely()) };
    cert.check_time(now).map_err(|error| line.error(error))
}

/// The key of the one `onion-key ntor` line; lines with other key types are ignored.
fn ntor_onion_key(lines: &Table<'_>) -> Result<[u8; 32], DescriptorError> {
    let mut found = lines.all("onion-key").filter(|entry| entry.item.arg(0) == Some("ntor"));
    let missing = || DescriptorError::new(Layer::Inner, Some("onion-key"), Fault::Missing);
    let key = found.next().map_or_else(|| Err(missing()), |entry| entry.octets(1))?;
    found.next().map_or(Ok(key), |second| Err(second.error(Fault::Duplicate)))
}

/// The key in a line `... ntor KEY`.
fn ntor_key(entry: &Entry<'_>) -> Result<[u8; 32], DescriptorError> {
    if entry.item.arg(0) == Some("ntor") { entry.octets(1) } else { Err(entry.error(Fault::Argument)) }
}

/// Reads a certificate of a point and checks its signing key.
fn read_cert<'c>(
    kind: CertType,
    line: &Entry<'_>,
    octets: &'c [u8],
    signer: &DescSigningKey,
) -> Result<UncheckedCert<'c>, DescriptorError> {
    let cert = UncheckedCert::parse(kind, octets).map_err(|error| line.error(error))?;
    if cert.signer() == signer.as_bytes() { Ok(cert) } else { Err(line.error(Fault::Signer)) }
}

/// An introduction point with its new certificates.
pub(super) struct CertifiedPoint<'a> {
    /// The point.
    pub(super) point: &'a IntroPoint,
    /// Certificate 09.
    pub(super) auth: EncodedCert,
    /// Certificate 0B.
    pub(super) enc: EncodedCert,
}

/// Writes the layer, which ends with a line feed.
pub(super) fn write<'a>(
    flow_control: Option<&FlowControl>,
    single_onion: bool,
    points: impl ExactSizeIterator<Item = CertifiedPoint<'a>>,
) -> String {
    let mut text = String::with_capacity(points.len().saturating_mul(800).saturating_add(100));
    text.push_str("create2-formats 2\n");
    if single_onion {
        text.push_str("single-onion-service\n");
    }
    if let Some(flow) = flow_control {
        let _infallible = writeln!(text, "flow-control {} {}", flow.versions, flow.sendme_inc);
    }
    points.for_each(|point| write_point(&mut text, &point));
    text
}

/// Writes one point.
fn write_point(text: &mut String, certified: &CertifiedPoint<'_>) {
    let point = certified.point;
    text.push_str("introduction-point ");
    BASE64.encode_append(point.link_specifiers(), text);
    text.push_str("\nonion-key ntor ");
    BASE64.encode_append(point.onion_key(), text);
    text.push_str("\nauth-key\n");
    write_object(text, "ED25519 CERT", &certified.auth.0);
    text.push_str("\nenc-key ntor ");
    BASE64.encode_append(&point.enc_key().0, text);
    text.push_str("\nenc-key-cert\n");
    write_object(text, "ED25519 CERT", &certified.enc.0);
    text.push('\n');
}
