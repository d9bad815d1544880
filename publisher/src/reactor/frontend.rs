//! One frontend at work: takes what the tasks report, feeds its schedule, chooses what is listed.

use super::LOOK;
use super::act::Hands;
use super::certs::Certs;
use super::member::{Member, Targets};
use super::outage::Outage;
use super::period::Period;
use super::probes::Probes;
use super::rooms::Rooms;
use super::said::Said;
use crate::backend::Backend;
use crate::clients::Clients;
use crate::config::{BackendConfig, ServiceConfig};
use crate::consensus::{Consensus, Fingerprint, HsDir, HsSchedule, Lives, Role};
use crate::descriptor::{MAX_DESCRIPTOR_SIZE, Reader};
use crate::log;
use crate::merge::{Mode, Places};
use crate::metrics::Meters;
use crate::ring::Ring;
use crate::schedule::{DescPlan, Event, Machine, Plan};
use crate::status::SignerStatus;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{BlindedId, OnionAddress, TimePeriod, UnixTime};
use sha3::{Digest, Sha3_256};
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// A consensus is reasonably live this long before and after its life, in **seconds**.
///
/// Spec: C tor, `REASONABLY_LIVE_TIME`.
const REASONABLY_LIVE: u64 = 24 * 3600;

/// The two rings of a consensus.
pub(super) struct Rings<'a> {
    /// What it was made of.
    pub(super) consensus: &'a Consensus,
    /// Which descriptors it wants.
    pub(super) schedule: HsSchedule,
    /// How long introduction points live.
    lives: Lives,
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
        let lives = consensus.params.lives(testing);
        Self { consensus, first: ring(&schedule.first), second: ring(&schedule.second), schedule, lives }
    }

    /// The HSDirs of a blinded key in the first or second ring, with a spread.
    fn at(&self, blinded: &BlindedId, role: &Role, spread: u8) -> Vec<Fingerprint> {
        let ring = if role == &self.schedule.first { &self.first } else { &self.second };
        let hsdirs: Vec<HsDir> = ring.responsible(blinded, self.consensus.params.n_replicas, spread);
        hsdirs.iter().map(|hsdir| hsdir.fingerprint).collect()
    }

    /// What the consensus means for a frontend.
    fn plan(&self, onion: &OnionAddress) -> Result<Plan, KeyError> {
        let spread = self.consensus.params.spread_store;
        let fetch = self.consensus.params.spread_fetch;
        let desc = |role: Role| {
            let blinded = onion.identity().blinded(role.period)?;
            let [hsdirs, asked] = [spread, fetch].map(|spread| self.at(&blinded, &role, spread));
            Ok(DescPlan { role, asked, hsdirs })
        };
        Ok(Plan {
            valid_after: self.consensus.valid_after,
            live_from: self.consensus.valid_after.minus(REASONABLY_LIVE),
            live_until: self.consensus.valid_until.plus(REASONABLY_LIVE),
            first: desc(self.schedule.first)?,
            second: desc(self.schedule.second)?,
            fetch_period: self.schedule.fetch.period,
            fetch_until: self.schedule.fetch_until,
        })
    }

    /// Which HSDir gets which set of points, for both descriptors.
    fn places(mode: Mode, plan: &Plan) -> Vec<(TimePeriod, Places)> {
        let places = |desc: &DescPlan| (desc.role.period, Places::new(mode, &desc.hsdirs, &desc.asked));
        [&plan.first, &plan.second].into_iter().map(places).collect()
    }

    /// Where the descriptor of a backend is to be fetched, and what reads it; `known`: what read it before.
    fn targets(&self, onion: &OnionAddress, known: Option<Reader>) -> Result<Targets, KeyError> {
        let params = &self.consensus.params;
        let role = &self.schedule.fetch;
        let known = known.filter(|reader| reader.period() == role.period);
        let reader = known.map_or_else(|| Reader::new(onion, role.period), Ok)?;
        let (fetch, store) = [params.spread_fetch, params.spread_store]
            .map(|spread| self.at(reader.blinded(), role, spread))
            .into();
        Ok(Targets { fetch, store, reader: Some(reader) })
    }
}

