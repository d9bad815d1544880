//! What we know of a backend and whether it counts as up; the only place that judges the evidence.
//!
//! Evidence: the last good descriptor, the time of its upload (told by its revision counter), fetches that found none,
//! and, where a probe port is configured, connections through tor.

mod ages;

pub use ages::Ages;

use crate::consensus::Lives;
use crate::descriptor::{Decoded, FlowControl, IntroPoint};
use crate::schedule::Verdict;
use ages::News;
use onionkeep_common::{DescSigningKey, OnionAddress, TimePeriod, UnixTime};
use std::collections::BTreeSet;

/// C tor uploads at least every 120 minutes.
///
/// Spec: C tor, `HS_SERVICE_NEXT_UPLOAD_TIME_MAX`.
const RENEWED_WITHIN: u64 = 7200;
/// Half an hour more, for the uncertainty of the counter and slow uploads.
const STALE_AGE: u64 = RENEWED_WITHIN + 1800;
/// HSDirs drop a descriptor after three hours: an older time of upload is not believed.
const BELIEVED_AGE: u64 = 4 * 3600;
/// A time of upload so far in the future is still believed, in **seconds**.
const BELIEVED_AHEAD: u64 = 900;
/// Fetches in a row at which every HSDir says "none" until a backend counts as missing.
const MISSING_AFTER: u32 = 2;

/// Whether a backend's introduction points may be listed, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known yet.
    Unknown,
    /// A good descriptor, nothing against it.
    Up,
    /// Its descriptor was not renewed in time.
    Stale,
    /// It does not answer probes.
    Down,
    /// The HSDirs have no descriptor of it.
    Missing,
}

impl Health {
    /// The word for logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Stale => "stale",
            Self::Down => "down",
            Self::Missing => "missing",
        }
    }
}

/// The last good descriptor of a backend.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its period.
    pub period: TimePeriod,
    /// Its revision counter.
    pub revision: u64,
    /// When it was uploaded, as far as its counter tells.
    pub uploaded: UnixTime,
    /// The key that signed it.
    pub signing_key: DescSigningKey,
    /// Its introduction points.
    pub points: Vec<IntroPoint>,
    /// Its flow-control line.
    pub flow_control: Option<FlowControl>,
    /// Whether it is a single onion service.
    pub single_onion: bool,
    /// Whether it asks for proof of work, which cannot be passed on.
    pub pow: bool,
}

impl Seen {
    /// Whether a newer descriptor of `period` tells the same of what may be listed, and that the backend has not restarted.
    fn tells(&self, period: TimePeriod, newer: &Decoded) -> bool {
        (self.period, self.signing_key, self.single_onion, self.pow)
            == (period, newer.signing_key, newer.single_onion, !newer.pow.is_empty())
            && self.flow_control == newer.flow_control
            && self.points.iter().collect::<BTreeSet<_>>() == newer.intro_points.iter().collect()
    }
}

/// What a fetched descriptor is against the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A newer one that tells something else, or the first: taken.
    New,
    /// A newer one that tells the same: taken, and nothing that is listed has a reason to change.
    Renewed,
    /// The same one.
    Same,
    /// An older one: refused.
    Replayed,
}

/// One backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// The operator's name for it.
    pub name: String,
    /// Its address.
    pub address: OnionAddress,
    /// Its share of new clients is its weight against the sum of all; at least 1.
    pub weight: u32,
    /// Whether it is to get no new clients while others are up.
    pub draining: bool,
    /// The last good descriptor.
    seen: Option<Seen>,
    /// How old its points are.
    ages: Ages,
    /// When an HSDir last gave a good descriptor, new or not.
    last_good: Option<UnixTime>,
    /// When it last had other introduction points than before.
    points_changed: Option<UnixTime>,
    /// Fetches in a row at which every HSDir said "none".
    misses: u32,
    /// When a probe last told something, and whether the backend took a connection.
    probed: Option<(UnixTime, bool)>,
    /// That is so long ago that a descriptor counts that was uploaded since.
    lapsed: bool,
    /// It was down and answers again; its descriptor may be one from before.
    unconfirmed: bool,
}

impl Backend {
    /// A backend of which nothing is known.
    #[must_use]
    pub const fn new(name: String, address: OnionAddress, weight: u32) -> Self {
        Self {
            name,
            address,
            weight,
            draining: false,
            seen: None,
            ages: Ages::new(),
            last_good: None,
            points_changed: None,
            misses: 0,
            probed: None,
            lapsed: false,
            unconfirmed: false,
        }
    }

    /// The last good descriptor.
    #[must_use]
    pub const fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// When an HSDir last gave a good descriptor.
    #[must_use]
    pub const fn last_good(&self) -> Option<UnixTime> {
        self.last_good
    }

