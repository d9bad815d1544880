//! A year of a frontend: 8760 consensuses, 365 rotations, with lost events, outages and a clock that jumps.

use super::*;
use crate::consensus::{Consensus, HsDir, Params, RelayEd25519};
use crate::ring::Ring;
use onionkeep_common::{OnionAddress, PeriodRule};
use std::collections::{BTreeMap, HashMap};

/// The hour that the year starts at.
const START: u64 = 1_800_000_000 / 3600 * 3600;
/// Seconds of a year.
const YEAR: u64 = 365 * 86_400;
/// How long an HSDir keeps a descriptor, in seconds.
const LIFETIME: u64 = 180 * 60;
/// HSDirs of the network.
const HSDIRS: u8 = 20;

/// What an HSDir has stored.
#[derive(Clone, Copy)]
struct Copy {
    counter: u64,
    until: u64,
    cert_until: UnixTime,
}

/// Something that will happen to the machine.
enum Pending {
    Event(Event),
    TorBack,
}

/// The world around the machine. `real` is true time; the machine sees `real` plus `skew`.
struct World {
    machine: Machine,
    dice: TestDice,
    real: u64,
    skew: i64,
    pending: BTreeMap<(u64, u64), Pending>,
    serial: u64,
    hsdirs: Vec<HsDir>,
    stored: HashMap<(TimePeriod, Fingerprint), Copy>,
    floors: HashMap<TimePeriod, u64>,
    rounds: HashMap<TimePeriod, u64>,
    certs: HashMap<TimePeriod, ExpirationHours>,
    plan: Option<Plan>,
    /// Since when each descriptor and each of its HSDirs is in the plan that the machine has.
    since: HashMap<(TimePeriod, Fingerprint), u64>,
    tor_until: u64,
    signer_until: u64,
    uploads: u64,
    looks: u64,
    rejected: u64,
    points: u8,
}

