//! CPU time and peak memory of reading the consensus of a network of 9,000 relays and making the ring of it.
//!
//! `cargo bench -p onionkeep-publisher --bench consensus`. A second process plays tor: this one only reads, as the publisher
//! does. Ends with 1 if a goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use onionkeep_common::{IdentityKey, UnixTime};
use onionkeep_publisher::ring::Ring;
use onionkeep_publisher::tor::{Tor, TorConfig};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "../tests/support/control_port.rs"]
mod control_port;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/network.rs"]
mod network;

use control_port::{Answer, Auth, ControlPort, usual};

/// Relays of the network.
const RELAYS: usize = 9000;
/// Reads to measure; the publisher does one an hour.
const ROUNDS: usize = 5;
/// CPU time that one read may take.
const CPU_GOAL: Duration = Duration::from_millis(300);
/// Peak memory that the process may have, in KiB.
const MEMORY_GOAL: u64 = 24 * 1024;
/// The argument that makes this program the pretended tor.
const SERVE: &str = "--serve-consensus";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == SERVE) {
        runtime.block_on(serve());
        return ExitCode::SUCCESS;
    }
    let mut server = Server::start();
    let (address, hsdirs, kilobytes) = server.announced();
    println!(
        "{RELAYS} relays, {hsdirs} HSDirs, {kilobytes} kB of text; memory before: {} KiB",
        peak_memory()
    );
    let good = runtime.block_on(measure(&address, hsdirs));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays tor until the other process closes our standard input.
async fn serve() {
    let network = network::make(RELAYS);
    let consensus_key = "dir/status-vote/current/consensus-microdesc";
    let consensus = Answer::block(consensus_key, &network.consensus);
    let microdescs = Answer::block("md/all", &network.microdescs);
    let kilobytes = (network.consensus.len() + network.microdescs.len()) / 1000;
    let port = ControlPort::unix(Auth::SafeCookie, move |command| match command.line.as_str() {
        "GETINFO dir/status-vote/current/consensus-microdesc" => consensus.clone(),
        "GETINFO md/all" => microdescs.clone(),
        _other => usual(command).unwrap_or_else(Answer::ok),
    });
    println!("{} {} {kilobytes}", port.address, network.hsdirs);
    std::io::stdout().flush().unwrap();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _line = std::io::stdin().read_line(&mut String::new());
        let _gone = ended.send(());
    });
    let _closed = end.await;
}

/// The process that plays tor.
struct Server(Child);

impl Server {
    /// Starts it.
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Its address, the number of HSDirs, and the size of the text in kB.
    fn announced(&mut self) -> (String, usize, usize) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields[0].to_owned(), fields[1].parse().unwrap(), fields[2].parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _status = self.0.wait();
    }
}

/// Reads the network several times; whether both goals are met.
async fn measure(address: &str, hsdirs: usize) -> bool {
    let config = TorConfig { control: address.parse().unwrap(), password: None, allow_plain_cookie: false };
    let onion = IdentityKey::from_bytes(BASE_POINT).unwrap();
    let (tor, _news) = Tor::connect(&config).await.unwrap();
    let mut worst = Duration::ZERO;
    for round in 1..=ROUNDS {
        let (cpu, wall) = (cpu_time(), Instant::now());
        let consensus = tor.network().await.unwrap();
        let read = cpu_time().saturating_sub(cpu);
        assert_eq!(
            (consensus.relay_count, consensus.hsdirs.len(), consensus.hsdirs_without_microdesc),
            (RELAYS, hsdirs, 0)
        );
        assert!(consensus.valid_after > UnixTime(0));
        let schedule = consensus.schedule(false);
        for role in [schedule.first, schedule.second] {
            let ring = Ring::new(&consensus.hsdirs, role.period, &role.srv);
            let params = consensus.params;
            let chosen = ring.responsible(
                &onion.blinded(role.period).unwrap(),
                params.n_replicas,
                params.spread_store,
            );
            assert_eq!(chosen.len(), 8);
        }
        let all = cpu_time().saturating_sub(cpu);
        worst = worst.max(all);
        println!(
            "round {round}: CPU {all:.1?} (of it both rings {:.1?}), wall {:.1?}",
            all.saturating_sub(read),
            wall.elapsed()
        );
    }
    let memory = peak_memory();
    println!("worst CPU {worst:.1?} (goal {CPU_GOAL:?}), peak memory {memory} KiB (goal {MEMORY_GOAL} KiB)");
    worst <= CPU_GOAL && memory <= MEMORY_GOAL
}

/// The base point, which serves as any identity key.
const BASE_POINT: [u8; 32] = {
    let mut octets = [0x66; 32];
    octets[0] = 0x58;
    octets
};

/// CPU time of this process, which has one thread.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Peak memory of this process in KiB.
fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
