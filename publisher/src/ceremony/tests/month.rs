//! Thirty periods of a publisher that has nothing but bundles, restarted in each, on injected time.

use super::*;
use crate::certs::check;
use crate::consensus::{Consensus, Fingerprint, Params, Role, Srv};
use crate::schedule::{Action, DescPlan, Dice, Digest, Event, Machine, Plan, Stored, Verdict};
use crate::state::PeriodState;
use std::collections::HashMap;

/// How many periods.
const PERIODS: u64 = 30;

/// Dice that repeat.
struct TestDice(u64);

impl Dice for TestDice {
    fn pick(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start() + self.0 % (range.end() - range.start() + 1)
    }
}

/// The publisher; everything but `stage` and what was uploaded goes at a restart.
struct World<'a> {
    stage: &'a Stage,
    now: UnixTime,
    dice: TestDice,
    machine: Machine,
    bundles: Bundles,
    state: Option<StateDir>,
    periods: HashMap<TimePeriod, PeriodState>,
    plan: Option<Plan>,
    /// The last upload of each period, and when the period came into the plan.
    uploaded: HashMap<TimePeriod, (UnixTime, UnixTime)>,
    uploads: u64,
    keys: HashMap<TimePeriod, DescSigningKey>,
}

impl<'a> World<'a> {
    fn new(stage: &'a Stage, now: UnixTime) -> Self {
        Self {
            stage,
            now,
            dice: TestDice(99),
            machine: Machine::new(now, 1, None),
            bundles: stage.bundles(),
            state: Some(StateDir::open(&stage.state_dir()).unwrap()),
            periods: HashMap::new(),
            plan: None,
            uploaded: HashMap::new(),
            uploads: 0,
            keys: HashMap::new(),
        }
    }

    fn restart(&mut self) {
        // The lock must be free before it is taken again.
        self.state = None;
        self.state = Some(StateDir::open(&self.stage.state_dir()).unwrap());
        self.bundles = self.stage.bundles();
        assert_eq!(self.bundles.problem, None);
        self.periods.clear();
        self.machine = Machine::new(self.now, 1, None);
        self.feed(Event::TorUp);
        self.consensus();
    }

    /// The consensus of this hour.
    fn consensus(&mut self) {
        let hour = self.now.0 / 3600 * 3600;
        let srv = |run: u64| Some(Srv([u8::try_from(run / 86_400 % 251).unwrap(); 32]));
        let consensus = Consensus {
            valid_after: UnixTime(hour),
            fresh_until: UnixTime(hour + 3600),
            valid_until: UnixTime(hour + 3 * 3600),
            params: Params::default(),
            srv_previous: srv(hour - 86_400),
            srv_current: srv(hour),
            hsdirs: Vec::new(),
            hsdirs_without_microdesc: 0,
            relay_count: 0,
        };
        let schedule = consensus.schedule(false);
        let desc = |role: Role| DescPlan { role, hsdirs: vec![Fingerprint([1; 20]), Fingerprint([2; 20])] };
        let plan = Plan {
            valid_after: consensus.valid_after,
            live_from: consensus.valid_after.minus(86_400),
            live_until: consensus.valid_until.plus(86_400),
            first: desc(schedule.first),
            second: desc(schedule.second),
            fetch_period: schedule.fetch.period,
        };
        for desc in [&plan.first, &plan.second] {
            self.uploaded.entry(desc.role.period).or_insert((self.now, self.now));
        }
        self.plan = Some(plan.clone());
        self.feed(Event::Network(Box::new(plan)));
    }

    fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.machine.handle(self.now, event, &mut self.dice) {
                events.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Vec<Event> {
        match action {
            Action::Fetch { backend, .. } => vec![Event::Fetched(backend, Verdict::Good)],
            Action::Probe { backend } => vec![Event::Probed(backend, true)],
            Action::LearnCounter { period } => vec![Event::CounterLearned(period)],
            Action::Certify { period } => vec![self.certify(period)],
            Action::Upload { period, number, hsdirs, .. } => {
                self.upload(period);
                let stored = |hsdir| Event::Uploaded { period, hsdir, number, stored: Stored::Yes };
                hsdirs.into_iter().map(stored).collect()
            }
            Action::Begin { period } => vec![Event::Points(period, Some(Digest([1; 32])))],
            Action::End { period } => {
                self.periods.remove(&period);
                self.uploaded.remove(&period);
                Vec::new()
            }
        }
    }

    /// As the reactor does it: the state of the period, its slot's key, the certificate of this hour.
    fn certify(&mut self, at: TimePeriod) -> Event {
        let (onion, state) = (self.stage.store.onion, self.state.as_ref().unwrap());
        let period = self.periods.entry(at).or_insert_with(|| {
            let (mut period, damage) = state.load_or_make(&onion, at).unwrap();
            assert!(damage.is_none());
            if self.bundles.fit(&mut period, self.now, true).unwrap() {
                state.save(&onion, &period).unwrap();
            }
            period
        });
        let request = period.keys.certify_request(&onion, at);
        let cert = self.bundles.certificate(&request, self.now).unwrap();
        check(&request, &cert, self.now).unwrap();
        period.cert = Some(cert);
        state.save(&onion, period).unwrap();
        Event::Certified(at, ExpirationHours::of_desc_signing_cert(self.now))
    }

    fn upload(&mut self, at: TimePeriod) {
        let period = self.periods.get(&at).unwrap();
        let request = period.keys.certify_request(&self.stage.store.onion, at);
        let cert = period.cert.unwrap();
        check(&request, &cert, self.now).unwrap();
        let cert = onionkeep_common::UncheckedCert::parse(onionkeep_common::CertType::DescSigning, &cert.0);
        let cert = cert.unwrap().check_signature().unwrap().check_time(self.now).unwrap();
        assert_eq!(cert.expires(), ExpirationHours::of_desc_signing_cert(self.now), "C tor's hour");
        let key = self.keys.entry(at).or_insert(request.key);
        assert_eq!(*key, request.key, "one key for a period, whatever happens");
        self.uploaded.get_mut(&at).unwrap().0 = self.now;
        self.uploads += 1;
    }

    /// No descriptor is older than C tor's longest interval.
    fn check(&self) {
        for desc in [&self.plan.as_ref().unwrap().first, &self.plan.as_ref().unwrap().second] {
            let (last, since) = self.uploaded[&desc.role.period];
            let age = self.now.since(last);
            assert!(age <= 7200 + 60, "period {} waits for {age} s since {since:?}", desc.role.period.number);
        }
    }
}

#[test]
fn thirty_periods_on_bundles_only_with_a_restart_in_each() {
    let stage = Stage::new();
    let first = stage.ceremony(16, NOW);
    let mut world = World::new(&stage, NOW);
    world.feed(Event::TorUp);
    world.consensus();
    let end = NOW.plus(PERIODS * 86_400);
    let (mut restart, mut second) = (NOW.plus(5000), None);
    while world.now < end {
        let hour = UnixTime((world.now.0 / 3600 + 1) * 3600);
        let wake = world.machine.wake(world.now).max(world.now.plus(1));
        world.now = wake.min(hour).min(restart);
        if world.now == restart {
            world.restart();
            restart = restart.plus(86_400 - 1800 + world.dice.pick(0..=3600));
        }
        if world.now == hour {
            world.bundles.wipe_over(&stage.clockwork, world.now).unwrap();
            world.bundles.refresh();
            world.consensus();
        }
        world.feed(Event::Tick);
        world.check();
        if second.is_none() && world.now >= NOW.plus(10 * 86_400) {
            second = Some(stage.ceremony(20, world.now));
        }
    }
    let (kept, all) = (stage.store.slot_keys().unwrap(), first.slots.len() + second.unwrap().slots.len());
    let first_kept = super::super::horizon::first_in_use(&stage.clockwork, end.minus(4 * 3600));
    assert!(
        kept.iter().all(|(period, _key)| *period >= first_kept),
        "keys of periods that are over are wiped"
    );
    assert_eq!(kept.len(), all - usize::try_from(PERIODS).unwrap());
    let plain = 2 * PERIODS * 86_400 / 5400;
    assert!(
        (plain - 60..plain + 120).contains(&world.uploads),
        "{} uploads, {plain} regular ones",
        world.uploads
    );
}
