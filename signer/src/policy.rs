//! The rules by which a request is refused: one function per rule, named as in `wire::Rule` and `docs/PROTOCOL.md`.
//!
//! Pure: the configuration, the request, the peer, the time and the journal go in, a refusal or nothing comes out.
//! No rule can be switched off.

use crate::journal::{Entry, Journal};
use onionkeep_common::wire::{CertifyRequest, Rule};
use onionkeep_common::{OnionAddress, PeriodRule, TimePeriod, UnixTime};

/// At most this many different keys are certified for one onion and period.
///
/// A publisher keeps one key per period; a few more allow for lost state and for two publishers.
pub const KEYS_PER_PERIOD_MAX: usize = 8;
/// How far, in **seconds**, the clock may be behind the journal: a correction by a time daemon, not a step.
pub const CLOCK_SLACK: u64 = 60;
/// **Seconds** after which a request outside the period window may be asked again.
const WINDOW_RETRY: u32 = 60;

/// An onion and the uid that may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The frontend.
    pub onion: OnionAddress,
    /// The peer's uid.
    pub uid: u32,
}

/// What the configuration fixes.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who may ask for what.
    pub grants: Vec<Grant>,
    /// Length and offset of the time periods.
    pub periods: PeriodRule,
}

/// A request with what is known about its circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The request.
    pub request: &'a CertifyRequest,
    /// The uid of the peer, as the kernel says.
    pub uid: u32,
    /// The time.
    pub now: UnixTime,
}

/// A rule that was broken and when asking again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub rule: Rule,
    /// **Seconds**; 0 for never.
    pub retry_after: u32,
}

impl Question<'_> {
    /// The onion that is asked for.
    #[must_use]
    pub const fn onion(&self) -> OnionAddress {
        OnionAddress::new(self.request.onion)
    }
}

impl Policy {
    /// Whether any onion is granted to this uid; if not, its connection is closed unread.
    #[must_use]
    pub fn knows_peer(&self, uid: u32) -> bool {
        self.grants.iter().any(|grant| grant.uid == uid)
    }

    /// Applies every rule, the cheap ones first; the period to certify for if none is broken.
    ///
    /// # Errors
    /// The first [`Refusal`].
    pub fn check(&self, question: &Question<'_>, journal: &Journal) -> Result<TimePeriod, Refusal> {
        let never = |rule| Refusal { rule, retry_after: 0 };
        let period = TimePeriod { number: question.request.period, length: self.periods.length };
        require(self.known_onion(question), never(Rule::KnownOnion))?;
        require(self.period_length(question), never(Rule::PeriodLength))?;
        let later = Refusal { rule: Rule::ClockForward, retry_after: WINDOW_RETRY };
        require(clock_forward(question, journal), later)?;
        let later = Refusal { rule: Rule::PeriodWindow, retry_after: WINDOW_RETRY };
        require(self.period_window(question), later)?;
        require(self.key_distinct(question), never(Rule::KeyDistinct))?;
        require(key_fresh(question, journal), never(Rule::KeyFresh))?;
        require(keys_per_period(question, journal), never(Rule::KeysPerPeriod))?;
        require(proof_of_possession(question), never(Rule::ProofOfPossession))?;
        Ok(period)
    }

    /// `known-onion`: the onion is configured for this peer.
    fn known_onion(&self, question: &Question<'_>) -> bool {
        self.grants.contains(&Grant { onion: question.onion(), uid: question.uid })
    }

    /// `period-length`: the length is the configured one.
    fn period_length(&self, question: &Question<'_>) -> bool {
        question.request.length == self.periods.length.minutes()
    }

    /// `period-window`: the period is the current one, the one before or the one after.
    fn period_window(&self, question: &Question<'_>) -> bool {
        self.periods.number_at(question.now).distance(question.request.period) <= 1
    }

    /// `key-distinct`: the key is neither an identity key of ours nor a blinded key of the requested onion near this period.
    fn key_distinct(&self, question: &Question<'_>) -> bool {
        let key = question.request.key.as_bytes();
        let current = self.periods.at(question.now);
        let periods = [current.previous(), current, current.next()];
        let blinded = |period| question.request.onion.blinded(period).is_ok_and(|id| id.as_bytes() == key);
        let identity = self.grants.iter().any(|grant| grant.onion.identity().as_bytes() == key);
        !identity && !periods.into_iter().any(blinded)
    }
}

/// Turns a truth value into a refusal.
const fn require(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}

/// Whether an entry is about the very period and onion that are asked for.
fn same_place(entry: &Entry, question: &Question<'_>) -> bool {
    let request = question.request;
    entry.onion == question.onion()
        && entry.period.number == request.period
        && entry.period.length.minutes() == request.length
}

/// `clock-forward`: the clock is not behind what is recorded.
fn clock_forward(question: &Question<'_>, journal: &Journal) -> bool {
    question.now.plus(CLOCK_SLACK) >= journal.latest()
}

/// `key-fresh`: the key was not certified in another period or for another onion.
fn key_fresh(question: &Question<'_>, journal: &Journal) -> bool {
    let same_key = |entry: &&Entry| entry.key == question.request.key;
    journal.entries().iter().filter(same_key).all(|entry| same_place(entry, question))
}

/// `keys-per-period`: the key is one of few for this period.
fn keys_per_period(question: &Question<'_>, journal: &Journal) -> bool {
    let here = || journal.entries().iter().filter(|entry| same_place(entry, question));
    here().any(|entry| entry.key == question.request.key) || here().count() < KEYS_PER_PERIOD_MAX
}

/// `proof-of-possession`: whoever asks holds the private half of the key.
fn proof_of_possession(question: &Question<'_>) -> bool {
    question.request.check_proof().is_ok()
}

#[cfg(test)]
mod tests;
