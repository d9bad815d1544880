//! A bundle of certificates: for each period of a request one key and its ladder, an hour a rung.

use super::lines::{FileError, Line, Lines};
use super::request::{clockwork, only, purpose};
use super::{FileDigest, Previous, Purpose, Read, RequestId, WordError, sealed};
use crate::address::OnionAddress;
use crate::blinding::TimePeriod;
use crate::cert::{CERT_LEN, CertType, EncodedCert, UncheckedCert, check_signatures};
use crate::iso::Iso;
use crate::keys::{BlindedId, DescSigningKey};
use crate::ladder::Clockwork;
use crate::units::{ExpirationHours, PeriodNumber, UnixTime};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use data_encoding::{BASE64, HEXLOWER};

/// The first line.
const HEAD: &str = "onionkeep-bundle 1";

/// For which of a request's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The keys that the publisher has.
    Main,
    /// The standby keys, which are in a safe.
    Emergency,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Main => "main",
            Self::Emergency => "emergency",
        })
    }
}

impl FromStr for Kind {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        match text {
            "main" => Ok(Self::Main),
            "emergency" => Ok(Self::Emergency),
            _ => Err(WordError("main or emergency")),
        }
    }
}

/// Where the signer's ledger stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    /// Number of the last line.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// One period's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSlot {
    /// The period.
    pub period: PeriodNumber,
    /// `KP_hs_desc_sign`, which each of them certifies.
    pub key: DescSigningKey,
    /// The expiry of the first; each later one expires an hour later.
    pub first: ExpirationHours,
    /// The rungs.
    pub certs: Vec<EncodedCert>,
}

impl BundleSlot {
    /// The certificate that C tor would have made at `now`, if the ladder reaches there.
    #[must_use]
    pub fn rung(&self, now: UnixTime) -> Option<&EncodedCert> {
        let wanted = ExpirationHours::of_desc_signing_cert(now).0.checked_sub(self.first.0)?;
        self.certs.get(usize::try_from(wanted).ok()?)
    }

    /// The expiry of the rung with this index.
    fn expiry(&self, index: usize) -> Option<ExpirationHours> {
        self.first.0.checked_add(u32::try_from(index).ok()?).map(ExpirationHours)
    }
}

/// A ceremony's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whether it counts.
    pub purpose: Purpose,
    /// For which keys.
    pub kind: Kind,
    /// The frontend.
    pub onion: OnionAddress,
    /// The request that it answers.
    pub request: RequestId,
    /// The digest of that request's file.
    pub request_digest: FileDigest,
    /// As in the request.
    pub sequence: u32,
    /// As in the request.
    pub previous: Previous,
    /// When it was made.
    pub created: UnixTime,
    /// The network's clockwork.
    pub clockwork: Clockwork,
    /// The signer's ledger, with this bundle in it.
    pub ledger: LedgerHead,
    /// The audit key, as `ed25519:HEX` or `p256:HEX`.
    pub auditor: String,
    /// The slots, by period without a gap.
    pub slots: Vec<BundleSlot>,
}

/// The signature at the end of a bundle, for whoever knows the audit key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What is signed.
    pub text: Vec<u8>,
    /// The signature by the audit key.
    pub signature: [u8; 64],
}

