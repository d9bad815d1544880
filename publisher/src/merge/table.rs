//! Who sits where: from the shares that the wheel gives to the points of each set.
//!
//! What is listed stays as long as it can. Where relays are too few for all that are due a place, those who go without
//! change with time: a die that the secret throws anew in each step of the wheel decides who comes first.

use super::assign::{Plan, Taste, Unit, count};
use super::wheel::Wheel;
use super::{Candidate, Situation};
use crate::descriptor::IntroPoint;
use onionkeep_common::IntroAuthKey;
use sha3::{Digest as _, Sha3_256};
use std::collections::{BTreeMap, BTreeSet};

/// So many draws of backends that may fill places that others cannot take.
const DRAWS: u64 = 256;
/// So many backends are asked to fill such places.
const FILLERS: usize = 64;

/// The points of each set with the number of their backend among the usable ones.
type Seats<'a> = Vec<Vec<(usize, &'a IntroPoint)>>;

/// Everything that decides who sits where.
pub(super) struct Table<'a, 't> {
    /// The backends.
    usable: &'t [&'t Candidate<'a>],
    /// Their shares.
    wheel: &'t Wheel,
    /// When, and with which secrets.
    situation: &'t Situation<'t>,
    /// What each set lists.
    listed: Vec<BTreeSet<IntroAuthKey>>,
    /// The places that are due, one for each spoke of the wheel.
    due: Vec<Unit>,
    /// Places in each set.
    places: Vec<usize>,
}

impl<'a, 't> Table<'a, 't> {
    /// Asks the wheel who is due a place.
    pub(super) fn new(
        usable: &'t [&'t Candidate<'a>],
        wheel: &'t Wheel,
        situation: &'t Situation<'t>,
    ) -> Self {
        let shares = wheel.shares(situation.seed, situation.now);
        let sets = shares.len();
        let own = |set: usize| situation.listed.get(set).filter(|_own| situation.listed.len() == sets);
        let listed = |set: usize| match own(set) {
            Some(own) => own.iter().copied().collect(),
            None => situation.listed.iter().flatten().copied().collect(),
        };
        let places = shares.iter().map(|set| set.iter().map(|(_at, share)| share).sum()).collect();
        Self {
            usable,
            wheel,
            situation,
            listed: (0..sets).map(listed).collect(),
            due: shares.iter().enumerate().flat_map(|(set, shares)| units(set, shares)).collect(),
            places,
        }
    }

    /// The points of each set, and whether somebody has fewer places than due.
    pub(super) fn seat(&self) -> (Seats<'a>, bool) {
        let taste = self.taste(&self.listed);
        let held = self.held().map(|held| self.keep(&held, &taste));
        if let Some(held) = &held
            && self.is_good(held)
        {
            return (self.filled(held.clone()), false);
        }
        let mut steady = self.plan(&taste);
        let left = steady.keep(&self.due);
        let short = !steady.give(&left).is_empty();
        match held.filter(|_held| self.situation.hold) {
            Some(held) if !self.should_give_way(&held, &steady) => (self.filled(held), short),
            None if short && !self.situation.hold => (self.in_turn(), true),
            _ => (self.filled(steady), short),
        }
    }

    /// Whether what is held needs no second look: nobody lacks a place, all have their share rounded up or down, or all have as
    /// many as are due.
    fn is_good(&self, held: &Plan<'_, '_>) -> bool {
        if self.situation.hold {
            return self.lacks(&held.served()) == 0;
        }
        let counts_held = held.counts();
        let has = |at: usize| counts_held.get(&at).copied().unwrap_or_default();
        if self.wheel.is_daily() {
            (0..self.usable.len()).all(|at| self.wheel.is_share(at, has(at)))
        } else {
            counts_held == counts(&self.due)
        }
    }

