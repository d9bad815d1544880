//! Tells the service manager how the publisher is (`sd_notify`); the only place that knows its socket.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The way to the service manager; silent without one.
#[derive(Debug)]
pub struct Notify {
    /// Our socket and the manager's address.
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How often the manager is told that the publisher is alive: three times as often as it wants to hear.
    every: Option<Duration>,
    /// When it was told last.
    told: Option<Instant>,
    /// Whether it knows that the publisher is ready.
    ready: bool,
}

impl Notify {
    /// Takes the manager's address and wishes from the environment.
    ///
    /// # Errors
    /// What the system says if there is an address that cannot be used.
    pub fn from_environment() -> io::Result<Self> {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let limit = number("WATCHDOG_USEC").filter(|_usec| ours).map(Duration::from_micros);
        Self::to(std::env::var_os("NOTIFY_SOCKET").as_deref(), limit)
    }

    /// Takes an address, a path or an abstract name after `@`, and the time after which silence means death.
    fn to(address: Option<&OsStr>, limit: Option<Duration>) -> io::Result<Self> {
        let every = limit.map(|limit| limit / 3);
        let silent = Self { manager: None, every: None, told: None, ready: false };
        let Some(address) = address else { return Ok(silent) };
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { manager: Some((socket, address)), every, ..silent })
    }

    /// The publisher does what it is there for. Only the first time is told.
    pub fn ready(&mut self) {
        if !self.ready {
            self.ready = true;
            self.say("READY=1");
        }
    }

    /// The loop goes round; told only as often as the manager needs it.
    pub fn alive(&mut self, now: Instant) {
        let Some(every) = self.every else { return };
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= every) {
            self.told = Some(now);
            self.say("WATCHDOG=1");
        }
    }

    /// How long the loop may sleep without being taken for dead, at most `longest`.
    #[must_use]
    pub fn sleep(&self, longest: Duration) -> Duration {
        self.every.map_or(longest, |every| every.min(longest))
    }

    /// The publisher ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says something. A manager that does not listen must not stop the publisher.
    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.manager {
            let _nobody_listens = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has been said until now.
    fn said(manager: &UnixDatagram) -> Vec<String> {
        manager.set_nonblocking(true).unwrap();
        let mut octets = [0; 64];
        let next = || manager.recv(&mut octets).ok().map(|length| octets[..length].to_vec());
        std::iter::from_fn(next).map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("onionkeep-publisher-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (manager, address) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            let mut notify = Notify::to(Some(&address), None).unwrap();
            assert_eq!(said(&manager), Vec::<String>::new());
            notify.ready();
            notify.ready();
            notify.alive(Instant::now());
            notify.stopping();
            assert_eq!(said(&manager), ["READY=1", "STOPPING=1"]);
        }
    }

    #[test]
    fn life_is_told_three_times_as_often_as_the_manager_wants() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let limit = Duration::from_secs(30);
        let mut notify = Notify::to(Some(path.as_os_str()), Some(limit)).unwrap();
        let start = Instant::now();
        (0..=30).for_each(|second| notify.alive(start + Duration::from_secs(second)));
        assert_eq!(said(&manager), ["WATCHDOG=1"; 4]);
        assert_eq!(notify.sleep(Duration::from_secs(20)), Duration::from_secs(10));
        assert_eq!(notify.sleep(Duration::from_secs(5)), Duration::from_secs(5));
    }

    #[test]
    fn nobody_and_a_deaf_manager_are_no_error() {
        let mut nobody = Notify::to(None, Some(Duration::from_secs(3))).unwrap();
        nobody.ready();
        assert_eq!(nobody.sleep(Duration::from_secs(20)), Duration::from_secs(20));
        Notify::to(Some(OsStr::new("/nonexistent/notify")), None).unwrap().ready();
        assert!(Notify::to(Some(OsStr::new(&"x".repeat(200))), None).is_err());
    }
}
