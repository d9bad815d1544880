//! `retire`: wipes keys for ever, and writes the note that the operator carries to the token's side.

use super::store::{Place, Store};
use super::{CeremonyError, usage};
use crate::state::file;
use data_encoding::HEXLOWER;
use onionkeep_common::iso::Iso;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{Bundle, RequestId};
use onionkeep_common::{DescSigningKey, PeriodNumber, UnixTime};
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// What was wiped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: UnixTime,
    /// The frontend.
    pub onion: onionkeep_common::OnionAddress,
    /// The keys that are gone.
    pub keys: Vec<(PeriodNumber, DescSigningKey)>,
    /// The requests that they belong to.
    pub requests: Vec<RequestId>,
    /// Up to when a stolen copy of keys and certificates can be used; `None` if nobody has certified any of them.
    pub damage_ends: Option<UnixTime>,
    /// Whether certificates went too.
    pub certificates: bool,
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "onionkeep-publisher retire-note 1\nonion {}\nretired {}", self.onion, Iso(self.at))?;
        for request in &self.requests {
            writeln!(f, "request {request}")?;
        }
        for (period, key) in &self.keys {
            writeln!(f, "key {period} {}", HEXLOWER.encode(key.as_bytes()))?;
        }
        let gone = if self.certificates { "wiped" } else { "kept, they are worth nothing without the keys" };
        writeln!(f, "certificates {gone}")?;
        match self.damage_ends {
            Some(end) => writeln!(f, "damage-ends {}", Iso(end))?,
            None => writeln!(f, "damage-ends at once, none of these keys is certified")?,
        }
        writeln!(f, "\nFor the token's side, so that these keys are never certified again:")?;
        for request in &self.requests {
            writeln!(f, "  onionkeep-signer deny --request {request}")?;
        }
        for (_period, key) in self.keys.iter().filter(|_key| self.requests.is_empty()) {
            writeln!(f, "  onionkeep-signer deny --key {}", HEXLOWER.encode(key.as_bytes()))?;
        }
        writeln!(
            f,
            "Whoever has a copy of these keys and of their certificates can publish until the date above."
        )?;
        writeln!(
            f,
            "A certificate cannot be called back. Import the emergency bundle to publish until then too."
        )
    }
}

/// Which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All, and the certificates too.
    All,
    /// Those of some periods.
    Periods(RangeInclusive<PeriodNumber>),
}

/// Wipes keys, and with all of them the certificates, the open request and what runs on them.
///
/// The caller holds the lock of the state folder: no publisher may run that has the keys in memory.
///
/// # Errors
/// [`CeremonyError`] if there is nothing to wipe or the system refuses; run it again then.
pub fn retire(
    store: &Store,
    which: &Which,
    clockwork: &Clockwork,
    now: UnixTime,
) -> Result<(Note, PathBuf), CeremonyError> {
    let _lock = store.lock()?;
    let wanted = |period: &PeriodNumber| match which {
        Which::All => true,
        Which::Periods(range) => range.contains(period),
    };
    let mut keys = store.slot_keys()?;
    keys.retain(|(period, _key)| wanted(period));
    // A damaged bundle must not keep anybody from wiping keys.
    let bundle = |place| store.bundle(place).ok().flatten();
    let bundles: Vec<_> = [Place::Current, Place::Old].into_iter().filter_map(bundle).collect();
    let open = store.request().ok().flatten();
    if keys.is_empty() && bundles.is_empty() {
        return Err(usage("there are no such keys", "see `bundle status` for the periods at hand"));
    }
    let slots = |bundle: &Bundle| bundle.slots.iter().map(|slot| (slot.period, slot.key)).collect::<Vec<_>>();
    let certified: Vec<_> = bundles.iter().flat_map(|read| slots(&read.content)).collect();
    let last = keys.iter().filter(|key| certified.contains(key)).map(|(period, _key)| *period).max();
    // Keys of an open request may be certified by now, for all that we know.
    let asked = open.iter().flat_map(|read| &read.content.slots).map(|slot| slot.period);
    let asked = asked.filter(|period| keys.iter().any(|(own, _key)| own == period)).max();
    let requests = match which {
        Which::All => {
            bundles.iter().map(|read| read.content.request).chain(open.map(|read| read.content.id)).collect()
        }
        Which::Periods(_) => Vec::new(),
    };
    let note = Note {
        at: now,
        onion: store.onion,
        damage_ends: last.max(asked).map(|period| clockwork.span(period).1),
        certificates: *which == Which::All,
        requests,
        keys,
    };
    let path = store.file(&format!("retire-note-{}", now.0));
    file::write_octets(&path, &[note.to_string().as_bytes()])?;
    store.wipe_leftovers()?;
    for (period, key) in &note.keys {
        store.wipe_slot(*period, key)?;
    }
    if *which == Which::All {
        if let Some(end) = store.chain_end().ok().flatten() {
            store.keep_chain(end)?;
        }
        for path in [store.file("request"), store.bundle_path(Place::Old), store.bundle_path(Place::Current)]
        {
            file::wipe(&path)?;
        }
    }
    Ok((note, path))
}
