//! What the ledger says about ceremonies: enrolled request keys, requests, their keys and their bundles. The rules ask here.
//!
//! Bounded like the ledger itself: few lines a month, and a further file repeats only what the rules still need.

use super::event::{Event, Requested};
use super::line::Line;
use super::memory::Place;
use onionkeep_common::paper::{FileDigest, Kind, Purpose, Read, Request, RequestId, RequestKey, Slot};
use onionkeep_common::{DescSigningKey, OnionAddress, TimePeriod, UnixTime};
use std::collections::BTreeMap;

/// Keys are repeated in further files of the ledger for so long after their period, in **seconds**: 400 days, seen from the newest line or
/// from the newest period with a key, whichever is earlier.
const KEYS_KEPT: u64 = 400 * 86_400;

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The request.
    pub request: Requested,
    /// The bundle's file.
    pub main: FileDigest,
    /// The emergency bundle's file.
    pub emergency: Option<FileDigest>,
}

/// A key that a request named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    /// For which request.
    request: FileDigest,
    /// For which onion.
    onion: OnionAddress,
    /// For which period.
    period: TimePeriod,
    /// For which bundle.
    kind: Kind,
}

/// What is known of ceremonies.
#[derive(Debug)]
pub struct Ceremonies {
    /// The key of each onion's requests.
    enrolled: BTreeMap<OnionAddress, RequestKey>,
    /// The last answer of each onion since its key was enrolled.
    last: BTreeMap<OnionAddress, Answered>,
    /// Every request, by its file, and the answer if there is one.
    requests: BTreeMap<FileDigest, Requested>,
    /// Every answer, by the request's file.
    answers: BTreeMap<FileDigest, Answered>,
    /// Every key.
    keys: BTreeMap<DescSigningKey, Used>,
    /// To which request the lines about keys belong that are being read.
    current: Option<FileDigest>,
    /// Whether certificates were made that count.
    real: bool,
    /// Whether anything was made to practise.
    rehearsed: bool,
}

impl Ceremonies {
    /// Nothing known yet.
    pub(super) const fn new() -> Self {
        Self {
            enrolled: BTreeMap::new(),
            last: BTreeMap::new(),
            requests: BTreeMap::new(),
            answers: BTreeMap::new(),
            keys: BTreeMap::new(),
            current: None,
            real: false,
            rehearsed: false,
        }
    }

    /// Takes in a line that is on the disk.
    pub(super) fn learn(&mut self, line: &Line) {
        match &line.event {
            Event::Enrol { onion, key } => {
                // Whoever enrols a key anew starts the chain anew; the same key again changes nothing.
                if self.enrolled.insert(*onion, *key) != Some(*key) {
                    self.last.remove(onion);
                }
            }
            Event::Request(requested) => self.learn_request(requested),
            Event::Key { onion, period, key, kind } => {
                let Some(request) = self.current else { return };
                let used = Used { request, onion: *onion, period: *period, kind: *kind };
                self.keys.insert(*key, used);
            }
            Event::Bundle { request, main, emergency } => {
                let Some(known) = self.requests.get(request) else { return };
                let answered = Answered { request: *known, main: *main, emergency: *emergency };
                self.answers.insert(*request, answered);
                self.last.insert(known.onion, answered);
            }
            Event::Asked { .. } => self.real = true,
            Event::Init { .. }
            | Event::Rotate { .. }
            | Event::Rekey { .. }
            | Event::Start { .. }
            | Event::Issued { .. }
            | Event::Refused { .. }
            | Event::Deny(_)
            | Event::Backup(_)
            | Event::Custody(_)
            | Event::DeviceLog { .. }
            | Event::Checkpoint { .. } => {}
        }
    }

    /// Takes in a request that passed.
    fn learn_request(&mut self, requested: &Requested) {
        self.current = Some(requested.digest);
        self.requests.insert(requested.digest, *requested);
        match requested.purpose {
            Purpose::Real => self.real = true,
            Purpose::Rehearsal => self.rehearsed = true,
        }
    }

