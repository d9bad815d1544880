//! `request key` and `request new`: one key for each period, and the file that asks for their certificates.

use super::horizon::first_in_use;
use super::seal::Seal;
use super::slot::SlotKey;
use super::standby::Standby;
use super::store::{ChainEnd, RequestSecret, Store};
use super::{CeremonyError, usage};
use crate::state::StateError;
use crate::state::file;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::request::SLOTS_MAX;
use onionkeep_common::paper::{FileDigest, Previous, Purpose, Request, RequestId};
use onionkeep_common::{PeriodNumber, TimePeriod, UnixTime};
use std::path::Path;

/// So many periods from the one in use are asked for unless the operator says how many.
const PERIODS: u64 = 30;

/// What the operator wants.
pub struct Wish<'a> {
    /// How many periods.
    pub periods: Option<u64>,
    /// The first; without it the one after the last bundle's, or the one in use.
    pub from: Option<PeriodNumber>,
    /// Where the private halves of standby keys go; without it there are none.
    pub standby: Option<&'a Path>,
    /// How the private halves are sealed; those of standby keys never are.
    pub seal: Seal,
    /// Where the request goes.
    pub output: &'a Path,
    /// Give up the request that is open.
    pub replace: bool,
    /// The network's clockwork.
    pub clockwork: Clockwork,
    /// The time.
    pub now: UnixTime,
}

/// Makes keys and a request for them. The keys are on disk before the request is.
///
/// # Errors
/// [`CeremonyError`] if nothing was asked for, a request is open, or the system refuses.
pub fn new(store: &Store, wish: &Wish<'_>) -> Result<(Request, FileDigest), CeremonyError> {
    let _lock = store.lock()?;
    check_free(store, wish)?;
    super::seal::check(wish.seal).map_err(StateError::from)?;
    let end = store.chain_end()?;
    let periods = periods(store, wish)?;
    wipe_unused(store)?;
    let secret =
        store.request_key(true)?.ok_or_else(|| usage("there is no request key", "see the state folder"))?;
    let length = wish.clockwork.rule.length;
    let make =
        || -> Result<Vec<SlotKey>, StateError> { periods.iter().copied().map(SlotKey::generate).collect() };
    let keys = make()?;
    let spare = if wish.standby.is_some() { make()? } else { Vec::new() };
    let slots = |keys: &[SlotKey]| {
        let slot = |key: &SlotKey| key.slot(&store.onion, TimePeriod { number: key.period, length });
        keys.iter().map(slot).collect()
    };
    let request = Request {
        purpose: Purpose::Real,
        onion: store.onion,
        id: fresh_id()?,
        sequence: end.map_or(1, |end| end.sequence.saturating_add(1)),
        previous: end.map_or(Previous::First, |end: ChainEnd| end.previous),
        created: wish.now,
        clockwork: wish.clockwork,
        requester: secret.public(),
        slots: slots(&keys),
        standby: slots(&spare),
    };
    let digest = write(store, wish, &request, &secret, (keys, spare))?;
    Ok((request, digest))
}

/// Refuses to write over anything, and to forget a request whose bundle may be on its way.
fn check_free(store: &Store, wish: &Wish<'_>) -> Result<(), CeremonyError> {
    for path in [Some(wish.output), wish.standby].into_iter().flatten() {
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is there already", path.display());
            return Err(usage(what, "name a new file, or move that one away"));
        }
    }
    if let Some(open) = store.request()?.filter(|_open| !wish.replace) {
        let what = format!("request {} is open: its bundle was not imported yet", open.content.id);
        let advice =
            "import its bundle; or give its keys up with --replace, so that its bundle will be worth nothing";
        return Err(usage(what, advice));
    }
    Ok(())
}

/// Which periods are to be asked for.
fn periods(store: &Store, wish: &Wish<'_>) -> Result<Vec<PeriodNumber>, CeremonyError> {
    let in_use = first_in_use(&wish.clockwork, wish.now);
    let current = store.bundle(super::store::Place::Current)?;
    let last = current.as_ref().and_then(|read| read.content.slots.last()).map(|slot| slot.period);
    let first = wish.from.unwrap_or_else(|| last.map_or(in_use, |last| last.next().max(in_use)));
    let usual = in_use.0.saturating_add(PERIODS).saturating_sub(first.0);
    let count = wish.periods.unwrap_or(usual);
    let most = u64::try_from(SLOTS_MAX).unwrap_or_default();
    if first < in_use {
        let what = format!("period {first} is over, the first in use is {in_use}");
        return Err(usage(what, "leave --from away, or name a period that is still in use"));
    }
    if !(1..=most).contains(&count) {
        let what = format!("{count} periods from period {first}: wanted are 1 to {most}");
        return Err(usage(
            what,
            "the last bundle may reach far enough: see `bundle status`; or say --periods",
        ));
    }
    Ok((first.0..first.0.saturating_add(count)).map(PeriodNumber).collect())
}

/// Wipes the keys that no bundle certifies: those of a request that is given up, or was never finished.
fn wipe_unused(store: &Store) -> Result<(), CeremonyError> {
    file::wipe(&store.file("request"))?;
    super::import::wipe_uncertified(store)
}

/// Sixteen random octets.
fn fresh_id() -> Result<RequestId, StateError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(StateError::Random)?;
    Ok(RequestId(id))
}

/// Writes keys, standby keys, the request for the operator, and our copy of it, in this order.
fn write(
    store: &Store,
    wish: &Wish<'_>,
    request: &Request,
    secret: &RequestSecret,
    (keys, spare): (Vec<SlotKey>, Vec<SlotKey>),
) -> Result<FileDigest, CeremonyError> {
    let text = request.to_file(|text| secret.sign(text));
    let digest = FileDigest::of(text.as_bytes());
    let kept = keys.iter().try_for_each(|key| key.write(&store.slots(), wish.seal));
    if let Err(why) = kept {
        for key in &keys {
            store.wipe_slot(key.period, &key.key)?;
        }
        return Err(why.into());
    }
    if let Some(path) = wish.standby {
        let (onion, request, seal) = (store.onion, request.id, wish.seal);
        Standby { onion, request, digest, keys: spare, seal }.write(path)?;
    }
    file::write_octets(wish.output, &[text.as_bytes()])?;
    file::write_octets(&store.file("request"), &[text.as_bytes()])?;
    Ok(digest)
}
