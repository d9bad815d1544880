//! How long a certificate takes over the socket with SoftHSM, beside the bare core and the bare fsync; and the signer's memory.
//!
//! `cargo bench -p onionkeep-signer --bench certify`. The signer is the real program in a process of its own. Ends with 1
//! if a goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use kit::ran::first_word;
use kit::serving::{Serving, now, request};
use kit::{Kit, fresh};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Reply};
use onionkeep_common::{DescSigningKey, ExpirationHours, OnionAddress, PeriodRule};
use onionkeep_core::{CertTerms, ExpandedKey, Hedge};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

#[allow(dead_code, unnameable_types, reason = "the bench uses only a part of it")]
#[path = "../tests/softhsm/kit.rs"]
mod kit;

/// Onions on the token; two periods and eight keys each give 512 requests.
const ONIONS: usize = 32;
/// Goals for a certificate, p50 and p99.
const GOALS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];
/// Goal for the resident memory, in KiB; a page that several of the processes have is one page.
const MEMORY_GOAL: u64 = 16 * 1024;
/// Octets of a page.
const PAGE: u64 = 4096;

fn main() -> ExitCode {
    println!("ledger on the disk of the temporary directory: a certificate waits for two fsyncs");
    let Some(disk) = measure(&tempfile::tempdir().unwrap()) else { return ExitCode::SUCCESS };
    println!("\nledger in memory");
    let memory = tempfile::tempdir_in("/dev/shm").ok().and_then(|home| measure(&home));

    let busy = disk.fsync.p(50) > 1e-3;
    let judged = memory.as_ref().filter(|_memory| busy).unwrap_or(&disk);
    if busy {
        println!("\nthe disk is busy (a bare fsync alone takes more than 1 ms): judged without it");
    }
    let [p50, p99] = GOALS.map(|goal| goal.as_secs_f64());
    let good = judged.socket.p(50) <= p50 && judged.socket.p(99) <= p99 && disk.resident <= MEMORY_GOAL;
    println!("goals p50 2 ms, p99 20 ms, {MEMORY_GOAL} KiB: {}", if good { "met" } else { "MISSED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one signer was measured to need.
struct Figures {
    /// A bare fsync.
    fsync: Times,
    /// A certificate for a new key.
    socket: Times,
    /// Resident memory in KiB, every page once.
    resident: u64,
}

/// Measures a signer whose token and ledger are in `home`; `None` if there is no SoftHSM.
fn measure(home: &tempfile::TempDir) -> Option<Figures> {
    let kit = fresh(home.path())?;
    let onions = onions(&kit);
    let serving = kit.serve();
    let mut stream = UnixStream::connect(kit.socket()).unwrap();
    let requests: Vec<_> = onions.iter().flat_map(|onion| requests(*onion)).collect();
    // By turns, so that other work on the machine and its disk counts for all of them alike.
    let (mut core_alone, mut fsync_alone) = (core_alone(onions[0]), fsync_alone(&kit));
    let mut by_turns =
        requests.iter().map(|request| [core_alone(), fsync_alone(), timed(|| ask(&mut stream, request))]);
    let [core, fsync, socket] = Times::of_three(&mut by_turns);
    let again = Times::of(requests.iter().map(|request| timed(|| ask(&mut stream, request))));
    core.print("  bare core: blind, sign, verify");
    fsync.print("  bare fsync of one ledger line");
    socket.print("  over the socket, new key: rules, ledger, token, core, check, ledger");
    again.print("  over the socket, again in the same hour");
    let bare = core.p(50) + fsync.p(50);
    println!("  over the socket p50 / (bare core p50 + bare fsync p50): {:.2}", socket.p(50) / bare);
    let [resident, sum, peak] = memory(&serving);
    println!(
        "  resident memory of the serving signer: {resident} KiB; its three processes, shared pages counted in each: \
         {sum} KiB, peaks {peak} KiB"
    );
    Some(Figures { fsync, socket, resident })
}

/// A token with many onions, all configured.
fn onions(kit: &Kit) -> Vec<OnionAddress> {
    let name = kit.init();
    kit.run(&["init"]).good();
    let new = || first_word(&kit.run(&["key", "new"]).good()).parse().unwrap();
    let onions: Vec<_> = (0..ONIONS).map(|_| new()).collect();
    kit.write_config(Some(&name.serial), &onions, &kit.module);
    onions
}

/// As many requests as the rules let through for one onion; no key is used twice.
fn requests(onion: OnionAddress) -> Vec<CertifyRequest> {
    (0..16_u8).map(|seed| kit::serving::keyed(onion, seed, u64::from(seed / 8))).collect()
}

/// Times of one kind of work, sorted.
struct Times(Vec<f64>);

impl Times {
    /// Measures each.
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut all: Vec<_> = times.map(|time| time.as_secs_f64()).collect();
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    /// Measures three kinds of work by turns.
    fn of_three(times: &mut dyn Iterator<Item = [Duration; 3]>) -> [Self; 3] {
        let all: Vec<_> = times.collect();
        [0, 1, 2].map(|kind| Self::of(all.iter().map(|times| times[kind])))
    }

    /// A percentile in seconds.
    fn p(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    /// One line.
    fn print(&self, what: &str) {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.p(percent) * 1e3);
        println!("{what}: p50 {p50:.3} ms, p99 {p99:.3} ms, most {max:.3} ms ({} times)", self.0.len());
    }
}

/// How long `work` takes.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let _done = std::hint::black_box(work());
    start.elapsed()
}

/// One certificate over a connection that stays open.
fn ask(stream: &mut UnixStream, request: &CertifyRequest) -> Reply {
    stream.write_all(request.to_frame().as_bytes()).unwrap();
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).unwrap();
    let header = Header::parse(head).unwrap();
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content).unwrap();
    let reply = Reply::parse(header.kind, &content).unwrap();
    assert!(matches!(reply, Reply::Certificate(_)), "{reply:?}");
    reply
}

