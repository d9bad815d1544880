//! One frontend at work: takes what the tasks report, feeds its schedule, chooses what is listed.

use super::act::Hands;
use super::period::{Period, expires};
use super::task::ServiceDone;
use crate::backend::{Backend, Health, Observation};
use crate::certs::{CertSourceError, SignerSocket};
use crate::config::ServiceConfig;
use crate::consensus::{Consensus, Fingerprint, HsDir, HsSchedule, Role};
use crate::descriptor::{self, Decoded, MAX_DESCRIPTOR_SIZE};
use crate::merge::{Candidate, Choice, choose};
use crate::probe::Probed;
use crate::ring::Ring;
use crate::schedule::{DescPlan, Event, Machine, Plan, Stored, Verdict};
use crate::status::SignerStatus;
use crate::tor::{FetchFailure, PostFailure};
use crate::log;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{EncodedCert, IntroAuthKey, OnionAddress, TimePeriod, UnixTime};
use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

/// A consensus is reasonably live this long before and after its life, in **seconds**.
///
/// Spec: C tor, `REASONABLY_LIVE_TIME`.
const REASONABLY_LIVE: u64 = 24 * 3600;

/// How a fetch of one backend's descriptor goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    /// HSDirs that have not answered yet.
    open: usize,
    /// HSDirs that were asked.
    asked: usize,
    /// HSDirs that have none.
    not_found: usize,
    /// Whether a good descriptor came.
    good: bool,
}

impl Ask {
    /// So many HSDirs are asked.
    pub(super) const fn of(count: usize) -> Self {
        Self { open: count, asked: count, not_found: 0, good: false }
    }
}

/// Where a backend's descriptor is.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    /// The HSDirs that clients ask.
    pub(super) fetch: Vec<Fingerprint>,
    /// The HSDirs that store it.
    pub(super) store: Vec<Fingerprint>,
}

/// The two rings of a consensus.
pub(super) struct Rings<'a> {
    /// What it was made of.
    pub(super) consensus: &'a Consensus,
    /// Which descriptors it wants.
    pub(super) schedule: HsSchedule,
    /// The first descriptor's ring.
    first: Ring<'a>,
    /// The second descriptor's ring.
    second: Ring<'a>,
}

impl<'a> Rings<'a> {
    /// Sorts the HSDirs for both descriptors.
    pub(super) fn new(consensus: &'a Consensus, testing: bool) -> Self {
        let schedule = consensus.schedule(testing);
        let ring = |role: &Role| Ring::new(&consensus.hsdirs, role.period, &role.srv);
        Self { consensus, first: ring(&schedule.first), second: ring(&schedule.second), schedule }
    }

    /// The HSDirs of an onion in the first or second ring, with a spread.
    fn of(&self, onion: &OnionAddress, role: &Role, spread: u8) -> Result<Vec<Fingerprint>, KeyError> {
        let ring = if role == &self.schedule.first { &self.first } else { &self.second };
        let blinded = onion.identity().blinded(role.period)?;
        let hsdirs: Vec<HsDir> = ring.responsible(&blinded, self.consensus.params.n_replicas, spread);
        Ok(hsdirs.iter().map(|hsdir| hsdir.fingerprint).collect())
    }

    /// What the consensus means for a frontend.
    fn plan(&self, onion: &OnionAddress) -> Result<Plan, KeyError> {
        let spread = self.consensus.params.spread_store;
        let desc = |role: Role| Ok(DescPlan { role, hsdirs: self.of(onion, &role, spread)? });
        Ok(Plan {
            valid_after: self.consensus.valid_after,
            live_from: self.consensus.valid_after.minus(REASONABLY_LIVE),
            live_until: self.consensus.valid_until.plus(REASONABLY_LIVE),
            first: desc(self.schedule.first)?,
            second: desc(self.schedule.second)?,
            fetch_period: self.schedule.fetch.period,
        })
    }

