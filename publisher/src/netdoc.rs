//! Tor's line documents: the only place that cuts text into lines, items and objects, and that decodes their base64.
//!
//! [`LineSplitter`] serves documents that arrive in pieces; [`Items`] walks a document that is held whole.

use core::fmt;
use data_encoding::BASE64_NOPAD;
use memchr::memchr;

pub mod date;

/// The longest line of a streamed document, in octets; real ones stay under 8,000.
pub const MAX_STREAMED_LINE: usize = 64 * 1024;

/// A streamed line was longer than [`MAX_STREAMED_LINE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is longer than {MAX_STREAMED_LINE} octets")]
pub struct LineTooLong {
    /// Number of the line, from 1.
    pub line: usize,
}

/// Cuts a stream of chunks into lines; holds at most one unfinished line.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// Start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// Lines handed out so far.
    count: usize,
}

impl LineSplitter {
    /// Hands every line that `chunk` completes to `each`, with its number (from 1) and without its line feed.
    ///
    /// # Errors
    /// [`LineTooLong`], and whatever `each` returns; the rest of the chunk is then lost.
    pub fn push<E: From<LineTooLong>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.count = self.count.saturating_add(1);
            if self.partial.is_empty() {
                check_length(self.count, line)?;
                each(self.count, line)?;
            } else {
                self.partial.extend_from_slice(line);
                check_length(self.count, &self.partial)?;
                each(self.count, &self.partial)?;
                self.partial.clear();
            }
            rest = tail.get(1..).unwrap_or_default();
        }
        self.partial.extend_from_slice(rest);
        check_length(self.count.saturating_add(1), &self.partial)?;
        Ok(())
    }

    /// Number of the line that has not ended yet, `None` if the last octet was a line feed.
    #[must_use]
    pub const fn unfinished(&self) -> Option<usize> {
        if self.partial.is_empty() { None } else { Some(self.count.saturating_add(1)) }
    }
}

/// Refuses a line that is too long.
const fn check_length(line: usize, octets: &[u8]) -> Result<(), LineTooLong> {
    if octets.len() > MAX_STREAMED_LINE { Err(LineTooLong { line }) } else { Ok(()) }
}

/// Cuts the keyword off a line: (keyword, arguments without leading blanks).
#[must_use]
pub fn split_keyword(line: &str) -> (&str, &str) {
    line.split_once([' ', '\t'])
        .map_or((line, ""), |(word, rest)| (word, rest.trim_start_matches([' ', '\t'])))
}

/// Decodes base64 with or without padding, as tor does; `None` if it is neither.
#[must_use]
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(bare.len());
    is_padded(text, padding).then(|| BASE64_NOPAD.decode(bare.as_bytes()).ok()).flatten()
}

/// Whether a text may end with so many signs of padding.
const fn is_padded(text: &str, padding: usize) -> bool {
    padding == 0 || (padding <= 2 && text.len().is_multiple_of(4))
}

/// Decodes base64 of exactly `N` octets, with or without padding.
#[must_use]
pub fn base64_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bare = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(bare.len());
    let mut octets = [0; N];
    let fits = BASE64_NOPAD.decode_len(bare.len()) == Ok(N) && is_padded(text, padding);
    let decoded = fits.then(|| BASE64_NOPAD.decode_mut(bare.as_bytes(), &mut octets).ok()).flatten();
    decoded.map(|_all| octets)
}

/// What is wrong with the form of a line document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A NUL octet, or octets that are not UTF-8.
    #[error("has octets that are not text")]
    NotText,
    /// A line starts with something other than a keyword.
    #[error("does not start with a keyword")]
    Keyword,
    /// An object begins without an item before it.
    #[error("begins an object that belongs to no item")]
    StrayObject,
    /// The line `-----BEGIN ...-----` is malformed.
    #[error("is not a proper BEGIN line of an object")]
    Begin,
    /// The object does not end, or ends with another label.
    #[error("begins an object that has no matching END line")]
    NoEnd,
}

/// A malformed line and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: Malformed,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} {}", self.line, self.what)
    }
}

impl core::error::Error for SyntaxError {}

/// Octets as text: UTF-8 without NUL.
///
/// # Errors
/// [`Malformed::NotText`] with the line of the first bad octet.
pub fn text_of(octets: &[u8]) -> Result<&str, SyntaxError> {
    let not_text = |at| SyntaxError { line: line_of(octets, at), what: Malformed::NotText };
    let text = core::str::from_utf8(octets).map_err(|error| not_text(error.valid_up_to()))?;
    memchr(b'\0', octets).map_or(Ok(text), |at| Err(not_text(at)))
}

