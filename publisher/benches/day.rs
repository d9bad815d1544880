//! CPU time and memory of the publisher over a simulated day with 10 to 3,000 backends: the cost must grow with the introduction points.
//!
//! `cargo bench -p onionkeep-publisher --bench day [-- SERVICES BACKENDS HOURS | -- --plot FILE]`. The whole publisher runs, on
//! simulated time: reactor, control port, descriptors, certificates, state files. A second process plays tor and the signer
//! and makes the backends' descriptors (`support/apart.rs`); what the sockets to it cost on our side is taken off
//! (`support/relay.rs`). With `ONIONKEEP_DAY_SLOWER=N` all HSDirs take N times as long; with
//! `ONIONKEEP_DAY_PROBES=SECONDS` every backend is probed at that interval. Without arguments a table is made of whole days. Ends with 1 if a goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use onionkeep_publisher::{clock, config::Config, reactor};
use rustix::time::ClockId;
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "../tests/support/control_port.rs"]
mod control_port;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/network.rs"]
mod network;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/onions.rs"]
mod onions;
#[path = "support/plot.rs"]
mod plot;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/apart.rs"]
mod world;

use onions::{Onion, POINTS};
use world::World;

/// Services and backends of the table.
const ROWS: [(usize, usize); 6] = [(1, 10), (2, 30), (5, 100), (15, 300), (50, 1000), (150, 3000)];
/// The row with the goals: CPU time of a day in seconds, and peak memory in KiB.
const GOAL: (usize, f64, u64) = (1000, 30.0, 64 * 1024);
/// A point may cost at most so many times what it costs with a tenth of the backends, above 300.
const GROWTH: f64 = 1.2;
/// Hours of a day.
const DAY: f64 = 24.0;
/// The argument that makes this program the rest of the world.
const WORLD: &str = "--world";
/// The argument that makes this program the publisher.
const PUBLISHER: &str = "--publisher";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [WORLD, ..] => {
            let stream = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).unwrap();
            World::new(number(1), number(2)).serve(&stream);
        }
        [PUBLISHER, .., hours] => publish(number(1), number(2), hours.parse().unwrap()),
        [_services, _backends, hours] => {
            head();
            let _shown = run((number(0), number(1)), hours.parse().unwrap());
        }
        rest => return table(rest.strip_prefix(&["--plot"]).and_then(|rest| rest.first().copied())),
    }
    ExitCode::SUCCESS
}

/// What one run has shown.
pub(crate) struct Shown {
    /// Introduction points of all backends.
    points: u64,
    /// CPU time in seconds.
    cpu: f64,
    /// Peak memory in KiB.
    memory: u64,
}

impl Shown {
    /// CPU time for each point in milliseconds.
    fn each(&self) -> f64 {
        self.cpu * 1000.0 / f64::from(u32::try_from(self.points).unwrap())
    }
}