    /// Takes a verified descriptor of `period`, whose counter counts from `run_start`.
    ///
    /// Spec: C tor, `cache_store_v3_as_dir` (the same rule about counters).
    pub fn observe(
        &mut self,
        now: UnixTime,
        period: TimePeriod,
        run_start: UnixTime,
        decoded: Decoded,
    ) -> Observation {
        let new = (period.number, decoded.revision);
        let observation = match self.seen.as_ref().map(|seen| (seen.period.number, seen.revision)) {
            Some(old) if new < old => return Observation::Replayed,
            Some(old) if new == old => Observation::Same,
            Some(_old) if self.seen.as_ref().is_some_and(|seen| seen.tells(period, &decoded)) => {
                Observation::Renewed
            }
            _ => Observation::New,
        };
        let last_good = self.last_good.replace(now).unwrap_or(now);
        self.misses = 0;
        self.unconfirmed = false;
        if matches!(observation, Observation::New | Observation::Renewed) {
            let uploaded = uploaded_at(now, run_start, decoded.revision);
            let seen = self.seen.as_ref();
            self.ages.take(&News { now, last_good, seen, period, run_start, uploaded, decoded: &decoded });
            let keys = |points: &[IntroPoint]| -> BTreeSet<_> {
                points.iter().map(|point| *point.auth_key()).collect()
            };
            if self.seen.as_ref().is_none_or(|seen| keys(&seen.points) != keys(&decoded.intro_points)) {
                self.points_changed = Some(now);
            }
            self.seen = Some(Seen {
                period,
                revision: decoded.revision,
                uploaded,
                signing_key: decoded.signing_key,
                points: decoded.intro_points,
                flow_control: decoded.flow_control,
                single_onion: decoded.single_onion,
                pow: !decoded.pow.is_empty(),
            });
        }
        observation
    }

    /// How old its introduction points are, and which of its descriptor before still work.
    #[must_use]
    pub const fn ages(&self) -> &Ages {
        &self.ages
    }

    /// Introduction points live so long in this network.
    pub const fn set_lives(&mut self, lives: Lives) {
        self.ages.set_lives(lives);
    }

    /// When it last had other introduction points than before.
    #[must_use]
    pub const fn points_changed(&self) -> Option<UnixTime> {
        self.points_changed
    }

    /// The descriptor that is known came again; false, and nothing is done, if it is another one.
    pub fn again(&mut self, now: UnixTime, period: TimePeriod, revision: u64) -> bool {
        let is_it = self.seen.as_ref().is_some_and(|seen| (seen.period, seen.revision) == (period, revision));
        if is_it {
            (self.last_good, self.misses, self.unconfirmed) = (Some(now), 0, false);
        }
        is_it
    }

    /// Every HSDir that was asked says that there is no descriptor.
    pub fn missing(&mut self) {
        self.misses = self.misses.saturating_add(1);
    }

    /// A probe has ended: the backend took a connection, or neither of two.
    pub fn probed(&mut self, now: UnixTime, up: bool) {
        // One that was down, but has uploaded a descriptor since that lapsed, is up by that already.
        let down = self.probed.is_some_and(|(_at, before)| !before) && self.health() != Health::Up;
        self.unconfirmed |= up && down;
        (self.probed, self.lapsed) = (Some((now, up)), false);
        if !up {
            self.ages.doubt();
        }
    }

    /// When a probe last told something.
    #[must_use]
    pub fn last_probe(&self) -> Option<UnixTime> {
        self.probed.map(|(at, _up)| at)
    }

    /// Probes have told nothing for long: its descriptor counts again as if it had not been up. If it was down it stays so until it has
    /// uploaded a descriptor since, for the one from before leads to where nobody answered.
    pub fn lapse_probe(&mut self) {
        self.probed = self.probed.filter(|(_at, up)| !up);
        self.lapsed = self.probed.is_some();
    }

    /// Forgets what probes told: they are made in another way from now on, or no longer.
    pub const fn forget_probes(&mut self) {
        (self.probed, self.lapsed, self.unconfirmed) = (None, false, false);
    }

    /// Whether its descriptor should have been renewed by now: another HSDir may have a newer one.
    #[must_use]
    pub fn is_overdue(&self, now: UnixTime) -> bool {
        self.seen.as_ref().is_none_or(|seen| now.since(seen.uploaded) > RENEWED_WITHIN)
    }

    /// Whether it was down and answers again, so that its descriptor has to be fetched before it counts as up.
    ///
    /// A restarted backend has new introduction points; those of its last descriptor are dead.
    #[must_use]
    pub const fn awaits_descriptor(&self) -> bool {
        self.unconfirmed
    }

    /// Whether it counts as up. A successful probe outweighs an old or missing descriptor, a failed one a fresh descriptor.
    #[must_use]
    pub fn health(&self) -> Health {
        let Some(seen) = &self.seen else {
            return if self.misses > 0 { Health::Missing } else { Health::Unknown };
        };
        // The age at the last answer of an HSDir: if none answers, that says nothing about the backend.
        let age = self.last_good.map_or(0, |last| last.since(seen.uploaded));
        let probed = self.probed.filter(|(at, up)| *up || !self.lapsed || seen.uploaded <= *at);
        if self.unconfirmed || matches!(probed, Some((_at, false))) {
            Health::Down
        } else if probed.is_some() {
            Health::Up
        } else if self.misses >= MISSING_AFTER {
            Health::Missing
        } else if age > STALE_AGE {
            Health::Stale
        } else {
            Health::Up
        }
    }

    /// The word for status and log: `draining` if it is up and draining, else the health's.
    #[must_use]
    pub fn state(&self) -> &'static str {
        let health = self.health();
        if self.draining && health == Health::Up { "draining" } else { health.name() }
    }

    /// What a fetch that found a descriptor means for the next one.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.health() == Health::Up { Verdict::Good } else { Verdict::Doubtful }
    }
}

/// When a descriptor was uploaded: C tor's counter grows by about 32768.5 each second since `run_start`.
///
/// A counter that does not follow C tor's rule says nothing; the time of the first fetch stands in for it.
///
/// Spec: rend-spec-v3, F.2.
fn uploaded_at(now: UnixTime, run_start: UnixTime, revision: u64) -> UnixTime {
    let told = run_start.plus(revision.saturating_mul(2) / 65_537);
    let believed = now.minus(BELIEVED_AGE)..=now.plus(BELIEVED_AHEAD);
    if believed.contains(&told) { told.min(now) } else { now }
}

#[cfg(test)]
mod tests;
