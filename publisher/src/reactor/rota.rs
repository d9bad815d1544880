//! Which HSDirs are asked: some at random, or one after the other so that each has its turn. Pure.

use crate::consensus::Fingerprint;
use crate::schedule::Dice;

/// Some of these HSDirs, at most `count`, chosen at random.
pub(super) fn some(hsdirs: &[Fingerprint], count: usize, dice: &mut dyn Dice) -> Vec<Fingerprint> {
    let mut left = hsdirs.to_vec();
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let last = u64::try_from(left.len().saturating_sub(1)).unwrap_or_default();
        let at = usize::try_from(dice.pick(0..=last)).unwrap_or_default();
        chosen.push(left.swap_remove(at.min(left.len().saturating_sub(1))));
    }
    chosen
}

/// The same, and those for which `first` holds before all others.
pub(super) fn some_of(
    hsdirs: &[Fingerprint],
    count: usize,
    first: impl Fn(&Fingerprint) -> bool,
    dice: &mut dyn Dice,
) -> Vec<Fingerprint> {
    let (first, others): (Vec<_>, Vec<_>) = hsdirs.iter().partition(|hsdir| first(hsdir));
    let mut chosen = some(&first, count, dice);
    chosen.extend(some(&others, count.saturating_sub(chosen.len()), dice));
    chosen
}

/// Whose turn it is to be asked alone.
///
/// Of a set that does not change, each is asked once before any is asked again. So `m` of them that hide something are
/// asked at most `m` times in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Rota {
    /// Those of the set that were asked, the last one at the end.
    asked: Vec<Fingerprint>,
}

impl Rota {
    /// The next one of this set: at random among those never asked, else the one whose turn is longest ago.
    pub(super) fn next(&mut self, set: &[Fingerprint], dice: &mut dyn Dice) -> Option<Fingerprint> {
        self.asked.retain(|hsdir| set.contains(hsdir));
        let fresh: Vec<_> = set.iter().filter(|hsdir| !self.asked.contains(hsdir)).copied().collect();
        let next = some(&fresh, 1, dice).first().or(self.asked.first()).copied()?;
        self.asked.retain(|hsdir| *hsdir != next);
        self.asked.push(next);
        Some(next)
    }

    /// The one that was asked last.
    pub(super) fn last(&self) -> Option<&Fingerprint> {
        self.asked.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::tests::TestDice;
    use std::collections::BTreeSet;

    fn set(numbers: std::ops::Range<u8>) -> Vec<Fingerprint> {
        numbers.map(|number| Fingerprint([number; 20])).collect()
    }

    #[test]
    fn those_that_are_wanted_come_before_all_others() {
        for seed in 1..50 {
            let (mut dice, set) = (TestDice(seed), set(0..8));
            for wanted in 0..=5 {
                let first = |hsdir: &Fingerprint| set[8 - wanted..].contains(hsdir);
                let chosen = some_of(&set, 3, first, &mut dice);
                let different: BTreeSet<_> = chosen.iter().collect();
                assert_eq!((chosen.len(), different.len()), (3, 3), "{chosen:?}");
                assert_eq!(chosen.iter().filter(|hsdir| first(hsdir)).count(), wanted.min(3));
            }
        }
    }

    #[test]
    fn each_has_its_turn_before_any_has_another() {
        for seed in 1..50 {
            let (mut rota, mut dice, set) = (Rota::default(), TestDice(seed), set(0..6));
            let asked: Vec<_> = (0..60).map(|_turn| rota.next(&set, &mut dice).unwrap()).collect();
            for window in asked.windows(6) {
                assert_eq!(
                    window.iter().map(|hsdir| hsdir.0).collect::<BTreeSet<_>>().len(),
                    6,
                    "{window:?}"
                );
            }
        }
        let first = |seed: u64| Rota::default().next(&set(0..6), &mut TestDice(seed * 7919)).unwrap().0;
        assert!((1..50).map(first).collect::<BTreeSet<_>>().len() > 1, "which one begins is chance");
    }

    #[test]
    fn a_new_one_is_asked_before_the_others_again_and_one_that_went_is_forgotten() {
        let (mut rota, mut dice) = (Rota::default(), TestDice(3));
        let all = set(0..6);
        all.iter().for_each(|_turn| assert!(rota.next(&all, &mut dice).is_some()));
        let other = set(1..7);
        assert_eq!(rota.next(&other, &mut dice), Some(Fingerprint([6; 20])));
        assert_eq!(rota.last(), Some(&Fingerprint([6; 20])));
        for _turn in 0..12 {
            assert_ne!(rota.next(&other, &mut dice), Some(Fingerprint([0; 20])));
        }
        assert_eq!(rota.next(&[], &mut dice), None);
        assert_eq!(rota.last(), None);
    }

    #[test]
    fn some_are_different_ones_and_no_more_than_there_are() {
        for seed in 1..50 {
            let chosen = some(&set(0..6), 3, &mut TestDice(seed));
            assert_eq!(chosen.iter().map(|hsdir| hsdir.0).collect::<BTreeSet<_>>().len(), 3);
        }
        assert_eq!(some(&set(0..2), 3, &mut TestDice(1)).len(), 2);
    }
}
