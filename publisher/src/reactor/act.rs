//! Carries out what a frontend's schedule asks for: starts its tasks, those of probes by `probes.rs`.

use super::frontend::Frontend;
use super::member::{Ask, Member};
use super::period::{MakeError, Period};
use super::rooms::Rooms;
use super::rota::{some, some_of};
use super::task::{self, Copy, Done, ServiceDone};
use crate::consensus::Fingerprint;
use crate::log;
use crate::probe::SocksAddr;
use crate::schedule::{Action, Event, Reach, Stored, SystemDice, Why};
use crate::state::{StateDir, StateError};
use crate::tor::Tor;
use onionkeep_common::{TimePeriod, UnixTime};
use std::collections::VecDeque;
use tokio::task::JoinSet;

/// Wait between two tries to make or read back a state that is lacking, in **seconds**.
const BEGIN_AGAIN: u64 = 10;
/// How many HSDirs are asked for a backend's descriptor, or for the counters that they have seen.
const ASKED: usize = 3;

/// What a frontend works with.
pub(super) struct Hands<'a> {
    /// The time.
    pub(super) now: UnixTime,
    /// The tasks.
    pub(super) tasks: &'a mut JoinSet<Done>,
    /// tor, if it is connected.
    pub(super) tor: Option<&'a Tor>,
    /// The number of that connection.
    pub(super) epoch: u64,
    /// The state folder.
    pub(super) state: &'a StateDir,
    /// tor's SOCKS port.
    pub(super) socks: Option<&'a SocksAddr>,
    /// How much may be under way at the same time.
    pub(super) rooms: &'a Rooms,
}

impl Hands<'_> {
    /// Starts a task for a service.
    pub(super) fn start(&mut self, service: usize, work: impl Future<Output = ServiceDone> + Send + 'static) {
        let epoch = self.epoch;
        self.tasks.spawn(async move { Done::Service { service, epoch, done: work.await } });
    }
}

impl Frontend {
    /// Gives an event to the schedule and does what it asks for.
    pub(super) fn feed(&mut self, event: Event, hands: &mut Hands<'_>) {
        self.quiet = self.quiet.filter(|_since| matches!(event, Event::Tick));
        if matches!(event, Event::TorUp) {
            self.forgive_probes(hands.now);
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(hands.now, event, &mut SystemDice) {
                self.quiet = None;
                events.extend(self.act(action, hands));
            }
        }
        self.wake = self.wake.min(hands.now.plus(1));
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, hands: &mut Hands<'_>) {
        self.feed(Event::Tick, hands);
        self.begin_again(hands);
        self.turn(hands);
        self.takeover_again(hands);
        self.watch(hands);
        let over = self.periods.iter().filter_map(|period| period.memo.next());
        let step = self.moves().then(|| self.shown().and_then(|merged| merged.next_step)).flatten();
        let lacking = self.machine.descs().iter().any(|desc| self.period_of(desc).is_none());
        let begin = lacking.then(|| self.begun.plus(BEGIN_AGAIN));
        let over = over.chain(step).chain(begin).filter(|over| *over > hands.now);
        (self.ticked, self.wake) = (hands.now, over.fold(self.machine.wake(hands.now), UnixTime::min));
    }

    /// Does one thing; what can be told at once comes back as an event.
    fn act(&mut self, action: Action, hands: &mut Hands<'_>) -> Vec<Event> {
        match action {
            Action::Fetch { backend, reach } => self.start_fetch(backend, reach, hands),
            Action::Probe { backend } => self.start_probe(backend, hands),
            Action::LearnCounter { period } => self.start_counter(period, hands),
            Action::Look { period, hsdir } => {
                if let Some(tor) = hands.tor.cloned() {
                    hands.start(self.index, task::look(tor, self.index, self.config.address, period, hsdir));
                }
            }
            Action::Certify { period } => return self.start_certify(period, hands),
            Action::Upload { period, number, hsdirs, why } => {
                return self.start_upload(period, number, &hsdirs, why, hands);
            }
            Action::Begin { period } => return self.begin(period, hands),
            Action::End { period } => {
                self.line(log::info("period-over")).with("period", period.number).write();
                self.periods.retain(|other| other.state.period != period);
            }
        }
        Vec::new()
    }

