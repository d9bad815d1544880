//! One backend of a frontend at work: what is known of it and what is under way. Its number is never given to another.

use super::rota::Rota;
use crate::backend::Backend;
use crate::config::BackendConfig;
use crate::consensus::{Fingerprint, Role};
use crate::descriptor::{self, Checked, Decoded, Reader};
use crate::schedule::Reach;
use onionkeep_common::{OnionAddress, TimePeriod, UnixTime};
use sha3::{Digest, Sha3_256};

/// How a fetch of one backend's descriptor goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    /// Its number, so that answers to the one before are not counted for it.
    pub(super) number: u64,
    /// HSDirs that have not answered yet.
    pub(super) open: usize,
    /// HSDirs that were asked.
    pub(super) asked: usize,
    /// HSDirs that have none.
    pub(super) not_found: usize,
    /// Whether a good descriptor came.
    pub(super) good: bool,
    /// Whether only one HSDir was asked so far.
    pub(super) alone: bool,
}

impl Ask {
    /// So many HSDirs are asked.
    pub(super) fn of(number: u64, reach: Reach, count: usize) -> Self {
        Self { number, open: count, asked: count, not_found: 0, good: false, alone: reach == Reach::One }
    }

    /// So many others are asked too.
    pub(super) const fn widen(&mut self, count: usize) {
        (self.open, self.asked) = (self.open.saturating_add(count), self.asked.saturating_add(count));
        self.alone = false;
    }
}

/// Where a backend's descriptor is.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    /// The HSDirs that clients ask.
    pub(super) fetch: Vec<Fingerprint>,
    /// The HSDirs that store it.
    pub(super) store: Vec<Fingerprint>,
    /// Reads it.
    pub(super) reader: Option<Reader>,
}

/// One backend.
pub(super) struct Member {
    /// Its configuration as it is now.
    pub(super) config: BackendConfig,
    /// What we know of it.
    pub(super) backend: Backend,
    /// The last problem with it.
    pub(super) problem: Option<String>,
    /// Where its descriptor is.
    pub(super) targets: Targets,
    /// How the fetch of it goes.
    pub(super) ask: Ask,
    /// Which HSDir is asked next if one is enough.
    pub(super) rota: Rota,
    /// How many probes of it failed.
    pub(super) failed_probes: u64,
    /// How many in a row said nothing about it.
    pub(super) silent_probes: u32,
    /// What was checked of its last ones.
    checked: Checked,
    /// Its place on the circle of the merge.
    pub(super) place: u64,
}

impl Member {
    /// A backend of which nothing is known. `secret` is that of the order in which points are chosen.
    pub(super) fn new(config: &BackendConfig, secret: &[u8; 32]) -> Self {
        let mut backend = Backend::new(config.name.clone(), config.address, config.weight);
        backend.draining = config.drain;
        Self {
            config: config.clone(),
            backend,
            problem: None,
            targets: Targets::default(),
            ask: Ask::default(),
            rota: Rota::default(),
            failed_probes: 0,
            silent_probes: 0,
            checked: Checked::default(),
            place: place(secret, &config.address),
        }
    }

    /// Takes what an HSDir gave: a descriptor that was verified, or `None` if it claims to be the one that is known.
    pub(super) fn take(
        &mut self,
        text: &[u8],
        role: &Role,
        now: UnixTime,
    ) -> Result<Option<Decoded>, String> {
        let claimed = descriptor::claimed_revision(text);
        if claimed.is_some_and(|revision| self.backend.again(now, role.period, revision)) {
            return Ok(None);
        }
        self.read(text, role.period, now).map(Some)
    }

    /// Reads a descriptor of this period.
    fn read(&mut self, text: &[u8], period: TimePeriod, now: UnixTime) -> Result<Decoded, String> {
        // Read anew each time: the file may have been put right in the meantime.
        let key = self.config.read_client_key().map_err(|error| error.to_string())?;
        let reader = self.targets.reader.filter(|reader| reader.period() == period);
        let reader = reader.map_or_else(|| Reader::new(&self.backend.address, period), Ok);
        let reader = reader.map_err(|error| error.to_string())?;
        reader.read(text, key.as_ref(), now, &mut self.checked).map_err(|error| error.to_string())
    }

    /// Takes a new configuration of the same address.
    pub(super) fn reconfigure(&mut self, config: &BackendConfig) {
        self.config.clone_from(config);
        self.backend.name.clone_from(&config.name);
        (self.backend.weight, self.backend.draining) = (config.weight, config.drain);
    }
}

/// A backend's place on the circle of the merge: the same at all publishers with the same secret.
fn place(secret: &[u8; 32], backend: &OnionAddress) -> u64 {
    let hash = Sha3_256::new().chain_update(b"onionkeep circle v1").chain_update(secret);
    let hash = hash.chain_update(backend.identity().as_bytes()).finalize();
    hash.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
}
