//! A publisher that was taken over: it owns the socket and tries everything, at full speed, from many connections.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use onionkeep_common::wire::{CertifyRequest, Reply};
use onionkeep_common::{DescSigningKey, PeriodNumber, Signature};

use rustix::process::getuid;

use super::dice::Dice;
use super::subject::Subject;
use crate::peer::{self, Peer};
use crate::process::{self, User};

/// Longer than any wait that the signer grants.
const LIMIT: Duration = Duration::from_secs(10);

/// What the hostile publisher got.
#[derive(Debug, Default)]
pub struct Loot {
    /// Frames and pieces of frames that were sent.
    pub sent: AtomicUsize,
    /// Connections that were made.
    pub connections: AtomicUsize,
    /// Different keys for which a certificate came.
    pub certificates: Mutex<BTreeSet<[u8; 32]>>,
    /// What must not happen.
    pub broken: Mutex<Vec<String>>,
}

impl Loot {
    /// Notes something that must not happen.
    fn broken(&self, what: String) {
        self.broken.lock().expect("nobody panics with it").push(what);
    }

    /// How many different certificates came.
    #[must_use]
    pub fn certificates(&self) -> usize {
        self.certificates.lock().expect("nobody panics with it").len()
    }
}

/// Attacks the socket of a running signer with `connections` threads until `end`. The first onion of the subject is the
/// attacker's own; the others are not.
#[must_use]
pub fn attack(subject: &Subject, connections: usize, end: Instant, seed: usize) -> Loot {
    let loot = Loot::default();
    thread::scope(|scope| {
        for number in 0..connections {
            let (loot, subject) = (&loot, &subject);
            scope.spawn(move || {
                let mut attacker = Attacker { subject, loot, dice: Dice::new(seed + number * 7919) };
                while Instant::now() < end {
                    // A connection that is refused or closed is what the signer may do with it.
                    let _ended = attacker.connection(end);
                }
            });
        }
    });
    loot
}

/// One thread of the attack.
struct Attacker<'a> {
    /// The signer.
    subject: &'a Subject,
    /// What is counted.
    loot: &'a Loot,
    /// What comes next.
    dice: Dice,
}

