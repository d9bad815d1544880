//! Three services on a made-up network, in pretended time: a second passes when all that one before it brought is done.
//!
//! Each service has a backend and a signer of its own, and each of these can fail while the publisher runs.

use super::control_port::{Answer, Auth, Command, ControlPort};
use super::world::{BEGIN, Onion, World, server};
use crate::clock::tests::{Pretended, pretend};
use crate::config::Config;
use crate::log::tests::keep;
use crate::schedule::dice::tests::LOADED;
use onionkeep_common::wire::{AwayReason, Reply, Rule};
use onionkeep_common::{OnionAddress, UnixTime};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, yield_now};

/// Services.
pub(super) const SERVICES: usize = 3;
/// Backends: the one with number n belongs to service n modulo [`SERVICES`].
const BACKENDS: usize = SERVICES;
/// Relays of the network.
const RELAYS: usize = 60;
/// So often everybody has a turn without a word to tor or a signer until the second counts as done.
const TURNS: usize = 16;
/// How long a slow signer takes, in **seconds**.
pub(super) const SLOW: u64 = 4;

/// What a service's signer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Signer {
    #[default]
    Good,
    /// It takes the question and never answers.
    Silent,
    /// It answers something else.
    Garbage,
    /// It answers late.
    Slow,
    /// It says that its token is away.
    Away,
    /// It refuses.
    Refuses,
}

/// What HSDirs do with a service's descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Uploads {
    #[default]
    Kept,
    /// They refuse them.
    Refused,
    /// Nobody hears of them again.
    Swallowed,
}

/// What HSDirs say about the backends of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Backends {
    #[default]
    Good,
    /// There is no descriptor of any.
    Missing,
    /// No answer.
    Mute,
    /// They give what they gave before, for ever; those that were not asked before have none.
    Old,
    /// They do not take the connections of probes.
    Deaf,
}

/// How a service fails.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wrong {
    pub(super) signer: Signer,
    pub(super) uploads: Uploads,
    pub(super) backends: Backends,
}

/// What the configuration says about a service beside its address and backends.
pub(super) struct Setup {
    /// Whether it has a signer.
    pub(super) signer: bool,
    /// Further lines.
    pub(super) lines: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self { signer: true, lines: String::new() }
    }
}

/// What plays the rest of the world.
struct Played {
    world: World,
    /// The services' addresses.
    services: Vec<OnionAddress>,
    /// The backends' addresses without `.onion`.
    backends: Vec<String>,
    wrong: Mutex<[Wrong; SERVICES]>,
    /// What tor answers instead of what it should, by the command's beginning.
    instead: Mutex<HashMap<String, String>>,
    /// What HSDirs gave of a backend, by address and HSDir.
    given: Mutex<HashMap<(String, String), Answer>>,
    /// What HSDirs were given: by address and HSDir.
    kept: Mutex<HashMap<(String, String), String>>,
    /// When an HSDir was given something: second, address, HSDir.
    uploads: Mutex<Vec<(u64, String, String)>>,
    /// Words to tor and to signers.
    words: AtomicU64,
}

/// A running publisher and its world.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    played: Arc<Played>,
    pub(super) port: ControlPort,
    reactor: JoinHandle<()>,
    /// Signers and SOCKS port.
    others: Vec<JoinHandle<()>>,
    log: Vec<String>,
    setups: [Setup; SERVICES],
    _clock: Pretended,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.reactor.abort();
        self.others.iter().for_each(JoinHandle::abort);
        LOADED.set(false);
    }
}

/// The address of a service.
pub(super) fn address(service: usize) -> OnionAddress {
    Onion::new(b's', service).address()
}

/// The seconds since the start.
fn passed() -> u64 {
    crate::clock::now().since(UnixTime(BEGIN))
}

