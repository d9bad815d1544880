//! Makes the frontend's descriptor as C tor 0.4.9 would. The only place where the three layers are put together for writing.

use super::auth::{CLIENT_LINES, ClientPublicKey, Lock};
use super::crypt::{COOKIE_LEN, LayerSecrets, SALT_LEN, Sealed, encrypt};
use super::inner::{self, CertifiedPoint, FlowControl};
use super::keys::PeriodKeys;
use super::point::IntroPoint;
use super::{MAX_INTRO_POINTS, middle, outer};
use onionkeep_common::cert::CertType;
use onionkeep_common::{
    BlindedId, CertBody, EncodedCert, ExpirationHours, Subcredential, UncheckedCert, UnixTime,
};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A descriptor is used for no longer after its upload, in **seconds**: HSDirs keep it for three hours, clients that have it for some more.
const USED_FOR: u64 = 6 * 3600;

/// Why a descriptor cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Clients would refuse it.
    #[error("{0} introduction points are too many, clients refuse more than {MAX_INTRO_POINTS}")]
    TooManyPoints(usize),
    /// One point is listed twice.
    #[error("an introduction point is listed twice")]
    DuplicatePoint,
    /// HSDirs and clients would refuse it.
    #[error("the descriptor would have {length} octets, it must have less than {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: u32,
    },
    /// The certificate is not for these keys.
    #[error("the certificate is not by this period's blinded key for this period's descriptor signing key")]
    Certificate,
    /// The flow-control values are not such as tor writes.
    #[error("the flow-control values are not a version list and a number from 1 to 255")]
    FlowControl,
}

/// The padded middle layer may be so long: 10,000 octets more would pass [`super::MAX_DESCRIPTOR_SIZE`].
const MIDDLE_MOST: usize = 30_000;
/// Octets of the inner layer before the points, and of one point with all kinds of addresses, at most.
const INNER_HEADER: usize = 100;
/// See [`INNER_HEADER`].
const POINT_MOST: usize = 826;
/// Octets of the middle layer beside the lines of clients and the encrypted inner layer, at most.
const MIDDLE_REST: usize = 200;
/// Characters of a descriptor for each padded block.
const BLOCK_TEXT: usize = 13_540;
/// Octets of one `auth-client` line.
const CLIENT_LINE: usize = 70;

/// How many clients a descriptor with so many introduction points has room for.
///
/// Spec: rend-spec-v3, 2.4 (`HSV3MaxDescriptorSize`) and 2.5.1.1.
#[must_use]
pub const fn most_clients(points: usize) -> usize {
    let inner = points.saturating_mul(POINT_MOST).saturating_add(INNER_HEADER);
    // base64 in lines of 64 characters: 65 octets for 48.
    let message = inner.div_ceil(48).saturating_mul(65);
    let room = MIDDLE_MOST.saturating_sub(message).saturating_sub(MIDDLE_REST) / CLIENT_LINE;
    room / CLIENT_LINES * CLIENT_LINES
}

/// How many padded blocks of 10000 octets a descriptor of so many octets has: what an HSDir sees of its content.
///
/// Each block is 13,335 characters of base64 and their 208 line feeds; all that stands around them is less than one.
#[must_use]
pub const fn size_class(octets: usize) -> usize {
    octets / BLOCK_TEXT
}

/// All that goes into one descriptor.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// The frontend's blinded key of the period.
    pub blinded: &'a BlindedId,
    /// Its subcredential.
    pub subcredential: &'a Subcredential,
    /// The certificate 08 for `keys`, made for this upload.
    pub cert08: &'a EncodedCert,
    /// The period's keys.
    pub keys: &'a PeriodKeys,
    /// Revision counter of this upload.
    pub revision: u64,
    /// Congestion control at the backends, `None` to leave the line out.
    pub flow_control: Option<&'a FlowControl>,
    /// Whether the backends are single onion services.
    pub single_onion: bool,
    /// The clients that can read it: everybody if `None`, nobody if empty.
    pub clients: Option<&'a BTreeSet<ClientPublicKey>>,
    /// The points to list, in any order.
    pub intro_points: &'a [IntroPoint],
    /// Limit of the consensus ([`super::MAX_DESCRIPTOR_SIZE`] by default).
    pub max_descriptor_size: u32,
    /// Time of the upload.
    pub now: UnixTime,
}

/// A descriptor of which only the encryption is missing; each HSDir gets its own with [`Prepared::encode`].
pub struct Prepared<'a> {
    /// The draft.
    draft: Draft<'a>,
    /// The middle layer before `encrypted`.
    header: String,
    /// The descriptor cookie, if not everybody may read.
    cookie: Option<Zeroizing<[u8; COOKIE_LEN]>>,
    /// The inner layer.
    inner: String,
}

