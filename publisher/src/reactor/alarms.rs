//! What is wrong now, and the log lines about it: the only place that decides what is worth an alarm.

use super::Reactor;
use super::frontend::Frontend;
use super::period::Period;
use crate::alarm::{Change, Finding, Key, Name, Raised};
use crate::backend::Health;
use crate::clients::Clients;
use crate::clock;
use crate::log::{self, Level, Line};
use crate::merge::Mode;
use crate::schedule::Desc;
use crate::status::AlarmStatus;
use onionkeep_common::{OnionAddress, UnixTime};

/// Alarms are looked at so often, in **seconds**.
const LOOK: u64 = 15;
/// Those of a service with which nothing was wrong, and to which nothing has happened since, so often, in **seconds**.
const LOOK_QUIET: u64 = 60;
/// So many alarms get a line each at one look; if more come or go at once, a line counts the rest.
const LINES: usize = 20;
/// A certificate that ends in less than this is worth an alarm, in **seconds**: several uploads went without a new one.
const CERT_LOW: u64 = 24 * 3600;
/// An upload older than this is worth an alarm, in **seconds**: the next one was due and HSDirs drop it after 3 hours.
const UPLOAD_OLD: u64 = 7200 + 600;
/// So long after an upload its HSDirs should have answered, in **seconds**.
const ANSWER_LATE: u64 = 120;
/// So long after the start everything should be there, in **seconds**.
const START_LATE: u64 = 120;
/// A clock may be off by so much, in **seconds**: signer and publisher must agree on the hour of a certificate.
const SKEW_MOST: u64 = 120;

impl Reactor {
    /// What is wrong now with the publisher as a whole and with each service.
    pub(super) fn findings(&self, now: UnixTime) -> Vec<(Option<OnionAddress>, Finding)> {
        let own = self.own_findings(now).into_iter().map(|finding| (None, finding));
        let services = self.frontends.values().flat_map(|frontend| {
            let found = frontend.findings(now, self.config.alarm_hsdirs_percent);
            found.into_iter().map(move |finding| (Some(frontend.config.address), finding))
        });
        own.chain(services).collect()
    }

    /// What is wrong with the publisher as a whole.
    fn own_findings(&self, now: UnixTime) -> Vec<Finding> {
        let mut found = Vec::new();
        let (state, problem) = (&self.tor.state, self.tor.problem.as_ref());
        if state != "ready" {
            let why = problem.map_or_else(String::new, |problem| format!(" ({problem})"));
            found.push(Finding::new(
                Name::TorAway,
                format!("tor is {state}: nothing is fetched or uploaded{why}"),
            ));
        } else if self.tor.offline {
            found.push(Finding::new(Name::TorOffline, "tor says that it has no network or no circuits"));
        }
        if let Some(problem) = problem.filter(|_problem| state == "ready") {
            found.push(Finding::of(Name::NoConsensus, "problem", format!("tor: {problem}")));
        }
        let old = |frontend: &Frontend| frontend.machine.plan().is_some() && !frontend.machine.is_live(now);
        if self.frontends.values().any(old) {
            let text = "the consensus is not live: see the clock and tor; nothing is uploaded";
            found.push(Finding::new(Name::NoConsensus, text));
        } else if self.consensus.is_none() && now.since(self.started) > START_LATE {
            let text = "nothing is published yet: there is no usable consensus";
            found.push(Finding::new(Name::NoConsensus, text));
        }
        if let Some(skew) = self.skew.known(now).filter(|skew| skew.unsigned_abs() > SKEW_MOST) {
            let (by, way) = (skew.unsigned_abs(), if skew > 0 { "ahead of" } else { "behind" });
            let text = format!("our clock is {by} s {way} the network's: set the clock of this machine");
            found.push(Finding::new(Name::ClockSkew, text));
        }
        if let Some(why) = &self.reload_refused {
            let text = format!("the configuration file was refused, another one runs: {why}");
            found.push(Finding::new(Name::ReloadRefused, text));
        }
        found
    }

    /// In how many **seconds** alarms are looked at next.
    pub(super) const fn until_look(&self, now: UnixTime) -> u64 {
        LOOK.saturating_sub(now.since(self.alarms_looked))
    }

    /// Time has passed: raises and clears alarms.
    pub(super) fn look_at_alarms(&mut self) {
        let now = clock::now();
        if now.since(self.alarms_looked) < LOOK && self.alarms_looked <= now {
            return;
        }
        self.alarms_looked = now;
        let percent = self.config.alarm_hsdirs_percent;
        let mut found: Vec<_> = self.own_findings(now).into_iter().map(|finding| (None, finding)).collect();
        for frontend in self.frontends.values_mut().filter(|frontend| !frontend.is_quiet(now)) {
            let own = frontend.findings(now, percent);
            frontend.quiet = own.is_empty().then_some(now);
            found.extend(own.into_iter().map(|finding| (Some(frontend.config.address), finding)));
        }
        let changes = self.alarms.look(now, found);
        changes.iter().take(LINES).for_each(|change| say(change, now));
        if let Some(more) = changes.len().checked_sub(LINES).filter(|more| *more > 0) {
            log::warn("alarm-more").with("count", more).with("try", "see status").write();
        }
    }

