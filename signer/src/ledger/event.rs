//! What a line of the ledger can say, and its words; the only place that spells them. See `docs/LEDGER.md`.

use super::custody::{BackupMade, Custody};
use super::line::Head;
use crate::audit_key::{AuditKey, AuditSignature};
use data_encoding::HEXLOWER;
use onionkeep_common::paper::{FileDigest, Kind, Purpose, RequestId, RequestKey, lines};
use onionkeep_common::wire::Rule;
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, PeriodLength, PeriodNumber, TimePeriod,
};
use std::fmt;
use std::str::{FromStr, Split};

/// What one certificate is for: exactly one is ever released for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The frontend.
    pub onion: OnionAddress,
    /// The period.
    pub period: TimePeriod,
    /// The certified key.
    pub key: DescSigningKey,
    /// The certificate's end, which stands for the hour in which it is asked for.
    pub expires: ExpirationHours,
}

/// What is no longer served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// A key to be certified.
    Key(DescSigningKey),
    /// All of an onion.
    Onion(OnionAddress),
    /// A request of a ceremony.
    Request(RequestId),
}

/// A ceremony's request, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requested {
    /// The frontend.
    pub onion: OnionAddress,
    /// Its name.
    pub id: RequestId,
    /// Of the whole file.
    pub digest: FileDigest,
    /// Its number.
    pub sequence: u32,
    /// Its first period.
    pub first: PeriodNumber,
    /// How many periods.
    pub count: u32,
    /// Whether it counts.
    pub purpose: Purpose,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first line of all.
    Init {
        /// By which checkpoints are signed.
        key: AuditKey,
    },
    /// The first line of a further file, which goes on where the file before ended.
    Rotate {
        /// The number of this file.
        segment: u64,
        /// The hash of the last line of the file before.
        head: Head,
        /// By which checkpoints are signed, as in the first line of all.
        key: AuditKey,
    },
    /// Checkpoints are signed by another key from here on: the token was replaced.
    Rekey {
        /// The new key.
        key: AuditKey,
    },
    /// A signer begins to serve.
    Start {
        /// Its version.
        version: String,
        /// Octets of an unfinished last line that it cut off.
        cut: u64,
    },
    /// A request passed all rules; the vault is asked after this line is on the disk.
    Asked {
        /// For what.
        slot: Slot,
        /// The peer.
        uid: u32,
    },
    /// The certificate; it is released after this line is on the disk.
    Issued {
        /// The number of the line that asked.
        asked: u64,
        /// The certificate.
        cert: EncodedCert,
    },
    /// Requests that were refused since the last line about the same peer and rule.
    Refused {
        /// The peer.
        uid: u32,
        /// The rule.
        rule: Rule,
        /// How many.
        count: u64,
    },
    /// From now on an onion's requests of a ceremony are by this key, and their chain starts anew.
    Enrol {
        /// The frontend.
        onion: OnionAddress,
        /// The key.
        key: RequestKey,
    },
    /// A ceremony's request passed all rules; a line for each of its keys follows, and the token is asked after all of them.
    Request(Requested),
    /// A key of the request before.
    Key {
        /// The frontend.
        onion: OnionAddress,
        /// The period.
        period: TimePeriod,
        /// The certified key.
        key: DescSigningKey,
        /// Which of the two bundles certifies it.
        kind: Kind,
    },
    /// The bundles that answer a request; they leave after this line is on the disk.
    Bundle {
        /// The request's file.
        request: FileDigest,
        /// The bundle's file.
        main: FileDigest,
        /// The emergency bundle's file.
        emergency: Option<FileDigest>,
    },
    /// Something is not served any more; a further file repeats all of these.
    Deny(Denied),
    /// A backup was handed out; it makes earlier ones of the same onion dead. A further file repeats the latest.
    Backup(BackupMade),
    /// A key was restored or copied, or a PIN changed.
    Custody(Custody),
    /// The token's own log went on, which is kept beside the ledger: how many lines, and a hash over all of them.
    DeviceLog {
        /// How many lines.
        count: u64,
        /// The hash over them.
        head: Head,
    },
    /// The audit key's signature over everything up to a line.
    Checkpoint {
        /// The line's number.
        seq: u64,
        /// The line's hash.
        head: Head,
        /// The signature over [`checkpoint_text`].
        signature: AuditSignature,
    },
}

/// What the audit key signs for a checkpoint. No other text that this key signs looks like it.
#[must_use]
pub fn checkpoint_text(seq: u64, head: Head) -> String {
    format!("onionkeep ledger checkpoint v1\n{seq} {head}\n")
}

