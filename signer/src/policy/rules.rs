//! The rules: one function each, named as in `wire::Rule`; it holds, or says when asking again may help.

use super::{Budget, Grant, Policy, Question};
use crate::ledger::memory::Place;
use crate::ledger::{Denied, Memory};
use onionkeep_common::{ExpirationHours, UnixTime};

/// At most this many different keys are certified for one onion and period.
///
/// A publisher keeps one key per period; a few more allow for lost state and for two publishers.
pub const KEYS_PER_PERIOD_MAX: usize = 8;
/// How far, in **seconds**, the clock may be behind the ledger: a correction by a time daemon, not a step.
pub const CLOCK_SLACK: u64 = 60;
/// **Seconds** after which a request outside the period window, or against the clock, may be asked again.
const WINDOW_RETRY: u32 = 60;

/// A rule is broken: **seconds** after which asking again may help, 0 for never.
pub(super) struct Broken(pub(super) u32);

/// What a rule says.
pub(super) type Verdict = Result<(), Broken>;

/// Holds, or asking again is useless.
const fn ever(holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(Broken(0)) }
}

/// Holds, or asking again may help soon.
const fn for_now(holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(Broken(WINDOW_RETRY)) }
}

/// `known-onion`: the onion is configured for this peer.
pub(super) fn known_onion(policy: &Policy, question: &Question<'_>, _memory: &Memory) -> Verdict {
    ever(policy.grant(question).is_some())
}

/// `period-length`: the length is the configured one.
pub(super) fn period_length(policy: &Policy, question: &Question<'_>, _memory: &Memory) -> Verdict {
    ever(question.request.length == policy.periods.length.minutes())
}

/// `clock-forward`: the clock is not behind what is recorded.
pub(super) fn clock_forward(_policy: &Policy, question: &Question<'_>, memory: &Memory) -> Verdict {
    for_now(question.now.plus(CLOCK_SLACK) >= memory.latest())
}

/// `period-window`: the period is the current one, the one before or the one after.
pub(super) fn period_window(policy: &Policy, question: &Question<'_>, _memory: &Memory) -> Verdict {
    for_now(policy.periods.number_at(question.now).distance(question.request.period) <= 1)
}

/// `denied-key`: neither the key nor the onion was denied.
pub(super) fn denied_key(_policy: &Policy, question: &Question<'_>, memory: &Memory) -> Verdict {
    let denied = [Denied::Key(question.request.key), Denied::Onion(question.onion())];
    ever(!denied.iter().any(|denied| memory.is_denied(denied)))
}

/// `key-distinct`: the key is neither an identity key of ours nor a blinded key of the requested onion near this period.
pub(super) fn key_distinct(policy: &Policy, question: &Question<'_>, _memory: &Memory) -> Verdict {
    let key = question.request.key.as_bytes();
    let current = policy.periods.at(question.now);
    let periods = [current.previous(), current, current.next()];
    let blinded = |period| question.request.onion.blinded(period).is_ok_and(|id| id.as_bytes() == key);
    let identity = policy.grants.iter().any(|grant| grant.onion.identity().as_bytes() == key);
    ever(!identity && !periods.into_iter().any(blinded))
}

/// `key-fresh`: the key was not asked for in another period or for another onion, here or by a ceremony.
pub(super) fn key_fresh(_policy: &Policy, question: &Question<'_>, memory: &Memory) -> Verdict {
    let (key, place) = (&question.request.key, place(question));
    let named = memory.ceremonies().used(key).map(|(_request, named, _kind)| named);
    ever([memory.place_of(key), named].into_iter().flatten().all(|known| known == place))
}

/// `keys-per-period`: the key is one of few for this period.
pub(super) fn keys_per_period(_policy: &Policy, question: &Question<'_>, memory: &Memory) -> Verdict {
    let place = place(question);
    let known = memory.place_of(&question.request.key) == Some(place);
    ever(known || memory.keys_at(&place) < KEYS_PER_PERIOD_MAX)
}

/// `rate-budget`: the certificate was asked for before, or few were asked for this onion of late.
pub(super) fn rate_budget(policy: &Policy, question: &Question<'_>, memory: &Memory) -> Verdict {
    let now = question.now;
    let expires = ExpirationHours::of_desc_signing_cert(now);
    if memory.asked(&question.request.key, expires).is_some() {
        return Ok(());
    }
    let Some(Grant { budget, .. }) = policy.grant(question) else { return Err(Broken(0)) };
    let spans = budget.spans(&policy.periods);
    let waits = spans.map(|(span, most)| wait(question, memory, now, span, most));
    match waits.into_iter().max() {
        None | Some(0) => Ok(()),
        Some(seconds) => Err(Broken(u32::try_from(seconds).unwrap_or(u32::MAX))),
    }
}

/// **Seconds** until fewer than `most` requests lie within `span` **seconds**; 0 if it is so now.
fn wait(question: &Question<'_>, memory: &Memory, now: UnixTime, span: u64, most: usize) -> u64 {
    let times: Vec<_> = memory.asked_since(&question.onion(), now.minus(span)).collect();
    let Some(too_many) = times.len().checked_sub(most) else { return 0 };
    times.get(too_many).map_or(0, |time| time.plus(span).since(now).max(1))
}

/// `proof-of-possession`: whoever asks holds the private half of the key.
pub(super) fn proof_of_possession(_policy: &Policy, question: &Question<'_>, _memory: &Memory) -> Verdict {
    ever(question.request.check_proof().is_ok())
}

/// The onion's period that is asked for.
const fn place(question: &Question<'_>) -> Place {
    let request = question.request;
    Place { onion: question.onion(), number: request.period, minutes: request.length }
}

impl Budget {
    /// The spans in **seconds** that are looked at, each with how many requests may lie in it.
    ///
    /// A day and an hour on the public network; with shorter periods as many per period, for more keys are needed.
    pub(super) fn spans(self, periods: &onionkeep_common::PeriodRule) -> [(u64, usize); 2] {
        let day = periods.length.seconds().min(86_400);
        [(day, self.per_day()), ((day / 24).max(1), self.burst())]
    }
}
