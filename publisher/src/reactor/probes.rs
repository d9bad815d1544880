//! A frontend's probes: starts them, takes what they tell, and knows when they have told nothing for long.

use super::act::Hands;
use super::frontend::Frontend;
use super::member::Member;
use super::said::Said;
use super::task;
use crate::alarm::{Finding, Name};
use crate::log;
use crate::metrics;
use crate::probe::{Probed, Question};
use crate::schedule::Event;
use onionkeep_common::UnixTime;
use std::time::Duration;

/// The shortest and the longest time that a probe may take, in **seconds**.
const DEADLINE: (u64, u64) = (10, 30);
/// What probes told lapses when none of the service has told anything for so many **seconds**: longer than tor takes to restart.
const LAPSE: u64 = 900;
/// It never lapses in fewer intervals than so many.
const LAPSE_INTERVALS: u64 = 3;
/// Nor before so many probes of the backend in a row have told nothing: while tor is away none is made, and nothing lapses.
const LAPSE_PROBES: u32 = 3;
/// If so many probes of a service in a row failed at the SOCKS port, something is wrong with it.
const FAILURES: u32 = 2;
/// A probe that waited for its turn for more **seconds** than this, and for more than two intervals, is late.
const LATE: u64 = 120;
/// Probes are late if some were over so many **seconds**: after a start with many backends the first ones may be for less.
const LATE_LASTS: u64 = 60;
/// They are no longer late so many **seconds** after the last one that was.
const LATE_OVER: u64 = 180;
/// What to do if the SOCKS port fails.
const TRY: &str = "compare socks in [tor] with tor's SocksPort, and see tor's log";

/// Probes that were late one after the other.
#[derive(Clone, Copy, Debug)]
struct Late {
    /// When the first of them was.
    since: UnixTime,
    /// When the last was.
    last: UnixTime,
    /// For how many **seconds** that had waited.
    waited: u64,
}

impl Late {
    /// Whether another one that is late now belongs to these.
    fn goes_on(&self, now: UnixTime) -> bool {
        self.last <= now && now.since(self.last) <= LATE_OVER
    }
}

/// What the probes of a service tell, on the whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    /// When one last told something about its backend.
    told: Option<UnixTime>,
    /// So many in a row failed at the SOCKS port.
    failures: u32,
    /// What was wrong with it.
    problem: String,
    /// Some were late.
    late: Option<Late>,
    /// What was said in the log.
    said: Said,
}

impl Probes {
    /// One told something about its backend.
    fn tell(&mut self, now: UnixTime) {
        (self.told, self.failures) = (Some(now), 0);
        self.said.forget();
    }

    /// One failed at the SOCKS port; whether that is to be said in the log.
    fn fail(&mut self, now: UnixTime, problem: String) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.problem = problem;
        self.said.is_news(now, &self.problem)
    }

    /// One was late, having waited for so many **seconds**.
    fn wait(&mut self, now: UnixTime, waited: u64) {
        let since = self.late.filter(|late| late.goes_on(now)).map_or(now, |late| late.since);
        self.late = Some(Late { since, last: now, waited });
    }

    /// Whether none has told anything for so many **seconds**, though one did before.
    fn are_silent(&mut self, now: UnixTime, most: u64) -> bool {
        // A clock that went back must not keep what was told for longer.
        self.told = self.told.map(|told| told.min(now));
        self.told.is_some_and(|told| now.since(told) > most)
    }

    /// tor is back: what failed before says nothing any more, and the time that it was away does not count.
    fn forgive(&mut self, now: UnixTime) {
        (self.failures, self.late) = (0, None);
        self.told = self.told.map(|_before| now);
    }

    /// What is wrong with them; `interval` is the usual one in **seconds**.
    fn finding(&self, now: UnixTime, interval: u64) -> Option<Finding> {
        if self.failures >= FAILURES {
            let text = format!(
                "probes tell nothing, and soon the backends' descriptors alone decide: {}; {TRY}",
                self.problem
            );
            return Some(Finding::new(Name::ProbesFailing, text));
        }
        let late = self.late.filter(|late| late.goes_on(now) && late.last.since(late.since) >= LATE_LASTS)?;
        let waited = late.waited;
        let text = format!(
            "a probe waited {waited} s for its turn: there are too many backends, or too many dead ones, for \
             probe_interval_seconds = {interval}; make it longer (docs/operate/running.md)"
        );
        Some(Finding::new(Name::ProbesFailing, text))
    }
}

