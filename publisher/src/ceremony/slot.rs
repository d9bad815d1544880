//! The private half of one slot's key: the only place where it is made, written and read.

use super::seal::{self, Seal};
use crate::state::StateError;
use crate::state::file::{self, damaged};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::paper::Slot;
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, Signature, TimePeriod};
use std::path::Path;
use zeroize::Zeroizing;

/// First line of a slot's file.
const HEAD: &str = "onionkeep-publisher slot 1";
/// First line of a slot's file whose key is sealed.
const SEALED_HEAD: &str = "onionkeep-publisher slot 2";

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

    /// The name under which its private half is sealed, so that no slot opens in another's place.
    fn sealed_name(period: PeriodNumber, key: &DescSigningKey) -> String {
        format!("onionkeep-slot-{period}-{}", HEXLOWER.encode(key.as_bytes()))
    }

    /// Writes it into a folder, sealed or not.
    ///
    /// # Errors
    /// [`StateError::File`] if the system refuses, [`StateError::Seal`] if it cannot be sealed.
    pub fn write(&self, folder: &Path, seal: Seal) -> Result<(), StateError> {
        let seed = Zeroizing::new(HEXLOWER.encode(&*self.seed));
        let period = self.period;
        let text = if seal == Seal::Plain {
            Zeroizing::new(format!("{HEAD}\nperiod {period}\nseed {}\n", *seed))
        } else {
            let sealed = seal::seal(seed.as_bytes(), seal, &Self::sealed_name(period, &self.key))?;
            Zeroizing::new(format!("{SEALED_HEAD}\nperiod {period}\nsealed {seal} {sealed}\n"))
        };
        Ok(file::write(&folder.join(Self::name(period, &self.key)), &text)?)
    }

    /// Reads it from a folder and opens it if it is sealed; `None` if it is not there.
    ///
    /// # Errors
    /// [`StateError::File`] if it cannot be read or is damaged, [`StateError::Seal`] if this machine cannot open it.
    pub fn read(
        folder: &Path,
        period: PeriodNumber,
        key: &DescSigningKey,
    ) -> Result<Option<Self>, StateError> {
        let path = folder.join(Self::name(period, key));
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let other = || damaged(&path, "it is not the slot of its name");
        let plain = text.strip_prefix(HEAD).map(|rest| (rest, "seed "));
        let sealed = || text.strip_prefix(SEALED_HEAD).map(|rest| (rest, "sealed "));
        let (rest, word) = plain.or_else(sealed).ok_or_else(other)?;
        let rest = rest.strip_prefix(&format!("\nperiod {period}\n{word}")).ok_or_else(other)?;
        let rest = rest.trim_end_matches('\n');
        let found = if word == "seed " {
            seed(rest)
        } else {
            let (kind, sealed) = rest.split_once(' ').ok_or_else(other)?;
            kind.parse::<Seal>().map_err(|_kind| other())?;
            let opened = seal::open(sealed, &Self::sealed_name(period, key))?;
            str::from_utf8(&opened).ok().and_then(seed)
        };
        let slot = Self::from_seed(period, found.ok_or_else(other)?)?;
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