    /// The alarms that are raised, for the status.
    pub(super) fn alarm_status(&self) -> Vec<AlarmStatus> {
        let status = |((service, name, subject), raised): (&Key, &Raised)| AlarmStatus {
            name: name.word().to_owned(),
            level: name.level().name().to_owned(),
            service: service.map(|service| service.to_string()),
            subject: subject.clone(),
            since: raised.since.0,
            text: raised.text.clone(),
        };
        self.alarms.raised().map(status).collect()
    }
}

/// Writes the line about a change.
fn say(change: &Change, now: UnixTime) {
    let (level, state, key, raised) = match change {
        Change::Raised(key, raised) => (key.1.level(), "raised", key, raised),
        Change::Cleared(key, raised) => (Level::Info, "cleared", key, raised),
    };
    let (service, name, subject) = key;
    let line = Line::new(level, "alarm").with("name", name.word()).with("state", state);
    let line = line.maybe("onion", service.map(|service| service.redacted()));
    let line = line.maybe("subject", subject.as_ref());
    let lasted = matches!(change, Change::Cleared(..)).then(|| now.since(raised.since));
    line.maybe("lasted", lasted).with("what", &raised.text).write();
}

impl Frontend {
    /// Whether nothing was wrong with it just now and nothing has happened to it since: what only time can bring has time.
    pub(super) fn is_quiet(&self, now: UnixTime) -> bool {
        self.quiet.is_some_and(|since| since <= now && now.since(since) < LOOK_QUIET)
    }

