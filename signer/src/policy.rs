//! What is asked and who may ask; the order of the rules. The rules themselves, one function each: `policy/rules.rs`.
//!
//! Pure: the configuration, the request, the peer, the time and the ledger's memory go in, a refusal or nothing comes out.
//! No rule can be switched off. For the operator: `docs/POLICY.md`.

use crate::ledger::Memory;
use onionkeep_common::wire::{CertifyRequest, Rule};
use onionkeep_common::{OnionAddress, PeriodRule, TimePeriod, UnixTime};

mod rules;

use rules::{Broken, Verdict};
pub use rules::{CLOCK_SLACK, KEYS_PER_PERIOD_MAX};

/// How many certificates an onion may have a day; one that is given again within its hour is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(usize);

impl Budget {
    /// What may be configured. A publisher needs two an hour; below 10 a restart alone could use the budget up.
    pub const RANGE: std::ops::RangeInclusive<u64> = 10..=1000;
    /// What holds if nothing is configured: two publishers with two periods each, and a margin.
    pub const DEFAULT: Self = Self(120);

    /// A budget within [`Budget::RANGE`], or `None`.
    #[must_use]
    pub fn new(per_day: u64) -> Option<Self> {
        if Self::RANGE.contains(&per_day) { usize::try_from(per_day).ok().map(Self) } else { None }
    }

    /// How many a day.
    #[must_use]
    pub const fn per_day(self) -> usize {
        self.0
    }

    /// How many of them in one hour: a quarter, but one for each key of a period at least.
    #[must_use]
    pub fn burst(self) -> usize {
        (self.0 / 4).max(KEYS_PER_PERIOD_MAX)
    }
}

/// An onion and the uid that may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The frontend.
    pub onion: OnionAddress,
    /// The peer's uid.
    pub uid: u32,
    /// How many certificates the onion may have.
    pub budget: Budget,
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

/// A rule's function.
type Check = fn(&Policy, &Question<'_>, &Memory) -> Verdict;

/// Every rule that a request meets, the cheap ones first. (`well-formed` is met where the frame is read.)
const ORDER: [(Rule, Check); 10] = [
    (Rule::KnownOnion, rules::known_onion),
    (Rule::PeriodLength, rules::period_length),
    (Rule::ClockForward, rules::clock_forward),
    (Rule::PeriodWindow, rules::period_window),
    (Rule::DeniedKey, rules::denied_key),
    (Rule::KeyDistinct, rules::key_distinct),
    (Rule::KeyFresh, rules::key_fresh),
    (Rule::KeysPerPeriod, rules::keys_per_period),
    (Rule::RateBudget, rules::rate_budget),
    (Rule::ProofOfPossession, rules::proof_of_possession),
];

impl Policy {
    /// Whether any onion is granted to this uid; if not, its connection is closed unread.
    #[must_use]
    pub fn knows_peer(&self, uid: u32) -> bool {
        self.grants.iter().any(|grant| grant.uid == uid)
    }

    /// Applies every rule; the period to certify for if none is broken.
    ///
    /// # Errors
    /// The first [`Refusal`].
    pub fn check(&self, question: &Question<'_>, memory: &Memory) -> Result<TimePeriod, Refusal> {
        for (rule, check) in ORDER {
            check(self, question, memory).map_err(|Broken(retry_after)| Refusal { rule, retry_after })?;
        }
        Ok(TimePeriod { number: question.request.period, length: self.periods.length })
    }

    /// The grant by which a question may be asked.
    fn grant(&self, question: &Question<'_>) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.onion == question.onion() && grant.uid == question.uid)
    }
}

#[cfg(test)]
mod tests;