impl Played {
    /// How a service fails, by its address without `.onion`.
    fn wrong(&self, onion: &str) -> Wrong {
        let service = self.services.iter().position(|address| address.bare().to_string() == onion);
        service.map_or_else(Wrong::default, |at| self.wrong.lock().unwrap()[at])
    }

    /// How a backend fails, by its address without `.onion`.
    fn backend(&self, onion: &str) -> Backends {
        let Some(backend) = self.backends.iter().position(|address| address == onion) else {
            return Backends::Good;
        };
        self.wrong.lock().unwrap()[backend % SERVICES].backends
    }

    /// What tor answers.
    fn answer(&self, command: &Command) -> Answer {
        self.words.fetch_add(1, Ordering::Relaxed);
        let instead = self.instead.lock().unwrap();
        if let Some((_start, text)) = instead.iter().find(|(start, _)| command.line.starts_with(*start)) {
            return if text.is_empty() { Answer::Close(Vec::new()) } else { Answer::text(text) };
        }
        drop(instead);
        let mut words = command.line.split(' ');
        match (words.next().unwrap(), words.next().unwrap_or_default()) {
            ("HSFETCH", onion) => self.fetch(onion, command),
            ("+HSPOST", _server) => self.upload(command),
            _other => self.world.answer(command),
        }
    }

    fn fetch(&self, onion: &str, command: &Command) -> Answer {
        let hsdir = server(&command.line);
        let failed = |reason: &str| {
            Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} NO_AUTH ${hsdir}~relay x REASON={reason}\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n\n.\n650 OK\n"
            ))
        };
        let (key, mut given) = ((onion.to_owned(), hsdir.to_owned()), self.given.lock().unwrap());
        match self.backend(onion) {
            Backends::Missing => return failed("NOT_FOUND"),
            Backends::Mute => return failed("UNEXPECTED"),
            Backends::Old => return given.get(&key).cloned().unwrap_or_else(|| failed("NOT_FOUND")),
            Backends::Good | Backends::Deaf => {}
        }
        let answer = self.stored(onion, command);
        given.insert(key, answer.clone());
        answer
    }

    /// What an HSDir has of a service or a backend.
    fn stored(&self, onion: &str, command: &Command) -> Answer {
        let hsdir = server(&command.line);
        match self.kept.lock().unwrap().get(&(onion.to_owned(), hsdir.to_owned())) {
            Some(text) => Answer::text(&format!(
                "250 OK\n650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"
            )),
            None => self.world.answer(command),
        }
    }

    fn upload(&self, command: &Command) -> Answer {
        let onion = command.line.rsplit('=').next().unwrap().to_owned();
        let hsdir = server(&command.line).to_owned();
        self.uploads.lock().unwrap().push((passed(), onion.clone(), hsdir.clone()));
        match self.wrong(&onion).uploads {
            Uploads::Kept => {
                let text = command.data.replace("\r\n", "\n");
                let text = text.strip_suffix(".\n").unwrap().to_owned();
                self.kept.lock().unwrap().insert((onion, hsdir), text);
                self.world.answer(command)
            }
            Uploads::Refused => Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} UNKNOWN ${hsdir}~relay REASON=UPLOAD_REJECTED\n"
            )),
            Uploads::Swallowed => Answer::ok(),
        }
    }

    /// One connection to tor's SOCKS port.
    async fn connect(&self, mut stream: UnixStream) -> Option<()> {
        self.words.fetch_add(1, Ordering::Relaxed);
        let mut octets = [0; 200];
        for answer in [&[5, 2][..], &[1, 0]] {
            let _count = stream.read(&mut octets).await.ok()?;
            stream.write_all(answer).await.ok()?;
        }
        let count = stream.read(&mut octets).await.ok()?;
        let onion = std::str::from_utf8(octets.get(5..61)?).ok()?;
        let code = if self.backend(onion) == Backends::Deaf { 4 } else { 0 };
        self.words.fetch_add(u64::try_from(count).ok()?, Ordering::Relaxed);
        stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()
    }

    /// One question to the signer of a service.
    async fn sign(&self, service: usize, mut stream: UnixStream) {
        self.words.fetch_add(1, Ordering::Relaxed);
        let signer = self.wrong.lock().unwrap()[service].signer;
        let refused = Reply::Refused { rule: Rule::RateBudget, retry_after: 60 };
        let away = Reply::Away { reason: AwayReason::TokenAway, retry_after: 5 };
        let said = match signer {
            Signer::Good => {
                let _ended = self.world.sign(stream).await;
                return;
            }
            Signer::Slow => {
                tokio::time::sleep(Duration::from_secs(SLOW)).await;
                self.words.fetch_add(1, Ordering::Relaxed);
                let _ended = self.world.sign(stream).await;
                return;
            }
            Signer::Silent => Vec::new(),
            Signer::Garbage => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Signer::Away => away.to_frame().as_bytes().to_vec(),
            Signer::Refuses => refused.to_frame().as_bytes().to_vec(),
        };
        let _gone = stream.write_all(&said).await;
        let _rest = stream.read_to_end(&mut Vec::new()).await;
    }
}

