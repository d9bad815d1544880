//! Pauses between the starts of vaults: doubled while they fail, up to a limit.

use crate::clock::{deadline_in, until};
use std::time::{Duration, Instant};

/// When the next try is due.
#[derive(Debug)]
pub(super) struct Backoff {
    /// The first pause.
    first: Duration,
    /// The longest pause.
    longest: Duration,
    /// The last pause, zero after a success.
    pause: Duration,
    /// No try before this.
    not_before: Option<Instant>,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, pause: Duration::ZERO, not_before: None }
    }

    /// How long to wait before the next try; `None` if it is due.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.not_before.map(until).filter(|wait| !wait.is_zero())
    }

    /// Notes a failure and returns the pause that follows.
    pub(super) fn failed(&mut self) -> Duration {
        self.pause = self.pause.saturating_mul(2).clamp(self.first, self.longest);
        self.not_before = Some(deadline_in(self.pause));
        self.pause
    }

    /// Notes a success: the next failure starts with the first pause.
    pub(super) const fn worked(&mut self) {
        self.pause = Duration::ZERO;
        self.not_before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        assert_eq!(backoff.wait(), None);
        let pauses: Vec<_> = (0..7).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert!(backoff.wait().is_some());
        backoff.worked();
        assert_eq!(backoff.wait(), None);
        assert_eq!(backoff.failed().as_secs(), 1);
    }
}