    /// Makes or reads back the state of a period.
    fn begin(&mut self, at: TimePeriod, hands: &mut Hands<'_>) -> Vec<Event> {
        let address = self.config.address;
        self.begun = hands.now;
        let loaded = hands.state.load_or_make(&address, at).and_then(|(mut state, damage)| {
            self.fit(&mut state, hands)?;
            Ok((Period::new(&address, state, &self.counter_secret).map_err(StateError::Key)?, damage))
        });
        match loaded {
            Ok((period, damage)) => {
                if let Some(damage) = damage {
                    let line = self.line(log::error("state")).with("error", damage);
                    line.with("done", "set aside, new keys for this period").write();
                }
                let line = self.line(log::info("period")).with("period", at.number);
                line.with("minutes", at.length.minutes())
                    .with("counter-floor", period.state.revision)
                    .write();
                self.state_problem = None;
                let held = period.cert_expires().filter(|end| !end.is_past(hands.now));
                self.periods.push(period);
                held.map(|end| Event::HeldCertificate(at, end)).into_iter().collect()
            }
            Err(error) => {
                let problem = error.to_string();
                if self.begin_said.is_news(hands.now, &problem) {
                    self.line(log::error("state"))
                        .with("error", &problem)
                        .with("try", error.advice())
                        .write();
                }
                self.state_problem = Some(problem);
                Vec::new()
            }
        }
    }

    /// Tries again to make or read back the states that a descriptor lacks, every few seconds: whatever was wrong with the folder, it may
    /// be well by now.
    fn begin_again(&mut self, hands: &mut Hands<'_>) {
        let descs = self.machine.descs().iter().map(|desc| desc.plan().role.period);
        let lacking: Vec<_> = descs.filter(|at| self.period_at(*at).is_none()).collect();
        if lacking.is_empty() {
            self.begin_said.forget();
            return;
        }
        if self.begun <= hands.now && hands.now.since(self.begun) < BEGIN_AGAIN {
            return;
        }
        let before = self.periods.len();
        for at in lacking {
            for event in self.begin(at, hands) {
                self.feed(event, hands);
            }
        }
        if self.periods.len() > before {
            self.choose(hands);
        }
    }

    /// The period at work; none if its state could not be made or read.
    fn period(&mut self, at: TimePeriod) -> Option<&mut Period> {
        self.periods.iter_mut().find(|period| period.state.period == at)
    }

    /// Asks HSDirs for a backend's descriptor.
    fn start_fetch(&mut self, at: usize, reach: Reach, hands: &mut Hands<'_>) {
        let (Some(tor), Some(_role)) = (hands.tor, self.fetch_role) else { return };
        let Some(member) = self.members.get_mut(&at) else { return };
        let targets = &member.targets;
        // With many backends and a slow tor, asking more of each only makes all of them late.
        let reach = if tor.has_long_queue(self.index) { Reach::One } else { reach };
        let hsdirs = match reach {
            Reach::One => member.rota.next(&targets.fetch, &mut SystemDice).into_iter().collect(),
            Reach::Some => some(&targets.fetch, ASKED, &mut SystemDice),
            Reach::All => targets.store.clone(),
        };
        member.ask = Ask::of(member.ask.number.wrapping_add(1), reach, hsdirs.len());
        self.fetch_from(at, hsdirs, hands);
    }

    /// The one HSDir that was asked does not settle it: asks others too, as part of the same fetch.
    pub(super) fn ask_others(&mut self, at: usize, hands: &mut Hands<'_>) {
        let Some(Member { ask, rota, targets, .. }) = self.members.get_mut(&at) else { return };
        let left: Vec<_> =
            targets.fetch.iter().filter(|hsdir| rota.last() != Some(*hsdir)).copied().collect();
        let others = some(&left, ASKED.saturating_sub(1), &mut SystemDice);
        ask.widen(others.len());
        self.fetch_from(at, others, hands);
    }

    /// Asks these HSDirs for a backend's descriptor.
    fn fetch_from(&self, at: usize, hsdirs: Vec<Fingerprint>, hands: &mut Hands<'_>) {
        let (Some(member), Some(tor), Some(role)) =
            (self.members.get(&at), hands.tor.cloned(), self.fetch_role)
        else {
            return;
        };
        let (address, number) = (member.backend.address, member.ask.number);
        for hsdir in hsdirs {
            hands.start(self.index, task::fetch(&tor, self.index, (at, number), address, role, hsdir));
        }
    }

    /// Asks the HSDirs of our own descriptor which counters they have.
    pub(super) fn start_counter(&mut self, at: TimePeriod, hands: &mut Hands<'_>) {
        let desc = self.machine.descs().iter().find(|desc| desc.plan().role.period == at);
        if let (Some(tor), Some(desc)) = (hands.tor.cloned(), desc) {
            // Those that refuse an upload come first: they have what is to be known.
            let refuses =
                |hsdir: &Fingerprint| self.period_at(at).is_some_and(|own| own.is_refused_by(hsdir));
            let hsdirs = some_of(&desc.plan().hsdirs, ASKED, refuses, &mut SystemDice);
            hands.start(self.index, task::counter(tor, self.config.address, at, hsdirs));
        }
    }

