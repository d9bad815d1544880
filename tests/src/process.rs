//! The only place where the harness starts a program, tracks it by its process id and ends it.
//!
//! Every long-lived child is started by one thread that lives as long as the harness and asks the kernel (through
//! `setpriv --pdeathsig`) to kill the child with it: nothing survives a panic, an abort or a SIGKILL of the harness.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use crate::wait::{self, Seen};
use crate::{clock, clock_step};

/// Who a program runs as. Without root there is only one user, and these are names for the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the harness.
    Harness,
    /// The signer's own user.
    Signer,
    /// The publisher's own user.
    Publisher,
    /// Every tor of the private network.
    Tor,
    /// Somebody the signer has never heard of.
    Stranger,
}

/// Numeric ids, none of which has an entry in the system's user list.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

/// The group that may connect to the signer's socket.
pub const SIGNER_SOCKET_GROUP: u32 = 64_510;
/// The group that may talk to the publisher's tor.
pub const TOR_CONTROL_GROUP: u32 = 64_503;

impl User {
    /// The ids of this user; `None` for the harness itself and when the harness is not root.
    #[must_use]
    pub fn ids(self) -> Option<Ids> {
        if !is_root() {
            return None;
        }
        let uid = match self {
            Self::Harness => return None,
            Self::Signer => 64_501,
            Self::Publisher => 64_502,
            Self::Tor => 64_503,
            Self::Stranger => 64_504,
        };
        Some(Ids { uid, gid: uid })
    }

    /// The uid that a peer of this user shows on a socket.
    #[must_use]
    pub fn uid(self) -> u32 {
        self.ids().map_or_else(|| rustix::process::getuid().as_raw(), |ids| ids.uid)
    }

    /// Supplementary groups.
    fn groups(self) -> &'static [u32] {
        match self {
            Self::Harness | Self::Tor => &[],
            Self::Signer | Self::Stranger => &[SIGNER_SOCKET_GROUP],
            Self::Publisher => &[SIGNER_SOCKET_GROUP, TOR_CONTROL_GROUP],
        }
    }
}

/// Whether programs can run under users of their own.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets a program lock all its memory, as the signer wants to.
const UNLIMITED: [&str; 1] = ["--memlock=unlimited:unlimited"];

/// Whether the signer can lock its memory here: nothing limits it, or we may lift the limit.
#[must_use]
pub fn can_lock_memory() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    let lifted =
        || Command::new("prlimit").args(UNLIMITED).arg("true").output().is_ok_and(|o| o.status.success());
    *CAN.get_or_init(|| !memory_is_limited() || lifted())
}

/// Whether there is a limit on locked memory now.
fn memory_is_limited() -> bool {
    getrlimit(Resource::Memlock).maximum.is_some()
}

/// A command for `program` as `user`, which dies with the harness. Signer and publisher have a session of their own: the
/// kernel then shares the processors among sessions, as it does among the control groups of systemd's services.
pub fn command(program: impl AsRef<OsStr>, user: User) -> Command {
    let mut words: Vec<&str> = Vec::new();
    if matches!(user, User::Signer | User::Publisher) {
        words.push("setsid");
    }
    if user == User::Signer && memory_is_limited() && can_lock_memory() {
        words.extend(["prlimit"].iter().chain(&UNLIMITED));
    }
    words.push("setpriv");
    let mut command = Command::new(words.remove(0));
    command.args(words);
    command.args(["--pdeathsig", "KILL"]);
    if let Some(ids) = user.ids() {
        command.arg(format!("--reuid={}", ids.uid)).arg(format!("--regid={}", ids.gid));
        if user.groups().is_empty() {
            command.arg("--clear-groups");
        } else {
            let list: Vec<String> = user.groups().iter().map(ToString::to_string).collect();
            command.arg(format!("--groups={}", list.join(",")));
        }
    }
    command.arg("--").arg(program);
    if let Some(moved) = clock::followed() {
        command.env(clock_step::VARIABLE, moved.path());
    }
    command.stdin(Stdio::null());
    command
}

/// `outer` with all its arguments, then the program and arguments of `inner`, in the environment of `inner`.
#[must_use]
pub fn wrapped(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null());
    outer
}

/// Runs a short command to its end; a non-zero exit is an error with what it wrote.
pub fn run(command: &mut Command, what: &str) -> Result<Output> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{what}: cannot start {command:?}"))?;
    if !output.status.success() {
        let said =
            [&output.stdout[..], &output.stderr[..]].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        bail!("{what}: {}: {}", output.status, said.join("").trim());
    }
    Ok(output)
}

