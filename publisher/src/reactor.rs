//! Runs the publisher: the only loop that waits. It hands what happens to the frontends' schedules and does what they ask.

mod act;
mod answer;
mod frontend;
mod listing;
mod network;
mod period;
mod report;
mod takeover;
mod task;

use crate::clock;
use crate::config::Config;
use crate::consensus::Consensus;
use crate::error::Failure;
use crate::log;
use crate::schedule::{Event, SystemDice, dice::Dice};
use crate::state::StateDir;
use crate::status::{StatusServer, TorStatus};
use crate::tor::{Tor, TorConfig, TorError, TorEvent};
use act::Hands;
use frontend::{Frontend, Rings};
use network::NetworkClock;
use onionkeep_common::UnixTime;
use std::sync::Arc;
use std::time::Duration;
use task::{Done, Ready};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// How many uploads may be under way at the same time.
const UPLOADS: usize = 32;
/// Longest wait between two tries to connect to tor, in **seconds**.
const CONNECT_MOST: u64 = 60;
/// Wait after a tor that is connected was not ready, or gave no answer.
const READY_AGAIN: Duration = Duration::from_secs(5);
/// The loop looks at the clock at least so often, to notice when it jumps.
const LOOK: Duration = Duration::from_secs(20);

/// How the publisher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// By SIGTERM, as a service manager does.
    Asked,
    /// By SIGINT, from the keyboard.
    Interrupted,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] if it cannot start.
