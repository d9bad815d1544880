//! Whose fault a failed visit was: judged from what the client's own descriptor listed and who was alive. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

/// `KP_hs_ipt_sid` of an introduction point.
pub type Key = [u8; 32];

/// So long a dead backend may stay listed: two probe intervals of ten seconds, and ten more for the uploads.
pub const WINDOW: Duration = Duration::from_secs(30);

/// A backend from one start of its tor to its end. All times count from the start of the run.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its name.
    pub backend: String,
    /// The introduction points of this life.
    pub keys: BTreeSet<Key>,
    /// When it was killed.
    pub died: Option<Duration>,
}

/// A time in which the publisher could not act: it was down, or its tor was.
#[derive(Clone, Debug)]
pub struct Outage {
    /// What was down.
    pub what: &'static str,
    /// Since when.
    pub from: Duration,
    /// Until when.
    pub to: Option<Duration>,
}

/// What a client had when its visit failed.
#[derive(Clone, Debug)]
pub enum Held {
    /// A descriptor that lists these points.
    Points(BTreeSet<Key>),
    /// No descriptor, while so many HSDirs had one.
    Nothing {
        /// How many.
        hsdirs: usize,
    },
}

/// A visit that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When it began.
    pub began: Duration,
    /// When it was given up.
    pub ended: Duration,
    /// What the client's tor said.
    pub error: String,
    /// What the client had.
    pub held: Held,
}

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Everything listed was alive: the Tor network, or the machine under it.
    Tor,
    /// A listed backend had been killed so shortly before that nobody could know.
    JustKilled,
    /// The publisher, the signer: us.
    Ours,
}

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// All lives of all backends.
    pub lives: Vec<Life>,
    /// When the publisher could not act, in order.
    pub outages: Vec<Outage>,
}

impl Book {
    /// Whose fault a failure was, with the evidence.
    #[must_use]
    pub fn judge(&self, failure: &Failure) -> (Fault, String) {
        let points = match &failure.held {
            Held::Nothing { hsdirs: 0 } => return (Fault::Ours, "no HSDir had a descriptor".to_owned()),
            Held::Nothing { hsdirs } => {
                return (Fault::Tor, format!("{hsdirs} HSDirs had the descriptor, the client got none"));
            }
            Held::Points(points) => points,
        };
        let (mut worst, mut evidence, mut alive) = (Fault::Tor, Vec::new(), 0);
        for key in points {
            let Some(life) = self.lives.iter().find(|life| life.keys.contains(key)) else {
                worst = Fault::Ours;
                evidence.push("a point of no backend".to_owned());
                continue;
            };
            match life.died.filter(|died| *died <= failure.ended) {
                None => alive += 1,
                Some(died) => {
                    let until = self.may_be_listed_until(died);
                    let late = until.is_some_and(|until| failure.began > until);
                    worst = worst.max(if late { Fault::Ours } else { Fault::JustKilled });
                    let age = failure.began.as_secs_f64() - died.as_secs_f64();
                    evidence.push(format!("{} was killed {age:.0} s before the visit", life.backend));
                }
            }
        }
        evidence.sort();
        evidence.dedup();
        evidence.insert(0, format!("{} points listed, {alive} of living backends", points.len()));
        if points.is_empty() {
            worst = Fault::Ours;
        }
        (worst, evidence.join(", "))
    }

    /// Until when a backend that died at `died` may be listed; `None` while the publisher cannot act.
    fn may_be_listed_until(&self, died: Duration) -> Option<Duration> {
        let mut until = died + WINDOW;
        for outage in &self.outages {
            let over = outage.to.is_some_and(|to| to < died);
            if !over && outage.from <= until {
                until = until.max(outage.to? + WINDOW);
            }
        }
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// Backend `b1` has point 1 and died at 100 s; `b2` has point 2 and lives.
    fn book(outages: &[(u64, Option<u64>)]) -> Book {
        let life = |backend: &str, key: u8, died: Option<u64>| Life {
            backend: backend.to_owned(),
            keys: BTreeSet::from([[key; 32]]),
            died: died.map(seconds),
        };
        let outage = |(from, to): &(u64, Option<u64>)| Outage {
            what: "publisher",
            from: seconds(*from),
            to: to.map(seconds),
        };
        Book {
            lives: vec![life("b1", 1, Some(100)), life("b2", 2, None)],
            outages: outages.iter().map(outage).collect(),
        }
    }

    fn failure(began: u64, points: &[u8]) -> Failure {
        let held = Held::Points(points.iter().map(|key| [*key; 32]).collect());
        Failure { began: seconds(began), ended: seconds(began + 20), error: String::new(), held }
    }

    #[test]
    fn what_lists_only_the_living_is_not_ours() {
        assert_eq!(book(&[]).judge(&failure(300, &[2])).0, Fault::Tor);
        assert_eq!(book(&[]).judge(&failure(50, &[1, 2])).0, Fault::Tor, "it died after the visit");
    }

    #[test]
    fn the_dead_may_be_listed_for_the_window_and_no_longer() {
        assert_eq!(book(&[]).judge(&failure(90, &[1, 2])).0, Fault::JustKilled);
        assert_eq!(book(&[]).judge(&failure(130, &[1, 2])).0, Fault::JustKilled);
        let (fault, evidence) = book(&[]).judge(&failure(131, &[1, 2]));
        assert_eq!(
            (fault, evidence.contains("b1 was killed 31 s before")),
            (Fault::Ours, true),
            "{evidence}"
        );
    }

    #[test]
    fn a_publisher_that_is_down_cannot_know_but_an_old_outage_is_no_excuse() {
        let later = failure(200, &[1]);
        assert_eq!(book(&[(120, Some(180))]).judge(&later).0, Fault::JustKilled);
        assert_eq!(book(&[(120, None)]).judge(&later).0, Fault::JustKilled);
        assert_eq!(book(&[(60, Some(80))]).judge(&later).0, Fault::Ours, "it was over before");
        assert_eq!(book(&[(140, Some(180))]).judge(&later).0, Fault::Ours, "there was time enough before");
        assert_eq!(
            book(&[(120, Some(125)), (150, Some(190))]).judge(&later).0,
            Fault::JustKilled,
            "in a row"
        );
    }

    #[test]
    fn unknown_points_an_empty_list_and_no_descriptor_are_ours() {
        assert_eq!(book(&[]).judge(&failure(300, &[2, 9])).0, Fault::Ours);
        assert_eq!(book(&[]).judge(&failure(300, &[])).0, Fault::Ours);
        let nothing = |hsdirs| Failure { held: Held::Nothing { hsdirs }, ..failure(300, &[]) };
        assert_eq!(book(&[]).judge(&nothing(0)).0, Fault::Ours);
        assert_eq!(book(&[]).judge(&nothing(8)).0, Fault::Tor);
    }
}