fn onion() -> OnionAddress {
    crate::config::tests::A.parse().unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let hsdir = |number: u8| HsDir {
            fingerprint: Fingerprint([number; 20]),
            ed25519: RelayEd25519([number; 32]),
        };
        Self {
            machine: Machine::new(UnixTime(START), 2, Some(600)),
            dice: TestDice(seed),
            real: START,
            skew: 0,
            pending: BTreeMap::new(),
            serial: 0,
            hsdirs: (0..HSDIRS).map(hsdir).collect(),
            stored: HashMap::new(),
            floors: HashMap::new(),
            rounds: HashMap::new(),
            certs: HashMap::new(),
            plan: None,
            since: HashMap::new(),
            tor_until: 0,
            signer_until: 0,
            uploads: 0,
            looks: 0,
            rejected: 0,
            points: 1,
        }
    }

    fn now(&self) -> UnixTime {
        UnixTime(self.real.saturating_add_signed(self.skew))
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.dice.pick(1..=one_in) == 1
    }

    fn later(&mut self, seconds: u64, pending: Pending) {
        self.serial += 1;
        self.pending.insert((self.real + seconds, self.serial), pending);
    }

    /// The true consensus of this hour.
    fn consensus(&self) -> Consensus {
        let hour = self.real / 3600 * 3600;
        let srv = |run: u64| Some(Srv([u8::try_from(run / 86_400 % 251).unwrap(); 32]));
        // One relay in twenty changes with the day.
        let away = usize::try_from(hour / 86_400 % u64::from(HSDIRS)).unwrap();
        let mut hsdirs = self.hsdirs.clone();
        hsdirs.remove(away);
        Consensus {
            valid_after: UnixTime(hour),
            fresh_until: UnixTime(hour + 3600),
            valid_until: UnixTime(hour + 3 * 3600),
            params: Params::default(),
            srv_previous: srv(hour - 86_400),
            srv_current: srv(hour),
            hsdirs,
            hsdirs_without_microdesc: 0,
            relay_count: 0,
        }
    }

    /// The machine reads the consensus.
    fn read_consensus(&mut self) {
        let consensus = self.consensus();
        let schedule = consensus.schedule(false);
        assert_eq!(consensus.period_rule(false), PeriodRule::PUBLIC);
        let desc = |role: Role| {
            let blinded = onion().identity().blinded(role.period).unwrap();
            let ring = Ring::new(&consensus.hsdirs, role.period, &role.srv);
            let hsdirs = ring.responsible(&blinded, 2, 4);
            let hsdirs: Vec<_> = hsdirs.iter().map(|hsdir| hsdir.fingerprint).collect();
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
        let places = |plan: &Plan| {
            let pair = |desc: &DescPlan| {
                let period = desc.role.period;
                desc.hsdirs.iter().map(move |hsdir| (period, *hsdir)).collect::<Vec<_>>()
            };
            [pair(&plan.first), pair(&plan.second)].concat()
        };
        let wanted = places(&plan);
        self.since.retain(|place, _since| wanted.contains(place));
        for place in wanted {
            self.since.entry(place).or_insert(self.real);
        }
        self.plan = Some(plan.clone());
        self.feed(Event::Network(Box::new(plan)));
    }

    fn feed(&mut self, event: Event) {
        let actions = self.machine.handle(self.now(), event, &mut self.dice);
        for action in actions {
            self.act(action);
        }
    }

    /// Other points would be listed, in both descriptors.
    fn tell_points(&mut self) {
        let periods: Vec<_> = self.machine.descs().iter().map(|desc| desc.plan().role.period).collect();
        for period in periods {
            self.feed(Event::Points(period, Some(Digest([self.points; 32]))));
        }
    }

    fn act(&mut self, action: Action) {
        // One answer in 200 never comes.
        if self.chance(200)
            && !matches!(action, Action::Begin { .. } | Action::End { .. } | Action::Upload { .. })
        {
            return;
        }
        match action {
            Action::Fetch { backend, .. } => {
                let verdict = if self.chance(10) { Verdict::Unclear } else { Verdict::Good };
                self.later(3, Pending::Event(Event::Fetched(backend, verdict)));
            }
            Action::Probe { backend } => {
                let up = !self.chance(50);
                self.later(2, Pending::Event(Event::Probed(backend, up)));
            }
            Action::LearnCounter { period } => {
                let seen = self.stored.iter().filter(|((of, _hsdir), _copy)| *of == period);
                let highest = seen.map(|(_place, copy)| copy.counter).max().unwrap_or_default();
                let floor = self.floors.entry(period).or_default();
                *floor = (*floor).max(highest);
                self.later(3, Pending::Event(Event::CounterLearned(period)));
            }
            Action::Look { period, hsdir } => self.look(period, hsdir),
            Action::Certify { period } => self.certify(period),
            Action::Upload { period, number, hsdirs, why } => self.upload(period, (number, why), &hsdirs),
            Action::Begin { period } => {
                self.feed(Event::Points(period, Some(Digest([self.points; 32]))));
            }
            Action::End { period } => {
                self.certs.remove(&period);
            }
        }
    }

    /// Our tor asks an HSDir for the descriptor of the period that clients fetch.
    fn look(&mut self, period: TimePeriod, hsdir: Fingerprint) {
        assert_eq!(
            Some(period),
            self.plan.as_ref().map(|plan| plan.fetch_period),
            "another cannot be asked for"
        );
        let round = self.rounds.get(&period).copied().unwrap_or_default();
        let copy = self.stored.get(&(period, hsdir)).filter(|copy| self.real < copy.until);
        let found = match copy.map(|copy| copy.counter.cmp(&round)) {
            _ if self.chance(20) => Found::Unclear,
            None => Found::Missing,
            Some(std::cmp::Ordering::Less) => Found::Older,
            Some(_) => Found::Ours,
        };
        self.looks += 1;
        self.later(5, Pending::Event(Event::Looked(period, hsdir, found)));
    }

    fn certify(&mut self, period: TimePeriod) {
        if self.real < self.signer_until {
            self.later(1, Pending::Event(Event::NotCertified(period, None)));
        } else {
            let expires = ExpirationHours::of_desc_signing_cert(self.now());
            self.certs.insert(period, expires);
            self.later(1, Pending::Event(Event::Certified(period, expires)));
        }
    }

    fn upload(&mut self, period: TimePeriod, (number, why): (u64, Why), hsdirs: &[Fingerprint]) {
        assert!(self.real >= self.tor_until, "an upload without tor");
        self.uploads += 1;
        let plan = self.plan.as_ref().unwrap();
        let role = if plan.first.role.period == period { plan.first.role } else { plan.second.role };
        assert_eq!(role.period, period, "an upload of a period that is over");
        let cert_until = self.certs[&period].time();
        assert!(self.now() <= cert_until, "an upload with an expired certificate");
        // The counter's rule, with the curve's slope but without its noise.
        let floor = self.floors.entry(period).or_default();
        let curve =
            crate::revision::position(UnixTime(self.real.saturating_add_signed(self.skew)), role.run_start)
                * 32_768;
        let counter = curve.max(*floor + 1);
        assert!(counter > *floor, "counters rise");
        *floor = counter;
        if why != Why::Retry {
            self.rounds.insert(period, counter);
        }
        for hsdir in hsdirs {
            let lost = self.chance(33);
            let arrives = !lost || self.chance(2);
            let place = (period, *hsdir);
            let held =
                self.stored.get(&place).filter(|copy| self.real < copy.until).map_or(0, |copy| copy.counter);
            let stored = if counter <= held {
                Stored::Rejected
            } else if lost {
                Stored::No
            } else {
                Stored::Yes
            };
            if counter > held && arrives {
                self.stored.insert(place, Copy { counter, until: self.real + LIFETIME, cert_until });
            }
            self.rejected += u64::from(stored == Stored::Rejected);
            if !self.chance(300) {
                self.later(4, Pending::Event(Event::Uploaded { period, hsdir: *hsdir, number, stored }));
            }
        }
    }

    /// Every HSDir that has been in the plan for long enough holds a descriptor that clients accept.
    fn check(&self) {
        let plan = self.plan.as_ref().unwrap();
        for ((period, hsdir), since) in &self.since {
            // A new second descriptor may have to wait for the signer; clients ask for it twelve hours later.
            let grace = if *period == plan.fetch_period { 14 * 3600 } else { 8 * 3600 };
            let new_place = self.since.iter().any(|((of, _), other)| of == period && other < since);
            let grace = if new_place { 3600 } else { grace };
            if self.real - since < grace {
                continue;
            }
            let copy = self.stored.get(&(*period, *hsdir));
            let held =
                copy.is_some_and(|copy| self.real < copy.until && UnixTime(self.real) <= copy.cert_until);
            assert!(held, "a hole at {} for period {}", self.real - START, period.number);
        }
    }

    /// What happens at a full hour.
    fn hour(&mut self) {
        if self.chance(40) && self.real > self.tor_until {
            self.tor_until = self.real + self.dice.pick(1..=2400);
            self.feed(Event::TorDown);
            self.later(self.tor_until - self.real, Pending::TorBack);
        }
        if self.chance(100) {
            self.signer_until = self.real + self.dice.pick(1..=6 * 3600);
        }
        if self.chance(30) {
            self.skew =
                if self.skew == 0 { i64::try_from(self.dice.pick(0..=7200)).unwrap() - 3600 } else { 0 };
        }
        if self.chance(12) {
            self.points = self.points.wrapping_add(1);
            self.tell_points();
        }
        // One consensus in ten is missed.
        if self.real >= self.tor_until && !self.chance(10) {
            self.read_consensus();
        }
    }

    fn run(&mut self) {
        self.machine.set_looks(3600);
        self.feed(Event::TorUp);
        self.read_consensus();
        let mut checked = 0;
        while self.real < START + YEAR {
            let wake = self.machine.wake(self.now()).since(self.now()).max(1);
            let next = self.pending.keys().next().map_or(u64::MAX, |(at, _serial)| *at);
            let hour = (self.real / 3600 + 1) * 3600;
            self.real = (self.real + wake).min(next).min(hour).max(self.real);
            while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= self.real) {
                match entry.remove() {
                    Pending::Event(event) => self.feed(event),
                    Pending::TorBack => self.feed(Event::TorUp),
                }
            }
            if self.real == hour {
                self.hour();
            }
            self.feed(Event::Tick);
            if self.real / 300 != checked {
                checked = self.real / 300;
                self.check();
            }
        }
    }
}

#[test]
fn a_year_without_a_hole() {
    let mut world = World::new(4242);
    world.run();
    // Two descriptors, one upload each per 90 minutes, and those for changes, new HSDirs, retries.
    let plain = 2 * YEAR / 5400;
    assert!((plain..plain * 3).contains(&world.uploads), "{} uploads, {plain} regular ones", world.uploads);
    assert!((plain..plain * 5).contains(&world.looks), "{} looks at 8 HSDirs of one descriptor", world.looks);
    assert_eq!(world.rejected, 0, "no HSDir ever refuses a counter");
}