    /// Where the descriptor of a backend is to be fetched.
    fn targets(&self, onion: &OnionAddress) -> Result<Targets, KeyError> {
        let params = &self.consensus.params;
        let role = &self.schedule.fetch;
        let (fetch, store) = (self.of(onion, role, params.spread_fetch)?, self.of(onion, role, params.spread_store)?);
        Ok(Targets { fetch, store })
    }
}

/// One frontend at work.
pub(super) struct Frontend {
    /// Which one this is, for its tasks.
    pub(super) index: usize,
    /// Its configuration.
    pub(super) config: ServiceConfig,
    /// Its signer.
    pub(super) signer: SignerSocket,
    /// Its backends.
    pub(super) backends: Vec<Backend>,
    /// The last problem with each backend.
    pub(super) problems: Vec<Option<String>>,
    /// Where each backend's descriptor is.
    pub(super) targets: Vec<Targets>,
    /// How the fetch of each goes.
    pub(super) asks: Vec<Ask>,
    /// The period that backends are fetched for.
    pub(super) fetch_role: Option<Role>,
    /// The clocks.
    pub(super) machine: Machine,
    /// The descriptors at work.
    pub(super) periods: Vec<Period>,
    /// What is to be listed.
    pub(super) choice: Choice,
    /// What was uploaded last, by this publisher or its earlier run.
    pub(super) listed: Vec<IntroAuthKey>,
    /// No backend counts as up, so the choice is kept.
    pub(super) all_dead: bool,
    /// What is known of the signer.
    pub(super) signer_status: SignerStatus,
    /// The state could not be written.
    pub(super) state_problem: Option<String>,
    /// The secret of the order in which points are chosen.
    rank_secret: Zeroizing<[u8; 32]>,
    /// The secret of the counters.
    pub(super) counter_secret: Zeroizing<[u8; 32]>,
    /// The consensus' limit of a descriptor's length.
    pub(super) max_descriptor_size: u32,
}

impl Frontend {
    /// A frontend of which nothing is known.
    pub(super) fn new(index: usize, config: &ServiceConfig, secret: &[u8; 32], now: UnixTime) -> Self {
        let rank = Sha3_256::new().chain_update(b"onionkeep choice v1").chain_update(secret);
        let rank = rank.chain_update(config.address.identity().as_bytes()).finalize();
        let count = config.backends.len();
        let backend = |backend: &crate::config::BackendConfig| Backend::new(backend.name.clone(), backend.address);
        Self {
            index,
            signer: SignerSocket::new(&config.signer),
            backends: config.backends.iter().map(backend).collect(),
            problems: vec![None; count],
            targets: vec![Targets::default(); count],
            asks: vec![Ask::default(); count],
            fetch_role: None,
            machine: Machine::new(now, count, config.probing.map(|probing| probing.interval)),
            periods: Vec::new(),
            choice: Choice::default(),
            listed: Vec::new(),
            all_dead: false,
            signer_status: SignerStatus { state: "unasked".to_owned(), ..SignerStatus::default() },
            state_problem: None,
            rank_secret: Zeroizing::new(rank.into()),
            counter_secret: Zeroizing::new(*secret),
            max_descriptor_size: MAX_DESCRIPTOR_SIZE,
            config: config.clone(),
        }
    }

    /// A log line about this frontend.
    pub(super) fn line(&self, line: log::Line) -> log::Line {
        line.with("onion", self.config.address.redacted())
    }

    /// Takes a consensus.
    pub(super) fn network(&mut self, rings: &Rings<'_>, hands: &mut Hands<'_>) {
        let targets: Result<Vec<_>, _> =
            self.backends.iter().map(|backend| rings.targets(&backend.address)).collect();
        match (rings.plan(&self.config.address), targets) {
            (Ok(plan), Ok(targets)) => {
                self.targets = targets;
                self.fetch_role = Some(rings.schedule.fetch);
                self.max_descriptor_size = rings.consensus.params.max_descriptor_size;
                self.feed(Event::Network(Box::new(plan)), hands);
                let oldest = rings.schedule.first.period;
                if let Err(error) = hands.state.remove_before(&self.config.address, oldest) {
                    self.line(log::warn("state")).with("error", error).write();
                }
            }
            (Err(error), _) | (_, Err(error)) => self.line(log::error("plan")).with("error", error).write(),
        }
    }