/// The number of the line that octet `at` stands in.
fn line_of(octets: &[u8], at: usize) -> usize {
    let before = octets.get(..at).unwrap_or(octets);
    before.iter().filter(|octet| **octet == b'\n').count().saturating_add(1)
}

/// The object of an item: `-----BEGIN label-----`, base64, `-----END label-----`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// The label.
    pub label: &'a str,
    /// The lines between BEGIN and END.
    body: &'a str,
    /// Number of the BEGIN line.
    pub line: usize,
}

impl Object<'_> {
    /// The decoded content; `None` if it is not base64.
    #[must_use]
    pub fn decode(&self) -> Option<Vec<u8>> {
        let mut joined = String::with_capacity(self.body.len());
        self.body.split('\n').for_each(|line| joined.push_str(line.trim_ascii()));
        base64(&joined)
    }
}

/// A keyword line with its arguments and its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The keyword.
    pub keyword: &'a str,
    /// All that follows the keyword in its line.
    pub rest: &'a str,
    /// Number of the line, from 1.
    pub line: usize,
    /// Where the line starts, in octets from the start of the document.
    pub offset: usize,
    /// The object that follows the line.
    pub object: Option<Object<'a>>,
}

impl<'a> Item<'a> {
    /// The arguments, cut at blanks.
    pub fn args(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.rest.split([' ', '\t']).filter(|arg| !arg.is_empty())
    }

    /// Argument number `index` (from 0).
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&'a str> {
        self.args().nth(index)
    }
}

/// Walks the items of a document; empty lines are skipped. Ends after the first error.
#[derive(Debug)]
pub struct Items<'a> {
    /// What is not read yet.
    rest: &'a str,
    /// Lines read so far.
    line: usize,
    /// Octets read so far.
    offset: usize,
}

impl<'a> Items<'a> {
    /// Starts at the first line of `text`.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 0, offset: 0 }
    }

    /// The next line without its line feed.
    fn next_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.rest.as_bytes()).and_then(|end| self.rest.split_at_checked(end));
        let (line, rest) = end.unwrap_or((self.rest, ""));
        let rest = rest.strip_prefix('\n').unwrap_or(rest);
        self.offset = self.offset.saturating_add(self.rest.len().saturating_sub(rest.len()));
        self.rest = rest;
        self.line = self.line.saturating_add(1);
        Some(line)
    }

    /// An error in the line read last.
    const fn error(&self, what: Malformed) -> SyntaxError {
        SyntaxError { line: self.line, what }
    }

    /// Reads the item that starts with `line`.
    fn item(&mut self, line: &'a str, offset: usize) -> Result<Item<'a>, SyntaxError> {
        let (keyword, rest) = split_keyword(line);
        if keyword.starts_with("-----") {
            return Err(self.error(Malformed::StrayObject));
        }
        if keyword.is_empty() || !keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        {
            return Err(self.error(Malformed::Keyword));
        }
        let number = self.line;
        let object = if self.rest.starts_with("-----BEGIN ") { Some(self.object()?) } else { None };
        Ok(Item { keyword, rest, line: number, offset, object })
    }

    /// Reads an object whose BEGIN line comes next.
    fn object(&mut self) -> Result<Object<'a>, SyntaxError> {
        let begin = self.next_line().unwrap_or_default();
        let begin_line = self.line;
        let label = begin.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----"));
        let label = label.filter(|label| !label.is_empty()).ok_or(self.error(Malformed::Begin))?;
        let all = self.rest;
        let mut body = 0_usize;
        while let Some(line) = self.next_line() {
            if let Some(end) = line.strip_prefix("-----END ").and_then(|rest| rest.strip_suffix("-----"))
                && end == label
            {
                let body = all.get(..body).unwrap_or_default();
                return Ok(Object { label, body, line: begin_line });
            }
            if line.starts_with("-----") {
                break;
            }
            body = body.saturating_add(line.len()).saturating_add(1);
        }
        Err(SyntaxError { line: begin_line, what: Malformed::NoEnd })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.offset;
            let line = self.next_line()?;
            if !line.is_empty() {
                let item = self.item(line, offset);
                if item.is_err() {
                    self.rest = "";
                }
                return Some(item);
            }
        }
    }
}

#[cfg(test)]
mod tests;
