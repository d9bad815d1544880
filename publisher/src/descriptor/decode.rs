//! Takes a descriptor apart and verifies all of it. The only place where the three layers are put together for reading.

use super::auth::ClientKey;
use super::checked::Checked;
use super::crypt::{CryptError, LayerSecrets, Sealed, decrypt, without_padding};
use super::error::{DescriptorError, Fault, Layer};
use super::inner::{FlowControl, Inner, Pair, RawPoint};
use super::layers::Lengths;
use super::middle::Middle;
use super::outer::Outer;
use super::point::IntroPoint;
use super::table::Table;
use onionkeep_common::cert::{SignatureChecked, check_signatures};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{
    BlindedId, DescSigningKey, ExpirationHours, OnionAddress, Subcredential, TimePeriod, UnixTime,
};

/// A descriptor that was verified: certificates, signatures, MACs, times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Revision counter.
    pub revision: u64,
    /// How long an HSDir keeps it, in **minutes**.
    pub lifetime_minutes: u64,
    /// The key that signed the text.
    pub signing_key: DescSigningKey,
    /// End of the certificate of that key.
    pub cert_expires: ExpirationHours,
    /// The service's blinded key.
    pub blinded: BlindedId,
    /// `auth-client` lines, true and false ones.
    pub auth_client_lines: usize,
    /// Whether a client key was needed.
    pub client_authorization: bool,
    /// Congestion control.
    pub flow_control: Option<FlowControl>,
    /// Whether the service says that it is not anonymous.
    pub single_onion: bool,
    /// Arguments of `pow-params` lines: not empty if the service asks for proof of work.
    pub pow: Vec<String>,
    /// The points that a client could use, in the order of the descriptor.
    pub intro_points: Vec<IntroPoint>,
    /// The points that clients skip, with the reason.
    pub skipped_points: Vec<Skipped>,
    /// Lines that are not known; they are allowed and ignored.
    pub unknown_lines: Vec<UnknownLine>,
    /// Certificates 0B whose key has a sign bit: allowed, but C tor never makes them so.
    pub sign_bits: usize,
    /// Lengths of the layers.
    pub lengths: Lengths,
}

impl Decoded {
    /// Whether there are so many points that clients refuse the descriptor.
    ///
    /// Spec: C tor, `HS_CONFIG_V3_MAX_INTRO_POINTS`.
    #[must_use]
    pub const fn has_too_many_points(&self) -> bool {
        self.intro_points.len() > super::MAX_INTRO_POINTS
    }
}

/// An introduction point that clients skip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its first line in the inner layer.
    pub line: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why clients skip an introduction point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// It has keys of a protocol that is gone.
    #[error("it has a legacy-key")]
    LegacyKey,
    /// It is broken.
    #[error("{0}")]
    Broken(DescriptorError),
}

/// A line that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLine {
    /// The layer.
    pub layer: Layer,
    /// Number of the line in it.
    pub line: usize,
    /// Its keyword.
    pub keyword: String,
}

/// Reads the descriptor of `onion` in `period` and verifies everything in it, for the time `now`.
///
/// A single introduction point that is broken is skipped, as clients do, and listed with its fault.
///
/// # Errors
/// [`DescriptorError`] names layer, line, keyword and fault.
///
/// Spec: rend-spec-v3, 2.4 and 2.5; C tor, `hs_desc_decode_descriptor`.
pub fn decode(
    text: &[u8],
    onion: &OnionAddress,
    period: TimePeriod,
    client_key: Option<&ClientKey>,
    now: UnixTime,
) -> Result<Decoded, DescriptorError> {
    let reader = Reader::new(onion, period).map_err(unblinded)?;
    decode_as(text, &reader.blinded, &reader.subcredential, client_key, Some(now))
}

/// Reads the descriptors of one address in one period, whose keys are derived once.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The period.
    period: TimePeriod,
    /// The address' blinded key.
    blinded: BlindedId,
    /// Its subcredential.
    subcredential: Subcredential,
}

