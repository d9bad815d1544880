//! The hash ring: which HSDirs are responsible for a descriptor, in tor's order. The only place with the two indices.

use crate::consensus::{HsDir, RelayEd25519, Srv};
use onionkeep_common::{BlindedId, TimePeriod};
use sha3::{Digest, Sha3_256};

/// A 32-octet position in the ring.
type Index = [u8; 32];

/// `hsdir_index = H("node-idx" | ed25519 identity | SRV | INT_8(number) | INT_8(length))`.
///
/// Spec: rend-spec-v3, 2.2.3.
#[must_use]
pub fn hsdir_index(relay: &RelayEd25519, srv: &Srv, period: TimePeriod) -> [u8; 32] {
    let hash = Sha3_256::new()
        .chain_update(b"node-idx")
        .chain_update(relay.0)
        .chain_update(srv.0)
        .chain_update(period.number.0.to_be_bytes())
        .chain_update(u64::from(period.length.minutes()).to_be_bytes());
    hash.finalize().into()
}

/// `hs_index = H("store-at-idx" | KP_hs_blind_id | INT_8(replica) | INT_8(length) | INT_8(number))`; replicas count from 1.
///
/// Mind the order of the last two numbers: it differs from that of [`hsdir_index`].
///
/// Spec: rend-spec-v3, 2.2.3.
#[must_use]
pub fn hs_index(blinded: &BlindedId, replica: u8, period: TimePeriod) -> [u8; 32] {
    index_of_octets(blinded.as_bytes(), replica, period)
}

/// [`hs_index`] of a key's octets.
fn index_of_octets(blinded: &[u8; 32], replica: u8, period: TimePeriod) -> Index {
    let hash = Sha3_256::new()
        .chain_update(b"store-at-idx")
        .chain_update(blinded)
        .chain_update(u64::from(replica).to_be_bytes())
        .chain_update(u64::from(period.length.minutes()).to_be_bytes())
        .chain_update(period.number.0.to_be_bytes());
    hash.finalize().into()
}

/// The HSDirs of a consensus, sorted by their index for one period and shared random value.
#[derive(Debug)]
pub struct Ring<'a> {
    /// The period.
    period: TimePeriod,
    /// HSDirs with their index, by index.
    nodes: Vec<(Index, &'a HsDir)>,
}

impl<'a> Ring<'a> {
    /// Sorts the HSDirs.
    #[must_use]
    pub fn new(hsdirs: &'a [HsDir], period: TimePeriod, srv: &Srv) -> Self {
        let place = |hsdir: &'a HsDir| (hsdir_index(&hsdir.ed25519, srv, period), hsdir);
        let mut nodes: Vec<_> = hsdirs.iter().map(place).collect();
        nodes.sort_unstable();
        Self { period, nodes }
    }

    /// The HSDirs that store (or, with the fetch spread, are asked for) the descriptor of `blinded`, in tor's order.
    ///
    /// Fewer than `replicas * spread` if the ring is small; none twice.
    ///
    /// Spec: rend-spec-v3, 2.2.3; C tor, `hs_get_responsible_hsdirs`.
    #[must_use]
    pub fn responsible(&self, blinded: &BlindedId, replicas: u8, spread: u8) -> Vec<HsDir> {
        let mut chosen: Vec<HsDir> = Vec::new();
        for replica in 1..=replicas {
            let index = hs_index(blinded, replica, self.period);
            let start = self.nodes.partition_point(|(node, _hsdir)| *node < index);
            let (before, after) = self.nodes.split_at_checked(start).unwrap_or((&[], &self.nodes));
            let walk = after.iter().chain(before).map(|(_index, hsdir)| **hsdir);
            let new: Vec<_> =
                walk.filter(|hsdir| !chosen.contains(hsdir)).take(usize::from(spread)).collect();
            chosen.extend(new);
        }
        chosen
    }
}

#[cfg(test)]
mod tests;