    /// Takes what a task reports.
    pub(super) fn done(&mut self, done: ServiceDone, current: bool, hands: &mut Hands<'_>) {
        match done {
            ServiceDone::Fetched { .. } | ServiceDone::Counter { .. } | ServiceDone::Posted { .. } if !current => {}
            ServiceDone::Fetched { backend, role, answer } => self.fetched(backend, role, answer, hands),
            ServiceDone::Counter { period, answers } => self.counter_learned(period, answers, hands),
            ServiceDone::Probed { backend, probed } => self.probed(backend, probed, hands),
            ServiceDone::Certified { period, answer } => self.certified(period, answer, hands),
            ServiceDone::Posted { period, hsdir, number, revision, answer } => {
                self.posted((period, hsdir, number, revision), answer, hands);
            }
        }
    }

    /// One HSDir answered about a backend's descriptor.
    fn fetched(
        &mut self,
        at: usize,
        role: Role,
        answer: Result<Vec<u8>, FetchFailure>,
        hands: &mut Hands<'_>,
    ) {
        let (Some(backend), Some(ask)) = (self.backends.get(at), self.asks.get_mut(at)) else { return };
        ask.open = ask.open.saturating_sub(1);
        ask.not_found = ask.not_found.saturating_add(usize::from(answer == Err(FetchFailure::NotFound)));
        let decoded = answer.map_err(|failure| failure.to_string()).and_then(|text| {
            let decoded = descriptor::decode(&text, &backend.address, role.period, None, hands.now);
            decoded.map_err(|error| error.to_string())
        });
        match decoded {
            Ok(decoded) => self.observe(at, &role, decoded, hands),
            Err(problem) if !ask.good => self.set_problem(at, Some(problem)),
            Err(_problem) => {}
        }
        self.ask_ended(at, hands);
    }

    /// A backend's descriptor came and is good.
    fn observe(&mut self, at: usize, role: &Role, decoded: Decoded, hands: &mut Hands<'_>) {
        let (Some(backend), Some(ask)) = (self.backends.get_mut(at), self.asks.get_mut(at)) else { return };
        let line = log::info("backend-descriptor").with("backend", &backend.name);
        let line = line.with("period", role.period.number).with("revision", decoded.revision);
        let line = line.with("points", decoded.intro_points.len()).with("skipped", decoded.skipped_points.len());
        let observation = backend.observe(hands.now, role.period, role.run_start, decoded);
        let (health, verdict) = (backend.health(), backend.verdict());
        let first = !ask.good && observation != Observation::Replayed;
        ask.good |= first;
        match observation {
            Observation::New => self.line(line.with("state", health.name())).write(),
            Observation::Same => {}
            Observation::Replayed => self.line(line.with("refused", "older-than-known")).write(),
        }
        // First the choice: the last backend's answer may start the first upload.
        self.choose(hands);
        if first {
            self.set_problem(at, None);
            self.feed(Event::Fetched(at, verdict), hands);
        }
        if observation == Observation::New && health == Health::Down {
            self.feed(Event::ProbeSoon(at), hands);
        }
    }

    /// If all HSDirs have answered and none had a good descriptor, that is news too.
    fn ask_ended(&mut self, at: usize, hands: &mut Hands<'_>) {
        let (Some(backend), Some(ask)) = (self.backends.get_mut(at), self.asks.get(at)) else { return };
        if ask.open > 0 || ask.good {
            return;
        }
        let missing = ask.asked > 0 && ask.not_found == ask.asked;
        if missing {
            backend.missing();
        }
        let problem = self.problems.get(at).and_then(Option::as_ref);
        let line = log::info("backend-not-fetched").with("backend", &backend.name).with("asked", ask.asked);
        self.line(line.with("not-found", ask.not_found).maybe("problem", problem)).write();
        self.feed(Event::Fetched(at, if missing { Verdict::Missing } else { Verdict::Unclear }), hands);
        self.choose(hands);
    }

