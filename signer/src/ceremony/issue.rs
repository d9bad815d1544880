//! Makes the bundles that answer a request, all or nothing; the only place with that order.
//!
//! Rules, confirmed clock, request in the ledger, certificates, signature, everything verified, bundles kept in the state directory,
//! their digests in the ledger: only then they leave. The same request again gives what was kept, octet by octet.

use super::policy::{self, Facts};
use crate::audit_key::AuditKey;
use crate::error::{Failure, Kind as Place};
use crate::ledger::ceremonies::Answered;
use crate::ledger::{Event, Ledger, Memory, Requested};
use crate::state;
use crate::token::Token;
use crate::vault::Vault;
use onionkeep_common::paper::{
    Bundle, BundleSlot, FileDigest, Kind, LedgerHead, Purpose, Read, Request, Slot,
};
use onionkeep_common::{EncodedCert, OnionAddress, PeriodNumber, PeriodRule, TimePeriod, UnixTime};
use onionkeep_core::{CertTerms, Ladder};
use std::io;
use std::path::{Path, PathBuf};

/// The directory of the bundles that were made, in the state directory.
const DIRECTORY: &str = "ceremony";

/// What is to be issued, and under which circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The request.
    pub request: &'a Read<Request>,
    /// The configured onions.
    pub onions: &'a [OnionAddress],
    /// The configured periods.
    pub periods: PeriodRule,
    /// Where the ledger is.
    pub state_dir: &'a Path,
    /// The time.
    pub now: UnixTime,
    /// How many periods ahead may be asked for.
    pub horizon: u64,
    /// Whether this is the onion's first request.
    pub first: bool,
    /// Whether it counts.
    pub purpose: Purpose,
}

/// The files that answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The bundle's file.
    pub main: Vec<u8>,
    /// The emergency bundle's file, if the request has standby keys.
    pub emergency: Option<Vec<u8>>,
}

impl Issued {
    /// The files in the order of the ledger's line.
    fn files(&self) -> impl Iterator<Item = &Vec<u8>> {
        [&self.main].into_iter().chain(&self.emergency)
    }
}

