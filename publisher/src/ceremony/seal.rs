//! Seals the private half of a slot's key to this machine with `systemd-creds`, and opens it again. The only place of the
//! publisher that starts a program.

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The program, found by `PATH`.
const PROGRAM: &str = "systemd-creds";
/// How long it may take: a TPM needs about a second.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(5);
/// The longest answer, in octets: what fits into a pipe, for nobody reads before the program has ended.
const ANSWER_MOST: u64 = 60_000;
/// The longest complaint that is passed on, in characters.
const SAID_MOST: usize = 300;
/// The TPM's register that a sealed key is bound to: 23, which a platform leaves as it is after a start. systemd's own choice (7)
/// changes with every update of the Secure Boot lists and would lock all slots; none at all is refused at opening by systemd 252.
const REGISTER: &str = "--tpm2-pcrs=23";
/// A word that changes nothing.
const PLAINLY: &str = "--no-pager";
/// The first version in which an unprivileged user can have something sealed by the machine's key.
const FOR_USERS: u32 = 256;

/// What holds the key that seals a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seal {
    /// Nothing: the file's mode alone protects it.
    #[default]
    Plain,
    /// The machine's own secret file, which only root can read.
    Host,
    /// The machine's TPM 2.
    Tpm2,
    /// Both are needed.
    HostTpm2,
}

impl Seal {
    /// All of them.
    const ALL: [Self; 4] = [Self::Plain, Self::Host, Self::Tpm2, Self::HostTpm2];

    /// The word, which is also the one of `systemd-creds --with-key`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Host => "host",
            Self::Tpm2 => "tpm2",
            Self::HostTpm2 => "host+tpm2",
        }
    }
}

impl Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Seal {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|seal| seal.name() == text);
        found.ok_or("wanted is plain, host, tpm2 or host+tpm2")
    }
}

/// What was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// To seal.
    Seal,
    /// To open.
    Open,
}

impl Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seal => "seal",
            Self::Open => "open",
        })
    }
}

/// Why a key was not sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The program cannot be started or spoken to.
    #[error("cannot {act} a slot's key, {PROGRAM} does not work: {source}")]
    Program {
        /// What was to be done.
        act: Act,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error("cannot {act} a slot's key: {PROGRAM} did not end within {} s", DEADLINE.as_secs())]
    Late {
        /// What was to be done.
        act: Act,
    },
    /// It refuses.
    #[error("cannot {act} a slot's key: {PROGRAM} says: {said}")]
    Refused {
        /// What was to be done.
        act: Act,
        /// Its words.
        said: String,
    },
}

impl SealError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Program { .. } => "install systemd, whose systemd-creds seals keys; or choose --seal plain",
            Self::Refused { act: Act::Seal, .. } | Self::Late { act: Act::Seal } => {
                "see that this user may use the machine's key or its TPM (docs/operate/offline.md), or choose another --seal"
            }
            Self::Refused { act: Act::Open, .. } | Self::Late { act: Act::Open } => {
                "only the machine that sealed a key opens it, with the same host secret or TPM: bring that back, or import the emergency bundle"
            }
        }
    }
}

/// Seals a secret under a name; the answer is text. `seal` is not [`Seal::Plain`].
///
/// # Errors
/// [`SealError`].
pub fn seal(secret: &[u8], seal: Seal, name: &str) -> Result<String, SealError> {
    let with_key = format!("--with-key={seal}");
    let name = format!("--name={name}");
    let register = if seal == Seal::Host { PLAINLY } else { REGISTER };
    let words = ["encrypt", &with_key, register, &name, scope(Act::Seal)?, "-", "-"];
    let answer = run(Act::Seal, &words, secret)?;
    let text: String =
        answer.iter().copied().map(char::from).filter(|letter| !letter.is_whitespace()).collect();
    if text.is_empty() || !text.is_ascii() {
        return Err(refused(Act::Seal, "nothing that is a sealed key"));
    }
    Ok(text)
}

/// Whether keys can be sealed so here; nothing is kept.
///
/// # Errors
/// [`SealError`] says why not.
pub fn check(kind: Seal) -> Result<(), SealError> {
    if kind == Seal::Plain { Ok(()) } else { seal(b"a try", kind, "onionkeep-try").map(drop) }
}

/// Opens what [`seal`] has made under the same name on this machine.
///
/// # Errors
/// [`SealError`].
pub fn open(text: &str, name: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let name = format!("--name={name}");
    run(Act::Open, &["decrypt", &name, scope(Act::Open)?, "-", "-"], text.as_bytes())
}

/// An error with the program's words, cut and cleaned.
fn refused(act: Act, said: &str) -> SealError {
    let said: String = said.chars().filter(|letter| !letter.is_control()).take(SAID_MOST).collect();
    SealError::Refused { act, said }
}

/// The program, to be given its words.
#[cfg(not(test))]
fn program() -> Command {
    Command::new(PROGRAM)
}
#[cfg(test)]
use tests::program;

/// Runs the program with a deadline.
fn run(act: Act, words: &[&str], input: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut command = program();
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| SealError::Program { act, source })?;
    let answered = converse(act, &mut child, input);
    if answered.is_err() {
        // It may have ended already.
        drop(child.kill());
        drop(child.wait());
    }
    answered
}

/// Gives the child its input, waits for its end and reads what it has left in its pipes.
fn converse(act: Act, child: &mut Child, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let failed = |source| SealError::Program { act, source };
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input) {
            // It has ended without reading: its own words say why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other.map_err(failed)?,
        }
    }
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if start.elapsed() >= DEADLINE {
            return Err(SealError::Late { act });
        }
        sleep(POLL);
    };
    // Reserved at once, so that no copy of a secret stays where the answer would have grown.
    let mut answer = Zeroizing::new(Vec::with_capacity(65_536));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_MOST).read_to_end(&mut answer).map_err(failed)?;
    }
    if status.success() {
        return Ok(answer);
    }
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(ANSWER_MOST).read_to_end(&mut said).map_err(failed)?;
    }
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(refused(act, last.unwrap_or("nothing, but it failed")))
}

/// `--user` where an unprivileged user needs it and the program has it; else nothing more than it does by itself.
fn scope(act: Act) -> Result<&'static str, SealError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PLAINLY);
    }
    let version = version_of(&String::from_utf8_lossy(&run(act, &["--version"], b"")?));
    Ok(if version.is_some_and(|version| version >= FOR_USERS) { "--user" } else { PLAINLY })
}

/// The number in `systemd 252 (252.39-1)`.
fn version_of(text: &str) -> Option<u32> {
    text.split(' ').nth(1)?.trim().split(['.', '~', '-']).next()?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests;
