//! The publisher with its configuration and its tor: the only place where `publisher.toml` is written by the harness.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Programs, Ran, program};
use crate::files;
use crate::process::{self, Process, User};
use crate::tornet::{Network, Node, free_port};
use crate::wait::{self, Seen};

/// How long a start or an end may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The tor that the publisher talks to.
pub struct PublisherTor {
    /// The tor.
    pub node: Node,
    /// Its SOCKS port on 127.0.0.1.
    socks: u16,
}

impl PublisherTor {
    /// Starts it, and does not wait: the publisher is to cope with a tor that bootstraps.
    pub fn start(network: &Network, name: &str) -> Result<Self> {
        let socks = free_port()?;
        let node = network.tor(name, &format!("SocksPort 127.0.0.1:{socks}\n"))?;
        Ok(Self { node, socks })
    }
}

/// One `[[service]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Service {
    /// With `.onion`.
    pub address: String,
    /// The signer's socket, if a signer is asked.
    pub signer: Option<PathBuf>,
    /// Whether bundles are used.
    pub bundles: bool,
    /// Names and addresses of the backends.
    pub backends: Vec<(String, String)>,
    /// Seconds between probes of a backend through tor; no probes without it.
    pub probe_interval: Option<u64>,
    /// `mode`; the program's default without it.
    pub mode: Option<&'static str>,
    /// `intro_points`; the program's default without it.
    pub max_points: Option<u8>,
    /// `check_uploads_seconds`; the program's default without it.
    pub check_uploads: Option<u64>,
}

/// A publisher, running or not.
pub struct Publisher {
    /// Where our programs are.
    programs: Programs,
    /// Configuration, state, status socket and log.
    dir: PathBuf,
    /// Control socket of its tor.
    control: PathBuf,
    /// SOCKS port of its tor.
    socks: u16,
    /// What it serves.
    services: Vec<Service>,
    /// `[period]`: length and offset of a period in minutes, length of a shared random run in seconds.
    clockwork: Option<(u64, u64, u64)>,
    /// The process, while it runs.
    process: Option<Process>,
}

impl Publisher {
    /// Prepares its directory; there is no configuration before [`Publisher::serve`].
    pub fn new(run: &Path, programs: &Programs, tor: &PublisherTor) -> Result<Self> {
        Self::with_control(run, programs, tor.node.control_socket(), tor.socks)
    }

    /// [`Publisher::new`] for any control socket and SOCKS port.
    pub fn with_control(run: &Path, programs: &Programs, control: PathBuf, socks: u16) -> Result<Self> {
        let dir = run.join("publisher");
        files::make_dir(&dir, User::Publisher, 0o755)?;
        files::make_dir(&dir.join("state"), User::Publisher, 0o700)?;
        files::make_dir(&dir.join("run"), User::Publisher, 0o755)?;
        let programs = programs.clone();
        Ok(Self { programs, dir, control, socks, services: Vec::new(), clockwork: None, process: None })
    }

    /// Writes the configuration for these services.
    pub fn serve(&mut self, services: Vec<Service>) -> Result<()> {
        self.services = services;
        files::write(&self.config(), self.config_text(), User::Publisher, 0o644)
    }

    /// Names the network's clockwork in the configuration, which requests for certificates need where periods are short.
    pub fn set_clockwork(&mut self, clockwork: Option<(u64, u64, u64)>) {
        self.clockwork = clockwork;
    }

