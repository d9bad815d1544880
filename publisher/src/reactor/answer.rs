//! What a frontend makes of the reports of its tasks: fetches, certificates, uploads.

use super::act::Hands;
use super::frontend::Frontend;
use super::member::Member;
use super::period::expires;
use super::task::ServiceDone;
use crate::backend::{Health, Observation};
use crate::certs::{CertSourceError, Given, Giver};
use crate::consensus::{Fingerprint, Role};
use crate::descriptor::{self, Decoded};
use crate::log;
use crate::metrics::{Asked, Fetched, Posted};
use crate::schedule::{Event, Stored, Verdict};
use crate::tor::{FetchFailure, PostFailure};
use onionkeep_common::{OnionAddress, TimePeriod};

impl Frontend {
    /// Takes what a task reports.
    pub(super) fn done(&mut self, done: ServiceDone, current: bool, hands: &mut Hands<'_>) {
        match done {
            ServiceDone::Fetched { .. }
            | ServiceDone::Looked { .. }
            | ServiceDone::Counter { .. }
            | ServiceDone::Posted { .. }
                if !current => {}
            // It says nothing about a backend that is probed otherwise by now, or no longer.
            ServiceDone::Probed { way, .. } if way != self.probe_way => {}
            ServiceDone::Fetched { backend, ask, role, answer } => {
                self.fetched((backend, ask), role, answer, hands);
            }
            ServiceDone::Looked { period, hsdir, answer } => self.looked(period, hsdir, answer, hands),
            ServiceDone::Counter { period, answers } => self.counter_learned(period, answers, hands),
            ServiceDone::Probed { backend, waited, probed, .. } => {
                self.probed(backend, waited, probed, hands);
            }
            ServiceDone::Certified { period, answer, took } => {
                self.meters.asked(asked(&answer), took);
                self.certified(period, answer, hands);
            }
            ServiceDone::Posted { period, hsdir, number, revision, answer } => {
                self.posted((period, hsdir, number, revision), answer, hands);
            }
        }
    }

    /// One HSDir answered about a backend's descriptor.
    fn fetched(
        &mut self,
        (at, number): (usize, u64),
        role: Role,
        answer: Result<Vec<u8>, FetchFailure>,
        hands: &mut Hands<'_>,
    ) {
        let Some(member) = self.members.get_mut(&at) else { return };
        let not_found = answer == Err(FetchFailure::NotFound);
        // That tor is busy is no HSDir's fault: others would wait as long.
        let busy = answer == Err(FetchFailure::NoTurn);
        let answered = not_found || answer.is_ok();
        let late = member.ask.number != number;
        if !late {
            member.ask.open = member.ask.open.saturating_sub(1);
            member.ask.not_found = member.ask.not_found.saturating_add(usize::from(not_found));
        }
        let taken = answer
            .map_err(|failure| failure.to_string())
            .and_then(|text| self.take_descriptor(at, &text, &role, hands));
        let settled = taken.unwrap_or_else(|problem| {
            self.meters.fetched(if not_found { Fetched::NotFound } else { Fetched::Failed });
            let asked = self.members.get(&at).is_some_and(|member| !member.ask.good);
            if asked && !late {
                self.set_problem(at, Some(problem));
            }
            false
        });
        if !late {
            if !settled && !busy && self.members.get(&at).is_some_and(|member| member.ask.alone) {
                self.ask_others(at, hands);
            }
            self.ask_ended(at, hands);
        }
        if answered {
            self.somebody_answers(hands);
        }
    }

    /// An HSDir or a backend answers: tor is well, and who failed meanwhile is believed.
    pub(super) fn somebody_answers(&mut self, hands: &mut Hands<'_>) {
        if self.outage.answered(hands.now) {
            self.choose(hands);
        }
    }