    /// What a further file of the ledger repeats, whose newest line was `written` then.
    pub(super) fn repeated(&self, written: UnixTime) -> Vec<Event> {
        // A line may be written under a clock that is far ahead; periods are named by requests that kept the rules.
        let newest = self.keys.values().map(|used| start(used.period)).max();
        let now = newest.map_or(written, |newest| newest.min(written));
        let mut events = Vec::new();
        for (onion, key) in &self.enrolled {
            events.push(Event::Enrol { onion: *onion, key: *key });
        }
        for request in self.requests.values() {
            let keys: Vec<_> = self.keys_of(request.digest, now).collect();
            let answer = self.answers.get(&request.digest);
            let last = answer.is_some() && self.last.get(&request.onion) == answer;
            if !last && !keys.is_empty() {
                events.push(Event::Request(*request));
                events.extend(keys);
            }
        }
        // The last answers stand last, so that whoever reads this finds the same ones.
        for Answered { request, main, emergency } in self.last.values() {
            events.push(Event::Request(*request));
            events.extend(self.keys_of(request.digest, now));
            events.push(Event::Bundle { request: request.digest, main: *main, emergency: *emergency });
        }
        events
    }

    /// The lines about the keys of a request that are not too old.
    fn keys_of(&self, request: FileDigest, now: UnixTime) -> impl Iterator<Item = Event> {
        let oldest = now.minus(KEYS_KEPT);
        let of_it = move |used: &Used| used.request == request && start(used.period) >= oldest;
        self.keys.iter().filter(move |(_key, used)| of_it(used)).map(|(key, used)| Event::Key {
            onion: used.onion,
            period: used.period,
            key: *key,
            kind: used.kind,
        })
    }

    /// The key of an onion's requests.
    #[must_use]
    pub fn requester(&self, onion: &OnionAddress) -> Option<RequestKey> {
        self.enrolled.get(onion).copied()
    }

    /// The last answer of an onion since its key was enrolled.
    #[must_use]
    pub fn last(&self, onion: &OnionAddress) -> Option<&Answered> {
        self.last.get(onion)
    }

    /// The answer to a request.
    #[must_use]
    pub fn answer(&self, request: &FileDigest) -> Option<&Answered> {
        self.answers.get(request)
    }

    /// The request of a name, whether or not it was answered.
    #[must_use]
    pub fn named(&self, id: &RequestId) -> Option<&Requested> {
        self.requests.values().find(|request| request.id == *id)
    }

    /// The last period for which keys of an onion were named.
    #[must_use]
    pub fn last_period(&self, onion: &OnionAddress) -> Option<TimePeriod> {
        let of_it = self.keys.values().filter(|used| used.onion == *onion);
        of_it.map(|used| used.period).max_by_key(|period| period.number)
    }

    /// The period for which a request named a key.
    #[must_use]
    pub fn period_of(&self, key: &DescSigningKey) -> Option<TimePeriod> {
        self.keys.get(key).map(|used| used.period)
    }

    /// Whether a file is one of the bundles that were issued.
    #[must_use]
    pub fn is_issued(&self, file: &FileDigest) -> bool {
        self.answers.values().any(|answer| answer.main == *file || answer.emergency == Some(*file))
    }

    /// Whether a request is on record with every key, each in its place: a power cut may leave a part of these lines.
    #[must_use]
    pub fn is_recorded(&self, request: &Read<Request>) -> bool {
        let Read { content, digest } = request;
        let length = content.clockwork.rule.length;
        let named = |slot: &Slot, kind| {
            let period = TimePeriod { number: slot.period, length };
            let wanted = Used { request: *digest, onion: content.onion, period, kind };
            self.keys.get(&slot.key) == Some(&wanted)
        };
        self.requests.contains_key(digest)
            && content.slots.iter().all(|slot| named(slot, Kind::Main))
            && content.standby.iter().all(|slot| named(slot, Kind::Emergency))
    }

    /// Which request named a key, for which place and bundle.
    #[must_use]
    pub fn used(&self, key: &DescSigningKey) -> Option<(FileDigest, Place, Kind)> {
        self.keys.get(key).map(|used| {
            let (number, minutes) = (used.period.number, used.period.length.minutes());
            (used.request, Place { onion: used.onion, number, minutes }, used.kind)
        })
    }

    /// Whether this ledger belongs to certificates that count.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        self.real
    }

    /// Whether this ledger belongs to rehearsals.
    #[must_use]
    pub const fn is_rehearsed(&self) -> bool {
        self.rehearsed
    }
}

/// When a period starts, but for its offset.
fn start(period: TimePeriod) -> UnixTime {
    UnixTime(period.number.0.saturating_mul(period.length.seconds()))
}
