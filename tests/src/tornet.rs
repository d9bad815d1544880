//! A private Tor network on 127.0.0.1: the only place where its parts are started in the order that works.
//!
//! Three authorities and some relays first; clients, the publisher's tor and onion services afterwards, through
//! [`Network::tor`], [`Backend`] and [`Client`]. Every wait looks at tor's own state.

mod authority;
mod backend;
mod client;
mod control;
mod crowd;
mod node;
mod ports;
mod torrc;
mod web;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::report::Report;
use crate::wait::{self, Seen};
use crate::{clock, files, process};

pub use backend::{Backend, ServiceKind};
pub use client::{Answer, Client};
pub use control::{Control, Line};
pub use crowd::Crowd;
pub use node::Node;
pub use ports::free_port;
use torrc::{RelayPorts, Voting};

/// Number of directory authorities.
const AUTHORITIES: usize = 3;
/// Seconds from the start of the relays to the first vote on a quiet machine, so that every authority has every
/// descriptor by then. A busy one is given as long as making the keys took.
const HEAD_START: u64 = 5;
/// Interval of the votes before a network with real periods slows down, in seconds.
const FAST_VOTES: u64 = 10;
/// Interval of the votes afterwards, in seconds: tor's own.
const REAL_VOTES: u64 = 3600;
/// Votes of each of the two phases in which shared random values are made.
///
/// Spec: srv-spec, 2.
const ROUNDS: u64 = 12;
/// From the start of a network to its last fast vote at most, in seconds.
const START_LONGEST: u64 = 45;
/// Seconds for votes, and again for signatures, afterwards: tor's own.
const REAL_DELAY: u64 = 300;
/// The last seconds of an hour, in which no network with real votes is begun.
const HOUR_ENDS: u64 = 90;
/// **Seconds** for which no new consensus may come once the stories are told.
const VOTES_APART: u64 = 1800;

/// How time passes in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A vote every so many seconds (10 or 20), and time periods of 24 votes.
    Short(u64),
    /// Periods of 24 hours with their usual offset, as on the public network; no test option in tors that are no relays.
    Day,
}

impl Pace {
    /// The interval of the first votes in seconds.
    fn first_votes(self) -> u64 {
        match self {
            Self::Short(seconds) => seconds,
            Self::Day => FAST_VOTES,
        }
    }

    /// Length and offset of a time period in minutes, when they are not tor's defaults.
    ///
    /// Spec: rend-spec-v3, 2.2.1; with `TestingTorNetwork` tor takes 24 voting intervals, and 12 as the offset.
    #[must_use]
    pub fn test_period(self) -> Option<(u64, u64)> {
        match self {
            Self::Short(seconds) => Some((24 * seconds / 60, 12 * seconds / 60)),
            Self::Day => None,
        }
    }

    /// Length and offset of a time period in minutes and the length of a shared random run in seconds, when they are not
    /// tor's defaults.
    ///
    /// Spec: srv-spec, PROTO; a run has 24 voting intervals.
    #[must_use]
    pub fn clockwork(self) -> Option<(u64, u64, u64)> {
        let run = 24 * self.first_votes();
        self.test_period().map(|(length, offset)| (length, offset, run))
    }
}

/// The authorities and relays, running.
pub struct Network {
    /// Where the directories of all tors are.
    dir: PathBuf,
    /// How time passes.
    pace: Pace,
    /// Authorities first, then the other relays.
    relays: Vec<Node>,
    /// Fingerprints of all of them, in the same order.
    fingerprints: Vec<String>,
    /// The `DirAuthority` lines.
    authority_lines: String,
    /// Who is told.
    report: Report,
}

impl Network {
    /// Starts the authorities and `relays` further relays under `dir` and waits until they form a network.
    ///
    /// A network that does not come up is built a second time, which is said; nothing else is ever retried here.
    pub fn start(dir: &Path, pace: Pace, relays: usize, report: &Report) -> Result<Self> {
        match Self::build(dir.join("net"), pace, relays, report) {
            Ok(network) => Ok(network),
            Err(error) => {
                report.reached(&format!("the private network did not come up, building it again: {error:#}"));
                Self::build(dir.join("net2"), pace, relays, report)
                    .context("the private network did not come up twice")
            }
        }
    }

