//! Processor time of one full publish of both descriptors, beside Onionbalance 0.2.4, by turns in one run.
//!
//! `tests/run publish` installs Onionbalance and runs this. Counted on both sides: from the parsed descriptors of 8 backends
//! to both frontend descriptors of 16 points each, handed to a control port for 8 HSDirs each. Ours chooses, takes the
//! counters, writes its state to disk, signs, encrypts a copy for each HSDir and waits for the HSDir's answer. Onionbalance
//! runs its own classes (`support/publish.py`): it chooses, takes the counters, signs, encrypts one copy for all HSDirs, finds
//! the HSDirs in a ring that it sorts for each descriptor, and gives the copy away; its logging is off. Ours sorts the rings once
//! for each consensus, so a second figure leaves Onionbalance's ring out. Ends with 1 if the goal is missed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring program has nobody else to tell"
)]

use onionkeep_common::iso::Iso;
use onionkeep_common::keys::KeyError;
use onionkeep_common::{BlindedId, OnionAddress, Subcredential, UnixTime};
use onionkeep_publisher::clock;
use onionkeep_publisher::consensus::{Fingerprint, Role};
use onionkeep_publisher::descriptor::{Decoded, Draft, MAX_DESCRIPTOR_SIZE, PeriodKeys, decode};
use onionkeep_publisher::merge::{Candidate, Mode, Situation, choose};
use onionkeep_publisher::revision::{CounterKey, position};
use onionkeep_publisher::state::{PeriodState, StateDir};
use onionkeep_publisher::tor::{Tor, TorConfig};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::task::JoinSet;

#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "../tests/support/control_port.rs"]
mod control_port;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/network.rs"]
mod network;
#[allow(dead_code, reason = "the bench uses only a part of it")]
#[path = "support/onions.rs"]
mod onions;

use control_port::{Answer, Auth, ControlPort, usual};
use onions::{Onion, RELAYS, make, octets, points, schedule};

/// Names the program.
const PROGRAM: &str = "ONIONKEEP_ONIONBALANCE";
/// Backends of the service.
const BACKENDS: usize = 8;
/// Introduction points of each descriptor: two for each backend, as Onionbalance takes them.
const POINTS: usize = 16;
/// Publishes of each.
const ROUNDS: usize = 20;
/// So many times less than Onionbalance's.
const GOAL: f64 = 20.0;
/// What comes before the seed in an unencrypted PKCS#8 file with an Ed25519 key.
///
/// Spec: RFC 8410, 7.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

fn main() -> ExitCode {
    let Some(program) = std::env::var_os(PROGRAM).map(PathBuf::from) else {
        println!("Onionbalance is missing: tests/run publish installs it, or set {PROGRAM}");
        return ExitCode::FAILURE;
    };
    let folder = tempfile::tempdir().unwrap();
    let control = control_port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut ours = runtime.block_on(Ours::new(folder.path(), &control));
    let mut theirs = Theirs::start(&program, folder.path(), &control, &ours);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let own = runtime.block_on(ours.publish());
        let (other, given, words) = theirs.publish();
        if round == 0 {
            println!("points and octets of the first and the second descriptor");
            println!("ours: {}; Onionbalance: {words}", ours.shown);
        }
        rounds.push([own.as_secs_f64(), other, given].map(|seconds| seconds * 1000.0));
    }
    println!("CPU of one publish in ms, least / median / most of {ROUNDS}");
    let medians =
        ["ours", "Onionbalance", "Onionbalance, HSDirs given"].iter().enumerate().map(|(at, name)| {
            let mut times: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
            times.sort_by(f64::total_cmp);
            println!("{name}: {:.2} / {:.2} / {:.2}", times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
            times[ROUNDS / 2]
        });
    let medians: Vec<f64> = medians.collect();
    let ratio = medians[1] / medians[0];
    println!(
        "ours takes {ratio:.1} times less (goal {GOAL}), {:.1} times without a ring",
        medians[2] / medians[0]
    );
    if ratio >= GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A control port on a thread of its own; its socket.
fn control_port() -> PathBuf {
    let (ready, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let port = ControlPort::unix(Auth::SafeCookie, |command| {
                let servers: Vec<_> =
                    command.line.split(' ').filter_map(|word| word.strip_prefix("SERVER=")).collect();
                let onion = command.line.rsplit('=').next().unwrap_or_default();
                match servers.as_slice() {
                    [] => usual(command).unwrap_or_else(Answer::ok),
                    [one] => {
                        Answer::text(&format!("250 OK\n650 HS_DESC UPLOADED {onion} UNKNOWN ${one}~relay\n"))
                    }
                    // Onionbalance learns nothing from these events, so it is spared them.
                    _several => Answer::ok(),
                }
            });
            ready.send(PathBuf::from(port.address.trim_start_matches("unix:"))).unwrap();
            std::future::pending::<()>().await;
        });
    });
    address.recv().unwrap()
}