    /// The configuration as it should be now.
    #[must_use]
    pub fn config_text(&self) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "state_dir = \"{dir}/state\"\nstatus_socket = \"{}\"\ncontrol_socket = \"{dir}/run/control.sock\"\n\n\
             [metrics]\nlisten = \"unix:{}\"\n\n[tor]\ncontrol = \"unix:{}\"\nsocks = \"127.0.0.1:{}\"\n",
            self.status_socket().display(),
            self.metrics_socket().display(),
            self.control.display(),
            self.socks
        );
        for service in &self.services {
            text.push_str(&format!("\n[[service]]\naddress = \"{}\"\n", service.address));
            if let Some(signer) = &service.signer {
                text.push_str(&format!("signer = \"{}\"\n", signer.display()));
            }
            if service.bundles {
                text.push_str("bundles = true\n");
            }
            if let Some(seconds) = service.probe_interval {
                text.push_str(&format!("probe_port = 80\nprobe_interval_seconds = {seconds}\n"));
            }
            if let Some(mode) = service.mode {
                text.push_str(&format!("mode = \"{mode}\"\n"));
            }
            if let Some(points) = service.max_points {
                text.push_str(&format!("intro_points = {points}\n"));
            }
            if let Some(seconds) = service.check_uploads {
                text.push_str(&format!("check_uploads_seconds = {seconds}\n"));
            }
            for (name, address) in &service.backends {
                text.push_str(&format!("[[service.backend]]\nname = \"{name}\"\naddress = \"{address}\"\n"));
            }
        }
        if let Some((length, offset, run)) = self.clockwork {
            text.push_str(&format!(
                "\n[period]\nlength_minutes = {length}\noffset_minutes = {offset}\nrun_seconds = {run}\n"
            ));
        }
        text
    }

    /// `publisher.toml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("publisher.toml")
    }

    /// Where it writes its status.
    #[must_use]
    pub fn status_socket(&self) -> PathBuf {
        self.dir.join("run/status.sock")
    }

    /// Where it gives its metrics out.
    #[must_use]
    pub fn metrics_socket(&self) -> PathBuf {
        self.dir.join("run/metrics.sock")
    }

    /// Configuration, state, status socket and log are here.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command line of the publisher on this configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.programs, "onionkeep-publisher", User::Publisher);
        command.arg("--config").arg(self.config()).args(arguments);
        // A machine of its own, as far as `systemd-creds` is concerned.
        command.env("SYSTEMD_CREDENTIAL_SECRET", self.machine_secret());
        command
    }

    /// The secret to which this publisher's machine can seal keys.
    #[must_use]
    pub fn machine_secret(&self) -> PathBuf {
        self.dir.join("machine-secret")
    }

    /// Runs a command line of the publisher to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        Ran::of(self.command(arguments))
    }

    /// Starts `run`.
    pub fn start(&mut self) -> Result<()> {
        self.process = Some(Process::start("the publisher", self.command(&["run"]), &self.dir.join("log"))?);
        Ok(())
    }

    /// Starts `run` with `outer` around it; see [`process::wrapped`].
    pub fn start_under(&mut self, outer: Command) -> Result<()> {
        let command = process::wrapped(outer, &self.command(&["run"]));
        self.process = Some(Process::start("the publisher", command, &self.dir.join("log"))?);
        Ok(())
    }

    /// Ends it in good order.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop(LIMIT).map(drop))
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the publisher does not run")
    }

    /// Everything it has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// What it writes at its status socket.
    pub fn status(&self) -> Result<Value> {
        let mut stream = UnixStream::connect(self.status_socket()).context("no status socket")?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        serde_json::from_str(&text).context("the status is not JSON")
    }

    /// The value of one sample of its metrics, given with its labels as they are written.
    pub fn metric(&self, sample: &str) -> Result<f64> {
        let mut stream = UnixStream::connect(self.metrics_socket()).context("no metrics socket")?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.with_context(|| format!("no {sample} in\n{text}"))?.parse().context("no number")
    }

    /// Waits until the status is as `wanted` says; it names what is missing otherwise.
    pub fn wait_status<T>(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> Result<T>,
    ) -> Result<T> {
        wait::until(what, limit, || {
            if let Err(error) = self.process()?.must_run() {
                return Ok(Seen::Hopeless(format!("{error:#}")));
            }
            Ok(Seen::Ready(wanted(&self.status()?)?))
        })
    }
}
