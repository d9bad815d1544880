//! Check and record: the ledger behind one lock, one flight per certificate. The only place that writes decisions down.
//!
//! In this order: rules, line `asked` on the disk, vault (without the lock), certificate verified, line `issued` on the
//! disk, answer. Whoever asks for the same meanwhile waits and gets the same octets.

use super::sync::{Condvar, Mutex, MutexGuard};
use super::{Denial, STORAGE_RETRY};
use crate::clock::{deadline_in, until};
use crate::error::Explain as _;
use crate::ledger::device_log::DeviceLog;
use crate::ledger::refusals::Refusals;
use crate::ledger::{Event, Head, Ledger, LedgerError, Slot};
use crate::log::{Level, by_peer, line};
use crate::policy::{Policy, Question, Refusal};
use crate::token::AuditSignature;
use onionkeep_common::wire::{AwayReason, Rule};
use onionkeep_common::{DescSigningKey, EncodedCert, ExpirationHours, UnixTime};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

/// How long one peer waits for another's flight; more than a vault has for its answer.
const FLIGHT_PATIENCE: Duration = Duration::from_secs(6);
/// **Seconds** after which a checkpoint that failed is tried again.
const CHECKPOINT_RETRY: u64 = 60;
/// **Seconds** after which an unfinished flight of another may be asked about again.
const FLIGHT_RETRY: u32 = 5;

/// The books.
pub(super) struct Books {
    /// What changes.
    inner: Mutex<Inner>,
    /// Told whenever a flight ends.
    landed: Condvar,
}

/// What changes while serving.
struct Inner {
    /// The ledger.
    ledger: Ledger,
    /// Slots for which the vault is being asked.
    flights: BTreeSet<(DescSigningKey, ExpirationHours)>,
    /// Refusals that are not recorded yet.
    refusals: Refusals,
    /// No checkpoint is tried before this.
    checkpoint_after: UnixTime,
}

/// What the rules let through.
pub(super) enum Admitted {
    /// A certificate to be made; the line of this number asked for it. Must be landed.
    New(Slot, u64),
    /// One that is on record.
    Issued(EncodedCert),
}

impl Books {
    /// Books around a ledger.
    pub(super) fn new(ledger: Ledger) -> Self {
        let inner = Inner {
            ledger,
            flights: BTreeSet::new(),
            refusals: Refusals::default(),
            checkpoint_after: UnixTime(0),
        };
        Self { inner: Mutex::new(inner), landed: Condvar::new() }
    }

