//! Chooses the introduction points of a frontend out of its live backends' points. Pure.
//!
//! Fair: backends take turns. Steady: a point that is listed stays while its backend lists it and shares allow.
//! No relay twice, as C tor never does.

use crate::consensus::Fingerprint;
use crate::descriptor::{FlowControl, IntroPoint};
use crate::schedule::Digest;
use onionkeep_common::IntroAuthKey;
use sha3::{Digest as _, Sha3_256};
use std::collections::{BTreeMap, BTreeSet};

/// A live backend as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which backend.
    pub backend: usize,
    /// Its introduction points.
    pub points: &'a [IntroPoint],
    /// Its flow-control line.
    pub flow_control: Option<&'a FlowControl>,
    /// Whether it is a single onion service.
    pub single_onion: bool,
    /// Whether it asks for proof of work.
    pub pow: bool,
}

/// What a frontend lists.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The introduction points, each with its backend, in an order that only changes with the set.
    pub points: Vec<(usize, IntroPoint)>,
    /// The flow-control line: there if all chosen backends have the same.
    pub flow_control: Option<FlowControl>,
    /// Whether the single-onion line is there: if all chosen backends have it.
    pub single_onion: bool,
    /// Backends that are left out because they ask for proof of work.
    pub pow: Vec<usize>,
    /// The chosen backends differ in their flow-control lines.
    pub mixed_flow_control: bool,
    /// Some but not all of the chosen backends are single onion services.
    pub mixed_single_onion: bool,
}

impl Choice {
    /// The points alone.
    #[must_use]
    pub fn listed(&self) -> Vec<IntroPoint> {
        self.points.iter().map(|(_backend, point)| point.clone()).collect()
    }

    /// How many points of a backend are listed.
    #[must_use]
    pub fn count(&self, backend: usize) -> usize {
        self.points.iter().filter(|(from, _point)| *from == backend).count()
    }

