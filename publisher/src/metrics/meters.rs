//! What is counted for the metrics while the publisher works: plain numbers, some hundred octets for each service.

use std::time::Duration;

/// Bounds of the signer's answering time, in **seconds**.
pub(super) const BOUNDS: [f64; 8] = [0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 5.0];

/// Adds one.
const fn one_more(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// Counts of the publisher as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Reloads that were done.
    pub reloads: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// Connections to tor that were made.
    pub connections: u64,
    /// Jumps of the wall clock.
    pub clock_jumps: u64,
}

/// What became of an upload to one HSDir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is stored.
    Stored,
    /// The HSDir refused it.
    Rejected,
    /// Anything else.
    Failed,
}

/// What became of the fetch of a backend's descriptor at one HSDir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It came and is good.
    Good,
    /// It came and is older than one that is known.
    Replayed,
    /// The HSDir has none.
    NotFound,
    /// Anything else.
    Failed,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probes {
    /// The backend answers.
    Up,
    /// It does not.
    Down,
    /// tor's SOCKS port did not do its part.
    NoSocks,
    /// Its turn never came.
    NoTurn,
}

/// What came of asking for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The signer gave one.
    Signer,
    /// A bundle had one.
    Bundle,
    /// The signer gave none and a bundle had one.
    BundleInstead,
    /// The signer refused.
    Refused,
    /// The signer was away or could not answer.
    Away,
    /// What came was no good, or the bundles had none.
    Unusable,
}

/// Counts of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meters {
    /// Uploads by [`Posted`].
    pub(super) posted: [u64; 3],
    /// Fetches by [`Fetched`].
    pub(super) fetched: [u64; 4],
    /// Probes by [`Probes`].
    pub(super) probes: [u64; 4],
    /// Certificates by [`Asked`].
    pub(super) asked: [u64; 6],
    /// Answers of the signer that took at most so long, by [`BOUNDS`]; the last is for all others.
    pub(super) waits: [u64; BOUNDS.len() + 1],
    /// How long all of them took together.
    pub(super) waited: Duration,
}

impl Meters {
    /// An upload has ended.
    pub fn posted(&mut self, how: Posted) {
        let [stored, rejected, failed] = &mut self.posted;
        one_more(match how {
            Posted::Stored => stored,
            Posted::Rejected => rejected,
            Posted::Failed => failed,
        });
    }

    /// A fetch has ended.
    pub fn fetched(&mut self, how: Fetched) {
        let [good, replayed, not_found, failed] = &mut self.fetched;
        one_more(match how {
            Fetched::Good => good,
            Fetched::Replayed => replayed,
            Fetched::NotFound => not_found,
            Fetched::Failed => failed,
        });
    }

    /// A probe has ended.
    pub fn probed(&mut self, how: Probes) {
        let [up, down, no_socks, no_turn] = &mut self.probes;
        one_more(match how {
            Probes::Up => up,
            Probes::Down => down,
            Probes::NoSocks => no_socks,
            Probes::NoTurn => no_turn,
        });
    }

    /// A certificate came or not; how long the signer took, if it was asked.
    pub fn asked(&mut self, how: Asked, took: Option<Duration>) {
        let [signer, bundle, instead, refused, away, unusable] = &mut self.asked;
        one_more(match how {
            Asked::Signer => signer,
            Asked::Bundle => bundle,
            Asked::BundleInstead => instead,
            Asked::Refused => refused,
            Asked::Away => away,
            Asked::Unusable => unusable,
        });
        let Some(took) = took else { return };
        self.waited = self.waited.saturating_add(took);
        let bucket = BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.waits.get_mut(bucket) {
            one_more(count);
        }
    }
}
