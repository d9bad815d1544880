//! The status socket: writes one document to each client and closes; reads nothing.

use crate::socket::{Socket, SocketError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many clients are served at the same time; more wait.
const CLIENTS: usize = 8;
/// How long a client may take to read the document.
const DEADLINE: Duration = Duration::from_secs(5);
/// Owner and group may ask.
const MODE: u32 = 0o660;

/// The listening socket; removed when dropped.
pub struct StatusServer {
    /// The socket.
    socket: Socket,
    /// One permit for each client.
    clients: Arc<Semaphore>,
}

/// A client that waits for the document.
pub struct Client {
    /// The connection.
    stream: UnixStream,
    /// Its place.
    _permit: OwnedSemaphorePermit,
}

impl StatusServer {
    /// Listens at `path`.
    ///
    /// # Errors
    /// [`SocketError`] if somebody listens there, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, SocketError> {
        let socket = Socket::open("status", path, MODE)?;
        Ok(Self { socket, clients: Arc::new(Semaphore::new(CLIENTS)) })
    }

    /// Waits for a client. May be cancelled.
    pub async fn next(&self) -> Client {
        let Ok(permit) = Arc::clone(&self.clients).acquire_owned().await else {
            std::future::pending().await
        };
        Client { stream: self.socket.accept().await, _permit: permit }
    }
}

impl Client {
    /// Writes the document and closes. A client that reads too slowly loses the rest.
    pub async fn write(mut self, document: Vec<u8>) {
        let written = async {
            self.stream.write_all(&document).await?;
            self.stream.shutdown().await
        };
        // A client that went away needs no answer.
        drop(tokio::time::timeout(DEADLINE, written).await);
    }
}