impl Attacker<'_> {
    /// Uses one connection until it is closed, or for a while.
    fn connection(&mut self, end: Instant) -> io::Result<()> {
        let mut peer = Peer::connect(&self.subject.signer.socket(), LIMIT)?;
        self.loot.connections.fetch_add(1, Ordering::Relaxed);
        for _frame in 0..1 + self.dice.below(200) {
            if Instant::now() >= end {
                break;
            }
            self.loot.sent.fetch_add(1, Ordering::Relaxed);
            self.frame(&mut peer)?;
        }
        Ok(())
    }

    /// Sends one of the things that an attacker could think of.
    fn frame(&mut self, peer: &mut Peer) -> io::Result<()> {
        let asked_in = peer::period_now();
        let request = self.request();
        let mut octets = request.to_frame().as_bytes().to_vec();
        match self.dice.below(20) {
            // Garbage.
            0 => {
                let count = 1 + self.dice.below(300);
                peer.send(&self.dice.octets(count))?;
                peer.reply().map(drop)
            }
            // A good frame with one octet altered.
            1..=4 => {
                let at = self.dice.below(octets.len());
                octets[at] ^= 1 << self.dice.below(8);
                peer.send(&octets)?;
                let reply = peer.reply()?;
                self.judge_altered(asked_in, &octets, &reply);
                Ok(())
            }
            // Half a frame, and then nothing.
            5 => {
                let count = self.dice.below(octets.len());
                peer.send(&octets[..count])?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            // Many frames whose answers nobody reads.
            6 => {
                for _again in 0..50 {
                    peer.send(&octets)?;
                }
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            _ => {
                let reply = peer.ask(&request)?;
                self.judge(asked_in, &request, &reply);
                Ok(())
            }
        }
    }

    /// A request, mostly nearly right.
    fn request(&mut self) -> CertifyRequest {
        let now = peer::period_now().0;
        let own = self.dice.below(8) != 0;
        let onion = self.subject.keys[if own { 0 } else { self.dice.below(self.subject.keys.len()) }].onion;
        let far = [now - 1, now, now + 1, now + 2, now.wrapping_sub(2), 0, u64::MAX, now + 365];
        let period = PeriodNumber(far[if own { self.dice.below(3) } else { self.dice.below(far.len()) }]);
        let mut seed = [0xa7; 32];
        seed[0] = u8::try_from(self.dice.below(250)).unwrap_or(0);
        let mut request = peer::request(onion, period, seed);
        match self.dice.below(24) {
            0 => request.length = [0, 1, 1439, 1441, u32::MAX][self.dice.below(5)],
            1 => request.proof = Signature([0; 64]),
            2 => request.proof.0[self.dice.below(64)] ^= 1,
            // A key of somebody else: the proof does not fit it.
            3 => {
                let other = self.subject.keys[self.dice.below(self.subject.keys.len())].onion;
                if let Ok(key) = DescSigningKey::from_bytes(*other.identity().as_bytes()) {
                    request.key = key;
                }
            }
            _ => {}
        }
        request
    }

    /// An altered frame may get a certificate only if it still is a request that may get one.
    fn judge_altered(&self, asked_in: PeriodNumber, octets: &[u8], reply: &Reply) {
        if !matches!(reply, Reply::Certificate(_)) {
            return;
        }
        let head = octets.get(..onionkeep_common::wire::HEADER_LEN);
        let parsed = head.and_then(|head| {
            let header = onionkeep_common::wire::frame::Header::parse(head.try_into().ok()?).ok()?;
            CertifyRequest::parse(header.kind, &octets[onionkeep_common::wire::HEADER_LEN..]).ok()
        });
        match parsed {
            Some(request) => self.judge(asked_in, &request, reply),
            None => self.loot.broken("a certificate for a frame that cannot be read".to_owned()),
        }
    }

    /// Whether an answer is one that the signer may give, between the period in which it was asked and the one now.
    fn judge(&self, asked_in: PeriodNumber, request: &CertifyRequest, reply: &Reply) {
        let Reply::Certificate(cert) = reply else { return };
        let wrong = |what: String| self.loot.broken(what);
        if request.onion != *self.subject.keys[0].identity() {
            return wrong("a certificate for an onion that is not the attacker's".to_owned());
        }
        let answered_in = [asked_in, peer::period_now()];
        if answered_in.iter().all(|now| request.period.0.abs_diff(now.0) > 1) {
            return wrong(format!("a certificate for period {}", request.period));
        }
        if request.check_proof().is_err() {
            return wrong("a certificate for a key that nobody showed to have".to_owned());
        }
        match peer::check(request, cert) {
            Ok(()) => {
                let mut certificates = self.loot.certificates.lock().expect("nobody panics with it");
                certificates.insert(*request.key.as_bytes());
            }
            Err(error) => wrong(format!("{error:#}")),
        }
    }
}

/// Kinds of line that a peer can bring about.
const KINDS: usize = 7;
/// Lines of one uid and kind that the signer writes at once.
const AT_ONCE: usize = 20;

/// What an attack has left in the signer's log.
#[derive(Debug)]
pub struct Lines {
    /// Lines about the attacker.
    pub written: usize,
    /// Lines about it that were not written, as the log itself tells.
    pub suppressed: usize,
    /// More than these it must never be: some of each kind at once, then one a second.
    pub most: usize,
}

impl Lines {
    /// Counts in a log after an attack that took so many seconds.
    fn count(log: &str, uid: u32, seconds: u64) -> Result<Self> {
        let whose = format!(" uid={uid}");
        let lines = log.lines().filter(|line| {
            line.split_once(&whose).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(' '))
        });
        let (mut written, mut suppressed) = (0, 0);
        for line in lines {
            written += 1;
            if let Some((_, count)) = line.split_once(" suppressed=") {
                suppressed += count.parse::<usize>().with_context(|| line.to_owned())?;
            }
        }
        // The onion that is ready is told by the vault.
        Ok(Self { written, suppressed, most: KINDS * (AT_ONCE + usize::try_from(seconds)? + 1) + 1 })
    }

    /// Whether there are more than there may be, or nothing was held back, which would prove nothing.
    fn check(&self) -> Result<()> {
        ensure!(self.written <= self.most, "the attacker has written too much into the log: {self:?}");
        ensure!(self.suppressed > 0, "the attack was too weak for the log: {self:?}");
        Ok(())
    }
}

/// What came of an attack.
pub struct Outcome {
    /// What the attacker got.
    pub loot: Loot,
    /// What it has left in the log.
    pub lines: Lines,
    /// What the honest publisher saw; `None` without root, because then there is only one uid.
    pub honest: Option<Honest>,
}

