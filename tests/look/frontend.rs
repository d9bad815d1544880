//! A frontend through days over such backends: the real schedule, the real evidence, the real choice; only tor is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use onionkeep_common::{ExpirationHours, IntroAuthKey, OnionAddress, PeriodNumber, UnixTime};
use onionkeep_publisher::backend::{Backend, Health, Observation};
use onionkeep_publisher::consensus::Lives;
use onionkeep_publisher::merge::{Candidate, Memo, Merged, Mode, Rotate, Situation, Stage, Turn, renew};
use onionkeep_publisher::schedule::{Action, Dice, Event, Machine, Stored, Verdict, Why};

use super::backends::{Fate, Tor};
use super::model::{POINTS, START, Seeded, World, begin_of, period, plan};

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// How many backends.
    pub(crate) backends: usize,
    /// How they fare.
    pub(crate) fate: Fate,
    /// One fetch in so many fails.
    pub(crate) failures: u64,
    /// What is done with points that are shown no more.
    pub(crate) way: Way,
}

/// What is done with listed points that their backend's descriptor shows no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is.
    Real,
    /// All of them go at the start of a period: their age counts for nothing.
    AtOnce,
    /// For hours after the start of a period nothing is changed, whatever backends show.
    Blind,
    /// As it is, but that backends of which nothing is listed are fetched as often as the others.
    Alike,
}

/// One backend: what it is, and what is known of it.
struct Member {
    tor: Tor,
    backend: Backend,
    /// When a fetch of it was answered.
    good: Vec<u64>,
}

/// One descriptor.
#[derive(Default)]
struct Page {
    merged: Merged,
    memo: Memo,
    listed: Vec<Vec<IntroAuthKey>>,
}

/// What was listed from when on in the descriptor of a period.
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) period: u64,
    pub(crate) points: Vec<(usize, IntroAuthKey)>,
}

/// A frontend.
pub(crate) struct Frontend<'a> {
    case: Case,
    world: &'a World,
    secret: [u8; 32],
    machine: Machine,
    members: Vec<Member>,
    pages: BTreeMap<u64, Page>,
    hour: usize,
    began: Option<u64>,
    log: Vec<Entry>,
    /// Decides when backends that are called up are fetched.
    dice: Seeded,
    /// How often a backend was fetched.
    fetches: u64,
}

impl<'a> Frontend<'a> {
    /// Runs through the days of a world.
    pub(crate) fn run(world: &'a World, case: Case, seed: u64, dice: &mut Seeded) -> Self {
        let address: OnionAddress =
            "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion".parse().unwrap();
        let mut member = |number: usize| Member {
            tor: Tor::new(number, case.fate, Seeded::new(dice.pick(1..=u64::MAX - 1))),
            backend: Backend::new(format!("b{number}"), address, 1),
            good: Vec::new(),
        };
        let mut secret = [7; 32];
        secret[..8].copy_from_slice(&seed.to_be_bytes());
        let mut frontend = Self {
            case,
            world,
            secret,
            machine: Machine::new(UnixTime(START), case.backends, None),
            members: (0..case.backends).map(&mut member).collect(),
            pages: BTreeMap::new(),
            hour: 0,
            began: None,
            log: Vec::new(),
            dice: Seeded::new(seed),
            fetches: 0,
        };
        let mut now = START;
        frontend.feed(now, Event::TorUp, dice);
        for (hour, at) in world.consensuses.iter().enumerate() {
            while now < *at {
                let due = frontend.pages.values().filter_map(|page| page.memo.next());
                let due = due.map(|due| due.0).filter(|due| *due > now).min().unwrap_or(u64::MAX);
                now = frontend.machine.wake(UnixTime(now)).0.min(due).max(now + 1).min(*at);
                frontend.feed(now, Event::Tick, dice);
                if frontend.pages.values().any(|page| page.memo.is_due(UnixTime(now))) {
                    frontend.feed_all(now, dice);
                }
            }
            if World::fetched(hour) != World::fetched(frontend.hour) {
                frontend.began = Some(now);
            }
            frontend.hour = hour;
            frontend.feed(now, Event::Network(Box::new(plan(world, hour))), dice);
            frontend.feed_all(now, dice);
        }
        frontend.members.iter_mut().for_each(|member| member.tor.advance(now));
        frontend
    }

