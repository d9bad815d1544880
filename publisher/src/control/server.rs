//! The control socket: reads one line from each client that is this user or root, and answers it once.

use super::{Answer, Objection, REQUEST_MAX, Request};
use crate::log;
use crate::socket::{Socket, SocketError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// How many clients are heard at the same time; more wait.
const CLIENTS: usize = 4;
/// How long a client may take to say what it wants, or to read the answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// Only the owner may connect.
const MODE: u32 = 0o600;

/// The listening socket; removed when dropped.
pub struct ControlServer {
    /// Requests that came.
    requests: mpsc::Receiver<(Request, Caller)>,
    /// The task that accepts clients.
    task: JoinHandle<()>,
}

/// A client that waits for its answer.
pub struct Caller {
    /// The connection.
    stream: UnixStream,
}

impl ControlServer {
    /// Listens at `path`.
    ///
    /// # Errors
    /// [`SocketError`] if somebody listens there, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, SocketError> {
        let socket = Socket::open("control", path, MODE)?;
        let (sender, requests) = mpsc::channel(CLIENTS);
        let task = tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(CLIENTS));
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let (stream, sender) = (socket.accept().await, sender.clone());
                tokio::spawn(async move {
                    // A client that says nothing in time is gone.
                    drop(tokio::time::timeout(DEADLINE, hear(stream, sender)).await);
                    drop(place);
                });
            }
        });
        Ok(Self { requests, task })
    }

    /// Waits for a request. May be cancelled.
    pub async fn next(&mut self) -> (Request, Caller) {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Caller {
    /// Writes the answer and closes.
    pub async fn answer(mut self, answer: Answer) {
        let mut line = serde_json::to_vec(&answer).unwrap_or_default();
        line.push(b'\n');
        let written = async {
            self.stream.write_all(&line).await?;
            self.stream.shutdown().await
        };
        // A client that went away needs no answer.
        drop(tokio::time::timeout(DEADLINE, written).await);
    }
}

/// Reads a client's request and passes it on; answers at once what is none.
async fn hear(mut stream: UnixStream, requests: mpsc::Sender<(Request, Caller)>) {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred().map(|peer| peer.uid()) {
        Ok(uid) if uid == own || uid == 0 => {}
        Ok(uid) => return log::warn("control").with("refused-uid", uid).write(),
        Err(error) => return log::warn("control").with("no-uid", error).write(),
    }
    let mut line = Vec::new();
    let read = BufReader::new((&mut stream).take(REQUEST_MAX)).read_until(b'\n', &mut line).await;
    let request = match read {
        Ok(_octets) if !line.ends_with(b"\n") => Err(format!("no line of at most {REQUEST_MAX} octets")),
        Ok(_octets) => serde_json::from_slice(&line).map_err(|error| error.to_string()),
        Err(_gone) => return,
    };
    let caller = Caller { stream };
    match request {
        // If nobody takes requests any more, the publisher ends.
        Ok(request) => drop(requests.send((request, caller)).await),
        Err(why) => {
            let why = format!("the request is not understood: {why}");
            let hint = "use `onionkeep-publisher backend` of the version that runs";
            caller.answer(Answer::Not(Objection::wrong(why, hint))).await;
        }
    }
}