impl Frontend {
    /// Probes a backend, when its turn has come.
    pub(super) fn start_probe(&mut self, at: usize, hands: &mut Hands<'_>) {
        let (Some(member), Some(probing), Some(socks)) =
            (self.members.get(&at), self.config.probing.as_ref(), hands.socks.cloned())
        else {
            return;
        };
        let (shortest, longest) = DEADLINE;
        let deadline = Duration::from_secs(probing.interval.clamp(shortest, longest));
        let question = Question {
            onion: member.backend.address,
            port: probing.port,
            http: probing.http.clone(),
            host: self.config.address.to_string(),
            failed: member.failed_probes,
        };
        let room = self.rooms.probe(hands.rooms);
        let work = task::probe_backend(socks, room, (at, self.probe_way), question, deadline);
        hands.start(self.index, work);
    }

    /// A probe of a backend has ended, for which it waited so long; without an outcome its turn never came.
    pub(super) fn probed(
        &mut self,
        at: usize,
        waited: Duration,
        probed: Option<Probed>,
        hands: &mut Hands<'_>,
    ) {
        let waited = waited.as_secs();
        if probed.is_none() || waited > LATE.max(self.probe_interval().saturating_mul(2)) {
            self.probes.wait(hands.now, waited);
        }
        match probed {
            Some(Probed::Up) => self.told(at, None, hands),
            Some(Probed::Down(why)) => self.told(at, Some(why), hands),
            Some(Probed::NoSocks(error)) => {
                self.meters.probed(metrics::Probes::NoSocks);
                let port = hands.socks.map_or_else(String::new, |socks| format!(" {socks}"));
                let problem = format!("tor's SOCKS port{port}: {error}");
                if self.probes.fail(hands.now, problem) {
                    let line = log::warn("probe").with("problem", "no-socks").with("error", error);
                    self.line(line.with("try", TRY)).write();
                }
                self.told_nothing(at, hands);
            }
            None => {
                self.meters.probed(metrics::Probes::NoTurn);
                self.told_nothing(at, hands);
            }
        }
    }

    /// A probe tells whether its backend takes connections: it does without a problem.
    fn told(&mut self, at: usize, problem: Option<String>, hands: &mut Hands<'_>) {
        let Some(Member { backend, failed_probes, silent_probes, .. }) = self.members.get_mut(&at) else {
            return;
        };
        let (before, up) = (backend.health(), problem.is_none());
        self.probes.tell(hands.now);
        self.meters.probed(if up { metrics::Probes::Up } else { metrics::Probes::Down });
        *failed_probes = failed_probes.wrapping_add(u64::from(!up));
        *silent_probes = 0;
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
        if before != after {
            self.choose(hands);
        }
        if up {
            self.somebody_answers(hands);
        }
    }

    /// A probe says nothing about its backend. If that has lasted for long, what probes told lapses: of all backends in the same moment if
    /// none has told anything, so that it is seen that they do not leave one by one; else of this one.
    fn told_nothing(&mut self, at: usize, hands: &mut Hands<'_>) {
        let most = LAPSE.max(self.probe_interval().saturating_mul(LAPSE_INTERVALS));
        let Some(Member { backend, silent_probes, .. }) = self.members.get_mut(&at) else { return };
        *silent_probes = silent_probes.saturating_add(1);
        let silent = *silent_probes >= LAPSE_PROBES;
        let old = |told| hands.now.since(told) > most.saturating_mul(2);
        let own = silent && backend.last_probe().is_some_and(old);
        let all = silent && self.probes.are_silent(hands.now, most);
        let mut changed: usize = 0;
        if all || own {
            for (_at, member) in self.members.iter_mut().filter(|(other, _member)| all || **other == at) {
                let before = member.backend.health();
                member.backend.lapse_probe();
                changed = changed.saturating_add(usize::from(member.backend.health() != before));
            }
        }
        if all {
            self.probes.told = None;
            self.line(log::warn("probes-lapsed").with("silent", most).with("changed", changed)).write();
        }
        self.feed(Event::NotProbed(at), hands);
        if changed > 0 {
            self.choose(hands);
        }
    }

    /// tor is back.
    pub(super) fn forgive_probes(&mut self, now: UnixTime) {
        self.probes.forgive(now);
        self.members.values_mut().for_each(|member| member.silent_probes = 0);
    }

    /// Probes are made in another way from now on, or no longer: what they told is forgotten, and those that wait for their turn are given up.
    pub(super) fn forget_probes(&mut self) {
        self.rooms.give_up_probes();
        self.probes = Probes::default();
        for member in self.members.values_mut() {
            member.silent_probes = 0;
            member.backend.forget_probes();
        }
    }

    /// What is wrong with the probes, while any can be made.
    pub(super) fn probe_finding(&self, now: UnixTime) -> Option<Finding> {
        let probing = self.config.probing.as_ref().filter(|_probing| self.machine.is_online(now))?;
        self.probes.finding(now, probing.interval)
    }

    /// How often each backend is probed, in **seconds**; 0 if not at all.
    fn probe_interval(&self) -> u64 {
        self.config.probing.as_ref().map_or(0, |probing| probing.interval)
    }
}