    /// Notes the last problem with a backend.
    fn set_problem(&mut self, at: usize, problem: Option<String>) {
        if let Some(slot) = self.problems.get_mut(at) {
            *slot = problem;
        }
    }

    /// A backend was probed.
    fn probed(&mut self, at: usize, probed: Probed, hands: &mut Hands<'_>) {
        let Some(backend) = self.backends.get_mut(at) else { return };
        let before = backend.health();
        let (up, problem) = match probed {
            Probed::Up => (true, None),
            Probed::Down(why) => (false, Some(why)),
            Probed::NoSocks(error) => {
                log::warn("probe").with("problem", "no-socks").with("error", error).write();
                self.feed(Event::Probed(at, true), hands);
                return;
            }
        };
        backend.probed(hands.now, up);
        let (after, fetch) = (backend.health(), backend.awaits_descriptor());
        let line = log::info("probe").with("backend", &backend.name).with("up", up);
        if before != after || !up {
            self.line(line.with("state", after.name()).maybe("problem", problem.as_ref())).write();
        }
        self.set_problem(at, problem.map(|problem| format!("probe: {problem}")));
        self.feed(Event::Probed(at, up), hands);
        if fetch {
            self.feed(Event::FetchSoon(at), hands);
        }
        self.choose(hands);
    }

    /// The HSDirs have told which counters of ours they have.
    fn counter_learned(
        &mut self,
        at: TimePeriod,
        answers: Vec<Result<Vec<u8>, FetchFailure>>,
        hands: &mut Hands<'_>,
    ) {
        let address = self.config.address;
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let decode = |text: Vec<u8>| descriptor::decode(&text, &address, at, None, hands.now).ok();
        let highest = answers.into_iter().flatten().filter_map(decode).map(|decoded| decoded.revision).max();
        let news = highest.is_some_and(|highest| period.seen(highest));
        if !news && period.is_refused() {
            period.raise();
        }
        let line = log::info("counter").with("period", at.number).maybe("seen", highest);
        let line = line.with("news", news).with("floor", period.state.revision);
        self.line(line).write();
        self.feed(Event::CounterLearned(at), hands);
    }

    /// The signer has answered.
    fn certified(
        &mut self,
        at: TimePeriod,
        answer: Result<EncodedCert, CertSourceError>,
        hands: &mut Hands<'_>,
    ) {
        let period = self.periods.iter_mut().find(|period| period.state.period == at);
        let event = match answer {
            Ok(cert) => {
                let Some((period, end)) = period.zip(expires(&cert)) else { return };
                period.state.cert = Some(cert);
                self.signer_status = SignerStatus {
                    state: "ok".to_owned(),
                    last_certificate: Some(hands.now.0),
                    problem: None,
                };
                self.line(log::info("certificate")).with("period", at.number).with("expires-hour", end.0).write();
                Event::Certified(at, end)
            }
            Err(error) => {
                let (state, wait) = match &error {
                    CertSourceError::Refused { retry_after: 0, .. } => ("refused", Some(u64::MAX)),
                    CertSourceError::Refused { retry_after, .. } => ("refused", Some(u64::from(*retry_after))),
                    CertSourceError::Away { retry_after, .. } => ("away", Some(u64::from(*retry_after))),
                    CertSourceError::Unreachable { .. } | CertSourceError::Timeout { .. } => ("away", None),
                    CertSourceError::Protocol { .. } | CertSourceError::BadCertificate(_) => ("refused", None),
                };
                state.clone_into(&mut self.signer_status.state);
                self.signer_status.problem = Some(error.to_string());
                let held = period.is_some_and(|period| period.cert_expires().is_some_and(|end| !end.is_past(hands.now)));
                let line = log::warn("no-certificate").with("period", at.number).with("error", &error);
                self.line(line.with("held-one-is-good", held).with("try", error.advice())).write();
                Event::NotCertified(at, wait)
            }
        };
        self.feed(event, hands);
    }

