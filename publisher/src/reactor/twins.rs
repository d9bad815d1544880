//! Two publishers of one address over simulated days: real clocks, counters and looks, one set of HSDirs, clocks that differ.

use super::look::hash;
use super::other::{Judged, Seen};
use super::period::Period;
use crate::consensus::{Consensus, Fingerprint, HsSchedule, Params, Role, Srv};
use crate::descriptor::PeriodKeys;
use crate::schedule::tests::TestDice;
use crate::schedule::{Action, DescPlan, Dice, Digest, Event, Found, Machine, Plan, Stored, Verdict, Why};
use crate::state::PeriodState;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{ExpirationHours, OnionAddress, TimePeriod, UnixTime};
use std::collections::{BTreeMap, HashMap};

/// A full hour, some hours into a day.
const START: u64 = 1_800_000_000 / 86_400 * 86_400 + 5 * 3600;
/// How long an HSDir keeps a descriptor, in seconds.
const LIFETIME: u64 = 3 * 3600;
/// HSDirs of each descriptor.
const HSDIRS: u8 = 8;
/// Simulated days, if `ONIONKEEP_TWIN_DAYS` says nothing else.
const DAYS: u64 = 2;

/// Simulated seconds.
fn run_length() -> u64 {
    let days: Option<u64> = std::env::var("ONIONKEEP_TWIN_DAYS").ok().and_then(|days| days.parse().ok());
    86_400 * days.unwrap_or(DAYS)
}

fn onion() -> OnionAddress {
    crate::config::tests::A.parse().unwrap()
}

/// What an HSDir has of one descriptor.
#[derive(Clone, Copy)]
struct Held {
    revision: u64,
    by: usize,
    until: u64,
}

/// One publisher.
struct Twin {
    machine: Machine,
    periods: Vec<Period>,
    secret: [u8; 32],
    /// Its clock against the true time.
    skew: i64,
    alive: bool,
    uploads: u64,
    copies: u64,
    refused: u64,
    judged: Vec<Judged>,
}

impl Twin {
    fn period(&mut self, at: TimePeriod) -> &mut Period {
        self.periods.iter_mut().find(|period| period.state.period == at).unwrap()
    }
}

struct World {
    twins: [Twin; 2],
    dice: TestDice,
    real: u64,
    held: HashMap<(TimePeriod, Fingerprint), Held>,
    pending: BTreeMap<(u64, u64), (usize, Event)>,
    serial: u64,
    plan: Option<Plan>,
    since: HashMap<TimePeriod, u64>,
    holes: u64,
}

impl World {
    /// Two publishers with these secrets; the second one's clock is ahead by so many seconds.
    fn new(secrets: [u8; 2], skew: i64, seed: u64) -> Self {
        let twin = |secret: u8, skew| {
            let mut machine = Machine::new(UnixTime(START.saturating_add_signed(skew)), 1, None);
            machine.set_looks(3600);
            Twin {
                machine,
                periods: Vec::new(),
                secret: [secret; 32],
                skew,
                alive: true,
                uploads: 0,
                copies: 0,
                refused: 0,
                judged: Vec::new(),
            }
        };
        Self {
            twins: [twin(secrets[0], 0), twin(secrets[1], skew)],
            dice: TestDice(seed),
            real: START,
            held: HashMap::new(),
            pending: BTreeMap::new(),
            serial: 0,
            plan: None,
            since: HashMap::new(),
            holes: 0,
        }
    }

    fn now(&self, at: usize) -> UnixTime {
        UnixTime(self.real.saturating_add_signed(self.twins[at].skew))
    }

    fn schedule(&self) -> (Consensus, HsSchedule) {
        let hour = self.real / 3600 * 3600;
        let consensus = Consensus {
            valid_after: UnixTime(hour),
            fresh_until: UnixTime(hour + 3600),
            valid_until: UnixTime(hour + 3 * 3600),
            params: Params::default(),
            srv_previous: Some(Srv([1; 32])),
            srv_current: Some(Srv([2; 32])),
            hsdirs: Vec::new(),
            hsdirs_without_microdesc: 0,
            relay_count: 0,
        };
        let schedule = consensus.schedule(false);
        (consensus, schedule)
    }

