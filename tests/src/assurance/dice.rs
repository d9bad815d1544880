//! A random source that a seed repeats, so that a failed run can be run again.

/// xorshift64.
pub struct Dice(usize);

impl Dice {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: usize) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`, which must not be 0.
    pub const fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % limit
    }

    /// Octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_octet| u8::try_from(self.below(256)).unwrap_or(0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_every_number_comes() {
        let mut seen = [0; 6];
        let (mut one, mut two) = (Dice::new(3), Dice::new(3));
        for _throw in 0..600 {
            let number = one.below(6);
            assert_eq!(number, two.below(6));
            seen[number] += 1;
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }
}
