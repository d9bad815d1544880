//! CPU time and memory of the real publisher over a day with 10 to 3,000 backends: the cost must grow with the introduction points.
//!
//! `cargo bench -p onionkeep-publisher --bench day [-- SERVICES BACKENDS HOURS [SPEED]]`. A second process plays tor and the
//! signer (`support/world.rs`). The publisher runs under libfaketime (Debian's package `faketime`), its clocks and timers so many
//! times faster; what it does is what it does in slow time. Without arguments a table is made of one hour each, in which the time
//! period changes, and a day is reckoned as its start and 24 such hours. Ends with 1 if a goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "../tests/support/control_port.rs"]
mod control_port;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/network.rs"]
mod network;
#[path = "support/world.rs"]
mod world;

use world::{Onion, POINTS, World};

/// Services and backends of the table.
const ROWS: [(usize, usize); 6] = [(1, 10), (2, 30), (5, 100), (15, 300), (50, 1000), (150, 3000)];
/// The row with the goals: CPU time of a day, and peak memory in KiB.
const GOAL: (usize, Duration, u64) = (1000, Duration::from_secs(30), 64 * 1024);
/// Ten times the backends may cost at most so many times the CPU time, above 300.
const GROWTH: f64 = 12.0;
/// So many times faster.
const SPEED: f64 = 60.0;
/// The time until everything is fetched and uploaded for the first time, in seconds of the world.
const START: f64 = 900.0;
/// The argument that makes this program the rest of the world.
const SERVE: &str = "--serve-world";

/// What one run has shown.
struct Shown {
    start: Duration,
    hour: Duration,
    memory: u64,
    counts: String,
}

impl Shown {
    /// CPU time of a whole day.
    fn day(&self) -> Duration {
        self.start + self.hour * 24
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if words.first().is_some_and(|word| word == SERVE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(&words[1..]));
        return ExitCode::SUCCESS;
    }
    println!(
        "{:>8} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}  asked",
        "services", "backends", "points", "start s", "hour s", "day s", "KiB"
    );
    if let [services, backends, hours, rest @ ..] = words.as_slice() {
        let speed = rest.first().map_or(SPEED, |word| word.parse().unwrap());
        run((services.parse().unwrap(), backends.parse().unwrap()), hours.parse().unwrap(), speed);
        return ExitCode::SUCCESS;
    }
    let shown = ROWS.map(|row| run(row, 1.0, SPEED));
    let growth = shown[5].day().as_secs_f64() / shown[3].day().as_secs_f64();
    println!("3,000 against 300 backends: {growth:.1} times the CPU time (goal {GROWTH})");
    let (backends, cpu, memory) = GOAL;
    let good = shown[4].day() <= cpu && shown[4].memory <= memory && growth <= GROWTH;
    println!("{backends} backends: goal {} s and {memory} KiB", cpu.as_secs());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays the rest of the world until standard input ends; then says what was asked.
async fn serve(words: &[String]) {
    let [services, backends, speed, signer] = words else { return };
    let world =
        Arc::new(World::fast(services.parse().unwrap(), backends.parse().unwrap(), speed.parse().unwrap()));
    let port = world.serve(Path::new(signer));
    println!("{} {}", port.address, port.cookie_file().display());
    std::io::stdout().flush().unwrap();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _line = std::io::stdin().read_line(&mut String::new());
        let _gone = ended.send(());
    });
    let _closed = end.await;
    let [fetches, uploads, certificates] =
        [&world.counts.fetches, &world.counts.uploads, &world.counts.certificates]
            .map(|count| count.load(Ordering::Relaxed));
    println!("{fetches} fetches, {uploads} uploads, {certificates} certificates");
}

/// Runs the publisher for so many hours of its time after the start.
fn run((services, backends): (usize, usize), hours: f64, speed: f64) -> Shown {
    let folder = tempfile::tempdir().unwrap();
    let signer = folder.path().join("signer.sock");
    let mut world = Command::new(std::env::current_exe().unwrap())
        .args([SERVE, &services.to_string(), &backends.to_string(), &speed.to_string()])
        .arg(&signer)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(world.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let control = line.split(' ').next().unwrap().to_owned();
    let config = folder.path().join("publisher.toml");
    std::fs::write(&config, configuration(folder.path(), &control, &signer, services, backends)).unwrap();
    let mut publisher = publisher(&config, folder.path(), speed);
    let begin = Instant::now();
    sleep_until(begin, START / speed);
    let start = cpu_time(publisher.id());
    sleep_until(begin, (START + hours * 3600.0) / speed);
    let hour = (cpu_time(publisher.id()).saturating_sub(start)).div_f64(hours);
    let memory = peak_memory(publisher.id());
    publisher.kill().unwrap();
    let _status = publisher.wait();
    drop(world.stdin.take());
    let mut counts = String::new();
    said.read_line(&mut counts).unwrap();
    let _status = world.wait();
    let shown = Shown { start, hour, memory, counts: counts.trim().to_owned() };
    let [start, hour, day] = [shown.start, shown.hour, shown.day()].map(|time| time.as_secs_f64());
    println!(
        "{services:>8} {backends:>8} {:>7} {start:>9.2} {hour:>9.2} {day:>9.1} {memory:>9}  {}",
        backends * POINTS,
        shown.counts
    );
    shown
}

/// `publisher.toml`.
fn configuration(folder: &Path, control: &str, signer: &Path, services: usize, backends: usize) -> String {
    let (dir, signer) = (folder.display(), signer.display());
    let mut text = format!(
        "state_dir = \"{dir}/state\"\nstatus_socket = \"{dir}/status.sock\"\n[tor]\ncontrol = \"{control}\"\n"
    );
    std::fs::create_dir(folder.join("state")).unwrap();
    for service in 0..services {
        let address = Onion::new(b's', service).address();
        let _infallible = write!(text, "[[service]]\naddress = \"{address}\"\nsigner = \"{signer}\"\n");
        for backend in (0..backends).filter(|backend| backend % services == service) {
            let address = Onion::new(b'b', backend).address();
            let _infallible =
                write!(text, "[[service.backend]]\nname = \"b{backend}\"\naddress = \"{address}\"\n");
        }
    }
    text
}

/// The real program in fast time.
fn publisher(config: &Path, folder: &Path, speed: f64) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_onionkeep-publisher"));
    command.arg("--config").arg(config).arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.env("LD_PRELOAD", faketime()).env("TZ", "UTC");
    command.env("FAKETIME", format!("@2026-11-22 11:05:00 x{speed}")).spawn().unwrap()
}

/// libfaketime.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    libraries.find(|path| path.exists()).expect("libfaketime is missing; as root: apt-get install faketime")
}

/// Waits until so many seconds after `begin`.
fn sleep_until(begin: Instant, seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds).saturating_sub(begin.elapsed()));
}

/// CPU time of a process, user and system, of all its threads.
fn cpu_time(id: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Peak memory of a process in KiB.
fn peak_memory(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