/// A long-lived child. Dropping it kills it.
pub struct Process {
    /// For messages.
    name: String,
    /// The child itself; `setpriv` replaces itself, so this is the program's own process id.
    child: Child,
    /// Where its stdout and stderr go.
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdout(out.try_clone()?).stderr(out);
        let child = spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log).with_context(|| format!("no log of {}", self.name))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The exit status when it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Asks it to end (SIGTERM) and waits for it.
    pub fn stop(mut self, limit: Duration) -> Result<ExitStatus> {
        let children = self.children();
        self.signal(Signal::TERM)?;
        let status = self.wait_end(limit)?;
        wait_gone(&children)?;
        Ok(status)
    }

    /// Ends it at once (SIGKILL) and waits for it.
    pub fn kill(mut self) -> Result<()> {
        let children = self.children();
        self.child.kill()?;
        self.child.wait()?;
        wait_gone(&children)
    }

    /// Waits for its end.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, limit, || {
            Ok(self.child.try_wait()?.map_or_else(|| Seen::NotYet("it runs".into()), Seen::Ready))
        })
    }

    /// An error with the end of the log when it is no longer running.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended with {status}; its log ends:\n{}", self.name, tail(&self.log()?, 15))
            }
        }
    }

    /// Resident memory in KiB, as the kernel counts it now.
    pub fn resident_kib(&self) -> Result<u64> {
        self.memory_kib("VmRSS:")
    }

    /// The most memory that was resident at any time, in KiB.
    pub fn peak_kib(&self) -> Result<u64> {
        self.memory_kib("VmHWM:")
    }

    /// Processor time that it has used so far, its children's included, in ticks of a hundredth of a second.
    ///
    /// Spec: proc(5), `utime`, `stime`, `cutime`, `cstime`.
    pub fn cpu_ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let (_name, rest) = stat.rsplit_once(')').context("an odd stat file")?;
        rest.split_whitespace().skip(11).take(4).map(|word| Ok(word.parse::<u64>()?)).sum()
    }

    /// One line of `/proc/PID/status`, summed over the process and its children.
    fn memory_kib(&self, name: &str) -> Result<u64> {
        let mut sum = 0;
        for pid in self.children().into_iter().chain([self.id()]) {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            sum += line.trim().trim_end_matches(" kB").trim().parse::<u64>()?;
        }
        Ok(sum)
    }

    /// The processes that it has started and that run.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// Waits until none of some processes runs any more: what they held must be free for the next start.
fn wait_gone(pids: &[u32]) -> Result<()> {
    let runs = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_name, rest)| !rest.starts_with(" Z"))
    };
    wait::until("the end of its children", Duration::from_secs(10), || {
        Ok(if pids.iter().any(runs) { Seen::NotYet("they run".into()) } else { Seen::Ready(()) })
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The last `count` lines of a text.
#[must_use]
pub fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What the spawning thread is asked.
type SpawnRequest = (Command, Sender<io::Result<Child>>);

/// Starts a child on the thread that lives as long as the harness, because a parent-death signal follows the thread.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<SpawnRequest>>> = OnceLock::new();
    let requests = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel();
        thread::spawn(move || spawn_all(&inbox));
        Mutex::new(requests)
    });
    let (reply, answer) = channel();
    requests.lock().expect("no thread panics while it holds this").send((command, reply))?;
    Ok(answer.recv()??)
}

/// The spawning thread.
fn spawn_all(inbox: &Receiver<SpawnRequest>) {
    for (mut command, reply) in inbox {
        drop(reply.send(command.spawn()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_dies_with_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let mut sleep = command("sleep", User::Harness);
        sleep.arg("600");
        let process = Process::start("sleep", sleep, &dir.path().join("log")).unwrap();
        let proc_entry = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(proc_entry.exists());
        drop(process);
        assert!(!proc_entry.exists());
    }

    #[test]
    fn a_child_that_ended_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = command("sh", User::Harness);
        shell.args(["-c", "echo last words; exit 3"]);
        let mut process = Process::start("shell", shell, &dir.path().join("log")).unwrap();
        let status = process.wait_end(Duration::from_secs(10)).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(process.must_run().unwrap_err().to_string().contains("last words"));
    }
}
