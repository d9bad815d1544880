//! Three services on a made-up network, in pretended time: a second passes when all that one before it brought is done.
//!
//! Each service has a backend and a signer of its own, and each of these can fail while the publisher runs.

mod played;

use super::SHORT_TURN;
use super::control_port::{Auth, ControlPort};
use super::onions::{BEGIN, Onion};
use super::world::World;
use crate::clock::tests::{Pretended, pretend};
use crate::config::Config;
use crate::log::tests::keep;
use crate::schedule::dice::tests::LOADED;
use onionkeep_common::UnixTime;
use played::Played;
pub(super) use played::{Backends, SERVICES, SLOW, SOCKS, Signer, Uploads, Wrong, address, passed};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, yield_now};

/// Relays of the network.
const RELAYS: usize = 60;
/// So often everybody has a turn without a word to tor or a signer until the second counts as done.
const TURNS: usize = 16;
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
    /// Further lines about tor.
    pub(super) tor: String,
    _clock: Pretended,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.reactor.abort();
        self.others.iter().for_each(JoinHandle::abort);
        LOADED.set(false);
        SHORT_TURN.set(None);
    }
}

impl Stage {
    /// Starts everything; `prepare` may put something into the folder before, and says how the services are set up.
    pub(super) fn start(prepare: impl FnOnce(&Path) -> [Setup; SERVICES]) -> Self {
        Self::start_later(0, prepare)
    }

    /// The same so many **seconds** after the usual time, which is an hour before noon.
    pub(super) fn start_later(seconds: u64, prepare: impl FnOnce(&Path) -> [Setup; SERVICES]) -> Self {
        Self::start_so((0..SERVICES).collect(), seconds, prepare)
    }

    /// The same with backends that belong to these services.
    pub(super) fn start_so(
        owners: Vec<usize>,
        seconds: u64,
        prepare: impl FnOnce(&Path) -> [Setup; SERVICES],
    ) -> Self {
        let clock = pretend(UnixTime(BEGIN + seconds));
        LOADED.set(true);
        keep();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let setups = prepare(folder.path());
        let played = Arc::new(Played {
            world: World::new((SERVICES, owners.len(), RELAYS), crate::clock::now),
            services: (0..SERVICES).map(address).collect(),
            backends: (0..owners.len()).map(|at| Onion::new(b'b', at).address().bare().to_string()).collect(),
            owners,
            wrong: Mutex::default(),
            instead: Mutex::default(),
            given: Mutex::default(),
            told: Mutex::default(),
            held_back: AtomicU64::new(0),
            kept: Mutex::default(),
            uploads: Mutex::default(),
            probes: Mutex::default(),
            asked: Mutex::default(),
            connections: Mutex::default(),
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
        others.push(tokio::spawn(serve_socks(folder.path().join("socks"), Arc::clone(&played))));
        let answering = Arc::clone(&played);
        let port = ControlPort::unix(Auth::SafeCookie, move |command| answering.answer(command));
        let reactor = tokio::spawn(async {});
        let mut stage = Self {
            folder,
            played,
            port,
            reactor,
            others,
            log: Vec::new(),
            setups,
            tor: String::new(),
            _clock: clock,
        };
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
             [metrics]\nlisten = \"unix:{dir}/metrics\"\n[tor]\ncontrol = \"{}\"\nsocks = \"unix:{dir}/socks\"\n{}",
            self.port.address, self.tor
        );
        for (service, setup) in self.setups.iter().enumerate() {
            text.push_str(&format!("[[service]]\naddress = \"{}\"\n", address(service)));
            if setup.signer {
                text.push_str(&format!("signer = \"{dir}/signer{service}\"\n"));
            }
            text.push_str(&setup.lines);
            let all = self.played.owners.iter().enumerate();
            for (backend, _owner) in all.filter(|(_backend, owner)| **owner == service) {
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

    /// So many HSDirs store each of two replicas, from the next consensus on.
    pub(super) fn spread(&self, spread: u64) {
        self.played.world.spread.store(spread, Ordering::Relaxed);
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

    /// Forgets what HSDirs gave of a backend; how many gave something.
    pub(super) fn forget_given(&self, backend: usize) -> usize {
        let mut given = self.played.given.lock().unwrap();
        let before = given.len();
        given.retain(|(onion, _hsdir), _answer| *onion != self.played.backends[backend]);
        before - given.len()
    }

    /// How many HSDirs gave something of a backend.
    pub(super) fn givers(&self, backend: usize) -> usize {
        let given = self.played.given.lock().unwrap();
        given.keys().filter(|(onion, _hsdir)| *onion == self.played.backends[backend]).count()
    }

    /// How often an HSDir gave what the publisher had been given by another.
    pub(super) fn held_back(&self) -> u64 {
        self.played.held_back.load(Ordering::Relaxed)
    }

    /// By which names probes asked for circuits since the last question.
    pub(super) fn probes(&self) -> Vec<String> {
        let mut probes = std::mem::take(&mut *self.played.probes.lock().unwrap());
        probes.retain(|name| name.contains('.'));
        probes
    }

    /// When tor was asked for a connection to which backend, by its number.
    pub(super) fn asked(&self) -> Vec<(u64, usize)> {
        let number = |onion: &String| self.played.backends.iter().position(|other| other == onion).unwrap();
        self.played.asked.lock().unwrap().iter().map(|(at, onion)| (*at, number(onion))).collect()
    }

    /// The most connections to tor's SOCKS port that there were at the same time.
    pub(super) fn most_connections(&self) -> usize {
        self.played.connections.lock().unwrap().1
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

/// Takes the connections of probes.
async fn serve_socks(path: PathBuf, played: Arc<Played>) {
    let listener = UnixListener::bind(path).unwrap();
    while let Ok((stream, _peer)) = listener.accept().await {
        let socks = Arc::clone(&played);
        tokio::spawn(async move { socks.connect(stream).await });
    }
}
