//! Our two programs as an operator runs them: the only place where their configuration is written and they are started.

pub mod ceremony;
mod publisher;
mod signer;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::files;
use crate::process::{self, User};

pub use publisher::{Publisher, PublisherTor, Service};
pub use signer::Signer;

/// Names the directory with our programs; without it they are looked for beside the running program.
pub const BIN_DIR_VARIABLE: &str = "ONIONKEEP_BIN_DIR";

/// Copies of our programs that every user of the run may execute, wherever the repository lies.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Holds the copies.
    dir: PathBuf,
}

/// The two programs.
const NAMES: [&str; 2] = ["onionkeep-signer", "onionkeep-publisher"];

impl Programs {
    /// Finds the programs and copies them under `run`.
    pub fn install(run: &Path) -> Result<Self> {
        let (from, dir) = (bin_dir()?, run.join("bin"));
        files::make_dir(&dir, User::Harness, 0o755)?;
        for name in NAMES {
            let source = from.join(name);
            let hint =
                format!("no program {}; build it first: cargo build --locked -p {name}", source.display());
            ensure!(source.exists(), hint);
            files::copy_program(&source, &dir.join(name))?;
        }
        Ok(Self { dir })
    }

    /// The path of one of them.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The path of something that cargo built beside our programs.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = bin_dir()?.join(name);
    ensure!(path.exists(), "there is no {}", path.display());
    Ok(path)
}

/// The directory of the programs: named by the variable, or the first one above this program that has them.
fn bin_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(BIN_DIR_VARIABLE) {
        return Ok(PathBuf::from(dir));
    }
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).find(|dir| dir.join(NAMES[0]).exists());
    Ok(found
        .context("our programs are not beside this one; build them first: cargo build --locked --workspace")?
        .to_owned())
}

/// A command of ours that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// The answer.
    pub stdout: String,
    /// Errors, hints and log lines.
    pub stderr: String,
}

impl Ran {
    /// Runs `command` to its end with nothing on stdin.
    pub fn of(mut command: Command) -> Result<Self> {
        let output =
            command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().with_context(|| format!("{command:?}: {}", output.status))?;
        Ok(Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// The answer, or an error with everything the program said.
    pub fn answer(self) -> Result<String> {
        ensure!(self.code == 0, "exit code {}: {}{}", self.code, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// The first word of the answer that `wanted` accepts.
    pub fn word(self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let answer = self.answer()?;
        let mut words = answer.split_whitespace().map(|word| word.trim_matches(['"', '\'', ',', '.', ':']));
        words.find(|word| wanted(word)).map(str::to_owned).with_context(|| format!("no {what} in: {answer}"))
    }
}

/// A command for one of our programs.
fn program(programs: &Programs, name: &str, user: User) -> Command {
    let mut command = process::command(programs.path(name), user);
    command.env("RUST_BACKTRACE", "0");
    command
}