    /// The uploads of each descriptor.
    pub(crate) fn uploads(&self) -> Vec<(u64, Vec<u64>)> {
        let mut logs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for entry in &self.log {
            logs.entry(begin_of(entry.period)).or_default().push(entry.at);
        }
        logs.into_iter().collect()
    }

    /// How often a backend was fetched.
    pub(crate) const fn fetches(&self) -> u64 {
        self.fetches
    }

    /// For how many seconds clients were sent to dead points, and for how many of these longer than it takes until the next
    /// fetch shows it.
    pub(crate) fn dead(&self) -> (u64, u64) {
        let (mut all, mut late) = (0, 0);
        let end = *self.world.consensuses.last().unwrap();
        for (number, member) in self.members.iter().enumerate() {
            for (key, death) in &member.tor.deaths {
                // It is shown when the backend has uploaded anew and is then fetched.
                let known =
                    member.good.iter().find(|good| **good >= death + 90).map_or(end, |good| good + 15);
                for (from, to) in self.shown(number, key) {
                    all += to.saturating_sub(from.max(*death));
                    late += to.saturating_sub(from.max(known));
                }
            }
        }
        (all, late)
    }

    /// When clients were given a point.
    fn shown(&self, number: usize, key: &IntroAuthKey) -> Vec<(u64, u64)> {
        let end = *self.world.consensuses.last().unwrap();
        let mut times = Vec::new();
        let periods: BTreeSet<_> = self.log.iter().map(|entry| entry.period).collect();
        for period in periods {
            // Clients fetch it for a day from noon on.
            let (from, to) = (begin_of(period) + 12 * 3600, begin_of(period) + 36 * 3600);
            let own: Vec<_> = self.log.iter().filter(|entry| entry.period == period).collect();
            for (at, entry) in own.iter().enumerate() {
                let next = own.get(at + 1).map_or(end, |next| next.at);
                if entry.points.contains(&(number, *key)) {
                    times.push((entry.at.max(from), next.min(to)));
                }
            }
        }
        times.retain(|(from, to)| from < to);
        times
    }

