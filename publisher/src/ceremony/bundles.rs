//! Bundles at work: the key of a period and the certificate of an hour. The only place that a running publisher takes them from.

use super::horizon;
use super::horizon::Horizon;
use super::slot::SlotKey;
use super::store::{Place, Stamp, Store};
use crate::state::{PeriodState, StateError};
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{Bundle, BundleSlot, Kind};
use onionkeep_common::wire::CertifyRequest;
use onionkeep_common::{DescSigningKey, EncodedCert, OnionAddress, PeriodNumber, UnixTime};
use std::collections::BTreeSet;
use std::path::Path;
use zeroize::Zeroizing;

/// Why no bundle has a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleFault {
    /// There is no bundle.
    #[error("no bundle is imported")]
    None,
    /// No slot for the period.
    #[error("no bundle has a slot for period {0}")]
    NoSlot(PeriodNumber),
    /// A slot for another key.
    #[error("the bundles' slots for period {0} are for other keys than the one in use")]
    OtherKey(PeriodNumber),
    /// The network's periods are of another length.
    #[error("the bundle is for periods of {bundle} minutes, the network's have {network}")]
    Clockwork {
        /// In the bundle.
        bundle: u32,
        /// In the network.
        network: u32,
    },
    /// The hour is outside the ladder.
    #[error("the ladder of period {0} does not reach this hour: see the clock")]
    Hour(PeriodNumber),
}

/// The bundles of one frontend.
pub struct Bundles {
    /// Where they are.
    store: Store,
    /// The newest first; the one before only if the newest is no emergency bundle.
    loaded: Vec<Bundle>,
    /// Which files they were read from.
    stamps: Option<[Option<Stamp>; 2]>,
    /// Periods whose private keys are at hand.
    at_hand: BTreeSet<PeriodNumber>,
    /// Why the files that are there now are not used.
    pub problem: Option<String>,
}

