//! One reply or event as text: its lines, words, values and data.

use super::error::TorError;
use memchr::memchr;
use std::borrow::Cow;

/// The longest piece of tor's text that an error message repeats.
const SHOWN: usize = 200;
/// tor's code for an event.
const EVENT: u16 = 650;

/// A reply of tor: the status code and the lines without it. A data block belongs to the line that announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 3 digits.
    pub(super) code: u16,
    /// At least one line.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Whether this is an event and not the answer to a command.
    pub(super) const fn is_event(&self) -> bool {
        self.code == EVENT
    }

    /// The first line, up to its data block.
    pub(super) fn first(&self) -> &str {
        let line = self.lines.first().map_or("", String::as_str);
        line.split_once("\r\n").map_or(line, |(head, _data)| head)
    }

    /// The data block of the first line as tor's own text: line feeds only, dots unstuffed. Empty if there is no content.
    ///
    /// Spec: control-spec, 2.3 (`CmdData`).
    pub(super) fn into_data(self) -> Vec<u8> {
        let line = self.lines.into_iter().next().unwrap_or_default();
        let Some(head) = line.find("\r\n") else { return Vec::new() };
        unstuffed(line.into_bytes(), head.saturating_add(2))
    }

    /// The reply itself if its code is 250, else the error for `command`.
    pub(super) fn accepted(self, command: &str) -> Result<Self, TorError> {
        if self.code == 250 {
            return Ok(self);
        }
        Err(TorError::Rejected { command: command.to_owned(), code: self.code, text: shown(self.first()) })
    }

    /// The value of `key` in a `key=value` line; of a data block the text.
    pub(super) fn value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.lines.iter().find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix('=')?;
            match value.strip_prefix("\r\n") {
                Some(data) => {
                    Some(Cow::Owned(String::from_utf8_lossy(&unstuffed(data.into(), 0)).into_owned()))
                }
                None => unquoted(value),
            }
        })
    }
}

/// Undoes the stuffing of the data block from octet `start` on, whose last line end is already gone. What is before it goes.
/// The lines are moved together in place: the text is never the longer form, and a descriptor is not copied for it.
fn unstuffed(mut octets: Vec<u8>, start: usize) -> Vec<u8> {
    if octets.get(start..).is_none_or(|data| data.trim_ascii().is_empty()) {
        return Vec::new();
    }
    let (mut read, mut written, mut begins) = (start, 0_usize, true);
    while let Some(rest) = octets.get(read..).filter(|rest| !rest.is_empty()) {
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end.saturating_add(1));
        let piece = rest.get(..length).unwrap_or(rest);
        let dot = usize::from(begins && piece.starts_with(b"."));
        // A line feed alone ends no line.
        begins = piece.ends_with(b"\r\n");
        let end = read.saturating_add(length);
        let (first, last) = (read.saturating_add(dot), if begins { end.saturating_sub(2) } else { end });
        octets.copy_within(first..last, written);
        written = written.saturating_add(last.saturating_sub(first));
        if let Some(octet) = octets.get_mut(written).filter(|_octet| begins) {
            *octet = b'\n';
            written = written.saturating_add(1);
        }
        read = end;
    }
    octets.truncate(written);
    octets.push(b'\n');
    octets
}

/// A text with its lines ended by CRLF, its leading dots doubled, and the final dot line.
///
/// Spec: control-spec, 2.2 (`CmdData`).
pub(super) fn stuffed(text: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(text.len().saturating_add(text.len() / 32).saturating_add(8));
    for line in text.lines() {
        if line.starts_with('.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// A value without its quotes and escapes; a value without quotes as it stands. `None` if the quotes do not fit.
///
/// Spec: control-spec, 2.1.1 (`QuotedString`, with the C escapes that tor writes).
pub(super) fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let mut text = Vec::new();
    let mut octets = rest.bytes();
    loop {
        match octets.next()? {
            b'"' => break,
            b'\\' => text.push(escaped(&mut octets)?),
            other => text.push(other),
        }
    }
    if octets.next().is_some() {
        return None;
    }
    String::from_utf8(text).ok().map(Cow::Owned)
}

/// The octet that an escape stands for: `\n`, `\t`, `\r`, three octal digits, or the octet itself.
fn escaped(octets: &mut core::str::Bytes<'_>) -> Option<u8> {
    match octets.next()? {
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        first @ b'0'..=b'7' => {
            let digits = [first, octets.next()?, octets.next()?];
            u8::from_str_radix(core::str::from_utf8(&digits).ok()?, 8).ok()
        }
        other => Some(other),
    }
}

/// Cuts a line into words at single spaces; a quoted string is one word, even inside `KEY="..."`.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let (mut quoted, mut escape) = (false, false);
        let end = rest.bytes().position(|octet| {
            let was_escape = core::mem::take(&mut escape);
            match octet {
                b'"' if !was_escape => quoted = !quoted,
                b'\\' if quoted && !was_escape => escape = true,
                _other => {}
            }
            octet == b' ' && !quoted
        });
        let (word, after) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = after;
        Some(word)
    })
}

/// The value of `KEY=value` among words, unquoted.
pub(super) fn argument<'a>(line: &'a str, key: &str) -> Option<Cow<'a, str>> {
    words(line).find_map(|word| unquoted(word.strip_prefix(key)?.strip_prefix('=')?))
}

/// A text from tor as it may stand in a message: one line, printable, not long.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
