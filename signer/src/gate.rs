//! Answers requests: policy, ledger, vault, check, reply. Has no secret and no token; the only place with that order.

use crate::clock::Clock;
use crate::error::Explain as _;
use crate::ledger::{Ledger, LedgerError, Slot};
use crate::log::{Level, by_peer};
use crate::policy::{Policy, Question, Refusal};
use crate::vault::{Answer, Ask, Certifier};
use books::{Admitted, Books};
use onionkeep_common::wire::{AwayReason, CertifyRequest, Reply};
use onionkeep_common::{CertType, EncodedCert, OnionAddress, UncheckedCert, UnixTime};
use onionkeep_core::CertTerms;
use std::fmt::Display;

mod books;
pub mod connection;
pub mod listener;
pub mod places;
mod sync;

/// A wait after which the disk may have room again, in **seconds**.
const STORAGE_RETRY: u32 = 60;

/// The gate: what stands between a peer and the vault.
pub struct Gate {
    /// The rules.
    policy: Policy,
    /// The time.
    clock: Box<dyn Clock>,
    /// The vault.
    certifier: Box<dyn Certifier>,
    /// The books.
    books: Books,
}

impl Gate {
    /// A gate in front of `certifier`.
    #[must_use]
    pub fn new(policy: Policy, ledger: Ledger, certifier: Box<dyn Certifier>, clock: Box<dyn Clock>) -> Self {
        Self { policy, clock, certifier, books: Books::new(ledger) }
    }

    /// Records that serving begins, and has the vault sign the ledger so far. A token that is away may sign later.
    ///
    /// # Errors
    /// [`LedgerError`] if nothing can be recorded.
    pub fn start(&self) -> Result<(), LedgerError> {
        self.books.started(self.clock.now())?;
        self.checkpoint(true);
        Ok(())
    }

    /// Has the vault sign the ledger's head if that is due, or `anyway`.
    fn checkpoint(&self, anyway: bool) {
        let now = self.clock.now();
        if !self.books.wants_checkpoint(now, anyway) {
            return;
        }
        self.note_device_log(now);
        let (seq, head) = self.books.head();
        let failed = match self.certifier.ask(Ask::SignHead { seq, head: head.0 }) {
            Answer::HeadSignature(signature) => self.books.checkpoint(now, (seq, head), signature).err(),
            Answer::Away { why, .. } | Answer::Busy { why, .. } | Answer::Failed(why) => Some(why),
            Answer::Certificate(_)
            | Answer::Well
            | Answer::DeviceLog(_)
            | Answer::Starting(_)
            | Answer::Ready { .. } => Some("the vault answered another question".to_owned()),
        };
        if let Some(why) = failed {
            by_peer(None, Level::Warn, "no-checkpoint", &[("line", &seq), ("why", &why)]);
        }
    }

    /// Records how much of the token's own log there is, so that the checkpoint that follows vouches for it.
    fn note_device_log(&self, now: UnixTime) {
        let failed = match self.certifier.ask(Ask::DeviceLog) {
            Answer::DeviceLog(None) => None,
            Answer::DeviceLog(Some(log)) => {
                self.books.note_device_log(now, log).err().map(|error| error.in_full())
            }
            Answer::Away { why, .. } | Answer::Busy { why, .. } | Answer::Failed(why) => Some(why),
            Answer::Certificate(_)
            | Answer::Well
            | Answer::HeadSignature(_)
            | Answer::Starting(_)
            | Answer::Ready { .. } => Some("the vault answered another question".to_owned()),
        };
        if let Some(why) = failed {
            by_peer(None, Level::Warn, "device-log-not-recorded", &[("why", &why)]);
        }
    }

    /// Whether any onion is configured for a peer.
    #[must_use]
    pub fn knows(&self, uid: u32) -> bool {
        self.policy.knows_peer(uid)
    }