    /// Stands for everything that a descriptor says about this choice.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha3_256::new();
        for (_backend, point) in &self.points {
            hash.update(u64::try_from(point.link_specifiers().len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(point.link_specifiers());
            hash.update(point.onion_key());
            hash.update(point.auth_key().as_bytes());
            hash.update(point.enc_key().0);
        }
        hash.update([u8::from(self.single_onion)]);
        if let Some(flow) = &self.flow_control {
            hash.update(flow.versions.as_bytes());
            hash.update([flow.sendme_inc]);
        }
        Digest(hash.finalize().into())
    }
}

/// Chooses at most `max` points. `listed` is what is listed now; `secret` gives the order where nothing else does.
///
/// A backend that asks for proof of work is left out: a client's solution is bound to the frontend's key, and the backend
/// would refuse it.
///
/// Spec: proposal 327; C tor, `hs_pow.c`.
#[must_use]
pub fn choose(
    candidates: &[Candidate<'_>],
    listed: &[IntroAuthKey],
    max: usize,
    secret: &[u8; 32],
) -> Choice {
    let pow =
        candidates.iter().filter(|candidate| candidate.pow).map(|candidate| candidate.backend).collect();
    let usable: Vec<_> = candidates.iter().filter(|candidate| !candidate.pow).collect();
    let mut points = assign(&usable, listed, max, secret);
    points.sort_by_key(|(_backend, point)| rank(secret, point));
    let chosen = |backend: usize| points.iter().any(|(from, _point)| *from == backend);
    let used: Vec<_> = usable.into_iter().filter(|candidate| chosen(candidate.backend)).collect();
    let flow = used.first().and_then(|first| first.flow_control);
    let mixed_flow_control = used.iter().any(|candidate| candidate.flow_control != flow);
    let single = used.iter().filter(|candidate| candidate.single_onion).count();
    Choice {
        flow_control: flow.filter(|_line| !mixed_flow_control).cloned(),
        single_onion: single > 0 && single == used.len(),
        mixed_single_onion: single > 0 && single < used.len(),
        points,
        pow,
        mixed_flow_control,
    }
}

/// Which points of which backends are listed, in no order.
///
/// First the shares: backends take turns, so that shares differ only where a backend has no more points or relays. Then
/// the points: what is listed stays as far as the shares allow, the rest is filled up.
fn assign(
    usable: &[&Candidate<'_>],
    listed: &[IntroAuthKey],
    max: usize,
    secret: &[u8; 32],
) -> Vec<(usize, IntroPoint)> {
    let mut offers: Vec<_> = usable.iter().map(|candidate| Offer::new(candidate, listed, secret)).collect();
    offers.sort_by_key(|offer| offer.points.first().map(|point| rank(secret, point)));
    let mut fair = Matching::default();
    let mut places = max;
    loop {
        let before = places;
        let mut turns: Vec<usize> = (0..offers.len()).collect();
        // Where not all get one more, those that have it already come first.
        turns.sort_by_key(|at| offers.get(*at).is_none_or(|offer| offer.listed <= fair.share(*at)));
        for at in turns {
            if places > 0 && fair.give(&offers, at) {
                places = places.saturating_sub(1);
            }
        }
        if places == before {
            break;
        }
    }
    let mut steady = Matching::default();
    for (at, offer) in offers.iter().enumerate() {
        steady.keep(at, offer, fair.share(at));
    }
    for at in 0..offers.len() {
        while steady.share(at) < fair.share(at) && steady.give(&offers, at) {}
    }
    let point = |(_relay, (at, point)): (&Fingerprint, &(usize, &IntroPoint))| {
        Some((offers.get(*at)?.backend, (*point).clone()))
    };
    steady.relays.iter().filter_map(point).collect()
}

/// A backend's points in the order in which they are wanted.
struct Offer<'a> {
    /// Which backend.
    backend: usize,
    /// Its points: listed ones first, then by rank.
    points: Vec<&'a IntroPoint>,
    /// How many of them, from the start, are listed.
    listed: usize,
}

impl<'a> Offer<'a> {
    /// Puts a backend's points in order.
    fn new(candidate: &Candidate<'a>, listed: &[IntroAuthKey], secret: &[u8; 32]) -> Self {
        let is_listed = |point: &&IntroPoint| listed.contains(point.auth_key());
        let mut points: Vec<_> = candidate.points.iter().collect();
        points.sort_by_cached_key(|point| (!is_listed(point), rank(secret, point)));
        Self {
            backend: candidate.backend,
            listed: points.iter().filter(|point| is_listed(point)).count(),
            points,
        }
    }
}

/// Which relay is used for which point of which offer: no relay twice.
#[derive(Default)]
struct Matching<'a> {
    /// For each relay the number of the offer and the point.
    relays: BTreeMap<Fingerprint, (usize, &'a IntroPoint)>,
}

impl<'a> Matching<'a> {
    /// How many points an offer has.
    fn share(&self, at: usize) -> usize {
        self.relays.values().filter(|(owner, _point)| *owner == at).count()
    }

    /// Takes over at most `share` listed points of an offer, from relays that are free.
    fn keep(&mut self, at: usize, offer: &Offer<'a>, share: usize) {
        for point in offer.points.iter().take(offer.listed) {
            if self.share(at) < share {
                self.relays.entry(relay(point)).or_insert((at, point));
            }
        }
    }

    /// Gives an offer one more point, if need be by moving other offers to other relays; nobody loses a place.
    fn give(&mut self, offers: &[Offer<'a>], at: usize) -> bool {
        self.find(offers, at, &mut BTreeSet::new())
    }

    /// Looks for a relay for `at`; `tried` relays are not looked at again. This is a step of a bipartite matching.
    fn find(&mut self, offers: &[Offer<'a>], at: usize, tried: &mut BTreeSet<Fingerprint>) -> bool {
        let Some(offer) = offers.get(at) else { return false };
        for point in &offer.points {
            let relay = relay(point);
            let owner = self.relays.get(&relay).map(|(owner, _point)| *owner);
            if owner == Some(at) || !tried.insert(relay) {
                continue;
            }
            if owner.is_none_or(|owner| self.find(offers, owner, tried)) {
                self.relays.insert(relay, (at, point));
                return true;
            }
        }
        false
    }
}

/// The relay that a point is on. Its fingerprint and its Ed25519 identity belong together; every point has the former.
fn relay(point: &IntroPoint) -> Fingerprint {
    point.relay_fingerprint().unwrap_or(Fingerprint([0; 20]))
}

/// A point's place in every order: a hash that only we can compute.
fn rank(secret: &[u8; 32], point: &IntroPoint) -> [u8; 32] {
    let hash = Sha3_256::new().chain_update(b"onionkeep order v1").chain_update(secret);
    hash.chain_update(point.auth_key().as_bytes()).finalize().into()
}

#[cfg(test)]
pub(crate) mod tests;
