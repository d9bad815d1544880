//! What `signer.toml` means; the only place that knows its keys.

use crate::error::{Explain, Kind};
use crate::policy::{Budget, Grant};
use crate::seal::TokenName;
use crate::token::Which;
use crate::users;
use onionkeep_common::config::{Problem, Problems, Section, read};
use onionkeep_common::{Minutes, PeriodLength, PeriodRule};
use std::io;
use std::path::{Path, PathBuf};

mod confine;
mod token;
mod world;
mod yubihsm;

pub use confine::{Confine, Profile};
pub use token::TokenConfig;
pub use yubihsm::{Connector, YubihsmConfig};

/// The file is refused above this size, in octets.
const FILE_MAX: u64 = 1 << 20;

/// The signer's configuration, read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the ledger.
    pub state_dir: PathBuf,
    /// Where `serve` listens.
    pub socket: PathBuf,
    /// Permission bits of the socket.
    pub socket_mode: u32,
    /// Group of the socket.
    pub socket_group: Option<u32>,
    /// Whether the signer refuses to start with memory that may be swapped.
    pub memory_lock: MemoryLock,
    /// Whether the signer refuses to start where it cannot confine itself.
    pub sandbox: Sandbox,
    /// The token.
    pub token: TokenConfig,
    /// Who may ask for which onion.
    pub grants: Vec<Grant>,
    /// How the network numbers its periods.
    pub periods: PeriodRule,
}

/// What happens when the kernel has no landlock or no seccomp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// `serve` does not start.
    Required,
    /// `serve` warns and goes on.
    IfPossible,
}

/// What happens when the memory cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLock {
    /// `serve` does not start.
    Required,
    /// `serve` warns and goes on: for a laptop with a small `RLIMIT_MEMLOCK`.
    IfPossible,
}

/// How deep a configuration is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The text alone.
    Text,
    /// Also that the files and directories it names are there and fit.
    World,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}: {count} problem{s}\n{problems}", file = path.display(), count = problems.0.len(), s = if problems.0.len() == 1 { "" } else { "s" })]
    Problems {
        /// The file.
        path: PathBuf,
        /// Each with its line.
        problems: Problems,
    },
    /// A command needs a key that is not there.
    #[error("{0} is missing in the configuration")]
    Missing(&'static str),
}

impl Explain for ConfigError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "--config FILE names the configuration".to_owned(),
            Self::Problems { .. } => "signer.example.toml explains each key".to_owned(),
            Self::Missing("serial in [token]") => {
                "onionkeep-signer token init prints the line to add".to_owned()
            }
            Self::Missing(_) => "signer.example.toml explains each key".to_owned(),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] if it cannot be read, [`ConfigError::Problems`] with everything that is wrong in it.
    pub fn load(path: &Path, depth: Depth) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX {
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, depth)
            .map_err(|problems| ConfigError::Problems { path: path.to_owned(), problems })
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// [`Problems`] with everything that is wrong in it.
    pub fn parse(text: &str, depth: Depth) -> Result<Self, Problems> {
        let known = [
            "state_dir",
            "socket",
            "socket_mode",
            "socket_group",
            "memory_lock",
            "sandbox",
            "token",
            "onion",
            "period",
        ];
        read(text, &known, |top| build(top, depth))
    }

    /// The serial number, which all commands but `token init` need.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] if it is not configured.
    pub fn serial(&self) -> Result<&str, ConfigError> {
        self.token.serial.as_deref().ok_or(ConfigError::Missing("serial in [token]"))
    }

    /// By what the token is known again.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] if its serial number is not configured.
    pub fn which(&self) -> Result<Which, ConfigError> {
        let name = TokenName { label: self.token.label.clone(), serial: self.serial()?.to_owned() };
        let TokenConfig { manufacturer, model, .. } = self.token.clone();
        Ok(Which { name, manufacturer, model })
    }
}

/// Builds the configuration from the top level; every section is read before any absence counts.
fn build(top: &Section<'_, '_>, depth: Depth) -> Option<Config> {
    let state_dir = path_at(top, "state_dir");
    let socket = path_at(top, "socket");
    let socket_mode = mode(top);
    let socket_group = group(top);
    let memory_lock = memory_lock(top);
    let sandbox = sandbox(top);
    let token = top
        .required_section("token", &token::KEYS)
        .and_then(|section| token::read(&section, depth, state_dir.as_deref()));
    let grants = grants(top);
    let periods = period(top);
    if depth == Depth::World {
        world::check(top, state_dir.as_deref(), socket.as_deref());
    }
    Some(Config {
        state_dir: state_dir?,
        socket: socket?,
        socket_mode,
        socket_group,
        memory_lock,
        sandbox,
        token: token?,
        grants,
        periods: periods?,
    })
}

