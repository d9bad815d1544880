//! One tor process of the private network: the only place where a torrc of the harness is written and a tor is run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::control::Control;
use crate::clock;
use crate::files;
use crate::process::{self, Process, User};
use crate::wait;

/// How long a tor may take to answer at its control socket.
const CONTROL_LIMIT: Duration = Duration::from_secs(20);
/// How long a tor may take to end in good order.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long a circuit may take to be built, in seconds. After a hundred circuits tor learns it by itself: on one machine a tenth of a
/// second, and gives up all circuits of a moment in which the machine is busy (docs/decisions/0053-patient-circuits.md).
const PATIENCE: u64 = 10;
/// The same where the clocks go a minute or two in a second.
const PATIENCE_IN_FAST_TIME: u64 = 900;

/// A tor with a data directory of its own, running or stopped.
pub struct Node {
    /// Its nickname, also the name of its directory.
    name: String,
    /// Data directory, torrc, log and control socket are in here.
    dir: PathBuf,
    /// The process, while it runs.
    process: Option<Process>,
}

impl Node {
    /// Prepares the directory and the torrc; nothing runs yet.
    pub fn new(base: &Path, name: &str, torrc: &str) -> Result<Self> {
        let node = Self { name: name.to_owned(), dir: base.join(name), process: None };
        files::make_dir(&node.dir, User::Tor, 0o750)?;
        files::make_dir(&node.data_dir(), User::Tor, 0o750)?;
        node.write_torrc(torrc)?;
        Ok(node)
    }

    /// Writes the configuration: what every node has, then `torrc`.
    pub fn write_torrc(&self, torrc: &str) -> Result<()> {
        let dir = self.dir.display();
        let patience = if clock::followed().is_some() { PATIENCE_IN_FAST_TIME } else { PATIENCE };
        let common = format!(
            "DataDirectory {dir}/data\n\
             DataDirectoryGroupReadable 1\n\
             ControlSocket unix:{dir}/control GroupWritable RelaxDirModeCheck\n\
             CookieAuthentication 1\n\
             CookieAuthFile {dir}/cookie\n\
             CookieAuthFileGroupReadable 1\n\
             GeoIPFile {dir}/empty\n\
             GeoIPv6File {dir}/empty\n\
             Log notice file {dir}/log\n\
             SafeLogging 0\n\
             ShutdownWaitLength 0\n\
             NumCPUs 1\n\
             ConnLimit 60\n\
             PathsNeededToBuildCircuits 0.67\n\
             LearnCircuitBuildTimeout 0\n\
             CircuitBuildTimeout {patience}\n"
        );
        files::write(&self.dir.join("empty"), "", User::Tor, 0o644)?;
        files::write(&self.dir.join("torrc"), format!("{common}{torrc}"), User::Tor, 0o644)
    }

    /// Adds to the configuration; it counts from the next start or reload.
    pub fn add_to_torrc(&self, lines: &str) -> Result<()> {
        let path = self.dir.join("torrc");
        let torrc = std::fs::read_to_string(&path)?;
        files::write(&path, format!("{torrc}{lines}"), User::Tor, 0o644)
    }

    /// Its nickname.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory with everything of this tor.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// tor's `DataDirectory`.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// A tor command line on this node's configuration, with no system-wide defaults mixed in.
    fn command(&self) -> std::process::Command {
        let mut command = process::command("tor", User::Tor);
        command.arg("--defaults-torrc").arg(self.dir.join("empty"));
        command.arg("-f").arg(self.dir.join("torrc")).arg("--hush");
        command
    }

    /// Makes the relay's keys and returns the fingerprint of its RSA identity, 40 upper-case hex digits.
    pub fn make_relay_keys(&self) -> Result<String> {
        process::run(self.command().arg("--list-fingerprint"), &format!("making the keys of {}", self.name))?;
        let line = std::fs::read_to_string(self.data_dir().join("fingerprint"))?;
        Ok(line.split_whitespace().nth(1).context("no fingerprint in tor's file")?.to_owned())
    }

    /// Starts it.
    pub fn start(&mut self) -> Result<()> {
        self.process =
            Some(Process::start(&format!("tor {}", self.name), self.command(), &self.dir.join("stdout"))?);
        Ok(())
    }

    /// Ends it in good order, or at once if it has not ended in time: one relay of some hundred was seen to go on running.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            // An error means that it still runs; the handle, which is gone by then, has killed it.
            drop(process.stop(STOP_LIMIT));
        }
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// Sends SIGHUP: tor reads its torrc and its `ob_config` again.
    pub fn reload(&self) -> Result<()> {
        self.process.as_ref().context("it does not run")?.signal(rustix::process::Signal::HUP)
    }

    /// An error with the end of its log when it is not running.
    pub fn must_run(&mut self) -> Result<()> {
        let Some(process) = self.process.as_mut() else { anyhow::bail!("tor {} was not started", self.name) };
        process.must_run().with_context(|| format!("its log ends:\n{}", process::tail(&self.log(), 10)))
    }

    /// Its log so far, empty when there is none.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// A control connection, as soon as tor offers one.
    pub fn control(&mut self) -> Result<Control> {
        let (socket, cookie) = (self.control_socket(), self.dir.join("cookie"));
        let what = format!("the control socket of tor {}", self.name);
        wait::until(&what, CONTROL_LIMIT, || {
            if let Err(error) = self.must_run() {
                return Ok(wait::Seen::Hopeless(format!("{error:#}")));
            }
            Ok(wait::Seen::Ready(Control::connect(&socket, &cookie)?))
        })
    }

    /// Waits until it has bootstrapped.
    pub fn wait_bootstrapped(&mut self, limit: Duration) -> Result<()> {
        let mut control = self.control()?;
        wait::until(&format!("tor {} to bootstrap", self.name), limit, || {
            let phase = control.info("status/bootstrap-phase")?;
            Ok(if phase.contains("PROGRESS=100") { wait::Seen::Ready(()) } else { wait::Seen::NotYet(phase) })
        })
    }
}