    /// Answers one request of a peer, and logs the decision.
    pub fn answer(&self, uid: u32, request: &CertifyRequest) -> Reply {
        let onion = OnionAddress::new(request.onion);
        let shown = onion.redacted();
        let about: [(&str, &dyn Display); 3] =
            [("uid", &uid), ("onion", &shown), ("period", &request.period)];
        let note = |level, event: &'static str, more: &[(&str, &dyn Display)]| {
            by_peer(Some(uid), level, event, &[&about, more].concat());
        };
        let decision = self.decide(uid, request);
        self.checkpoint(false);
        match decision {
            Decision::Certified { cert, again } => {
                let event = if again { "certified-again" } else { "certified" };
                note(Level::Info, event, &[]);
                Reply::Certificate(cert)
            }
            Decision::Denied(Denial::Refused(Refusal { rule, retry_after })) => {
                note(Level::Warn, "refused", &[("rule", &rule), ("retry-after", &retry_after)]);
                Reply::Refused { rule, retry_after }
            }
            Decision::Denied(Denial::Away { reason, why, retry_after }) => {
                let fields: [(&str, &dyn Display); 3] =
                    [("reason", &reason.name()), ("retry-after", &retry_after), ("why", &why)];
                note(Level::Error, "away", &fields);
                Reply::Away { reason, retry_after }
            }
        }
    }

    /// Check and record under one lock; then certify; then verify; then record the certificate.
    fn decide(&self, uid: u32, request: &CertifyRequest) -> Decision {
        let question = Question { request, uid, now: self.clock.now() };
        let (slot, asked) = match self.books.admit(&self.policy, &question) {
            Ok(Admitted::New(slot, asked)) => (slot, asked),
            Ok(Admitted::Issued(cert)) => return Decision::Certified { cert, again: true },
            Err(denial) => return Decision::Denied(denial),
        };
        let made = self.certify(&slot, question.now);
        let landed = self.books.land(&slot, asked, question.now, made.as_ref().ok().copied());
        match (made, landed) {
            (Ok(cert), Ok(())) => Decision::Certified { cert, again: false },
            (Ok(_), Err(denial)) | (Err(denial), _) => Decision::Denied(denial),
        }
    }

    /// Has the vault certify, and checks the certificate.
    fn certify(&self, slot: &Slot, now: UnixTime) -> Result<EncodedCert, Denial> {
        let terms = CertTerms { period: slot.period, key: slot.key, expires: slot.expires };
        let away = |reason, why, retry_after| Err(Denial::Away { reason, why, retry_after });
        match self.certifier.ask(Ask::Certify { onion: slot.onion, terms }) {
            Answer::Certificate(cert) if is_right(&cert, slot.onion, &terms, now) => Ok(cert),
            Answer::Certificate(_wrong) => {
                Err(Denial::internal("the vault made a certificate that does not verify"))
            }
            Answer::Away { why, retry_after } => away(AwayReason::TokenAway, why, retry_after),
            Answer::Busy { why, retry_after } => away(AwayReason::Busy, why, retry_after),
            Answer::Failed(why) => Err(Denial::internal(&why)),
            Answer::Well
            | Answer::HeadSignature(_)
            | Answer::DeviceLog(_)
            | Answer::Starting(_)
            | Answer::Ready { .. } => Err(Denial::internal("the vault answered another question")),
        }
    }
}

/// What was decided about a request.
enum Decision {
    /// A certificate.
    Certified {
        /// The certificate.
        cert: EncodedCert,
        /// Whether it is the one of this hour given again.
        again: bool,
    },
    /// None.
    Denied(Denial),
}

/// Why there is no certificate.
enum Denial {
    /// A rule refuses.
    Refused(Refusal),
    /// Not now.
    Away {
        /// Why, for the peer.
        reason: AwayReason,
        /// Why, for the log.
        why: String,
        /// **Seconds**.
        retry_after: u32,
    },
}

impl Denial {
    /// Something inside failed.
    fn internal(why: &str) -> Self {
        Self::Away { reason: AwayReason::Internal, why: why.to_owned(), retry_after: 300 }
    }
}

/// Checks a certificate against the onion address and the terms, as if it came from a stranger.
pub(crate) fn is_right(cert: &EncodedCert, onion: OnionAddress, terms: &CertTerms, now: UnixTime) -> bool {
    let Ok(blinded) = onion.identity().blinded(terms.period) else { return false };
    let checked = UncheckedCert::parse(CertType::DescSigning, &cert.0)
        .and_then(UncheckedCert::check_signature)
        .and_then(|checked| checked.check_time(now));
    checked.is_ok_and(|good| {
        good.signer() == blinded.as_bytes()
            && good.certified() == terms.key.as_bytes()
            && good.expires() == terms.expires
    })
}

#[cfg(all(test, onionkeep_model))]
mod model;
#[cfg(test)]
mod tests;
