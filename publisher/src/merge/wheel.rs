//! The wheel: how many places each backend has in each descriptor at a time. The only place that knows about fairness.
//!
//! The backends lie on a circle, each as wide as its weight. A wheel with evenly spaced spokes turns over it, one spoke for
//! each place; a backend has the places whose spokes point at it. So every backend has its share rounded up or down in
//! each descriptor, and exactly its share on average over the wheel's unknown start, at every moment, and over one
//! turn from spoke to spoke whatever the start.

use super::{Mode, Rotate};
use onionkeep_common::UnixTime;

/// A turn from spoke to spoke in the modes that do not hide that points change, in **seconds**.
const HOUR: u64 = 3600;
/// Most steps of such a turn: an upload every five minutes.
const STEPS_MOST: u64 = 12;
/// Steps of an hour in which those change who are short of places, if the wheel stands.
const STEPS_SHORT: u64 = 6;
/// How often each backend is listed in such a turn, if the steps allow: the more often, the less rounding.
const TIMES: u64 = 4;
/// Fewer points than so many are never listed for the sake of the weights: two may fail at once.
const POINTS_LEAST: usize = 3;
/// The golden ratio's fraction of 2^64: its multiples spread evenly however many are taken.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A backend on the circle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sector {
    /// Its weight.
    pub(super) weight: u64,
    /// How many points it has.
    pub(super) points: u64,
}

/// The circle and the wheel on it.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The backends in their order on the circle.
    sectors: Vec<Sector>,
    /// Their weight together.
    total: u64,
    /// How many different descriptors there are.
    sets: usize,
    /// Places in each of them.
    pub(super) places: usize,
    /// How the wheel moves.
    pace: Pace,
    /// Whether what is listed stays for a whole time period.
    daily: bool,
    /// In how many **seconds** those change who are short of places while the wheel stands, and in how many steps.
    restless: Pace,
}

/// How a wheel moves: once from spoke to spoke in so many **seconds**, in so many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Time from spoke to spoke.
    turn: u64,
    /// Steps of it; one means that it stands still, because no other position is fairer.
    steps: u64,
}

impl Wheel {
    /// Chooses the number of places and the pace for a mode.
    pub(super) fn new(sectors: Vec<Sector>, mode: Mode, sets: usize) -> Self {
        let total = sectors.iter().map(|sector| sector.weight).sum();
        let pace = Pace { turn: HOUR, steps: 1 };
        let daily = matches!(mode, Mode::Ordinary { rotate: Rotate::Daily, .. });
        let restless = match mode {
            Mode::Ordinary { .. } if daily => Pace { turn: 24 * HOUR, steps: 1 },
            Mode::Ordinary { .. } => pace,
            Mode::Wide { .. } | Mode::Distinct { .. } => Pace { turn: HOUR, steps: STEPS_SHORT },
        };
        let mut wheel = Self { sectors, total, sets, places: 0, pace, daily, restless };
        let most = wheel.most(mode.points());
        wheel.places = match mode {
            Mode::Ordinary { .. } => most,
            Mode::Wide { .. } | Mode::Distinct { .. } => wheel.exact(most).unwrap_or(most),
        };
        wheel.pace = wheel.pace_of(mode);
        wheel
    }

    /// The number of places in one descriptor that leaves every backend enough points for its share.
    fn most(&self, most: usize) -> usize {
        let fits = |sector: &Sector| sector.points.saturating_mul(self.total).checked_div(sector.weight);
        let fits = self.sectors.iter().filter_map(fits).min().unwrap_or_default();
        let have = self.sectors.iter().map(|sector| sector.points).sum::<u64>();
        let least = POINTS_LEAST.min(usize::try_from(have).unwrap_or(usize::MAX));
        usize::try_from(fits).unwrap_or(usize::MAX).max(least).min(most)
    }

    /// The highest number of places up to `most` with which every share is a whole number.
    fn exact(&self, most: usize) -> Option<usize> {
        (POINTS_LEAST.min(most)..=most).rev().find(|places| self.is_exact(*places))
    }

    /// Whether so many places in each descriptor make every share a whole number.
    fn is_exact(&self, places: usize) -> bool {
        let divisor = self.sectors.iter().fold(0, |divisor, sector| gcd(divisor, sector.weight));
        let base = self.total.checked_div(divisor).unwrap_or(1);
        self.spokes(places).checked_rem(base) == Some(0)
    }

    /// Places in all descriptors together.
    fn spokes(&self, places: usize) -> u64 {
        u64::try_from(places.saturating_mul(self.sets)).unwrap_or_default()
    }

    /// How the wheel moves.
    ///
    /// In ordinary mode it stands for a whole time period, if its points are to stay as long as C tor's. Else one point or two change
    /// with each upload, as at a busy C tor service: a turn has as many hours as there are backends, in steps that rarely
    /// change, so that a backend that comes or goes does not throw the wheel about.
    fn pace_of(&self, mode: Mode) -> Pace {
        if self.is_exact(self.places) || self.daily {
            return Pace { turn: HOUR, steps: 1 };
        }
        if let Mode::Ordinary { .. } = mode {
            let hours = [2, 4, 8, 16, 24].into_iter().find(|hours| self.sectors.len() <= *hours);
            let hours = u64::try_from(hours.unwrap_or(24)).unwrap_or(24);
            return Pace { turn: hours.saturating_mul(HOUR), steps: hours };
        }
        let least = self.sectors.iter().map(|sector| sector.weight).min().unwrap_or(1);
        let each = self.spokes(self.places).saturating_mul(least).max(1);
        let steps = self.total.saturating_mul(TIMES).div_ceil(each).clamp(2, STEPS_MOST);
        Pace { turn: HOUR, steps }
    }

