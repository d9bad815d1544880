//! Which points of which backends take the places of all sets: no relay twice in a set, what is listed stays.
//!
//! A flow from backends over (set, relay) to sets. A backend that finds no place moves others to other relays, or to
//! other sets, and nobody loses a place for it. So as many are served as can be, and who comes first is served for certain.

use super::{Candidate, rank};
use crate::consensus::Fingerprint;
use crate::descriptor::IntroPoint;
use onionkeep_common::IntroAuthKey;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A place that a backend is to have: the backend by its number among the usable ones, and the set.
pub(super) type Unit = (usize, usize);

/// What the points are chosen by.
pub(super) struct Taste<'a> {
    /// What each set lists now.
    pub(super) listed: &'a [BTreeSet<IntroAuthKey>],
    /// What the service's other descriptor lists: in one set only where nothing else is left.
    pub(super) avoid: &'a BTreeSet<IntroAuthKey>,
    /// Gives the order where nothing else does.
    pub(super) secret: &'a [u8; 32],
}

/// A relay in a set: at most one point of it is listed there.
type Slot = (usize, Fingerprint);

/// Who has which place.
#[derive(Clone)]
pub(super) struct Plan<'a, 't> {
    /// All backends, by their number.
    usable: &'t [&'t Candidate<'a>],
    /// What points are chosen by.
    taste: &'t Taste<'t>,
    /// Most places in each set.
    places: Vec<usize>,
    /// The places that are taken.
    slots: BTreeMap<Slot, (usize, &'a IntroPoint)>,
    /// Each backend's points, the youngest first and else in the order that only the secret gives, once it was needed.
    orders: BTreeMap<usize, Vec<&'a IntroPoint>>,
}

/// Where one search has been.
#[derive(Default)]
struct Tried {
    /// Relays in sets.
    slots: BTreeSet<Slot>,
    /// Sets that are full.
    full: BTreeSet<usize>,
}

impl<'a, 't> Plan<'a, 't> {
    /// A plan with so many free places in each set.
    pub(super) fn new(usable: &'t [&'t Candidate<'a>], taste: &'t Taste<'t>, places: Vec<usize>) -> Self {
        Self { usable, taste, places, slots: BTreeMap::new(), orders: BTreeMap::new() }
    }

    /// Gives places to those whose points are listed already; the units that are left over.
    pub(super) fn keep(&mut self, units: &[Unit]) -> Vec<Unit> {
        units.iter().copied().filter(|(at, set)| !self.keep_one(*at, *set)).collect()
    }

    /// Gives a backend a place of a set that lists a point of it.
    fn keep_one(&mut self, at: usize, set: usize) -> bool {
        let listed = self.taste.listed.get(set);
        let free = self.wanted(at, set).into_iter().find(|point| {
            listed.is_some_and(|listed| listed.contains(point.auth_key()))
                && !self.slots.contains_key(&(set, relay(point)))
        });
        let is_kept = free.is_some();
        self.slots.extend(free.map(|point| ((set, relay(point)), (at, point))));
        is_kept
    }

    /// Gives each unit a place, in its own set or else in any; the units that are left over.
    pub(super) fn give(&mut self, units: &[Unit]) -> Vec<Unit> {
        let away: Vec<_> = units.iter().copied().filter(|unit| !self.give_at(*unit, &[unit.1])).collect();
        self.give_anywhere(&away)
    }

    /// The same, but each unit gets its place before the next is looked at.
    pub(super) fn give_in_order(&mut self, units: &[Unit]) -> Vec<Unit> {
        let left = |unit: &Unit| !self.give_at(*unit, &[unit.1]) && !self.give_anywhere(&[*unit]).is_empty();
        units.iter().copied().filter(left).collect()
    }

    /// Gives each unit a place in any set; the units that are left over.
    fn give_anywhere(&mut self, units: &[Unit]) -> Vec<Unit> {
        let count = self.places.len();
        let left = |unit: &Unit| {
            let sets: Vec<_> = (unit.1..count).chain(0..unit.1.min(count)).collect();
            count < 2 || !self.give_at(*unit, &sets)
        };
        units.iter().copied().filter(left).collect()
    }

    /// Fills the places that are free with backends in this order, as often as they have points for them.
    pub(super) fn fill(&mut self, order: &[usize]) {
        let sets: Vec<_> = (0..self.places.len()).collect();
        loop {
            let mut progress = false;
            for at in order {
                if !self.has_any_room() {
                    return;
                }
                progress |= self.give_at((*at, 0), &sets);
            }
            if !progress {
                return;
            }
        }
    }

