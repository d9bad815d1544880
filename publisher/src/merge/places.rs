//! Which HSDir gets which set of points in distinct mode.

use super::Mode;
use crate::consensus::Fingerprint;

/// The sets of the HSDirs of one descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// HSDirs with the number of their set.
    sets: Vec<(Fingerprint, usize)>,
    /// How many sets there are.
    count: usize,
}

impl Places {
    /// Gives each HSDir of `store` its set; `fetch` are those that clients ask, in tor's order.
    ///
    /// Clients ask one of the first three of each replica, each as likely, so each of those has a set of its own. The
    /// others are asked only by a client that sees another ring: they get copies, in turn.
    ///
    /// Spec: rend-spec-v3, 2.2.3 and 2.5.4.
    #[must_use]
    pub fn new(mode: Mode, store: &[Fingerprint], fetch: &[Fingerprint]) -> Self {
        let asked: Vec<_> = fetch.iter().filter(|hsdir| store.contains(hsdir)).collect();
        let count = if matches!(mode, Mode::Distinct { .. }) { asked.len().max(1) } else { 1 };
        let mut spare = 0_usize;
        let set = |hsdir: &Fingerprint| {
            let own = asked.iter().position(|asked| *asked == hsdir).unwrap_or_else(|| {
                let number = spare;
                // The fourth of the second replica copies another set than the fourth of the first.
                spare = spare.saturating_add(count.div_ceil(2));
                number
            });
            (*hsdir, own.checked_rem(count).unwrap_or_default())
        };
        Self { sets: store.iter().map(set).collect(), count }
    }

    /// How many sets there are: at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.max(1)
    }

    /// The set of an HSDir; the first one's for an unknown HSDir.
    #[must_use]
    pub fn set(&self, hsdir: &Fingerprint) -> usize {
        self.sets.iter().find(|(other, _set)| other == hsdir).map_or(0, |(_hsdir, set)| *set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hsdirs(numbers: &[u8]) -> Vec<Fingerprint> {
        numbers.iter().map(|number| Fingerprint([*number; 20])).collect()
    }

    #[test]
    fn six_asked_hsdirs_have_six_sets_and_the_two_others_copies() {
        let (store, fetch) = (hsdirs(&[1, 2, 3, 4, 5, 6, 7, 8]), hsdirs(&[1, 2, 3, 5, 6, 7]));
        let places = Places::new(Mode::Distinct { points: 20 }, &store, &fetch);
        assert_eq!(places.count(), 6);
        let sets: Vec<_> = store.iter().map(|hsdir| places.set(hsdir)).collect();
        assert_eq!(sets, [0, 1, 2, 0, 3, 4, 5, 3]);
    }

    #[test]
    fn other_modes_have_one_set_and_a_tiny_ring_as_many_as_it_has_hsdirs() {
        let store = hsdirs(&[1, 2]);
        let rotate = super::super::Rotate::Daily;
        for mode in [Mode::Ordinary { points: 3, rotate }, Mode::Wide { points: 20 }] {
            let places = Places::new(mode, &store, &store);
            assert_eq!((places.count(), places.set(&store[1])), (1, 0));
        }
        let distinct = Places::new(Mode::Distinct { points: 20 }, &store, &store);
        assert_eq!((distinct.count(), distinct.set(&store[1])), (2, 1));
        assert_eq!(Places::new(Mode::Distinct { points: 20 }, &[], &[]).count(), 1);
        assert_eq!(Places::default().count(), 1);
    }
}