impl Event {
    /// The word that says what kind of event it is.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Init { .. } => "init",
            Self::Rotate { .. } => "rotate",
            Self::Rekey { .. } => "rekey",
            Self::Start { .. } => "start",
            Self::Asked { .. } => "asked",
            Self::Issued { .. } => "issued",
            Self::Refused { .. } => "refused",
            Self::Enrol { .. } => "enrol",
            Self::Request(_) => "request",
            Self::Key { .. } => "key",
            Self::Bundle { .. } => "bundle",
            Self::Deny(_) => "deny",
            Self::Backup(_) => "backup",
            Self::Custody(_) => "custody",
            Self::DeviceLog { .. } => "device-log",
            Self::Checkpoint { .. } => "checkpoint",
        }
    }

    /// Reads an event's words.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut words = Words(text.split(' '));
        let event = match words.next()? {
            "init" => Self::Init { key: words.key()? },
            "rotate" => {
                Self::Rotate { segment: words.number()?, head: words.next()?.parse()?, key: words.key()? }
            }
            "rekey" => Self::Rekey { key: words.key()? },
            "start" => Self::Start { version: words.version()?, cut: words.number()? },
            "asked" => Self::Asked { slot: words.slot()?, uid: words.number()? },
            "issued" => Self::Issued { asked: words.number()?, cert: words.cert()? },
            "refused" => Self::Refused { uid: words.number()?, rule: words.rule()?, count: words.number()? },
            "enrol" => Self::Enrol { onion: words.onion()?, key: RequestKey(words.hex()?) },
            "request" => Self::Request(words.requested()?),
            "key" => Self::Key {
                onion: words.onion()?,
                period: words.period()?,
                key: words.desc_key()?,
                kind: words.next()?.parse().map_err(|_word| "the kind is main or emergency")?,
            },
            "bundle" => Self::Bundle {
                request: FileDigest(words.hex()?),
                main: FileDigest(words.hex()?),
                emergency: words.digest_or_none()?,
            },
            "deny" => Self::Deny(words.denied()?),
            "backup" => Self::Backup(BackupMade::parse(&mut words)?),
            "custody" => Self::Custody(Custody::parse(&mut words)?),
            "device-log" => Self::DeviceLog { count: words.number()?, head: words.next()?.parse()? },
            "checkpoint" => Self::Checkpoint {
                seq: words.number()?,
                head: words.next()?.parse()?,
                signature: words.next()?.parse().map_err(|_hex| "the signature has not 64 octets in hex")?,
            },
            _ => return Err("its event is not known"),
        };
        if words.0.next().is_some() { Err("it has too many words") } else { Ok(event) }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.word())?;
        match self {
            Self::Init { key } | Self::Rekey { key } => write!(f, "{key}"),
            Self::Rotate { segment, head, key } => write!(f, "{segment} {head} {key}"),
            Self::Start { version, cut } => write!(f, "{version} {cut}"),
            Self::Asked { slot, uid } => write!(f, "{slot} {uid}"),
            Self::Issued { asked, cert } => write!(f, "{asked} {}", HEXLOWER.encode(&cert.0)),
            Self::Refused { uid, rule, count } => write!(f, "{uid} {rule} {count}"),
            Self::Enrol { onion, key } => write!(f, "{} {}", onion.bare(), HEXLOWER.encode(&key.0)),
            Self::Request(requested) => write!(f, "{requested}"),
            Self::Key { onion, period, key, kind } => {
                let (length, key) = (period.length.minutes(), HEXLOWER.encode(key.as_bytes()));
                write!(f, "{} {} {length} {key} {kind}", onion.bare(), period.number)
            }
            Self::Bundle { request, main, emergency: Some(other) } => write!(f, "{request} {main} {other}"),
            Self::Bundle { request, main, emergency: None } => write!(f, "{request} {main} none"),
            Self::Deny(Denied::Request(id)) => write!(f, "request {id}"),
            Self::Deny(Denied::Key(key)) => write!(f, "key {}", HEXLOWER.encode(key.as_bytes())),
            Self::Deny(Denied::Onion(onion)) => write!(f, "onion {}", onion.bare()),
            Self::Backup(made) => write!(f, "{made}"),
            Self::Custody(custody) => write!(f, "{custody}"),
            Self::DeviceLog { count, head } => write!(f, "{count} {head}"),
            Self::Checkpoint { seq, head, signature } => write!(f, "{seq} {head} {signature}"),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { onion, period, key, expires } = self;
        let key = HEXLOWER.encode(key.as_bytes());
        write!(f, "{} {} {} {key} {}", onion.bare(), period.number, period.length.minutes(), expires.0)
    }
}

