//! Puts the status document together.

use super::Reactor;
use super::frontend::Frontend;
use super::member::Member;
use super::other::Other;
use super::period::{Answer, Period};
use crate::alarm::Finding;
use crate::clock;
use crate::metrics::{Scene, Totals};
use crate::schedule::Desc;
use crate::status::{
    BackendStatus, DescriptorStatus, Document, HsDirStatus, Legacy, OtherStatus, ServiceStatus, TorStatus,
};
use data_encoding::BASE64_NOPAD;
use onionkeep_common::{OnionAddress, TimePeriod};

impl Reactor {
    /// The status document as JSON.
    pub(super) fn document(&self) -> String {
        serde_json::to_string(&self.status()).unwrap_or_default()
    }

    /// The metrics as text.
    pub(super) fn metrics(&self) -> String {
        let full = self.config.metrics.as_ref().is_some_and(|metrics| metrics.full_addresses);
        let totals = Totals { clock_jumps: self.skew.jumps, ..self.totals };
        let meters = self.frontends.values().map(|frontend| frontend.meters).collect();
        Scene::new(self.status(), totals, meters, full).text()
    }

    /// The status document.
    fn status(&self) -> Document {
        let now = clock::now();
        let said = |(service, finding): (Option<OnionAddress>, Finding)| match service {
            None => finding.text,
            Some(service) => format!("{}: {}", service.redacted(), finding.text),
        };
        let mut warnings: Vec<_> = self.findings(now).into_iter().map(said).collect();
        for frontend in self.frontends.values() {
            let (name, notes) =
                (frontend.config.address.redacted(), frontend.notes(now, self.config.alarm_hsdirs_percent));
            warnings.extend(notes.into_iter().map(|note| format!("{name}: {note}")));
        }
        Document {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: now.0,
            started: self.started.0,
            tor: TorStatus { clock_skew: self.skew.known(now), ..self.tor.clone() },
            services: self.frontends.values().map(Frontend::status).collect(),
            warnings,
            alarms: self.alarm_status(),
        }
    }
}

impl Frontend {
    /// What is to be said about this frontend.
    fn status(&self) -> ServiceStatus {
        let backend = |(at, member): (&usize, _)| self.backend_status(*at, member);
        let descs = self.machine.descs().iter().zip(["first", "second"]);
        let mut status = ServiceStatus {
            address: self.config.address.to_string(),
            mode: self.config.mode.name().to_owned(),
            signer: self.signer_status.clone(),
            bundles: self.certs.status(clock::now()),
            backends: self.members.iter().map(backend).collect(),
            removed: self.removed_at_run_time(),
            former_until: self.former_until(clock::now()).map(|until| until.0),
            descriptors: descs.map(|(desc, role)| self.descriptor_status(desc, role)).collect(),
            legacy: Legacy::default(),
        };
        status.legacy = Legacy::of(&status);
        status
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
            points_changed: backend.points_changed().map(|time| time.0),
            listed: self.shown().map_or(0, |merged| merged.count(at)),
            weight: backend.weight,
            draining: backend.draining,
            changed: self.run_time_change(&member.config),
            share: self.shown().map_or(0, |merged| merged.share(at)),
        }
    }

    /// The period at work behind a descriptor.
    pub(super) fn period_of(&self, desc: &Desc) -> Option<&Period> {
        self.period_at(desc.plan().role.period)
    }

    /// The state and more of a period; none if it could not be made or read.
    pub(super) fn period_at(&self, at: TimePeriod) -> Option<&Period> {
        self.periods.iter().find(|period| period.state.period == at)
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
                copy: answer.map_or("none", Answer::copy_name).to_owned(),
                given_revision: answer.and_then(|answer| answer.look).and_then(|look| look.revision),
                looked_at: answer.and_then(|answer| answer.look).map(|look| look.at.0),
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
            octets: last.map_or(0, |last| last.octets),
            blocks: last.map_or(0, |last| last.blocks),
            uploaded: last.map(|last| last.at.0),
            next_upload: desc.next_upload().map(|time| time.0),
            other: period.and_then(|period| other_status(&period.other)),
            hsdirs: hsdirs.collect(),
        }
    }
}

/// What is to be said about another publisher.
fn other_status(other: &Other) -> Option<OtherStatus> {
    other.last.map(|(revision, seen)| OtherStatus {
        revision,
        seen: seen.0,
        uploaded: other.uploaded.map(|at| at.0),
        same_secret: other.shares_secret(),
        clock_ahead: other.ahead,
    })
}
