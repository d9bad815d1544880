//! Kills a signer at random moments: nothing that it released may be forgotten.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_common::cert::EncodedCert;
use onionkeep_common::wire::Reply;
use rustix::process::{Pid, Signal, kill_process};

use super::dice::Dice;
use super::subject::Subject;
use crate::peer::{self, Peer};
use crate::wait::{self, HOUR};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(20);
/// New certificates that are asked for in a round.
pub const NEW_PER_ROUND: usize = 4;
/// A kill comes at first at most this many microseconds after the first request of a round.
const LATEST_KILL_MICROS: usize = 12_000;
/// A round takes less than this many **seconds**, waiting for its signer included.
const ROUND: u64 = 2;

/// What was counted.
#[derive(Debug, Default)]
pub struct Count {
    /// Starts, each of which ended in a kill.
    pub rounds: usize,
    /// Certificates that were released before the kill of their round.
    pub released: usize,
    /// Of those, how many a later start knew, octet for octet.
    pub remembered: usize,
    /// What was forgotten or released a second time in another form.
    pub forgotten: Vec<String>,
    /// The longest time from a start to serving.
    pub slowest_start: Duration,
}

impl Count {
    /// Adds what another run counted.
    pub fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.released += other.released;
        self.remembered += other.remembered;
        self.forgotten.extend(other.forgotten);
        self.slowest_start = self.slowest_start.max(other.slowest_start);
    }
}

/// Starts, asks, kills a random process of the signer and then the rest, `rounds` times; then asks for everything again, in
/// the same hour, so that what is remembered is what was released.
pub fn run(subject: &mut Subject, rounds: usize, seed: usize) -> Result<Count> {
    ensure!(subject.slots() >= rounds * NEW_PER_ROUND, "too few keys for so many rounds");
    wait::clear_of(HOUR, ROUND * u64::try_from(rounds)?);
    let (mut dice, mut latest) = (Dice::new(seed), LATEST_KILL_MICROS);
    let mut count = Count::default();
    let mut released: BTreeMap<usize, EncodedCert> = BTreeMap::new();
    subject.keep_token()?;
    for round in 0..rounds {
        count.slowest_start = count.slowest_start.max(subject.start()?);
        let slots: Vec<usize> = (round * NEW_PER_ROUND..(round + 1) * NEW_PER_ROUND).collect();
        let (certs, arrived) = channel();
        let asking = ask_all(subject, slots, certs)?;
        thread::sleep(Duration::from_micros(dice.below(latest).try_into()?));
        kill(subject, &mut dice)?;
        ensure!(asking.join().is_ok(), "the asking thread panicked");
        let before = released.len();
        released.extend(arrived.iter());
        // As late as this machine needs: about one kill in three comes before the first certificate.
        latest = if released.len() == before { latest + latest / 2 } else { (latest - latest / 5).max(10) };
        subject.restore_token()?;
        count.rounds += 1;
    }
    count.slowest_start = count.slowest_start.max(subject.start()?);
    count.released = released.len();
    for (slot, cert) in released {
        match Peer::connect(&subject.signer.socket(), LIMIT)?.answered(&subject.request(slot))? {
            Reply::Certificate(again) if again.0 == cert.0 => count.remembered += 1,
            Reply::Certificate(_other) => count.forgotten.push(format!("slot {slot}: another certificate")),
            other @ (Reply::Refused { .. } | Reply::Away { .. }) => {
                count.forgotten.push(format!("slot {slot}: {other:?}"));
            }
        }
    }
    subject.signer.stop()?;
    Ok(count)
}

/// Asks for the slots one after the other until the signer is gone; certificates are checked and sent to `certs`.
fn ask_all(
    subject: &Subject,
    slots: Vec<usize>,
    certs: Sender<(usize, EncodedCert)>,
) -> Result<thread::JoinHandle<()>> {
    let mut peer = Peer::connect(&subject.signer.socket(), LIMIT)?;
    let requests: Vec<_> = slots.into_iter().map(|slot| (slot, subject.request(slot))).collect();
    Ok(thread::spawn(move || {
        for (slot, request) in requests {
            let Ok(Reply::Certificate(cert)) = peer.ask(&request) else { return };
            peer::check(&request, &cert).expect("a released certificate is good");
            if certs.send((slot, cert)).is_err() {
                return;
            }
        }
    }))
}

/// Kills one process of the signer, chosen by chance, and a moment later all.
fn kill(subject: &mut Subject, dice: &mut Dice) -> Result<()> {
    let family = subject.processes()?;
    let chosen = family[dice.below(family.len())];
    let pid = i32::try_from(chosen).ok().and_then(Pid::from_raw).context("odd process id")?;
    // It may have ended by itself because another one did.
    let _gone_already = kill_process(pid, Signal::KILL);
    subject.signer.kill()?;
    let start = Instant::now();
    for pid in family {
        while alive(pid) {
            ensure!(start.elapsed() < LIMIT, "process {pid} of the signer outlives the one that started it");
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// Whether a process is there and is no zombie.
fn alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_name, rest)| !rest.starts_with('Z'))
}