impl fmt::Display for Requested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { onion, id, digest, sequence, first, count, purpose } = self;
        let purpose = match purpose {
            Purpose::Real => "real",
            Purpose::Rehearsal => "rehearsal",
        };
        write!(f, "{} {id} {digest} {sequence} {first} {count} {purpose}", onion.bare())
    }
}

/// The words of an event that are not read yet.
pub(super) struct Words<'t>(Split<'t, char>);

impl<'t> Words<'t> {
    /// The next word.
    pub(super) fn next(&mut self) -> Result<&'t str, &'static str> {
        self.0.next().ok_or("it has too few words")
    }

    /// A number.
    pub(super) fn number<N: FromStr>(&mut self) -> Result<N, &'static str> {
        self.next()?.parse().map_err(|_number| "a number in it is no number")
    }

    /// An audit key.
    fn key(&mut self) -> Result<AuditKey, &'static str> {
        self.next()?.parse().map_err(|_why| "the audit key is not good")
    }

    /// A version: letters, digits, dots and hyphens.
    fn version(&mut self) -> Result<String, &'static str> {
        let word = self.next()?;
        let fine = |octet: u8| octet.is_ascii_alphanumeric() || b".-+".contains(&octet);
        let good = (1..=32).contains(&word.len()) && word.bytes().all(fine);
        if good { Ok(word.to_owned()) } else { Err("the version is not good") }
    }

    /// An onion address.
    pub(super) fn onion(&mut self) -> Result<OnionAddress, &'static str> {
        self.next()?.parse().map_err(|_address| "the onion address is not good")
    }

    /// A key to be certified.
    fn desc_key(&mut self) -> Result<DescSigningKey, &'static str> {
        let octets = HEXLOWER.decode(self.next()?.as_bytes()).map_err(|_hex| "the key is not hex")?;
        let octets = octets.try_into().map_err(|_length| "the key has not 32 octets")?;
        DescSigningKey::from_bytes(octets).map_err(|_point| "the key is no ed25519 key")
    }

    /// A period: number and length.
    fn period(&mut self) -> Result<TimePeriod, &'static str> {
        let number = PeriodNumber(self.number()?);
        let length = PeriodLength::new(self.number()?).ok_or("the period length is out of range")?;
        Ok(TimePeriod { number, length })
    }

    /// A slot.
    fn slot(&mut self) -> Result<Slot, &'static str> {
        let (onion, period) = (self.onion()?, self.period()?);
        let (key, expires) = (self.desc_key()?, ExpirationHours(self.number()?));
        Ok(Slot { onion, period, key, expires })
    }

    /// Octets in hex.
    fn hex<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        lines::hex(self.next()?).ok_or("a digest, name or key in it is not hex of the right length")
    }

    /// A digest, or the word for none.
    fn digest_or_none(&mut self) -> Result<Option<FileDigest>, &'static str> {
        match self.next()? {
            "none" => Ok(None),
            hex => lines::hex(hex).map(|digest| Some(FileDigest(digest))).ok_or("a digest in it is not hex"),
        }
    }

    /// A ceremony's request.
    fn requested(&mut self) -> Result<Requested, &'static str> {
        let (onion, id, digest) = (self.onion()?, RequestId(self.hex()?), FileDigest(self.hex()?));
        let (sequence, first) = (self.number()?, PeriodNumber(self.number()?));
        let count = self.number()?;
        let purpose = match self.next()? {
            "real" => Purpose::Real,
            "rehearsal" => Purpose::Rehearsal,
            _ => return Err("a request is real or a rehearsal"),
        };
        Ok(Requested { onion, id, digest, sequence, first, count, purpose })
    }

    /// A certificate.
    fn cert(&mut self) -> Result<EncodedCert, &'static str> {
        let octets = HEXLOWER.decode(self.next()?.as_bytes()).map_err(|_hex| "the certificate is not hex")?;
        octets.try_into().map(EncodedCert).map_err(|_length| "the certificate has not 140 octets")
    }

    /// A rule by its name.
    fn rule(&mut self) -> Result<Rule, &'static str> {
        let name = self.next()?;
        let rule = Rule::ALL.iter().copied().find(|rule| rule.name() == name);
        rule.ok_or("the rule is not known")
    }

    /// What is denied.
    fn denied(&mut self) -> Result<Denied, &'static str> {
        match self.next()? {
            "key" => Ok(Denied::Key(self.desc_key()?)),
            "onion" => Ok(Denied::Onion(self.onion()?)),
            "request" => Ok(Denied::Request(RequestId(self.hex()?))),
            _ => Err("only a key, an onion or a request can be denied"),
        }
    }
}
