//! The connection to tor and the consensus that comes through it.

use super::frontend::Rings;
use super::task::{self, Ready};
use super::{CONNECT_MOST, READY_AGAIN, Reactor};
use crate::clock;
use crate::consensus::Consensus;
use crate::log;
use crate::schedule::{Event, SystemDice, dice::Dice};
use crate::tor::{TorError, TorEvent};
use onionkeep_common::UnixTime;
use std::time::Duration;

impl Reactor {
    /// Starts a try to connect, after a wait that grows with failures.
    pub(super) fn connect(&mut self) {
        let wait = match self.failures {
            0 => 0,
            failures => SystemDice.about(crate::schedule::dice::doubling(1, CONNECT_MOST, failures)),
        };
        self.tasks.spawn(task::connect(self.tor_config.clone(), Duration::from_secs(wait)));
    }

    /// Notes a problem with tor.
    pub(super) fn tor_problem(&mut self, error: &TorError) {
        log::warn("tor").with("error", error).with("try", error.advice()).write();
        self.tor.problem = Some(error.to_string());
    }

    /// The connection to tor ended.
    pub(super) fn lost(&mut self) {
        let Some(link) = self.link.take() else { return };
        if let Some(error) = link.tor.ended() {
            self.tor_problem(&error);
        }
        self.failures = self.failures.saturating_add(1);
        self.tor.offline = false;
        "connecting".clone_into(&mut self.tor.state);
        self.network.stop();
        self.feed_all(&Event::TorDown);
        self.connect();
    }

    /// tor told something.
    pub(super) fn news(&mut self, news: TorEvent) {
        match news {
            TorEvent::NewConsensus | TorEvent::EnoughDirInfo(true) => {
                self.network.news(clock::now(), &mut SystemDice);
            }
            TorEvent::Bootstrap(bootstrap) => {
                log::info("tor-bootstrap")
                    .with("percent", bootstrap.percent)
                    .with("tag", bootstrap.tag)
                    .write();
            }
            TorEvent::EnoughDirInfo(false) => log::warn("tor").with("enough-dir-info", false).write(),
            TorEvent::Circuits(up) => {
                self.tor.offline = !up;
                log::info("tor").with("circuits", up).write();
            }
            TorEvent::Network(up) => {
                self.tor.offline = !up;
                log::info("tor").with("network", up).write();
            }
            TorEvent::ClockSkew(ahead) => {
                self.skew.told(clock::now(), ahead);
                log::warn("tor").with("clock-ahead-seconds", ahead).write();
            }
            TorEvent::Descriptor(onion, text) => {
                for service in self.frontends.keys().copied().collect::<Vec<_>>() {
                    self.with(service, |frontend, hands| frontend.heard(&onion, &text, hands));
                }
            }
        }
    }

    /// tor is bootstrapped, or not yet.
    pub(super) fn ready(&mut self, ready: Result<Ready, TorError>) {
        let Some(link) = &mut self.link else { return };
        match ready {
            Ok(Ready { version, testing }) => {
                link.ready = true;
                self.failures = 0;
                log::info("tor").with("ready", &version).with("testing-network", testing).write();
                "ready".clone_into(&mut self.tor.state);
                (self.tor.version, self.tor.testing, self.tor.problem) = (Some(version), testing, None);
                self.network.start(clock::now());
                self.feed_all(&Event::TorUp);
            }
            Err(error) => {
                // If the connection ended, its news channel tells that too and nothing more is to be done here.
                if link.tor.ended().is_none() {
                    let tor = link.tor.clone();
                    self.tasks.spawn(task::ready(tor, self.epoch, READY_AGAIN));
                }
                self.tor_problem(&error);
            }
        }
    }

    /// The consensus was read, or not.
    pub(super) fn network_read(&mut self, read: Result<Option<Consensus>, TorError>) {
        let now = clock::now();
        match read {
            Ok(None) => self.network.again(now, false, &mut SystemDice),
            Ok(Some(consensus)) => self.take_consensus(now, consensus),
            Err(error) => {
                self.network.again(now, true, &mut SystemDice);
                self.tor_problem(&error);
            }
        }
    }

    /// Gives a consensus to the frontends if it is good for publishing.
    fn take_consensus(&mut self, now: UnixTime, consensus: Consensus) {
        if self.tor.consensus_valid_after != Some(consensus.valid_after.0) {
            self.skew.consensus(now, consensus.valid_after, consensus.valid_until);
        }
        let usable = consensus.check_usable(now);
        self.network.read(now, &consensus, usable.is_ok(), &mut SystemDice);
        self.tor.consensus_valid_after = Some(consensus.valid_after.0);
        self.tor.hsdirs = consensus.hsdirs.len();
        self.tor.hsdirs_without_microdescriptor = consensus.hsdirs_without_microdesc;
        let line =
            log::info("consensus").with("valid-after", crate::netdoc::date::Iso(consensus.valid_after));
        let line = line.with("relays", consensus.relay_count).with("hsdirs", consensus.hsdirs.len());
        line.with("without-microdescriptor", consensus.hsdirs_without_microdesc).write();
        if let Err(error) = usable {
            log::warn("consensus").with("not-used", &error).write();
            self.tor.problem = Some(error.to_string());
            return;
        }
        self.tor.problem = None;
        self.consensus = Some(consensus);
        let all = self.frontends.keys().copied().collect::<Vec<_>>();
        self.plan(&all);
    }

    /// Gives the consensus that counts to these frontends.
    pub(super) fn plan(&mut self, services: &[usize]) {
        let Some(consensus) = self.consensus.take() else { return };
        let rings = Rings::new(&consensus, self.tor.testing);
        for service in services {
            self.with(*service, |frontend, hands| frontend.network(&rings, hands));
        }
        self.consensus = Some(consensus);
    }
}