impl Reader {
    /// Derives the keys.
    ///
    /// # Errors
    /// [`KeyError`] if the address cannot be blinded.
    pub fn new(onion: &OnionAddress, period: TimePeriod) -> Result<Self, KeyError> {
        let blinded = onion.identity().blinded(period)?;
        let subcredential = onion.identity().credential().subcredential(&blinded);
        Ok(Self { period, blinded, subcredential })
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> TimePeriod {
        self.period
    }

    /// The blinded key.
    #[must_use]
    pub const fn blinded(&self) -> &BlindedId {
        &self.blinded
    }

    /// As [`decode`], but what is found in `checked` is not checked again.
    ///
    /// # Errors
    /// [`DescriptorError`] names layer, line, keyword and fault.
    pub fn read(
        &self,
        text: &[u8],
        client_key: Option<&ClientKey>,
        now: UnixTime,
        checked: &mut Checked,
    ) -> Result<Decoded, DescriptorError> {
        let outer = Outer::read_checked(text, Some(self.blinded.as_bytes()), checked)?;
        let keys = (&self.blinded, &self.subcredential);
        let decoded = decode_outer(&outer, keys, client_key, Some(now), checked)?;
        checked.remember(decoded.intro_points.iter());
        Ok(decoded)
    }
}

/// The address cannot be blinded.
fn unblinded(error: KeyError) -> DescriptorError {
    DescriptorError::new(Layer::Outer, None, error)
}

/// The revision counter of a descriptor of `onion` in `period`, its outer signatures verified. Needs no client key.
///
/// # Errors
/// [`DescriptorError`] names layer, line, keyword and fault.
///
/// Spec: rend-spec-v3, 2.4.
pub fn revision(
    text: &[u8],
    onion: &OnionAddress,
    period: TimePeriod,
    now: UnixTime,
) -> Result<u64, DescriptorError> {
    let blinded = onion.identity().blinded(period).map_err(unblinded)?;
    let outer = Outer::read(text, Some(blinded.as_bytes()))?;
    outer.timely_cert(Some(now))?;
    outer.check_signature()?;
    Ok(outer.revision)
}

/// Reads a descriptor by its blinded key and subcredential; without `now` no time is checked.
pub(super) fn decode_as(
    text: &[u8],
    blinded: &BlindedId,
    subcredential: &Subcredential,
    client_key: Option<&ClientKey>,
    now: Option<UnixTime>,
) -> Result<Decoded, DescriptorError> {
    let outer = Outer::read(text, Some(blinded.as_bytes()))?;
    decode_outer(&outer, (blinded, subcredential), client_key, now, &Checked::default())
}

/// Reads what is below an outer layer, and checks all signatures.
fn decode_outer(
    outer: &Outer<'_>,
    (blinded, subcredential): (&BlindedId, &Subcredential),
    client_key: Option<&ClientKey>,
    now: Option<UnixTime>,
    checked: &Checked,
) -> Result<Decoded, DescriptorError> {
    let secrets = LayerSecrets::new(blinded, subcredential, outer.revision);
    // The text's signature is checked together with the certificates that the same key made. Until then any fault may be
    // that of a text which the key never signed, so the signature has the first word.
    let decoded = decode_layers(outer, (blinded, &secrets), client_key, now, checked);
    decoded.map_err(|error| outer.check_signature().err().unwrap_or(error))
}

/// Reads the layers below the outer one, and checks its signature with those that are found there.
fn decode_layers(
    outer: &Outer<'_>,
    (blinded, secrets): (&BlindedId, &LayerSecrets<'_>),
    client_key: Option<&ClientKey>,
    now: Option<UnixTime>,
    checked: &Checked,
) -> Result<Decoded, DescriptorError> {
    let cert = outer.timely_cert(now)?;
    let middle_padded = open_middle(outer, secrets)?;
    let middle_text = without_padding(&middle_padded);
    let middle = Middle::read(middle_text)?;
    let (inner_padded, client_authorization) = open_inner(&middle, secrets, client_key)?;
    let inner_text = without_padding(&inner_padded);
    let inner = Inner::read(inner_text)?;
    let points = read_points(&inner.points, outer, now, checked)?;
    Ok(Decoded {
        revision: outer.revision,
        lifetime_minutes: outer.lifetime_minutes,
        signing_key: outer.signing_key,
        cert_expires: cert.expires(),
        blinded: *blinded,
        auth_client_lines: middle.clients.len(),
        client_authorization,
        unknown_lines: unknown_lines(outer, &middle, &inner),
        flow_control: inner.flow_control,
        single_onion: inner.single_onion,
        pow: inner.pow,
        intro_points: points.good,
        skipped_points: points.skipped,
        sign_bits: points.sign_bits,
        lengths: Lengths {
            text: outer.len,
            superencrypted: outer.blob.len(),
            middle_padded: middle_padded.len(),
            middle: middle_text.len(),
            encrypted: middle.blob.len(),
            inner: inner_text.len(),
        },
    })
}

/// Decrypts the middle layer.
fn open_middle(outer: &Outer<'_>, secrets: &LayerSecrets<'_>) -> Result<Vec<u8>, DescriptorError> {
    decrypt(secrets, Sealed::Middle, &outer.blob).map_err(|error| {
        let fault = match error {
            CryptError::Length(len) => Fault::BlobLength(len),
            CryptError::Mac => Fault::MiddleMac,
        };
        let error = DescriptorError::new(Layer::Outer, Some("superencrypted"), fault);
        DescriptorError { line: Some(outer.blob_line), ..error }
    })
}

/// Decrypts the inner layer: with the cookie if a line is for this client, else without. Says whether with.
///
/// Spec: C tor, `desc_decrypt_encrypted`.
fn open_inner(
    middle: &Middle<'_>,
    secrets: &LayerSecrets<'_>,
    client_key: Option<&ClientKey>,
) -> Result<(Vec<u8>, bool), DescriptorError> {
    let find = |key: &ClientKey| key.cookie(&middle.ephemeral, &middle.clients, secrets.subcredential);
    let cookie = client_key.and_then(find);
    let opened = decrypt(secrets, Sealed::Inner(cookie.as_deref()), &middle.blob);
    opened.map(|plaintext| (plaintext, cookie.is_some())).map_err(|error| {
        let fault = match (error, client_key) {
            (CryptError::Length(len), _) => Fault::BlobLength(len),
            (CryptError::Mac, None) => Fault::NeedsClientKey,
            (CryptError::Mac, Some(_key)) => Fault::ClientKeyRefused,
        };
        let error = DescriptorError::new(Layer::Middle, Some("encrypted"), fault);
        DescriptorError { line: Some(middle.blob_line), ..error }
    })
}

/// The introduction points, sorted into good and skipped.
#[derive(Default)]
struct Points {
    /// Good ones.
    good: Vec<IntroPoint>,
    /// Skipped ones.
    skipped: Vec<Skipped>,
    /// Certificates 0B with a sign bit.
    sign_bits: usize,
}

impl Points {
    /// Notes a skipped point.
    fn skip(&mut self, line: usize, reason: SkipReason) {
        self.skipped.push(Skipped { line, reason });
    }

    /// Takes a point whose signatures are good.
    fn take(
        &mut self,
        raw: RawPoint<'_>,
        certs: Pair<SignatureChecked>,
        now: Option<UnixTime>,
        checked: &Checked,
    ) {
        let line = raw.first_line();
        match raw.into_point(certs, now, checked) {
            Ok((point, sign_bit)) => {
                self.good.push(point);
                self.sign_bits = self.sign_bits.saturating_add(usize::from(sign_bit));
            }
            Err(error) => self.skip(line, SkipReason::Broken(error)),
        }
    }
}

/// Reads and checks all introduction points.
fn read_points(
    tables: &[Table<'_>],
    outer: &Outer<'_>,
    now: Option<UnixTime>,
    known: &Checked,
) -> Result<Points, DescriptorError> {
    let mut points = Points::default();
    let mut raws = Vec::new();
    for table in tables {
        match RawPoint::read(table) {
            _legacy if RawPoint::is_legacy(table) => points.skip(table.first_line(), SkipReason::LegacyKey),
            Ok(raw) => raws.push(raw),
            Err(error) => points.skip(table.first_line(), SkipReason::Broken(error)),
        }
    }
    let checked = check_all(&raws, outer)?;
    for (raw, certs) in raws.into_iter().zip(checked) {
        match certs {
            Ok(certs) => points.take(raw, certs, now, known),
            Err(error) => points.skip(raw.first_line(), SkipReason::Broken(error)),
        }
    }
    points.skipped.sort_by_key(|skipped| skipped.line);
    Ok(points)
}

/// The outcome of checking both certificates of a point.
type CheckedPair = Result<Pair<SignatureChecked>, DescriptorError>;

/// Checks the text's signature and the certificates of all points: together, and one by one only if something is wrong.
fn check_all(raws: &[RawPoint<'_>], outer: &Outer<'_>) -> Result<Vec<CheckedPair>, DescriptorError> {
    let signer = &outer.signing_key;
    let certs: Vec<_> = raws.iter().map(|raw| raw.certs(signer)).collect();
    let flat: Vec<_> = certs.iter().flatten().flat_map(|pair| [pair.auth, pair.enc]).collect();
    let (text, signature) = outer.signed();
    let together = match check_signatures(signer, &flat, &[(&text, signature)]) {
        Ok(checked) => checked,
        Err(_one_of_them) => outer.check_signature().map(|()| Vec::new())?,
    };
    let mut together = together.as_chunks::<2>().0.iter().map(|[auth, enc]| Pair { auth: *auth, enc: *enc });
    let check = |(raw, certs): (&RawPoint<'_>, Result<Pair<_>, _>)| {
        let certs = certs?;
        together.next().map_or_else(|| raw.check(&certs), Ok)
    };
    Ok(raws.iter().zip(certs).map(check).collect())
}

/// The lines of all layers that are not known.
fn unknown_lines(outer: &Outer<'_>, middle: &Middle<'_>, inner: &Inner<'_>) -> Vec<UnknownLine> {
    let (header, point) = Inner::known();
    let points = inner.points.iter().flat_map(|table| table.unknown(point));
    let all = outer.table.unknown(Outer::known()).chain(middle.table.unknown(Middle::known()));
    let all = all.chain(inner.header.unknown(header)).chain(points);
    all.map(|(layer, item)| UnknownLine { layer, line: item.line, keyword: item.keyword.to_owned() })
        .collect()
}