    /// One attempt.
    fn build(dir: PathBuf, pace: Pace, relays: usize, report: &Report) -> Result<Self> {
        files::make_dir(&dir, process::User::Harness, 0o755)?;
        report.waiting("keys of authorities and relays");
        let mut network = Self::prepare(dir, pace, AUTHORITIES + relays, report)?;
        if pace == Pace::Day {
            stay_within_an_hour(report);
        }
        network.relays.iter_mut().try_for_each(Node::start)?;
        report.waiting("the first consensus");
        network.wait_first_consensus()?;
        report.reached("first consensus: every relay is listed, HSDir, with both shared random values");
        if pace == Pace::Day {
            network.slow_down()?;
        }
        report.waiting("relays to restart and to know each other");
        network.restart_relays()?;
        report.reached("the private Tor network is up");
        Ok(network)
    }

    /// Makes directories, keys and configurations.
    fn prepare(dir: PathBuf, pace: Pace, count: usize, report: &Report) -> Result<Self> {
        let ports = (0..count).map(|_| RelayPorts::choose()).collect::<Result<Vec<_>>>()?;
        let relays = (0..count)
            .map(|index| {
                Node::new(&dir, &relay_name(index), &torrc::keys_only(&relay_name(index), ports[index]))
            })
            .collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        let (fingerprints, voting_keys) = make_keys(&relays, &ports)?;
        let most = pace.first_votes() - 2 * torrc::VOTE_DELAY;
        let head_start = start.elapsed().as_secs().clamp(HEAD_START, most);
        let authority_lines = torrc::authority_lines(&fingerprints, &voting_keys, &ports);
        let network = Self { dir, pace, relays, fingerprints, authority_lines, report: report.clone() };
        network.configure(&ports, head_start)?;
        Ok(network)
    }

    /// Writes the final torrc of every relay and the authorities' extra files.
    fn configure(&self, ports: &[RelayPorts], head_start: u64) -> Result<()> {
        let interval = self.pace.first_votes();
        let first_vote = clock::unix_now() + 1 + head_start + 2 * torrc::VOTE_DELAY;
        let voting = Voting { interval, offset: first_vote % interval };
        for (index, node) in self.relays.iter().enumerate() {
            let relay = torrc::relay(node.name(), ports[index], &self.authority_lines);
            let authority = if index < AUTHORITIES {
                torrc::authority(node, ports[index], voting)
            } else {
                String::new()
            };
            node.write_torrc(&format!("{relay}{authority}"))?;
        }
        let authorities = &self.relays[..AUTHORITIES];
        let named = self.relays.iter().zip(&self.fingerprints);
        let list: Vec<_> =
            named.map(|(node, fingerprint)| (node.name().to_owned(), fingerprint.clone())).collect();
        authority::seed_shared_random(authorities)?;
        authority::write_bandwidths(authorities, &list)
    }

    /// Waits until the first authority has a consensus with everything in it.
    fn wait_first_consensus(&mut self) -> Result<()> {
        let limit = Duration::from_secs(3 * self.pace.first_votes() + 30);
        let expected = self.relays.len();
        let mut control = self.relays[0].control()?;
        wait::until("a consensus that lists every relay", limit, || {
            self.relays.iter_mut().try_for_each(Node::must_run)?;
            let found = hsdirs(&control.info("ns/all")?);
            if found < expected {
                return Ok(Seen::NotYet(format!("{found} of {expected} relays with HSDir")));
            }
            let values = (control.info("sr/current")?, control.info("sr/previous")?);
            Ok(if values.0.is_empty() || values.1.is_empty() {
                Seen::NotYet("no shared random values".into())
            } else {
                Seen::Ready(())
            })
        })
    }

