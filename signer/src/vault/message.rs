//! What gate and vault say to each other, and how it stands in a packet; the only place that knows those octets.
//!
//! A packet is: version, kind, the question's id (8 octets), the fields, nothing after them. Numbers are big-endian.
//! Nothing in an [`Ask`] is ever signed as it stands: the vault builds what it signs from the fields.

use crate::audit_key::{AuditKey, AuditSignature};
use crate::ledger::Head;
use crate::ledger::device_log::DeviceLog;
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, IdentityKey, OnionAddress, PeriodLength, PeriodNumber,
    TimePeriod,
};
use onionkeep_core::CertTerms;

/// The longest packet, in octets.
pub const PACKET_MAX: usize = 1024;
/// Reasons are cut to this many octets.
const TEXT_MAX: usize = 512;
/// The version of this encoding; gate and vault are one binary, so there is only one.
const VERSION: u8 = 1;

/// Which question an answer belongs to; 0 is an answer that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// The count of a vault among those that were started for one gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// What the gate may ask of the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A certificate for an onion.
    Certify {
        /// Whose identity.
        onion: OnionAddress,
        /// What it is to say.
        terms: CertTerms,
    },
    /// Do all that a certificate of an onion needs, and drop the result, which would be of no use to anybody.
    SelfTest {
        /// Whose identity.
        onion: OnionAddress,
    },
    /// A signature of the audit key under the ledger's head.
    SignHead {
        /// How many lines the ledger has.
        seq: u64,
        /// The hash of the last one.
        head: [u8; 32],
    },
    /// How much of the token's own log is on record.
    DeviceLog,
}

/// What the vault answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The certificate, verified by the core.
    Certificate(EncodedCert),
    /// The self test went well.
    Well,
    /// The audit key's signature.
    HeadSignature(AuditSignature),
    /// How much of the token's own log is on record, if it keeps one.
    DeviceLog(Option<DeviceLog>),
    /// Unasked: this vault has done a step of its start.
    Starting(Generation),
    /// Unasked: this vault has checked everything and is hardened.
    Ready {
        /// Which vault.
        generation: Generation,
        /// The token's public audit key, if it has one.
        audit: Option<AuditKey>,
    },
    /// Others are asking; ask again after `retry_after` **seconds**.
    Busy {
        /// Why, for the log.
        why: String,
        /// Seconds.
        retry_after: u32,
    },
    /// The token does not answer; ask again after `retry_after` **seconds**.
    Away {
        /// Why, for the log.
        why: String,
        /// Seconds.
        retry_after: u32,
    },
    /// Something else failed; asking again is useless.
    Failed(String),
}

/// A packet that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet between gate and vault cannot be read: {0}")]
pub struct MessageError(&'static str);

/// A packet being written.
struct Writer(Vec<u8>);

impl Writer {
    /// Starts a packet.
    fn new(kind: u8, id: AskId) -> Self {
        let mut octets = Vec::with_capacity(PACKET_MAX);
        octets.extend_from_slice(&[VERSION, kind]);
        octets.extend_from_slice(&id.0.to_be_bytes());
        Self(octets)
    }

    /// Appends octets.
    fn with(mut self, octets: &[u8]) -> Self {
        self.0.extend_from_slice(octets);
        self
    }

    /// Appends the number of seconds and a reason, cut where it is too long.
    fn reason(self, seconds: u32, why: &str) -> Self {
        let mut end = why.len().min(TEXT_MAX);
        while !why.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let cut = why.get(..end).unwrap_or_default();
        self.with(&seconds.to_be_bytes()).with(cut.as_bytes())
    }
}

/// A packet being read.
struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    /// The kind and the id at the start of a packet.
    fn new(packet: &'p [u8]) -> Result<(u8, AskId, Self), MessageError> {
        if packet.len() > PACKET_MAX {
            return Err(MessageError("it is too long"));
        }
        let mut reader = Self(packet);
        let [version, kind] = reader.array()?;
        if version != VERSION {
            return Err(MessageError("it is of another version"));
        }
        let id = AskId(reader.u64()?);
        Ok((kind, id, reader))
    }

    /// The next octets.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(MessageError("it is too short"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next number of 8 octets.
    fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next number of 4 octets.
    fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Everything that is left, as text.
    fn text(&mut self) -> Result<String, MessageError> {
        let text = std::str::from_utf8(self.0).map_err(|_why| MessageError("its reason is not text"))?;
        if text.len() > TEXT_MAX {
            return Err(MessageError("its reason is too long"));
        }
        self.0 = &[];
        Ok(text.to_owned())
    }

    /// Nothing may be left.
    fn end<T>(self, value: T) -> Result<T, MessageError> {
        if self.0.is_empty() { Ok(value) } else { Err(MessageError("it goes on after its end")) }
    }
}

