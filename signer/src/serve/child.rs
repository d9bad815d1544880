//! A child process of the keeper: this very binary in another role; the only place that starts or kills a process.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};
use rustix::thread::set_name;
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The binary that runs, whatever has become of its name since.
const SELF: &str = "/proc/self/exe";
/// Variables for the keeper alone.
const KEEPERS_OWN: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A child; killed when dropped.
pub(super) struct Process {
    /// The child.
    child: Child,
    /// Readable once it has ended.
    ended: OwnedFd,
}

impl Process {
    /// Starts the gate. It gets no environment: it needs none, and knows no place of a PIN.
    pub(super) fn gate(config: &Path, vault: OwnedFd, keeper: OwnedFd, words: &[&OsStr]) -> io::Result<Self> {
        let mut command = own("gate", config, words);
        command.env_clear().stdin(vault).stdout(keeper);
        Self::start(command)
    }

    /// Starts a vault. Modules are configured by variables, so it gets what there is.
    pub(super) fn vault(config: &Path, gate: OwnedFd, words: &[&OsStr]) -> io::Result<Self> {
        let mut command = own("vault", config, words);
        command.stdin(gate).stdout(Stdio::null());
        for name in KEEPERS_OWN {
            command.env_remove(name);
        }
        Self::start(command)
    }

    /// Starts a command.
    fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        match opened {
            Ok(ended) => Ok(Self { child, ended }),
            Err(error) => {
                child.kill()?;
                let _status = child.wait()?;
                Err(error.into())
            }
        }
    }

    /// How it has ended, if it has.
    pub(super) fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it; a child that has just ended by itself is no error.
    pub(super) fn kill(&mut self) {
        let _already_ended = self.child.kill();
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _status = self.child.wait();
    }
}

/// A command line of our own binary.
fn own(role: &str, config: &Path, words: &[&OsStr]) -> Command {
    let mut command = Command::new(SELF);
    command.arg0("onionkeep-signer").arg("--config").arg(config).arg(role).args(words);
    command
}

/// Gives this process its name, and makes it end with the keeper, whatever it is doing.
///
/// # Errors
/// What the system says.
pub(super) fn prepare(name: &CStr) -> io::Result<()> {
    set_name(name)?;
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}
