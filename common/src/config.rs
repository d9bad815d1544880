//! Reads a TOML configuration and collects every problem in it, each with its line; the only place that names the parser.
//!
//! A [`Section`] is opened with the keys that it may have; any other key is a problem that names the nearest known one.
//! Readers return `None` after reporting, so that one run finds all problems.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// All that is wrong with a configuration, in the order of the lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.0.iter();
        if let Some(first) = lines.next() {
            write!(f, "{first}")?;
        }
        lines.try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for Problems {}

/// The text that is read and what was found wrong with it.
struct Source<'t> {
    /// The whole text.
    text: &'t str,
    /// What was found so far.
    problems: RefCell<Vec<Problem>>,
}

impl Source<'_> {
    /// Notes a problem at an octet of the text.
    fn report(&self, at: usize, text: String) {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        self.problems.borrow_mut().push(Problem { line, text });
    }
}

/// Reads `text`: opens the top level with the keys `known` and gives it to `build`.
///
/// # Errors
/// [`Problems`] if the text is not TOML, if anything was reported, or if `build` returned `None`.
pub fn read<T>(
    text: &str,
    known: &[&str],
    build: impl FnOnce(&Section<'_, '_>) -> Option<T>,
) -> Result<T, Problems> {
    let source = Source { text, problems: RefCell::new(Vec::new()) };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        source.report(at, format!("not TOML: {}", error.message().trim_end()));
    }
    let built = if errors.is_empty() {
        let section = Section::open(&source, table.get_ref(), 0, "the top level", known);
        build(&section)
    } else {
        None
    };
    let mut problems = source.problems.into_inner();
    problems.sort();
    match built {
        Some(value) if problems.is_empty() => Ok(value),
        _ if problems.is_empty() => {
            Err(Problems(vec![Problem { line: 1, text: "the configuration is not complete".to_owned() }]))
        }
        _ => Err(Problems(problems)),
    }
}

/// The text at a key of the top level in a configuration that may be wrong anywhere else; `None` if it cannot be found there.
#[must_use]
pub fn loose_text(text: &str, key: &str) -> Option<String> {
    let (table, _errors) = DeTable::parse_recoverable(text);
    table.get_ref().get(key)?.get_ref().as_str().map(str::to_owned)
}

/// One table of a configuration.
pub struct Section<'s, 't> {
    /// The whole text.
    source: &'s Source<'t>,
    /// The table.
    table: &'s DeTable<'t>,
    /// Where it starts, for problems about what is missing.
    start: usize,
    /// Its name, for problems.
    name: String,
}

impl<'s, 't> Section<'s, 't> {
    /// Opens a table and reports its unknown keys.
    fn open(
        source: &'s Source<'t>,
        table: &'s DeTable<'t>,
        start: usize,
        name: &str,
        known: &[&str],
    ) -> Self {
        for key in table.keys() {
            let word = key.get_ref();
            if !known.contains(&word.as_ref()) {
                source.report(key.span().start, unknown_key(word, name, known));
            }
        }
        Self { source, table, start, name: name.to_owned() }
    }

    /// Reports a problem at the line of `key`, or of the section if the key is absent.
    pub fn report(&self, key: &str, text: impl Into<String>) {
        let at = self.find(key).map_or(self.start, |(span, _value)| span.start);
        self.source.report(at, text.into());
    }

