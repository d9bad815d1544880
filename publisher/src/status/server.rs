//! The status socket: writes one document to each client and closes; reads nothing. The only place where we listen.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many clients are served at the same time; more wait.
const CLIENTS: usize = 8;
/// How long a client may take to read the document.
const DEADLINE: Duration = Duration::from_secs(5);
/// Owner and group may ask.
const MODE: u32 = 0o660;

/// Why the status socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at the status socket {path}: {source}")]
pub struct StatusServerError {
    /// The socket.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

/// The listening socket; removed when dropped.
pub struct StatusServer {
    /// Where.
    path: PathBuf,
    /// The socket.
    listener: UnixListener,
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
    /// Listens at `path`. A socket that nobody listens at any more is replaced, anything else in its place is not.
    ///
    /// # Errors
    /// [`StatusServerError`] if somebody listens there, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, StatusServerError> {
        let failed = |source| StatusServerError { path: path.to_path_buf(), source };
        if path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(failed(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another program listens there",
                )));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), listener, clients: Arc::new(Semaphore::new(CLIENTS)) })
    }

    /// Waits for a client. May be cancelled.
    pub async fn next(&self) -> Client {
        loop {
            let Ok(permit) = Arc::clone(&self.clients).acquire_owned().await else {
                std::future::pending().await
            };
            match self.listener.accept().await {
                Ok((stream, _address)) => return Client { stream, _permit: permit },
                // Out of descriptors, or the client is gone already: no reason to stop, none to spin.
                Err(_error) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        // Left over, it would be replaced at the next start.
        drop(std::fs::remove_file(&self.path));
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
