//! A frontend whose configuration changes while it works: what is known of everything that stays is kept.

use super::act::Hands;
use super::frontend::Frontend;
use super::member::Member;
use crate::backend::Health;
use crate::clients::Clients;
use crate::config::{BackendConfig, ServiceConfig};
use crate::log;
use crate::state::StateDir;
use crate::status::SignerStatus;
use onionkeep_common::UnixTime;

impl Frontend {
    /// Makes its backends those of `wanted`. A backend is the same if its address is. True if new ones came.
    ///
    /// New ones are fetched and probed once it is known where their descriptors are.
    pub(super) fn set_backends(&mut self, wanted: &[BackendConfig], hands: &mut Hands<'_>) -> bool {
        let of = |member: &Member| wanted.iter().find(|wanted| wanted.address == member.backend.address);
        let gone: Vec<_> = self.members.iter().filter(|(_at, member)| of(member).is_none()).collect();
        let gone: Vec<_> = gone.into_iter().map(|(at, _member)| *at).collect();
        for at in gone {
            self.members.remove(&at);
            self.machine.remove_backend(hands.now, at);
        }
        let before = self.next_member;
        for wanted in wanted {
            let known = self.members.values_mut().find(|member| member.backend.address == wanted.address);
            if let Some(member) = known {
                member.reconfigure(wanted);
            } else {
                self.members.insert(self.next_member, Member::new(wanted, &self.rank_secret));
                self.next_member = self.next_member.saturating_add(1);
            }
        }
        self.config.backends = wanted.to_vec();
        self.choose(hands);
        // New clocks are looked at at once, not with the next second.
        self.ticked = UnixTime(0);
        self.next_member > before
    }

    /// Fetches and probes the backends that are not watched yet.
    pub(super) fn watch_new(&mut self, now: UnixTime) {
        for at in self.members.keys() {
            if !self.machine.watches(*at) {
                self.machine.add_backend(now, *at);
            }
        }
    }

    /// Takes a new configuration; true if the consensus has to be applied again.
    pub(super) fn reconfigure(&mut self, new: &ServiceConfig, hands: &mut Hands<'_>) -> bool {
        if (&self.config.signer, self.config.bundles) != (&new.signer, new.bundles) {
            self.certs.reconfigure(new);
            self.signer_status = SignerStatus { state: "unasked".to_owned(), ..SignerStatus::default() };
        }
        if self.config.probing != new.probing {
            // Probes that are under way were made by the old rule: nobody waits for them, and what they find is dropped.
            self.probe_way = self.probe_way.wrapping_add(1);
            self.machine.set_probing(new.probing.as_ref().map(|probing| probing.interval));
            self.forget_probes();
        }
        self.machine.set_looks(new.check_uploads);
        let mode = self.config.mode != new.mode;
        if mode || self.config.authorized_clients != new.authorized_clients {
            // Looked at before anything is listed by the new rule: nobody else can read it in between.
            let clients = new.authorized_clients.as_deref();
            self.clients = clients.map(|path| Clients::new(path, new.mode.points()));
            self.look_at_clients();
        }
        self.config = ServiceConfig { backends: std::mem::take(&mut self.config.backends), ..new.clone() };
        self.file.clone_from(&new.backends);
        self.set_backends(&new.backends, hands) || mode
    }

    /// The names of the backends that are up.
    pub(super) fn names_up(&self) -> Vec<String> {
        let up = self.members.values().filter(|member| member.backend.health() == Health::Up);
        up.map(|member| member.backend.name.clone()).collect()
    }

    /// How a backend differs from the configuration file.
    pub(super) fn run_time_change(&self, now: &BackendConfig) -> Option<String> {
        let Some(file) = self.file.iter().find(|file| file.address == now.address) else {
            return Some("added at run time".to_owned());
        };
        let mut differs = Vec::new();
        if file.weight != now.weight {
            differs.push(format!("weight {} in the file", file.weight));
        }
        match (file.drain, now.drain) {
            (false, true) => differs.push("drained at run time".to_owned()),
            (true, false) => differs.push("drained in the file".to_owned()),
            (true, true) | (false, false) => {}
        }
        (!differs.is_empty()).then(|| differs.join(", "))
    }

    /// Names of the backends that the configuration file has and that are gone.
    pub(super) fn removed_at_run_time(&self) -> Vec<String> {
        let here = |file: &&BackendConfig| self.config.backends.iter().all(|now| now.address != file.address);
        self.file.iter().filter(here).map(|file| file.name.clone()).collect()
    }

    /// The run-time changes that are undone by these backends of the file, each with its backend's name.
    pub(super) fn changes_that_end(&self, file: &[BackendConfig]) -> Vec<String> {
        let here = |at: &BackendConfig| self.config.backends.iter().any(|now| now.address == at.address);
        let new = |at: &BackendConfig| file.iter().find(|new| new.address == at.address);
        let stays = |now: &&BackendConfig| {
            new(now).is_some_and(|new| (new.weight, new.drain) == (now.weight, now.drain))
        };
        let changed = self.config.backends.iter().filter(|now| !stays(now));
        let changed =
            changed.filter_map(|now| Some(format!("{} ({})", now.name, self.run_time_change(now)?)));
        let back = self.file.iter().filter(|gone| !here(gone) && new(gone).is_some());
        changed.chain(back.map(|gone| format!("{} (removed at run time)", gone.name))).collect()
    }

    /// Writes what is not written yet.
    pub(super) fn save(&self, state: &StateDir) {
        for period in &self.periods {
            if let Err(error) = state.save(&self.config.address, &period.state) {
                self.line(log::error("state")).with("error", &error).with("try", error.advice()).write();
            }
        }
    }
}
