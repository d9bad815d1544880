//! What was said in the log about a trouble that lasts, so that it is said once and not with every try. Pure.

use onionkeep_common::UnixTime;
use std::collections::BTreeMap;

/// The same words are said again after so many **seconds**, for whoever reads only the last hours.
const AGAIN: u64 = 3600;
/// So many different words are remembered; others are said each time.
const MOST: usize = 16;

/// What was said about one trouble, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(BTreeMap<String, UnixTime>);

impl Said {
    /// Whether these words are to be said now: they are new, or were said long ago.
    pub(super) fn is_news(&mut self, now: UnixTime, words: &str) -> bool {
        // What was said at a time that is yet to come was said before the clock went back.
        self.0.retain(|_words, at| *at <= now && now.since(*at) < AGAIN);
        if self.0.contains_key(words) {
            return false;
        }
        if self.0.len() < MOST {
            self.0.insert(words.to_owned(), now);
        }
        true
    }

    /// The trouble is over.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_said_once_an_hour_and_others_at_once() {
        let (mut said, at) = (Said::default(), |second: u64| UnixTime(100_000 + second));
        assert!(said.is_news(at(0), "a") && said.is_news(at(0), "b"));
        assert!(!said.is_news(at(1), "a") && !said.is_news(at(3599), "b"), "two in turn are no news either");
        assert!(said.is_news(at(3600), "a") && !said.is_news(at(3601), "a"));
        assert!(said.is_news(UnixTime(5), "a"), "the clock went back");
        said.forget();
        assert!(said.is_news(UnixTime(6), "a"));
    }

    #[test]
    fn however_many_words_there_are_it_remembers_few() {
        let mut said = Said::default();
        assert!((0..1000).all(|number| said.is_news(UnixTime(1), &number.to_string())));
        assert_eq!(said.0.len(), MOST);
        assert!(!said.is_news(UnixTime(1), "0"));
    }
}
