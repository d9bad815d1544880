//! Reads canonical text, line by line: the only place that decides what may stand in a line of a ceremony's file.
//!
//! A line is a name, a blank and values with one blank between them. A line whose name starts with `may-` is passed over when
//! it is not known, one with `must-` or any other name that is not known ends the reading.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt::Display;
use core::str::FromStr;
use data_encoding::{BASE64, HEXLOWER};

/// Longest file that is read, in octets: a year of hourly certificates is a third of it.
pub const FILE_MAX: usize = 16 << 20;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl FileError {
    /// Something wrong in a line.
    pub(super) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Octets from lower-case hex of exactly that length.
#[must_use]
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// The lines of a file.
#[derive(Clone)]
pub struct Lines<'a> {
    /// The signed part.
    signed: &'a str,
    /// What was not read yet.
    rest: &'a str,
    /// Number of the line that was read last.
    number: usize,
    /// The signature in the last line.
    pub(super) signature: [u8; 64],
}

impl<'a> Lines<'a> {
    /// Checks the file as a whole: plain text, `head` in the first line, a signature in the last.
    ///
    /// # Errors
    /// [`FileError`] if it was cut short, converted or is something else.
    pub fn open(file: &'a [u8], head: &str) -> Result<Self, FileError> {
        let text = plain(file)?;
        let all = text.split_inclusive('\n').count();
        let last = text.split_inclusive('\n').next_back().unwrap_or_default();
        let is_head = text.split('\n').next() == Some(head);
        if !is_head {
            return Err(FileError::new(1, format!("this is no file that starts with {head:?}")));
        }
        let value = last.strip_prefix("signature ").and_then(|rest| rest.strip_suffix('\n'));
        let cut = || FileError::new(all, "the last line is no signature: the file is cut short");
        let signature = BASE64.decode(value.ok_or_else(cut)?.as_bytes());
        let signature = signature.ok().and_then(|octets| octets.try_into().ok());
        let signature =
            signature.ok_or_else(|| FileError::new(all, "the signature is not 64 octets in base64"))?;
        let signed = text.strip_suffix(last).unwrap_or_default();
        let rest = signed.strip_prefix(head).and_then(|rest| rest.strip_prefix('\n'));
        Ok(Self { signed, rest: rest.ok_or_else(cut)?, number: 1, signature })
    }

    /// Everything before the signature's line.
    #[must_use]
    pub const fn signed(&self) -> &'a [u8] {
        self.signed.as_bytes()
    }

    /// The next line that is not to be passed over, without reading it.
    fn look(&self) -> Option<(usize, &'a str)> {
        let mut lines = self.rest.split_inclusive('\n').enumerate();
        let (skipped, line) = lines.find(|(_index, line)| !line.starts_with("may-"))?;
        Some((self.number.saturating_add(skipped).saturating_add(1), line))
    }

    /// Whether the next line has this name.
    #[must_use]
    pub fn is_next(&self, name: &str) -> bool {
        self.look().is_some_and(|(_number, line)| line.trim_end().split(' ').next() == Some(name))
    }

    /// Reads the next line, which must have this name.
    ///
    /// # Errors
    /// [`FileError`] if it has another, or there is none.
    pub fn take(&mut self, name: &'static str) -> Result<Line<'a>, FileError> {
        let missing = FileError::new(self.number.saturating_add(1), format!("the line {name:?} is missing"));
        let (number, line) = self.look().ok_or(missing)?;
        let mut words = line.strip_suffix('\n').unwrap_or(line).split(' ');
        let found = words.next().unwrap_or_default();
        if found != name {
            let what = if found.starts_with("must-") {
                format!(
                    "{found:?} is of a later version, or has no place here; this program may not pass it over"
                )
            } else {
                format!("wanted is {name:?}, not {found:?}")
            };
            return Err(FileError::new(number, what));
        }
        for _line in self.number..number {
            self.rest = self.rest.split_once('\n').map_or("", |(_line, rest)| rest);
        }
        self.number = number;
        Ok(Line { number, words })
    }

    /// A line with one value.
    ///
    /// # Errors
    /// [`FileError`] if it has another name, or the value is none.
    pub fn value<T>(&mut self, name: &'static str) -> Result<T, FileError>
    where
        T: FromStr + Display,
        T::Err: Display,
    {
        let mut line = self.take(name)?;
        let value = line.value(name)?;
        line.end()?;
        Ok(value)
    }

    /// Nothing but the signature may follow.
    ///
    /// # Errors
    /// [`FileError`] if something does.
    pub fn end(&self) -> Result<(), FileError> {
        match self.look() {
            None => Ok(()),
            Some((number, line)) => {
                let name = line.trim_end().split(' ').next().unwrap_or_default();
                Err(FileError::new(number, format!("{name:?} has no place after the end")))
            }
        }
    }
}

/// One line, its name read.
#[derive(Clone)]
pub struct Line<'a> {
    /// Its number.
    number: usize,
    /// The words not read yet.
    words: core::str::Split<'a, char>,
}

