//! Which points of which backends take the places of one descriptor: no relay twice, what is listed stays.

use super::{Candidate, rank};
use crate::consensus::Fingerprint;
use crate::descriptor::IntroPoint;
use onionkeep_common::IntroAuthKey;
use std::collections::{BTreeMap, BTreeSet};

/// So many backends are asked to fill places that others cannot take.
const FILLERS: usize = 64;

/// What the points of one descriptor are chosen by.
pub(super) struct Taste<'a> {
    /// What this descriptor lists now.
    pub(super) listed: &'a BTreeSet<IntroAuthKey>,
    /// What the service's other descriptor lists: only where nothing else is left.
    pub(super) avoid: &'a BTreeSet<IntroAuthKey>,
    /// How often the sets before this one list a point: the less the better.
    pub(super) used: &'a BTreeMap<IntroAuthKey, usize>,
    /// Gives the order where nothing else does.
    pub(super) secret: &'a [u8; 32],
}

/// Gives backends (by their number among `usable`) so many places each; what cannot be given is filled up by `fillers`.
pub(super) fn assign<'a>(
    usable: &[&Candidate<'a>],
    shares: &[(usize, usize)],
    fillers: &[usize],
    taste: &Taste<'_>,
) -> Vec<(usize, &'a IntroPoint)> {
    let mut offers = Vec::new();
    let mut places = Matching::default();
    for (at, share) in shares {
        if let Some(candidate) = usable.get(*at) {
            let offer = Offer::new(*at, candidate, taste);
            places.keep(offers.len(), &offer, *share);
            offers.push(offer);
        }
    }
    for (offer, (_at, share)) in shares.iter().enumerate() {
        while places.share(offer) < *share && places.give(&offers, offer) {}
    }
    let wanted: usize = shares.iter().map(|(_at, share)| share).sum();
    let others = fillers.iter().filter(|at| !shares.iter().any(|(other, _share)| other == *at));
    for at in others.take(FILLERS) {
        if places.relays.len() >= wanted {
            break;
        }
        if let Some(candidate) = usable.get(*at) {
            offers.push(Offer::new(*at, candidate, taste));
            places.give(&offers, offers.len().saturating_sub(1));
        }
    }
    for offer in 0..offers.len() {
        while places.relays.len() < wanted && places.give(&offers, offer) {}
    }
    let chosen = places.relays.values();
    chosen.filter_map(|(offer, point)| Some((offers.get(*offer)?.at, *point))).collect()
}

/// A backend's points in the order in which they are wanted.
struct Offer<'a> {
    /// Which backend, by its number among the usable ones.
    at: usize,
    /// Its points: listed ones first.
    points: Vec<&'a IntroPoint>,
    /// How many of them, from the start, are listed.
    listed: usize,
}

impl<'a> Offer<'a> {
    /// Puts a backend's points in order.
    fn new(at: usize, candidate: &Candidate<'a>, taste: &Taste<'_>) -> Self {
        let is_listed = |point: &&IntroPoint| taste.listed.contains(point.auth_key());
        let mut points: Vec<_> = candidate.points.iter().collect();
        points.sort_by_cached_key(|point| {
            let key = point.auth_key();
            let used = taste.used.get(key).copied().unwrap_or_default();
            (!is_listed(point), taste.avoid.contains(key), used, rank(taste.secret, point))
        });
        Self { at, listed: points.iter().filter(|point| is_listed(point)).count(), points }
    }
}

/// Which relay is used for which point of which offer: no relay twice.
#[derive(Default)]
struct Matching<'a> {
    /// For each relay the number of the offer and the point.
    relays: BTreeMap<Fingerprint, (usize, &'a IntroPoint)>,
}

impl<'a> Matching<'a> {
    /// How many places an offer has.
    fn share(&self, offer: usize) -> usize {
        self.relays.values().filter(|(owner, _point)| *owner == offer).count()
    }

    /// Takes over at most `share` listed points of an offer, from relays that are free.
    fn keep(&mut self, number: usize, offer: &Offer<'a>, share: usize) {
        for point in offer.points.iter().take(offer.listed) {
            if self.share(number) < share {
                self.relays.entry(relay(point)).or_insert((number, point));
            }
        }
    }

    /// Gives an offer one more place, if need be by moving other offers to other relays; nobody loses a place.
    fn give(&mut self, offers: &[Offer<'a>], number: usize) -> bool {
        self.find(offers, number, &mut BTreeSet::new())
    }

    /// Looks for a relay for an offer; `tried` relays are not looked at again. This is a step of a bipartite matching.
    fn find(&mut self, offers: &[Offer<'a>], number: usize, tried: &mut BTreeSet<Fingerprint>) -> bool {
        let Some(offer) = offers.get(number) else { return false };
        for point in &offer.points {
            let relay = relay(point);
            let owner = self.relays.get(&relay).map(|(owner, _point)| *owner);
            if owner == Some(number) || !tried.insert(relay) {
                continue;
            }
            if owner.is_none_or(|owner| self.find(offers, owner, tried)) {
                self.relays.insert(relay, (number, point));
                return true;
            }
        }
        false
    }
}

/// The relay that a point is on. Its fingerprint and its Ed25519 identity belong together; every point has the former.
pub(super) fn relay(point: &IntroPoint) -> Fingerprint {
    point.relay_fingerprint().unwrap_or(Fingerprint([0; 20]))
}
