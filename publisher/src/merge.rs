//! Chooses the introduction points of a frontend out of its live backends' points. Pure.
//!
//! Fair: backends take turns. Steady: a point that is listed stays while its backend lists it. No relay twice.

use crate::descriptor::{FlowControl, IntroPoint};
use onionkeep_common::IntroAuthKey;
use sha3::{Digest as _, Sha3_256};

use crate::schedule::Digest;

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

/// One backend's points that are still to be chosen, the next one last.
struct Queue<'a> {
    /// Which backend.
    backend: usize,
    /// Whether a point is listed already, its place in the order, the point.
    points: Vec<(bool, [u8; 32], &'a IntroPoint)>,
}

/// Chooses at most `max` points. `listed` is what is listed now; `secret` gives the order where nothing else does.
///
/// A backend that asks for proof of work is left out: a client's solution is bound to the frontend's key, and the backend
/// would refuse it.
///
/// Spec: proposal 327; C tor, `hs_pow.c`.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], listed: &[IntroAuthKey], max: usize, secret: &[u8; 32]) -> Choice {
    let pow = candidates.iter().filter(|candidate| candidate.pow).map(|candidate| candidate.backend).collect();
    let usable: Vec<_> = candidates.iter().filter(|candidate| !candidate.pow).collect();
    let mut queues: Vec<_> = usable.iter().map(|candidate| queue(candidate, listed, secret)).collect();
    let kept: Vec<&IntroPoint> = queues.iter().flat_map(Queue::kept).collect();
    let mut points: Vec<(usize, IntroPoint)> = Vec::new();
    while points.len() < max && take_turns(&mut queues, &kept, max, &mut points) {}
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

/// A backend's points, listed ones and low ranks last.
fn queue<'a>(candidate: &Candidate<'a>, listed: &[IntroAuthKey], secret: &[u8; 32]) -> Queue<'a> {
    let place = |point: &'a IntroPoint| (listed.contains(point.auth_key()), rank(secret, point), point);
    let mut points: Vec<_> = candidate.points.iter().map(place).collect();
    points.sort_by(|(kept_a, rank_a, _), (kept_b, rank_b, _)| kept_a.cmp(kept_b).then(rank_b.cmp(rank_a)));
    Queue { backend: candidate.backend, points }
}

/// Each backend gives at most one point, those with a listed one first; false if no backend gave any.
fn take_turns(
    queues: &mut [Queue<'_>],
    kept: &[&IntroPoint],
    max: usize,
    points: &mut Vec<(usize, IntroPoint)>,
) -> bool {
    let before = points.len();
    for queue in &mut *queues {
        queue.skip_unusable(kept, points);
    }
    queues.sort_by_key(Queue::turn);
    for queue in queues {
        queue.skip_unusable(kept, points);
        if points.len() < max
            && let Some((_listed, _rank, point)) = queue.points.pop()
        {
            points.push((queue.backend, point.clone()));
        }
    }
    points.len() > before
}

impl<'a> Queue<'a> {
    /// The points that are listed already, one for each relay.
    fn kept(&self) -> impl Iterator<Item = &'a IntroPoint> {
        self.points.iter().rev().filter(|(listed, _rank, _point)| *listed).map(|(_listed, _rank, point)| *point)
    }

    /// Drops the next points while their relay is taken, or is about to be by a point that is listed already.
    fn skip_unusable(&mut self, kept: &[&IntroPoint], points: &[(usize, IntroPoint)]) {
        while let Some((listed, _rank, next)) = self.points.last() {
            let taken = points.iter().any(|(_backend, point)| same_relay(point, next));
            let reserved = !listed && kept.iter().any(|point| same_relay(point, next));
            if !taken && !reserved {
                return;
            }
            self.points.pop();
        }
    }

    /// Its place in a round: those whose next point is listed come first.
    fn turn(&self) -> (bool, [u8; 32]) {
        self.points.last().map_or((true, [0xff; 32]), |(listed, rank, _point)| (!listed, *rank))
    }
}

/// Whether two points are on the same relay.
fn same_relay(a: &IntroPoint, b: &IntroPoint) -> bool {
    let same_ed25519 = a.relay_ed25519().is_some_and(|identity| b.relay_ed25519() == Some(identity));
    same_ed25519 || a.relay_fingerprint() == b.relay_fingerprint()
}

/// A point's place in every order: a hash that only we can compute.
fn rank(secret: &[u8; 32], point: &IntroPoint) -> [u8; 32] {
    let hash = Sha3_256::new().chain_update(b"onionkeep order v1").chain_update(secret);
    hash.chain_update(point.auth_key().as_bytes()).finalize().into()
}

#[cfg(test)]
pub(crate) mod tests;