    /// When after `now` the wheel moves; `None` if it stands. `short`: somebody has fewer places than due, so that those who
    /// are short change with time even if the wheel stands.
    pub(super) fn next_step(&self, seed: &[u8; 32], now: UnixTime, short: bool) -> Option<UnixTime> {
        let Pace { turn, steps } = if short { self.restless() } else { self.pace };
        let at = now.0.saturating_add(start(seed)).checked_rem(turn)?;
        let next = step(at, turn, steps).saturating_add(1);
        let next_at = next.saturating_mul(turn).div_ceil(steps);
        (steps > 1).then(|| now.plus(next_at.saturating_sub(at).max(1)))
    }

    /// The pace with which those change who are short of places: the wheel's own, if it moves.
    const fn restless(&self) -> Pace {
        if self.pace.steps > 1 { self.pace } else { self.restless }
    }

    /// Which step since the beginning of time it is.
    pub(super) fn epoch(&self, seed: &[u8; 32], now: UnixTime) -> u64 {
        let Pace { turn, steps } = self.restless();
        step(now.0.saturating_add(start(seed)), turn, steps)
    }

    /// How far the wheel has moved from a spoke to the next at `now`, of 2^64.
    ///
    /// Each turn's steps lie a little off those of the turn before, so that in the long run no position is left out.
    fn phase(&self, seed: &[u8; 32], now: UnixTime) -> u64 {
        let Pace { turn, steps } = self.pace;
        let time = if steps > 1 { now.0.saturating_add(start(seed)) } else { 0 };
        let (lap, at) = (time.checked_div(turn).unwrap_or(0), time.checked_rem(turn).unwrap_or(0));
        let width = u64::MAX.checked_div(steps).unwrap_or(u64::MAX);
        let offset = lap.wrapping_mul(GOLDEN).checked_div(steps).unwrap_or(0);
        number(seed, 0).wrapping_add(step(at, turn, steps).wrapping_mul(width)).wrapping_add(offset)
    }

    /// For each descriptor the backends with places in it and how many, in the circle's order.
    pub(super) fn shares(&self, seed: &[u8; 32], now: UnixTime) -> Vec<Vec<(usize, usize)>> {
        let spokes = self.spokes(self.places);
        let shift = u128::from(self.phase(seed, now)).wrapping_mul(u128::from(self.total)) >> 64;
        let mut shares: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.sets];
        let mut sectors = self.sectors.iter().enumerate();
        let (mut current, mut end) = (0, 0_u128);
        for spoke in 0..spokes {
            let at = u128::from(spoke).saturating_mul(u128::from(self.total)).saturating_add(shift);
            while at >= end {
                let Some((number, sector)) = sectors.next() else { return shares };
                let width = u128::from(sector.weight).saturating_mul(u128::from(spokes));
                (current, end) = (number, end.saturating_add(width));
            }
            let set = usize::try_from(spoke).unwrap_or_default().checked_rem(self.sets).unwrap_or_default();
            if let Some(set) = shares.get_mut(set) {
                match set.last_mut() {
                    Some((last, count)) if *last == current => *count = count.saturating_add(1),
                    _ => set.push((current, 1)),
                }
            }
        }
        shares
    }

    /// Whether a backend's share of one descriptor is at least one place, so that it should never be without.
    pub(super) fn is_due(&self, at: usize) -> bool {
        let places = u64::try_from(self.places).unwrap_or_default();
        self.sectors.get(at).is_some_and(|sector| sector.weight.saturating_mul(places) >= self.total)
    }

    /// Whether what is listed stays for a whole time period.
    pub(super) const fn is_daily(&self) -> bool {
        self.daily
    }

    /// Whether so many places in one descriptor are a backend's share, rounded up or down.
    pub(super) fn is_share(&self, at: usize, count: usize) -> bool {
        let (places, count) = (u64::try_from(self.places), u64::try_from(count));
        let (Ok(places), Ok(count), Some(sector)) = (places, count, self.sectors.get(at)) else {
            return false;
        };
        let due = sector.weight.saturating_mul(places);
        let has = count.saturating_mul(self.total);
        has < due.saturating_add(self.total) && due < has.saturating_add(self.total)
    }

    /// The backend at a point of the circle, which is taken modulo the circle's length.
    pub(super) fn at(&self, point: u64) -> Option<usize> {
        let mut left = point.checked_rem(self.total)?;
        self.sectors.iter().position(|sector| match left.checked_sub(sector.weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
    }
}

/// The step of a turn at a time of it.
fn step(at: u64, turn: u64, steps: u64) -> u64 {
    at.saturating_mul(steps).checked_div(turn).unwrap_or_default()
}

/// A service's turns do not begin with the full hour, nor with those of others.
fn start(seed: &[u8; 32]) -> u64 {
    number(seed, 8).checked_rem(24 * HOUR).unwrap_or_default()
}

/// The same seed with another start for each of many periods: together they lie evenly on the circle.
pub(super) fn spread(mut seed: [u8; 32], period: u64) -> [u8; 32] {
    let start = number(&seed, 0).wrapping_add(period.wrapping_mul(GOLDEN));
    seed.iter_mut().zip(start.to_be_bytes()).for_each(|(octet, new)| *octet = new);
    seed
}

/// Eight octets of a seed as a number.
fn number(seed: &[u8; 32], from: usize) -> u64 {
    seed.iter().skip(from).take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
}

/// The greatest common divisor.
fn gcd(a: u64, b: u64) -> u64 {
    a.checked_rem(b).map_or(a, |rest| gcd(b, rest))
}
