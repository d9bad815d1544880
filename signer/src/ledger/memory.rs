//! What the ledger says about the last days, indexed: the rules ask here and never walk over lines.
//!
//! Bounded: whatever is older than [`Keep`] is forgotten, and the rate budget bounds what can come in within it. Denials
//! are kept for ever.

use super::ceremonies::Ceremonies;
use super::custody::BackupMade;
use super::event::{Denied, Event, Slot};
use super::line::{Head, Line};
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, PeriodNumber, PeriodRule, UnixTime,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Keys are known at least this many periods.
const PERIODS: u64 = 12;
/// And at least this long, in **seconds**: the longest span of the rate budget and two hours.
const SHORTEST: u64 = 26 * 3600;
/// Stored certificates are forgotten this many hours after theirs.
const HOURS: u32 = 2;
/// How often old things are looked for, in **seconds**.
const PRUNE_EVERY: u64 = 3600;

/// How long things are remembered, in **seconds**.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep(pub u64);

impl Keep {
    /// Long enough for every rule with periods of this rule.
    #[must_use]
    pub fn for_periods(periods: &PeriodRule) -> Self {
        Self(periods.length.seconds().saturating_mul(PERIODS).max(SHORTEST))
    }
}

/// An onion's period: number and length in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The frontend.
    pub onion: OnionAddress,
    /// The period's number.
    pub number: PeriodNumber,
    /// The period's length in **minutes**.
    pub minutes: u32,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Where it is used.
    place: Place,
    /// When it was asked for last.
    time: UnixTime,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The line that asked.
    seq: u64,
    /// The certificate, once it is on record.
    cert: Option<EncodedCert>,
}

/// A key and the end of its certificate: which slot, as a key has one place only.
type SlotKey = (DescSigningKey, ExpirationHours);

/// The ledger's last days.
#[derive(Debug)]
pub struct Memory {
    /// How far back it goes.
    keep: Keep,
    /// The latest time at which a request passed.
    latest: UnixTime,
    /// When old things were looked for last.
    pruned: UnixTime,
    /// Every key.
    keys: BTreeMap<DescSigningKey, Known>,
    /// How many keys each place has.
    places: BTreeMap<Place, usize>,
    /// When certificates of an onion were asked for, in the order of the lines.
    asked: BTreeMap<OnionAddress, VecDeque<UnixTime>>,
    /// Slots of the last hours.
    slots: BTreeMap<SlotKey, Asked>,
    /// The same by the line that asked.
    lines: BTreeMap<u64, SlotKey>,
    /// What is not served.
    denied: BTreeSet<Denied>,
    /// The latest backup of each onion.
    backups: BTreeMap<OnionAddress, BackupMade>,
    /// How far the token's own log is on record.
    device_log: Option<(u64, Head)>,
    /// When the newest line was written.
    written: UnixTime,
    /// What ceremonies did.
    ceremonies: Ceremonies,
}

impl Memory {
    /// Nothing known yet.
    #[must_use]
    pub const fn new(keep: Keep) -> Self {
        Self {
            keep,
            latest: UnixTime(0),
            pruned: UnixTime(0),
            keys: BTreeMap::new(),
            places: BTreeMap::new(),
            asked: BTreeMap::new(),
            slots: BTreeMap::new(),
            lines: BTreeMap::new(),
            denied: BTreeSet::new(),
            backups: BTreeMap::new(),
            device_log: None,
            written: UnixTime(0),
            ceremonies: Ceremonies::new(),
        }
    }

    /// Takes in a line that is on the disk.
    pub fn learn(&mut self, line: &Line) {
        self.written = self.written.max(line.time);
        self.ceremonies.learn(line);
        match &line.event {
            Event::Asked { slot, uid: _ } => self.learn_asked(line.seq, line.time, slot),
            Event::Issued { asked, cert } => {
                let known = self.lines.get(asked).and_then(|slot| self.slots.get_mut(slot));
                if let Some(known) = known {
                    // The first one on record is the one that may have left.
                    known.cert.get_or_insert(*cert);
                }
            }
            Event::Deny(denied) => {
                self.denied.insert(*denied);
            }
            Event::Backup(made) => self.learn_backup(*made),
            Event::DeviceLog { count, head } => self.device_log = Some((*count, *head)),
            Event::Init { .. }
            | Event::Rotate { .. }
            | Event::Rekey { .. }
            | Event::Start { .. }
            | Event::Refused { .. }
            | Event::Custody(_)
            | Event::Enrol { .. }
            | Event::Request(_)
            | Event::Key { .. }
            | Event::Bundle { .. }
            | Event::Checkpoint { .. } => {}
        }
    }

    /// Takes in a backup, if it is not an earlier one.
    fn learn_backup(&mut self, made: BackupMade) {
        let known = self.backups.entry(made.onion).or_insert(made);
        if !made.is_before(known) {
            *known = made;
        }
    }

