//! A request for certificates: one descriptor-signing key per period, each with a proof that its private half is held.

use super::lines::{FileError, Line, Lines};
use super::{FileDigest, Previous, Purpose, Read, RequestId, sealed};
use crate::address::OnionAddress;
use crate::iso::Iso;
use crate::keys::{DescSigningKey, KeyError, Signature};
use crate::ladder::Clockwork;
use crate::period::PeriodRule;
use crate::units::{Minutes, PeriodLength, PeriodNumber, UnixTime};
use crate::wire::CertifyRequest;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::VerifyingKey;

/// The first line.
const HEAD: &str = "onionkeep-request 1";
/// Slots in one request at most, whatever the policy says.
pub const SLOTS_MAX: usize = 400;

/// The key with which a publisher signs its requests; the signer knows it since the first ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKey(pub [u8; 32]);

impl RequestKey {
    /// Checks a signature over a request.
    ///
    /// # Errors
    /// [`KeyError`] if it is not by this key, or this is no key.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_opaque| KeyError::NotAPoint)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).map_err(|_opaque| KeyError::BadSignature)
    }
}

/// One period's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The period.
    pub period: PeriodNumber,
    /// `KP_hs_desc_sign` for it.
    pub key: DescSigningKey,
    /// As in a [`CertifyRequest`]: shows that whoever asks holds the private half.
    pub proof: Signature,
}

/// What a publisher asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether it counts.
    pub purpose: Purpose,
    /// The frontend.
    pub onion: OnionAddress,
    /// Its name.
    pub id: RequestId,
    /// Counts the requests of this frontend from 1.
    pub sequence: u32,
    /// The bundle that answers the request before.
    pub previous: Previous,
    /// When it was made.
    pub created: UnixTime,
    /// The network's clockwork.
    pub clockwork: Clockwork,
    /// Who asks.
    pub requester: RequestKey,
    /// Keys whose private halves the publisher has, by period without a gap.
    pub slots: Vec<Slot>,
    /// Keys whose private halves are in a safe, for the same periods; or none.
    pub standby: Vec<Slot>,
}

impl Request {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let (rule, banner) = (&self.clockwork.rule, self.purpose.banner());
        let mut text = format!(
            "{HEAD}\n{banner}onion {}\nrequest {}\nsequence {}\nprevious {}\ncreated {}\nperiod {} {}\nrun {}\nby {}\n",
            self.onion,
            self.id,
            self.sequence,
            self.previous,
            Iso(self.created),
            rule.length.minutes(),
            rule.offset.0,
            self.clockwork.run,
            HEXLOWER.encode(&self.requester.0),
        );
        text.push_str(&format!("slots {} {}\n", self.slots.len(), self.standby.len()));
        for (name, slots) in [("slot", &self.slots), ("standby", &self.standby)] {
            for slot in slots {
                let key = HEXLOWER.encode(slot.key.as_bytes());
                let proof = BASE64.encode(&slot.proof.0);
                text.push_str(&format!("{name} {} {key} {proof}\n", slot.period));
            }
        }
        text.push_str(&format!("end {} {}\n", self.slots.len(), self.standby.len()));
        text
    }

    /// The whole file, with the signature that `sign` makes over [`Request::text`].
    #[must_use]
    pub fn to_file(&self, sign: impl FnOnce(&[u8]) -> Signature) -> String {
        let text = self.text();
        let signature = sign(text.as_bytes());
        sealed(text, &signature.0)
    }

    /// Reads a file: its form, that its periods have no gap, its signature by the key that it names, and every proof. Not whether
    /// anybody may ask for this.
    ///
    /// # Errors
    /// [`FileError`] names the line.
    pub fn parse(file: &[u8]) -> Result<Read<Self>, FileError> {
        let mut lines = Lines::open(file, HEAD)?;
        let purpose = purpose(&mut lines)?;
        let onion = lines.value("onion")?;
        let id = RequestId(only(lines.take("request")?, |line| line.hex("the name of the request"))?);
        let sequence = lines.value("sequence")?;
        let previous = lines.value("previous")?;
        let created = lines.value::<Iso>("created")?.0;
        let clockwork = clockwork(&mut lines)?;
        let requester = RequestKey(only(lines.take("by")?, |line| line.hex("the key of who asks"))?);
        let mut counts = lines.take("slots")?;
        let (count, standby): (usize, usize) = (counts.value("a count")?, counts.value("a count")?);
        if count == 0 || count > SLOTS_MAX || (standby != 0 && standby != count) {
            return Err(
                counts.wrong(format!("wanted are 1 to {SLOTS_MAX} slots, and as many standby keys or none"))
            );
        }
        counts.end()?;
        let slots = slots(&mut lines, "slot", count)?;
        let standby = slots_like(&mut lines, standby, &slots)?;
        let mut end = lines.take("end")?;
        let ends: (usize, usize) = (end.value("a count")?, end.value("a count")?);
        if ends != (slots.len(), standby.len()) {
            return Err(end.wrong("the counts at the end are not those at the start"));
        }
        end.end()?;
        lines.end()?;
        let content =
            Self { purpose, onion, id, sequence, previous, created, clockwork, requester, slots, standby };
        content.check(&lines)?;
        Ok(Read { content, digest: FileDigest::of(file) })
    }

    /// The signature and every proof.
    fn check(&self, lines: &Lines<'_>) -> Result<(), FileError> {
        let signature = Signature(lines.signature);
        let last = self.text().split('\n').count();
        self.requester.verify(lines.signed(), &signature).map_err(|why| {
            FileError::new(last, format!("the signature is not by the key in the line \"by\": {why}"))
        })?;
        for slot in self.slots.iter().chain(&self.standby) {
            self.certify_request(slot).check_proof().map_err(|why| {
                let what = format!("slot {}: the proof for its key is wrong: {why}", slot.period);
                FileError::new(last, what)
            })?;
        }
        Ok(())
    }

    /// What a slot asks for, as a signer's socket would be asked.
    #[must_use]
    pub fn certify_request(&self, slot: &Slot) -> CertifyRequest {
        let length = self.clockwork.rule.length.minutes();
        CertifyRequest {
            onion: *self.onion.identity(),
            period: slot.period,
            length,
            key: slot.key,
            proof: slot.proof,
        }
    }
}