impl<'a> Order<'a> {
    /// What the rules look at.
    #[must_use]
    pub const fn facts(&self, memory: &'a Memory) -> Facts<'a> {
        let Self { request, onions, periods, now, horizon, first, purpose, .. } = *self;
        Facts { request, onions, periods, memory, now, horizon, first, purpose }
    }

    /// What answered this request before, if anything did.
    ///
    /// # Errors
    /// [`Failure`] if it was denied since, or its publisher is another one now; and if it was answered but the answer is not
    /// there any more: it is never made anew.
    pub fn answered(&self, memory: &Memory) -> Result<Option<Issued>, Failure> {
        let Some(answered) = memory.ceremonies().answer(&self.request.digest) else { return Ok(None) };
        policy::admit_again(&self.facts(memory))?;
        let Answered { main, emergency, .. } = answered;
        let emergency = emergency.map(|digest| self.kept(digest)).transpose()?;
        Ok(Some(Issued { main: self.kept(*main)?, emergency }))
    }

    /// Where a bundle is kept.
    fn place(&self, digest: FileDigest) -> PathBuf {
        self.directory().join(digest.to_string())
    }

    /// The directory of the bundles that were made.
    fn directory(&self) -> PathBuf {
        self.state_dir.join(DIRECTORY)
    }

    /// A bundle that was kept.
    fn kept(&self, digest: FileDigest) -> Result<Vec<u8>, Failure> {
        let path = self.place(digest);
        let file = std::fs::read(&path).and_then(|file| {
            if FileDigest::of(&file) == digest { Ok(file) } else { Err(io::Error::other("it was altered")) }
        });
        file.map_err(|error| {
            let text = format!(
                "this request was answered, but {} is not usable: {error}. Nothing was signed",
                path.display()
            );
            Failure::new(
                Place::Ledger,
                text,
                "copy the bundle from its medium to that place, or ask the publisher for a new request",
            )
        })
    }

    /// Keeps the bundles under their digests.
    fn keep(&self, issued: &Issued) -> Result<(), Failure> {
        let directory = self.directory();
        let made = || -> io::Result<()> {
            state::directory(self.state_dir, DIRECTORY)?;
            issued
                .files()
                .try_for_each(|file| state::replace(&directory, &FileDigest::of(file).to_string(), file))
        };
        made().map_err(|error| {
            let text = format!("cannot write to {}: {error}. No bundle was issued", directory.display());
            Failure::new(Place::Usage, text, "free space there and run the same command again")
        })
    }

    /// The lines that record the request.
    fn lines(&self) -> Vec<Event> {
        let Read { content, digest } = self.request;
        let count = u32::try_from(content.slots.len()).unwrap_or(u32::MAX);
        let requested = Requested {
            onion: content.onion,
            id: content.id,
            digest: *digest,
            sequence: content.sequence,
            first: content.slots.first().map_or(PeriodNumber(0), |slot| slot.period),
            count,
            purpose: self.purpose,
        };
        let key = |kind: Kind| {
            move |slot: &Slot| Event::Key {
                onion: content.onion,
                period: self.period(slot),
                key: slot.key,
                kind,
            }
        };
        let main = content.slots.iter().map(key(Kind::Main));
        let all = main.chain(content.standby.iter().map(key(Kind::Emergency)));
        [Event::Request(requested)].into_iter().chain(all).collect()
    }

    /// A slot's period.
    const fn period(&self, slot: &Slot) -> TimePeriod {
        TimePeriod { number: slot.period, length: self.request.content.clockwork.rule.length }
    }

    /// A slot's ladder.
    fn ladder(&self, slot: &Slot) -> Ladder {
        let clockwork = &self.request.content.clockwork;
        let (expires, count) = (clockwork.ladder(slot.period).0, clockwork.rungs(slot.period));
        let first = CertTerms { period: self.period(slot), key: slot.key, expires };
        Ladder { first, count: u32::try_from(count).unwrap_or(u32::MAX) }
    }

    /// How many certificates there will be.
    #[must_use]
    pub fn certificates(&self) -> usize {
        let content = &self.request.content;
        content.slots.iter().chain(&content.standby).map(|slot| content.clockwork.rungs(slot.period)).sum()
    }

    /// A bundle of certificates that were made.
    fn bundle(&self, kind: Kind, slots: Vec<BundleSlot>, ledger: LedgerHead, key: AuditKey) -> Bundle {
        let Read { content, digest } = self.request;
        Bundle {
            purpose: self.purpose,
            kind,
            onion: content.onion,
            request: content.id,
            request_digest: *digest,
            sequence: content.sequence,
            previous: content.previous,
            created: self.now,
            clockwork: content.clockwork,
            ledger,
            auditor: key.to_string(),
            slots,
        }
    }
}

/// Answers a request. `watch` is what the operator's watch shows; `each` is told how many certificates there are.
///
/// # Errors
/// [`Failure`] says what was not done; then no bundle left, and the same request can be answered later.
pub fn issue<T: Token>(
    order: &Order<'_>,
    vault: &mut Vault<T>,
    ledger: &mut Ledger,
    watch: UnixTime,
    each: &mut dyn FnMut(usize),
) -> Result<Issued, Failure> {
    policy::clock_confirmed(order.now, watch)?;
    if let Some(issued) = order.answered(ledger.memory())? {
        return Ok(issued);
    }
    policy::admit(&order.facts(ledger.memory()))?;
    let token = unsigned(vault.audit_key())?;
    ledger.must_name(token)?;
    // A part of these lines is no record of the keys: they are written once more, which means the same to whoever reads them.
    if !ledger.memory().ceremonies().is_recorded(order.request) {
        ledger.append_all(order.now, order.lines())?;
    }
    policy::audit_first(ledger.memory(), order.request, ledger.key(), token)?;
    let issued = match left_over(order, ledger, token)? {
        Some(issued) => issued,
        None => make(order, vault, ledger.head(), token, each)?,
    };
    // What is left over may still have its temporary name: kept once more, it has its own.
    order.keep(&issued)?;
    let digest = |file: &Vec<u8>| FileDigest::of(file);
    let (main, emergency) = (digest(&issued.main), issued.emergency.as_ref().map(digest));
    let line = Event::Bundle { request: order.request.digest, main, emergency };
    ledger.append(order.now, line)?;
    Ok(issued)
}

/// What a power cut left between the keeping of the bundles and their line in the ledger: taken if it is whole, removed if not.
///
/// So there are never two bundles for one request, not even one that nobody has seen.
fn left_over(order: &Order<'_>, ledger: &Ledger, key: AuditKey) -> Result<Option<Issued>, Failure> {
    let failed = |error: io::Error| {
        let text = format!("cannot tidy {}: {error}. No bundle was issued", order.directory().display());
        Failure::new(Place::Usage, text, "look at the directory and run the same command again")
    };
    let (mut main, mut emergency, mut found) = (None, None, Vec::new());
    let entries = match std::fs::read_dir(order.directory()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let (sequence, head) = ledger.head();
    let head = LedgerHead { sequence, hash: head.0 };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let file = std::fs::read(&path).map_err(failed)?;
        if ledger.memory().ceremonies().is_issued(&FileDigest::of(&file)) {
            continue;
        }
        let Ok(read) = super::check::signed(&file, Some(key)) else {
            // Half a file that a power cut left under its temporary name.
            if path.extension().is_some_and(|end| end == "new") {
                found.push(path);
            }
            continue;
        };
        let bundle = read.content;
        if bundle.request_digest == order.request.digest {
            found.push(path);
            match bundle.kind {
                _ if bundle.ledger != head => {}
                Kind::Main => main = Some(file),
                Kind::Emergency => emergency = Some(file),
            }
        }
    }
    match (main, emergency, order.request.content.standby.is_empty()) {
        (Some(main), None, true) => Ok(Some(Issued { main, emergency: None })),
        (Some(main), Some(spare), false) => Ok(Some(Issued { main, emergency: Some(spare) })),
        _ => {
            found.iter().try_for_each(std::fs::remove_file).map_err(failed)?;
            state::sync_directory(order.directory().as_path()).map_err(failed)?;
            Ok(None)
        }
    }
}

/// Has the token sign the ledger as it is after a ceremony.
///
/// # Errors
/// [`Failure`] if it does not; the bundles stay good, and `audit checkpoint` does it later.
pub fn checkpoint<T: Token>(vault: &mut Vault<T>, ledger: &mut Ledger, now: UnixTime) -> Result<(), Failure> {
    let (seq, head) = ledger.head();
    let signed = vault.sign_head(seq, head.0)?;
    let hint = "the bundles are good; onionkeep-signer audit checkpoint signs the ledger later";
    ledger.checkpoint(now, seq, head, signed).map_err(|why| Failure::new(Place::Ledger, why, hint))
}

/// Says about a failure that nothing came of it.
fn unsigned<R, E: Into<Failure>>(result: Result<R, E>) -> Result<R, Failure> {
    result.map_err(|error| error.into().because("no bundle was issued; the same command may be run again"))
}

/// Makes, signs and verifies the bundles.
fn make<T: Token>(
    order: &Order<'_>,
    vault: &mut Vault<T>,
    (sequence, head): (u64, crate::ledger::Head),
    key: AuditKey,
    each: &mut dyn FnMut(usize),
) -> Result<Issued, Failure> {
    let content = &order.request.content;
    let all: Vec<&Slot> = content.slots.iter().chain(&content.standby).collect();
    let ladders: Vec<_> = all.iter().map(|slot| order.ladder(slot)).collect();
    let rungs = unsigned(vault.ladders(content.onion, &ladders, each))?;
    let slot = |((slot, ladder), certs): ((&&Slot, &Ladder), Vec<EncodedCert>)| BundleSlot {
        period: slot.period,
        key: slot.key,
        first: ladder.first.expires,
        certs,
    };
    let mut main: Vec<_> = all.iter().zip(&ladders).zip(rungs).map(slot).collect();
    let emergency = main.split_off(content.slots.len().min(main.len()));
    let ledger = LedgerHead { sequence, hash: head.0 };
    let mut file =
        |kind, slots: Vec<BundleSlot>| finished(&order.bundle(kind, slots, ledger, key), vault, key);
    let main = file(Kind::Main, main)?;
    let emergency = if emergency.is_empty() { None } else { Some(file(Kind::Emergency, emergency)?) };
    Ok(Issued { main, emergency })
}

/// Signs a bundle, and reads it as if it came from a stranger.
fn finished<T: Token>(bundle: &Bundle, vault: &mut Vault<T>, key: AuditKey) -> Result<Vec<u8>, Failure> {
    let signature = unsigned(vault.sign_bundle(bundle))?;
    let file = bundle.to_file(&signature.0).into_bytes();
    policy::cert_expiry(bundle)?;
    policy::cert_verify(&file, bundle, key)?;
    Ok(file)
}