    /// An HSDir has answered to an upload, or has not.
    fn posted(
        &mut self,
        (at, hsdir, number, revision): (TimePeriod, Fingerprint, u64, u64),
        answer: Result<(), PostFailure>,
        hands: &mut Hands<'_>,
    ) {
        let fetched_now = self.fetch_role.is_some_and(|role| role.period == at);
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let stored = match &answer {
            Ok(()) => Stored::Yes,
            Err(PostFailure::Rejected) => Stored::Rejected,
            Err(_other) => Stored::No,
        };
        let result = answer.as_ref().map_or_else(ToString::to_string, |()| "stored".to_owned());
        period.answered(hands.now, hsdir, result, answer.is_ok().then_some(revision));
        if stored == Stored::Rejected && period.first_refusal(number) && !fetched_now {
            period.raise();
        }
        let desc = self.machine.descs().iter().find(|desc| desc.plan().role.period == at);
        let hsdirs = desc.map_or(&[][..], |desc| &desc.plan().hsdirs);
        let everywhere = period.is_held_by(hsdirs);
        let name = if answer.is_ok() { log::info("stored-everywhere") } else { log::warn("not-stored") };
        let line = name.with("period", at.number).with("revision", revision);
        match answer {
            Err(problem) => self.line(line.with("hsdir", hsdir).with("problem", problem)).write(),
            Ok(()) if everywhere => self.line(line.with("hsdirs", hsdirs.len())).write(),
            Ok(()) => {}
        }
        self.feed(Event::Uploaded { period: at, hsdir, number, stored }, hands);
    }

    /// Chooses anew what is listed, and tells the schedule if it changed.
    fn choose(&mut self, hands: &mut Hands<'_>) {
        let before = self.choice.digest();
        let known = !self.choice.points.is_empty();
        let up: Vec<usize> = self.numbers(|backend| backend.health() == Health::Up);
        self.all_dead = up.is_empty();
        let live = if !self.all_dead {
            up
        } else if known {
            // Everything dead at once: more likely it is us. What is listed stays.
            let choice = &self.choice;
            (0..self.backends.len()).filter(|at| choice.count(*at) > 0).collect()
        } else {
            self.numbers(|backend| backend.seen().is_some())
        };
        let candidate = |at: &usize| {
            let seen = self.backends.get(*at)?.seen()?;
            Some(Candidate {
                backend: *at,
                points: &seen.points,
                flow_control: seen.flow_control.as_ref(),
                single_onion: seen.single_onion,
                pow: seen.pow,
            })
        };
        let candidates: Vec<_> = live.iter().filter_map(candidate).collect();
        let choice = choose(&candidates, &self.listed, self.config.max_intro_points, &self.rank_secret);
        let changed = choice.digest() != before;
        self.choice = choice;
        if changed {
            self.points_changed(hands);
        }
    }

    /// The numbers of the backends for which `test` holds.
    fn numbers(&self, test: impl Fn(&Backend) -> bool) -> Vec<usize> {
        self.backends.iter().enumerate().filter(|(_at, backend)| test(backend)).map(|(at, _backend)| at).collect()
    }

    /// Says what is listed now, in the log and to the schedule.
    fn points_changed(&mut self, hands: &mut Hands<'_>) {
        let shares = self.backends.iter().enumerate().map(|(at, backend)| {
            format!("{}:{}", backend.name, self.choice.count(at))
        });
        let shares: Vec<_> = shares.collect();
        let line = log::info("chosen").with("points", self.choice.points.len()).with("shares", shares.join(","));
        self.line(line).write();
        if self.choice.mixed_flow_control || self.choice.mixed_single_onion {
            let line = log::warn("mixed-backends").with("flow-control", self.choice.mixed_flow_control);
            self.line(line.with("single-onion", self.choice.mixed_single_onion)).write();
        }
        let points = (!self.choice.points.is_empty()).then(|| self.choice.digest());
        self.feed(Event::Points(points), hands);
    }
}
