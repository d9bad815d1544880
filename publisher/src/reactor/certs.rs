//! A frontend's certificates: which key a period has, who is asked, and how long the bundles last.

use super::act::Hands;
use super::frontend::Frontend;
use crate::ceremony::Bundles;
use crate::ceremony::horizon::{Level, Watch};
use crate::ceremony::status::BundleStatus;
use crate::certs::{Giver, SignerSocket, Source};
use crate::config::ServiceConfig;
use crate::log;
use crate::state::{PeriodState, StateError};
use crate::status::SignerStatus;
use onionkeep_common::iso::Iso;
use onionkeep_common::wire::CertifyRequest;
use onionkeep_common::{TimePeriod, UnixTime};
use std::path::Path;

/// The folder is looked at for another bundle so often, in **seconds**.
const LOOK: u64 = 10;
/// Keys of periods that are over are wiped so often, in **seconds**.
const WIPE: u64 = 3600;

/// Who gives certificates.
pub(super) struct Certs {
    /// The signer.
    signer: Option<SignerSocket>,
    /// The bundles; without `uses_bundles` only the keys of slots that were used before.
    bundles: Bundles,
    /// Whether certificates come from bundles.
    uses_bundles: bool,
    /// What was said about the horizon.
    watch: Watch,
    /// When the folder was looked at.
    looked: Option<UnixTime>,
    /// When keys were wiped.
    wiped: Option<UnixTime>,
}

impl Certs {
    /// What the configuration says.
    pub(super) fn new(state_dir: &Path, config: &ServiceConfig) -> Self {
        Self {
            signer: config.signer.as_ref().map(SignerSocket::new),
            bundles: Bundles::open(state_dir, config.address),
            uses_bundles: config.bundles,
            watch: Watch::default(),
            looked: None,
            wiped: None,
        }
    }

    /// Takes a new configuration.
    pub(super) fn reconfigure(&mut self, config: &ServiceConfig) {
        self.signer = config.signer.as_ref().map(SignerSocket::new);
        self.uses_bundles = config.bundles;
    }

    /// What is to be said about the bundles.
    pub(super) fn status(&self, now: UnixTime) -> Option<BundleStatus> {
        self.uses_bundles.then(|| BundleStatus::of(self.bundles.onion(), &self.bundles, now))
    }
}

impl Frontend {
    /// Gives a period's state the key of its slot, and writes it if that is another one than before.
    pub(super) fn fit(&self, state: &mut PeriodState, hands: &Hands<'_>) -> Result<(), StateError> {
        let certs = &self.certs;
        if !certs.uses_bundles && !state.is_incomplete() {
            return Ok(());
        }
        let incomplete = state.is_incomplete();
        if certs.bundles.fit(state, hands.now, certs.signer.is_none())? {
            let line = self.line(log::info("slot-key")).with("period", state.period.number);
            line.with("from", if state.slot.is_some() { "slot" } else { "new" })
                .with("was-slot", incomplete)
                .write();
            hands.state.save(&self.config.address, state)?;
        }
        Ok(())
    }

    /// The same for a period at work, before a certificate is asked for.
    pub(super) fn fit_key(&mut self, at: TimePeriod, hands: &Hands<'_>) {
        self.certs.bundles.refresh();
        let Some(index) = self.periods.iter().position(|period| period.state.period == at) else { return };
        let mut period = self.periods.swap_remove(index);
        if let Err(error) = self.fit(&mut period.state, hands) {
            self.line(log::error("slot-key")).with("error", &error).with("try", error.advice()).write();
            self.state_problem = Some(error.to_string());
            // It may have been the writing of a new key that failed.
            period.keys_written = false;
        }
        self.periods.push(period);
    }

    /// Who is to be asked.
    pub(super) fn source(&self, request: &CertifyRequest, now: UnixTime) -> Source {
        let found = self.certs.bundles.certificate(request, now);
        match self.certs.signer.clone() {
            Some(signer) if self.certs.uses_bundles => Source::Both(signer, found),
            Some(signer) => Source::Signer(signer),
            None => Source::Bundles(found),
        }
    }

    /// Notes who gave a certificate; the word for the log.
    pub(super) fn given(&mut self, giver: Giver, now: UnixTime) -> &'static str {
        let ok = || SignerStatus { state: "ok".to_owned(), last_certificate: Some(now.0), problem: None };
        match giver {
            Giver::Signer => {
                self.signer_status = ok();
                "signer"
            }
            Giver::Bundle => {
                self.signer_status = SignerStatus { state: "none".to_owned(), ..ok() };
                "bundle"
            }
            Giver::BundleInstead(error) => {
                "away".clone_into(&mut self.signer_status.state);
                self.signer_status.problem = Some(error.to_string());
                self.line(log::warn("bundle-fallback"))
                    .with("error", &error)
                    .with("try", error.advice())
                    .write();
                "bundle"
            }
        }
    }

    /// Time has passed: looks for another bundle, says how long they last, wipes the keys of what is over.
    pub(super) fn watch(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now;
        if !self.certs.uses_bundles || self.certs.looked.is_some_and(|at| now.since(at) < LOOK && at <= now) {
            return;
        }
        self.certs.looked = Some(now);
        if self.certs.bundles.refresh() {
            self.say_bundle();
        }
        self.say_horizon(now);
        let due = self.certs.wiped.is_none_or(|at| now.since(at) >= WIPE);
        let clockwork = self.certs.bundles.newest().map(|bundle| bundle.clockwork);
        if let Some(clockwork) = clockwork.filter(|_clockwork| due) {
            self.certs.wiped = Some(now);
            match self.certs.bundles.wipe_over(&clockwork, now) {
                Ok(0) => {}
                Ok(count) => self.line(log::info("slots-wiped")).with("count", count).write(),
                Err(error) => self.line(log::warn("slots-wiped")).with("error", error).write(),
            }
        }
    }

    /// Another bundle is there.
    fn say_bundle(&self) {
        let bundles = &self.certs.bundles;
        if let Some(problem) = &bundles.problem {
            self.line(log::error("bundle-refused")).with("error", problem).write();
        }
        if let Some(bundle) = bundles.newest() {
            let line =
                self.line(log::info("bundle")).with("sequence", bundle.sequence).with("kind", bundle.kind);
            line.with("request", bundle.request).with("slots", bundle.slots.len()).write();
        }
    }

    /// How long the bundles last, when that is worth a line.
    fn say_horizon(&mut self, now: UnixTime) {
        let horizon = self.certs.bundles.horizon(now);
        let level = horizon.as_ref().map_or(Level::Over, crate::ceremony::horizon::Horizon::level);
        if !self.certs.watch.is_due(level, now) {
            return;
        }
        let line = match level {
            Level::Good => log::info("bundle-horizon"),
            Level::Half | Level::Quarter => log::warn("bundle-horizon"),
            Level::Tenth => log::error("bundle-horizon"),
            Level::LastDay => log::error("bundle-last-day"),
            Level::Over => log::error("bundle-over"),
        };
        let line = self.line(line).with("level", level.name());
        let line = line.maybe("ends", horizon.as_ref().map(|horizon| Iso(horizon.until)));
        let line = line.maybe("left-hours", horizon.as_ref().map(|horizon| horizon.left / 3600));
        line.maybe("percent", horizon.map(|horizon| horizon.percent)).write();
    }
}
