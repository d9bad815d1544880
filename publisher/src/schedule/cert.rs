//! When to ask the signer for a descriptor's certificate, and whether an upload may go ahead with the one at hand.

use super::dice::{Dice, doubling};
use onionkeep_common::{ExpirationHours, UnixTime};

/// First wait after the signer gave no certificate, in **seconds**.
const RETRY: u64 = 4;
/// Longest such wait, in **seconds**.
const RETRY_MOST: u64 = 300;

/// What a descriptor may do about its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Upload.
    Go,
    /// Ask the signer first.
    Ask,
    /// Wait.
    Wait,
}

/// The clock of one descriptor's certificate.
#[derive(Clone, Debug, Default)]
pub(super) struct CertClock {
    /// The end of the one that we have.
    expires: Option<ExpirationHours>,
    /// Since when the signer is asked.
    asking: Option<UnixTime>,
    /// Whether the signer answered since the last upload, with or without a certificate.
    answered: bool,
    /// Times in a row that it gave none.
    failures: u32,
    /// Not to be asked before.
    retry_at: Option<UnixTime>,
}

impl CertClock {
    /// What the certificate allows. Each upload should carry one of its hour, as C tor's would; a retry in another hour too.
    ///
    /// Spec: C tor, `refresh_service_descriptor`.
    pub(super) fn gate(&self, now: UnixTime) -> Gate {
        let usable = self.expires.is_some_and(|expires| !expires.is_past(now));
        let fresh = self.expires == Some(ExpirationHours::of_desc_signing_cert(now));
        let may_ask = self.retry_at.is_none_or(|at| now >= at);
        if self.asking.is_some() {
            Gate::Wait
        } else if usable && (fresh || self.answered || !may_ask) {
            Gate::Go
        } else if may_ask {
            Gate::Ask
        } else {
            Gate::Wait
        }
    }

    /// The signer is asked.
    pub(super) const fn ask(&mut self, now: UnixTime) {
        self.asking = Some(now);
    }

    /// Whether the signer has not answered since the last upload.
    pub(super) const fn is_unanswered(&self) -> bool {
        !self.answered
    }

    /// An upload was made: the next one asks anew.
    pub(super) const fn used(&mut self) {
        self.answered = false;
    }

    /// The signer gave a certificate.
    pub(super) fn got(&mut self, expires: ExpirationHours) {
        *self = Self { expires: Some(expires), answered: true, ..Self::default() };
    }

    /// A certificate from an earlier run is still good; the signer is asked all the same.
    pub(super) const fn holds(&mut self, expires: ExpirationHours) {
        self.expires = Some(expires);
    }

    /// The signer gave none; it may say how many **seconds** to wait.
    pub(super) fn refused(&mut self, now: UnixTime, wait: Option<u64>, dice: &mut dyn Dice) {
        self.asking = None;
        self.answered = true;
        self.failures = self.failures.saturating_add(1);
        let usual = dice.about(doubling(RETRY, RETRY_MOST, self.failures));
        self.retry_at = Some(now.plus(wait.unwrap_or_default().min(RETRY_MOST).max(usual)));
    }

    /// Gives up a question whose age `lost` says that it will not be answered.
    pub(super) fn give_up(&mut self, lost: impl Fn(UnixTime) -> bool) {
        self.asking = self.asking.filter(|since| !lost(*since));
    }

    /// The wall clock went back by `seconds`.
    pub(super) fn shift_back(&mut self, seconds: u64) {
        for time in self.asking.iter_mut().chain(&mut self.retry_at) {
            *time = time.minus(seconds);
        }
    }

    /// When the signer may be asked again.
    pub(super) const fn wake(&self) -> Option<UnixTime> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::SystemDice;

    /// Some full hour.
    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn one_of_this_hour_is_used_and_an_older_one_renewed_once() {
        let mut clock = CertClock::default();
        assert_eq!(clock.gate(NOW), Gate::Ask);
        clock.ask(NOW);
        assert_eq!(clock.gate(NOW), Gate::Wait);
        clock.got(ExpirationHours::of_desc_signing_cert(NOW));
        assert_eq!(clock.gate(NOW), Gate::Go);
        clock.used();
        assert_eq!(clock.gate(NOW), Gate::Go, "still the same hour");
        let later = NOW.plus(7200);
        assert_eq!(clock.gate(later), Gate::Ask);
        // A signer whose clock is an hour behind gives what it gives: it is not asked for ever.
        clock.got(ExpirationHours::of_desc_signing_cert(NOW));
        assert_eq!(clock.gate(later), Gate::Go);
    }

    #[test]
    fn an_expired_one_is_never_used() {
        let mut clock = CertClock::default();
        clock.holds(ExpirationHours::of_desc_signing_cert(NOW));
        let expired = NOW.plus(55 * 3600);
        assert_eq!(clock.gate(expired), Gate::Ask);
        clock.refused(expired, Some(u64::MAX), &mut SystemDice);
        assert_eq!(clock.gate(expired), Gate::Wait);
        assert_eq!(clock.gate(expired.plus(RETRY_MOST * 2)), Gate::Ask, "even after never");
    }
}
