//! When to fetch, to probe, to ask for a certificate and to upload: (state, now, event) -> (state, actions), for one service.
//!
//! Time and dice are arguments and nothing here waits, so a test lives through a year in seconds. What is listed and
//! how it is encoded is decided elsewhere; here it is only a [`Digest`] that changes.

mod cert;
pub mod dice;
mod fetch;
mod look;
mod upload;
mod words;

pub use dice::{Dice, SystemDice};
pub use fetch::{BackendClock, Reach, Verdict};
pub use look::Found;
pub use upload::Desc;
pub use words::{Action, DescPlan, Digest, Event, Plan, Stored, Why};

use onionkeep_common::{TimePeriod, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use upload::Context;

/// The clocks of one service.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The first and the second descriptor, in this order.
    descs: Vec<Desc>,
    /// One clock for each backend, by its number.
    backends: BTreeMap<usize, BackendClock>,
    /// How often each backend is probed, in **seconds**, if at all.
    probe_every: Option<u64>,
    /// Those that are fetched more often when the fetched period is about to change.
    attended: BTreeSet<usize>,
    /// Those that are listed, if that does not change all the time.
    listed: Option<BTreeSet<usize>>,
    /// Within how many **seconds** after an upload its HSDirs are looked at; 0 if never.
    look_within: u64,
    /// Whether tor is there.
    tor_up: bool,
    /// The plan in force.
    plan: Option<Plan>,
    /// The last time that was seen.
    last_now: UnixTime,
}

impl Machine {
    /// A service with the backends 0 to `backends`, each probed every `probe_every` **seconds** if at all.
    #[must_use]
    pub fn new(now: UnixTime, backends: usize, probe_every: Option<u64>) -> Self {
        let backends = (0..backends).map(|backend| (backend, BackendClock::new(now, probe_every))).collect();
        let look_within = 0;
        Self {
            descs: Vec::new(),
            backends,
            probe_every,
            attended: BTreeSet::new(),
            listed: None,
            look_within,
            tor_up: false,
            plan: None,
            last_now: now,
        }
    }

    /// Looks at the HSDirs within so many **seconds** after each upload from now on; 0 for never.
    pub const fn set_looks(&mut self, within: u64) {
        self.look_within = within;
    }

    /// The first and the second descriptor; empty before the first consensus.
    #[must_use]
    pub fn descs(&self) -> &[Desc] {
        &self.descs
    }

