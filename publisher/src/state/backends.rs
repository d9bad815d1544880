//! The backends of a service as they were changed at run time, so that a restart keeps the changes.
//!
//! The file names the list of the configuration that was changed. Another list there, and the file counts no more.

use crate::config::{BACKENDS_MAX, BackendConfig, WEIGHTS, is_name};
use data_encoding::HEXLOWER;
use sha3::{Digest, Sha3_256};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// First line.
const HEAD: &str = "onionkeep-publisher backends 1";
/// A backend that gets clients.
const OPEN: &str = "open";
/// A backend that drains.
const DRAIN: &str = "drain";

/// Stands for a list of backends in the configuration.
fn digest(file: &[BackendConfig]) -> String {
    HEXLOWER.encode(&Sha3_256::digest(lines(file)))
}

/// One line for each backend.
fn lines(backends: &[BackendConfig]) -> String {
    backends.iter().fold(String::new(), |mut text, backend| {
        let BackendConfig { name, address, weight, drain, .. } = backend;
        let word = if *drain { DRAIN } else { OPEN };
        // Writing to a string cannot fail.
        let _always = writeln!(text, "backend {name} {} {weight} {word}", address.bare()).is_ok();
        text
    })
}

/// The text for backends that are `now` other than in the configuration's `file`.
pub(super) fn to_text(file: &[BackendConfig], now: &[BackendConfig]) -> String {
    format!("{HEAD}\nfile {}\n{}", digest(file), lines(now))
}

/// Reads a text; `None` if the configuration's list is another one by now.
pub(super) fn from_text(
    text: &str,
    file: &[BackendConfig],
) -> Result<Option<Vec<BackendConfig>>, &'static str> {
    let mut all = text.lines();
    if all.next() != Some(HEAD) {
        return Err("it is not a list of backends of this version");
    }
    let of = all.next().and_then(|line| line.strip_prefix("file ")).ok_or("it names no list")?;
    if of != digest(file) {
        return Ok(None);
    }
    let backends: Option<Vec<_>> = all.map(backend).collect();
    let mut backends = backends.ok_or("a line is no backend")?;
    for backend in &mut backends {
        // What cannot be changed at run time stays in the configuration.
        if let Some(file) = file.iter().find(|file| file.address == backend.address) {
            backend.client_key.clone_from(&file.client_key);
            backend.ignore_pow = file.ignore_pow;
        }
    }
    let names: BTreeSet<_> = backends.iter().map(|backend| &backend.name).collect();
    let addresses: BTreeSet<_> = backends.iter().map(|backend| backend.address).collect();
    let count = backends.len();
    if count == 0 || count > BACKENDS_MAX || names.len() != count || addresses.len() != count {
        return Err("it lists no backend, too many, or one of them twice");
    }
    Ok(Some(backends))
}

/// Reads one line.
fn backend(line: &str) -> Option<BackendConfig> {
    let words: Vec<_> = line.split(' ').collect();
    let ["backend", name, address, weight, word] = words.as_slice() else { return None };
    let drain = match *word {
        OPEN => false,
        DRAIN => true,
        _other => return None,
    };
    let weight = weight.parse::<u32>().ok().filter(|weight| WEIGHTS.contains(&u64::from(*weight)))?;
    is_name(name).then_some(())?;
    let (name, address) = ((*name).to_owned(), address.parse().ok()?);
    Some(BackendConfig { name, address, weight, drain, client_key: None, ignore_pow: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn file() -> Vec<BackendConfig> {
        Config::parse(crate::config::tests::SAMPLE).unwrap().services.remove(0).backends
    }

    #[test]
    fn what_is_written_is_read_for_the_same_configuration_only() {
        let file = file();
        let mut now = file.clone();
        now[1].drain = true;
        now[0].weight = 7;
        let text = to_text(&file, &now);
        assert_eq!(from_text(&text, &file).unwrap().unwrap(), now);
        assert_eq!(from_text(&text, &now).unwrap(), None, "another list in the configuration");
    }

    #[test]
    fn broken_lists_are_refused() {
        let file = file();
        let text = to_text(&file, &file);
        let first = text.lines().nth(2).unwrap();
        for bad in [
            String::new(),
            text.replace("backends 1", "backends 2"),
            text.replace("file ", "list "),
            text.replace(" open", " shut"),
            text.replace(" 1 open", " 0 open"),
            text.replace(" 1 open", " 1001 open"),
            text.replace(" 1 open", " -1 open"),
            text.replace("b1", "b2"),
            text.replace("b1", "b/1"),
            format!("{text}{first}\n"),
            text.lines().take(2).collect::<Vec<_>>().join("\n"),
        ] {
            assert!(from_text(&bad, &file).is_err(), "{bad}");
        }
    }
}