/// The core alone: expanded key in, certificate out.
fn core_alone(onion: OnionAddress) -> impl FnMut() -> Duration {
    let key = ExpandedKey::from_seed(&[9; 32]).unwrap();
    let octets = key.with_octets(|octets| *octets);
    let certified: DescSigningKey = request(onion, 10, 0).key;
    move || {
        let period = PeriodRule::PUBLIC.at(now());
        let terms = CertTerms { period, key: certified, expires: ExpirationHours(500_000) };
        timed(|| {
            let key = ExpandedKey::from_octets(&octets).unwrap();
            key.certify(&terms, &Hedge::new(Zeroizing::new([1; 32]))).unwrap()
        })
    }
}

/// A line of the ledger's length appended and fsynced in the state directory.
fn fsync_alone(kit: &Kit) -> impl FnMut() -> Duration {
    let mut file = std::fs::File::create(kit.state().join("fsync")).unwrap();
    move || {
        timed(|| {
            file.write_all(&[b'x'; 300]).unwrap();
            file.sync_data().unwrap();
        })
    }
}

/// The resident memory of keeper, gate and vault in KiB: every page once, their sum, and the sum of their peaks.
///
/// They are one program and share its pages and those of the C library, which a sum counts three times.
fn memory(serving: &Serving) -> [u64; 3] {
    let kib = |pid: u32, name: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let [sum, peak] = ["VmRSS:", "VmHWM:"].map(|name| serving.all().map(|pid| kib(pid, name)).iter().sum());
    let frames: BTreeSet<u64> = serving.all().into_iter().flat_map(frames).collect();
    // Without root the kernel shows no frames, or all as 0.
    let count = u64::try_from(frames.len()).unwrap();
    let once = if count > 1 { count * PAGE / 1024 } else { sum };
    [once, sum, peak]
}

/// The frames of memory that a process has mapped, but for the kernel's own.
fn frames(pid: u32) -> Vec<u64> {
    let Ok(pagemap) = std::fs::File::open(format!("/proc/{pid}/pagemap")) else { return Vec::new() };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| !line.ends_with("[vvar]") && !line.ends_with("[vsyscall]")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap() / PAGE);
        let mut entries = vec![0; usize::try_from((to - from) * 8).unwrap()];
        let Ok(()) = pagemap.read_exact_at(&mut entries, from * 8) else { continue };
        let entries = entries.chunks_exact(8).map(|entry| u64::from_le_bytes(entry.try_into().unwrap()));
        // Bit 63: in memory; bits 0 to 54: the frame.
        found.extend(entries.filter(|entry| entry >> 63 == 1).map(|entry| entry & ((1 << 55) - 1)));
    }
    found
}
