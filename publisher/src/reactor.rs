//! Runs the publisher: the only loop that waits. It hands what happens to the frontends' schedules and does what they ask.

mod act;
mod alarms;
mod answer;
mod certs;
mod change;
mod frontend;
mod link;
mod listing;
mod look;
mod member;
mod network;
mod other;
mod outage;
mod period;
mod probes;
mod reload;
mod report;
mod rooms;
mod rota;
mod said;
mod signals;
mod skew;
mod takeover;
mod task;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;

use crate::alarm;
use crate::clock;
use crate::config::Config;
use crate::consensus::Consensus;
use crate::control::{Caller, ControlServer, Request};
use crate::error::Failure;
use crate::log;
use crate::metrics::{MetricsServer, Scraper, Totals};
use crate::notify::Notify;
use crate::schedule::Event;
use crate::state::StateDir;
use crate::status::{StatusServer, TorStatus};
use crate::tor::{Tor, TorConfig, TorEvent};
use act::Hands;
use frontend::Frontend;
use network::NetworkClock;
use onionkeep_common::UnixTime;
use rooms::Rooms;
use signals::Signals;
use skew::Skew;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use task::Done;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

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
pub fn run(path: &Path, config: Config) -> Result<Stopped, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(serve(path, config))
}

/// The steady clock.
fn steady() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A failure of the system at the start.
fn system(source: std::io::Error) -> Failure {
    Failure::System { what: "start", source }
}

