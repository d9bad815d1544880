//! Sockets that we listen at: made, guarded, removed. The only place where we listen.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Wait after a client could not be accepted: no reason to stop, none to spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at the {what} socket {path}: {source}")]
pub struct SocketError {
    /// Which socket.
    what: &'static str,
    /// Where.
    path: PathBuf,
    /// What the system says.
    source: io::Error,
}

/// A listening socket; removed when dropped.
pub struct Socket {
    /// Where.
    path: PathBuf,
    /// The socket.
    listener: UnixListener,
}

impl Socket {
    /// Listens at `path`. A socket that nobody listens at any more is replaced, anything else in its place is not.
    ///
    /// # Errors
    /// [`SocketError`] if somebody listens there, or the system refuses.
    pub fn open(what: &'static str, path: &Path, mode: u32) -> Result<Self, SocketError> {
        let failed = |source| SocketError { what, path: path.to_path_buf(), source };
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
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        Ok(Self { path: path.to_path_buf(), listener })
    }

    /// Waits for a client. May be cancelled.
    pub async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _address)) => return stream,
                // Out of descriptors, or the client is gone already.
                Err(_error) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Left over, it would be replaced at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// A listening TCP port of this machine.
pub struct TcpSocket {
    /// The socket.
    listener: TcpListener,
}

impl TcpSocket {
    /// Listens at `address`, which is a loopback address.
    ///
    /// # Errors
    /// [`SocketError`] if somebody listens there, the system refuses, or others than this machine could reach it.
    pub fn open(what: &'static str, address: SocketAddr) -> Result<Self, SocketError> {
        let failed = |source| SocketError { what, path: PathBuf::from(address.to_string()), source };
        if !address.ip().is_loopback() {
            return Err(failed(io::Error::other("not an address of this machine alone")));
        }
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener: TcpListener::from_std(listener).map_err(failed)? })
    }

    /// Waits for a client. May be cancelled.
    pub async fn accept(&self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _address)) => return stream,
                // Out of descriptors, or the client is gone already.
                Err(_error) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
