//! `bundle import`: everything that must hold before a bundle is taken, each with its own sentence, and the change of the files.

mod fault;

pub use fault::ImportFault;

use super::horizon::first_in_use;
use super::standby::Standby;
use super::store::{ChainEnd, Place, Store};
use super::{CeremonyError, usage};
use crate::state::file;
use onionkeep_common::audit_key::{AuditKey, AuditSignature};
use onionkeep_common::paper::bundle::Signed;
use onionkeep_common::paper::lines::FILE_MAX;
use onionkeep_common::paper::{Bundle, Kind, Previous, Purpose, Read, Request};
use onionkeep_common::{DescSigningKey, PeriodNumber, UnixTime};
use std::collections::BTreeSet;

/// What an import has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The bundle.
    pub bundle: Read<Bundle>,
    /// The one that it replaces.
    pub replaced: Option<Read<Bundle>>,
    /// It was imported before; nothing was changed.
    pub again: bool,
    /// The audit key was enrolled by this import.
    pub enrolled: Option<AuditKey>,
    /// Periods in use, or soon, for which there is no slot.
    pub missing: Vec<PeriodNumber>,
}

/// Which frontend a bundle is for, before anything else is known about it.
///
/// # Errors
/// [`ImportFault::File`] if it is no bundle.
pub fn parse(octets: &[u8]) -> Result<(Read<Bundle>, Signed), ImportFault> {
    if octets.len() > FILE_MAX {
        return Err(ImportFault::NoAuditor("a file longer than any bundle".to_owned()));
    }
    Ok(Bundle::parse(octets)?)
}

/// Takes a bundle.
///
/// # Errors
/// [`CeremonyError::Import`] if anything about it is wrong; nothing is changed then.
pub fn import(
    store: &Store,
    octets: &[u8],
    standby: Option<Standby>,
    now: UnixTime,
) -> Result<Imported, CeremonyError> {
    let _lock = store.lock()?;
    let (read, signed) = parse(octets)?;
    let bundle = &read.content;
    if bundle.purpose == Purpose::Rehearsal {
        return Err(ImportFault::Rehearsal.into());
    }
    if bundle.onion != store.onion {
        return Err(ImportFault::OtherOnion(bundle.onion).into());
    }
    let enrolled = check_auditor(store, bundle, &signed)?;
    let (current, old) = (store.bundle(Place::Current)?, store.bundle(Place::Old).unwrap_or_default());
    let missing = missing(&read, current.as_ref(), now);
    if current.as_ref().is_some_and(|current| current.digest == read.digest) {
        return Ok(Imported { bundle: read, replaced: None, again: true, enrolled: None, missing });
    }
    match (bundle.kind, &standby) {
        (Kind::Main, None) => check_main(store, &read, current.as_ref())?,
        (Kind::Main, Some(_)) => return Err(ImportFault::NoEmergency.into()),
        (Kind::Emergency, None) => return Err(ImportFault::Emergency.into()),
        (Kind::Emergency, Some(standby)) => check_emergency(&read, standby, current.as_ref())?,
    }
    check_cover(bundle, current.as_ref(), old.as_ref(), now)?;
    let auditor = enrolled.as_ref();
    replace(store, octets, (bundle, current.is_some()), standby.as_ref(), auditor)?;
    Ok(Imported { bundle: read, replaced: current, again: false, enrolled, missing })
}

/// The signature, by the audit key that is known, or else by the one that the bundle names, which is enrolled then.
fn check_auditor(store: &Store, bundle: &Bundle, signed: &Signed) -> Result<Option<AuditKey>, CeremonyError> {
    let found: AuditKey =
        bundle.auditor.parse().map_err(|_none| ImportFault::NoAuditor(bundle.auditor.clone()))?;
    let enrolled = store.auditor()?;
    if let Some(enrolled) = enrolled.filter(|enrolled| *enrolled != found) {
        let (found, enrolled) = (found.to_string(), enrolled.to_string());
        return Err(ImportFault::OtherAuditor { found, enrolled }.into());
    }
    let checked = found.verify(&signed.text, &AuditSignature(signed.signature));
    checked.map_err(|why| ImportFault::Signature(why.to_string()))?;
    Ok(enrolled.is_none().then_some(found))
}

