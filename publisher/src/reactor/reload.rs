//! What operators change while the publisher runs: one backend by the control socket, or everything by the file.
//!
//! Everything is checked before anything changes; what cannot be done leaves all as it was and says why.

use super::Reactor;
use super::frontend::Frontend;
use crate::clock;
use crate::config::{Config, ConfigError, ServiceConfig};
use crate::control::{Answer, Kind, Objection, Request, Scene, changed};
use crate::error::Failure;
use crate::log;
use crate::metrics::Totals;
use crate::schedule::{Event, SystemDice};
use crate::state::{FileError, StateError};
use onionkeep_common::{OnionAddress, UnixTime};

/// What is to be done about things that a reload cannot change.
const RESTART: &str = "restart the publisher for that, or take the change back";
/// What it means if run-time changes could not be removed.
const LEFT: &str =
    "run-time changes that a reload has ended are back after a restart, unless another reload removes them";
/// So many run-time changes that a reload ends are named.
const NAMED: usize = 20;
/// The fewest characters that name a service.
const SHORTEST: usize = 4;

/// An objection for a configuration that cannot be used.
fn unusable(error: ConfigError) -> Objection {
    let failure = Failure::from(error);
    Objection::wrong(failure.to_string(), failure.advice())
}

/// An objection for state that could not be written.
fn unwritten(error: &StateError) -> Objection {
    Objection { kind: Kind::Failed, why: error.to_string(), hint: error.advice().to_owned() }
}