    /// Gives a backend one more place in one of these sets.
    fn give_at(&mut self, (at, _home): Unit, sets: &[usize]) -> bool {
        self.find(at, sets, &mut Tried::default())
    }

    /// Looks for a place for a backend. This is a step of a maximum flow: what was tried is not looked at again.
    fn find(&mut self, at: usize, sets: &[usize], tried: &mut Tried) -> bool {
        for set in sets {
            for point in self.wanted(at, *set) {
                let slot = (*set, relay(point));
                let owner = self.slots.get(&slot).map(|(owner, _point)| *owner);
                if owner == Some(at) || !tried.slots.insert(slot) {
                    continue;
                }
                let is_open = match owner {
                    Some(owner) => self.find(owner, sets, tried),
                    None => self.has_room(*set) || self.make_room(*set, sets, tried),
                };
                if is_open {
                    self.slots.insert(slot, (at, point));
                    return true;
                }
            }
        }
        false
    }

    /// Whether a set has a free place.
    fn has_room(&self, set: usize) -> bool {
        let taken = self.slots_of(set).count();
        self.places.get(set).is_some_and(|places| taken < *places)
    }

    /// Frees a place of a full set: somebody who has one goes to another set.
    fn make_room(&mut self, set: usize, sets: &[usize], tried: &mut Tried) -> bool {
        if sets.len() < 2 || !tried.full.insert(set) {
            return false;
        }
        let taken: Vec<_> = self.slots_of(set).map(|(slot, (owner, _point))| (*slot, *owner)).collect();
        for (slot, owner) in taken {
            if tried.slots.insert(slot) && self.find(owner, sets, tried) {
                self.slots.remove(&slot);
                return true;
            }
        }
        false
    }

    /// The places of a set that are taken.
    fn slots_of(&self, set: usize) -> impl Iterator<Item = (&Slot, &(usize, &'a IntroPoint))> {
        self.slots.range((set, Fingerprint([0; 20]))..=(set, Fingerprint([0xff; 20])))
    }

    /// A backend's points in the order in which a set wants them: listed ones first, and those that other sets list last. That
    /// comes before what the other descriptor lists: sets of one backend would else all take the one point that is left.
    fn wanted(&mut self, at: usize, set: usize) -> Vec<&'a IntroPoint> {
        let Some(candidate) = self.usable.get(at) else { return Vec::new() };
        let secret = self.taste.secret;
        let order = self.orders.entry(at).or_insert_with(|| {
            let mut points: Vec<_> = candidate.points.iter().collect();
            let born = |point: &IntroPoint| candidate.ages.and_then(|ages| ages.born(point.auth_key()));
            points.sort_by_cached_key(|point| (Reverse(born(point)), rank(secret, point)));
            points
        });
        let mut points = order.clone();
        let (taste, slots, count) = (self.taste, &self.slots, self.places.len());
        points.sort_by_cached_key(|point| {
            let key = point.auth_key();
            let lists = |other: &usize| {
                *other != set
                    && slots.get(&(*other, relay(point))).is_some_and(|(_at, own)| own.auth_key() == key)
            };
            let listed = taste.listed.get(set).is_some_and(|listed| listed.contains(key));
            (!listed, (0..count).filter(lists).count(), taste.avoid.contains(key))
        });
        points
    }

    /// Whether any set has a free place.
    pub(super) fn has_any_room(&self) -> bool {
        self.slots.len() < self.places.iter().sum()
    }

    /// How many places each backend has in all sets.
    pub(super) fn counts(&self) -> BTreeMap<usize, usize> {
        count(self.slots.values().map(|(at, _point)| *at))
    }

    /// The backends that have a place.
    pub(super) fn served(&self) -> BTreeSet<usize> {
        self.slots.values().map(|(at, _point)| *at).collect()
    }

    /// What each set lists.
    pub(super) fn sets(&self) -> Vec<Vec<(usize, &'a IntroPoint)>> {
        (0..self.places.len()).map(|set| self.slots_of(set).map(|(_slot, own)| *own).collect()).collect()
    }
}

/// How often each thing comes.
pub(super) fn count<T: Ord>(things: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for thing in things {
        let count: &mut usize = counts.entry(thing).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The relay that a point is on. Its fingerprint and its Ed25519 identity belong together; every point has the former.
pub(super) fn relay(point: &IntroPoint) -> Fingerprint {
    point.relay_fingerprint().unwrap_or(Fingerprint([0; 20]))
}
