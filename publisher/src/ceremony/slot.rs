//! The private half of one slot's key: the only place where it is made, written and read.

use crate::state::file::{self, damaged};
use crate::state::{FileError, StateError};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::paper::Slot;
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, Signature, TimePeriod};
use std::path::Path;
use zeroize::Zeroizing;

/// First line of a slot's file.
const HEAD: &str = "onionkeep-publisher slot 1";

/// `KS_hs_desc_sign` of one period.
pub struct SlotKey {
    /// The period.
    pub period: PeriodNumber,
    /// Its public half.
    pub key: DescSigningKey,
    /// The private half.
    seed: Zeroizing<[u8; 32]>,
}

impl SlotKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`StateError::Random`] without randomness.
    pub fn generate(period: PeriodNumber) -> Result<Self, StateError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(StateError::Random)?;
        Self::from_seed(period, seed)
    }

    /// The key of a seed.
    ///
    /// # Errors
    /// [`StateError::Key`] never; every seed has a key.
    pub fn from_seed(period: PeriodNumber, seed: Zeroizing<[u8; 32]>) -> Result<Self, StateError> {
        let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        Ok(Self { period, key: DescSigningKey::from_bytes(key)?, seed })
    }

    /// The private half.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The slot of a request, with the proof that we hold the private half.
    #[must_use]
    pub fn slot(&self, onion: &OnionAddress, period: TimePeriod) -> Slot {
        let proof = Proof::new(onion.identity(), period.number, period.length.minutes(), &self.key);
        let proof = SigningKey::from_bytes(&self.seed).sign(proof.as_bytes());
        Slot { period: self.period, key: self.key, proof: Signature(proof.to_bytes()) }
    }

    /// The name of its file.
    #[must_use]
    pub fn name(period: PeriodNumber, key: &DescSigningKey) -> String {
        format!("{period}-{}.key", HEXLOWER.encode(key.as_bytes()))
    }

    /// Period and key in the name of a file.
    #[must_use]
    pub fn of_name(name: &str) -> Option<(PeriodNumber, DescSigningKey)> {
        let (period, key) = name.strip_suffix(".key")?.split_once('-')?;
        let key = onionkeep_common::paper::lines::hex(key)?;
        Some((PeriodNumber(period.parse().ok()?), DescSigningKey::from_bytes(key).ok()?))
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    /// [`FileError::Io`] if the system refuses.
    pub fn write(&self, folder: &Path) -> Result<(), FileError> {
        let seed = Zeroizing::new(HEXLOWER.encode(&*self.seed));
        let text = Zeroizing::new(format!("{HEAD}\nperiod {}\nseed {}\n", self.period, *seed));
        file::write(&folder.join(Self::name(self.period, &self.key)), &text)
    }

    /// Reads it from a folder; `None` if it is not there.
    ///
    /// # Errors
    /// [`StateError::File`] if it cannot be read or is damaged.
    pub fn read(
        folder: &Path,
        period: PeriodNumber,
        key: &DescSigningKey,
    ) -> Result<Option<Self>, StateError> {
        let path = folder.join(Self::name(period, key));
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let seed = text
            .strip_prefix(HEAD)
            .and_then(|rest| rest.strip_prefix(&format!("\nperiod {period}\nseed ")))
            .and_then(|rest| seed(rest.trim_end_matches('\n')))
            .ok_or_else(|| damaged(&path, "it is not the slot of its name"))?;
        let slot = Self::from_seed(period, seed)?;
        if slot.key == *key { Ok(Some(slot)) } else { Err(damaged(&path, "it holds another key").into()) }
    }
}

/// A seed from hex.
pub(super) fn seed(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let octets = Zeroizing::new(HEXLOWER.decode(text.as_bytes()).ok()?);
    let mut seed = Zeroizing::new([0; 32]);
    if octets.len() != seed.len() {
        return None;
    }
    seed.copy_from_slice(&octets);
    Some(seed)
}
