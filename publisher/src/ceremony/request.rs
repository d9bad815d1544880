//! `request key` and `request new`: one key for each period, and the file that asks for their certificates.

use super::horizon::first_in_use;
use super::outputs::{self, Written};
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
use onionkeep_common::{DescSigningKey, PeriodNumber, TimePeriod, UnixTime};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// So many periods from the one in use are asked for unless the operator says how many.
const PERIODS: u64 = 30;
/// A day in **seconds**.
const DAY: u64 = 86_400;
/// The last period begins at most so many **seconds** from now: as far as the most slots of a request reach on the public network. The
/// rules of a ceremony allow less (`req-window`).
const FARTHEST: u64 = 400 * DAY;

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

/// A request that was made.
pub struct Made {
    /// What it asks for.
    pub request: Request,
    /// The digest of its file.
    pub digest: FileDigest,
    /// What was given up for it.
    pub given_up: Option<GivenUp>,
}

/// A request that was open before, whose keys are wiped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// This one.
    Request(RequestId),
    /// One whose file was damaged.
    Damaged(PathBuf),
}

/// Makes keys and a request for them. The keys are on disk before the request is.
///
/// A request that is given up goes last: before all of the new one is written nothing of it is touched, and whatever
/// happens on the way, either the old one is whole or the new one.
///
/// # Errors
/// [`CeremonyError`] if nothing was asked for, a request is open, or the system refuses.
pub fn new(store: &Store, wish: &Wish<'_>) -> Result<Made, CeremonyError> {
    outputs::check(wish)?;
    let _lock = store.lock()?;
    let given_up = open(store, wish.replace)?;
    super::seal::check(wish.seal).map_err(StateError::from)?;
    let end = store.chain_end()?;
    let periods = periods(store, wish)?;
    let certified = super::import::certified(store)?;
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
    wipe_unused(store, certified, &request)
        .map_err(|why| CeremonyError::NotWiped { request: request.id, why })?;
    Ok(Made { request, digest, given_up })
}

/// The request that is open; refuses to forget it unless that is wanted, for its bundle may be on its way.
fn open(store: &Store, replace: bool) -> Result<Option<GivenUp>, CeremonyError> {
    match store.request() {
        Ok(None) => Ok(None),
        Ok(Some(open)) if replace => Ok(Some(GivenUp::Request(open.content.id))),
        Err(CeremonyError::RequestDamaged { path }) if replace => Ok(Some(GivenUp::Damaged(path))),
        Ok(Some(open)) => {
            let what = format!("request {} is open: its bundle was not imported yet", open.content.id);
            let advice = "import its bundle; or give its keys up with --replace, so that its bundle will be worth nothing";
            Err(usage(what, advice))
        }
        Err(why) => Err(why),
    }
}

/// Which periods are to be asked for.
fn periods(store: &Store, wish: &Wish<'_>) -> Result<Vec<PeriodNumber>, CeremonyError> {
    let in_use = first_in_use(&wish.clockwork, wish.now);
    let current = store.bundle(super::store::Place::Current)?;
    let last = current.as_ref().and_then(|read| read.content.slots.last()).map(|slot| slot.period);
    let first = wish.from.unwrap_or_else(|| last.map_or(in_use, |last| last.next().max(in_use)));
    if first < in_use {
        let what = format!("period {first} is over, the first in use is {in_use}");
        return Err(usage(what, "leave --from away, or name a period that is still in use"));
    }
    // No later period can be meant, whatever --periods says.
    let latest = wish.clockwork.rule.number_at(wish.now.plus(FARTHEST));
    let usual = in_use.0.saturating_add(PERIODS).saturating_sub(first.0);
    let count = wish.periods.unwrap_or(if first > latest { 1 } else { usual });
    let most = u64::try_from(SLOTS_MAX).unwrap_or_default();
    if !(1..=most).contains(&count) {
        let what = format!("{count} periods from period {first}: wanted are 1 to {most}");
        return Err(usage(
            what,
            "the last bundle may reach far enough: see `bundle status`; or say --periods",
        ));
    }
    let end = first.0.checked_add(count).filter(|end| *end <= latest.next().0);
    let Some(end) = end else {
        let days = FARTHEST / DAY;
        let what = format!(
            "{count} periods from period {first} end after {latest}, the last that begins within {days} days"
        );
        return Err(usage(what, "name an earlier --from or fewer --periods: no ceremony signs so far ahead"));
    };
    Ok((first.0..end).map(PeriodNumber).collect())
}

/// Wipes the keys that neither a bundle certifies nor the new request names: those of a request that is given up, or was
/// never finished.
fn wipe_unused(
    store: &Store,
    mut named: BTreeSet<(PeriodNumber, DescSigningKey)>,
    request: &Request,
) -> Result<(), StateError> {
    named.extend(request.slots.iter().map(|slot| (slot.period, slot.key)));
    store.wipe_leftovers()?;
    for (period, key) in store.slot_keys()? {
        if !named.contains(&(period, key)) {
            store.wipe_slot(period, &key)?;
        }
    }
    Ok(())
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
    let mut written = Written { keys: &keys, files: Vec::new() };
    keys.iter()
        .try_for_each(|key| key.write(&store.slots(), wish.seal))
        .map_err(|why| written.undo(store, why.into()))?;
    if let Some(path) = wish.standby {
        let (onion, request, seal) = (store.onion, request.id, wish.seal);
        let standby = Standby { onion, request, digest, keys: spare, seal };
        standby.write(path).map_err(|why| written.undo(store, why))?;
        written.files.push(path);
    }
    let given = file::write_fresh(wish.output, &[text.as_bytes()], file::OURS_ALONE);
    given.map_err(|why| written.undo(store, why.into()))?;
    written.files.push(wish.output);
    // From here on the new request is the open one; the one before is gone.
    let kept = file::write_octets(&store.file("request"), &[text.as_bytes()]);
    kept.map_err(|why| {
        let is_open = store.request().ok().flatten().is_some_and(|open| open.digest == digest);
        if is_open { why.into() } else { written.undo(store, why.into()) }
    })?;
    Ok(digest)
}
