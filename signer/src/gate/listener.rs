//! The listening socket: made, guarded, accepted from. The only place that looks at who connects.

use super::places::Places;
use super::{Gate, connection};
use crate::error::{Explain, Kind};
use crate::log::{self, Level, by_peer};
use onionkeep_common::wire::{AwayReason, Reply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Stack of a connection's thread in octets.
const STACK: usize = 192 * 1024;

/// Why there is no listening socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another process answers on it.
    #[error("another process answers on the socket {}", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket is in the way.
    #[error("{} is there and is not a socket", .0.display())]
    InTheWay(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Explain for ListenError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Taken(_) => "stop the other signer first, or configure another socket",
            Self::InTheWay(_) => "configure another path for the socket",
            Self::Socket { .. } => {
                "the directory of the socket must exist and belong to the signer (RuntimeDirectory= in the unit)"
            }
        };
        hint.to_owned()
    }
}

/// A listening socket. Its file stays behind: the next start replaces a socket that nobody answers on.
pub struct Listener {
    /// The socket.
    socket: UnixListener,
    /// The connections that are served.
    places: Arc<Places>,
}

impl Listener {
    /// Listens on `path` with these permission bits and group. A socket file that nobody answers on is replaced.
    ///
    /// The socket is made under another name and renamed once it is guarded, so nobody connects before.
    ///
    /// # Errors
    /// [`ListenError`] if another process answers there, or the system refuses.
    pub fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<Self, ListenError> {
        clear_the_way(path)?;
        let temporary = path.with_extension("new");
        let cannot = |source| ListenError::Socket { path: path.to_owned(), source };
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            Ok(()) | Err(_) => {}
        }
        let socket = UnixListener::bind(&temporary).map_err(cannot)?;
        std::fs::set_permissions(&temporary, Permissions::from_mode(0o600)).map_err(cannot)?;
        if group.is_some() {
            std::os::unix::fs::chown(&temporary, None, group).map_err(cannot)?;
        }
        std::fs::set_permissions(&temporary, Permissions::from_mode(mode)).map_err(cannot)?;
        socket.set_nonblocking(true).map_err(cannot)?;
        std::fs::rename(&temporary, path).map_err(cannot)?;
        Ok(Self { socket, places: Arc::default() })
    }

    /// Serves until `stop` can be read. Connections that are open then end with the process.
    ///
    /// # Errors
    /// What the system says if it cannot be waited for peers.
    pub fn serve(&mut self, gate: &Arc<Gate>, stop: &impl AsFd) -> io::Result<()> {
        let tick = Timespec { tv_sec: 10, tv_nsec: 0 };
        loop {
            log::settle();
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut ready, Some(&tick)) {
                Ok(_count) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [peer, stop_asked] = ready.map(|fd| !fd.revents().is_empty());
            if stop_asked {
                return Ok(());
            }
            if peer {
                self.accept(gate);
            }
        }
    }

    /// Takes one peer, if one is there.
    fn accept(&mut self, gate: &Arc<Gate>) {
        match self.socket.accept() {
            Ok((stream, _unnamed)) => self.admit(gate, stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                by_peer(None, Level::Error, "accept-failed", &[("why", &error)]);
                // Out of descriptors, most likely: let some connections end.
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Looks at the peer's uid before anything is read, and gives a known one its thread.
    fn admit(&mut self, gate: &Arc<Gate>, stream: UnixStream) {
        let uid = socket_peercred(&stream).ok().map(|peer| peer.uid.as_raw());
        let Some(uid) = uid.filter(|uid| gate.knows(*uid)) else {
            let shown = uid.map_or("unknown".to_owned(), |uid| uid.to_string());
            return by_peer(None, Level::Warn, "stranger-closed", &[("uid", &shown)]);
        };
        let Some(place) = Places::take(&self.places, uid) else {
            busy(&stream, uid, "too many connections");
            return;
        };
        let again = stream.try_clone();
        let gate = Arc::clone(gate);
        let builder = std::thread::Builder::new().name("peer".to_owned()).stack_size(STACK);
        let started = builder.spawn(move || {
            let _held = place;
            stream.set_nonblocking(false).map(|()| connection::serve(&gate, uid, &stream))
        });
        if let (Err(error), Ok(stream)) = (started, again) {
            busy(&stream, uid, &error.to_string());
        }
    }
}

/// Tells a peer to come back later.
fn busy(stream: &UnixStream, uid: u32, why: &str) {
    by_peer(Some(uid), Level::Warn, "busy", &[("uid", &uid), ("why", &why)]);
    // Whether it fetches the reply or not, it is closed.
    let _end = connection::reply(stream, &Reply::Away { reason: AwayReason::Busy, retry_after: 1 });
}

/// Makes sure that nobody answers on `path`, and that nothing but a socket is there.
fn clear_the_way(path: &Path) -> Result<(), ListenError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ListenError::Socket { path: path.to_owned(), source }),
        Ok(data) if !data.file_type().is_socket() => return Err(ListenError::InTheWay(path.to_owned())),
        Ok(_socket) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ListenError::Socket { path: path.to_owned(), source }),
        Ok(_answers) => Err(ListenError::Taken(path.to_owned())),
    }
}

#[cfg(test)]
mod tests;
