//! Backends that list the same key: each key counts for one of them. Pure.
//!
//! No certificate in a descriptor proves that who lists an introduction point's key has it. So a backend can list another's,
//! on relays where nobody answers. A descriptor may have each key once, and it is not to be had by whoever lists it most.

use super::Candidate;
use crate::descriptor::IntroPoint;
use onionkeep_common::IntroAuthKey;
use sha3::{Digest as _, Sha3_256};
use std::collections::BTreeSet;

/// The keys that are listed more than once, by one backend or by several.
pub(super) fn shared(candidates: &[Candidate<'_>]) -> BTreeSet<IntroAuthKey> {
    let usable = candidates.iter().filter(|candidate| !candidate.pow);
    let mut keys: Vec<_> = usable.flat_map(|candidate| candidate.points).map(IntroPoint::auth_key).collect();
    keys.sort_unstable();
    keys.windows(2)
        .filter_map(|pair| if let [a, b] = pair { (a == b).then_some(**a) } else { None })
        .collect()
}

/// Each candidate's points without those of the `shared` keys that count for another, and each key once.
///
/// Whom a key counts for only the secret tells: nobody can see to it that it is him.
pub(super) fn apart(
    candidates: &[Candidate<'_>],
    shared: &BTreeSet<IntroAuthKey>,
    secret: &[u8; 32],
) -> Vec<Vec<IntroPoint>> {
    let lists = |candidate: &Candidate<'_>, key: &IntroAuthKey| {
        candidate.points.iter().any(|point| point.auth_key() == key)
    };
    let owner = |key: &IntroAuthKey| {
        let all = candidates.iter().filter(|candidate| !candidate.pow && lists(candidate, key));
        all.min_by_key(|candidate| lot(key, candidate.place, secret)).map(|candidate| candidate.backend)
    };
    let own = |candidate: &Candidate<'_>| {
        let mut left = shared.clone();
        let counts = |point: &&IntroPoint| {
            let key = point.auth_key();
            !shared.contains(key) || owner(key) == Some(candidate.backend) && left.remove(key)
        };
        candidate.points.iter().filter(counts).cloned().collect()
    };
    candidates.iter().map(own).collect()
}

/// What decides between those who list a key; `place` stands for the backend.
fn lot(key: &IntroAuthKey, place: u64, secret: &[u8; 32]) -> [u8; 32] {
    let hash = Sha3_256::new().chain_update(b"onionkeep lot v1").chain_update(secret);
    hash.chain_update(key.as_bytes()).chain_update(place.to_be_bytes()).finalize().into()
}