/// [`run`] in the runtime that is there.
///
/// # Errors
/// [`Failure`] if it cannot start.
pub async fn serve(path: &Path, config: Config) -> Result<Stopped, Failure> {
    let tor = config.tor.connection()?;
    let state = StateDir::open(&config.state_dir)?;
    let secret = state.counter_secret()?;
    let now = clock::now();
    // Whoever finds a socket may send a signal: none ends us unheard from here on.
    let signals = Signals::new().map_err(system)?;
    let status = StatusServer::open(&config.status_socket)?;
    let metrics = config.metrics.as_ref().map(|metrics| MetricsServer::open(&metrics.listen)).transpose()?;
    let control = config.control_socket.as_deref().map(ControlServer::open).transpose()?;
    let mut reactor = Reactor {
        path: path.to_path_buf(),
        tor_config: tor,
        state,
        started: now,
        frontends: BTreeMap::new(),
        next_frontend: 0,
        secret,
        consensus: None,
        tasks: JoinSet::new(),
        rooms: Rooms::of_all(),
        link: None,
        epoch: 0,
        failures: 0,
        tor: TorStatus { state: "connecting".to_owned(), ..TorStatus::default() },
        network: NetworkClock::new(),
        notify: Notify::from_environment().map_err(system)?,
        skew: Skew::default(),
        alarms: alarm::Watch::default(),
        alarms_looked: UnixTime(0),
        ticked: UnixTime(0),
        reload_refused: None,
        totals: Totals::default(),
        config,
    };
    for service in reactor.config.services.clone() {
        reactor.begin(&service);
    }
    Ok(reactor.run(Doors { status, control, metrics, signals }).await)
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
struct Reactor {
    /// The configuration.
    config: Config,
    /// Its file.
    path: PathBuf,
    /// How tor is reached.
    tor_config: TorConfig,
    /// What survives a restart.
    state: StateDir,
    /// When the publisher started.
    started: UnixTime,
    /// The frontends by their numbers, which are never given to another.
    frontends: BTreeMap<usize, Frontend>,
    /// The number of the next frontend that is added.
    next_frontend: usize,
    /// The secret of the counters.
    secret: Zeroizing<[u8; 32]>,
    /// The last consensus that was good for publishing.
    consensus: Option<Consensus>,
    /// What runs beside the loop.
    tasks: JoinSet<Done>,
    /// How much of it at the same time.
    rooms: Rooms,
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
    /// To the service manager.
    notify: Notify,
    /// What is known of our clock.
    skew: Skew,
    /// The alarms.
    alarms: alarm::Watch,
    /// When they were looked at.
    alarms_looked: UnixTime,
    /// The second in which the frontends were looked at; once is enough, but for a change that somebody asks for.
    ticked: UnixTime,
    /// Why the last reload changed nothing, until one does.
    reload_refused: Option<String>,
    /// Counts for the metrics.
    totals: Totals,
}

/// Where the world comes in, but for tor.
struct Doors {
    /// The status socket.
    status: StatusServer,
    /// The control socket.
    control: Option<ControlServer>,
    /// Where metrics are given out.
    metrics: Option<MetricsServer>,
    /// The signals.
    signals: Signals,
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
    /// Somebody wants something changed.
    Control(Request, Caller),
    /// Somebody wants the metrics.
    Scrape(Scraper),
    /// Read the configuration again.
    Reload,
    /// Stop.
    Stop(Stopped),
}

impl Reactor {
    /// Runs until a signal.
    async fn run(mut self, mut doors: Doors) -> Stopped {
        let backends: usize = self.frontends.values().map(|frontend| frontend.members.len()).sum();
        let line = log::info("start").with("version", env!("CARGO_PKG_VERSION"));
        line.with("services", self.frontends.len()).with("backends", backends).write();
        self.connect();
        let mut clients = JoinSet::new();
        let stopped = loop {
            while clients.try_join_next().is_some() {}
            match self.wait(&mut doors).await {
                Woken::Stop(how) => break how,
                Woken::Status(client) => {
                    clients.spawn(client.write(self.document().into_bytes()));
                }
                Woken::Control(request, caller) => {
                    let answer = self.answer(&request);
                    self.ticked = UnixTime(0);
                    clients.spawn(caller.answer(answer));
                }
                Woken::Scrape(scraper) => {
                    clients.spawn(scraper.answer(self.metrics()));
                }
                Woken::Reload => {
                    drop(self.answer(&Request::Reload {}));
                    self.ticked = UnixTime(0);
                }
                Woken::Time => {}
                Woken::News(Some(news)) => self.news(news),
                Woken::News(None) => self.lost(),
                Woken::Task(Ok(done)) => self.done(done),
                Woken::Task(Err(error)) => log::error("task").with("error", error).write(),
            }
            self.tick();
            self.notify.alive(steady());
        };
        self.stop();
        stopped
    }

    /// Waits for the next thing.
    async fn wait(&mut self, doors: &mut Doors) -> Woken {
        let now = clock::now();
        let frontends = self.frontends.values().map(|frontend| frontend.wake);
        let wake = frontends.chain(self.network.wake()).min().unwrap_or(now);
        let wait = wake.since(now).min(self.until_look(now)).max(1);
        let sleep = Duration::from_secs(wait).min(self.notify.sleep(LOOK));
        let news = self.link.as_mut().map(|link| &mut link.news);
        let next_news = async {
            match news {
                Some(news) => news.recv().await,
                None => std::future::pending().await,
            }
        };
        let control = doors.control.as_mut();
        let next_request = async {
            match control {
                Some(control) => control.next().await,
                None => std::future::pending().await,
            }
        };
        let metrics = doors.metrics.as_mut();
        let next_scrape = async {
            match metrics {
                Some(metrics) => metrics.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            woken = doors.signals.next() => woken,
            news = next_news => Woken::News(news),
            Some(done) = self.tasks.join_next() => Woken::Task(done),
            (request, caller) = next_request => Woken::Control(request, caller),
            client = doors.status.next() => Woken::Status(client),
            scraper = next_scrape => Woken::Scrape(scraper),
            () = tokio::time::sleep(sleep) => Woken::Time,
        }
    }

    /// Does something with a frontend and what it works with.
    fn with(&mut self, service: usize, act: impl FnOnce(&mut Frontend, &mut Hands<'_>)) {
        let mut hands = Hands {
            now: clock::now(),
            tasks: &mut self.tasks,
            tor: self.link.as_ref().map(|link| &link.tor),
            epoch: self.epoch,
            state: &self.state,
            socks: self.config.tor.socks.as_ref(),
            rooms: &self.rooms,
        };
        if let Some(frontend) = self.frontends.get_mut(&service) {
            act(frontend, &mut hands);
        }
    }

    /// Gives an event to every frontend.
    fn feed_all(&mut self, event: &Event) {
        for service in self.frontends.keys().copied().collect::<Vec<_>>() {
            self.with(service, |frontend, hands| frontend.feed(event.clone(), hands));
        }
    }

    /// Time has passed.
    fn tick(&mut self) {
        let now = clock::now();
        if let Some(by) = self.skew.jumped(now, steady()) {
            log::warn("clock-jumped").with("by", by).write();
        }
        if let Some(link) = self.link.as_ref().filter(|link| link.ready) {
            if let Some(known) = self.network.due(now) {
                let config = self.tor_config.clone();
                self.tasks.spawn(task::network(link.tor.clone(), config, self.epoch, known));
            }
            if self.network.keep_awake(now) {
                self.tasks.spawn(task::active(link.tor.clone()));
            }
        }
        // At most once a second for each, and only those that have something to do: every event of one frontend would cost as
        // much as there are frontends and backends otherwise.
        if self.ticked != now {
            self.ticked = now;
            let due = self.frontends.iter().filter(|(_at, frontend)| frontend.is_due(now));
            for service in due.map(|(at, _frontend)| *at).collect::<Vec<_>>() {
                self.with(service, Frontend::tick);
            }
        }
        self.look_at_alarms();
    }

    /// A task has ended.
    fn done(&mut self, done: Done) {
        match done {
            Done::Connected(Ok((tor, news))) => {
                self.epoch = self.epoch.saturating_add(1);
                self.totals.connections = self.totals.connections.saturating_add(1);
                "bootstrapping".clone_into(&mut self.tor.state);
                self.tasks.spawn(task::ready(tor.clone(), self.epoch, Duration::ZERO));
                self.link = Some(Connection { tor, news, ready: false });
                log::info("tor").with("connected", &self.tor_config.control).write();
                // The status socket is there since before the loop.
                self.notify.ready();
            }
            Done::Connected(Err(error)) => {
                self.tor_problem(&error);
                self.failures = self.failures.saturating_add(1);
                self.connect();
            }
            Done::Ready(epoch, _) | Done::Network(epoch, _) if epoch != self.epoch => {}
            // The connection has ended meanwhile; the next one reads anew.
            Done::Network(..) if self.link.is_none() => {}
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

    /// Writes what is not written yet, and ends.
    fn stop(self) {
        self.notify.stopping();
        self.frontends.values().for_each(|frontend| frontend.save(&self.state));
        log::info("stop").write();
    }
}
