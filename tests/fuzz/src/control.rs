//! Targets for what a tor says over its control port: replies, events and large answers, through the real connection.
//!
//! The octets are what tor sends, in pieces that end with a NUL: one for each line that it is sent. After the last it closes.
//! Each run is a socket of its own in a runtime of this thread, whose clock jumps when both sides wait.

use super::scratch::Scratch;
use onionkeep_common::{OnionAddress, UnixTime};
use onionkeep_publisher::consensus::Fingerprint;
use onionkeep_publisher::tor::{ControlAddr, Tor, TorConfig};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

/// What a tor without authentication says to `PROTOCOLINFO` and `AUTHENTICATE`.
pub const GREETING: [&[u8]; 2] = [
    b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n",
    b"250 OK\r\n",
];
/// Longer than any deadline of the publisher. The clock stands still while anything can be done, so this costs no time.
const PATIENCE: Duration = Duration::from_secs(600);

/// A listener and the runtime that it lives in.
struct Port {
    /// Runs both sides.
    runtime: Runtime,
    /// The other side.
    listener: UnixListener,
    /// How to find it.
    config: TorConfig,
    /// Where the socket is.
    _folder: Scratch,
}

impl Port {
    /// Opens it.
    fn new() -> Self {
        let folder = Scratch::new();
        let path = folder.path("control");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(&path) }).unwrap();
        let config =
            TorConfig { control: ControlAddr::Unix(path), password: None, allow_plain_cookie: false };
        Self { runtime, listener, config, _folder: folder }
    }

    /// Whoever comes next.
    async fn accept(&self) -> UnixStream {
        self.listener.accept().await.unwrap().0
    }

    /// Runs our side to its end, which must come; the other side is then gone.
    fn talk(&self, ours: impl Future<Output = bool>, theirs: impl Future<Output = ()>) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                accepted = ours => accepted,
                () = async { theirs.await; tokio::time::sleep(PATIENCE).await } => panic!("our side waits for ever"),
            }
        })
    }
}

/// Says a piece for each line heard, closes after the last, and hears the rest.
async fn say<'a>(stream: UnixStream, pieces: impl Iterator<Item = &'a [u8]>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).split(b'\n');
    for piece in pieces {
        // A side that hangs up early is what is expected of bad octets.
        let Ok(Some(_line)) = lines.next_segment().await else { return };
        if write.write_all(piece).await.is_err() {
            return;
        }
    }
    drop(write);
    while let Ok(Some(_line)) = lines.next_segment().await {}
}

thread_local! {
    /// The thread's port.
    static PORT: Port = Port::new();
}

/// A whole connection, from authentication on: a fetch, an upload, short questions, the news.
pub fn session(octets: &[u8]) -> bool {
    let pieces = octets.split(|octet| *octet == 0);
    PORT.with(|port| {
        let theirs = async { say(port.accept().await, pieces).await };
        port.talk(questions(&port.config), theirs)
    })
}

/// Asks everything that the publisher ever asks.
async fn questions(config: &TorConfig) -> bool {
    let Ok((tor, mut news)) = Tor::connect(config).await else { return false };
    let onion: OnionAddress = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap();
    let hsdir = Fingerprint([0xAB; 20]);
    let deadline = Duration::from_secs(60);
    let fetched = tor.fetch(&onion, &[hsdir], deadline).await;
    assert_eq!(fetched.len(), 1);
    let posted = tor.post(&onion, hsdir, "hs-descriptor 3\n", deadline).await;
    if let Ok(bootstrap) = tor.bootstrap().await {
        assert!(bootstrap.percent <= 100);
    }
    let _unused = (tor.version().await.is_ok(), tor.enough_dir_info().await.is_ok());
    let _unused = (tor.consensus_valid_after().await.is_ok(), tor.is_testing_network().await.is_ok());
    let live = tor.has_live_consensus(UnixTime(1_728_055_800)).await;
    let dormant = tor.is_dormant().await;
    drop(tor);
    while news.recv().await.is_some() {}
    let fetched = fetched.iter().all(|(_hsdir, descriptor)| descriptor.is_ok());
    fetched && posted.is_ok() && live.is_ok() && dormant.is_ok()
}

/// The answers with consensus and microdescriptors, on a connection of their own.
pub fn network(octets: &[u8]) -> bool {
    let second = GREETING.into_iter().chain(octets.split(|octet| *octet == 0));
    let first = GREETING.into_iter().chain([&b"250 OK\r\n"[..], b""]);
    PORT.with(|port| {
        let theirs = async {
            let one = port.accept().await;
            let two = async { say(port.accept().await, second).await };
            tokio::join!(say(one, first), two);
        };
        port.talk(large(&port.config), theirs)
    })
}

/// Asks for the network.
async fn large(config: &TorConfig) -> bool {
    let Ok((tor, _news)) = Tor::connect(config).await else { return false };
    let network = tor.network().await;
    network.is_ok_and(|consensus| consensus.hsdirs.len() <= consensus.relay_count)
}
