//! What runs beside the loop, and what it reports when it is done.

use super::rooms::Room;
use crate::certs::{CertSourceError, Given, Source};
use crate::consensus::{Consensus, Fingerprint, Role};
use crate::probe::{Probed, Question, SocksAddr, probe};
use crate::tor::{FetchFailure, PostFailure, Tor, TorConfig, TorError, TorEvent};
use onionkeep_common::wire::CertifyRequest;
use onionkeep_common::{OnionAddress, TimePeriod, UnixTime};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long one HSDir may take to give a descriptor. Circuits are built for it.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);
/// How long the HSDirs may take to say which counters they have seen.
const COUNTER_DEADLINE: Duration = Duration::from_secs(4);
/// How long one HSDir may take to store a descriptor.
const POST_DEADLINE: Duration = Duration::from_secs(60);
/// How long an upload keeps others waiting: one that is not answered by then goes on beside them.
const ROOM_HELD: Duration = Duration::from_secs(10);
/// How long a copy may wait until another upload ends; shorter than the schedule waits for its answer.
const ROOM_DEADLINE: Duration = Duration::from_secs(200);
/// How long a probe may wait for its turn. With its deadline it ends before the schedule gives it up. Whoever gives up loses its place, so it is
/// long: 1,440 backends of one service that all do not answer have their turns in that time.
pub(super) const PROBE_TURN: Duration = Duration::from_secs(1800);
/// How long tor may take to bootstrap until we look again and say so.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// A task's end.
pub(super) enum Done {
    /// A try to connect to tor.
    Connected(Result<(Tor, mpsc::Receiver<TorEvent>), TorError>),
    /// tor is ready, or not yet; with the number of the connection.
    Ready(u64, Result<Ready, TorError>),
    /// The consensus; `None` if it is still the one that was read; with the number of the connection.
    Network(u64, Result<Option<Consensus>, TorError>),
    /// tor was told that it is in use.
    Active(Result<(), TorError>),
    /// Something for one service.
    Service {
        /// Which one.
        service: usize,
        /// The number of the tor connection that it was started under.
        epoch: u64,
        /// What.
        done: ServiceDone,
    },
}

/// What is asked of a tor that is ready.
pub(super) struct Ready {
    /// Its version.
    pub(super) version: String,
    /// Whether it runs in a testing network.
    pub(super) testing: bool,
}

/// The end of a task for one service.
pub(super) enum ServiceDone {
    /// One HSDir's answer about a backend's descriptor.
    Fetched {
        /// Which backend.
        backend: usize,
        /// The number of the ask.
        ask: u64,
        /// The period that was asked for.
        role: Role,
        /// The answer.
        answer: Result<Vec<u8>, FetchFailure>,
    },
    /// One HSDir's answer about our own descriptor, to be compared with what it took.
    Looked {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
        /// The answer.
        answer: Result<Vec<u8>, FetchFailure>,
    },
    /// The HSDirs' answers about our own descriptor.
    Counter {
        /// Its period.
        period: TimePeriod,
        /// The answers.
        answers: Vec<Result<Vec<u8>, FetchFailure>>,
    },
    /// A backend was probed.
    Probed {
        /// Which backend.
        backend: usize,
        /// The number of the way in which it was probed.
        way: u64,
        /// How long it waited for its turn.
        waited: Duration,
        /// What was found; `None` if its turn never came.
        probed: Option<Probed>,
    },
    /// The signer has answered, or a bundle.
    Certified {
        /// The period.
        period: TimePeriod,
        /// Its answer.
        answer: Result<Given, CertSourceError>,
        /// How long the signer took, if it was asked.
        took: Option<Duration>,
    },
    /// An HSDir has answered to an upload, or has not.
    Posted {
        /// The descriptor's period.
        period: TimePeriod,
        /// The HSDir.
        hsdir: Fingerprint,
        /// The number of the upload.
        number: u64,
        /// Its revision counter.
        revision: u64,
        /// The answer.
        answer: Result<(), PostFailure>,
    },
}

/// Connects to tor after a wait.
pub(super) async fn connect(config: TorConfig, wait: Duration) -> Done {
    tokio::time::sleep(wait).await;
    Done::Connected(Tor::connect(&config).await)
}

/// Waits until tor is bootstrapped, and asks what it is; begins after a wait.
pub(super) async fn ready(tor: Tor, epoch: u64, wait: Duration) -> Done {
    tokio::time::sleep(wait).await;
    let ready = async {
        tor.wait_bootstrapped(READY_DEADLINE).await?;
        Ok(Ready { version: tor.version().await?, testing: tor.is_testing_network().await? })
    };
    Done::Ready(epoch, ready.await)
}