/// One of the two descriptors.
struct Desc {
    role: Role,
    state: PeriodState,
    counter: CounterKey,
    blinded: BlindedId,
    subcredential: Subcredential,
    hsdirs: Vec<Fingerprint>,
}

/// Our side.
struct Ours {
    tor: Tor,
    address: OnionAddress,
    state: StateDir,
    backends: Vec<(OnionAddress, String, Decoded)>,
    descs: Vec<Desc>,
    valid_after: UnixTime,
    shown: String,
}

impl Ours {
    /// Everything before the first publish.
    async fn new(folder: &Path, control: &Path) -> Self {
        let own = Onion::new(b's', 0);
        let config = TorConfig {
            control: format!("unix:{}", control.display()).parse().unwrap(),
            password: None,
            allow_plain_cookie: false,
        };
        let (tor, _news) = Tor::connect(&config).await.unwrap();
        let now = clock::now();
        let valid_after = UnixTime(now.0 / 3600 * 3600);
        let schedule = schedule(valid_after.0);
        let backends = (0..BACKENDS).map(|number| {
            let onion = Onion::new(b'b', number);
            let own = u64::try_from(number).unwrap();
            let text = make(own, &onion, &schedule.fetch, now, &points(own, now), "x");
            let read = decode(text.as_bytes(), &onion.address(), schedule.fetch.period, None, now).unwrap();
            (onion.address(), text, read)
        });
        let state = StateDir::open(&folder.join("state")).unwrap();
        let secret = state.counter_secret().unwrap();
        let desc = |(number, role): (u8, Role)| {
            let keys = PeriodKeys::generate(|octets| {
                getrandom::fill(octets).unwrap();
                Ok::<(), KeyError>(())
            })
            .unwrap();
            let mut state = PeriodState::new(role.period, keys);
            state.cert = Some(own.certify(role.period, state.keys.signing_key(), now));
            let address = own.address();
            let blinded = address.identity().blinded(role.period).unwrap();
            Desc {
                counter: CounterKey::derive(&secret, &address, role.period),
                subcredential: address.identity().credential().subcredential(&blinded),
                blinded,
                role,
                state,
                hsdirs: (0..8).map(|at| Fingerprint([number * 8 + at + 1; 20])).collect(),
            }
        };
        let descs = [(0, schedule.first), (1, schedule.second)].map(desc).into();
        Self {
            tor,
            address: own.address(),
            backends: backends.collect(),
            descs,
            valid_after,
            state,
            shown: String::new(),
        }
    }

    /// Publishes both descriptors; the CPU time of this thread.
    async fn publish(&mut self) -> Duration {
        let before = cpu();
        let mut words = String::new();
        for number in 0..self.descs.len() {
            let copies = self.make(number);
            let _infallible = write!(words, "{POINTS} {} ", copies[0].1.len());
            let mut posts = JoinSet::new();
            for (hsdir, text) in copies {
                let (tor, address) = (self.tor.clone(), self.address);
                posts.spawn(async move { tor.post(&address, hsdir, &text, Duration::from_secs(60)).await });
            }
            while let Some(posted) = posts.join_next().await {
                posted.unwrap().unwrap();
            }
        }
        let spent = cpu().saturating_sub(before);
        self.shown = words.trim().to_owned();
        spent
    }