    /// tor fetched a descriptor by itself. It does so for a probe when the points that it knows do not answer: a backend that restarts
    /// between two probes is known by that.
    pub(super) fn heard(&mut self, onion: &OnionAddress, text: &[u8], hands: &mut Hands<'_>) {
        let Some(role) = self.fetch_role else { return };
        let own = self.members.iter().filter(|(_at, member)| member.backend.address == *onion);
        for (at, name) in own.map(|(at, member)| (*at, member.backend.name.clone())).collect::<Vec<_>>() {
            if let Err(problem) = self.take_descriptor(at, text, &role, hands) {
                let line = log::info("backend-descriptor").with("backend", name);
                self.line(line.with("not-asked-for", problem)).write();
            }
        }
    }

    /// Takes a descriptor of a backend; whether it settles what there is to be known now.
    fn take_descriptor(
        &mut self,
        at: usize,
        text: &[u8],
        role: &Role,
        hands: &mut Hands<'_>,
    ) -> Result<bool, String> {
        let Some(member) = self.members.get_mut(&at) else { return Ok(false) };
        let before = member.backend.health();
        if let Some(decoded) = member.take(text, role, hands.now)? {
            return Ok(self.observe(at, role, decoded, hands) != Observation::Replayed);
        }
        let settled = !member.backend.is_overdue(hands.now);
        self.observed(at, Observation::Same, before, hands);
        Ok(settled)
    }

    /// A backend's descriptor came and is good; what it is against the one that was known.
    fn observe(&mut self, at: usize, role: &Role, decoded: Decoded, hands: &mut Hands<'_>) -> Observation {
        let Some(Member { backend, .. }) = self.members.get_mut(&at) else { return Observation::Replayed };
        let before = backend.health();
        let line = log::info("backend-descriptor").with("backend", &backend.name);
        let line = line.with("period", role.period.number).with("revision", decoded.revision);
        let line =
            line.with("points", decoded.intro_points.len()).with("skipped", decoded.skipped_points.len());
        let observation = backend.observe(hands.now, role.period, role.run_start, decoded);
        let health = backend.health();
        match observation {
            Observation::New | Observation::Renewed => self.line(line.with("state", health.name())).write(),
            Observation::Same => {}
            Observation::Replayed => self.line(line.with("refused", "older-than-known")).write(),
        }
        self.observed(at, observation, before, hands);
        observation
    }

    /// A backend whose health was `before` has a good descriptor.
    fn observed(&mut self, at: usize, observation: Observation, before: Health, hands: &mut Hands<'_>) {
        let Some(Member { backend, ask, .. }) = self.members.get_mut(&at) else { return };
        let (health, verdict) = (backend.health(), backend.verdict());
        self.meters.fetched(match observation {
            Observation::New | Observation::Renewed | Observation::Same => Fetched::Good,
            Observation::Replayed => Fetched::Replayed,
        });
        let first = !ask.good && observation != Observation::Replayed;
        ask.good |= first;
        // First the choice: the last backend's answer may start the first upload.
        if observation == Observation::New || health != before {
            self.choose(hands);
        }
        if first {
            self.set_problem(at, None);
            self.feed(Event::Fetched(at, verdict), hands);
        }
        if matches!(observation, Observation::New | Observation::Renewed) && health == Health::Down {
            self.feed(Event::ProbeSoon(at), hands);
        }
    }

    /// If all HSDirs have answered and none had a good descriptor, that is news too.
    fn ask_ended(&mut self, at: usize, hands: &mut Hands<'_>) {
        let Some(Member { backend, ask, problem, .. }) = self.members.get_mut(&at) else { return };
        if ask.open > 0 || ask.good {
            return;
        }
        let missing = ask.asked > 0 && ask.not_found == ask.asked;
        let before = backend.health();
        if missing {
            backend.missing();
        }
        let changed = backend.health() != before;
        let line = log::info("backend-not-fetched").with("backend", &backend.name).with("asked", ask.asked);
        let line = line.with("not-found", ask.not_found).maybe("problem", problem.as_ref());
        self.line(line).write();
        self.feed(Event::Fetched(at, if missing { Verdict::Missing } else { Verdict::Unclear }), hands);
        if changed {
            self.choose(hands);
        }
    }

    /// Notes the last problem with a backend.
    pub(super) fn set_problem(&mut self, at: usize, problem: Option<String>) {
        if let Some(member) = self.members.get_mut(&at) {
            member.problem = problem;
        }
    }