    /// Both read the consensus of this hour.
    fn hour(&mut self) {
        let (consensus, schedule) = self.schedule();
        let desc = |role: Role| {
            let hsdirs: Vec<_> = (1..=HSDIRS).map(|number| Fingerprint([number; 20])).collect();
            DescPlan { role, asked: hsdirs.clone(), hsdirs }
        };
        let plan = Plan {
            valid_after: consensus.valid_after,
            live_from: consensus.valid_after.minus(86_400),
            live_until: consensus.valid_until.plus(86_400),
            first: desc(schedule.first),
            second: desc(schedule.second),
            fetch_period: schedule.fetch.period,
            fetch_until: schedule.fetch_until,
        };
        for role in [schedule.first, schedule.second] {
            self.since.entry(role.period).or_insert(self.real);
        }
        self.plan = Some(plan.clone());
        for at in 0..2 {
            self.feed(at, Event::Network(Box::new(plan.clone())));
        }
    }

    fn feed(&mut self, at: usize, event: Event) {
        if !self.twins[at].alive {
            return;
        }
        let now = self.now(at);
        for action in self.twins[at].machine.handle(now, event, &mut self.dice) {
            self.act(at, action);
        }
    }

    fn later(&mut self, at: usize, seconds: u64, event: Event) {
        self.serial += 1;
        self.pending.insert((self.real + seconds, self.serial), (at, event));
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Fetch { backend, .. } => self.later(at, 2, Event::Fetched(backend, Verdict::Good)),
            Action::Probe { .. } => {}
            Action::LearnCounter { period } => {
                // Three of the HSDirs answer.
                let asked: Vec<_> = (0..3).map(|_| self.dice.pick(1..=HSDIRS.into())).collect();
                let highest = asked.iter().filter_map(|number| {
                    let hsdir = Fingerprint([u8::try_from(*number).unwrap(); 20]);
                    self.given(period, hsdir).map(|held| held.revision)
                });
                let highest = highest.max();
                self.twins[at].period(period).learned(highest);
                self.later(at, 2, Event::CounterLearned(period));
            }
            Action::Look { period, hsdir } => self.look(at, period, hsdir),
            Action::Certify { period } => {
                let expires = ExpirationHours::of_desc_signing_cert(self.now(at));
                self.later(at, 1, Event::Certified(period, expires));
            }
            Action::Upload { period, number, hsdirs, why } => self.upload(at, period, (number, why), &hsdirs),
            Action::Begin { period } => {
                let fill = |octets: &mut [u8]| {
                    octets.fill(7);
                    Ok::<(), KeyError>(())
                };
                let state = PeriodState::new(period, PeriodKeys::generate(fill).unwrap());
                let twin = &mut self.twins[at];
                twin.periods.push(Period::new(&onion(), state, &twin.secret).unwrap());
                self.later(at, 3, Event::Points(period, Some(Digest([1; 32]))));
            }
            Action::End { period } => {
                self.twins[at].periods.retain(|other| other.state.period != period);
            }
        }
    }

    /// What an HSDir gives.
    fn given(&self, period: TimePeriod, hsdir: Fingerprint) -> Option<Held> {
        self.held.get(&(period, hsdir)).copied().filter(|held| self.real < held.until)
    }

    fn run_start(&self, period: TimePeriod) -> UnixTime {
        let plan = self.plan.as_ref().unwrap();
        let desc = if plan.first.role.period == period { &plan.first } else { &plan.second };
        desc.role.run_start
    }

    fn upload(&mut self, at: usize, period: TimePeriod, (number, why): (u64, Why), hsdirs: &[Fingerprint]) {
        let (now, run_start) = (self.now(at), self.run_start(period));
        let fetched = self.plan.as_ref().unwrap().fetch_period == period;
        self.twins[at].uploads += 1;
        let revision = self.twins[at].period(period).advance(now, run_start).unwrap();
        self.twins[at].period(period).uploaded(now, revision, why == Why::Retry, &[]);
        for hsdir in hsdirs {
            let text = format!("{at} {revision}");
            self.twins[at].period(period).sent(now, *hsdir, revision, &text);
            let taken = self.given(period, *hsdir).is_none_or(|held| revision > held.revision);
            self.twins[at].copies += 1;
            let stored = if taken {
                self.held.insert((period, *hsdir), Held { revision, by: at, until: self.real + LIFETIME });
                self.twins[at].period(period).answered(now, *hsdir, "stored".to_owned(), Some(revision));
                Stored::Yes
            } else {
                self.twins[at].refused += 1;
                self.twins[at].period(period).refused(*hsdir, number, fetched);
                Stored::Rejected
            };
            self.later(at, 2, Event::Uploaded { period, hsdir: *hsdir, number, stored });
        }
    }

    fn look(&mut self, at: usize, period: TimePeriod, hsdir: Fingerprint) {
        let given = self.given(period, hsdir);
        let (now, run_start) = (self.now(at), self.run_start(period));
        let text =
            given.map(|held| (held.revision, hash(format!("{} {}", held.by, held.revision).as_bytes())));
        let twin = &mut self.twins[at];
        let found = match twin.period(period).judge(&hsdir, text) {
            None | Some(super::look::Copy::Missing) => Found::Missing,
            Some(super::look::Copy::Held) => Found::Ours,
            Some(super::look::Copy::OtherOlder) => Found::Older,
            Some(super::look::Copy::OtherNewer) => {
                let period = twin.period(period);
                let own = period.last.map_or(0, |last| last.revision);
                let judged =
                    period.see_other(&Seen { revision: given.unwrap().revision, own, now, run_start });
                twin.judged.push(judged);
                Found::Newer
            }
        };
        self.later(at, 4, Event::Looked(period, hsdir, found));
    }

    /// HSDirs of descriptors that are old enough to be everywhere, and that have none that a client could get.
    fn count_holes(&mut self) {
        let plan = self.plan.as_ref().unwrap();
        for desc in [&plan.first, &plan.second] {
            let period = desc.role.period;
            let ripe = self.since.get(&period).is_some_and(|since| self.real - since > 600);
            let none = desc.hsdirs.iter().filter(|hsdir| self.given(period, **hsdir).is_none()).count();
            self.holes += if ripe { u64::try_from(none).unwrap() } else { 0 };
        }
    }

    /// Runs until this second after the start.
    fn run(&mut self, until: u64) {
        if self.real == START {
            (0..2).for_each(|at| self.feed(at, Event::TorUp));
            self.hour();
        }
        while self.real < START + until {
            let alive = (0..2).filter(|at| self.twins[*at].alive);
            let wakes = alive.map(|at| self.twins[at].machine.wake(self.now(at)).since(self.now(at)).max(1));
            let wake = wakes.min().unwrap_or(600);
            let next = self.pending.keys().next().map_or(u64::MAX, |(at, _serial)| *at);
            let hour = (self.real / 3600 + 1) * 3600;
            self.real = (self.real + wake).min(next.max(self.real)).min(hour);
            while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= self.real) {
                let (at, event) = entry.remove();
                self.feed(at, event);
            }
            if self.real == hour {
                self.hour();
            }
            (0..2).for_each(|at| self.feed(at, Event::Tick));
            self.count_holes();
        }
    }

    /// Regular uploads of one publisher in this time: both descriptors, one in 90 minutes.
    fn regular(seconds: u64) -> u64 {
        2 * seconds / 5400
    }

    /// Refused copies among a thousand of both publishers.
    fn refused_permille(&self) -> u64 {
        let all: u64 = self.twins.iter().map(|twin| twin.copies).sum();
        self.twins.iter().map(|twin| twin.refused).sum::<u64>() * 1000 / all
    }

    /// That there was no war: hardly more uploads than two publishers make by themselves.
    fn check_peace(&self, seconds: u64, times: u64) {
        for (at, twin) in self.twins.iter().enumerate() {
            let regular = Self::regular(seconds);
            assert!(twin.uploads > regular / 2, "publisher {at}: {} uploads", twin.uploads);
            assert!(
                twin.uploads < regular * times,
                "publisher {at}: {} uploads, {regular} are regular",
                twin.uploads
            );
        }
    }
}

