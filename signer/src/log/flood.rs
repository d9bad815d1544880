//! How many lines a peer can make the log grow by: some at once, then one a second, and the rest are counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Lines of one uid and event that may come at once.
pub(super) const AT_ONCE: u32 = 20;
/// After them, one line in this time.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Who made a line and which event it tells; `None` for all who may not ask for anything.
type Source = (Option<u32>, &'static str);

/// What is left for one source.
#[derive(Debug)]
struct Allowance {
    /// Lines that it may still write now.
    left: u32,
    /// Up to when it was refilled.
    filled: Instant,
    /// Lines that were not written since the last one that was.
    suppressed: u32,
}

impl Allowance {
    /// Adds what time has brought since.
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs() / PAUSE.as_secs();
        let lines = u32::try_from(passed).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(lines).min(AT_ONCE);
        self.filled = self.filled.checked_add(Duration::from_secs(u64::from(lines))).unwrap_or(now);
    }
}

/// The sources that have written. There are as many as configured uids and events, and one more uid for all others.
#[derive(Debug)]
pub(super) struct Flood(BTreeMap<Source, Allowance>);

impl Flood {
    /// Nobody has written.
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether a line may be written, and how many were not since the last one.
    pub(super) fn admit(&mut self, source: Source, now: Instant) -> Option<u32> {
        let fresh = || Allowance { left: AT_ONCE, filled: now, suppressed: 0 };
        let allowance = self.0.entry(source).or_insert_with(fresh);
        allowance.refill(now);
        let Some(left) = allowance.left.checked_sub(1) else {
            allowance.suppressed = allowance.suppressed.saturating_add(1);
            return None;
        };
        allowance.left = left;
        Some(std::mem::take(&mut allowance.suppressed))
    }

    /// The sources that may write again and have not, each with the count of its lines that were not written.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<(Source, u32)> {
        let mut due = Vec::new();
        for (source, allowance) in self.0.iter_mut().filter(|(_source, allowance)| allowance.suppressed > 0) {
            allowance.refill(now);
            if let Some(left) = allowance.left.checked_sub(1) {
                allowance.left = left;
                due.push((*source, std::mem::take(&mut allowance.suppressed)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some lines at one moment: how many were written, and how many the first of them told of as not written.
    fn burst(flood: &mut Flood, source: Source, lines: u32, now: Instant) -> (usize, u32) {
        let admitted: Vec<_> = (0..lines).filter_map(|_line| flood.admit(source, now)).collect();
        (admitted.len(), admitted.first().copied().unwrap_or(0))
    }

    #[test]
    fn a_flood_is_some_lines_at_once_and_one_a_second_that_tells_the_rest() {
        let (mut flood, start) = (Flood::new(), Instant::now());
        let source = (Some(997), "refused");
        assert_eq!(burst(&mut flood, source, 1000, start), (20, 0));
        assert_eq!(burst(&mut flood, source, 1000, start + PAUSE / 2), (0, 0));
        assert_eq!(burst(&mut flood, source, 1000, start + PAUSE), (1, 1980));
        assert_eq!(burst(&mut flood, source, 1000, start + PAUSE * 3), (2, 999));
        // Whoever was quiet for long has no more than the first time.
        assert_eq!(burst(&mut flood, source, 1000, start + PAUSE * 1000), (20, 998));
    }

    #[test]
    fn a_full_second_of_lines_is_never_lost_to_many_small_steps() {
        let (mut flood, start) = (Flood::new(), Instant::now());
        let written =
            (0..10_000).filter(|step| flood.admit((None, "busy"), start + PAUSE / 100 * *step).is_some());
        assert_eq!(written.count(), 20 + 99);
    }

    #[test]
    fn peers_and_events_do_not_share_an_allowance() {
        let (mut flood, now) = (Flood::new(), Instant::now());
        for source in [(Some(1), "refused"), (Some(2), "refused"), (Some(1), "busy"), (None, "refused")] {
            assert_eq!(burst(&mut flood, source, 21, now).0, 20, "{source:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_flood_that_ended_is_told_once() {
        let (mut flood, now) = (Flood::new(), Instant::now());
        let source = (Some(997), "away");
        let _lines = burst(&mut flood, source, 50, now);
        assert_eq!(flood.settle(now), []);
        assert_eq!(flood.settle(now + PAUSE), [(source, 30)]);
        assert_eq!(flood.settle(now + PAUSE * 2), []);
    }
}