    /// The plan in force.
    #[must_use]
    pub const fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Whether the consensus is reasonably live, so that uploads are made.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.live_from <= now && now <= plan.live_until)
    }

    /// Whether tor can be used, so that backends are fetched and probed.
    #[must_use]
    pub fn is_online(&self, now: UnixTime) -> bool {
        self.tor_up && self.is_live(now)
    }

    /// Takes an event and says what to do.
    pub fn handle(&mut self, now: UnixTime, event: Event, dice: &mut dyn Dice) -> Vec<Action> {
        let mut actions = Vec::new();
        self.set_time(now);
        self.take(now, event, dice, &mut actions);
        let context = self.context(now);
        for desc in &mut self.descs {
            desc.step(now, &context, dice, &mut actions);
        }
        if context.online {
            self.start_fetches(now, dice, &mut actions);
        } else {
            self.backends.values_mut().for_each(BackendClock::hold_probes);
        }
        actions
    }

    /// When after `now` there is something to do; at most ten minutes ahead.
    #[must_use]
    pub fn wake(&self, now: UnixTime) -> UnixTime {
        let descs = self.descs.iter().filter_map(|desc| desc.wake(now));
        let backends = self.backends.values().map(BackendClock::wake).filter(|time| *time > now);
        descs.chain(backends).fold(now.plus(600), UnixTime::min)
    }

    /// Notices a clock that went back, and moves all times with it.
    fn set_time(&mut self, now: UnixTime) {
        let back = self.last_now.since(now);
        if back > 0 {
            self.descs.iter_mut().for_each(|desc| desc.shift_back(back));
            self.backends.values_mut().for_each(|backend| backend.shift_back(back));
        }
        self.last_now = now;
    }

    /// What every descriptor has to know.
    fn context(&self, now: UnixTime) -> Context {
        Context {
            online: self.is_online(now),
            all_answered: self.backends.values().all(BackendClock::answered),
            fetched: self.plan.as_ref().map(|plan| plan.fetch_period),
            look_within: self.look_within,
        }
    }

    /// Puts an event into the state.
    fn take(&mut self, now: UnixTime, event: Event, dice: &mut dyn Dice, out: &mut Vec<Action>) {
        match event {
            Event::TorUp => self.tor_up(now, dice),
            Event::TorDown => self.tor_down(now),
            Event::Network(plan) => self.network(now, *plan, dice, out),
            Event::Points(period, points) => {
                let context = self.context(now);
                self.desc(period, |desc| desc.points(now, points, &context));
            }
            Event::Listed(period, points) => self.desc(period, |desc| desc.listed(points)),
            Event::Certified(period, expires) => {
                self.desc(period, |desc| desc.cert().got(expires));
            }
            Event::HeldCertificate(period, expires) => {
                self.desc(period, |desc| desc.cert().holds(expires));
            }
            Event::NotCertified(period, wait) => {
                self.desc(period, |desc| desc.cert().refused(now, wait, dice));
            }
            Event::CounterLearned(period) => self.desc(period, |desc| desc.counter_learned()),
            Event::Uploaded { period, hsdir, number, stored } => {
                let context = self.context(now);
                self.desc(period, |desc| desc.uploaded(now, (hsdir, number), stored, &context, dice));
            }
            Event::Looked(period, hsdir, found) => {
                self.desc(period, |desc| desc.looked(now, hsdir, found, dice));
            }
            Event::Fetched(backend, verdict) => self.fetched(now, backend, verdict, dice),
            Event::Probed(backend, up) => self.backend(backend, |clock| clock.probed(now, up, dice)),
            Event::NotProbed(backend) => self.backend(backend, |clock| clock.not_probed(now, dice)),
            Event::ProbeSoon(backend) => self.backend(backend, |clock| clock.probe_soon(now, dice)),
            Event::FetchSoon(backend) => self.backend(backend, |clock| clock.fetch_anew(now, dice)),
            Event::TakeOver(period) => self.desc(period, |desc| desc.want(now, Why::TakeOver, now)),
            Event::Tick => self.backends.values_mut().for_each(|backend| backend.give_up(now)),
        }
    }

    /// Does something with the descriptor of a period.
    fn desc(&mut self, period: TimePeriod, act: impl FnOnce(&mut Desc)) {
        if let Some(desc) = self.descs.iter_mut().find(|desc| desc.plan().role.period == period) {
            act(desc);
        }
    }

    /// Does something with the clock of a backend.
    fn backend(&mut self, backend: usize, act: impl FnOnce(&mut BackendClock)) {
        if let Some(clock) = self.backends.get_mut(&backend) {
            act(clock);
        }
    }

    /// tor can be used. What happened while it could not was not seen: a backend that restarted meanwhile answers probes, but its points that
    /// are listed are dead. So all are fetched, twice.
    fn tor_up(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        self.tor_up = true;
        self.backends.values_mut().for_each(|backend| backend.fetch_twice(now, dice));
    }

    /// The connection to tor ended.
    fn tor_down(&mut self, now: UnixTime) {
        self.tor_up = false;
        self.descs.iter_mut().for_each(|desc| desc.connection_lost(now));
        self.backends.values_mut().for_each(|backend| backend.connection_lost(now));
    }

    /// Takes a consensus. An older one than the one in force is ignored while that is live.
    ///
    /// The two descriptors are the two periods of the plan: what is there stays with its keys and its clock, so that
    /// the second becomes the first at the rotation; a lost consensus or a jump over a rotation needs no other rule.
    ///
    /// Spec: C tor, `rotate_service_descriptors`.
    fn network(&mut self, now: UnixTime, plan: Plan, dice: &mut dyn Dice, out: &mut Vec<Action>) {
        let newest = self.plan.as_ref().map(|plan| plan.valid_after);
        if newest.is_some_and(|newest| plan.valid_after < newest) && self.is_live(now) {
            return;
        }
        let mut old = std::mem::take(&mut self.descs);
        for wanted in [&plan.first, &plan.second] {
            let period = wanted.role.period;
            let found = old.iter().position(|desc| desc.plan().role.period == period);
            self.descs.push(if let Some(at) = found {
                let mut desc = old.swap_remove(at);
                desc.replan(now, wanted.clone());
                desc
            } else {
                out.push(Action::Begin { period });
                Desc::new(wanted.clone(), period == plan.fetch_period)
            });
        }
        out.extend(old.iter().map(|desc| Action::End { period: desc.plan().role.period }));
        if self.plan.as_ref().is_none_or(|old| old.fetch_period != plan.fetch_period) {
            self.backends.values_mut().for_each(|backend| backend.fetch_anew(now, dice));
            let within = self.look_within;
            let fetched = |desc: &&mut Desc| desc.plan().role.period == plan.fetch_period;
            self.descs.iter_mut().filter(fetched).for_each(|desc| desc.look_anew(now, within, dice));
        }
        self.plan = Some(plan);
    }
}

#[cfg(test)]
pub(crate) mod tests;
