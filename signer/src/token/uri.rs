//! Reads a PKCS#11 URI: which token, which module, where its PIN is. The only place that knows the URI's form.
//!
//! Of the attributes of RFC 7512 those are taken that name a token, a module and a PIN source. Every other one is refused
//! with its reason: a URI that says more than we look at would seem to pin what nobody checks.

use crate::pin::PinSource;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The longest URI that is read, in octets.
const URI_MAX: usize = 4096;
/// What a URI starts with, in letters of either case.
const SCHEME: &str = "pkcs11:";
/// Characters of a path value beside letters, digits and escapes. Spec: RFC 7512, 2.3, but for `&`: where somebody wrote it instead of
/// `?`, a PIN would be the end of a label, and labels stand in messages.
const PATH_MARKS: &[u8] = b"-._~:[]@!$'()*+,=";
/// Characters of a query value beside letters, digits and escapes. Spec: RFC 7512, 2.3, but for `?`, which is as often meant as `&`.
const QUERY_MARKS: &[u8] = b"-._~:[]@!$'()*+,=/|";

/// A token as a URI names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUri {
    /// `token`: the label.
    pub label: String,
    /// `serial`.
    pub serial: Option<String>,
    /// `manufacturer`.
    pub manufacturer: Option<String>,
    /// `model`.
    pub model: Option<String>,
    /// `module-path`.
    pub module: Option<PathBuf>,
    /// `pin-source`.
    pub pin: Option<PinSource>,
}

/// What is wrong with a URI. No value of it is repeated: it may hold a PIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It does not start with the scheme.
    #[error("wanted is a URI that starts with \"pkcs11:\"")]
    Scheme,
    /// It is too long.
    #[error("the URI is longer than {URI_MAX} octets")]
    Long,
    /// An attribute without value.
    #[error("attribute {0} of the URI: wanted is name=value")]
    Form(usize),
    /// An attribute with an empty value.
    #[error("{0} in the URI is empty")]
    Empty(String),
    /// An attribute stands twice.
    #[error("{0} stands twice in the URI")]
    Twice(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("{0} in the URI has a % without two hexadecimal digits after it")]
    Escape(String),
    /// A character that must be escaped.
    #[error("{name} in the URI has the character {character:?}, which must be written as a % escape")]
    Character {
        /// The attribute.
        name: String,
        /// The character.
        character: char,
    },
    /// Escapes that give no text.
    #[error("{0} in the URI is not UTF-8, or has a control character")]
    Text(String),
    /// A value that no token has.
    #[error("{name} in the URI: wanted are 1 to {max} octets without a blank at the end")]
    Field {
        /// The attribute.
        name: &'static str,
        /// The field's length on a token.
        max: usize,
    },
    /// There is no label.
    #[error("the URI does not name the token: token=LABEL is missing")]
    NoToken,
    /// The PIN itself.
    #[error(
        "pin-value in the URI: a PIN never stands in a configuration, where backups and logs copy it; use pin-source"
    )]
    PinValue,
    /// The PIN source is none.
    #[error("pin-source in the URI: wanted is file:/absolute/path, credential:NAME or prompt")]
    PinSource,
    /// The module's path is relative.
    #[error("module-path in the URI: wanted is a path that starts with /")]
    Module,
    /// An attribute that RFC 7512 knows and we do not look at.
    #[error("{name} in the URI is not looked at: {why}")]
    Unused {
        /// The attribute.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// An attribute that nobody knows.
    #[error("{0} in the URI is no attribute that this signer knows")]
    Unknown(String),
}

/// Why attributes of RFC 7512 are refused.
const UNUSED: [(&[&str], &str); 4] = [
    (&["object", "type", "id"], "it names an object, wanted is a token"),
    (
        &["slot-id", "slot-description", "slot-manufacturer"],
        "slots change when a token is plugged in again; the token itself is pinned",
    ),
    (&["library-description", "library-manufacturer", "library-version"], "module-path names the library"),
    (&["module-name"], "a search path decides what it means; wanted is module-path"),
];

impl FromStr for TokenUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if text.len() > URI_MAX {
            return Err(UriError::Long);
        }
        let (scheme, rest) = text.split_at_checked(SCHEME.len()).ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut path = Attributes::read(path, ';', PATH_MARKS)?;
        let mut query = Attributes::read(query.unwrap_or_default(), '&', QUERY_MARKS)?;
        if query.take("pin-value").is_some() {
            return Err(UriError::PinValue);
        }
        let uri = Self {
            label: path.field("token", 32)?.ok_or(UriError::NoToken)?,
            serial: path.field("serial", 16)?,
            manufacturer: path.field("manufacturer", 32)?,
            model: path.field("model", 16)?,
            module: query.take("module-path").map(module).transpose()?,
            pin: query.take("pin-source").map(|text| pin_source(&text)).transpose()?,
        };
        path.nothing_left()?;
        query.nothing_left()?;
        Ok(uri)
    }
}