impl Reactor {
    /// Does what was asked at the control socket, or says why not.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let done = match request {
            Request::Reload {} => self.reload(),
            Request::Weight { .. }
            | Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::Add { .. }
            | Request::Remove { .. } => self.change(request),
        };
        self.frontends.values_mut().for_each(|frontend| frontend.quiet = None);
        if matches!(request, Request::Reload {}) {
            self.reload_refused = done.as_ref().err().map(ToString::to_string);
            let Totals { reloads, reloads_refused, .. } = &mut self.totals;
            let count = if done.is_ok() { reloads } else { reloads_refused };
            *count = count.saturating_add(1);
            self.alarms_looked = UnixTime(0);
        }
        match done {
            Ok(what) => {
                log::info("control").with("command", request.name()).with("done", &what).write();
                Answer::Done(what)
            }
            Err(objection) => {
                let line = log::error("control").with("command", request.name()).with("error", &objection);
                line.with("try", &objection.hint).with("done", "nothing changed").write();
                Answer::Not(objection)
            }
        }
    }

    /// Changes the backends of one service.
    fn change(&mut self, request: &Request) -> Result<String, Objection> {
        let service = self.named(request.service().unwrap_or_default())?;
        let frontends = self.addresses();
        let Some(frontend) = self.frontends.get(&service) else { return Ok(String::new()) };
        let up = frontend.names_up();
        let scene = Scene { backends: &frontend.config.backends, up: &up, frontends: &frontends };
        let (wanted, what) = changed(&scene, request)?;
        let kept = self.state.keep_backends(&frontend.config.address, &frontend.file, &wanted);
        kept.map_err(|error| unwritten(&error))?;
        let mut new = false;
        self.with(service, |frontend, hands| new = frontend.set_backends(&wanted, hands));
        if new {
            self.plan(&[service]);
        }
        Ok(what)
    }

    /// The number of the frontend whose address ends like this.
    fn named(&self, end: &str) -> Result<usize, Objection> {
        let lower = end.to_ascii_lowercase();
        // As the log writes it, too.
        let bare = lower.strip_suffix(".onion").unwrap_or(&lower);
        let wanted = bare.strip_prefix("[...]").unwrap_or(bare);
        let fits = |(_, frontend): &(&usize, &Frontend)| {
            frontend.config.address.bare().to_string().ends_with(wanted)
        };
        let mut found = self.frontends.iter().filter(fits);
        let all: Vec<_> = self.addresses().iter().take(20).map(|one| one.redacted().to_string()).collect();
        let hint = format!("its services are {}", all.join(", "));
        match (found.next(), found.next()) {
            (Some((service, _frontend)), None) if wanted.len() >= SHORTEST => Ok(*service),
            (Some(_), _) if wanted.len() < SHORTEST => {
                let why =
                    format!("{end:?} is too short: an end of an address has at least {SHORTEST} characters");
                Err(Objection::wrong(why, hint))
            }
            (Some(_), _) => Err(Objection::wrong("this end of an address fits several services", hint)),
            (None, _) => Err(Objection::wrong("no service of this publisher has this address", hint)),
        }
    }

    /// The addresses of all frontends.
    fn addresses(&self) -> Vec<OnionAddress> {
        self.frontends.values().map(|frontend| frontend.config.address).collect()
    }

    /// Reads the configuration file again and does what it says.
    fn reload(&mut self) -> Result<String, Objection> {
        let new = Config::load_whole(&self.path).map_err(unusable)?;
        let tor_config = new.tor.connection().map_err(unusable)?;
        self.check_unchanged(&new)?;
        let services = new.services.clone();
        let over = self.run_time_changes_over(&services);
        // From here on nothing can fail: a reload is whole or nothing.
        (self.config, self.tor_config) = (new, tor_config);
        // What kept the consensus from being read may be mended.
        self.network.news(clock::now(), &mut SystemDice);
        let old = self.addresses();
        let (mut to_plan, mut begun, mut changed) = (Vec::new(), 0_usize, 0_usize);
        let ended = self.end_others(&services);
        for service in &services {
            let known = self.frontends.iter().find(|(_, other)| other.config.address == service.address);
            if let Some((&number, frontend)) = known {
                let differs = frontend.config != *service;
                changed = changed.saturating_add(usize::from(differs));
                let mut plan = false;
                self.with(number, |frontend, hands| plan = frontend.reconfigure(service, hands));
                to_plan.extend(plan.then_some(number));
            } else {
                let begins = Frontend::new(
                    self.next_frontend,
                    (service, &self.config.state_dir),
                    &self.secret,
                    clock::now(),
                );
                to_plan.push(self.enter(begins));
                begun = begun.saturating_add(1);
            }
        }
        self.plan(&to_plan);
        let same = old.len().saturating_sub(ended).saturating_sub(changed);
        let done = format!("{begun} services new, {ended} gone, {changed} changed, {same} as before{over}");
        Ok(match self.end_run_time_changes() {
            0 => done,
            left => format!(
                "{done}; {left} with run-time changes that stay on the disk, see the alarm state-fault"
            ),
        })
    }

    /// What these services end of what was changed at run time, in words; nothing if nothing was.
    fn run_time_changes_over(&self, services: &[ServiceConfig]) -> String {
        let mut over = Vec::new();
        for service in services {
            let same = |frontend: &&Frontend| frontend.config.address == service.address;
            let Some(frontend) = self.frontends.values().find(same) else { continue };
            let name = service.address.redacted();
            let ended = frontend.changes_that_end(&service.backends);
            over.extend(ended.into_iter().map(|change| format!("{name} {change}")));
        }
        if over.is_empty() {
            return String::new();
        }
        let more = over.len().saturating_sub(NAMED);
        over.truncate(NAMED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("; run-time changes that end: {}{rest}", over.join(", "))
    }

    /// What was changed at run time ends here, also for the next start; for how many services it would not.
    fn end_run_time_changes(&mut self) -> usize {
        let mut left = 0_usize;
        for frontend in self.frontends.values_mut() {
            let (address, file) = (frontend.config.address, frontend.file.clone());
            let Err(error) = self.state.keep_backends(&address, &file, &file) else {
                let over = |problem: &mut String| problem.ends_with(LEFT);
                drop(frontend.state_problem.take_if(over));
                continue;
            };
            left = left.saturating_add(1);
            let line = frontend.line(log::error("state")).with("error", &error).with("try", error.advice());
            line.with("meaning", LEFT).write();
            frontend.state_problem = Some(format!("{error}: {LEFT}"));
        }
        left
    }

    /// Whether everything that only a restart can change is as it was.
    fn check_unchanged(&self, new: &Config) -> Result<(), Objection> {
        let old = &self.config;
        let changed = [
            ("state_dir", old.state_dir != new.state_dir),
            ("status_socket", old.status_socket != new.status_socket),
            ("control_socket", old.control_socket != new.control_socket),
            (
                "metrics.listen",
                old.metrics.as_ref().map(|metrics| &metrics.listen)
                    != new.metrics.as_ref().map(|metrics| &metrics.listen),
            ),
            ("tor.control", old.tor.control != new.tor.control),
        ];
        let names: Vec<_> = changed.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let why = format!("a reload cannot change {}", names.join(", "));
        Err(Objection::wrong(why, RESTART))
    }

    /// Starts a service, with its backends as they were changed at run time before.
    pub(super) fn begin(&mut self, service: &ServiceConfig) -> usize {
        let number = self.next_frontend;
        let mut frontend =
            Frontend::new(number, (service, &self.config.state_dir), &self.secret, clock::now());
        let kept = match self.state.backends(&service.address, &service.backends) {
            Ok(kept) => kept,
            Err(error) => {
                let line = frontend.line(log::error("state")).with("error", &error);
                line.with("done", "the backends are those of the configuration").write();
                if matches!(error, StateError::File(FileError::Damaged { .. })) {
                    frontend.state_problem = Some(error.to_string());
                }
                None
            }
        };
        let frontends: Vec<_> = self.config.services.iter().map(|service| service.address).collect();
        let fits = |kept: &Vec<crate::config::BackendConfig>| {
            kept.iter().all(|backend| !frontends.contains(&backend.address))
        };
        if let Some(kept) = kept.filter(fits) {
            let changed = ServiceConfig { backends: kept, ..service.clone() };
            frontend = Frontend::new(number, (&changed, &self.config.state_dir), &self.secret, clock::now());
            frontend.file.clone_from(&service.backends);
            frontend.line(log::info("run-time-changes")).with("backends", changed.backends.len()).write();
        }
        self.enter(frontend)
    }

    /// Puts a new frontend to work; its number.
    fn enter(&mut self, frontend: Frontend) -> usize {
        let number = frontend.index;
        self.next_frontend = number.saturating_add(1);
        self.frontends.insert(number, frontend);
        if self.link.as_ref().is_some_and(|link| link.ready) {
            self.with(number, |frontend, hands| frontend.feed(Event::TorUp, hands));
        }
        number
    }

    /// Ends the services that are not among these; their state stays. Says how many.
    fn end_others(&mut self, services: &[ServiceConfig]) -> usize {
        let stays =
            |frontend: &Frontend| services.iter().any(|service| service.address == frontend.config.address);
        let gone: Vec<_> =
            self.frontends.iter().filter(|(_, frontend)| !stays(frontend)).map(|(at, _)| *at).collect();
        for number in &gone {
            if let Some(mut frontend) = self.frontends.remove(number) {
                frontend.rooms.give_up_probes();
                frontend.save(&self.state);
                frontend.line(log::info("service-ended")).write();
            }
        }
        gone.len()
    }
}
