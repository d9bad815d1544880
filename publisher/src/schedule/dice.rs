//! Randomness for times, as an argument; the only place where the schedule's dice are thrown.

use std::ops::RangeInclusive;

/// Something that picks numbers.
pub trait Dice {
    /// A number in `range`, each equally likely; the start of an empty range.
    fn pick(&mut self, range: RangeInclusive<u64>) -> u64;

    /// A waiting time of about `seconds`: half to one and a half of it, at least 1.
    fn about(&mut self, seconds: u64) -> u64 {
        let low = (seconds / 2).max(1);
        self.pick(low..=seconds.saturating_add(seconds / 2).max(low))
    }
}

/// The operating system's dice.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    fn pick(&mut self, range: RangeInclusive<u64>) -> u64 {
        #[cfg(test)]
        if tests::LOADED.get() {
            return range.start().midpoint(*range.end());
        }
        let span = range.end().saturating_sub(*range.start()).saturating_add(1);
        let number = getrandom::u64().unwrap_or_default();
        range.start().saturating_add(number.checked_rem(span).unwrap_or_default())
    }
}

/// A waiting time that doubles with each failure in a row, in **seconds**: `first`, `2 * first`, ... at most `most`.
#[must_use]
pub fn doubling(first: u64, most: u64, failures: u32) -> u64 {
    let factor = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    first.saturating_mul(factor).min(most)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// Whether the system's dice of this thread always show the middle, so that two runs can be compared.
        pub(crate) static LOADED: Cell<bool> = const { Cell::new(false) };
    }

    #[test]
    fn system_dice_stay_in_range_and_differ() {
        let mut dice = SystemDice;
        let picks: Vec<u64> = (0..200).map(|_| dice.pick(3600..=7200)).collect();
        assert!(picks.iter().all(|pick| (3600..=7200).contains(pick)));
        assert!(picks.iter().any(|pick| *pick != picks[0]));
        assert_eq!(dice.pick(7..=7), 7);
        let about = dice.about(10);
        assert!((5..=15).contains(&about), "{about}");
        assert_eq!(dice.about(0), 1);
    }

    #[test]
    fn doubling_doubles_to_its_limit() {
        assert_eq!(
            [0, 1, 2, 3, 9, 99].map(|failures| doubling(10, 300, failures)),
            [10, 10, 20, 40, 300, 300]
        );
    }
}