    /// Whether `key` is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The text at `key`; `None` if absent, or reported if it is something else.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'s str> {
        self.typed(key, "a text in quotes", DeValue::as_str)
    }

    /// The text at `key`; its absence is reported.
    #[must_use]
    pub fn required_text(&self, key: &str) -> Option<&'s str> {
        self.require(key)?;
        self.text(key)
    }

    /// The truth value at `key`.
    #[must_use]
    pub fn truth(&self, key: &str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// The whole number at `key`; one outside `range` is reported.
    #[must_use]
    pub fn number(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(key, &wanted, |value| {
            let integer = value.as_integer()?;
            let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// The text at `key`, parsed; what does not parse is reported with the parser's reason.
    #[must_use]
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Option<T> {
        self.text(key)?.parse().map_err(|error| self.report(key, format!("{key}: {error}"))).ok()
    }

    /// The text at `key`, parsed; its absence is reported.
    #[must_use]
    pub fn required_parsed<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Option<T> {
        self.require(key)?;
        self.parsed(key)
    }

    /// The texts of the array at `key`; none if absent.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<&'s str> {
        let texts = self.typed(key, "texts in quotes: [\"...\"]", |value| {
            value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
        });
        texts.unwrap_or_default()
    }

    /// The table at `key`, opened with the keys `known`.
    #[must_use]
    pub fn section(&self, key: &str, known: &[&str]) -> Option<Section<'s, 't>> {
        let (span, _value) = self.find(key)?;
        let table = self.typed(key, &format!("a table: [{key}]"), DeValue::as_table)?;
        Some(Self::open(self.source, table, span.start, &format!("[{key}]"), known))
    }

    /// The table at `key`; its absence is reported.
    #[must_use]
    pub fn required_section(&self, key: &str, known: &[&str]) -> Option<Section<'s, 't>> {
        self.require(key)?;
        self.section(key, known)
    }

    /// The tables of the array at `key`, each opened with the keys `known`; none if absent.
    #[must_use]
    pub fn sections(&self, key: &str, known: &[&str]) -> Vec<Section<'s, 't>> {
        // As the file has it: [[service.backend]] in [[service]].
        let outer = self.name.trim_matches(['[', ']']);
        let name =
            if self.name.starts_with('[') { format!("[[{outer}.{key}]]") } else { format!("[[{key}]]") };
        let wanted = format!("tables: {name}");
        let Some(array) = self.typed(key, &wanted, DeValue::as_array) else { return Vec::new() };
        let mut sections = Vec::new();
        for value in array {
            let at = value.span().start;
            match value.get_ref().as_table() {
                Some(table) => {
                    sections.push(Self::open(self.source, table, at, &name, known));
                }
                None => self.source.report(at, format!("{key}: wanted are {wanted}")),
            }
        }
        sections
    }

    /// Where `key` stands and its value.
    fn find(&self, key: &str) -> Option<(Range<usize>, &'s DeValue<'t>)> {
        let entry = self.table.iter().find(|(name, _value)| name.get_ref() == key);
        entry.map(|(name, value)| (name.span(), value.get_ref()))
    }

    /// Reports the absence of `key`.
    fn require(&self, key: &str) -> Option<()> {
        if !self.has(key) {
            self.source.report(self.start, format!("{key} is missing in {}", self.name));
            return None;
        }
        Some(())
    }

    /// Reads the value at `key`, reporting what `wanted` says if `read` does not take it.
    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&'s DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        let (span, value) = self.find(key)?;
        let read = read(value);
        if read.is_none() {
            self.source.report(span.start, format!("{key}: wanted is {wanted}"));
        }
        read
    }
}

/// The text of a problem about an unknown key.
fn unknown_key(word: &str, name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|key| (strsim::damerau_levenshtein(word, key), key))
        .min_by_key(|(distance, _key)| *distance)
        .filter(|(distance, key)| distance.saturating_mul(2) <= key.len().max(word.chars().count()));
    match nearest {
        Some((_distance, key)) => format!("unknown key `{word}` in {name}; did you mean `{key}`?"),
        None => format!("unknown key `{word}` in {name}; known are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the test configuration: a socket, a limit, a token table, any number of onions.
    fn sample(text: &str) -> Result<(String, u64, Vec<crate::OnionAddress>), Problems> {
        read(text, &["socket", "limit", "token", "onion"], |top| {
            let socket = top.required_text("socket");
            let limit = top.number("limit", 1..=20);
            if let Some(token) = top.required_section("token", &["label"]) {
                let _label = token.required_text("label");
            }
            let onions: Vec<_> = top
                .sections("onion", &["address"])
                .iter()
                .filter_map(|onion| onion.required_parsed("address"))
                .collect();
            Some((socket?.to_owned(), limit.unwrap_or(20), onions))
        })
    }

    fn lines(text: &str) -> Vec<String> {
        sample(text).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_configuration_is_read() {
        let read = sample("socket = \"/s\"\nlimit = 0x10\n[token]\nlabel = \"a\"\n").unwrap();
        assert_eq!((read.0.as_str(), read.1, read.2.len()), ("/s", 16, 0));
    }

    #[test]
    fn every_problem_is_found_at_once_with_its_line() {
        let problems = lines("soket = \"/s\"\nlimit = 21\n[token]\n[[onion]]\naddress = \"abc.onion\"\n");
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(
            problems.contains(&"line 1: unknown key `soket` in the top level; did you mean `socket`?".into())
        );
        assert!(problems.contains(&"line 1: socket is missing in the top level".into()));
        assert!(problems.contains(&"line 2: limit: wanted is a whole number from 1 to 20".into()));
        assert!(problems.contains(&"line 3: label is missing in [token]".into()));
        assert!(problems.iter().any(|line| line.starts_with("line 5: address: an onion address has 56")));
    }

    #[test]
    fn a_far_key_lists_the_known_ones() {
        let problems = lines("socket = \"/s\"\nzzzzzzzz = 1\n[token]\nlabel = \"a\"\n");
        assert_eq!(
            problems,
            ["line 2: unknown key `zzzzzzzz` in the top level; known are: socket, limit, token, onion"]
        );
    }

    #[test]
    fn tables_in_tables_are_named_as_the_file_has_them() {
        let text = "[[a]]\n[[a.b]]\nx = 1\n[[c]]\n";
        let found = read(text, &["a"], |top| {
            top.sections("a", &["b"]).iter().flat_map(|a| a.sections("b", &["y"])).for_each(drop);
            Some(())
        });
        let found: Vec<_> = found.unwrap_err().0.iter().map(ToString::to_string).collect();
        assert!(found.contains(&"line 3: unknown key `x` in [[a.b]]; known are: y".to_owned()), "{found:?}");
    }

    #[test]
    fn loose_texts_are_found_beside_what_is_wrong() {
        let find = |text| loose_text(text, "socket");
        assert_eq!(find("limit = [\nsocket = \"/s\"\n"), None, "inside of something that does not end");
        assert_eq!(find("socket = \"/s\"\nlimit = [\n").as_deref(), Some("/s"));
        assert_eq!(find("zzz = = 1\nsocket = \"/s\"\n[token]\nsocket = \"/t\"\n").as_deref(), Some("/s"));
        assert_eq!(find("[token]\nsocket = \"/t\"\n"), None);
    }

    #[test]
    fn wrong_types_are_reported() {
        assert!(lines("socket = 1\n[token]\nlabel = \"a\"\n")[0].contains("a text in quotes"));
        assert!(lines("socket = \"s\"\nonion = 3\ntoken = 4\n").len() == 2);
    }

    #[test]
    fn broken_toml_is_reported_with_its_line() {
        let problems = lines("socket = \"/s\"\nlimit = \n");
        assert!(problems[0].starts_with("line 2: not TOML"), "{problems:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}(\n\\PC{0,40}){0,5}") {
            let _unused = sample(&text);
        }
    }
}
