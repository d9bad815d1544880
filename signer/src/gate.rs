//! Answers requests: policy, journal, vault, check, reply. Has no secret and no token; the only place with that order.

use crate::clock::Clock;
use crate::error::Explain as _;
use crate::journal::{Entry, Journal};
use crate::log::{Level, line};
use crate::policy::{Policy, Question, Refusal};
use crate::vault::{Answer, Ask, Certifier};
use onionkeep_common::wire::{AwayReason, CertifyRequest, Reply};
use onionkeep_common::{
    CertType, DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, TimePeriod, UncheckedCert, UnixTime,
};
use onionkeep_core::CertTerms;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod connection;
pub mod listener;
pub mod places;

/// A wait after which the disk may have room again, in **seconds**.
const STORAGE_RETRY: u32 = 60;

/// A certificate that was issued, to be given again within its hour.
#[derive(Clone, Copy)]
struct Issued {
    /// Its period.
    period: TimePeriod,
    /// Its end.
    expires: ExpirationHours,
    /// The certificate.
    cert: EncodedCert,
}

/// What changes while serving; checked and recorded under one lock.
struct Books {
    /// The journal.
    journal: Journal,
    /// Certificates of the hour, by key.
    issued: BTreeMap<DescSigningKey, Issued>,
}

/// The gate: what stands between a peer and the vault.
pub struct Gate {
    /// The rules.
    policy: Policy,
    /// The time.
    clock: Box<dyn Clock>,
    /// The vault.
    certifier: Box<dyn Certifier>,
    /// The books.
    books: Mutex<Books>,
}

impl Gate {
    /// A gate in front of `certifier`.
    #[must_use]
    pub fn new(
        policy: Policy,
        journal: Journal,
        certifier: Box<dyn Certifier>,
        clock: Box<dyn Clock>,
    ) -> Self {
        let books = Mutex::new(Books { journal, issued: BTreeMap::new() });
        Self { policy, clock, certifier, books }
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
        let note = |level, event: &str, more: &[(&str, &dyn Display)]| {
            line(level, event, &[&about, more].concat());
        };
        match self.decide(uid, request) {
            Decision::Certified { cert, again } => {
                note(Level::Info, "certified", &[("again", &again)]);
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

    /// Check and record under one lock; then certify; then verify.
    fn decide(&self, uid: u32, request: &CertifyRequest) -> Decision {
        let question = Question { request, uid, now: self.clock.now() };
        let (onion, now) = (question.onion(), question.now);
        let terms = match self.admit(&question) {
            Ok(Admitted::New(terms)) => terms,
            Ok(Admitted::Issued(cert)) => return Decision::Certified { cert, again: true },
            Err(denial) => return Decision::Denied(denial),
        };
        match self.certifier.ask(Ask::Certify { onion, terms }) {
            Answer::Certificate(cert) if is_right(&cert, onion, &terms, now) => {
                self.remember(&terms, cert);
                Decision::Certified { cert, again: false }
            }
            Answer::Certificate(_wrong) => {
                Decision::Denied(Denial::internal("the vault made a certificate that does not verify"))
            }
            Answer::Away { why, retry_after } => {
                Decision::Denied(Denial::Away { reason: AwayReason::TokenAway, why, retry_after })
            }
            Answer::Busy { why, retry_after } => {
                Decision::Denied(Denial::Away { reason: AwayReason::Busy, why, retry_after })
            }
            Answer::Failed(why) => Decision::Denied(Denial::internal(&why)),
            Answer::Well | Answer::HeadSignature(_) | Answer::Starting(_) | Answer::Ready { .. } => {
                Decision::Denied(Denial::internal("the vault answered another question"))
            }
        }
    }

    /// Runs all rules, and records a key that is new.
    fn admit(&self, question: &Question<'_>) -> Result<Admitted, Denial> {
        let (now, key) = (question.now, question.request.key);
        let expires = ExpirationHours::of_desc_signing_cert(now);
        let mut books = self.books();
        let period = self.policy.check(question, &books.journal).map_err(Denial::Refused)?;
        if books.journal.entries().iter().all(|entry| entry.key != key) {
            let entry = Entry { onion: question.onion(), period, key, time: now };
            books.journal.record(entry).map_err(|error| Denial::Away {
                reason: AwayReason::Storage,
                why: error.in_full(),
                retry_after: STORAGE_RETRY,
            })?;
        }
        let issued = books.issued.get(&key).filter(|issued| issued.expires == expires);
        Ok(match issued {
            Some(issued) => Admitted::Issued(issued.cert),
            None => Admitted::New(CertTerms { period, key, expires }),
        })
    }

    /// Keeps a certificate for its hour; those of periods gone by go.
    fn remember(&self, terms: &CertTerms, cert: EncodedCert) {
        let current = self.policy.periods.number_at(self.clock.now());
        let mut books = self.books();
        books.issued.retain(|_key, issued| issued.period.number.next() >= current);
        let issued = Issued { period: terms.period, expires: terms.expires, cert };
        let _of_the_last_hour = books.issued.insert(terms.key, issued);
    }

    /// The books. A thread that ended in the middle has changed nothing by halves: the journal is written first.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the rules let through.
enum Admitted {
    /// A certificate to be made.
    New(CertTerms),
    /// One that was made in this hour.
    Issued(EncodedCert),
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
fn is_right(cert: &EncodedCert, onion: OnionAddress, terms: &CertTerms, now: UnixTime) -> bool {
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

#[cfg(test)]
mod tests;