    /// The HSDirs have told which counters of ours they have.
    fn counter_learned(
        &mut self,
        at: TimePeriod,
        answers: Vec<Result<Vec<u8>, FetchFailure>>,
        hands: &mut Hands<'_>,
    ) {
        let address = self.config.address;
        // Only what HSDirs look at: the rest may be for other clients, or by another kind of publisher.
        let counter = |text: Vec<u8>| descriptor::revision(&text, &address, at, hands.now).ok();
        let highest = answers.into_iter().flatten().filter_map(counter).max();
        self.takeover_learned(at, highest, hands.now);
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let news = period.learned(highest);
        let line = log::info("counter").with("period", at.number).maybe("seen", highest);
        let line = line.with("news", news).with("floor", period.state.revision);
        self.line(line).write();
        self.feed(Event::CounterLearned(at), hands);
    }

    /// The signer has answered.
    fn certified(&mut self, at: TimePeriod, answer: Result<Given, CertSourceError>, hands: &mut Hands<'_>) {
        let period = self.periods.iter_mut().find(|period| period.state.period == at);
        let event = match answer {
            Ok(Given { cert, giver }) => {
                let Some((period, end)) = period.zip(expires(&cert)) else { return };
                period.state.cert = Some(cert);
                let from = self.given(giver, hands.now);
                let line = self.line(log::info("certificate")).with("period", at.number);
                line.with("expires-hour", end.0).with("from", from).write();
                Event::Certified(at, end)
            }
            Err(error) => {
                let (state, wait) = match &error {
                    CertSourceError::Refused { retry_after: 0, .. } => ("refused", Some(u64::MAX)),
                    CertSourceError::Refused { retry_after, .. } => {
                        ("refused", Some(u64::from(*retry_after)))
                    }
                    CertSourceError::Away { retry_after, .. } => ("away", Some(u64::from(*retry_after))),
                    CertSourceError::Unreachable { .. } | CertSourceError::Timeout { .. } => ("away", None),
                    CertSourceError::Protocol { .. } | CertSourceError::BadCertificate(_) => {
                        ("refused", None)
                    }
                    CertSourceError::Bundle(_) => ("none", None),
                };
                state.clone_into(&mut self.signer_status.state);
                self.signer_status.problem = Some(error.to_string());
                let held = period
                    .is_some_and(|period| period.cert_expires().is_some_and(|end| !end.is_past(hands.now)));
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
        self.meters.posted(match &answer {
            Ok(()) => Posted::Stored,
            Err(PostFailure::Rejected) => Posted::Rejected,
            Err(_other) => Posted::Failed,
        });
        let stored = match &answer {
            Ok(()) => Stored::Yes,
            Err(PostFailure::Rejected) => Stored::Rejected,
            Err(_other) => Stored::No,
        };
        let result = answer.as_ref().map_or_else(ToString::to_string, |()| "stored".to_owned());
        period.answered(hands.now, hsdir, result, answer.is_ok().then_some(revision));
        if stored == Stored::Rejected {
            period.refused(hsdir, number, fetched_now);
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
        if everywhere && stored == Stored::Yes {
            self.takeover_stored(at, hands);
        }
    }
}

/// What came of asking for a certificate, for the metrics.
const fn asked(answer: &Result<Given, CertSourceError>) -> Asked {
    match answer {
        Ok(Given { giver: Giver::Signer, .. }) => Asked::Signer,
        Ok(Given { giver: Giver::Bundle, .. }) => Asked::Bundle,
        Ok(Given { giver: Giver::BundleInstead(_), .. }) => Asked::BundleInstead,
        Err(CertSourceError::Refused { .. }) => Asked::Refused,
        Err(
            CertSourceError::Away { .. }
            | CertSourceError::Unreachable { .. }
            | CertSourceError::Timeout { .. },
        ) => Asked::Away,
        Err(
            CertSourceError::Protocol { .. }
            | CertSourceError::BadCertificate(_)
            | CertSourceError::Bundle(_),
        ) => Asked::Unusable,
    }
}