impl Bundle {
    /// How many certificates.
    #[must_use]
    pub fn certificates(&self) -> usize {
        self.slots.iter().map(|slot| slot.certs.len()).sum()
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let (rule, banner) = (&self.clockwork.rule, self.purpose.banner());
        let mut text = format!(
            "{HEAD}\n{banner}kind {}\nonion {}\nrequest {} {}\nsequence {}\nprevious {}\ncreated {}\nperiod {} {}\nrun {}\n",
            self.kind,
            self.onion,
            self.request,
            self.request_digest,
            self.sequence,
            self.previous,
            Iso(self.created),
            rule.length.minutes(),
            rule.offset.0,
            self.clockwork.run,
        );
        let (hash, auditor) = (HEXLOWER.encode(&self.ledger.hash), &self.auditor);
        text.push_str(&format!("ledger {} {hash}\nauditor {auditor}\n", self.ledger.sequence));
        text.push_str(&format!("slots {} {}\n", self.slots.len(), self.certificates()));
        for slot in &self.slots {
            let (from, to) = self.clockwork.span(slot.period);
            let key = HEXLOWER.encode(slot.key.as_bytes());
            let count = slot.certs.len();
            text.push_str(&format!(
                "slot {} from {} to {} key {key} {count}\n",
                slot.period,
                Iso(from),
                Iso(to)
            ));
            for (index, cert) in slot.certs.iter().enumerate() {
                let expiry = slot.expiry(index).map_or(0, |expiry| expiry.0);
                text.push_str(&format!("cert {expiry} {}\n", BASE64.encode(&cert.0)));
            }
        }
        text.push_str(&format!("end {} {}\n", self.slots.len(), self.certificates()));
        text
    }

    /// The whole file, with the audit key's signature over [`Bundle::text`].
    #[must_use]
    pub fn to_file(&self, signature: &[u8; 64]) -> String {
        sealed(self.text(), signature)
    }

    /// Reads a file and checks every certificate: signed by the blinded key of the address and period, for the slot's key, one for
    /// each hour of the ladder, none missing, none extra. The signature by the audit key is left to the caller: [`Signed`].
    ///
    /// # Errors
    /// [`FileError`] names the line.
    pub fn parse(file: &[u8]) -> Result<(Read<Self>, Signed), FileError> {
        let mut lines = Lines::open(file, HEAD)?;
        let purpose = purpose(&mut lines)?;
        let kind = lines.value("kind")?;
        let onion: OnionAddress = lines.value("onion")?;
        let mut line = lines.take("request")?;
        let request = RequestId(line.hex("the name of the request")?);
        let request_digest = FileDigest(line.hex("the digest of the request")?);
        line.end()?;
        let sequence = lines.value("sequence")?;
        let previous = lines.value("previous")?;
        let created = lines.value::<Iso>("created")?.0;
        let clockwork = clockwork(&mut lines)?;
        let mut line = lines.take("ledger")?;
        let ledger = LedgerHead { sequence: line.value("a line number")?, hash: line.hex("a hash")? };
        line.end()?;
        let auditor = only(lines.take("auditor")?, |line| line.word("the audit key").map(String::from))?;
        let mut line = lines.take("slots")?;
        let counts: (usize, usize) = (line.value("a count")?, line.value("a count")?);
        if counts.0 == 0 || counts.0 > super::request::SLOTS_MAX {
            return Err(line.wrong(format!("wanted are 1 to {} slots", super::request::SLOTS_MAX)));
        }
        line.end()?;
        let slots = slots(&mut lines, counts.0, &onion, &clockwork)?;
        let content = Self {
            purpose,
            kind,
            onion,
            request,
            request_digest,
            sequence,
            previous,
            created,
            clockwork,
            ledger,
            auditor,
            slots,
        };
        let mut line = lines.take("end")?;
        let ends: (usize, usize) = (line.value("a count")?, line.value("a count")?);
        if ends != counts || counts.1 != content.certificates() {
            return Err(line.wrong("the counts at the end are not those at the start, or not what was read"));
        }
        line.end()?;
        lines.end()?;
        let signed = Signed { text: lines.signed().to_vec(), signature: lines.signature };
        Ok((Read { content, digest: FileDigest::of(file) }, signed))
    }
}

/// `count` slots whose periods follow each other.
fn slots(
    lines: &mut Lines<'_>,
    count: usize,
    onion: &OnionAddress,
    clockwork: &Clockwork,
) -> Result<Vec<BundleSlot>, FileError> {
    let mut slots: Vec<BundleSlot> = Vec::new();
    for _slot in 0..count {
        let slot = slot(lines, onion, clockwork, slots.last().map(|slot| slot.period))?;
        slots.push(slot);
    }
    Ok(slots)
}

