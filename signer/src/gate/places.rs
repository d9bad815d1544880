//! Who is served at once: the only place that counts connections, so that no uid can take another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of all peers that are served at once.
pub const CONNECTIONS_MAX: usize = 64;
/// Of these, how many one uid may have: a peer that opens as many as it can leaves the others theirs.
pub const CONNECTIONS_OF_UID_MAX: usize = 8;

/// The connections that are served, by uid.
#[derive(Default)]
pub(super) struct Places {
    /// How many of each uid; no entry is 0.
    open: Mutex<BTreeMap<u32, usize>>,
}

impl Places {
    /// Takes a place for a uid, if it may have one more.
    pub(super) fn take(places: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut open = places.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(uid).or_default();
        if *own >= CONNECTIONS_OF_UID_MAX || all >= CONNECTIONS_MAX {
            open.retain(|_uid, count| *count > 0);
            return None;
        }
        *own = own.saturating_add(1);
        Some(Place { places: Arc::clone(places), uid })
    }

    /// Gives a place back.
    fn give_back(&self, uid: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&uid) {
            *count = count.saturating_sub(1);
        }
        open.retain(|_uid, count| *count > 0);
    }
}

/// A place among the connections; given back when dropped.
pub(super) struct Place {
    /// Where it is given back.
    places: Arc<Places>,
    /// Whose it is.
    uid: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_with_all_its_places_leaves_the_others_theirs() {
        let places = Arc::default();
        let greedy: Vec<_> = (0..20).filter_map(|_| Places::take(&places, 1)).collect();
        assert_eq!(greedy.len(), CONNECTIONS_OF_UID_MAX);
        assert!(Places::take(&places, 2).is_some());
        drop(greedy);
        assert!(Places::take(&places, 1).is_some());
    }

    #[test]
    fn all_uids_together_are_limited_too() {
        let places = Arc::default();
        let held: Vec<_> = (0..1000).filter_map(|number| Places::take(&places, number / 8)).collect();
        assert_eq!(held.len(), CONNECTIONS_MAX);
        drop(held);
        assert!(places.open.lock().unwrap().is_empty());
    }
}