    /// Sets tor's own voting interval and waits for a consensus that lives for hours.
    fn slow_down(&mut self) -> Result<()> {
        self.report.waiting("a consensus with real voting intervals");
        for authority in &mut self.relays[..AUTHORITIES] {
            authority.control()?.ask(&format!(
                "SETCONF V3AuthVotingInterval={REAL_VOTES} V3AuthVoteDelay={REAL_DELAY} V3AuthDistDelay={REAL_DELAY}"
            ))?;
        }
        let mut control = self.relays[0].control()?;
        wait::until("a consensus that is fresh for an hour", Duration::from_secs(45), || {
            let from = clock::parse_tor_time(&control.info("consensus/valid-after")?)?;
            let until = clock::parse_tor_time(&control.info("consensus/fresh-until")?)?;
            let found = hsdirs(&control.info("ns/all")?);
            let ready = until - from == REAL_VOTES && found == self.fingerprints.len();
            Ok(if ready { Seen::Ready(()) } else { Seen::NotYet(format!("fresh for {} s", until - from)) })
        })?;
        self.report.reached("consensus with 24-hour periods");
        self.put_off_next_vote()
    }

    /// Lets no new consensus come while the stories are told, however near the full hour is: tors with consensuses from both sides of
    /// it disagree by an hour about the start of the shared random run, as in [`stay_within_an_hour`].
    fn put_off_next_vote(&mut self) -> Result<()> {
        if seconds_left_of_hour() >= VOTES_APART {
            return Ok(());
        }
        for authority in &mut self.relays[..AUTHORITIES] {
            // tor allows no greater offset than the first interval is, and none of these that does not divide half an hour.
            authority.control()?.ask(&format!(
                "SETCONF TestingV3AuthInitialVotingInterval={VOTES_APART} TestingV3AuthVotingStartOffset={VOTES_APART}"
            ))?;
        }
        Ok(())
    }

    /// Restarts the relays, which have backed off by now, and waits until each one knows all others.
    fn restart_relays(&mut self) -> Result<()> {
        let expected = self.relays.len();
        let relays = &mut self.relays[AUTHORITIES..];
        thread::scope(|scope| {
            let tasks: Vec<_> = relays
                .iter_mut()
                .map(|node| scope.spawn(|| node.stop().and_then(|()| node.start())))
                .collect();
            tasks.into_iter().try_for_each(|task| task.join().expect("the task does not panic"))
        })?;
        for relay in relays {
            wait_microdescriptors(relay, expected)?;
        }
        Ok(())
    }

    /// How time passes here.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Fingerprints of every relay, all of them HSDirs.
    #[must_use]
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// A relay that is no authority, for stories about one that fails.
    pub fn plain_relay(&mut self, index: usize) -> &mut Node {
        &mut self.relays[AUTHORITIES + index]
    }

    /// Starts a tor that is no relay: a client, a publisher's tor or an onion service, with `extra` in its torrc.
    pub fn tor(&self, name: &str, extra: &str) -> Result<Node> {
        let torrc = format!("{}{extra}", torrc::outsider(self.pace, &self.authority_lines));
        let mut node = Node::new(&self.dir, name, &torrc)?;
        node.start()?;
        Ok(node)
    }

    /// Waits until a tor that is no relay has everything it needs to build any circuit.
    pub fn wait_ready(&self, node: &mut Node) -> Result<()> {
        node.wait_bootstrapped(Duration::from_secs(60))?;
        wait_microdescriptors(node, self.relays.len())
    }

    /// An error when one of the relays is no longer running.
    pub fn must_run(&mut self) -> Result<()> {
        self.relays.iter_mut().try_for_each(Node::must_run)
    }
}