/// One slot with its certificates.
fn slot(
    lines: &mut Lines<'_>,
    onion: &OnionAddress,
    clockwork: &Clockwork,
    before: Option<PeriodNumber>,
) -> Result<BundleSlot, FileError> {
    let mut line = lines.take("slot")?;
    let period = PeriodNumber(line.value("the period")?);
    if before.is_some_and(|before| before.next() != period) {
        return Err(line.wrong(format!("period {period} does not follow the one before: there is a gap")));
    }
    let (from, to) = clockwork.span(period);
    for (word, wanted) in [("from", from), ("to", to)] {
        line.literal(word)?;
        if line.value::<Iso>("a time")?.0 != wanted {
            return Err(line.wrong(format!("period {period} is uploaded {word} {}", Iso(wanted))));
        }
    }
    line.literal("key")?;
    let key = DescSigningKey::from_bytes(line.hex("the key")?).map_err(|why| line.wrong(format!("{why}")))?;
    let count: usize = line.value("a count")?;
    let (first, rungs) = (clockwork.ladder(period).0, clockwork.rungs(period));
    if count != rungs {
        return Err(line.wrong(format!("{count} certificates for period {period}, wanted are {rungs}")));
    }
    let blinded = onion.identity().blinded(TimePeriod { number: period, length: clockwork.rule.length });
    let blinded = blinded.map_err(|why| line.wrong(format!("{why}")))?;
    line.end()?;
    let mut slot = BundleSlot { period, key, first, certs: Vec::new() };
    let before = lines.clone();
    for index in 0..count {
        let (_line, cert) = cert(lines, &slot, index, &blinded)?;
        slot.certs.push(cert);
    }
    if !all_signed(&slot, &blinded) {
        // One by one, to name the line.
        let mut again = before;
        for index in 0..count {
            let (line, cert) = cert(&mut again, &slot, index, &blinded)?;
            let good =
                UncheckedCert::parse(CertType::DescSigning, &cert.0).and_then(UncheckedCert::check_signature);
            good.map_err(|why| line.wrong(format!("the certificate is not good: {why}")))?;
        }
    }
    Ok(slot)
}

/// Whether all certificates of a slot are signed by the period's blinded key; asked of all at once, which is much faster.
fn all_signed(slot: &BundleSlot, blinded: &BlindedId) -> bool {
    let parse = |cert| UncheckedCert::parse(CertType::DescSigning, cert);
    let certs = slot.certs.iter().map(|cert| parse(cert.0.as_slice())).collect::<Result<Vec<_>, _>>();
    let signer = DescSigningKey::from_bytes(*blinded.as_bytes());
    certs.is_ok_and(|certs| signer.is_ok_and(|signer| check_signatures(&signer, &certs, &[]).is_ok()))
}

/// One certificate, all of it checked but the signature.
fn cert<'a>(
    lines: &mut Lines<'a>,
    slot: &BundleSlot,
    index: usize,
    blinded: &BlindedId,
) -> Result<(Line<'a>, EncodedCert), FileError> {
    let mut line = lines.take("cert")?;
    let expiry = ExpirationHours(line.value("the hour of expiry")?);
    if slot.expiry(index) != Some(expiry) {
        return Err(line.wrong(format!("hour {} is not the next rung of the ladder", expiry.0)));
    }
    let cert = EncodedCert(line.base64::<CERT_LEN>("the certificate")?);
    let read = UncheckedCert::parse(CertType::DescSigning, &cert.0);
    let read = read.map_err(|why| line.wrong(format!("the certificate is not good: {why}")))?;
    if read.signer() != blinded.as_bytes() {
        return Err(line.wrong("the certificate is not signed by the blinded key of this address and period"));
    }
    if read.certified() != slot.key.as_bytes() {
        return Err(line.wrong("the certificate is for another key than the slot's"));
    }
    if read.expires() != expiry {
        return Err(line.wrong("the certificate expires at another hour than its line says"));
    }
    line.clone().end()?;
    Ok((line, cert))
}
