//! When to fetch, to probe, to ask for a certificate and to upload: (state, now, event) -> (state, actions), for one service.
//!
//! Time and dice are arguments and nothing here waits, so a test lives through a year in seconds. What is listed and
//! how it is encoded is decided elsewhere; here it is only a [`Digest`] that changes.

mod cert;
pub mod dice;
mod fetch;
mod look;
mod upload;

pub use dice::{Dice, SystemDice};
pub use fetch::{BackendClock, Verdict};
pub use look::Found;
pub use upload::Desc;

use crate::consensus::{Fingerprint, Role};
use onionkeep_common::{ExpirationHours, TimePeriod, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use upload::Context;

/// Stands for the introduction points that would be listed: another digest, another set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// One descriptor as a consensus wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescPlan {
    /// Period, shared random value, start of the protocol run.
    pub role: Role,
    /// The responsible HSDirs, in tor's order.
    pub hsdirs: Vec<Fingerprint>,
    /// Those of them that clients ask.
    pub asked: Vec<Fingerprint>,
}

/// What a consensus means for one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When the consensus became valid.
    pub valid_after: UnixTime,
    /// From when it is reasonably live.
    pub live_from: UnixTime,
    /// Until when it is.
    pub live_until: UnixTime,
    /// The first descriptor.
    pub first: DescPlan,
    /// The second descriptor.
    pub second: DescPlan,
    /// The period that clients (and our tor) fetch.
    pub fetch_period: TimePeriod,
    /// When that period ends: soon after, tor fetches the next one.
    pub fetch_until: UnixTime,
}

/// Whether an HSDir has stored an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It said so.
    Yes,
    /// It refused it: most likely it has seen a higher counter.
    Rejected,
    /// It did not answer, or could not be reached.
    No,
}

/// Why an upload is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was uploaded since the start or since the period came up.
    First,
    /// The regular time has come.
    Interval,
    /// The introduction points changed.
    Points,
    /// An HSDir is new.
    NewHsDir,
    /// An HSDir did not store the last one.
    Retry,
    /// Another publisher, whose address was taken over, has uploaded once more.
    TakeOver,
}

impl Why {
    /// The word for logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Interval => "interval",
            Self::Points => "points-changed",
            Self::NewHsDir => "new-hsdir",
            Self::Retry => "retry",
            Self::TakeOver => "take-over",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// tor is connected and bootstrapped.
    TorUp,
    /// The connection to tor ended.
    TorDown,
    /// A consensus was read.
    Network(Box<Plan>),
    /// What a descriptor would list now; `None` before any backend is known.
    Points(TimePeriod, Option<Digest>),
    /// What the upload that has just been asked for lists, if that was chosen anew for it.
    Listed(TimePeriod, Digest),
    /// The signer gave a certificate.
    Certified(TimePeriod, ExpirationHours),
    /// A certificate from an earlier run is still good.
    HeldCertificate(TimePeriod, ExpirationHours),
    /// The signer gave none; it may say how many **seconds** to wait.
    NotCertified(TimePeriod, Option<u64>),
    /// The HSDirs were asked for the counters that they have seen.
    CounterLearned(TimePeriod),
    /// One HSDir's answer to an upload.
    Uploaded {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
        /// The number of the upload.
        number: u64,
        /// Whether it is stored there.
        stored: Stored,
    },
    /// An HSDir was asked for our own descriptor.
    Looked(TimePeriod, Fingerprint, Found),
    /// A fetch of a backend's descriptor has ended.
    Fetched(usize, Verdict),
    /// A probe of a backend has ended.
    Probed(usize, bool),
    /// News of a backend that does not answer probes: probe it again soon.
    ProbeSoon(usize),
    /// A backend that was down answers probes again: fetch its descriptor soon.
    FetchSoon(usize),
    /// HSDirs do not give our descriptor because the publisher that had the address before uploaded once more.
    TakeOver(TimePeriod),
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch a backend's descriptor.
    Fetch {
        /// The backend.
        backend: usize,
        /// Ask every HSDir.
        wide: bool,
    },
    /// Connect to a backend.
    Probe {
        /// The backend.
        backend: usize,
    },
    /// Fetch our own descriptor to learn which counters the HSDirs have seen.
    LearnCounter {
        /// The descriptor's period.
        period: TimePeriod,
    },
    /// Ask an HSDir for our own descriptor, to see what it gives.
    Look {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
    },
    /// Ask the signer for a certificate.
    Certify {
        /// The descriptor's period.
        period: TimePeriod,
    },
    /// Make a descriptor and upload it.
    Upload {
        /// The descriptor's period.
        period: TimePeriod,
        /// A number for this upload, to be given back with each answer.
        number: u64,
        /// Where to.
        hsdirs: Vec<Fingerprint>,
        /// Why.
        why: Why,
    },
    /// A period has begun: its state is wanted, made or read back.
    Begin {
        /// The period.
        period: TimePeriod,
    },
    /// A period is over: its state may go.
    End {
        /// The period.
        period: TimePeriod,
    },
}

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
            self.start_fetches(now, &mut actions);
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
            online: self.tor_up && self.is_live(now),
            all_answered: self.backends.values().all(BackendClock::answered),
            fetched: self.plan.as_ref().map(|plan| plan.fetch_period),
            look_within: self.look_within,
        }
    }

    /// Puts an event into the state.
    fn take(&mut self, now: UnixTime, event: Event, dice: &mut dyn Dice, out: &mut Vec<Action>) {
        match event {
            Event::TorUp => self.tor_up = true,
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
