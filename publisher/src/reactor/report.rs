//! Puts the status document together, and decides what is worth a warning.

use super::Reactor;
use super::frontend::Frontend;
use super::member::Member;
use super::period::Period;
use crate::backend::Health;
use crate::clock;
use crate::schedule::Desc;
use crate::status::{BackendStatus, DescriptorStatus, Document, HsDirStatus, ServiceStatus};
use data_encoding::BASE64_NOPAD;
use onionkeep_common::UnixTime;

/// A certificate that ends in less than this is worth a warning, in **seconds**: several uploads went without a new one.
const CERT_LOW: u64 = 24 * 3600;
/// An upload older than this is worth a warning, in **seconds**: the next one was due and HSDirs drop it after 3 hours.
const UPLOAD_OLD: u64 = 7200 + 600;
/// So long after an upload its HSDirs should have answered, in **seconds**.
const ANSWER_LATE: u64 = 120;
/// So long after the start everything should be there, in **seconds**.
const START_LATE: u64 = 120;

impl Reactor {
    /// The status document as JSON.
    pub(super) fn document(&self) -> String {
        let now = clock::now();
        let mut warnings = Vec::new();
        if self.tor.state != "ready" {
            warnings.push(format!("tor is {}: nothing is fetched or uploaded", self.tor.state));
        }
        if let Some(problem) = &self.tor.problem {
            warnings.push(format!("tor: {problem}"));
        }
        for frontend in self.frontends.values() {
            let name = frontend.config.address.redacted();
            let found = frontend.warnings(now, self.started);
            warnings.extend(found.into_iter().map(|warning| format!("{name}: {warning}")));
        }
        let document = Document {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: now.0,
            started: self.started.0,
            tor: self.tor.clone(),
            services: self.frontends.values().map(Frontend::status).collect(),
            warnings,
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

impl Frontend {
    /// What is to be said about this frontend.
    fn status(&self) -> ServiceStatus {
        let backend = |(at, member): (&usize, _)| self.backend_status(*at, member);
        let descs = self.machine.descs().iter().zip(["first", "second"]);
        ServiceStatus {
            address: self.config.address.to_string(),
            mode: self.config.mode.name().to_owned(),
            signer: self.signer_status.clone(),
            bundles: self.certs.status(clock::now()),
            backends: self.members.iter().map(backend).collect(),
            removed: self.removed_at_run_time(),
            descriptors: descs.map(|(desc, role)| self.descriptor_status(desc, role)).collect(),
        }
    }

    /// What is to be said about a backend.
    fn backend_status(&self, at: usize, member: &Member) -> BackendStatus {
        let backend = &member.backend;
        let seen = backend.seen();
        BackendStatus {
            name: backend.name.clone(),
            address: backend.address.to_string(),
            state: backend.state().to_owned(),
            problem: member.problem.clone(),
            uploaded: seen.map(|seen| seen.uploaded.0),
            fetched: backend.last_good().map(|time| time.0),
            revision: seen.map(|seen| seen.revision),
            points: seen.map_or(0, |seen| seen.points.len()),
            listed: self.shown().map_or(0, |merged| merged.count(at)),
            weight: backend.weight,
            draining: backend.draining,
            changed: self.run_time_change(&member.config),
            share: self.shown().map_or(0, |merged| merged.share(at)),
        }
    }

    /// The period at work behind a descriptor.
    fn period_of(&self, desc: &Desc) -> Option<&Period> {
        self.periods.iter().find(|period| period.state.period == desc.plan().role.period)
    }

    /// What is to be said about a descriptor.
    fn descriptor_status(&self, desc: &Desc, role: &str) -> DescriptorStatus {
        let period = self.period_of(desc);
        let plan = desc.plan();
        let last = period.and_then(|period| period.last);
        let hsdirs = plan.hsdirs.iter().map(|hsdir| {
            let answer = period.and_then(|period| period.answers.get(hsdir));
            HsDirStatus {
                fingerprint: hsdir.to_string(),
                result: answer.map_or_else(|| "none".to_owned(), |answer| answer.result.clone()),
                at: answer.and_then(|answer| answer.at).map(|time| time.0),
                stored_revision: answer.and_then(|answer| answer.stored).map(|(revision, _at)| revision),
                stored_at: answer.and_then(|answer| answer.stored).map(|(_revision, at)| at.0),
            }
        });
        DescriptorStatus {
            role: role.to_owned(),
            period: plan.role.period.number.0,
            period_minutes: plan.role.period.length.minutes(),
            fetched_now: self.fetch_role.is_some_and(|fetch| fetch.period == plan.role.period),
            blinded: period.map_or_else(String::new, |period| BASE64_NOPAD.encode(period.blinded.as_bytes())),
            revision: last.map(|last| last.revision),
            certificate_expires: period.and_then(Period::cert_expires).map(|end| end.time().0),
            points: last.map_or(0, |last| last.points),
            uploaded: last.map(|last| last.at.0),
            next_upload: desc.next_upload().map(|time| time.0),
            hsdirs: hsdirs.collect(),
        }
    }

    /// What the operator should look at.
    fn warnings(&self, now: UnixTime, started: UnixTime) -> Vec<String> {
        let mut warnings: Vec<String> =
            self.certs.status(now).iter().flat_map(|bundles| bundles.warnings(now)).collect();
        if !self.machine.is_live(now) && self.machine.plan().is_some() {
            warnings.push("the consensus is not live: see the clock and tor; nothing is uploaded".to_owned());
        }
        let shown = self.shown();
        if self.all_dead && shown.is_some_and(|merged| !merged.is_empty()) {
            warnings.push("no backend counts as up: the last introduction points stay listed".to_owned());
        }
        let backends = self.members.values().map(|member| &member.backend);
        for backend in backends.filter(|backend| backend.health() != Health::Up) {
            warnings.push(format!("backend {} is {}", backend.name, backend.health().name()));
        }
        for member in shown.iter().flat_map(|merged| &merged.pow).filter_map(|at| self.members.get(at)) {
            let name = &member.backend.name;
            warnings.push(format!(
                "backend {name} asks for proof of work and is left out: clients would solve it for the frontend's key, \
                 which the backend refuses; switch it off there, or set pow = \"ignore\" here (docs/operate/pow.md)"
            ));
        }
        if shown.is_some_and(|merged| merged.mixed().0) {
            warnings.push(
                "the backends differ in congestion control: run the same tor version on all".to_owned(),
            );
        }
        if let Some(problem) = &self.signer_status.problem {
            warnings.push(format!("signer {}: {problem}", self.signer_status.state));
        }
        if let Some(problem) = &self.state_problem {
            warnings.push(problem.clone());
        }
        for (desc, role) in self.machine.descs().iter().zip(["first", "second"]) {
            self.descriptor_warnings(desc, role, now, &mut warnings);
        }
        if self.machine.descs().is_empty() && now.since(started) > START_LATE {
            warnings.push("nothing is published yet: there is no usable consensus".to_owned());
        }
        warnings
    }

    /// What the operator should look at in a descriptor.
    fn descriptor_warnings(&self, desc: &Desc, role: &str, now: UnixTime, warnings: &mut Vec<String>) {
        let Some(period) = self.period_of(desc) else {
            warnings.push(format!("the {role} descriptor has no state"));
            return;
        };
        match period.cert_expires().map(|end| end.time().since(now)) {
            None => warnings.push(format!("the {role} descriptor has no certificate")),
            Some(left) if left < CERT_LOW => {
                warnings.push(format!("the certificate of the {role} descriptor ends in {} h", left / 3600));
            }
            Some(_enough) => {}
        }
        let Some(last) = period.last else {
            warnings.push(format!("the {role} descriptor is not uploaded yet"));
            return;
        };
        if now.since(last.at) > UPLOAD_OLD {
            warnings
                .push(format!("the {role} descriptor was last uploaded {} min ago", now.since(last.at) / 60));
        }
        let hsdirs = &desc.plan().hsdirs;
        let held = |answer: &&super::period::Answer| {
            answer.stored.is_some_and(|(_r, at)| now.since(at) <= UPLOAD_OLD)
        };
        let stored = hsdirs.iter().filter_map(|hsdir| period.answers.get(hsdir)).filter(held).count();
        if stored < hsdirs.len() && now.since(last.at) > ANSWER_LATE {
            let all = hsdirs.len();
            warnings.push(format!("only {stored} of {all} HSDirs hold the {role} descriptor"));
        }
    }
}
