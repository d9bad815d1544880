//! What HSDirs see of one service over time, and what about its keys and certificates C tor would never show.

use std::collections::{BTreeMap, BTreeSet};

use onionkeep_tests::descriptor::Opened;

/// Seconds in an hour.
const HOUR: u64 = 3600;
/// Hours from the next full hour to the end of C tor's type-08 certificate.
///
/// Spec: rend-spec-v3, 2.4; C tor, `build_desc_signing_key_cert`.
const LIFETIME: u32 = 54;

/// One upload, as the directories hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// It was uploaded after this time, seconds since 1970.
    pub(super) after: u64,
    /// And before this time.
    pub(super) before: u64,
    /// `KP_hs_blind_id`, which is new in each period.
    pub(super) blinded: [u8; 32],
    /// `KP_hs_desc_sign`.
    pub(super) key: [u8; 32],
    /// Expiry of the type-08 certificate, hours since 1970.
    pub(super) expires: u32,
    /// `revision-counter`.
    pub(super) revision: u64,
}

/// All uploads of one service that were seen.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// For messages.
    pub(super) name: &'static str,
    /// In the order in which they were seen.
    pub(super) uploads: Vec<Sighting>,
    /// When the directories were asked last.
    looked: u64,
}

/// The expiry that C tor writes at a time.
pub(super) fn expiry(time: u64) -> u32 {
    u32::try_from(time.div_ceil(HOUR)).unwrap_or(u32::MAX - LIFETIME) + LIFETIME
}

impl History {
    /// Nothing yet; whatever is seen was uploaded after `since`.
    pub(super) fn new(name: &'static str, since: u64) -> Self {
        Self { name, uploads: Vec::new(), looked: since }
    }

    /// Takes in what all directories held at a look that went from `from` to `to`.
    ///
    /// A descriptor of another period than before may have been there for long: it was not looked for.
    pub(super) fn look<'a>(&mut self, held: impl Iterator<Item = &'a Opened>, (from, to): (u64, u64)) {
        let since = self.uploads.first().map_or(self.looked, |first| first.after);
        for opened in held {
            let same = |seen: &&Sighting| (seen.blinded, seen.revision) == (opened.blinded, opened.revision);
            let known = self.uploads.iter().find(same);
            if known.is_some_and(|seen| (seen.key, seen.expires) == (opened.signing_key, opened.expires)) {
                continue;
            }
            let is_first = self.uploads.iter().all(|seen| seen.blinded != opened.blinded);
            self.uploads.push(Sighting {
                after: if is_first { since } else { self.looked },
                before: to,
                blinded: opened.blinded,
                key: opened.signing_key,
                expires: opened.expires,
                revision: opened.revision,
            });
        }
        self.looked = from;
    }

    /// Periods of which something was seen.
    pub(super) fn periods(&self) -> BTreeSet<[u8; 32]> {
        self.uploads.iter().map(|seen| seen.blinded).collect()
    }

    /// What C tor would never show; nothing for C tor itself.
    pub(super) fn odd(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut odd = |what: String| found.push(format!("{}: {what}", self.name));
        let (mut keys, mut periods) = (BTreeMap::new(), BTreeMap::new());
        for seen in &self.uploads {
            let hours = expiry(seen.after)..=expiry(seen.before);
            if !hours.contains(&seen.expires) {
                odd(format!("hour: a certificate ends at {}, C tor's would at {hours:?}", seen.expires));
            }
            if *keys.entry(seen.blinded).or_insert(seen.key) != seen.key {
                odd("key: two descriptor-signing keys in one period".to_owned());
            }
            if *periods.entry(seen.key).or_insert(seen.blinded) != seen.blinded {
                odd("key: one descriptor-signing key in two periods".to_owned());
            }
        }
        for one in &self.uploads {
            let copies = |other: &&Sighting| (other.blinded, other.revision) == (one.blinded, one.revision);
            if self.uploads.iter().filter(copies).any(|other| other.expires != one.expires) {
                odd("expiry: copies of one upload have different certificates".to_owned());
            }
            let later = |other: &&Sighting| other.blinded == one.blinded && other.revision > one.revision;
            if self.uploads.iter().filter(later).any(|other| other.expires < one.expires) {
                odd("expiry: a later upload has an earlier end".to_owned());
            }
        }
        found.dedup();
        found
    }
}

/// The same uploads as publishers would make them that do not follow the ladder, each with the word of what must be noticed.
///
/// Where a full hour came before each upload was seen, both its rungs may be right, and only two rungs away is wrong for certain.
pub(super) fn spoiled(good: &History) -> Vec<(&'static str, &'static str, History)> {
    let with = |change: &dyn Fn(&mut Vec<Sighting>)| {
        let mut history = good.clone();
        change(&mut history.uploads);
        history
    };
    let each = |change: &dyn Fn(&mut Sighting)| with(&|uploads| uploads.iter_mut().for_each(change));
    // Two days' uploads have to find it valid, so that its end is the one of the last.
    let step = if good.uploads.iter().any(|seen| expiry(seen.after) == expiry(seen.before)) { 1 } else { 2 };
    let last = good.uploads.iter().map(|seen| seen.expires).max().unwrap_or_default() + step;
    let first_key = good.uploads.first().map_or([0; 32], |seen| seen.key);
    vec![
        ("one certificate for a whole period", "hour", each(&|seen| seen.expires = last)),
        ("a rung too high", "hour", each(&|seen| seen.expires += step)),
        ("a rung too low", "hour", each(&|seen| seen.expires -= step)),
        ("one key for all periods", "key", each(&|seen| seen.key = first_key)),
        (
            "another key after a restart",
            "key",
            with(&|uploads| {
                let again = uploads.last().copied().map(|seen| Sighting {
                    key: [7; 32],
                    revision: seen.revision + 1,
                    ..seen
                });
                uploads.extend(again);
            }),
        ),
    ]
}
