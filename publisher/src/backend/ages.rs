//! How old a backend's introduction points are, and which of its descriptor before still work although nobody sees them. Pure.
//!
//! At the start of a period the backend's other descriptor is fetched. Its points of before work on: C tor closes them when
//! their own time is over, or when the shared random value changes next. They are not relied on once anything speaks
//! against it: a restart closes all of them, and so many introductions that a point ends early may end these too.

use super::Seen;
use crate::consensus::Lives;
use crate::descriptor::{Decoded, IntroPoint};
use onionkeep_common::{IntroAuthKey, TimePeriod, UnixTime};
use std::collections::{BTreeMap, BTreeSet};

/// The end of the signing key's certificate lies so many **hours** after the next full hour.
///
/// Spec: C tor, `HS_DESC_CERT_LIFETIME`.
const CERT_HOURS: u64 = 54;
/// The clocks of a backend and ours may differ by so much when the hour of an upload is judged, in **seconds**.
const SKEW: u64 = 120;

/// Points of the descriptor before.
#[derive(Clone, Debug)]
struct Before {
    /// Each with the earliest time at which it can have been made.
    points: Vec<(IntroPoint, UnixTime)>,
    /// When the backend closes all of them.
    ends: UnixTime,
}

/// What is known of the age of one backend's points.
#[derive(Clone, Debug)]
pub struct Ages {
    /// How long points live.
    lives: Lives,
    /// The fetched points, each with the earliest time at which it can have been made.
    born: BTreeMap<IntroAuthKey, UnixTime>,
    /// What is left of the descriptor before, if nothing speaks against it.
    before: Option<Before>,
    /// Since when it is looked at.
    since: Option<UnixTime>,
    /// When a point last went before its time.
    early: Option<UnixTime>,
    /// Its counter tells times of upload that cannot be.
    odd_clock: bool,
}

/// A newly fetched descriptor beside what was known.
pub(super) struct News<'a> {
    /// When.
    pub(super) now: UnixTime,
    /// The last good fetch before.
    pub(super) last_good: UnixTime,
    /// What that gave.
    pub(super) seen: Option<&'a Seen>,
    /// The new descriptor's period.
    pub(super) period: TimePeriod,
    /// From when on it can have been made: its shared random value is known since then.
    pub(super) run_start: UnixTime,
    /// When it was uploaded, as far as its counter tells.
    pub(super) uploaded: UnixTime,
    /// The new descriptor.
    pub(super) decoded: &'a Decoded,
}

impl News<'_> {
    /// By how much the time that the counter tells may be wrong, in **seconds**: three standard deviations.
    ///
    /// The counter is a sum of one number for each second, each alike between 1 and 65536: a standard deviation of
    /// 1/sqrt(3) second for each.
    ///
    /// Spec: rend-spec-v3, F.2.
    fn slack(&self) -> u64 {
        self.uploaded.since(self.run_start).saturating_mul(3).isqrt().saturating_add(1)
    }

    /// Whether the descriptor may have been uploaded since the last good fetch of the one before.
    fn may_be_fresh(&self) -> bool {
        let hour =
            UnixTime(u64::from(self.decoded.cert_expires.0).saturating_sub(CERT_HOURS).saturating_mul(3600));
        // The certificate was made at or before that full hour.
        let is_older = hour.plus(SKEW) <= self.last_good;
        !is_older && self.uploaded.plus(self.slack()) >= self.last_good
    }
}

impl Ages {
    /// Nothing is known.
    pub(super) const fn new() -> Self {
        Self {
            lives: Lives::PUBLIC,
            born: BTreeMap::new(),
            before: None,
            since: None,
            early: None,
            odd_clock: false,
        }
    }

    /// Points live so long in this network.
    pub(super) const fn set_lives(&mut self, lives: Lives) {
        self.lives = lives;
    }

    /// The backend was down: what it had may be gone.
    pub(super) fn doubt(&mut self) {
        self.before = None;
    }

    /// Takes a newly fetched descriptor.
    pub(super) fn take(&mut self, news: &News<'_>) {
        self.since.get_or_insert(news.now);
        match news.seen {
            Some(seen) if seen.period == news.period => self.again(seen, news),
            Some(seen) if seen.period.next() == news.period => self.next_period(seen, news),
            _ => {
                self.before = None;
                self.born = all_born(news.decoded, news.run_start);
            }
        }
    }

    /// The same descriptor, renewed.
    fn again(&mut self, seen: &Seen, news: &News<'_>) {
        let keys: BTreeSet<_> = news.decoded.intro_points.iter().map(|point| *point.auth_key()).collect();
        let stays = self.born.keys().any(|key| keys.contains(key));
        // C tor keeps the signing key for a whole period, and makes a new one when it starts.
        let restarted = seen.signing_key != news.decoded.signing_key || !stays;
        let young = |born: &UnixTime| news.now.since(*born) < self.lives.least;
        let early = self.born.iter().any(|(key, born)| !keys.contains(key) && young(born));
        if early {
            self.early = Some(news.now);
        }
        if restarted || early {
            self.before = None;
        }
        self.odd_clock = news.uploaded.plus(news.slack()) < news.last_good;
        self.born.retain(|key, _born| keys.contains(key));
        for key in keys {
            self.born.entry(key).or_insert(news.last_good);
        }
    }

    /// The first look at the descriptor of the next period.
    fn next_period(&mut self, seen: &Seen, news: &News<'_>) {
        let born = |point: &IntroPoint| Some((point.clone(), *self.born.get(point.auth_key())?));
        // A restart since the last look would have closed the points, and would have uploaded this descriptor.
        let is_sure = !self.odd_clock && !news.may_be_fresh();
        self.before = is_sure.then(|| Before {
            points: seen.points.iter().filter_map(born).collect(),
            ends: news.run_start.plus(news.period.length.seconds()),
        });
        self.born = all_born(news.decoded, news.run_start);
        self.odd_clock = false;
    }

    /// The earliest time at which a fetched point can have been made.
    #[must_use]
    pub fn born(&self, key: &IntroAuthKey) -> Option<UnixTime> {
        self.born.get(key).copied()
    }

    /// The points of the descriptor before that still work as far as we know: each with the earliest time at which it can
    /// have been made, and until when it is relied on. None before the backend was looked at for as long as a point lives.
    pub fn carried(&self, now: UnixTime) -> impl Iterator<Item = (&IntroPoint, UnixTime, UnixTime)> {
        let busy = self.early.is_some_and(|early| now.since(early) < self.lives.most);
        let is_known = self.since.is_some_and(|since| now.since(since) >= self.lives.least) && !busy;
        let before = self.before.as_ref().filter(|_before| is_known);
        let margin = self.lives.margin();
        let until = move |born: UnixTime, ends: UnixTime| born.plus(self.lives.least).min(ends).minus(margin);
        let points =
            before.into_iter().flat_map(|before| before.points.iter().map(|point| (point, before.ends)));
        points
            .map(move |((point, born), ends)| (point, *born, until(*born, ends)))
            .filter(move |(_point, _born, until)| *until > now)
    }
}

/// All points of a descriptor of which no more is known than when it can have begun.
fn all_born(decoded: &Decoded, run_start: UnixTime) -> BTreeMap<IntroAuthKey, UnixTime> {
    decoded.intro_points.iter().map(|point| (*point.auth_key(), run_start)).collect()
}