    /// Runs all rules, and records a request that is new.
    pub(super) fn admit(&self, policy: &Policy, question: &Question<'_>) -> Result<Admitted, Denial> {
        let expires = ExpirationHours::of_desc_signing_cert(question.now);
        let slot_key = (question.request.key, expires);
        let deadline = deadline_in(FLIGHT_PATIENCE);
        let mut inner = self.lock();
        let mut waited = false;
        loop {
            let period = policy
                .check(question, inner.ledger.memory())
                .map_err(|refusal| inner.refused(question, refusal))?;
            if let Some(cert) = inner.ledger.memory().cert(&slot_key.0, expires) {
                return Ok(Admitted::Issued(cert));
            }
            if !inner.flights.contains(&slot_key) {
                if waited {
                    // The flight that was waited for brought nothing: what stopped it stops this one too.
                    return Err(Denial::busy("another request for the same certificate failed"));
                }
                let slot = Slot { onion: question.onion(), period, key: slot_key.0, expires };
                let asked = inner.asked(question, slot)?;
                inner.flights.insert(slot_key);
                return Ok(Admitted::New(slot, asked));
            }
            let left = until(deadline);
            if left.is_zero() {
                return Err(Denial::busy("another request for the same certificate is still under way"));
            }
            waited = true;
            let told = self.landed.wait_timeout(inner, left);
            inner = told.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends a flight; a certificate is recorded first, and may be released only if this says so.
    pub(super) fn land(
        &self,
        slot: &Slot,
        asked: u64,
        now: UnixTime,
        cert: Option<EncodedCert>,
    ) -> Result<(), Denial> {
        let mut inner = self.lock();
        let recorded = cert.map_or(Ok(0), |cert| inner.ledger.append(now, Event::Issued { asked, cert }));
        inner.flights.remove(&(slot.key, slot.expires));
        drop(inner);
        self.landed.notify_all();
        recorded.map(drop).map_err(|error| not_recorded(&error))
    }

    /// Records that serving begins.
    pub(super) fn started(&self, now: UnixTime) -> Result<(), LedgerError> {
        let mut inner = self.lock();
        let (version, cut) = (env!("CARGO_PKG_VERSION").to_owned(), inner.ledger.cut());
        if cut > 0 {
            line(Level::Warn, "ledger-cut", &[("octets", &cut)]);
        }
        inner.ledger.append(now, Event::Start { version, cut }).map(drop)
    }

    /// Whether a checkpoint is due; nobody else is told so for a while.
    pub(super) fn wants_checkpoint(&self, now: UnixTime, anyway: bool) -> bool {
        let mut inner = self.lock();
        let due = anyway || inner.ledger.wants_checkpoint() && now >= inner.checkpoint_after;
        inner.checkpoint_after = if due { now.plus(CHECKPOINT_RETRY) } else { inner.checkpoint_after };
        due
    }

    /// Number and hash of the last line.
    pub(super) fn head(&self) -> (u64, Head) {
        self.lock().ledger.head()
    }

    /// Records how much of the token's own log there is.
    pub(super) fn note_device_log(&self, now: UnixTime, log: DeviceLog) -> Result<(), LedgerError> {
        self.lock().ledger.note_device_log(now, log)
    }

    /// Records a checkpoint whose signature is good.
    pub(super) fn checkpoint(
        &self,
        now: UnixTime,
        (seq, head): (u64, Head),
        signature: AuditSignature,
    ) -> Result<(), String> {
        let mut inner = self.lock();
        inner.ledger.checkpoint(now, seq, head, signature)?;
        inner.checkpoint_after = UnixTime(0);
        Ok(())
    }

    /// The books. A thread that ended in the middle has changed nothing by halves: the ledger is written first.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every append fail, as a full disk does.
    #[cfg(test)]
    pub(super) fn break_writing_for_test(&self) {
        self.lock().ledger.break_writing_for_test();
    }
}

impl Inner {
    /// The number of the line that asked for a slot; the line is written if there is none.
    fn asked(&mut self, question: &Question<'_>, slot: Slot) -> Result<u64, Denial> {
        if let Some(asked) = self.ledger.memory().asked(&slot.key, slot.expires) {
            return Ok(asked);
        }
        for event in self.refusals.due(question.now) {
            self.ledger.append(question.now, event).map_err(|error| not_recorded(&error))?;
        }
        let event = Event::Asked { slot, uid: question.uid };
        self.ledger.append(question.now, event).map_err(|error| not_recorded(&error))
    }

    /// Records a refusal, at most one line an hour for each peer and rule. A disk that is full hinders no refusal.
    fn refused(&mut self, question: &Question<'_>, refusal: Refusal) -> Denial {
        // A clock that is behind must not leave its time in the ledger.
        let clock = refusal.rule == Rule::ClockForward;
        let now = if clock { self.ledger.memory().latest() } else { question.now };
        if let Some(event) = self.refusals.note(now, question.uid, refusal.rule)
            && let Err(error) = self.ledger.append(now, event)
        {
            by_peer(Some(question.uid), Level::Error, "refusal-not-recorded", &[("why", &error.in_full())]);
        }
        Denial::Refused(refusal)
    }
}

/// The ledger could not be written, so nothing is released.
fn not_recorded(error: &LedgerError) -> Denial {
    Denial::Away { reason: AwayReason::Storage, why: error.in_full(), retry_after: STORAGE_RETRY }
}

impl Denial {
    /// Somebody else's request is in the way.
    fn busy(why: &str) -> Self {
        Self::Away { reason: AwayReason::Busy, why: why.to_owned(), retry_after: FLIGHT_RETRY }
    }
}

#[cfg(all(test, onionkeep_model))]
mod spoiled;