/// Reads the consensus, unless it is the one of `known`, over a connection that is made as `config` says.
pub(super) async fn network(tor: Tor, config: TorConfig, epoch: u64, known: Option<UnixTime>) -> Done {
    let network = async {
        if known.is_some() && tor.consensus_valid_after().await? == known {
            return Ok(None);
        }
        tor.network_by(&config).await.map(Some)
    };
    Done::Network(epoch, network.await)
}

/// Tells tor that it is in use.
pub(super) async fn active(tor: Tor) -> Done {
    Done::Active(tor.signal_active().await)
}

/// Asks one HSDir for the descriptor of a backend of this service, as part of the ask with this number. It joins the queue at once.
pub(super) fn fetch(
    tor: &Tor,
    service: usize,
    (backend, ask): (usize, u64),
    onion: OnionAddress,
    role: Role,
    hsdir: Fingerprint,
) -> impl Future<Output = ServiceDone> + Send + use<> {
    let answer = tor.fetch_from(service, onion, hsdir, FETCH_DEADLINE);
    async move { ServiceDone::Fetched { backend, ask, role, answer: answer.await } }
}

/// Asks one HSDir for our own descriptor, to compare it with what it took.
pub(super) async fn look(
    tor: Tor,
    service: usize,
    onion: OnionAddress,
    period: TimePeriod,
    hsdir: Fingerprint,
) -> ServiceDone {
    let answer = tor.fetch_from(service, onion, hsdir, FETCH_DEADLINE).await;
    ServiceDone::Looked { period, hsdir, answer }
}

/// Asks HSDirs for our own descriptor.
pub(super) async fn counter(
    tor: Tor,
    onion: OnionAddress,
    period: TimePeriod,
    hsdirs: Vec<Fingerprint>,
) -> ServiceDone {
    let answers = tor.fetch(&onion, &hsdirs, COUNTER_DEADLINE).await;
    let answers = answers.into_iter().map(|(_hsdir, answer)| answer).collect();
    ServiceDone::Counter { period, answers }
}

/// [`PROBE_TURN`]; less where a test says so.
fn probe_turn() -> Duration {
    #[cfg(test)]
    if let Some(turn) = super::tests::SHORT_TURN.get() {
        return turn;
    }
    PROBE_TURN
}

/// Probes a backend, in the way with this number, when there is room for one more probe; the deadline begins then.
pub(super) async fn probe_backend(
    socks: SocksAddr,
    room: Room,
    (backend, way): (usize, u64),
    question: Question,
    deadline: Duration,
) -> ServiceDone {
    let began = tokio::time::Instant::now();
    let turn = room.turn(probe_turn()).await;
    let waited = began.elapsed();
    let probed = match &turn {
        Some(_held) => Some(probe(&socks, &question, deadline).await),
        None => None,
    };
    ServiceDone::Probed { backend, way, waited, probed }
}

/// Asks the signer, the bundles, or both.
pub(super) async fn certify(
    source: Source,
    request: CertifyRequest,
    period: TimePeriod,
    now: UnixTime,
) -> ServiceDone {
    let began = source.asks_signer().then(Instant::now);
    let answer = source.obtain(&request, now).await;
    ServiceDone::Certified { period, answer, took: began.map(|began| began.elapsed()) }
}

/// One copy of a descriptor for one HSDir.
pub(super) struct Copy {
    /// The frontend.
    pub(super) onion: OnionAddress,
    /// The descriptor's period.
    pub(super) period: TimePeriod,
    /// The HSDir.
    pub(super) hsdir: Fingerprint,
    /// The number of the upload.
    pub(super) number: u64,
    /// Its revision counter.
    pub(super) revision: u64,
    /// The descriptor.
    pub(super) text: String,
}

/// Uploads one copy, when there is room for one more upload.
pub(super) async fn post(tor: Tor, room: Room, copy: Copy) -> ServiceDone {
    let Copy { onion, period, hsdir, number, revision, text } = copy;
    // A tor that swallows uploads must not let copies wait for ever while newer ones are made.
    let answer = match room.turn(ROOM_DEADLINE).await {
        Some(mut held) => {
            let mut posting = Box::pin(tor.post(&onion, hsdir, &text, POST_DEADLINE));
            if let Ok(answer) = tokio::time::timeout(ROOM_HELD, &mut posting).await {
                answer
            } else {
                held.lend();
                posting.await
            }
        }
        None => Err(PostFailure::Timeout),
    };
    ServiceDone::Posted { period, hsdir, number, revision, answer }
}