/// A bundle for keys that are here: it answers the open request, and follows the bundle at hand.
fn check_main(
    store: &Store,
    read: &Read<Bundle>,
    current: Option<&Read<Bundle>>,
) -> Result<(), CeremonyError> {
    let bundle = &read.content;
    if let Some(current) = current.map(|current| current.content.sequence)
        && bundle.sequence <= current
    {
        return Err(ImportFault::Older { found: bundle.sequence, current }.into());
    }
    let request = store.request()?.ok_or(ImportFault::NoRequest(bundle.request))?;
    check_request(bundle, &request)?;
    let end = store.chain_end()?;
    let previous = end.map_or(Previous::First, |end: ChainEnd| end.previous);
    if bundle.previous != previous {
        return Err(ImportFault::Chain.into());
    }
    for slot in &bundle.slots {
        store.open_slot(slot.period, &slot.key)?.ok_or(ImportFault::KeyGone(slot.period))?;
    }
    Ok(())
}

/// A bundle's fields and keys are those of the request.
fn check_request(bundle: &Bundle, read: &Read<Request>) -> Result<(), ImportFault> {
    let request = &read.content;
    if bundle.request != request.id {
        return Err(ImportFault::OtherRequest { found: bundle.request, open: request.id });
    }
    if bundle.request_digest != read.digest {
        return Err(ImportFault::AlteredRequest);
    }
    for (name, same) in [
        ("sequence", bundle.sequence == request.sequence),
        ("previous bundle", bundle.previous == request.previous),
        ("length of a period", bundle.clockwork == request.clockwork),
    ] {
        if !same {
            return Err(ImportFault::Field(name));
        }
    }
    let asked: Vec<_> = request.slots.iter().map(|slot| (slot.period, slot.key)).collect();
    check_slots(bundle, &asked)
}

/// A bundle has these periods and keys, all and no others.
fn check_slots(bundle: &Bundle, asked: &[(PeriodNumber, DescSigningKey)]) -> Result<(), ImportFault> {
    let found: Vec<_> = bundle.slots.iter().map(|slot| slot.period).collect();
    let wanted: Vec<_> = asked.iter().map(|(period, _key)| *period).collect();
    if found != wanted {
        return Err(ImportFault::Slots { found: range(&found), asked: range(&wanted) });
    }
    match bundle.slots.iter().zip(asked).find(|(slot, (_period, key))| slot.key != *key) {
        Some((slot, _asked)) => Err(ImportFault::OtherKey(slot.period)),
        None => Ok(()),
    }
}

