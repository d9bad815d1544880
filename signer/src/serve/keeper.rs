//! The keeper: starts gate and vault, brings the vault back, ends when the gate does. It has no secret, token or peer.

use super::backoff::Backoff;
use super::child::Process;
use super::line::Note;
use super::notify::{self, Notify};
use super::packet;
use crate::config::Config;
use crate::error::{Failure, Kind};
use crate::log::{Level, line};
use crate::pin::PinSource;
use crate::vault::message::Generation;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

/// The first pause before a vault is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest: with a start after it, a token that is back is used again within 10 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// A vault that lived this long was well: the next pause is the first again.
const WELL: Duration = Duration::from_secs(10);
/// **Seconds** for clients when only a restart of the signer helps.
const BY_HAND: u32 = 300;

/// A vault that runs.
struct Running {
    /// The process.
    process: Process,
    /// Since when.
    since: Instant,
    /// Whether the gate has had it killed.
    hung: bool,
}

/// The keeper.
pub(super) struct Keeper {
    /// The configuration's path, for the children.
    config: PathBuf,
    /// Whether the PIN can be had again without a person.
    pin_again: bool,
    /// The gate.
    gate: Process,
    /// To the gate.
    line: OwnedFd,
    /// The vault's end of the pair; kept so that it outlives each vault.
    vault_end: OwnedFd,
    /// The vault that runs.
    vault: Option<Running>,
    /// The count of the last one that was started.
    generation: Generation,
    /// Pauses between vaults.
    backoff: Backoff,
    /// Whether a vault is wanted when none runs.
    wanted: bool,
    /// Whether clients were ever served: from then on the signer outlives its vaults.
    serving: bool,
    /// To the service manager.
    notify: Notify,
}

/// A failure to start or watch processes.
fn internal(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(Kind::Internal, format!("cannot {what}: {error}"), "")
}

impl Keeper {
    /// Starts the gate.
    ///
    /// # Errors
    /// [`Failure`] if the system does not let it.
    pub(super) fn start(path: &Path, config: &Config) -> Result<Self, Failure> {
        let failed = internal("start the gate");
        let (gate_end, vault_end) = packet::pair().map_err(&failed)?;
        let (line, gate_line) = packet::pair().map_err(&failed)?;
        let every = notify::watchdog().map(|limit| (limit.as_secs() / 3).max(1).to_string());
        let mut words = Vec::new();
        if let Some(every) = &every {
            words.extend([OsStr::new("--self-test"), OsStr::new(every)]);
        }
        Ok(Self {
            config: path.to_owned(),
            pin_again: config.token.pin != PinSource::Prompt,
            gate: Process::gate(path, gate_end, gate_line, &words).map_err(&failed)?,
            line,
            vault_end,
            vault: None,
            generation: Generation(0),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            wanted: false,
            serving: false,
            notify: Notify::from_environment().map_err(internal("reach the service manager"))?,
        })
    }

    /// Keeps until the gate ends, or until the first vault fails before anybody was served.
    ///
    /// # Errors
    /// [`Failure`] if the system does not let it watch its children.
    pub(super) fn keep(mut self) -> Result<ExitCode, Failure> {
        loop {
            let over = self.step().map_err(internal("watch gate and vault"))?;
            if let Some(code) = over {
                self.notify.say("STOPPING=1");
                return Ok(code);
            }
        }
    }

    /// Waits for something to happen and acts on it; the exit code once it is over.
    fn step(&mut self) -> io::Result<Option<ExitCode>> {
        if self.wanted && self.vault.is_none() && self.backoff.wait().is_none() {
            self.start_vault()?;
        }
        self.wait()?;
        // The gate's notes come before its end: it says nothing after.
        while let Ok(Some(note)) = Note::hear(&self.line) {
            self.heed(note);
        }
        if let Some(status) = self.gate.status()? {
            return Ok(Some(self.gate_ended(status)));
        }
        let status = self.vault.as_mut().map(|vault| vault.process.status()).transpose()?.flatten();
        Ok(status.and_then(|status| self.vault_ended(status)))
    }

    /// Waits until gate or vault end, the gate says something, or a vault is due.
    fn wait(&self) -> io::Result<()> {
        let due = if self.wanted && self.vault.is_none() { self.backoff.wait() } else { None };
        let due = due.and_then(|wait| Timespec::try_from(wait).ok());
        let vault = self.vault.as_ref().map(|vault| PollFd::new(&vault.process, PollFlags::IN));
        let mut ready = vec![PollFd::new(&self.line, PollFlags::IN), PollFd::new(&self.gate, PollFlags::IN)];
        ready.extend(vault);
        match poll(&mut ready, due.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Acts on a note of the gate.
    fn heed(&mut self, note: Note) {
        match note {
            Note::Proceed => self.wanted = true,
            Note::Serving => {
                self.serving = true;
                self.notify.say("READY=1\nSTATUS=serving");
            }
            Note::Alive => self.notify.say("WATCHDOG=1"),
            Note::Kill(generation) if generation == self.generation => {
                if let Some(vault) = self.vault.as_mut() {
                    vault.hung = true;
                    vault.process.kill();
                }
            }
            Note::Kill(_) | Note::Ended { .. } => {}
        }
    }

    /// Starts a vault.
    fn start_vault(&mut self) -> io::Result<()> {
        self.generation = Generation(self.generation.0.saturating_add(1));
        let count = self.generation.0.to_string();
        let words = [OsStr::new("--generation"), OsStr::new(&count)];
        let process = Process::vault(&self.config, self.vault_end.try_clone()?, &words)?;
        self.vault = Some(Running { process, since: Instant::now(), hung: false });
        Ok(())
    }

    /// The gate has ended, and so does everything.
    fn gate_ended(&mut self, status: ExitStatus) -> ExitCode {
        self.vault = None;
        line(Level::Error, "gate-ended", &[("how", &status)]);
        let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
        ExitCode::from(code.unwrap_or(Kind::Internal.code()))
    }

    /// A vault has ended: the exit code if nobody was served yet, or a new try after a pause.
    fn vault_ended(&mut self, status: ExitStatus) -> Option<ExitCode> {
        let Running { since, hung, .. } = self.vault.take()?;
        let code = if hung { Some(Kind::Away.code()) } else { None };
        let code = code.or_else(|| status.code().and_then(|code| u8::try_from(code).ok()));
        let code = code.filter(|code| *code != 0).unwrap_or(Kind::Internal.code());
        if !self.serving {
            line(Level::Error, "vault-ended", &[("how", &status)]);
            return Some(ExitCode::from(code));
        }
        if since.elapsed() >= WELL {
            self.backoff.worked();
        }
        self.wanted = self.pin_again && code != Kind::Pin.code();
        let retry_after = if self.wanted { seconds(self.backoff.failed()) } else { BY_HAND };
        let vault = self.generation;
        if self.wanted {
            line(
                Level::Error,
                "vault-ended",
                &[("vault", &vault.0), ("how", &status), ("retry-after", &retry_after)],
            );
        } else {
            let why = "the PIN is not tried again: correct it if needed and restart the signer by hand";
            line(Level::Error, "vault-given-up", &[("vault", &vault.0), ("how", &status), ("why", &why)]);
            self.notify.say("STATUS=the token is away until a restart by hand");
        }
        // A gate that is gone is noticed by its end.
        let _gone = Note::Ended { generation: vault, retry_after }.tell(&self.line);
        None
    }
}

/// Whole **seconds**, and one for the start.
fn seconds(pause: Duration) -> u32 {
    u32::try_from(pause.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}