/// Makes every key, several at a time: the fingerprints of all, and the voting identities of the authorities.
fn make_keys(relays: &[Node], ports: &[RelayPorts]) -> Result<(Vec<String>, Vec<String>)> {
    thread::scope(|scope| {
        let voting: Vec<_> = relays[..AUTHORITIES]
            .iter()
            .zip(ports)
            .map(|(node, port)| scope.spawn(move || authority::make_voting_keys(node, port.dir)))
            .collect();
        let identities: Vec<_> = relays.iter().map(|node| scope.spawn(|| node.make_relay_keys())).collect();
        let join = |tasks: Vec<thread::ScopedJoinHandle<'_, Result<String>>>| -> Result<Vec<String>> {
            tasks.into_iter().map(|task| task.join().expect("the task does not panic")).collect()
        };
        Ok((join(identities)?, join(voting)?))
    })
}

/// `auth0`, `auth1`, `auth2`, `relay3`, ...
fn relay_name(index: usize) -> String {
    if index < AUTHORITIES { format!("auth{index}") } else { format!("relay{index}") }
}

/// Number of relays with the HSDir flag in a `GETINFO ns/all`.
fn hsdirs(entries: &str) -> usize {
    entries.lines().filter(|line| line.starts_with("s ") && line.contains(" HSDir")).count()
}

/// Waits until a tor lists `expected` relays and has the microdescriptor of each.
fn wait_microdescriptors(node: &mut Node, expected: usize) -> Result<()> {
    let what = format!("tor {} to have every microdescriptor", node.name());
    let mut control = node.control()?;
    wait::until(&what, Duration::from_secs(45), || {
        node.must_run()?;
        let listed = hsdirs(&control.info("ns/all")?);
        let known = control.info("md/all")?.lines().filter(|line| *line == "onion-key").count();
        ensure!(listed <= expected, "tor {} lists {listed} relays, there are {expected}", node.name());
        Ok(if listed == expected && known == expected {
            Seen::Ready(())
        } else {
            Seen::NotYet(format!("{listed} listed, {known} microdescriptors of {expected}"))
        })
    })
}

/// Waits until a network that is started now keeps its shared random values until midnight. Authorities make new ones when their
/// phase goes from revealing to committing, also if that comes of slower votes alone: with real votes they commit until noon,
/// with fast ones they reveal half of every four minutes. Services and clients that have not the same consensus do not find each
/// other then for hours, which the public network never does to them.
pub fn wait_for_steady_values(report: &Report) {
    report.waiting("votes that will leave the shared random values as they are");
    while !keeps_values(clock::unix_now()) {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Whether a network with real votes that is started now keeps its shared random values until midnight.
///
/// Spec: srv-spec, 2; C tor, `get_sr_protocol_phase`, `new_protocol_run`.
fn keeps_values(now: u64) -> bool {
    let reveals = |at: u64, interval: u64| at / interval % (2 * ROUNDS) >= ROUNDS;
    reveals(now, REAL_VOTES) || !(now..=now + START_LONGEST).any(|last| reveals(last, FAST_VOTES))
}

/// Waits for the next hour if it is about to begin. Consensuses of the public network begin with an hour, those of this one at
/// any second: two of them on both sides of the turn would disagree by an hour about the start of the shared random run,
/// and so would the revision counters of two tors.
fn stay_within_an_hour(report: &Report) {
    let left = seconds_left_of_hour();
    if left < HOUR_ENDS {
        report.waiting(&format!("the next hour, {left} s"));
        thread::sleep(Duration::from_secs(left));
    }
}

/// How many **seconds** the hour has left.
fn seconds_left_of_hour() -> u64 {
    3600 - clock::unix_now() % 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_morning_that_begins_with_revealing_changes_the_values() {
        // 2026-11-27 00:00; four minutes of fast votes begin with each multiple of 240.
        let day = 1_795_737_600;
        assert!(keeps_values(day + 3 * 3600), "committing, and for the next 45 s");
        assert!(keeps_values(day + 3 * 3600 + 74));
        for seconds in [75, 119, 120, 239] {
            assert!(!keeps_values(day + 3 * 3600 + seconds), "revealing after {seconds} s or soon");
            assert!(keeps_values(day + 13 * 3600 + seconds), "real votes reveal in the afternoon");
        }
    }
}