#[test]
fn two_publishers_with_equal_clocks_are_hardly_ever_refused() {
    // Both begin each new period in the same second here, which is the worst case: one of them is refused then.
    let mut world = World::new([1, 1], 0, 77);
    world.run(run_length());
    assert_eq!(world.holes, 0);
    assert!(world.refused_permille() <= 60, "{} of 1000", world.refused_permille());
    world.check_peace(run_length(), 2);
    for twin in &world.twins {
        assert!(
            twin.judged.iter().any(|judged| matches!(judged, Judged::Peer { ahead: None })),
            "it saw the other"
        );
        assert!(!twin.judged.contains(&Judged::Stranger));
    }
}

#[test]
fn clocks_that_differ_cost_refusals_but_no_war_and_no_hole() {
    // The long form, on request, has clocks that nobody should have.
    let far = std::env::var_os("ONIONKEEP_TWIN_DAYS").map_or(&[][..], |_days| &[(300, 250), (3600, 800)]);
    for &(skew, permille) in [(2, 60)].iter().chain(far) {
        for direction in [1, -1] {
            let mut world = World::new([1, 1], skew * direction, 1234);
            world.run(run_length());
            let refused = world.refused_permille();
            println!(
                "clocks {} s apart: {refused} of 1000 copies refused, {} and {} uploads",
                skew * direction,
                world.twins[0].uploads,
                world.twins[1].uploads
            );
            assert_eq!(world.holes, 0, "clocks {skew} s apart");
            assert!(refused <= permille, "clocks {skew} s apart: {refused} of 1000 refused");
            world.check_peace(run_length(), 8);
            let strangers = world.twins.iter().filter(|twin| twin.judged.contains(&Judged::Stranger)).count();
            assert_eq!(strangers, 0, "clocks {} s apart", skew * direction);
        }
    }
}