/// Starts a signer with an attacker's onion and an honest publisher's, and attacks it for `seconds`. `program` is the
/// program `assurance`, which is also the honest publisher.
pub fn run(program: &Path, connections: usize, seconds: u64, seed: usize) -> Result<Outcome> {
    let uid = |number| if number == 1 { User::Publisher.uid() } else { getuid().as_raw() };
    let mut subject = Subject::granted(2, uid)?;
    let copy = subject.tool(program)?;
    subject.start()?;
    let honest = process::is_root().then(|| {
        let mut command = process::command(&copy, User::Publisher);
        command.arg("honest").arg(subject.signer.socket()).arg(subject.keys[1].onion.to_string());
        command.arg(seconds.to_string());
        thread::spawn(move || process::run(&mut command, "the honest publisher"))
    });
    let start = Instant::now();
    let loot = attack(&subject, connections, start + Duration::from_secs(seconds), seed);
    let honest = match honest {
        Some(thread) => {
            let output =
                thread.join().map_err(|_panic| anyhow!("the honest publisher's thread panicked"))??;
            Some(Honest::parse(&String::from_utf8_lossy(&output.stdout))?)
        }
        None => None,
    };
    // It must still be the same process, and serve.
    subject.signer.process()?.must_run()?;
    let lasted = start.elapsed().as_secs();
    subject.signer.stop()?;
    let lines = Lines::count(&subject.signer.log(), uid(0), lasted)?;
    lines.check()?;
    Ok(Outcome { loot, lines, honest })
}

/// What stands in the lines of [`be_honest`] about answers to come back later.
const AWAY: &str = "told to come back";

/// What an honest publisher sees meanwhile; the times are in microseconds, sorted.
#[derive(Debug)]
pub struct Honest {
    /// One time for each answered request.
    pub times: Vec<u64>,
    /// Answers to come back later: when, after how long, and why. A machine with too much to do makes some.
    pub away: Vec<String>,
    /// Connections that failed: the same.
    pub failures: Vec<String>,
}

impl Honest {
    /// The time below which `percent` of the answers came, in milliseconds.
    #[must_use]
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        let micros = self.times.get(at).copied().unwrap_or(u64::MAX);
        Duration::from_micros(micros).as_secs_f64() * 1000.0
    }

    /// Reads what [`be_honest`] printed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines: Vec<&str> = text.lines().collect();
        let line = lines.pop().context("the honest peer said nothing")?;
        let mut times = line.split(' ').map(str::parse::<u64>).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        ensure!(!times.is_empty(), "the honest peer never got an answer");
        let (away, failures) = lines.into_iter().map(str::to_owned).partition(|line| line.contains(AWAY));
        Ok(Self { times, away, failures })
    }
}

/// An honest publisher in a process of its own, under a uid of its own: asks every few milliseconds, each time on a new connection, or
/// when it was told to come back; prints a line for each failure, then one with the time of each answer in microseconds.
pub fn be_honest(socket: &Path, onion: &str, seconds: u64) -> Result<String> {
    let onion = onion.parse()?;
    let request = peer::request(onion, peer::period_now(), [0x11; 32]);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let (mut times, mut failures) = (Vec::new(), Vec::new());
    let mut failed = |start: Instant, why: String| {
        let (at, took) = (start.duration_since(begun).as_secs(), start.elapsed().as_millis());
        failures.push(format!("at {at} s, after {took} ms: {why}"));
    };
    while Instant::now() < end {
        let start = Instant::now();
        match Peer::connect(socket, LIMIT).and_then(|mut peer| peer.ask(&request)) {
            Ok(Reply::Certificate(cert)) => {
                times.push(start.elapsed().as_micros().to_string());
                peer::check(&request, &cert)?;
            }
            Ok(Reply::Refused { rule, .. }) => bail!("the honest peer was refused: {rule}"),
            Ok(Reply::Away { reason, retry_after }) => {
                failed(start, format!("{AWAY} in {retry_after} s: {reason:?}"));
                let left = end.saturating_duration_since(Instant::now());
                thread::sleep(left.min(Duration::from_secs(retry_after.into())));
            }
            Err(error) => failed(start, error.to_string()),
        }
        thread::sleep(Duration::from_millis(5));
    }
    failures.push(times.join(" "));
    Ok(failures.join("\n"))
}
