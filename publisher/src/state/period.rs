//! What a period's file holds: the descriptor's keys, the highest revision counter, the last certificate, what is listed.

use crate::descriptor::{PERIOD_KEYS_LEN, PeriodKeys};
use data_encoding::BASE64_NOPAD;
use onionkeep_common::cert::CERT_LEN;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{DescSigningKey, EncodedCert, IntroAuthKey, OnionAddress, TimePeriod, UnixTime};
use zeroize::Zeroizing;

/// First line of the file.
const HEAD: &str = "onionkeep-publisher period 1";
/// Octets of the seed of the descriptor-signing key.
const SEED_LEN: usize = 32;

/// What must survive a restart about one period of one service.
pub struct PeriodState {
    /// The period.
    pub period: TimePeriod,
    /// The descriptor's keys.
    pub keys: PeriodKeys,
    /// The slot whose descriptor-signing key is used, if it is not one made here: its private half stays in the slot's own file,
    /// so what was read from disk has to be completed by [`PeriodState::complete`].
    pub slot: Option<DescSigningKey>,
    /// The highest revision counter that was used or seen; 0 before the first.
    pub revision: u64,
    /// The last certificate.
    pub cert: Option<EncodedCert>,
    /// The introduction points that were listed last.
    pub listed: Vec<IntroAuthKey>,
    /// Until when the publisher that had this address before has to answer those who know its descriptor.
    pub former_until: Option<UnixTime>,
}

impl PeriodState {
    /// A period in which nothing has happened.
    #[must_use]
    pub const fn new(period: TimePeriod, keys: PeriodKeys) -> Self {
        Self { period, keys, slot: None, revision: 0, cert: None, listed: Vec::new(), former_until: None }
    }

    /// Takes the private half of a slot's key; a certificate of another key goes.
    ///
    /// # Errors
    /// [`KeyError`] never for a key that was made here.
    pub fn complete(&mut self, slot: DescSigningKey, seed: &[u8; SEED_LEN]) -> Result<(), KeyError> {
        self.keys = self.keys.with_signing(seed)?;
        if self.slot != Some(slot) {
            (self.slot, self.cert) = (Some(slot), None);
        }
        Ok(())
    }

    /// Whether the private half of its key is still in the slot's file only.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.slot.is_some_and(|slot| slot != *self.keys.signing_key())
    }

    /// Takes a key that is made anew, when the slot's is gone.
    ///
    /// # Errors
    /// [`KeyError`] never for a key that was made here.
    pub fn replace_key(&mut self, seed: &[u8; SEED_LEN]) -> Result<(), KeyError> {
        self.keys = self.keys.with_signing(seed)?;
        (self.slot, self.cert) = (None, None);
        Ok(())
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
        let mut keys = self.keys.to_bytes();
        if let Some(slot) = &self.slot {
            // The seed comes first; it is in the slot's file and nowhere else.
            keys.iter_mut().take(SEED_LEN).for_each(|octet| *octet = 0);
            line("slot", &encode(slot.as_bytes()));
        }
        line("keys", &encode(&keys[..]));
        line("revision", &self.revision.to_string());
        if let Some(cert) = &self.cert {
            line("certificate", &encode(&cert.0));
        }
        for key in &self.listed {
            line("listed", &encode(key.as_bytes()));
        }
        if let Some(until) = self.former_until {
            line("former-until", &until.0.to_string());
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
        let (mut keys, mut slot, mut revision, mut cert, mut listed) = (None, None, None, None, Vec::new());
        let mut former_until = None;
        for line in lines {
            let (word, value) = line.split_once(' ').ok_or("a line has no value")?;
            match word {
                "onion" if value == onion.to_string() => {}
                "onion" => return Err("it belongs to another onion address"),
                "period" if value == format!("{} {}", period.number.0, period.length.minutes()) => {}
                "period" => return Err("it belongs to another period"),
                "keys" => keys = Some(decode::<PERIOD_KEYS_LEN>(value)?),
                "slot" => {
                    let key = DescSigningKey::from_bytes(*decode(value)?);
                    slot = Some(key.map_err(|_key| "the slot's key is not a key")?);
                }
                "revision" => {
                    revision = Some(value.parse().map_err(|_number| "the revision is not a number")?);
                }
                "certificate" => cert = Some(EncodedCert(*decode::<CERT_LEN>(value)?)),
                "listed" => listed.push(
                    IntroAuthKey::from_bytes(*decode(value)?).map_err(|_key| "a listed key is not a key")?,
                ),
                "former-until" => {
                    let until =
                        value.parse().map_err(|_number| "the end of the former publisher is not a number")?;
                    former_until = Some(UnixTime(until));
                }
                _ => return Err("it has an unknown line"),
            }
        }
        let keys = PeriodKeys::from_bytes(&*keys.ok_or("the keys are missing")?);
        let keys = keys.map_err(|_why| "the keys are not usable")?;
        let revision = revision.ok_or("the revision is missing")?;
        Ok(Self { period, keys, slot, revision, cert, listed, former_until })
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