/// Periods as a range.
fn range(periods: &[PeriodNumber]) -> String {
    match (periods.first(), periods.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}

/// A bundle for standby keys: they are those of its request.
fn check_emergency(
    read: &Read<Bundle>,
    standby: &Standby,
    current: Option<&Read<Bundle>>,
) -> Result<(), ImportFault> {
    let bundle = &read.content;
    if let Some(current) = current.map(|current| current.content.sequence)
        && bundle.sequence < current
    {
        return Err(ImportFault::Older { found: bundle.sequence, current });
    }
    if standby.onion != bundle.onion
        || (standby.request, standby.digest) != (bundle.request, bundle.request_digest)
    {
        return Err(ImportFault::OtherStandby);
    }
    let asked: Vec<_> = standby.keys.iter().map(|key| (key.period, key.key)).collect();
    check_slots(bundle, &asked)
}

/// A bundle makes nothing worse: no gap, not shorter, nothing dropped that is needed.
fn check_cover(
    bundle: &Bundle,
    current: Option<&Read<Bundle>>,
    old: Option<&Read<Bundle>>,
    now: UnixTime,
) -> Result<(), ImportFault> {
    let need = first_in_use(&bundle.clockwork, now);
    let ends = |bundle: &Bundle| Some((bundle.slots.first()?.period, bundle.slots.last()?.period));
    let Some((first, last)) = ends(bundle) else { return Ok(()) };
    if last < need {
        return Err(ImportFault::Over(last));
    }
    let Some(current) = current.map(|read| &read.content) else { return Ok(()) };
    let Some((from, to)) = ends(current) else { return Ok(()) };
    if bundle.kind == Kind::Main && to >= need {
        if last < to {
            return Err(ImportFault::Shorter { found: last, current: to });
        }
        if first > to.next() {
            return Err(ImportFault::Gap { from: to.next(), to: first.previous() });
        }
        // What only the one before the current has.
        let needed = old.and_then(|old| ends(&old.content)).filter(|(_first, last)| *last >= need);
        if needed.is_some() && need < from.min(first) {
            return Err(ImportFault::StillNeeded(need));
        }
    }
    Ok(())
}

/// The periods in use now or next for which nobody would have a slot, and later ones up to the bundle's end.
fn missing(read: &Read<Bundle>, current: Option<&Read<Bundle>>, now: UnixTime) -> Vec<PeriodNumber> {
    let bundle = &read.content;
    let before = current.filter(|_current| bundle.kind == Kind::Main);
    let both = [Some(read), before].into_iter().flatten().flat_map(|read| &read.content.slots);
    let slots: BTreeSet<_> = both.map(|slot| slot.period).collect();
    let need = first_in_use(&bundle.clockwork, now);
    let last = slots.last().map_or(need.0, |last| last.0);
    (need.0..last).map(PeriodNumber).filter(|period| !slots.contains(period)).collect()
}

/// Changes the files: keys first, then the old bundle, the new one, and what is needed no more.
fn replace(
    store: &Store,
    octets: &[u8],
    (bundle, is_second): (&Bundle, bool),
    standby: Option<&Standby>,
    enrolled: Option<&AuditKey>,
) -> Result<(), CeremonyError> {
    if let Some(standby) = standby {
        standby.keys.iter().try_for_each(|key| key.write(&store.slots(), standby.seal))?;
    }
    if let Some(key) = enrolled {
        store.enrol_auditor(key)?;
    }
    if is_second {
        let before = file::read_octets(&store.bundle_path(Place::Current), u64::MAX)?.unwrap_or_default();
        file::write_octets(&store.bundle_path(Place::Old), &[&before])?;
    }
    file::write_octets(&store.bundle_path(Place::Current), &[octets])?;
    if bundle.kind == Kind::Main {
        file::wipe(&store.file("request"))?;
    }
    file::wipe(&store.file("chain"))?;
    Ok(())
}

/// The keys that a bundle certifies.
///
/// # Errors
/// [`CeremonyError`] if a bundle cannot be read: then nobody knows, and nothing may be wiped.
pub(super) fn certified(store: &Store) -> Result<BTreeSet<(PeriodNumber, DescSigningKey)>, CeremonyError> {
    let (current, old) = (store.bundle(Place::Current)?, store.bundle(Place::Old)?);
    let slots = [current, old].into_iter().flatten().flat_map(|read| read.content.slots);
    Ok(slots.map(|slot| (slot.period, slot.key)).collect())
}

/// Reads a bundle from the medium.
///
/// # Errors
/// [`CeremonyError::Usage`] if it cannot be read.
pub fn read_file(path: &std::path::Path) -> Result<Vec<u8>, CeremonyError> {
    let most = u64::try_from(FILE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let advice = "name the file on the ceremony's medium, and see that this user may read it";
    let octets = file::read_octets(path, most).map_err(|why| usage(why.to_string(), advice))?;
    octets.ok_or_else(|| usage(format!("there is no file {}", path.display()), advice))
}