impl<'a> Line<'a> {
    /// Something wrong in this line.
    #[must_use]
    pub fn wrong(&self, what: impl Into<String>) -> FileError {
        FileError::new(self.number, what)
    }

    /// The next word.
    ///
    /// # Errors
    /// [`FileError`] if there is none.
    pub fn word(&mut self, what: &str) -> Result<&'a str, FileError> {
        let word = self.words.next().filter(|word| !word.is_empty());
        word.ok_or_else(|| self.wrong(format!("{what} is missing, or there are two blanks")))
    }

    /// The next word must be this one.
    ///
    /// # Errors
    /// [`FileError`] if it is not.
    pub fn literal(&mut self, wanted: &str) -> Result<(), FileError> {
        if self.word(wanted)? == wanted {
            Ok(())
        } else {
            Err(self.wrong(format!("the word {wanted:?} is missing")))
        }
    }

    /// The next word as a value that is written exactly so.
    ///
    /// # Errors
    /// [`FileError`] if it is none, or could be written otherwise.
    pub fn value<T>(&mut self, what: &str) -> Result<T, FileError>
    where
        T: FromStr + Display,
        T::Err: Display,
    {
        let word = self.word(what)?;
        let value: T = word.parse().map_err(|why| self.wrong(format!("{what}: {why}")))?;
        if value.to_string() == word {
            Ok(value)
        } else {
            Err(self.wrong(format!("{what} is to be written {value}")))
        }
    }

    /// The next word as lower-case hex of `N` octets.
    ///
    /// # Errors
    /// [`FileError`] if it is none.
    pub fn hex<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FileError> {
        let word = self.word(what)?;
        hex(word).ok_or_else(|| self.wrong(format!("{what} is not {N} octets in lower-case hex")))
    }

    /// The next word as base64 of `N` octets.
    ///
    /// # Errors
    /// [`FileError`] if it is none.
    pub fn base64<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FileError> {
        let octets = BASE64.decode(self.word(what)?.as_bytes()).ok();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets.ok_or_else(|| self.wrong(format!("{what} is not {N} octets in base64")))
    }

    /// Nothing may follow in the line.
    ///
    /// # Errors
    /// [`FileError`] if something does.
    pub fn end(mut self) -> Result<(), FileError> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(FileError::new(
                self.number,
                format!("{:?} has no place at the end of the line", shown(word)),
            )),
        }
    }
}

/// The start of a word, for an error.
fn shown(word: &str) -> String {
    word.chars().take(16).collect::<String>().to_owned()
}

/// The file as text, if nothing has converted it.
fn plain(file: &[u8]) -> Result<&str, FileError> {
    if file.len() > FILE_MAX {
        return Err(FileError::new(1, format!("the file is longer than {FILE_MAX} octets")));
    }
    if file.starts_with(b"\xef\xbb\xbf") {
        return Err(FileError::new(
            1,
            "a byte order mark stands before the text: an editor has saved the file anew",
        ));
    }
    let strange = file.iter().position(|octet| !matches!(octet, b' '..=b'~' | b'\n'));
    if let Some(at) = strange {
        let before = file.get(..at).unwrap_or_default();
        let line = before.iter().filter(|octet| **octet == b'\n').count().saturating_add(1);
        let what = if file.get(at) == Some(&b'\r') {
            "the line ends were converted to CR LF; carry the file as it is"
        } else {
            "there is an octet that is no printable ASCII character"
        };
        return Err(FileError::new(line, what));
    }
    // All octets are ASCII, so this cannot fail.
    let text = core::str::from_utf8(file).unwrap_or_default();
    if text.ends_with('\n') {
        Ok(text)
    } else {
        let lines = text.split('\n').count();
        Err(FileError::new(lines, "the last line has no end: the file is empty or cut short"))
    }
}