/// The attributes of the path or the query, decoded, by name.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Splits and decodes; `marks` are the characters that may stand unescaped.
    fn read(text: &str, separator: char, marks: &[u8]) -> Result<Self, UriError> {
        let mut found = BTreeMap::new();
        for (index, part) in text.split(separator).enumerate().filter(|_| !text.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(UriError::Form(index.saturating_add(1)))?;
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(UriError::Form(index.saturating_add(1)));
            }
            let value = decoded(name, value, marks)?;
            if found.insert(name.to_owned(), value).is_some() {
                return Err(UriError::Twice(name.to_owned()));
            }
        }
        Ok(Self(found))
    }

    /// Takes an attribute out.
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes a field of the token's information out.
    fn field(&mut self, name: &'static str, max: usize) -> Result<Option<String>, UriError> {
        let value = self.take(name);
        let fits = |text: &String| text.len() <= max && text.trim_end() == text;
        if value.as_ref().is_some_and(|text| !fits(text)) {
            return Err(UriError::Field { name, max });
        }
        Ok(value)
    }

    /// Refuses what is left over.
    fn nothing_left(self) -> Result<(), UriError> {
        let Some(name) = self.0.into_keys().next() else { return Ok(()) };
        match UNUSED.iter().find(|(names, _why)| names.contains(&name.as_str())) {
            Some((_names, why)) => Err(UriError::Unused { name, why }),
            None => Err(UriError::Unknown(name)),
        }
    }
}

/// Whether an octet may stand in an attribute's name. Spec: RFC 7512, 2.3.
const fn is_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

/// The text that an escaped value stands for.
fn decoded(name: &str, value: &str, marks: &[u8]) -> Result<String, UriError> {
    let mut octets = Vec::with_capacity(value.len());
    let mut left = value.chars();
    while let Some(character) = left.next() {
        let plain = u8::try_from(character).ok().filter(|o| o.is_ascii_alphanumeric() || marks.contains(o));
        match (character, plain) {
            ('%', _) => octets.push(escaped(&mut left).ok_or_else(|| UriError::Escape(name.to_owned()))?),
            (_, Some(octet)) => octets.push(octet),
            (character, None) => return Err(UriError::Character { name: name.to_owned(), character }),
        }
    }
    let text = String::from_utf8(octets).map_err(|_octets| UriError::Text(name.to_owned()))?;
    match text.chars().any(char::is_control) {
        true => Err(UriError::Text(name.to_owned())),
        false if text.is_empty() => Err(UriError::Empty(name.to_owned())),
        false => Ok(text),
    }
}

/// The octet of an escape whose `%` was taken.
fn escaped(left: &mut std::str::Chars<'_>) -> Option<u8> {
    let mut digit = || left.next()?.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (high, low) = (digit()?, digit()?);
    high.checked_mul(16)?.checked_add(low)
}

/// An absolute path.
fn module(text: String) -> Result<PathBuf, UriError> {
    if text.starts_with('/') { Ok(text.into()) } else { Err(UriError::Module) }
}

/// A PIN source; `file:///path` is the same as `file:/path`, a host is refused.
fn pin_source(text: &str) -> Result<PinSource, UriError> {
    let text = match text.strip_prefix("file://") {
        // One slash: what is written from `file:////path` would read back with a host.
        Some(path) if path.starts_with('/') => format!("file:/{}", path.trim_start_matches('/')),
        Some(_host) => return Err(UriError::PinSource),
        None => text.to_owned(),
    };
    text.parse().map_err(|_form| UriError::PinSource)
}

impl fmt::Display for TokenUri {
    /// Writes the URI, every octet escaped that is no letter, digit or one of `-._~`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}token={}", Escaped(&self.label))?;
        for (name, value) in
            [("serial", &self.serial), ("manufacturer", &self.manufacturer), ("model", &self.model)]
        {
            if let Some(value) = value {
                write!(f, ";{name}={}", Escaped(value))?;
            }
        }
        let module = self.module.as_ref().map(|path| ("module-path", path.display().to_string()));
        let pin = self.pin.as_ref().map(|pin| ("pin-source", pin.to_string()));
        for ((name, value), mark) in module.into_iter().chain(pin).zip(['?', '&']) {
            write!(f, "{mark}{name}={}", Escaped(&value))?;
        }
        Ok(())
    }
}

/// A text that is written escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in self.0.bytes() {
            if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                write!(f, "{}", char::from(octet))?;
            } else {
                write!(f, "%{octet:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
