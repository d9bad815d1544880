//! Searches memory, files and octets for secrets in every form; the only place where a process's memory is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};

use super::secrets::Secret;

/// Memory is read in pieces of this many octets, which overlap by [`OVERLAP`].
const PIECE: usize = 4 << 20;
/// Longer than every form of every secret.
const OVERLAP: usize = 512;

/// A secret that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Which secret, and in which form.
    pub what: String,
    /// Where.
    pub place: String,
}

/// Looks for many secrets at once.
pub struct Scanner {
    /// All forms of all secrets.
    automaton: AhoCorasick,
    /// What each pattern is.
    names: Vec<String>,
    /// What was found, and how often.
    pub hits: BTreeMap<Hit, usize>,
    /// Octets that were looked at.
    pub octets: usize,
}

impl Scanner {
    /// A scanner for `secrets`.
    pub fn new(secrets: &[Secret]) -> Result<Self> {
        let mut patterns = Vec::new();
        let mut names = Vec::new();
        for secret in secrets {
            for (form, octets) in secret.forms() {
                ensure!(octets.len() >= 8 && octets.len() < OVERLAP, "{} cannot be looked for", secret.name);
                names.push(format!("{} ({form})", secret.name));
                patterns.push(octets);
            }
        }
        Ok(Self { automaton: AhoCorasick::new(patterns)?, names, hits: BTreeMap::new(), octets: 0 })
    }

    /// Looks at octets that were found at `place`.
    pub fn look(&mut self, place: &str, octets: &[u8]) {
        self.octets += octets.len();
        for found in self.automaton.find_overlapping_iter(octets) {
            let what = self.names[found.pattern().as_usize()].clone();
            *self.hits.entry(Hit { what, place: place.to_owned() }).or_default() += 1;
        }
    }

    /// Looks at a file, or at everything below a directory. Sockets and files that went away are passed over.
    pub fn look_at_files(&mut self, path: &Path) -> Result<()> {
        let kind = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        if kind.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.look_at_files(&entry?.path())?;
            }
        } else if kind.is_file() {
            let octets = std::fs::read(path).with_context(|| path.display().to_string())?;
            self.look(&path.display().to_string(), &octets);
        }
        Ok(())
    }

    /// Looks at every readable mapping, the arguments and the environment of a process. Needs root.
    pub fn look_at_process(&mut self, pid: u32) -> Result<()> {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"))?;
        let name = format!("{} {pid}", name.trim());
        for file in ["cmdline", "environ"] {
            let octets = std::fs::read(format!("/proc/{pid}/{file}")).context("this needs root")?;
            self.look(&format!("{file} of {name}"), &octets);
        }
        let mut memory = File::open(format!("/proc/{pid}/mem")).context("this needs root")?;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let mut read = 0_usize;
        for mapping in maps.lines().filter_map(Mapping::parse) {
            read += self.look_at_mapping(&name, &mut memory, &mapping);
        }
        ensure!(read > 100_000, "almost nothing of the memory of {name} could be read");
        Ok(())
    }

    /// Looks at one mapping; how many octets of it could be read.
    fn look_at_mapping(&mut self, process: &str, memory: &mut File, mapping: &Mapping<'_>) -> usize {
        let place = format!("memory of {process}, {}", mapping.name);
        let (mut at, mut read) = (mapping.from, 0);
        while at < mapping.to {
            let want = usize::try_from(mapping.to - at).unwrap_or(PIECE).min(PIECE);
            let mut octets = vec![0; want];
            // Parts such as [vvar] cannot be read by anybody.
            if memory.seek(SeekFrom::Start(at)).and_then(|_at| memory.read_exact(&mut octets)).is_err() {
                break;
            }
            self.look(&place, &octets);
            read += want;
            let step = if want == PIECE { PIECE - OVERLAP } else { want };
            at = at.saturating_add(u64::try_from(step).unwrap_or(u64::MAX));
        }
        read
    }

    /// What was found, a line each.
    #[must_use]
    pub fn report(&self) -> String {
        self.hits
            .iter()
            .map(|(hit, count)| format!("{} {count} times in {}\n", hit.what, hit.place))
            .collect()
    }
}

/// A mapping of a process.
struct Mapping<'a> {
    /// First address.
    from: u64,
    /// One after the last address.
    to: u64,
    /// The file behind it, or a name in brackets.
    name: &'a str,
}

impl<'a> Mapping<'a> {
    /// Reads a line of `/proc/PID/maps`; `None` for what cannot be read.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let name = words.nth(3).unwrap_or("[anonymous]");
        let address = |hex| u64::from_str_radix(hex, 16).ok();
        rights.starts_with('r').then_some(Self { from: address(from)?, to: address(to)?, name })
    }
}

/// A process and everything it has started.
pub fn family(pid: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let path: PathBuf = entry?.path();
        let Some(child) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let Ok(status) = std::fs::read_to_string(path.join("status")) else { continue };
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(child);
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(children.get(&parent).into_iter().flatten());
        next += 1;
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_found_and_named_with_its_place() {
        let secret = Secret::new("key", b"0123456789abcdefghijklmnopqrstuv");
        for (form, octets) in secret.forms() {
            let mut scanner = Scanner::new(std::slice::from_ref(&secret)).unwrap();
            scanner.look("there", &[b"before".as_slice(), &octets, b"after"].concat());
            assert!(
                scanner.hits.keys().any(|hit| hit.what == format!("key ({form})") && hit.place == "there")
            );
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let mut scanner = Scanner::new(&[Secret::new("key", &[7; 32])]).unwrap();
        scanner.look("there", &[8; 10_000]);
        assert!(scanner.hits.is_empty() && scanner.octets == 10_000);
    }

    #[test]
    fn what_is_too_short_to_mean_anything_is_not_looked_for() {
        assert!(Scanner::new(&[Secret::new("pin", b"1234")]).is_err());
    }

    #[test]
    fn our_own_family_has_our_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = family(std::process::id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(family.contains(&child.id()) && family[0] == std::process::id());
    }
}
