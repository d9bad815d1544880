//! A signer that serves, all three processes of it, and what is asked of it over its socket.

use super::ran::wait;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Proof, Reply};
use onionkeep_common::{DescSigningKey, OnionAddress, PeriodNumber, PeriodRule, Signature, UnixTime};
use onionkeep_signer::clock::{Clock, SystemClock};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

/// A signer that serves, all three processes of it; killed when dropped.
pub(crate) struct Serving {
    /// The keeper.
    pub(crate) child: Child,
    pub(super) socket: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let children = self.children();
        let _already_ended = self.child.kill();
        let _status = self.child.wait();
        children.into_iter().for_each(wait_gone);
    }
}

/// Waits until a process is no more, or is only waited for.
pub(crate) fn wait_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_name, rest)| !rest.starts_with(" Z"))
    };
    while is_there() {
        assert!(Instant::now() < deadline, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Serving {
    /// Sends a signal to the keeper and waits for the end of all.
    pub(crate) fn signal(mut self, signal: rustix::process::Signal) -> Option<i32> {
        let children = self.children();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        let code = wait(&mut self.child).code();
        children.into_iter().for_each(wait_gone);
        code
    }

    /// The processes that the keeper has started and that run.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// The process with this role, `gate` or `vault`; waits for it.
    pub(crate) fn role(&self, role: &str) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(10);
        let has_role = |pid: &u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|octet| *octet == 0).any(|word| word == role.as_bytes())
        };
        loop {
            if let Some(pid) = self.children().into_iter().find(has_role) {
                return pid;
            }
            assert!(Instant::now() < deadline, "there is no {role}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Keeper, gate and vault.
    pub(crate) fn all(&self) -> [u32; 3] {
        [self.child.id(), self.role("gate"), self.role("vault")]
    }

    /// Sends a signal to one of them.
    pub(crate) fn strike(&self, role: &str, signal: rustix::process::Signal) -> u32 {
        let pid = self.role(role);
        let target = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(target, signal).unwrap();
        pid
    }

    /// Asks once for a certificate with the key of `seed` for the current period: for what is about being told to come back.
    pub(crate) fn ask_once(&self, onion: OnionAddress, seed: u8) -> Reply {
        ask_once(&self.socket, &request(onion, seed, 0))
    }

    /// Asks for the same until there is an answer.
    pub(crate) fn ask(&self, onion: OnionAddress, seed: u8) -> Reply {
        ask(&self.socket, &request(onion, seed, 0))
    }
}

/// A request for the period `ahead` of the current one, with a key that depends on `seed` alone.
pub(crate) fn request(onion: OnionAddress, seed: u8, ahead: u64) -> CertifyRequest {
    signed(onion, &SigningKey::from_bytes(&[seed; 32]), ahead)
}

/// A request for the period `ahead` of the current one, with a key that no other onion has.
pub(crate) fn keyed(onion: OnionAddress, seed: u8, ahead: u64) -> CertifyRequest {
    let mut secret = *onion.identity().as_bytes();
    secret[0] = seed;
    signed(onion, &SigningKey::from_bytes(&secret), ahead)
}

/// A request with a proof by `secret`.
fn signed(onion: OnionAddress, secret: &SigningKey, ahead: u64) -> CertifyRequest {
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let period = PeriodNumber(PeriodRule::PUBLIC.number_at(now()).0 + ahead);
    let onion = *onion.identity();
    let proof = secret.sign(Proof::new(&onion, period, 1440, &key).as_bytes());
    CertifyRequest { onion, period, length: 1440, key, proof: Signature(proof.to_bytes()) }
}

/// The time now.
pub(crate) fn now() -> UnixTime {
    SystemClock.now()
}

/// Full hours change the expiry of a certificate.
pub(crate) const HOUR: u64 = 3600;
/// Noon, UTC, ends a period, which is the only one for its keys; midnight changes the date.
pub(crate) const HALF_DAY: u64 = 12 * HOUR;

/// Waits, if the next multiple of so many seconds is less than a minute away, until it is over. An expiry is rounded up, so
/// that of the very second belongs to the hour before.
pub(crate) fn clear_of(every: u64) {
    while (now().0 - 1) % every >= every - 60 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks, over new connections, as long as the answer is to come back later: a machine with too much to do makes the token
/// late, and one late answer has the vault replaced. For at most 60 s.
pub(crate) fn ask(socket: &Path, request: &CertifyRequest) -> Reply {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let reply = ask_once(socket, request);
        if !matches!(reply, Reply::Away { .. }) || Instant::now() > deadline {
            return reply;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks once over a new connection.
pub(crate) fn ask_once(socket: &Path, request: &CertifyRequest) -> Reply {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.to_frame().as_bytes()).unwrap();
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).unwrap();
    let header = Header::parse(head).unwrap();
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content).unwrap();
    Reply::parse(header.kind, &content).unwrap()
}