    /// Makes one descriptor: the same steps as the reactor's.
    fn make(&mut self, number: usize) -> Vec<(Fingerprint, String)> {
        let now = clock::now();
        let Desc { role, state, counter, blinded, subcredential, hsdirs } = &mut self.descs[number];
        let candidates = self.backends.iter().enumerate().map(|(at, (_address, _text, read))| Candidate {
            backend: at,
            weight: 1,
            place: u64::try_from(at).unwrap() << 60,
            points: &read.intro_points,
            flow_control: read.flow_control.as_ref(),
            single_onion: false,
            pow: false,
            ages: None,
        });
        let candidates: Vec<_> = candidates.collect();
        let avoid = BTreeSet::new();
        let situation = Situation {
            mode: Mode::Wide { points: POINTS },
            sets: 1,
            now,
            seed: &[1; 32],
            secret: &[2; 32],
            listed: std::slice::from_ref(&state.listed),
            avoid: &avoid,
            hold: false,
        };
        let merged = choose(&candidates, &situation);
        let choice = &merged.sets[0];
        state.revision = state.next_revision(counter.counter_at(position(now, role.run_start)).unwrap());
        state.listed = choice.keys();
        self.state.save(&self.address, state).unwrap();
        let points = choice.listed();
        assert_eq!(points.len(), POINTS);
        let draft = Draft {
            blinded,
            subcredential,
            cert08: state.cert.as_ref().unwrap(),
            keys: &state.keys,
            revision: state.revision,
            flow_control: choice.flow_control.as_ref(),
            single_onion: choice.single_onion,
            clients: None,
            intro_points: &points,
            max_descriptor_size: MAX_DESCRIPTOR_SIZE,
            now,
        };
        let prepared = draft.prepare().unwrap();
        let copy = |hsdir: &Fingerprint| {
            let mut salts = [[0; 16]; 2];
            getrandom::fill(salts.as_flattened_mut()).unwrap();
            (*hsdir, prepared.encode(salts).unwrap())
        };
        hsdirs.iter().map(copy).collect()
    }
}

/// A time as a consensus writes it.
fn iso(at: u64) -> String {
    Iso(UnixTime(at)).to_string().replace('T', " ").replace('Z', "")
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Onionbalance's side.
struct Theirs(Child, BufReader<ChildStdout>);

impl Theirs {
    /// Writes what it needs, and starts it.
    fn start(program: &Path, folder: &Path, control: &Path, ours: &Ours) -> Self {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let body = data_encoding::BASE64.encode(&[&PKCS8[..], &octets(b"s", 0)].concat());
        write("frontend.pem", &format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"));
        write("control", &control.display().to_string());
        let network = network::make(RELAYS);
        write("consensus", &network.at(ours.valid_after.0, iso));
        write("microdescs", &network.microdescs);
        for (desc, name) in ours.descs.iter().zip(["hsdirs.first", "hsdirs.second"]) {
            let lines: Vec<_> = desc.hsdirs.iter().map(ToString::to_string).collect();
            write(name, &lines.join("\n"));
        }
        std::fs::create_dir(folder.join("backends")).unwrap();
        for (address, text, _read) in &ours.backends {
            write(&format!("backends/{address}"), text);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/publish.py");
        let mut command = Command::new(program.with_file_name("python3"));
        command.arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        print!("{line}");
        assert!(line.starts_with(&format!("ready {}", ours.address)), "Onionbalance reads another key");
        Self(child, said)
    }

    /// Publishes both descriptors: seconds of CPU time with and without the ring, and points and octets of each.
    fn publish(&mut self) -> (f64, f64, String) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        let fields: Vec<&str> = line.trim().splitn(3, ' ').collect();
        (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].to_owned())
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _status = self.0.wait();
    }
}