#[test]
fn either_may_die_at_any_time_and_every_hsdir_always_has_a_descriptor() {
    for (dies, seed) in [(0, 5), (1, 6)] {
        let mut world = World::new([1, 1], 0, seed * 1_000_003);
        let when = world.dice.pick(3600..=86_400);
        world.run(when);
        world.twins[dies].alive = false;
        world.run(when + 86_400);
        assert_eq!(world.holes, 0, "publisher {dies} died after {when} s");
        let other = &world.twins[1 - dies];
        assert!(other.uploads >= World::regular(86_400) * 2 / 3, "{}", other.uploads);
    }
    // That holes would be found: both die.
    let mut world = World::new([1, 1], 0, 9);
    world.run(7200);
    world.twins.iter_mut().for_each(|twin| twin.alive = false);
    world.run(7200 + 4 * 3600);
    assert!(world.holes > 0);
}

#[test]
fn two_publishers_with_different_secrets_find_out_and_still_leave_no_hole() {
    let mut world = World::new([1, 2], 0, 99);
    world.run(run_length());
    assert_eq!(world.holes, 0);
    for (at, twin) in world.twins.iter().enumerate() {
        assert!(twin.judged.contains(&Judged::Stranger), "publisher {at}: {:?}", twin.judged);
        assert!(!twin.judged.iter().any(|judged| matches!(judged, Judged::Peer { .. })));
    }
    world.check_peace(run_length(), 8);
}
