//! One relay's entry in a consensus: is it an HSDir for version 3 services, and which microdescriptor does it have.

use super::{ConsensusError, Fingerprint};
use crate::netdoc::base64_array;

/// The first tor whose HSDirs know version 3 as it is.
const FIRST_GOOD_TOR: [u32; 4] = [0, 3, 0, 8];

/// An HSDir that still needs its microdescriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// SHA-256 of its microdescriptor.
    pub(super) digest: [u8; 32],
    /// The relay.
    pub(super) fingerprint: Fingerprint,
    /// Its Ed25519 identity, once found.
    pub(super) ed25519: Option<[u8; 32]>,
}

/// The lines of one relay read so far.
#[derive(Debug)]
pub(super) struct Entry {
    /// Number of the `r` line.
    line: usize,
    /// Fingerprint in the `r` line.
    pub(super) fingerprint: Fingerprint,
    /// Argument of the `m` line.
    digest: Option<[u8; 32]>,
    /// Whether the `s` line has the flag `HSDir`.
    flag: Option<bool>,
    /// Whether the `v` line names a tor that is new enough; no line counts as yes.
    version: Option<bool>,
    /// Whether the `pr` line has `HSDir` 2; no line counts as no.
    protocol: Option<bool>,
}

impl Entry {
    /// Starts an entry with the arguments of its `r` line (microdescriptor flavour).
    ///
    /// Spec: dir-spec, 3.9.1 (`r nickname identity date time address orport dirport`).
    pub(super) fn new(line: usize, arguments: &str) -> Option<Self> {
        let mut fields = arguments.split(' ').filter(|field| !field.is_empty());
        let identity = fields.nth(1)?;
        if fields.count() < 5 {
            return None;
        }
        let fingerprint = Fingerprint(base64_array(identity)?);
        Some(Self { line, fingerprint, digest: None, flag: None, version: None, protocol: None })
    }

    /// Takes one further line; keywords that do not matter here are ignored.
    pub(super) fn take(&mut self, line: usize, keyword: &str, arguments: &str) -> Result<(), ConsensusError> {
        match keyword {
            "m" => {
                let digest = base64_array(arguments.split(' ').next().unwrap_or_default());
                let digest = digest.ok_or(ConsensusError::Malformed { line, keyword: "m" })?;
                once(&mut self.digest, digest, line, "m")
            }
            "s" => once(&mut self.flag, arguments.split(' ').any(|flag| flag == "HSDir"), line, "s"),
            "v" => once(&mut self.version, is_new_enough(arguments), line, "v"),
            "pr" => once(&mut self.protocol, supports_hsdir_2(arguments), line, "pr"),
            _other => Ok(()),
        }
    }

    /// Ends the entry: an HSDir that can store version 3 descriptors, or `None`.
    ///
    /// Spec: C tor, `memoize_protover_summary` (`supports_v3_hsdir`).
    pub(super) fn finish(self) -> Result<Option<Wanted>, ConsensusError> {
        let missing = |keyword| ConsensusError::RelayIncomplete { line: self.line, keyword };
        let digest = self.digest.ok_or_else(|| missing("m"))?;
        let flag = self.flag.ok_or_else(|| missing("s"))?;
        let stores = flag && self.version.unwrap_or(true) && self.protocol.unwrap_or(false);
        Ok(stores.then_some(Wanted { digest, fingerprint: self.fingerprint, ed25519: None }))
    }
}

/// Sets a field that may be set once.
pub(super) fn once<T>(
    slot: &mut Option<T>,
    value: T,
    line: usize,
    keyword: &'static str,
) -> Result<(), ConsensusError> {
    if slot.replace(value).is_some() { Err(ConsensusError::Duplicate { line, keyword }) } else { Ok(()) }
}

/// Whether a `v` line names a tor of at least [`FIRST_GOOD_TOR`], or something that is no tor version.
fn is_new_enough(arguments: &str) -> bool {
    let Some(version) = arguments.strip_prefix("Tor ") else { return true };
    let number = version.split([' ', '-', '(']).next().unwrap_or_default();
    let mut fields = [0; 4];
    for (field, text) in fields.iter_mut().zip(number.split('.')) {
        match text.parse() {
            Ok(value) => *field = value,
            Err(_not_a_number) => return true,
        }
    }
    fields >= FIRST_GOOD_TOR
}

/// Whether a `pr` line lists version 2 of the protocol `HSDir`.
///
/// Spec: tor-spec, 9 (`Keyword=1-2,4`).
fn supports_hsdir_2(arguments: &str) -> bool {
    let entry = arguments.split(' ').find_map(|entry| entry.strip_prefix("HSDir="));
    entry.is_some_and(|list| list.split(',').any(contains_2))
}

/// Whether one part of a version list contains 2.
fn contains_2(part: &str) -> bool {
    let (low, high) = part.split_once('-').unwrap_or((part, part));
    match (low.parse::<u32>(), high.parse::<u32>()) {
        (Ok(low), Ok(high)) => low <= 2 && 2 <= high,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_list_is_searched_for_2() {
        for yes in ["HSDir=2", "Cons=1 HSDir=1-2 X=1", "HSDir=1,2", "HSDir=1,2-5"] {
            assert!(supports_hsdir_2(yes), "{yes}");
        }
        for no in ["", "HSDir=1", "HSDir=3-4", "HSDir=", "XHSDir=2", "HSDir=-2", "HSDir=22"] {
            assert!(!supports_hsdir_2(no), "{no}");
        }
    }

    #[test]
    fn old_tor_is_told_from_new_and_from_unknown() {
        for yes in
            ["Tor 0.3.0.8", "Tor 0.4.9.11", "Tor 0.3.1.1-alpha (git-12)", "Arti 0.1", "Tor next", "Tor 1"]
        {
            assert!(is_new_enough(yes), "{yes}");
        }
        for no in ["Tor 0.3.0.7", "Tor 0.2.9.17", "Tor 0.3.0", "Tor 0.3.0.7-rc"] {
            assert!(!is_new_enough(no), "{no}");
        }
    }
}