    /// Takes in a request that passed.
    fn learn_asked(&mut self, seq: u64, time: UnixTime, slot: &Slot) {
        self.latest = self.latest.max(time);
        let place = Place::of(slot);
        let old = self.keys.insert(slot.key, Known { place, time });
        if old.is_none_or(|old| old.place != place) {
            let keys = self.places.entry(place).or_default();
            *keys = keys.saturating_add(1);
        }
        self.asked.entry(slot.onion).or_default().push_back(time);
        let slot_key = (slot.key, slot.expires);
        self.slots.insert(slot_key, Asked { seq, cert: None });
        self.lines.insert(seq, slot_key);
        if self.latest.since(self.pruned) >= PRUNE_EVERY {
            self.prune(slot.expires);
        }
    }

    /// Forgets what is older than it must be, seen from the newest line: a clock that runs ahead for a moment, and
    /// records nothing, makes nothing forgotten.
    fn prune(&mut self, newest: ExpirationHours) {
        self.pruned = self.latest;
        let oldest = self.latest.minus(self.keep.0);
        self.keys.retain(|_key, known| known.time >= oldest);
        self.places.clear();
        for known in self.keys.values() {
            let keys = self.places.entry(known.place).or_default();
            *keys = keys.saturating_add(1);
        }
        let oldest = self.latest.minus(SHORTEST);
        self.asked.retain(|_onion, times| {
            times.retain(|time| *time >= oldest);
            !times.is_empty()
        });
        self.slots.retain(|(_key, expires), _asked| expires.0.saturating_add(HOURS) >= newest.0);
        self.lines.retain(|_seq, slot| self.slots.contains_key(slot));
    }

    /// The latest time at which a request passed; the clock must not be behind it.
    #[must_use]
    pub const fn latest(&self) -> UnixTime {
        self.latest
    }

    /// When the newest line was written.
    #[must_use]
    pub const fn written(&self) -> UnixTime {
        self.written
    }

    /// What ceremonies did.
    #[must_use]
    pub const fn ceremonies(&self) -> &Ceremonies {
        &self.ceremonies
    }

    /// What the next file of the ledger repeats, because it holds for ever.
    #[must_use]
    pub fn repeated(&self) -> Vec<Event> {
        let denied = self.denied.iter().map(|denied| Event::Deny(*denied));
        let backups = self.backups().map(Event::Backup);
        let device = self.device_log().map(|(count, head)| Event::DeviceLog { count, head });
        denied.chain(backups).chain(device).chain(self.ceremonies.repeated(self.written)).collect()
    }

    /// Where a key is used, if it is known.
    #[must_use]
    pub fn place_of(&self, key: &DescSigningKey) -> Option<Place> {
        self.keys.get(key).map(|known| known.place)
    }

    /// How many keys a place has.
    #[must_use]
    pub fn keys_at(&self, place: &Place) -> usize {
        self.places.get(place).copied().unwrap_or(0)
    }

    /// The line that asked for a slot, if there is one.
    #[must_use]
    pub fn asked(&self, key: &DescSigningKey, expires: ExpirationHours) -> Option<u64> {
        self.slots.get(&(*key, expires)).map(|asked| asked.seq)
    }

    /// The certificate on record for a slot.
    #[must_use]
    pub fn cert(&self, key: &DescSigningKey, expires: ExpirationHours) -> Option<EncodedCert> {
        self.slots.get(&(*key, expires)).and_then(|asked| asked.cert)
    }

    /// When certificates of an onion were asked for after `since`, oldest first.
    pub fn asked_since(&self, onion: &OnionAddress, since: UnixTime) -> impl Iterator<Item = UnixTime> {
        let times = self.asked.get(onion).into_iter().flatten();
        times.copied().filter(move |time| *time > since)
    }

    /// Whether something is not served.
    #[must_use]
    pub fn is_denied(&self, denied: &Denied) -> bool {
        self.denied.contains(denied)
    }

    /// Everything that is not served.
    pub fn denied(&self) -> impl Iterator<Item = Denied> {
        self.denied.iter().copied()
    }

    /// The latest backup of an onion, the only one that is not dead.
    #[must_use]
    pub fn backup(&self, onion: &OnionAddress) -> Option<BackupMade> {
        self.backups.get(onion).copied()
    }

    /// The latest backup of every onion.
    pub fn backups(&self) -> impl Iterator<Item = BackupMade> {
        self.backups.values().copied()
    }

    /// How far the token's own log is on record: how many lines, and the hash over them.
    #[must_use]
    pub const fn device_log(&self) -> Option<(u64, Head)> {
        self.device_log
    }

    /// How far back it goes.
    #[must_use]
    pub const fn keep(&self) -> Keep {
        self.keep
    }
}

impl Place {
    /// Where a slot is.
    #[must_use]
    pub const fn of(slot: &Slot) -> Self {
        Self { onion: slot.onion, number: slot.period.number, minutes: slot.period.length.minutes() }
    }
}