pub fn run(config: &Config) -> Result<Stopped, Failure> {
    let tor = config.tor.connection()?;
    let state = StateDir::open(&config.state_dir)?;
    let secret = state.counter_secret()?;
    let system = |source| Failure::System { what: "start", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(async {
        let now = clock::now();
        let status = StatusServer::open(&config.status_socket)?;
        let signals = Signals::new().map_err(system)?;
        let frontend = |(index, service)| Frontend::new(index, service, &secret, now);
        let reactor = Reactor {
            config,
            tor_config: tor,
            state,
            started: now,
            frontends: config.services.iter().enumerate().map(frontend).collect(),
            tasks: JoinSet::new(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            link: None,
            epoch: 0,
            failures: 0,
            tor: TorStatus { state: "connecting".to_owned(), ..TorStatus::default() },
            network: NetworkClock::new(),
        };
        Ok(reactor.run(status, signals).await)
    })
}

/// The signals that end the publisher.
struct Signals {
    /// SIGTERM.
    term: Signal,
    /// SIGINT.
    int: Signal,
}

impl Signals {
    /// Takes them over.
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for one. May be cancelled.
    async fn next(&mut self) -> Stopped {
        tokio::select! {
            _ = self.term.recv() => Stopped::Asked,
            _ = self.int.recv() => Stopped::Interrupted,
        }
    }
}

/// A connection to tor.
struct Connection {
    /// The handle.
    tor: Tor,
    /// What tor tells.
    news: mpsc::Receiver<TorEvent>,
    /// Whether tor is bootstrapped.
    ready: bool,
}

/// Everything that runs.
struct Reactor<'c> {
    /// The configuration.
    config: &'c Config,
    /// How tor is reached.
    tor_config: TorConfig,
    /// What survives a restart.
    state: StateDir,
    /// When the publisher started.
    started: UnixTime,
    /// The frontends.
    frontends: Vec<Frontend>,
    /// What runs beside the loop.
    tasks: JoinSet<Done>,
    /// One permit for each upload at the same time.
    uploads: Arc<Semaphore>,
    /// The connection to tor.
    link: Option<Connection>,
    /// Its number.
    epoch: u64,
    /// Tries in a row to connect that failed.
    failures: u32,
    /// What the status says about tor.
    tor: TorStatus,
    /// When the consensus is read.
    network: NetworkClock,
}

/// What woke the loop.
enum Woken {
    /// A task has ended.
    Task(Result<Done, tokio::task::JoinError>),
    /// tor told something; `None` if the connection ended.
    News(Option<TorEvent>),
    /// Time has passed.
    Time,
    /// Somebody wants the status.
    Status(crate::status::Client),
    /// Stop.
    Stop(Stopped),
}

impl Reactor<'_> {
    /// Runs until a signal.
    async fn run(mut self, status: StatusServer, mut signals: Signals) -> Stopped {
        let backends: usize = self.frontends.iter().map(|frontend| frontend.backends.len()).sum();
        let line = log::info("start").with("version", env!("CARGO_PKG_VERSION"));
        line.with("services", self.frontends.len()).with("backends", backends).write();
        self.connect();
        let mut clients = JoinSet::new();
        let stopped = loop {
            while clients.try_join_next().is_some() {}
            match self.wait(&status, &mut signals).await {
                Woken::Stop(how) => break how,
                Woken::Status(client) => {
                    clients.spawn(client.write(self.document().into_bytes()));
                }
                Woken::Time => {}
                Woken::News(Some(news)) => self.news(news),
                Woken::News(None) => self.lost(),
                Woken::Task(Ok(done)) => self.done(done),
                Woken::Task(Err(error)) => log::error("task").with("error", error).write(),
            }
            self.tick();
        };
        self.stop();
        stopped
    }

    /// Waits for the next thing.
    async fn wait(&mut self, status: &StatusServer, signals: &mut Signals) -> Woken {
        let now = clock::now();
        let frontends = self.frontends.iter().map(|frontend| frontend.machine.wake(now));
        let wake = frontends.chain(self.network.wake()).min().unwrap_or(now);
        let sleep = Duration::from_secs(wake.since(now).max(1)).min(LOOK);
        let news = self.link.as_mut().map(|link| &mut link.news);
        let next_news = async {
            match news {
                Some(news) => news.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            how = signals.next() => Woken::Stop(how),
            news = next_news => Woken::News(news),
            Some(done) = self.tasks.join_next() => Woken::Task(done),
            client = status.next() => Woken::Status(client),
            () = tokio::time::sleep(sleep) => Woken::Time,
        }
    }

    /// Does something with a frontend and what it works with.
    fn with(&mut self, index: usize, act: impl FnOnce(&mut Frontend, &mut Hands<'_>)) {
        let mut hands = Hands {
            now: clock::now(),
            tasks: &mut self.tasks,
            tor: self.link.as_ref().map(|link| &link.tor),
            epoch: self.epoch,
            state: &self.state,
            socks: self.config.tor.socks.as_ref(),
            uploads: &self.uploads,
        };
        if let Some(frontend) = self.frontends.get_mut(index) {
            act(frontend, &mut hands);
        }
    }

    /// Gives an event to every frontend.
    fn feed_all(&mut self, event: &Event) {
        for index in 0..self.frontends.len() {
            self.with(index, |frontend, hands| frontend.feed(event.clone(), hands));
        }
    }

    /// Time has passed.
    fn tick(&mut self) {
        let now = clock::now();
        if let Some(link) = self.link.as_ref().filter(|link| link.ready) {
            if let Some(known) = self.network.due(now) {
                self.tasks.spawn(task::network(link.tor.clone(), self.epoch, known));
            }
            if self.network.keep_awake(now) {
                self.tasks.spawn(task::active(link.tor.clone()));
            }
        }
        self.feed_all(&Event::Tick);
        for index in 0..self.frontends.len() {
            self.with(index, Frontend::turn);
        }
    }

    /// Starts a try to connect, after a wait that grows with failures.
    fn connect(&mut self) {
        let wait = match self.failures {
            0 => 0,
            failures => SystemDice.about(crate::schedule::dice::doubling(1, CONNECT_MOST, failures)),
        };
        self.tasks.spawn(task::connect(self.tor_config.clone(), Duration::from_secs(wait)));
    }

    /// Notes a problem with tor.
    fn tor_problem(&mut self, error: &TorError) {
        log::warn("tor").with("error", error).with("try", error.advice()).write();
        self.tor.problem = Some(error.to_string());
    }

    /// The connection to tor ended.
    fn lost(&mut self) {
        let Some(link) = self.link.take() else { return };
        if let Some(error) = link.tor.ended() {
            self.tor_problem(&error);
        }
        self.failures = self.failures.saturating_add(1);
        "connecting".clone_into(&mut self.tor.state);
        self.network.stop();
        self.feed_all(&Event::TorDown);
        self.connect();
    }

    /// tor told something.
    fn news(&mut self, news: TorEvent) {
        match news {
            TorEvent::NewConsensus | TorEvent::EnoughDirInfo(true) => {
                self.network.news(clock::now(), &mut SystemDice);
            }
            TorEvent::Bootstrap(bootstrap) => {
                log::info("tor-bootstrap")
                    .with("percent", bootstrap.percent)
                    .with("tag", bootstrap.tag)
                    .write();
            }
            TorEvent::EnoughDirInfo(false) => log::warn("tor").with("enough-dir-info", false).write(),
            TorEvent::Circuits(up) => log::info("tor").with("circuits", up).write(),
            TorEvent::Network(up) => log::info("tor").with("network", up).write(),
        }
    }

    /// A task has ended.
    fn done(&mut self, done: Done) {
        match done {
            Done::Connected(Ok((tor, news))) => {
                self.epoch = self.epoch.saturating_add(1);
                "bootstrapping".clone_into(&mut self.tor.state);
                self.tasks.spawn(task::ready(tor.clone(), self.epoch, Duration::ZERO));
                self.link = Some(Connection { tor, news, ready: false });
                log::info("tor").with("connected", &self.tor_config.control).write();
            }
            Done::Connected(Err(error)) => {
                self.tor_problem(&error);
                self.failures = self.failures.saturating_add(1);
                self.connect();
            }
            Done::Ready(epoch, _) | Done::Network(epoch, _) if epoch != self.epoch => {}
            Done::Ready(_epoch, ready) => self.ready(ready),
            Done::Network(_epoch, read) => self.network_read(read),
            Done::Active(Ok(())) => {}
            Done::Active(Err(error)) => log::warn("tor").with("signal-active", error).write(),
            Done::Service { service, epoch, done } => {
                let current = epoch == self.epoch;
                self.with(service, |frontend, hands| frontend.done(done, current, hands));
            }
        }
    }

    /// tor is bootstrapped, or not yet.
    fn ready(&mut self, ready: Result<Ready, TorError>) {
        let Some(link) = &mut self.link else { return };
        match ready {
            Ok(Ready { version, testing }) => {
                link.ready = true;
                self.failures = 0;
                log::info("tor").with("ready", &version).with("testing-network", testing).write();
                "ready".clone_into(&mut self.tor.state);
                (self.tor.version, self.tor.testing, self.tor.problem) = (Some(version), testing, None);
                self.network.start(clock::now());
                self.feed_all(&Event::TorUp);
            }
            Err(error) => {
                // If the connection ended, its news channel tells that too and nothing more is to be done here.
                if link.tor.ended().is_none() {
                    let tor = link.tor.clone();
                    self.tasks.spawn(task::ready(tor, self.epoch, READY_AGAIN));
                }
                self.tor_problem(&error);
            }
        }
    }

    /// The consensus was read, or not.
    fn network_read(&mut self, read: Result<Option<Consensus>, TorError>) {
        let now = clock::now();
        match read {
            Ok(None) => self.network.again(now, false, &mut SystemDice),
            Ok(Some(consensus)) => self.consensus(now, &consensus),
            Err(error) => {
                self.network.again(now, true, &mut SystemDice);
                self.tor_problem(&error);
            }
        }
    }

    /// Gives a consensus to the frontends if it is good for publishing.
    fn consensus(&mut self, now: UnixTime, consensus: &Consensus) {
        let usable = consensus.check_usable(now);
        self.network.read(now, consensus, usable.is_ok(), &mut SystemDice);
        self.tor.consensus_valid_after = Some(consensus.valid_after.0);
        self.tor.hsdirs = consensus.hsdirs.len();
        self.tor.hsdirs_without_microdescriptor = consensus.hsdirs_without_microdesc;
        let line =
            log::info("consensus").with("valid-after", crate::netdoc::date::Iso(consensus.valid_after));
        let line = line.with("relays", consensus.relay_count).with("hsdirs", consensus.hsdirs.len());
        line.with("without-microdescriptor", consensus.hsdirs_without_microdesc).write();
        if let Err(error) = usable {
            log::warn("consensus").with("not-used", &error).write();
            self.tor.problem = Some(error.to_string());
            return;
        }
        self.tor.problem = None;
        let rings = Rings::new(consensus, self.tor.testing);
        for index in 0..self.frontends.len() {
            self.with(index, |frontend, hands| frontend.network(&rings, hands));
        }
    }

    /// Writes what is not written yet, and ends.
    fn stop(self) {
        for frontend in &self.frontends {
            for period in &frontend.periods {
                if let Err(error) = self.state.save(&frontend.config.address, &period.state) {
                    log::error("state").with("error", &error).with("try", error.advice()).write();
                }
            }
        }
        log::info("stop").write();
    }
}