/// One frontend at work.
pub(super) struct Frontend {
    /// Which one this is, for its tasks.
    pub(super) index: usize,
    /// Its configuration; its backends as they are now.
    pub(super) config: ServiceConfig,
    /// Its backends as the configuration file has them.
    pub(super) file: Vec<BackendConfig>,
    /// Who gives its certificates.
    pub(super) certs: Certs,
    /// Who can read the descriptors; everybody if `None`.
    pub(super) clients: Option<Clients>,
    /// Its backends by their numbers.
    pub(super) members: BTreeMap<usize, Member>,
    /// The number of the next backend that is added.
    pub(super) next_member: usize,
    /// The number of the way in which backends are probed: another one whenever the configuration changes it.
    pub(super) probe_way: u64,
    /// The period that backends are fetched for.
    pub(super) fetch_role: Option<Role>,
    /// When that period ends.
    pub(super) fetch_until: UnixTime,
    /// How long introduction points live in this network.
    pub(super) lives: Lives,
    /// The clocks.
    pub(super) machine: Machine,
    /// When they were last looked at.
    pub(super) ticked: UnixTime,
    /// When they are to be looked at again: at the latest a second after any event.
    pub(super) wake: UnixTime,
    /// When a descriptor's state was last made or read, or was to be.
    pub(super) begun: UnixTime,
    /// What was said about states that could not be.
    pub(super) begin_said: Said,
    /// The descriptors at work.
    pub(super) periods: Vec<Period>,
    /// Which HSDirs of each descriptor get which set of points.
    pub(super) places: Vec<(TimePeriod, Places)>,
    /// No backend counts as up, so what is listed is kept.
    pub(super) all_dead: bool,
    /// The last good set of backends.
    pub(super) outage: Outage,
    /// What is known of the signer.
    pub(super) signer_status: SignerStatus,
    /// Counts for the metrics.
    pub(super) meters: Meters,
    /// The state could not be written.
    pub(super) state_problem: Option<String>,
    /// The secret of the order in which points are chosen.
    pub(super) rank_secret: Zeroizing<[u8; 32]>,
    /// The secret of the counters.
    pub(super) counter_secret: Zeroizing<[u8; 32]>,
    /// The consensus' limit of a descriptor's length.
    pub(super) max_descriptor_size: u32,
    /// How much of its work may be under way at the same time.
    pub(super) rooms: Rooms,
    /// What its probes tell, on the whole.
    pub(super) probes: Probes,
    /// When it was last looked at for alarms, if nothing was found and nothing has happened since.
    pub(super) quiet: Option<UnixTime>,
}

impl Frontend {
    /// A frontend of which nothing is known.
    pub(super) fn new(
        index: usize,
        (config, state_dir): (&ServiceConfig, &Path),
        secret: &[u8; 32],
        now: UnixTime,
    ) -> Self {
        let rank = Sha3_256::new().chain_update(b"onionkeep choice v1").chain_update(secret);
        let rank = rank.chain_update(config.address.identity().as_bytes()).finalize();
        let count = config.backends.len();
        let clients = config.authorized_clients.as_deref();
        let secret_order = rank.into();
        let member = |backend| Member::new(backend, &secret_order);
        let mut frontend = Self {
            index,
            clients: clients.map(|path| Clients::new(path, config.mode.points())),
            file: config.backends.clone(),
            certs: Certs::new(state_dir, config),
            members: config.backends.iter().map(member).enumerate().collect(),
            next_member: count,
            probe_way: 0,
            fetch_role: None,
            fetch_until: UnixTime(0),
            lives: Lives::PUBLIC,
            machine: Machine::new(now, count, config.probing.as_ref().map(|probing| probing.interval)),
            ticked: UnixTime(0),
            wake: now,
            begun: UnixTime(0),
            begin_said: Said::default(),
            periods: Vec::new(),
            places: Vec::new(),
            all_dead: false,
            outage: Outage::default(),
            signer_status: SignerStatus { state: "unasked".to_owned(), ..SignerStatus::default() },
            meters: Meters::default(),
            state_problem: None,
            rank_secret: Zeroizing::new(secret_order),
            counter_secret: Zeroizing::new(*secret),
            max_descriptor_size: MAX_DESCRIPTOR_SIZE,
            rooms: Rooms::of_one(),
            probes: Probes::default(),
            quiet: None,
            config: config.clone(),
        };
        frontend.machine.set_looks(config.check_uploads);
        frontend.look_at_clients();
        frontend
    }

    /// Whether its clocks are to be looked at: something is due, it was not looked at for some time, or time went back.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        #[cfg(test)]
        super::tests::seconds::note(self.index, now);
        let waited = now.since(self.ticked);
        now < self.ticked || (waited > 0 && (self.wake <= now || waited >= LOOK.as_secs()))
    }

    /// A log line about this frontend.
    pub(super) fn line(&self, line: log::Line) -> log::Line {
        line.with("onion", self.config.address.redacted())
    }

    /// Takes a consensus.
    pub(super) fn network(&mut self, rings: &Rings<'_>, hands: &mut Hands<'_>) {
        let targets = self.members.values();
        let targets = targets.map(|member| rings.targets(&member.backend.address, member.targets.reader));
        let targets: Result<Vec<_>, _> = targets.collect();
        let plan = rings.plan(&self.config.address);
        let plan = plan.map(|plan| (Rings::places(self.config.mode, &plan), plan));
        match (plan, targets) {
            (Ok((places, plan)), Ok(targets)) => {
                for (member, targets) in self.members.values_mut().zip(targets) {
                    member.targets = targets;
                    member.backend.set_lives(rings.lives);
                }
                self.places = places;
                self.watch_new(hands.now);
                self.fetch_role = Some(rings.schedule.fetch);
                self.lives = rings.lives;
                self.fetch_until = rings.schedule.fetch_until;
                self.max_descriptor_size = rings.consensus.params.max_descriptor_size;
                self.feed(Event::Network(Box::new(plan)), hands);
                self.choose(hands);
                let oldest = rings.schedule.first.period;
                if let Err(error) = hands.state.remove_before(&self.config.address, oldest) {
                    self.line(log::warn("state")).with("error", error).write();
                }
            }
            (Err(error), _) | (_, Err(error)) => self.line(log::error("plan")).with("error", error).write(),
        }
    }

    /// The numbers of the backends for which `test` holds.
    pub(super) fn numbers(&self, test: impl Fn(&Backend) -> bool) -> Vec<usize> {
        let found = self.members.iter().filter(|(_at, member)| test(&member.backend));
        found.map(|(at, _member)| *at).collect()
    }
}