    /// Asks the signer, the bundles, or both; without a state there is no key to ask for.
    fn start_certify(&mut self, at: TimePeriod, hands: &mut Hands<'_>) -> Vec<Event> {
        let address = self.config.address;
        self.fit_key(at, hands);
        let Some(period) = self.period(at) else { return vec![Event::NotCertified(at, None)] };
        let request = period.state.keys.certify_request(&address, at);
        let source = self.source(&request, hands.now);
        hands.start(self.index, task::certify(source, request, at, hands.now));
        Vec::new()
    }

    /// Makes a descriptor and starts its uploads. What cannot be made is reported as not stored.
    fn start_upload(
        &mut self,
        at: TimePeriod,
        number: u64,
        hsdirs: &[Fingerprint],
        why: Why,
        hands: &mut Hands<'_>,
    ) -> Vec<Event> {
        let fresh = self.merged_anew(at, why, hands.now);
        match self.make_copies(at, (number, why), hsdirs, hands) {
            Ok((copies, unsaved)) => {
                if let Some(problem) = &unsaved {
                    let line = self.line(log::error("state-not-written")).with("period", at.number);
                    line.with("error", problem).with("done", "uploaded all the same").write();
                }
                self.state_problem = unsaved;
                let revision = copies.first().map_or(0, |copy| copy.revision);
                let line = self.line(log::info("upload")).with("period", at.number).with("why", why.name());
                let points = self.merged(at).map_or(0, |merged| merged.keys().len());
                let line = line.with("revision", revision).with("points", points);
                line.with("hsdirs", copies.len()).write();
                if let Some(tor) = hands.tor.cloned() {
                    for copy in copies {
                        let room = self.rooms.upload(hands.rooms);
                        hands.start(self.index, task::post(tor.clone(), room, copy));
                    }
                }
                fresh.into_iter().collect()
            }
            Err(problem) => {
                self.line(log::error("no-upload")).with("period", at.number).with("error", &problem).write();
                self.state_problem = Some(problem);
                let not_stored = |hsdir: &Fingerprint| Event::Uploaded {
                    period: at,
                    hsdir: *hsdir,
                    number,
                    stored: Stored::No,
                };
                hsdirs.iter().map(not_stored).collect()
            }
        }
    }

    /// Chooses anew for an upload that is made in any case, but for the first after a restart; what changed thereby.
    fn merged_anew(&mut self, at: TimePeriod, why: Why, now: UnixTime) -> Option<Event> {
        let period = self.periods.iter().find(|period| period.state.period == at)?;
        let again = why == Why::First && !period.listed.iter().all(Vec::is_empty);
        if why == Why::Retry || again {
            return None;
        }
        self.merge(at, now, Some(why)).map(|digest| Event::Listed(at, digest))
    }

    /// Moves the counter on, writes the state, and makes the copies; also what kept the state from being written.
    ///
    /// Clients do not wait for a disk that is full if the keys are on it: the counter comes from the time, so after a restart the next
    /// one is higher all the same (docs/decisions/0049-uploads-with-a-full-disk.md).
    fn make_copies(
        &mut self,
        at: TimePeriod,
        (number, why): (u64, Why),
        hsdirs: &[Fingerprint],
        hands: &mut Hands<'_>,
    ) -> Result<(Vec<Copy>, Option<String>), String> {
        let desc = self.machine.descs().iter().find(|desc| desc.plan().role.period == at);
        let run_start = desc.map(|desc| desc.plan().role.run_start).ok_or("this period is not published")?;
        let (now, address, limit) = (hands.now, self.config.address, self.max_descriptor_size);
        let places = self.places.iter().find(|(period, _places)| *period == at);
        let places = places.map(|(_period, places)| places.clone()).unwrap_or_default();
        let period = self.period(at).ok_or_else(|| "its state cannot be used".to_owned())?;
        let text = |error: MakeError| error.to_string();
        let revision = period.advance(now, run_start).map_err(text)?;
        let saved = hands.state.save(&address, &period.state);
        let unsaved = saved.err().map(|error| format!("{error} (try: {})", error.advice()));
        match &unsaved {
            None => period.keys_written = true,
            Some(problem) if !period.keys_written => return Err(problem.clone()),
            Some(_problem) => {}
        }
        let copies = period.make(now, &places, limit, hsdirs).map_err(text)?;
        period.uploaded(now, revision, why == Why::Retry, &copies);
        for (hsdir, text) in &copies {
            period.sent(now, *hsdir, revision, text);
        }
        let copy = |(hsdir, text)| Copy { onion: address, period: at, hsdir, number, revision, text };
        Ok((copies.into_iter().map(copy).collect(), unsaved))
    }
}