    /// What is wrong now. `hsdirs_percent`: if a smaller share of the HSDirs holds a descriptor, that is an alarm.
    pub(super) fn findings(&self, now: UnixTime, hsdirs_percent: u32) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(bundles) = self.certs.status(now) {
            found.extend(bundles.findings(now));
        }
        self.backend_findings(&mut found);
        found.extend(self.probe_finding(now));
        if let Some(problem) = &self.signer_status.problem {
            let state = &self.signer_status.state;
            let name = if state == "refused" { Name::SignerRefuses } else { Name::SignerAway };
            // Without a signer the problem is that of the bundles, which say it themselves.
            if state != "none" {
                found.push(Finding::new(name, format!("signer {state}: {problem}")));
            }
        }
        if let Some(problem) = &self.state_problem {
            found.push(Finding::new(Name::StateFault, problem));
        }
        found.extend(self.clients.as_ref().and_then(clients_finding));
        for (desc, role) in self.machine.descs().iter().zip(["first", "second"]) {
            self.descriptor_findings(desc, role, now, hsdirs_percent, &mut found);
        }
        found
    }

    /// What is wrong with the backends.
    fn backend_findings(&self, found: &mut Vec<Finding>) {
        let shown = self.shown();
        if self.all_dead && shown.is_some_and(|merged| !merged.is_empty()) {
            let text = "no backend counts as up: the last introduction points stay listed";
            found.push(Finding::new(Name::NoBackend, text));
        }
        for member in self.members.values() {
            let (backend, health) = (&member.backend, member.backend.health());
            let name = match health {
                Health::Up => continue,
                Health::Unknown => Name::BackendUnknown,
                Health::Stale => Name::BackendStale,
                Health::Down => Name::BackendDown,
                Health::Missing => Name::BackendMissing,
            };
            let text = format!("backend {} is {}", backend.name, health.name());
            found.push(Finding::of(name, &backend.name, text));
        }
        for member in shown.iter().flat_map(|merged| &merged.pow).filter_map(|at| self.members.get(at)) {
            let name = &member.backend.name;
            let text = format!(
                "backend {name} asks for proof of work and is left out: clients would solve it for the frontend's key, \
                 which the backend refuses; switch it off there, or set pow = \"ignore\" here (docs/operate/pow.md)"
            );
            found.push(Finding::of(Name::BackendPow, name, text));
        }
        for member in shown.iter().flat_map(|merged| &merged.shared).filter_map(|at| self.members.get(at)) {
            let name = &member.backend.name;
            let text = format!(
                "backend {name} lists the key of an introduction point twice, or one that another backend lists too: one of the two \
                 is not what you think, and takes clients from the other"
            );
            found.push(Finding::of(Name::BackendsShareKeys, name, text));
        }
        if shown.is_some_and(|merged| merged.mixed().0) {
            let text = "the backends differ in congestion control: run the same tor version on all";
            found.push(Finding::new(Name::BackendsDiffer, text));
        }
    }

    /// What is wrong with a descriptor.
    fn descriptor_findings(
        &self,
        desc: &Desc,
        role: &str,
        now: UnixTime,
        percent: u32,
        found: &mut Vec<Finding>,
    ) {
        let Some(period) = self.period_of(desc) else {
            found.push(Finding::of(Name::StateFault, role, format!("the {role} descriptor has no state")));
            return;
        };
        match period.cert_expires().map(|end| end.time().since(now)) {
            None => {
                let text = format!("the {role} descriptor has no certificate");
                found.push(Finding::of(Name::CertificateEnds, role, text));
            }
            Some(left) if left < CERT_LOW => {
                let text = format!("the certificate of the {role} descriptor ends in {} h", left / 3600);
                found.push(Finding::of(Name::CertificateEnds, role, text));
            }
            Some(_enough) => {}
        }
        let Some(last) = period.last else {
            let text = format!("the {role} descriptor is not uploaded yet");
            found.push(Finding::of(Name::UploadLate, role, text));
            return;
        };
        if now.since(last.at) > UPLOAD_OLD {
            let ago = now.since(last.at) / 60;
            let text = format!("the {role} descriptor was last uploaded {ago} min ago");
            found.push(Finding::of(Name::UploadLate, role, text));
        }
        if matches!(self.config.mode, Mode::Ordinary { .. }) && last.blocks > 1 {
            let text = format!(
                "the {role} descriptor has {} blocks of 10000 octets where other services have one: \
                 fewer introduction points or clients bring it back",
                last.blocks
            );
            found.push(Finding::of(Name::SizeClassLeft, role, text));
        }
        found.extend(stranger(period, role));
        let (stored, all) = held(desc, period, now);
        if now.since(last.at) > ANSWER_LATE && stored.saturating_mul(100) < all.saturating_mul(share(percent))
        {
            let text = format!("only {stored} of {all} HSDirs hold the {role} descriptor");
            found.push(Finding::of(Name::UploadsFailing, role, text));
        }
    }

    /// What is worth a look in the status, but no alarm: a few HSDirs are always slow or on their way out.
    pub(super) fn notes(&self, now: UnixTime, hsdirs_percent: u32) -> Vec<String> {
        let mut notes = Vec::new();
        for (desc, role) in self.machine.descs().iter().zip(["first", "second"]) {
            let Some(period) = self.period_of(desc) else { continue };
            if let Some(ahead) = period.other.ahead {
                notes.push(format!(
                    "the clock of the other publisher of this address is {ahead} s ahead of ours"
                ));
            }
            let late = period.last.is_some_and(|last| now.since(last.at) > ANSWER_LATE);
            let (stored, all) = held(desc, period, now);
            let enough = stored.saturating_mul(100) >= all.saturating_mul(share(hsdirs_percent));
            if late && enough && stored < all {
                notes.push(format!("only {stored} of {all} HSDirs hold the {role} descriptor"));
            }
        }
        notes
    }
}

/// What is wrong with the folder of those who can read the descriptor.
fn clients_finding(clients: &Clients) -> Option<Finding> {
    let (count, folder) = (clients.keys().len(), clients.path().display());
    let text = match (count, clients.unseen()) {
        (0, None) => "no client is let in: nobody can read the descriptor".to_owned(),
        (0, Some(why)) => {
            format!("no client is let in: nobody can read the descriptor, as {folder} cannot be read: {why}")
        }
        (_some, None) => return None,
        (_some, Some(why)) => format!(
            "{folder} cannot be read: {why}; the {count} clients of before stay, nobody is let in after a restart"
        ),
    };
    Some(Finding::new(Name::NoClients, text))
}

/// Whether somebody else publishes a descriptor, and not as a twin.
pub(super) fn stranger(period: &Period, role: &str) -> Option<Finding> {
    let text = || format!("{}: {}", super::other::DIFFERS, super::other::COPY_SECRET);
    period.other.is_stranger().then(|| Finding::of(Name::PublishersDiffer, role, text()))
}

/// A share in hundredths.
fn share(percent: u32) -> usize {
    usize::try_from(percent).unwrap_or(100)
}

/// How many HSDirs hold a descriptor that they will still have in a while, and how many should.
fn held(desc: &Desc, period: &Period, now: UnixTime) -> (usize, usize) {
    let hsdirs = &desc.plan().hsdirs;
    let held = |answer: &&super::period::Answer| {
        let fresh = answer.stored.is_some_and(|(_revision, at)| now.since(at) <= UPLOAD_OLD);
        fresh && period.is_current(answer)
    };
    let stored = hsdirs.iter().filter_map(|hsdir| period.answers.get(hsdir)).filter(held).count();
    (stored, hsdirs.len())
}
