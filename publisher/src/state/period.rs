//! What a period's file holds: the descriptor's keys, the highest revision counter, the last certificate, what is listed.

use crate::descriptor::{PERIOD_KEYS_LEN, PeriodKeys};
use data_encoding::BASE64_NOPAD;
use onionkeep_common::cert::CERT_LEN;
use onionkeep_common::{EncodedCert, IntroAuthKey, OnionAddress, TimePeriod};
use zeroize::Zeroizing;

/// First line of the file.
const HEAD: &str = "onionkeep-publisher period 1";

/// What must survive a restart about one period of one service.
pub struct PeriodState {
    /// The period.
    pub period: TimePeriod,
    /// The descriptor's keys.
    pub keys: PeriodKeys,
    /// The highest revision counter that was used or seen; 0 before the first.
    pub revision: u64,
    /// The last certificate.
    pub cert: Option<EncodedCert>,
    /// The introduction points that were listed last.
    pub listed: Vec<IntroAuthKey>,
}

impl PeriodState {
    /// A period in which nothing has happened.
    #[must_use]
    pub const fn new(period: TimePeriod, keys: PeriodKeys) -> Self {
        Self { period, keys, revision: 0, cert: None, listed: Vec::new() }
    }

    /// The counter for the next upload: the curve's, or one above the highest if that is not below it.
    ///
    /// Spec: rend-spec-v3, F.2; C tor, `cache_store_v3_as_dir`.
    #[must_use]
    pub fn next_revision(&self, curve: u64) -> u64 {
        curve.max(self.revision.saturating_add(1))
    }

    /// The file's text.
    pub(super) fn to_text(&self, onion: &OnionAddress) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(4096));
        let mut line = |word: &str, value: &str| {
            text.push_str(word);
            text.push(' ');
            text.push_str(value);
            text.push('\n');
        };
        let (name, version) = HEAD.split_once(' ').unwrap_or_default();
        line(name, version);
        line("onion", &onion.to_string());
        line("period", &format!("{} {}", self.period.number.0, self.period.length.minutes()));
        line("keys", &encode(&self.keys.to_bytes()[..]));
        line("revision", &self.revision.to_string());
        if let Some(cert) = &self.cert {
            line("certificate", &encode(&cert.0));
        }
        for key in &self.listed {
            line("listed", &encode(key.as_bytes()));
        }
        text
    }

    /// Reads the file's text; the error says what is wrong.
    pub(super) fn from_text(
        text: &str,
        onion: &OnionAddress,
        period: TimePeriod,
    ) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err("it is not a period file of this version");
        }
        let (mut keys, mut revision, mut cert, mut listed) = (None, None, None, Vec::new());
        for line in lines {
            let (word, value) = line.split_once(' ').ok_or("a line has no value")?;
            match word {
                "onion" if value == onion.to_string() => {}
                "onion" => return Err("it belongs to another onion address"),
                "period" if value == format!("{} {}", period.number.0, period.length.minutes()) => {}
                "period" => return Err("it belongs to another period"),
                "keys" => keys = Some(decode::<PERIOD_KEYS_LEN>(value)?),
                "revision" => {
                    revision = Some(value.parse().map_err(|_number| "the revision is not a number")?);
                }
                "certificate" => cert = Some(EncodedCert(*decode::<CERT_LEN>(value)?)),
                "listed" => listed.push(
                    IntroAuthKey::from_bytes(*decode(value)?).map_err(|_key| "a listed key is not a key")?,
                ),
                _ => return Err("it has an unknown line"),
            }
        }
        let keys = PeriodKeys::from_bytes(&*keys.ok_or("the keys are missing")?);
        let keys = keys.map_err(|_why| "the keys are not usable")?;
        Ok(Self { period, keys, revision: revision.ok_or("the revision is missing")?, cert, listed })
    }
}

/// Octets as text, wiped when dropped.
fn encode(octets: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64_NOPAD.encode(octets))
}

/// Text as octets, wiped when dropped.
fn decode<const N: usize>(text: &str) -> Result<Zeroizing<[u8; N]>, &'static str> {
    let octets = BASE64_NOPAD.decode(text.as_bytes()).map_err(|_position| "a value is not base64")?;
    let octets = Zeroizing::new(octets);
    let mut fixed = Zeroizing::new([0; N]);
    if octets.len() != N {
        return Err("a value has the wrong length");
    }
    fixed.copy_from_slice(&octets);
    Ok(fixed)
}