/// An absolute path.
fn path_at(section: &Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.required_text(key)?);
    if !path.is_absolute() {
        section.report(key, format!("{key}: wanted is a path that starts with /"));
        return None;
    }
    Some(path)
}

/// The socket's permission bits, written in octal.
fn mode(top: &Section<'_, '_>) -> u32 {
    let Some(text) = top.text("socket_mode") else { return 0o660 };
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| mode & !0o777 == 0 && mode & 0o600 == 0o600);
    if mode.is_none() {
        top.report(
            "socket_mode",
            "socket_mode: wanted are three octal digits that let the owner in, as in \"0660\"",
        );
    }
    mode.unwrap_or(0o660)
}

/// The socket's group, by name or number.
fn group(top: &Section<'_, '_>) -> Option<u32> {
    let name = top.text("socket_group")?;
    let gid = users::gid_of(name);
    if gid.is_none() {
        top.report("socket_group", format!("socket_group: there is no group {name:?} in /etc/group"));
    }
    gid
}

/// What to do without a sandbox.
fn sandbox(top: &Section<'_, '_>) -> Sandbox {
    match top.text("sandbox") {
        None | Some("required") => Sandbox::Required,
        Some("if-possible") => Sandbox::IfPossible,
        Some(_) => {
            top.report("sandbox", "sandbox: wanted is \"required\" or \"if-possible\"");
            Sandbox::Required
        }
    }
}

/// What to do without locked memory.
fn memory_lock(top: &Section<'_, '_>) -> MemoryLock {
    match top.text("memory_lock") {
        None | Some("required") => MemoryLock::Required,
        Some("if-possible") => MemoryLock::IfPossible,
        Some(_) => {
            top.report("memory_lock", "memory_lock: wanted is \"required\" or \"if-possible\"");
            MemoryLock::Required
        }
    }
}

/// The `[[onion]]` tables.
fn grants(top: &Section<'_, '_>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = Vec::new();
    for section in top.sections("onion", &["address", "uid", "user", "certificates_per_day"]) {
        let address = section.required_parsed("address");
        let (Some(address), Some(uid)) = (address, peer(&section)) else { continue };
        let budget = section.number("certificates_per_day", Budget::RANGE).and_then(Budget::new);
        let grant = Grant { onion: address, uid, budget: budget.unwrap_or(Budget::DEFAULT) };
        if grants.iter().any(|known| known.onion == address && known.uid == uid) {
            section.report("address", "address: this onion already stands here for the same peer");
        }
        grants.push(grant);
    }
    grants
}

/// The uid of an `[[onion]]`, from `uid` or `user`.
fn peer(section: &Section<'_, '_>) -> Option<u32> {
    match (section.has("uid"), section.has("user")) {
        (true, true) => {
            section.report("user", "uid and user stand side by side: keep one of them");
            None
        }
        (false, false) => {
            section.report("address", "[[onion]] needs uid or user: the peer that may ask for this onion");
            None
        }
        (true, false) => {
            section.number("uid", 0..=u64::from(u32::MAX)).and_then(|uid| u32::try_from(uid).ok())
        }
        (false, true) => {
            let name = section.text("user")?;
            let uid = users::uid_of(name);
            if uid.is_none() {
                section.report("user", format!("user: there is no user {name:?} in /etc/passwd"));
            }
            uid
        }
    }
}

/// The `[period]` section; the public network's rule without it.
fn period(top: &Section<'_, '_>) -> Option<PeriodRule> {
    let Some(section) = top.section("period", &["length_minutes", "offset_minutes"]) else {
        return Some(PeriodRule::PUBLIC);
    };
    let longest = u64::from(PeriodLength::MAX.minutes());
    let length = section.number("length_minutes", 1..=longest);
    let offset = section.number("offset_minutes", 0..=longest);
    let length = length.and_then(|minutes| u32::try_from(minutes).ok()).and_then(PeriodLength::new);
    let offset = offset.and_then(|minutes| u32::try_from(minutes).ok()).map(Minutes);
    Some(PeriodRule {
        length: length.unwrap_or(PeriodLength::DAY),
        offset: offset.unwrap_or(PeriodRule::PUBLIC.offset),
    })
}

/// All problems, one a line, for `check-config`.
#[must_use]
pub fn listed(path: &Path, problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}: {problem}\n", path.display())).collect()
}

#[cfg(test)]
mod tests;