impl Bundles {
    /// The bundles of a frontend; [`Bundles::refresh`] reads them.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, loaded: Vec::new(), stamps: None, at_hand: BTreeSet::new(), problem: None }
    }

    /// The bundles below a state folder, read.
    #[must_use]
    pub fn open(state_dir: &Path, onion: OnionAddress) -> Self {
        let mut bundles = Self::new(Store::at(state_dir, onion));
        bundles.refresh();
        bundles
    }

    /// Reads the files anew if they are others than before; true if they are. What is bad replaces nothing.
    pub fn refresh(&mut self) -> bool {
        let stamps = Some([self.store.stamp(Place::Current), self.store.stamp(Place::Old)]);
        if stamps == self.stamps {
            return false;
        }
        self.stamps = stamps;
        let (loaded, problem) = read(&self.store);
        if problem.is_none() || self.loaded.is_empty() {
            self.loaded = loaded;
        }
        self.problem = problem;
        self.look();
        true
    }

    /// Looks for which periods both a slot and its private key are at hand.
    fn look(&mut self) {
        let keys = self.store.slot_keys().unwrap_or_default();
        let slots = self.loaded.iter().flat_map(|bundle| &bundle.slots);
        let held = slots.filter(|slot| keys.binary_search(&(slot.period, slot.key)).is_ok());
        self.at_hand = held.map(|slot| slot.period).collect();
    }

    /// The frontend.
    #[must_use]
    pub const fn onion(&self) -> &OnionAddress {
        &self.store.onion
    }

    /// The newest bundle.
    #[must_use]
    pub fn newest(&self) -> Option<&Bundle> {
        self.loaded.first()
    }

    /// The slots for a period, the newest first.
    fn slots(&self, period: PeriodNumber) -> impl Iterator<Item = &BundleSlot> {
        self.loaded.iter().flat_map(|bundle| &bundle.slots).filter(move |slot| slot.period == period)
    }

    /// The certificate that C tor would make at `now`, for the key of the request.
    ///
    /// # Errors
    /// [`BundleFault`] says why there is none.
    pub fn certificate(&self, request: &CertifyRequest, now: UnixTime) -> Result<EncodedCert, BundleFault> {
        let bundle = self.newest().ok_or(BundleFault::None)?;
        let (length, period) = (bundle.clockwork.rule.length.minutes(), request.period);
        if length != request.length {
            return Err(BundleFault::Clockwork { bundle: length, network: request.length });
        }
        self.slots(period).next().ok_or(BundleFault::NoSlot(period))?;
        let mut own = self.slots(period).filter(|slot| slot.key == request.key);
        let slot = own.next().ok_or(BundleFault::OtherKey(period))?;
        slot.rung(now).copied().ok_or(BundleFault::Hour(period))
    }

    /// The private key for a period from the newest bundle that has one.
    ///
    /// # Errors
    /// [`StateError`] if its file is damaged.
    pub fn key(&self, period: PeriodNumber) -> Result<Option<SlotKey>, StateError> {
        for slot in self.slots(period) {
            if let Some(key) = self.store.open_slot(period, &slot.key)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Whether the newest bundle is to be used instead of the key: an emergency bundle ends the use of all keys before.
    fn is_given_up(&self, period: PeriodNumber, key: &DescSigningKey) -> bool {
        let newest = self.newest().filter(|bundle| bundle.kind == Kind::Emergency);
        newest.is_some_and(|bundle| bundle.slots.iter().any(|slot| slot.period == period && slot.key != *key))
    }

    /// Gives a period's state the key of its slot; true if that is another key than before.
    ///
    /// A state that is complete and whose certificate is still good keeps its key unless `always`: a key that changes within a
    /// period is seen by directories.
    ///
    /// # Errors
    /// [`StateError`] if a slot's file is damaged, or there is no randomness for a key in place of a slot's that is gone.
    pub fn fit(&self, state: &mut PeriodState, now: UnixTime, always: bool) -> Result<bool, StateError> {
        let period = state.period.number;
        let before = state.slot.unwrap_or(*state.keys.signing_key());
        let given_up = self.is_given_up(period, &before);
        if let Some(slot) = state.slot.filter(|_slot| state.is_incomplete() && !given_up)
            && let Some(key) = self.store.open_slot(period, &slot)?
        {
            state.complete(slot, key.seed())?;
            return Ok(false);
        }
        if !state.is_incomplete() && !given_up {
            let good = state.cert.as_ref().is_some_and(|cert| crate::certs::is_good(cert, now));
            if state.slot.is_some() || (good && !always) {
                return Ok(false);
            }
        }
        if let Some(key) = self.key(period)? {
            state.complete(key.key, key.seed())?;
        } else if state.is_incomplete() || given_up {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(StateError::Random)?;
            state.replace_key(&seed)?;
        }
        Ok(state.slot.unwrap_or(*state.keys.signing_key()) != before)
    }

    /// How long the bundles last; `None` without any.
    #[must_use]
    pub fn horizon(&self, now: UnixTime) -> Option<Horizon> {
        let newest = self.newest()?;
        Some(Horizon::of(&newest.clockwork, &self.at_hand, newest.created, now))
    }

    /// Wipes the keys of periods that cannot be uploaded any more, three hours after their end.
    ///
    /// # Errors
    /// [`StateError`] if the system refuses.
    pub fn wipe_over(&mut self, clockwork: &Clockwork, now: UnixTime) -> Result<usize, StateError> {
        let first = horizon::first_in_use(clockwork, now.minus(GRACE));
        let keys = self.store.slot_keys()?;
        let over: Vec<_> = keys.into_iter().filter(|(period, _key)| *period < first).collect();
        for (period, key) in &over {
            self.store.wipe_slot(*period, key)?;
        }
        self.look();
        Ok(over.len())
    }
}

/// How long the key of a period is kept after its last upload, in **seconds**: a consensus can be behind.
const GRACE: u64 = 3 * 3600;

/// Reads the bundles that count, and says why the current one does not if it is damaged.
fn read(store: &Store) -> (Vec<Bundle>, Option<String>) {
    let (current, problem) = match store.bundle(Place::Current) {
        Ok(current) => (current, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let old = match current.as_ref().map(|read| read.content.kind) {
        Some(Kind::Emergency) => None,
        // The old one is only for the periods before; a damaged one must not stop the new one.
        Some(Kind::Main) | None => store.bundle(Place::Old).unwrap_or_default(),
    };
    ([current, old].into_iter().flatten().map(|read| read.content).collect(), problem)
}