impl<'a> Draft<'a> {
    /// Makes the certificates 09 and 0B and the inner layer, once for all HSDirs.
    ///
    /// # Errors
    /// [`BuildError`] if the points, the certificate or the flow-control values do not fit.
    ///
    /// Spec: rend-spec-v3, 2.5; C tor, `hs_desc_encode_descriptor`.
    pub fn prepare(&self) -> Result<Prepared<'a>, BuildError> {
        if self.intro_points.len() > MAX_INTRO_POINTS {
            return Err(BuildError::TooManyPoints(self.intro_points.len()));
        }
        if !self.flow_control.is_none_or(FlowControl::is_well_formed) {
            return Err(BuildError::FlowControl);
        }
        self.check_certificate()?;
        let points = self.keys.ordered(self.intro_points);
        if points.windows(2).any(|pair| matches!(pair, [a, b] if a.auth_key() == b.auth_key())) {
            return Err(BuildError::DuplicatePoint);
        }
        let lock = self.clients.map(|clients| Lock::new(self.keys, clients, self.subcredential));
        let header = match &lock {
            None => middle::write_header(self.keys, self.keys.fakes()),
            Some(lock) => middle::write_header(self.keys, lock.lines.iter().copied()),
        };
        let cookie = lock.map(|lock| lock.cookie);
        Ok(Prepared { draft: *self, header, cookie, inner: self.inner(&points) })
    }

    /// The inner layer with the points in this order.
    pub(super) fn inner(&self, points: &[&'a IntroPoint]) -> String {
        let expires = self.points_end();
        let signer = self.keys.signing_key();
        let certify = |point: &&'a IntroPoint| -> CertifiedPoint<'a> {
            let auth = CertBody::intro_auth(point.auth_key(), expires, signer);
            let enc = CertBody::intro_enc_form(point.enc_key_ed25519(), expires, signer);
            CertifiedPoint { point, auth: self.keys.certify(&auth), enc: self.keys.certify(&enc) }
        };
        inner::write(self.flow_control, self.single_onion, points.iter().map(certify))
    }

    /// When the certificates of the points end: as if they were made when certificate 08 was, as C tor makes all of them at once. It can
    /// be of an earlier hour while the signer is away; but clients must have time to use the points.
    fn points_end(&self) -> ExpirationHours {
        let now = ExpirationHours::of_intro_certs(self.now);
        let Ok(cert) = UncheckedCert::parse(CertType::DescSigning, &self.cert08.0) else { return now };
        let then = ExpirationHours(cert.expires().0.saturating_sub(1));
        let is_of_now = cert.expires() == ExpirationHours::of_desc_signing_cert(self.now);
        if is_of_now || then.is_past(self.now.plus(USED_FOR)) { now } else { then }
    }

    /// Checks that certificate 08 names our two keys; its signature was checked by whoever got it.
    fn check_certificate(&self) -> Result<(), BuildError> {
        let cert = UncheckedCert::parse(CertType::DescSigning, &self.cert08.0);
        let cert = cert.map_err(|_malformed| BuildError::Certificate)?;
        let certified = cert.certified() == self.keys.signing_key().as_bytes();
        let good = certified && cert.signer() == self.blinded.as_bytes();
        if good { Ok(()) } else { Err(BuildError::Certificate) }
    }
}

impl Prepared<'_> {
    /// Encrypts and signs one copy; `salts` (inner, middle) must be fresh random octets for each HSDir.
    ///
    /// # Errors
    /// [`BuildError::TooLong`].
    pub fn encode(&self, salts: [[u8; SALT_LEN]; 2]) -> Result<String, BuildError> {
        encode_layers(&self.draft, &self.header, &self.inner, self.cookie.as_deref(), salts)
    }
}

/// Encrypts both layers and signs.
pub(super) fn encode_layers(
    draft: &Draft<'_>,
    header: &str,
    inner: &str,
    cookie: Option<&[u8; COOKIE_LEN]>,
    [inner_salt, middle_salt]: [[u8; SALT_LEN]; 2],
) -> Result<String, BuildError> {
    let secrets = LayerSecrets::new(draft.blinded, draft.subcredential, draft.revision);
    let blob = encrypt(&secrets, Sealed::Inner(cookie), &inner_salt, inner.as_bytes());
    let blob = encrypt(&secrets, Sealed::Middle, &middle_salt, &middle::write(header, &blob));
    let text = outer::write(draft.cert08, draft.revision, &blob);
    let signature = draft.keys.sign(text.as_bytes());
    let text = outer::finish(text, &signature);
    let limit = draft.max_descriptor_size;
    if text.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
        return Err(BuildError::TooLong { length: text.len(), limit });
    }
    Ok(text)
}
