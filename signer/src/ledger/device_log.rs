//! How much of `device-log`, a token's own log in the state directory, stands behind a line of the ledger; the only place
//! that says which hash it has.

use super::line::Head;
use sha3::{Digest as _, Sha3_256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What is hashed before the text.
const DOMAIN: &[u8] = b"onionkeep device log v1\n";

/// How much of a token's own log is on record: whole lines, and the hash of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLog {
    /// How many lines.
    pub count: u64,
    /// SHA3-256 over a domain and these lines, each with its end.
    pub head: Head,
}

/// The text of a `device-log`, as it is read.
#[derive(Clone)]
pub struct Reading {
    /// Of all whole lines.
    hash: Sha3_256,
    /// How many.
    count: u64,
    /// What stands after the last of them.
    rest: Vec<u8>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { hash: Sha3_256::new_with_prefix(DOMAIN), count: 0, rest: Vec::new() }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({:?})", self.at())
    }
}

impl Reading {
    /// Takes in the octets that follow; tells `each` of every line that they end.
    pub fn feed(&mut self, octets: &[u8], mut each: impl FnMut(&Self)) {
        for part in octets.split_inclusive(|octet| *octet == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.hash.update(&self.rest);
                self.rest.clear();
                self.count = self.count.saturating_add(1);
                each(self);
            }
        }
    }

    /// How much was read.
    #[must_use]
    pub fn at(&self) -> DeviceLog {
        DeviceLog { count: self.count, head: Head(self.hash.clone().finalize().into()) }
    }
}

/// The first of what a ledger says that a `device-log` does not bear out, by its place in `said`.
///
/// # Errors
/// What the system says.
pub fn contradicted(path: &Path, said: &[DeviceLog]) -> io::Result<Option<usize>> {
    let (mut file, mut reading, mut buffer) = (File::open(path)?, Reading::default(), vec![0; 1 << 16]);
    let mut borne_out = vec![false; said.len()];
    loop {
        let octets = file.read(&mut buffer)?;
        if octets == 0 {
            break;
        }
        reading.feed(buffer.get(..octets).unwrap_or_default(), |reading| {
            for (seen, said) in borne_out.iter_mut().zip(said) {
                *seen |= said.count == reading.count && *said == reading.at();
            }
        });
    }
    let nothing = Reading::default().at();
    Ok(borne_out.iter().zip(said).position(|(seen, said)| !seen && *said != nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> DeviceLog {
        let mut reading = Reading::default();
        reading.feed(text, |_line| {});
        reading.at()
    }

    #[test]
    fn only_whole_lines_count_however_they_come() {
        let whole = read(b"entry 1\nentry 2\n");
        assert_eq!(whole.count, 2);
        assert_eq!(read(b"entry 1\nentry 2\nent"), whole);
        let mut by_octet = Reading::default();
        b"entry 1\nentry 2\n".iter().for_each(|octet| by_octet.feed(&[*octet], |_line| {}));
        assert_eq!(by_octet.at(), whole);
        assert_ne!(read(b"entry 1\nentry 3\n").head, whole.head);
        assert_ne!(read(b"entry 1\n").head, whole.head);
    }

    #[test]
    fn a_log_that_was_changed_or_cut_contradicts_the_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device-log");
        let said = [read(b"a\nb\n"), read(b"a\nb\nc\n")];
        for (text, found) in [
            ("a\nb\nc\n", None),
            ("a\nb\nc\nd\n", None),
            ("a\nb\nx\n", Some(1)),
            ("x\nb\nc\n", Some(0)),
            ("a\nb\n", Some(1)),
            ("", Some(0)),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(contradicted(&path, &said).unwrap(), found, "{text:?}");
        }
        assert_eq!(contradicted(&path, &[]).unwrap(), None);
    }
}
