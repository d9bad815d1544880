//! When an alarm is raised and when it is cleared: each once, however often the thing flickers. Pure.

use super::{Finding, Name};
use onionkeep_common::{OnionAddress, UnixTime};
use std::collections::BTreeMap;

/// So many **seconds** without the thing until its alarm is cleared.
const CALM: u64 = 30;

/// Which alarm: the service that it is about, its name, and which one of several.
pub type Key = (Option<OnionAddress>, Name, Option<String>);

/// An alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// Since when the thing is wrong.
    pub since: UnixTime,
    /// The last sentence about it.
    pub text: String,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An alarm is raised.
    Raised(Key, Raised),
    /// It is cleared.
    Cleared(Key, Raised),
}

/// What is known of one alarm.
#[derive(Clone, Debug)]
struct Entry {
    /// Since when, and what is said.
    raised: Raised,
    /// When it was found last.
    last: UnixTime,
    /// Whether it was raised.
    told: bool,
}

/// All alarms, raised or about to be.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// By their keys.
    entries: BTreeMap<Key, Entry>,
}

impl Watch {
    /// Takes what is wrong at `now`, and says what changes thereby.
    pub fn look(
        &mut self,
        now: UnixTime,
        found: impl IntoIterator<Item = (Option<OnionAddress>, Finding)>,
    ) -> Vec<Change> {
        for (service, Finding { name, subject, text }) in found {
            let new = || Entry { raised: Raised { since: now, text: String::new() }, last: now, told: false };
            let entry = self.entries.entry((service, name, subject)).or_insert_with(new);
            (entry.raised.text, entry.last) = (text, now);
        }
        let mut changes = Vec::new();
        self.entries.retain(|key, entry| {
            // A clock that went back must not keep an alarm for ever, or never raise it.
            (entry.raised.since, entry.last) = (entry.raised.since.min(now), entry.last.min(now));
            let calm = now.since(entry.last);
            if entry.told {
                let over = calm >= CALM;
                if over {
                    changes.push(Change::Cleared(key.clone(), entry.raised.clone()));
                }
                return !over;
            }
            if calm > 0 {
                return false;
            }
            if now.since(entry.raised.since) >= key.1.patience() {
                entry.told = true;
                changes.push(Change::Raised(key.clone(), entry.raised.clone()));
            }
            true
        });
        changes
    }

    /// The alarms that are raised.
    pub fn raised(&self) -> impl Iterator<Item = (&Key, &Raised)> {
        self.entries.iter().filter(|(_key, entry)| entry.told).map(|(key, entry)| (key, &entry.raised))
    }

    /// How many alarms of a name are raised for a service.
    #[must_use]
    pub fn count(&self, service: Option<OnionAddress>, name: Name) -> usize {
        self.raised().filter(|((of, other, _subject), _)| (*of, *other) == (service, name)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that is found.
    type Found = (Option<OnionAddress>, Finding);

    fn down(name: &str) -> Found {
        (None, Finding::of(Name::BackendDown, name, format!("{name} is down")))
    }

    fn away() -> Found {
        (None, Finding::new(Name::TorAway, "tor is connecting"))
    }

    /// What these looks say: the second, and what is wrong then.
    fn said(looks: &[(u64, &[Found])]) -> Vec<(u64, bool, Option<String>)> {
        let mut watch = Watch::default();
        let mut said = Vec::new();
        for (second, found) in looks {
            for change in watch.look(UnixTime(1000 + second), found.iter().cloned()) {
                match change {
                    Change::Raised(key, _) => said.push((*second, true, key.2)),
                    Change::Cleared(key, _) => said.push((*second, false, key.2)),
                }
            }
        }
        said
    }

    #[test]
    fn each_is_raised_once_and_cleared_once() {
        let wrong: &[_] = &[down("b1")];
        let looks: Vec<_> = (0..100).map(|n| (n * 10, if n < 50 { wrong } else { &[] })).collect();
        assert_eq!(said(&looks), [(0, true, Some("b1".to_owned())), (520, false, Some("b1".to_owned()))]);
    }

    #[test]
    fn what_flickers_is_one_alarm() {
        let wrong: &[_] = &[down("b1")];
        let looks: Vec<_> = (0..100).map(|n| (n * 10, if n % 3 == 0 { wrong } else { &[] })).collect();
        assert_eq!(said(&looks).len(), 1);
    }

    #[test]
    fn a_hiccup_that_is_shorter_than_its_patience_is_no_alarm() {
        let wrong: &[_] = &[away()];
        assert_eq!(said(&[(0, wrong), (50, wrong), (55, &[]), (58, wrong), (110, wrong)]), []);
        assert_eq!(said(&[(0, wrong), (50, wrong), (60, wrong)]), [(60, true, None)]);
    }

    #[test]
    fn two_of_a_kind_are_two() {
        let (one, both): (&[_], &[_]) = (&[down("b1")], &[down("b1"), down("b2")]);
        let names: Vec<_> = said(&[(0, one), (10, both), (20, one), (100, one)])
            .into_iter()
            .map(|(_, up, name)| (up, name))
            .collect();
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(names, [(true, name("b1")), (true, name("b2")), (false, name("b2"))]);
    }

    #[test]
    fn a_clock_that_goes_back_neither_raises_nor_keeps_for_ever() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(UnixTime(10_000), [down("b1")]).len(), 1);
        assert_eq!(watch.look(UnixTime(1000), []), []);
        assert!(matches!(*watch.look(UnixTime(1060), []), [Change::Cleared(..)]));
        assert_eq!(watch.raised().count(), 0);
        watch.look(UnixTime(10_000), [away()]);
        watch.look(UnixTime(1000), [away()]);
        assert!(matches!(*watch.look(UnixTime(1060), [away()]), [Change::Raised(..)]));
        assert_eq!((watch.count(None, Name::TorAway), watch.count(None, Name::NoBackend)), (1, 0));
    }

    #[test]
    fn the_last_sentence_counts() {
        let mut watch = Watch::default();
        watch.look(UnixTime(1), [(None, Finding::new(Name::ClockSkew, "120 s"))]);
        watch.look(UnixTime(2), [(None, Finding::new(Name::ClockSkew, "300 s"))]);
        assert_eq!(watch.raised().map(|(_, raised)| raised.text.as_str()).collect::<Vec<_>>(), ["300 s"]);
    }
}
