//! Plain YAML as a tree with line numbers. The only place that calls the YAML parser.
//!
//! Aliases, tags, several documents and deep nesting are refused: no configuration needs them, attacks do.

use onionkeep_common::config::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// What stands for nothing when it is not in quotes.
///
/// Spec: YAML 1.2, 10.2.1.1.
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];
/// Lists and mappings may be nested so deep.
const DEPTH_MOST: usize = 16;

/// A piece of YAML.
#[derive(Debug)]
pub(super) struct Node {
    /// Its line, from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) value: Value,
}

/// What a piece of YAML is.
#[derive(Debug)]
pub(super) enum Value {
    /// A text, number or the like, as written.
    Scalar(String),
    /// Nothing, or a word for it.
    Null,
    /// A list.
    List(Vec<Node>),
    /// A mapping, in its order; no key twice.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Its line.
    pub(super) line: usize,
    /// Its value.
    pub(super) value: Node,
}

impl Node {
    /// A problem here.
    pub(super) fn problem(&self, text: impl Into<String>) -> Problem {
        Problem { line: self.line, text: text.into() }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The list, if it is one.
    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            Value::Null | Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// The mapping, if it is one.
    pub(super) fn map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        }
    }
}

/// Reads a text with one document.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut root = None;
    while let Some((event, _span)) = reader.next()? {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(_) if root.is_some() => return Err(reader.problem("a second document")),
            Event::DocumentStart(_) => {
                let (event, span) = reader.must()?;
                root = Some(reader.node(event, &span, 0)?);
            }
            Event::StreamEnd => break,
            Event::Alias(_)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => return Err(reader.problem("not YAML: something outside a document")),
        }
    }
    root.ok_or(Problem { line: 1, text: "nothing is in it".to_owned() })
}

/// What is left of a text.
struct Reader<'t> {
    /// The parser.
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The line of the last event.
    line: usize,
}

impl<'t> Reader<'t> {
    /// A problem at the last event.
    fn problem(&self, text: &str) -> Problem {
        Problem { line: self.line, text: text.to_owned() }
    }

    /// The next event.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Problem> {
        let broken = |error: ScanError| Problem {
            line: error.marker().line(),
            text: format!("not YAML: {}", error.info()),
        };
        let event = self.parser.next().transpose().map_err(broken)?;
        if let Some((_event, span)) = &event {
            self.line = span.start.line();
        }
        Ok(event)
    }

    /// The next event, which must be there.
    fn must(&mut self) -> Result<(Event<'t>, Span), Problem> {
        self.next()?.ok_or_else(|| self.problem("not YAML: it ends too early"))
    }

    /// What begins with this event.
    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Problem> {
        let line = span.start.line();
        if depth > DEPTH_MOST {
            return Err(self.problem("nested too deeply"));
        }
        let value = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(self.problem("a YAML tag, which means nothing here"));
            }
            Event::Scalar(text, ScalarStyle::Plain, _, None) if NULL.contains(&text.as_ref()) => Value::Null,
            Event::Scalar(text, _, _, None) => Value::Scalar(text.into_owned()),
            Event::SequenceStart(_, None) => Value::List(self.list(depth)?),
            Event::MappingStart(_, None) => Value::Map(self.map(depth)?),
            Event::Alias(_) => return Err(self.problem("a YAML alias: write the value itself")),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(self.problem("not YAML: a value is missing")),
        };
        Ok(Node { line, value })
    }

    /// The rest of a list.
    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.must()?;
            if event == Event::SequenceEnd {
                return Ok(list);
            }
            list.push(self.node(event, &span, depth.saturating_add(1))?);
        }
    }

    /// The rest of a mapping.
    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut map: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.must()?;
            if event == Event::MappingEnd {
                return Ok(map);
            }
            let key = self.node(event, &span, depth.saturating_add(1))?;
            let Value::Scalar(word) = key.value else { return Err(self.problem("a key that is not a word")) };
            if map.iter().any(|other| other.key == word) {
                return Err(Problem { line: key.line, text: format!("{word:?} is there twice") });
            }
            let (event, span) = self.must()?;
            let value = self.node(event, &span, depth.saturating_add(1))?;
            map.push(Entry { key: word, line: key.line, value });
        }
    }
}