impl Ask {
    /// The packet of this question.
    #[must_use]
    pub fn to_packet(&self, id: AskId) -> Vec<u8> {
        let writer = match self {
            Self::Certify { onion, terms } => Writer::new(1, id)
                .with(onion.identity().as_bytes())
                .with(&terms.period.number.0.to_be_bytes())
                .with(&terms.period.length.minutes().to_be_bytes())
                .with(terms.key.as_bytes())
                .with(&terms.expires.0.to_be_bytes()),
            Self::SelfTest { onion } => Writer::new(3, id).with(onion.identity().as_bytes()),
            Self::SignHead { seq, head } => Writer::new(5, id).with(&seq.to_be_bytes()).with(head),
            Self::DeviceLog => Writer::new(7, id),
        };
        writer.0
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`MessageError`] if it is no question of this version.
    pub fn parse(packet: &[u8]) -> Result<(AskId, Self), MessageError> {
        let (kind, id, mut reader) = Reader::new(packet)?;
        let ask = match kind {
            1 => certify(&mut reader)?,
            3 => Self::SelfTest { onion: onion(&mut reader)? },
            5 => Self::SignHead { seq: reader.u64()?, head: reader.array()? },
            7 => Self::DeviceLog,
            _ => return Err(MessageError("it is no question")),
        };
        reader.end((id, ask))
    }
}

/// An onion, by its identity key.
fn onion(reader: &mut Reader<'_>) -> Result<OnionAddress, MessageError> {
    let identity = IdentityKey::from_bytes(reader.array()?);
    identity.map(OnionAddress::new).map_err(|_why| MessageError("its onion is no key"))
}

/// The fields of [`Ask::Certify`].
fn certify(reader: &mut Reader<'_>) -> Result<Ask, MessageError> {
    let onion = onion(reader)?;
    let number = PeriodNumber(reader.u64()?);
    let length = PeriodLength::new(reader.u32()?).ok_or(MessageError("its period length is out of range"))?;
    let key =
        DescSigningKey::from_bytes(reader.array()?).map_err(|_why| MessageError("its key is no key"))?;
    let expires = ExpirationHours(reader.u32()?);
    let terms = CertTerms { period: TimePeriod { number, length }, key, expires };
    Ok(Ask::Certify { onion, terms })
}

impl Answer {
    /// The packet of this answer.
    #[must_use]
    pub fn to_packet(&self, id: AskId) -> Vec<u8> {
        let writer = match self {
            Self::Certificate(cert) => Writer::new(2, id).with(&cert.0),
            Self::Well => Writer::new(4, id),
            Self::HeadSignature(signature) => Writer::new(6, id).with(&signature.0),
            Self::Starting(generation) => Writer::new(8, id).with(&generation.0.to_be_bytes()),
            Self::Ready { generation, audit } => {
                let writer = Writer::new(10, id).with(&generation.0.to_be_bytes());
                match audit {
                    None => writer.with(&[0]),
                    Some(AuditKey::Ed25519(key)) => writer.with(&[1]).with(key),
                    Some(AuditKey::P256(key)) => writer.with(&[2]).with(key),
                }
            }
            Self::Busy { why, retry_after } => Writer::new(12, id).reason(*retry_after, why),
            Self::Away { why, retry_after } => Writer::new(14, id).reason(*retry_after, why),
            Self::Failed(why) => Writer::new(16, id).reason(0, why),
            Self::DeviceLog(None) => Writer::new(18, id).with(&[0]),
            Self::DeviceLog(Some(log)) => {
                Writer::new(18, id).with(&[1]).with(&log.count.to_be_bytes()).with(&log.head.0)
            }
        };
        writer.0
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`MessageError`] if it is no answer of this version.
    pub fn parse(packet: &[u8]) -> Result<(AskId, Self), MessageError> {
        let (kind, id, mut reader) = Reader::new(packet)?;
        let answer = match kind {
            2 => Self::Certificate(EncodedCert(reader.array()?)),
            4 => Self::Well,
            6 => Self::HeadSignature(AuditSignature(reader.array()?)),
            8 => Self::Starting(Generation(reader.u32()?)),
            10 => Self::Ready { generation: Generation(reader.u32()?), audit: audit(&mut reader)? },
            12 => Self::Busy { retry_after: reader.u32()?, why: reader.text()? },
            14 => Self::Away { retry_after: reader.u32()?, why: reader.text()? },
            16 => {
                if reader.u32()? != 0 {
                    return Err(MessageError("it failed, but says when asking again may help"));
                }
                Self::Failed(reader.text()?)
            }
            18 => Self::DeviceLog(device_log(&mut reader)?),
            _ => return Err(MessageError("it is no answer")),
        };
        reader.end((id, answer))
    }
}

/// The content of [`Answer::DeviceLog`].
fn device_log(reader: &mut Reader<'_>) -> Result<Option<DeviceLog>, MessageError> {
    let [there] = reader.array()?;
    match there {
        0 => Ok(None),
        1 => Ok(Some(DeviceLog { count: reader.u64()?, head: Head(reader.array()?) })),
        _ => Err(MessageError("its log is neither there nor missing")),
    }
}

/// The audit key of [`Answer::Ready`].
fn audit(reader: &mut Reader<'_>) -> Result<Option<AuditKey>, MessageError> {
    let [kind] = reader.array()?;
    match kind {
        0 => Ok(None),
        1 => Ok(Some(AuditKey::Ed25519(reader.array()?))),
        2 => Ok(Some(AuditKey::P256(reader.array()?))),
        _ => Err(MessageError("its audit key is of no known kind")),
    }
}

#[cfg(test)]
mod tests;