/// The banner of a rehearsal, if it is there.
pub(super) fn purpose(lines: &mut Lines<'_>) -> Result<Purpose, FileError> {
    if !lines.is_next("must-rehearsal") {
        return Ok(Purpose::Real);
    }
    let mut line = lines.take("must-rehearsal")?;
    for word in Purpose::BANNER.trim_end().split(' ').skip(1) {
        line.literal(word)?;
    }
    line.end()?;
    Ok(Purpose::Rehearsal)
}

/// The lines `period` and `run`.
pub(super) fn clockwork(lines: &mut Lines<'_>) -> Result<Clockwork, FileError> {
    let mut line = lines.take("period")?;
    let length = line.value("the length of a period")?;
    let length = PeriodLength::new(length).ok_or_else(|| line.wrong("there is no period of that length"))?;
    let offset = Minutes(line.value("the offset of the periods")?);
    line.end()?;
    let mut line = lines.take("run")?;
    let run = line.value("the length of a run")?;
    if !(1..=86_400 * 31).contains(&run) {
        return Err(line.wrong("a run is from one second to 31 days long"));
    }
    line.end()?;
    Ok(Clockwork { rule: PeriodRule { length, offset }, run })
}

/// Reads a line that has one value.
pub(super) fn only<'a, T>(
    mut line: Line<'a>,
    read: impl FnOnce(&mut Line<'a>) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let value = read(&mut line)?;
    line.end()?;
    Ok(value)
}

/// `count` slots whose periods follow each other.
fn slots(lines: &mut Lines<'_>, name: &'static str, count: usize) -> Result<Vec<Slot>, FileError> {
    let mut slots: Vec<Slot> = Vec::new();
    for _slot in 0..count {
        let mut line = lines.take(name)?;
        let period = PeriodNumber(line.value("the period")?);
        let gap = slots.last().is_some_and(|last: &Slot| last.period.next() != period);
        if gap {
            return Err(line.wrong(format!("period {period} does not follow the one before: there is a gap")));
        }
        let key =
            DescSigningKey::from_bytes(line.hex("the key")?).map_err(|why| line.wrong(format!("{why}")))?;
        let proof = Signature(line.base64("the proof")?);
        line.end()?;
        slots.push(Slot { period, key, proof });
    }
    Ok(slots)
}

/// Standby keys for the same periods as `main`, or none.
fn slots_like(lines: &mut Lines<'_>, count: usize, main: &[Slot]) -> Result<Vec<Slot>, FileError> {
    let standby = slots(lines, "standby", count)?;
    let same = standby.iter().zip(main).all(|(one, other)| one.period == other.period);
    if same {
        Ok(standby)
    } else {
        Err(FileError::new(1, "the standby keys are for other periods than the keys"))
    }
}