impl Stage {
    /// Starts everything; `prepare` may put something into the folder before, and says how the services are set up.
    pub(super) fn start(prepare: impl FnOnce(&Path) -> [Setup; SERVICES]) -> Self {
        let clock = pretend(UnixTime(BEGIN));
        LOADED.set(true);
        keep();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let setups = prepare(folder.path());
        let played = Arc::new(Played {
            world: World::new((SERVICES, BACKENDS, RELAYS), crate::clock::now),
            services: (0..SERVICES).map(address).collect(),
            backends: (0..BACKENDS).map(|at| Onion::new(b'b', at).address().bare().to_string()).collect(),
            wrong: Mutex::default(),
            instead: Mutex::default(),
            given: Mutex::default(),
            kept: Mutex::default(),
            uploads: Mutex::default(),
            words: AtomicU64::new(0),
        });
        let signers = (0..SERVICES).map(|service| {
            let listener = UnixListener::bind(folder.path().join(format!("signer{service}"))).unwrap();
            let played = Arc::clone(&played);
            tokio::spawn(async move {
                while let Ok((stream, _peer)) = listener.accept().await {
                    let played = Arc::clone(&played);
                    tokio::spawn(async move { played.sign(service, stream).await });
                }
            })
        });
        let mut others: Vec<_> = signers.collect();
        let (listener, socks) =
            (UnixListener::bind(folder.path().join("socks")).unwrap(), Arc::clone(&played));
        others.push(tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let socks = Arc::clone(&socks);
                tokio::spawn(async move { socks.connect(stream).await });
            }
        }));
        let answering = Arc::clone(&played);
        let port = ControlPort::unix(Auth::SafeCookie, move |command| answering.answer(command));
        let reactor = tokio::spawn(async {});
        let mut stage =
            Self { folder, played, port, reactor, others, log: Vec::new(), setups, _clock: clock };
        stage.write();
        let (path, config) = (stage.config(), Config::load(&stage.config()).unwrap());
        stage.reactor = tokio::spawn(async move {
            let stopped = super::super::serve(&path, config).await;
            assert!(stopped.is_ok(), "{:?}", stopped.err());
        });
        stage
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("p.toml")
    }

    /// Writes the configuration.
    pub(super) fn write(&self) {
        let dir = self.folder.path().display();
        let mut text = format!(
            "state_dir = \"{dir}/state\"\nstatus_socket = \"{dir}/status\"\ncontrol_socket = \"{dir}/control\"\n\
             [metrics]\nlisten = \"unix:{dir}/metrics\"\n[tor]\ncontrol = \"{}\"\nsocks = \"unix:{dir}/socks\"\n",
            self.port.address
        );
        for (service, setup) in self.setups.iter().enumerate() {
            text.push_str(&format!("[[service]]\naddress = \"{}\"\n", address(service)));
            if setup.signer {
                text.push_str(&format!("signer = \"{dir}/signer{service}\"\n"));
            }
            text.push_str(&setup.lines);
            for backend in (0..BACKENDS).filter(|backend| backend % SERVICES == service) {
                let address = Onion::new(b'b', backend).address();
                text.push_str(&format!(
                    "[[service.backend]]\nname = \"b{backend}\"\naddress = \"{address}\"\n"
                ));
            }
        }
        std::fs::write(self.config(), text).unwrap();
    }

    /// Changes the configuration and makes the publisher read it.
    pub(super) async fn reload(&mut self, change: impl FnOnce(&mut [Setup; SERVICES])) -> String {
        change(&mut self.setups);
        self.write();
        self.ask("control", b"{\"command\":\"reload\"}\n").await
    }

    /// Changes how a service fails.
    pub(super) fn fail(&self, service: usize, wrong: Wrong) {
        self.played.wrong.lock().unwrap()[service] = wrong;
    }

    /// From now on tor answers commands with this beginning so, and ends the connection if that is empty; as it should with
    /// `None`.
    pub(super) fn instead(&self, start: &str, answer: Option<&str>) {
        let mut instead = self.played.instead.lock().unwrap();
        instead.remove(start);
        instead.extend(answer.map(|answer| (start.to_owned(), answer.to_owned())));
    }

    /// Lets everybody do what is to be done now.
    async fn settle(&self) {
        loop {
            let before = self.played.words.load(Ordering::Relaxed);
            for _turn in 0..TURNS {
                yield_now().await;
            }
            if self.played.words.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }

    /// So many seconds pass.
    pub(super) async fn pass(&mut self, seconds: u64) {
        for _second in 0..seconds {
            self.settle().await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        self.settle().await;
        assert!(!self.reactor.is_finished(), "the publisher has ended");
        self.log.extend(keep());
    }

    /// What is read at a socket of the publisher after a question.
    pub(super) async fn ask(&mut self, socket: &str, question: impl Into<Vec<u8>>) -> String {
        let (path, question) = (self.folder.path().join(socket), question.into());
        let reading = tokio::spawn(async move {
            let mut stream = UnixStream::connect(path).await.unwrap();
            stream.write_all(&question).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        });
        for _look in 0..100 {
            self.settle().await;
            if reading.is_finished() {
                return reading.await.unwrap();
            }
        }
        panic!("no answer at {socket}")
    }

    /// The lines of the log so far, without their times.
    pub(super) fn log(&self) -> &[String] {
        &self.log
    }

    /// When which HSDir was given a descriptor of a service.
    pub(super) fn uploads(&self, service: usize) -> Vec<(u64, String)> {
        let onion = address(service).bare().to_string();
        let uploads = self.played.uploads.lock().unwrap();
        let mut own: Vec<_> = uploads
            .iter()
            .filter(|(_at, other, _hsdir)| *other == onion)
            .map(|(at, _onion, hsdir)| (*at, hsdir.clone()))
            .collect();
        own.sort();
        own
    }

    /// The alarms that are raised by what the log says, with the service's end; empty for the publisher as a whole.
    pub(super) fn alarms(&self) -> BTreeSet<(String, String)> {
        let mut raised = BTreeSet::new();
        let value = |line: &str, key: &str| {
            let found = line.split_once(&format!(" {key}=")).map_or("", |(_, rest)| rest);
            found.split(' ').next().unwrap().to_owned()
        };
        for line in self.log.iter().filter(|line| line.contains(" alarm name=")) {
            let key = (value(line, "name"), value(line, "onion"), value(line, "subject"));
            match value(line, "state").as_str() {
                "raised" => assert!(raised.insert(key), "raised twice: {line}"),
                _cleared => assert!(raised.remove(&key), "never raised: {line}"),
            }
        }
        raised.into_iter().map(|(name, onion, _subject)| (name, onion)).collect()
    }
}
