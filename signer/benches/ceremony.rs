//! How long issuing takes with SoftHSM, beside bare Ed25519 signing and verifying of as many messages, in one run.
//!
//! `cargo bench -p onionkeep-signer --bench ceremony`. Ends with 1 if a goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{FileDigest, Previous, Purpose, Read, Request, RequestId, RequestKey, Slot};
use onionkeep_common::wire::Proof;
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, PeriodRule, Signature, UnixTime};
use onionkeep_signer::ceremony::issue::{Issued, Order, checkpoint, issue};
use onionkeep_signer::ledger::{Event, Keep, Ledger};
use onionkeep_signer::token::pkcs11::{Access, Pkcs11Token};
use onionkeep_signer::vault::Vault;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

#[allow(dead_code, unnameable_types, reason = "the bench uses only a part of it")]
#[path = "../tests/softhsm/kit.rs"]
mod kit;

/// Set in the child, whose SoftHSM has tokens of its own.
const CHILD: &str = "ONIONKEEP_BENCH_HOME";
/// Goal: this many times the bare signing and verifying.
const RATIO_GOAL: f64 = 2.0;
/// Goal for the file of 30 periods, in octets.
const FILE_GOAL: usize = 500_000;
/// How often 30 periods are issued; the median counts.
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    if let Some(home) = std::env::var_os(CHILD) {
        return measure(home.as_ref());
    }
    // In memory: a busy disk would be measured instead.
    let home = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_absent| tempfile::tempdir().unwrap());
    if kit::fresh(home.path()).is_none() {
        return ExitCode::SUCCESS;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(CHILD, home.path()).env("SOFTHSM2_CONF", home.path().join("softhsm2.conf"));
    if child.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The publisher.
fn publisher() -> SigningKey {
    SigningKey::from_bytes(&[0x77; 32])
}

/// A request for `count` periods from the one after `now`.
fn request(
    onion: OnionAddress,
    now: UnixTime,
    sequence: u32,
    previous: Previous,
    count: u64,
) -> Read<Request> {
    let first = PeriodRule::PUBLIC.number_at(now).0 + 1;
    let slot = |number: u64| {
        let mut seed = [u8::try_from(sequence).unwrap(); 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let (secret, period) = (SigningKey::from_bytes(&seed), PeriodNumber(number));
        let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
        let text = Proof::new(onion.identity(), period, 1440, &key);
        Slot { period, key, proof: Signature(secret.sign(text.as_bytes()).to_bytes()) }
    };
    let content = Request {
        purpose: Purpose::Real,
        onion,
        id: RequestId([u8::try_from(sequence).unwrap(); 16]),
        sequence,
        previous,
        created: now,
        clockwork: Clockwork::PUBLIC,
        requester: RequestKey(publisher().verifying_key().to_bytes()),
        slots: (first..first + count).map(slot).collect(),
        standby: Vec::new(),
    };
    let file = content.to_file(|text| Signature(publisher().sign(text).to_bytes()));
    Read { content, digest: FileDigest::of(file.as_bytes()) }
}

/// A token, and the ledger of a new directory.
struct Room {
    vault: Vault<Pkcs11Token>,
    onion: OnionAddress,
    dir: tempfile::TempDir,
    ledger: Ledger,
}

impl Room {
    /// Begins a new ledger in which the publisher is enrolled.
    fn begin_anew(&mut self, now: UnixTime) {
        self.dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_absent| tempfile::tempdir().unwrap());
        self.ledger = ledger(&self.dir, &mut self.vault, self.onion, now);
    }

    /// Issues, with everything that belongs to it; and how long it took.
    fn issue(&mut self, request: &Read<Request>, now: UnixTime) -> (Duration, Issued) {
        let onions = [self.onion];
        let order = Order {
            request,
            onions: &onions,
            periods: PeriodRule::PUBLIC,
            state_dir: self.dir.path(),
            now,
            horizon: 90,
            first: request.content.previous == Previous::First,
            purpose: Purpose::Real,
        };
        let start = Instant::now();
        let issued = issue(&order, &mut self.vault, &mut self.ledger, now, &mut |_made| {}).unwrap();
        checkpoint(&mut self.vault, &mut self.ledger, now).unwrap();
        (start.elapsed(), issued)
    }
}

/// A ledger in which the publisher is enrolled.
fn ledger(
    dir: &tempfile::TempDir,
    vault: &mut Vault<Pkcs11Token>,
    onion: OnionAddress,
    now: UnixTime,
) -> Ledger {
    Ledger::create(dir.path(), vault.ensure_audit_key().unwrap(), now).unwrap();
    let mut ledger = Ledger::open(dir.path(), Keep::for_periods(&PeriodRule::PUBLIC)).unwrap();
    let key = RequestKey(publisher().verifying_key().to_bytes());
    ledger.append(now, Event::Enrol { onion, key }).unwrap();
    ledger
}

/// Signs and verifies as many messages of a certificate's length by a library.
fn bare(count: usize) -> Duration {
    let (key, mut message) = (SigningKey::from_bytes(&[1; 32]), [0; 76]);
    let start = Instant::now();
    for number in 0..count {
        message[..8].copy_from_slice(&number.to_be_bytes());
        let signature = key.sign(&message);
        key.verifying_key().verify_strict(&message, &signature).unwrap();
    }
    start.elapsed()
}

/// The median.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn measure(home: &std::path::Path) -> ExitCode {
    let kit = kit::Kit::at(home);
    let name = kit.init();
    let mut vault = Vault::open(kit.open(&name, Access::Write).unwrap(), &kit.state()).unwrap();
    let onion = vault.generate().unwrap();
    let now = kit::serving::now();
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(&dir, &mut vault, onion, now);
    let mut room = Room { vault, onion, dir, ledger };

    let (mut times, mut bares, mut file) = (Vec::new(), Vec::new(), 0);
    for _round in 0..ROUNDS {
        room.begin_anew(now);
        let (time, issued) = room.issue(&request(onion, now, 1, Previous::First, 30), now);
        times.push(time);
        bares.push(bare(30 * 53));
        file = issued.main.len();
    }
    let (month, bare_month) = (median(times), median(bares));
    let ratio = month / bare_month;
    println!(
        "30 periods, 1590 certificates: {:.0} ms; bare signing and verifying {:.0} ms; ratio {ratio:.2}",
        month * 1e3,
        bare_month * 1e3
    );
    println!("file of 30 periods: {file} octets");

    room.begin_anew(now);
    let (quarter, _issued) = room.issue(&request(onion, now, 1, Previous::First, 89), now);
    let per_period = quarter.as_secs_f64() / 89.0 / (month / 30.0);
    println!(
        "89 periods at once: {:.0} ms; per period {per_period:.2} times that of 30",
        quarter.as_secs_f64() * 1e3
    );

    room.begin_anew(now);
    let (mut year, mut previous, mut time) = (Duration::ZERO, Previous::First, now);
    for (sequence, count) in (1..).zip([30_u64; 12].into_iter().chain([5])) {
        let (took, issued) = room.issue(&request(onion, time, sequence, previous, count), time);
        year += took;
        previous = Previous::Bundle(FileDigest::of(&issued.main));
        time = time.plus(30 * 86_400);
    }
    let per_period = year.as_secs_f64() / 365.0 / (month / 30.0);
    println!(
        "a year, 365 periods in 13 bundles: {:.0} ms; per period {per_period:.2} times that of 30",
        year.as_secs_f64() * 1e3
    );
    let good = ratio <= RATIO_GOAL && file <= FILE_GOAL;
    println!("goals ratio {RATIO_GOAL}, {FILE_GOAL} octets: {}", if good { "met" } else { "MISSED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
