//! Tells the service manager how the signer is (`sd_notify`); the only place that knows its socket.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager; silent without one.
pub(super) struct Notify {
    /// Our socket and the manager's address.
    manager: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// Takes the manager's address from the environment.
    ///
    /// # Errors
    /// What the system says if there is an address that cannot be used.
    pub(super) fn from_environment() -> io::Result<Self> {
        Self::to(std::env::var_os("NOTIFY_SOCKET").as_deref())
    }

    /// Takes an address: a path, or an abstract name after `@`.
    fn to(address: Option<&OsStr>) -> io::Result<Self> {
        let Some(address) = address else { return Ok(Self { manager: None }) };
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { manager: Some((socket, address)) })
    }

    /// Says something. A manager that does not listen must not stop the signer.
    pub(super) fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.manager {
            let _nobody_listens = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// How often the manager wants to hear that this process is alive.
pub(super) fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|_usec| ours).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_abstract_name_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("onionkeep-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            Notify::to(Some(&address)).unwrap().say("READY=1");
            let mut heard = [0; 32];
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
    }

    #[test]
    fn nobody_and_a_deaf_manager_are_no_error() {
        Notify::to(None).unwrap().say("READY=1");
        Notify::to(Some(OsStr::new("/nonexistent/notify"))).unwrap().say("READY=1");
        assert!(Notify::to(Some(OsStr::new(&"x".repeat(200)))).is_err());
    }
}