    /// Gives an event to the schedule and answers what it asks for.
    fn feed(&mut self, now: u64, event: Event, dice: &mut Seeded) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(UnixTime(now), event, dice) {
                match action {
                    Action::Fetch { backend, .. } => {
                        events.extend(self.fetch(now, backend, dice));
                    }
                    Action::LearnCounter { period } => events.push_back(Event::CounterLearned(period)),
                    Action::Certify { period } => {
                        let expires = ExpirationHours::of_desc_signing_cert(UnixTime(now));
                        events.push_back(Event::Certified(period, expires));
                    }
                    Action::Upload { period, number, hsdirs, why } => {
                        events.extend(self.upload(now, period.number.0, why));
                        let stored = |hsdir| Event::Uploaded { period, hsdir, number, stored: Stored::Yes };
                        events.extend(hsdirs.into_iter().map(stored));
                    }
                    Action::Begin { period } => {
                        self.pages.insert(period.number.0, Page::default());
                    }
                    Action::End { period } => {
                        self.pages.remove(&period.number.0);
                    }
                    Action::Probe { .. } | Action::Look { .. } => {}
                }
            }
        }
    }

    /// Chooses anew and tells the schedule.
    fn feed_all(&mut self, now: u64, dice: &mut Seeded) {
        for event in self.choose(now) {
            self.feed(now, event, dice);
        }
    }

    /// Fetches a backend: what the schedule is told.
    fn fetch(&mut self, now: u64, at: usize, dice: &mut Seeded) -> Vec<Event> {
        let failed = self.case.failures > 0 && dice.pick(1..=self.case.failures) == 1;
        let fetched = World::fetched(self.hour);
        self.fetches += 1;
        let member = &mut self.members[at];
        member.tor.advance(now);
        let Some(revision) = member.tor.revision(fetched).filter(|_revision| !failed) else {
            return vec![Event::Fetched(at, Verdict::Unclear)];
        };
        let before = member.backend.health();
        let mut observation = Observation::Same;
        if !member.backend.again(UnixTime(now), period(fetched), revision) {
            let (decoded, run_start) = (member.tor.fetch(fetched).unwrap(), UnixTime(begin_of(fetched)));
            observation = member.backend.observe(UnixTime(now), period(fetched), run_start, decoded);
        }
        member.good.push(now);
        let (health, verdict) = (member.backend.health(), member.backend.verdict());
        let news = observation == Observation::New || health != before;
        let mut events = if news { self.choose(now) } else { Vec::new() };
        events.push(Event::Fetched(at, verdict));
        events
    }

    /// Chooses anew what each descriptor lists; the news for the schedule.
    fn choose(&mut self, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for at in self.pages.keys().copied().collect::<Vec<_>>() {
            let digest = self.merge(now, at, None);
            events.extend(digest.map(|digest| Event::Points(period(at), Some(digest))));
        }
        events
    }

    /// An upload: chosen anew for it, as the publisher does.
    fn upload(&mut self, now: u64, at: u64, why: Why) -> Option<Event> {
        let again = why == Why::First && self.pages[&at].listed.iter().any(|set| !set.is_empty());
        let fresh = if why == Why::Retry || again { None } else { self.merge(now, at, Some(why)) };
        let page = self.pages.get_mut(&at).unwrap();
        page.listed = page.merged.sets.iter().map(|set| set.keys()).collect();
        let points = page.merged.sets.iter().flat_map(|set| &set.points);
        let points = points.map(|(backend, point)| (*backend, *point.auth_key())).collect();
        self.log.push(Entry { at: now, period: at, points });
        fresh.map(|digest| Event::Listed(period(at), digest))
    }

    /// A backend as the merge sees it.
    fn candidate(&self, at: usize) -> Option<Candidate<'_>> {
        let backend = &self.members[at].backend;
        let seen = backend.seen()?;
        Some(Candidate {
            backend: at,
            weight: 1,
            place: u64::try_from(at).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            points: &seen.points,
            flow_control: None,
            single_onion: false,
            pow: false,
            ages: (self.case.way != Way::AtOnce).then(|| backend.ages()),
        })
    }

    /// Chooses what a descriptor lists; the digest if it changed.
    fn merge(
        &mut self,
        now: u64,
        at: u64,
        upload: Option<Why>,
    ) -> Option<onionkeep_publisher::schedule::Digest> {
        let fetched = World::fetched(self.hour);
        let began = self.began.is_some_and(|began| now < began + 6 * 3600);
        if self.case.way == Way::Blind && began && at == fetched {
            return None;
        }
        let up: Vec<_> =
            (0..self.members.len()).filter(|at| self.members[*at].backend.health() == Health::Up).collect();
        let candidates: Vec<_> = up.iter().filter_map(|at| self.candidate(*at)).collect();
        let mode = Mode::Ordinary { points: POINTS, rotate: Rotate::Daily };
        let seed = Rotate::seed(mode, &self.secret, PeriodNumber(at));
        let others = self.pages.iter().filter(|(other, _page)| **other != at);
        let avoid: BTreeSet<_> = others
            .flat_map(|(_other, page)| {
                page.merged.keys().into_iter().chain(page.listed.iter().flatten().copied())
            })
            .collect();
        let page = self.pages.get(&at)?;
        let regular = matches!(upload, Some(Why::First | Why::Interval));
        let situation = Situation {
            mode,
            sets: 1,
            now: UnixTime(now),
            seed: &seed,
            secret: &self.secret,
            listed: &page.listed,
            avoid: &avoid,
            hold: !regular,
        };
        let stage = stage(at, fetched);
        let turn = Turn { stage, uploads: upload.is_some(), so_far: &page.merged, lives: Lives::PUBLIC };
        let mut memo = page.memo.clone();
        let merged = renew(&mut memo, &turn, &candidates, &situation);
        let changed =
            !(merged.is_empty() && page.merged.is_empty()) && merged.digest() != page.merged.digest();
        let digest = merged.digest();
        if stage == Stage::Coming {
            self.machine.attend(merged.backends().collect());
        }
        let page = self.pages.get_mut(&at)?;
        (page.merged, page.memo) = (merged, memo);
        if self.case.way != Way::Alike {
            let listed = self.pages.values().flat_map(|page| page.merged.backends()).collect();
            self.machine.list(UnixTime(now), Some(listed), &mut self.dice);
        }
        changed.then_some(digest)
    }
}

/// Where the descriptor of a period stands when another one's is fetched.
const fn stage(period: u64, fetched: u64) -> Stage {
    if period < fetched {
        Stage::Past
    } else if period == fetched {
        Stage::Shown
    } else {
        Stage::Coming
    }
}
