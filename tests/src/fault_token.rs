//! The token that fails by a script: the only place where the harness knows its files and its language.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::daemon;
use crate::files;
use crate::process::User;
use crate::wait;

/// The module's file, as cargo names it.
const MODULE: &str = "libonionkeep_fault_token.so";
/// Names the token's directory to the module.
pub const DIR_VARIABLE: &str = "ONIONKEEP_FAULT_TOKEN";
/// The serial number of the first token.
pub const SERIAL: &str = "0123456789abcdef";
/// How long a call may take to turn up in the record.
const LIMIT: Duration = Duration::from_secs(20);

/// A token of its own and a copy of the module.
#[derive(Clone, Debug)]
pub struct FaultToken {
    /// The token's directory.
    dir: PathBuf,
    /// The module.
    module: PathBuf,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The process.
    pub process: u32,
    /// The function.
    pub function: String,
    /// The mechanism; `-` without one.
    pub mechanism: String,
    /// The return code, or `HANGS` or `CORRUPTS`.
    pub code: String,
    /// Whether a line of the script bit.
    pub fault: bool,
}

impl Call {
    /// From a line.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut word = || words.next().map(str::to_owned);
        let process = word()?.parse().ok()?;
        let (function, mechanism, code) = (word()?, word()?, word()?);
        Some(Self { process, function, mechanism, code, fault: word().is_some() })
    }

    /// Function and mechanism, as lists of calls name them.
    #[must_use]
    pub fn name(&self) -> String {
        if self.mechanism == "-" {
            self.function.clone()
        } else {
            format!("{} {}", self.function, self.mechanism)
        }
    }
}

impl FaultToken {
    /// A module with one empty token, which belong to the signer.
    pub fn new(dir: &Path) -> Result<Self> {
        let built = daemon::built(MODULE).context("build it first: cargo build -p onionkeep-fault-token")?;
        let token = Self { dir: dir.join("fault"), module: dir.join(MODULE) };
        files::make_dir(dir, User::Signer, 0o755)?;
        files::copy_program(&built, &token.module)?;
        for made in [token.dir.clone(), token.dir.join("slots")] {
            files::make_dir(&made, User::Signer, 0o700)?;
        }
        token.add_slot(0, SERIAL)?;
        Ok(token)
    }

    /// The PKCS#11 library.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// Its directory, for [`DIR_VARIABLE`].
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts another empty token into a slot.
    pub fn add_slot(&self, slot: u32, serial: &str) -> Result<()> {
        let dir = self.dir.join("slots").join(slot.to_string());
        files::make_dir(&dir, User::Signer, 0o700)?;
        files::make_dir(&dir.join("objects"), User::Signer, 0o700)?;
        files::write(&dir.join("token"), format!("serial {serial}\n"), User::Signer, 0o600)
    }

    /// Puts a copy of the first token, with the same label and serial, into another slot.
    pub fn double(&self, slot: u32) -> Result<()> {
        files::copy_tree(&self.dir.join("slots/0"), &self.dir.join("slots").join(slot.to_string()))
    }

    /// Replaces the script; its counts start anew. Never seen half written.
    pub fn script(&self, lines: &[&str]) -> Result<()> {
        let new = self.dir.join("script-new");
        files::write(&new, lines.join("\n"), User::Signer, 0o600)?;
        Ok(std::fs::rename(new, self.dir.join("script"))?)
    }

    /// No faults any more.
    pub fn heal(&self) -> Result<()> {
        self.script(&[])
    }

    /// Everything that was recorded so far.
    pub fn calls(&self) -> Result<Vec<Call>> {
        let text = match std::fs::read_to_string(self.dir.join("calls")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        text.lines().map(|line| Call::parse(line).with_context(|| format!("odd line {line:?}"))).collect()
    }

    /// Function and mechanism of everything that was recorded so far.
    pub fn names(&self) -> Result<BTreeSet<String>> {
        Ok(self.calls()?.iter().map(Call::name).collect())
    }

    /// How often a function was called so far.
    pub fn count(&self, function: &str) -> Result<usize> {
        Ok(self.calls()?.iter().filter(|call| call.function == function).count())
    }

    /// Waits until a call of this function hangs that did not when `before` calls were recorded.
    pub fn wait_hang(&self, function: &str, before: usize) -> Result<()> {
        wait::until_true("a call that hangs", LIMIT, || {
            let calls = self.calls()?;
            let mut new = calls.iter().skip(before);
            Ok(new.any(|call| call.function == function && call.code == "HANGS"))
        })
    }

    /// Tries left of the user PIN.
    pub fn tries_left(&self) -> Result<u32> {
        let text = std::fs::read_to_string(self.dir.join("slots/0/token"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("user-left "));
        Ok(line.context("the token has no user PIN")?.parse()?)
    }
}