/// Whole days with more and more backends.
fn table(plot: Option<&str>) -> ExitCode {
    head();
    let shown = ROWS.map(|row| run(row, DAY));
    let growth = shown[5].each() / shown[3].each();
    println!("a point with 3,000 backends costs {growth:.2} times one with 300 (goal {GROWTH})");
    let (backends, cpu, memory) = GOAL;
    println!("{backends} backends: goal {cpu} s and {memory} KiB");
    if let Some(file) = plot {
        std::fs::write(file, plot::svg(&shown)).unwrap();
    }
    let good = shown[4].cpu <= cpu && shown[4].memory <= memory && growth <= GROWTH;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The head of the table.
fn head() {
    println!(
        "{:>8} {:>8} {:>6} {:>8} {:>9} {:>7} {:>7} {:>8} {:>6}  asked",
        "services", "backends", "points", "CPU s", "ms/point", "first", "others", "KiB", "wall s"
    );
}

/// Lets the publisher of so many services and backends live for so many hours.
fn run((services, backends): (usize, usize), hours: f64) -> Shown {
    let folder = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let start = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([PUBLISHER, &services.to_string(), &backends.to_string(), &hours.to_string()]);
    let said = command.env("TMPDIR", folder.path()).stderr(log).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let fields: Vec<&str> = said.splitn(4, ' ').collect();
    let [cpu, first, memory, asked] = fields.as_slice() else {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        unreachable!("the publisher says {said:?}, and its log:\n{log}");
    };
    let points = u64::try_from(backends).unwrap() * POINTS;
    let shown = Shown { points, cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap() };
    let first: f64 = first.parse().unwrap();
    let others = (shown.cpu - first) / (hours - 1.0).max(1.0);
    println!(
        "{services:>8} {backends:>8} {points:>6} {:>8.2} {:>9.2} {first:>7.2} {others:>7.2} {:>8} {:>6.0}  {}",
        shown.cpu,
        shown.each(),
        shown.memory,
        start.elapsed().as_secs_f64(),
        asked.trim()
    );
    keep_log(folder.path());
    shown
}

/// Copies the log to where `ONIONKEEP_DAY_LOG` says, for whoever wants to read it.
fn keep_log(folder: &Path) {
    if let Some(to) = std::env::var_os("ONIONKEEP_DAY_LOG") {
        std::fs::copy(folder.join("log"), to).unwrap();
    }
}

/// The publisher's process: says its CPU time in seconds, that of the first hour, its peak memory in KiB, and what it asked.
fn publish(services: usize, backends: usize, hours: f64) {
    let folder = tempfile::tempdir().unwrap();
    let signer = folder.path().join("signer.sock");
    let (stream, mut child) = start_world(services, backends);
    let asking = stream.try_clone().unwrap();
    let text = configuration(folder.path(), &signer, services, backends);
    let path = folder.path().join("publisher.toml");
    std::fs::write(&path, &text).unwrap();
    let config = Config::parse(&text).unwrap();
    drop(text);
    let (before, own_before) = (relay::cpu(ClockId::ProcessCPUTime), relay::own_time());
    let spent = || {
        let all = relay::cpu(ClockId::ProcessCPUTime).saturating_sub(before);
        all.saturating_sub(relay::own_time().saturating_sub(own_before)).as_secs_f64()
    };
    let (first, whole) = relay::runtime().block_on(async {
        clock::instead(relay::now);
        let _begin = relay::now();
        relay::listen(stream, folder.path(), &signer);
        let measure = async {
            tokio::time::sleep(Duration::from_secs_f64(3600.0 * hours.min(1.0))).await;
            let first = spent();
            tokio::time::sleep(Duration::from_secs_f64(3600.0 * (hours - 1.0).max(0.0))).await;
            (first, spent())
        };
        tokio::select! {
            biased;
            measured = measure => measured,
            ended = reactor::serve(&path, config) => unreachable!("the publisher ended: {:?}", ended.err()),
        }
    });
    let (_flags, counts) = world::ask(&asking, world::kind::COUNTS, clock::now(), &[]);
    println!(
        "{whole} {first} {} {}, {} probes; beside it {:.1} s of CPU for the sockets",
        peak_memory(),
        String::from_utf8(counts).unwrap(),
        relay::probed(),
        relay::own_time().as_secs_f64()
    );
    let _killed = child.kill().and_then(|()| child.wait());
}

/// Starts the process that plays the rest of the world.
fn start_world(services: usize, backends: usize) -> (UnixStream, Child) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([WORLD, &services.to_string(), &backends.to_string()]).stdin(OwnedFd::from(theirs));
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    (ours, child)
}

/// `publisher.toml`.
fn configuration(folder: &Path, signer: &Path, services: usize, backends: usize) -> String {
    let (dir, signer) = (folder.display(), signer.display());
    let mut text = format!(
        "state_dir = \"{dir}/state\"\nstatus_socket = \"{dir}/status.sock\"\n[tor]\ncontrol = \"unix:{dir}/control\"\nsocks = \"unix:{dir}/socks\"\n"
    );
    std::fs::create_dir(folder.join("state")).unwrap();
    let probes = std::env::var("ONIONKEEP_DAY_PROBES").map_or_else(
        |_unset| String::new(),
        |seconds| format!("probe_port = 80\nprobe_interval_seconds = {seconds}\n"),
    );
    for service in 0..services {
        let address = Onion::new(b's', service).address();
        let _infallible =
            write!(text, "[[service]]\naddress = \"{address}\"\nsigner = \"{signer}\"\n{probes}");
        for backend in (0..backends).filter(|backend| backend % services == service) {
            let address = Onion::new(b'b', backend).address();
            let _infallible =
                write!(text, "[[service.backend]]\nname = \"b{backend}\"\naddress = \"{address}\"\n");
        }
    }
    text
}

/// Peak memory of this process in KiB.
fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
