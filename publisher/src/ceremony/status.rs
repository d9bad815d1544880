//! `bundle status`: what is imported, how long it lasts, and what is missing; from the disk, without a running publisher.

use super::CeremonyError;
use super::bundles::Bundles;
use super::horizon::{Horizon, Level};
use super::store::Store;
use crate::alarm::{Finding, Name};
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::{Bundle, Kind};
use onionkeep_common::{OnionAddress, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use std::path::Path;

/// The bundles of one frontend. Times are seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleStatus {
    /// The frontend.
    pub address: String,
    /// `none`, `main` or `emergency`.
    pub kind: String,
    /// Number of the newest bundle.
    pub sequence: Option<u32>,
    /// Digest of the newest bundle's request.
    pub request: Option<String>,
    /// First period of the newest bundle.
    pub first_period: Option<u64>,
    /// Last period of the newest bundle.
    pub last_period: Option<u64>,
    /// `good`, `50`, `25`, `10`, `last-day` or `over`.
    pub level: String,
    /// Up to when there is a certificate for every hour.
    pub covered_until: Option<u64>,
    /// Hundredths of the bundle's time that are left.
    pub percent_left: u64,
    /// Slots of periods that are not over and whose private keys are here.
    pub slots: usize,
    /// Periods without a slot or without its key, before the last slot.
    pub missing_periods: Vec<u64>,
    /// Why the files on disk are not used.
    pub problem: Option<String>,
    /// The request whose bundle is awaited.
    pub open_request: Option<String>,
}

impl BundleStatus {
    /// What is to be said of bundles at `now`.
    #[must_use]
    pub fn of(address: &OnionAddress, bundles: &Bundles, now: UnixTime) -> Self {
        let newest = bundles.newest();
        let horizon = bundles.horizon(now);
        let period = |slot: Option<&onionkeep_common::paper::BundleSlot>| slot.map(|slot| slot.period.0);
        let kind = newest.map_or("none", |bundle| match bundle.kind {
            Kind::Main => "main",
            Kind::Emergency => "emergency",
        });
        Self {
            address: address.to_string(),
            kind: kind.to_owned(),
            sequence: newest.map(|bundle: &Bundle| bundle.sequence),
            request: newest.map(|bundle| bundle.request.to_string()),
            first_period: newest.and_then(|bundle| period(bundle.slots.first())),
            last_period: newest.and_then(|bundle| period(bundle.slots.last())),
            level: horizon.as_ref().map_or(Level::Over, Horizon::level).name().to_owned(),
            covered_until: horizon.as_ref().map(|horizon| horizon.until.0),
            percent_left: horizon.as_ref().map_or(0, |horizon| horizon.percent),
            slots: horizon.as_ref().map_or(0, |horizon| horizon.slots),
            missing_periods: horizon
                .iter()
                .flat_map(|horizon| &horizon.missing)
                .map(|period| period.0)
                .collect(),
            problem: bundles.problem.clone(),
            open_request: None,
        }
    }

    /// The same from the disk, with the open request.
    ///
    /// # Errors
    /// [`CeremonyError`] if the system does not give the request; one that is damaged is a problem of the files.
    pub fn read(state_dir: &Path, onion: OnionAddress, now: UnixTime) -> Result<Self, CeremonyError> {
        let mut status = Self::of(&onion, &Bundles::open(state_dir, onion), now);
        match Store::at(state_dir, onion).request() {
            Ok(open) => status.open_request = open.map(|read| read.content.id.to_string()),
            Err(damage @ CeremonyError::RequestDamaged { .. }) => {
                let problems = status.problem.take().into_iter().chain([damage.to_string()]);
                let problems = problems.collect::<Vec<_>>().join("; ");
                status.problem =
                    Some(format!("{problems}; `request new --replace` gives it up and wipes its keys"));
            }
            Err(error) => return Err(error),
        }
        Ok(status)
    }

    /// What the operator should do something about.
    #[must_use]
    pub fn warnings(&self, now: UnixTime) -> Vec<String> {
        self.findings(now).into_iter().map(|finding| finding.text).collect()
    }

    /// The same, with the alarms' names.
    #[must_use]
    pub fn findings(&self, now: UnixTime) -> Vec<Finding> {
        let mut found = Vec::new();
        let until = self.covered_until.map(UnixTime);
        match (self.level.as_str(), until) {
            (_any, None) => found.push(Finding::new(Name::BundleOver, "no bundle is imported")),
            ("good", _) => {}
            ("over", Some(_)) => {
                let text = "THE BUNDLES ARE OVER: a period that is in use has no certificate";
                found.push(Finding::new(Name::BundleOver, text));
            }
            (level, Some(until)) => {
                let (left, loud) =
                    (until.since(now) / 3600, if level == "last-day" { "LAST DAY: " } else { "" });
                let text = format!(
                    "{loud}the bundles end in {left} h, at {}: {} % are left, hold a ceremony",
                    Iso(until),
                    self.percent_left
                );
                found.push(Finding::new(Name::BundleHorizon, text));
            }
        }
        if let (Some(first), Some(last)) = (self.missing_periods.first(), self.missing_periods.last()) {
            let count = self.missing_periods.len();
            let text = format!("{count} periods from {first} to {last} have no slot or no key");
            found.push(Finding::of(Name::BundleFault, "periods", text));
        }
        found.extend(self.problem.clone().map(|problem| Finding::of(Name::BundleFault, "files", problem)));
        found
    }
}

impl Display for BundleStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let sequence = text(self.sequence.map(u64::from));
        writeln!(
            f,
            "  bundle {sequence} ({}), periods {} to {}",
            self.kind,
            text(self.first_period),
            text(self.last_period)
        )?;
        match self.covered_until {
            Some(until) => writeln!(
                f,
                "  covered until {}, {} % left, {} slots with keys",
                Iso(UnixTime(until)),
                self.percent_left,
                self.slots
            )?,
            None => writeln!(f, "  nothing is covered")?,
        }
        match &self.open_request {
            Some(request) => writeln!(f, "  request {request} awaits its bundle"),
            None => Ok(()),
        }
    }
}