    /// What is held, and in the places that are left what is due.
    fn keep<'p>(&'p self, held: &[Unit], taste: &'p Taste<'p>) -> Plan<'a, 'p> {
        let mut plan = self.plan(taste);
        plan.keep(held);
        if self.situation.hold || self.wheel.is_daily() {
            plan.give(&self.missing(held));
        }
        plan
    }

    /// As many as relays allow; who comes first changes with time.
    fn in_turn(&self) -> Seats<'a> {
        let taste = self.taste(&[]);
        let mut plan = self.plan(&taste);
        plan.give_in_order(&self.thrown());
        self.filled(plan)
    }

    /// What a plan says, after others have filled the places that are free.
    fn filled(&self, mut plan: Plan<'a, '_>) -> Seats<'a> {
        if plan.has_any_room() {
            plan.fill(&self.fillers());
        }
        plan.sets()
    }

    /// An empty plan.
    fn plan<'p>(&'p self, taste: &'p Taste<'p>) -> Plan<'a, 'p> {
        Plan::new(self.usable, taste, self.places.clone())
    }

    /// What points are chosen by.
    fn taste<'p>(&'p self, listed: &'p [BTreeSet<IntroAuthKey>]) -> Taste<'p> {
        Taste { listed, avoid: self.situation.avoid, secret: self.situation.secret }
    }

    /// A unit for each point that is listed and works. `None` if what each set lists is not known, or more is listed than
    /// there are places.
    fn held(&self) -> Option<Vec<Unit>> {
        if self.situation.listed.len() != self.places.len() {
            return None;
        }
        let mut held = Vec::new();
        for (set, (listed, places)) in self.listed.iter().zip(&self.places).enumerate() {
            let own = |candidate: &&Candidate<'_>| {
                candidate.points.iter().filter(|point| listed.contains(point.auth_key())).count()
            };
            let before = held.len();
            for (at, count) in self.usable.iter().map(own).enumerate().filter(|(_at, count)| *count > 0) {
                held.extend(std::iter::repeat_n((at, set), count));
            }
            if held.len().saturating_sub(before) > *places {
                return None;
            }
        }
        Some(held)
    }

    /// The places that are due beyond the held ones, as many as are free in each set.
    fn missing(&self, held: &[Unit]) -> Vec<Unit> {
        let mut has: BTreeMap<Unit, usize> = count(held.iter().copied());
        let mut free = self.places.clone();
        for (_at, set) in held {
            if let Some(free) = free.get_mut(*set) {
                *free = free.saturating_sub(1);
            }
        }
        let mut missing = Vec::new();
        for unit in &self.due {
            let own = has.entry(*unit).or_default();
            match (own.checked_sub(1), free.get_mut(unit.1)) {
                (Some(rest), _free) => *own = rest,
                (None, Some(free)) if *free > 0 => {
                    *free = free.saturating_sub(1);
                    missing.push(*unit);
                }
                (None, _full) => {}
            }
        }
        missing
    }

    /// Whether what is held gives way to what is due: if a backend that should never be without a place has none, and gets
    /// one without taking the last one of another that is due.
    fn should_give_way(&self, held: &Plan<'_, '_>, steady: &Plan<'_, '_>) -> bool {
        let (had, has, due) = (held.served(), steady.served(), counts(&self.due));
        self.lacks(&has) < self.lacks(&had) && had.iter().all(|at| has.contains(at) || !due.contains_key(at))
    }

    /// How many backends that should never be without a place are.
    fn lacks(&self, served: &BTreeSet<usize>) -> usize {
        let due = (0..self.usable.len()).filter(|at| self.wheel.is_due(*at));
        due.filter(|at| !served.contains(at)).count()
    }

    /// The places that are due in the order that the die gives: the first of each backend before the second of any.
    fn thrown(&self) -> Vec<Unit> {
        let mut times: BTreeMap<usize, u64> = BTreeMap::new();
        let mut thrown = Vec::new();
        for (at, set) in &self.due {
            let time = times.entry(*at).or_default();
            let place = self.usable.get(*at).map(|candidate| candidate.place).unwrap_or_default();
            thrown.push((*time, self.die(&[place, *time]), (*at, *set)));
            *time = time.saturating_add(1);
        }
        thrown.sort_unstable();
        thrown.into_iter().map(|(_time, _die, unit)| unit).collect()
    }

    /// Backends who may fill a place that the wheel could not give: drawn by weight, anew in each step.
    fn fillers(&self) -> Vec<usize> {
        let drawn = (0..DRAWS).filter_map(|number| self.wheel.at(self.die(&[number])));
        let mut seen = BTreeSet::new();
        drawn.chain(0..self.usable.len()).filter(|at| seen.insert(*at)).take(FILLERS).collect()
    }

    /// A number that only the secret, the step of the wheel and these numbers give.
    fn die(&self, numbers: &[u64]) -> u64 {
        let seed = self.situation.seed;
        let mut hash = Sha3_256::new().chain_update(b"onionkeep die v1").chain_update(seed);
        hash.update(self.wheel.epoch(seed, self.situation.now).to_be_bytes());
        numbers.iter().for_each(|number| hash.update(number.to_be_bytes()));
        hash.finalize().iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
    }
}

/// A unit for each place of a set's shares.
fn units(set: usize, shares: &[(usize, usize)]) -> impl Iterator<Item = Unit> {
    shares.iter().flat_map(move |(at, share)| std::iter::repeat_n((*at, set), *share))
}

/// How many places each backend has in all sets.
fn counts(units: &[Unit]) -> BTreeMap<usize, usize> {
    count(units.iter().map(|(at, _set)| *at))
}
