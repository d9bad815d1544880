//! The order-preserving revision counter. The only place where a time becomes a counter.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use onionkeep_common::{OnionAddress, TimePeriod, UnixTime};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroize;

/// The largest position: 2^18 seconds, about 72.8 hours.
///
/// Spec: rend-spec-v3, F.2; C tor, `OPE_INPUT_MAX`.
pub const MAX_POSITION: u64 = 1 << 18;

/// Starts the text that a period's counter key is derived from.
const DERIVE_PREFIX: &[u8] = b"onionkeep revision counter key v1";

/// A position outside the range of the cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision counter position is 1 to {MAX_POSITION}, not {0}")]
pub struct PositionError(pub u64);

/// The position of an upload: seconds from the start of its protocol run plus one, kept in 1 to 2^18 as C tor does.
///
/// Spec: C tor, `set_descriptor_revision_counter`.
#[must_use]
pub fn position(now: UnixTime, run_start: UnixTime) -> u64 {
    now.since(run_start).saturating_add(1).min(MAX_POSITION)
}

/// The secret key of one period's counters.
///
/// A key per period keeps HSDirs from linking the blinded keys of one service.
///
/// Spec: rend-spec-v3, F.2.
pub struct CounterKey([u8; 32]);

impl CounterKey {
    /// The key of one onion and period, from the publisher's persistent secret.
    #[must_use]
    pub fn derive(secret: &[u8; 32], onion: &OnionAddress, period: TimePeriod) -> Self {
        let hash = Sha3_256::new()
            .chain_update(DERIVE_PREFIX)
            .chain_update(secret)
            .chain_update(onion.identity().as_bytes())
            .chain_update(u64::from(period.length.minutes()).to_be_bytes())
            .chain_update(period.number.0.to_be_bytes());
        Self(hash.finalize().into())
    }

    /// Takes a key as it is: one that C tor would use, to go on where a C tor service stopped.
    #[must_use]
    pub const fn from_raw(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The counter of a position: the sum of the first `position` words of the key stream, each plus one.
    ///
    /// # Errors
    /// [`PositionError`] for 0 and for more than [`MAX_POSITION`].
    ///
    /// Spec: rend-spec-v3, F.2; C tor, `crypto_ope_encrypt`.
    pub fn counter_at(&self, position: u64) -> Result<u64, PositionError> {
        if position == 0 || position > MAX_POSITION {
            return Err(PositionError(position));
        }
        let mut cipher = Ctr128BE::<Aes256>::new(&self.0.into(), &[0; 16].into());
        let mut block = [0_u8; 4096];
        let mut left = usize::try_from(position).map_err(|_too_big| PositionError(position))?;
        let mut sum = position;
        while left > 0 {
            block.fill(0);
            cipher.apply_keystream(&mut block);
            let (words, _rest) = block.as_chunks::<2>();
            sum = words
                .iter()
                .take(left)
                .fold(sum, |sum, word| sum.wrapping_add(u16::from_le_bytes(*word).into()));
            left = left.saturating_sub(words.len());
        }
        block.zeroize();
        Ok(sum)
    }
}

impl CounterKey {
    /// The position whose counter this is; `None` if it is no counter of this key.
    #[must_use]
    pub fn position_of(&self, counter: u64) -> Option<u64> {
        let mut cipher = Ctr128BE::<Aes256>::new(&self.0.into(), &[0; 16].into());
        let (mut block, mut sum, mut position) = ([0_u8; 4096], 0_u64, 0_u64);
        while position < MAX_POSITION {
            block.fill(0);
            cipher.apply_keystream(&mut block);
            let (words, _rest) = block.as_chunks::<2>();
            for word in words {
                sum = sum.saturating_add(u64::from(u16::from_le_bytes(*word)).saturating_add(1));
                position = position.saturating_add(1);
                if sum >= counter {
                    block.zeroize();
                    return (sum == counter && position <= MAX_POSITION).then_some(position);
                }
            }
        }
        block.zeroize();
        None
    }
}

impl Drop for CounterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests;
