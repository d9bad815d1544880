//! What the service manager is told, over a real notification socket: ready only when clients are served, alive only while
//! gate and vault are.

use crate::kit::ran::output;
use crate::kit::serving::wait_gone;
use crate::kit::{Kit, PIN, in_child};
use onionkeep_common::wire::Reply;
use rustix::process::Signal;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::{Duration, Instant};

/// The manager's end.
struct Manager {
    /// Its socket.
    socket: UnixDatagram,
    /// What `NOTIFY_SOCKET` says.
    address: String,
}

impl Manager {
    /// At a path.
    fn at_path(kit: &Kit) -> Self {
        let path = kit.home.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { socket, address: path.to_str().unwrap().to_owned() }
    }

    /// At an abstract name.
    fn by_name() -> Self {
        let name = format!("onionkeep-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self { socket, address: format!("@{name}") }
    }

    /// `serve`, told of this manager, which wants to hear of it each 3 s: a self test each second.
    fn serve(&self, kit: &Kit) -> Command {
        let mut command = kit.command(&["serve"]);
        command.env("NOTIFY_SOCKET", &self.address).env("WATCHDOG_USEC", "3000000");
        command
    }

    /// The next message, if one comes within `limit`.
    fn hear(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1)))).unwrap();
        let mut octets = [0; 256];
        let length = self.socket.recv(&mut octets).ok()?;
        Some(String::from_utf8(octets.get(..length).unwrap().to_vec()).unwrap())
    }

    /// Waits for a message that starts so.
    #[track_caller]
    fn wait_for(&self, start: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.hear(Duration::from_secs(1)).is_some_and(|text| text.starts_with(start)) {
            assert!(Instant::now() < deadline, "{start} never came");
        }
    }

    /// Everything that comes before `end`.
    fn all_until(&self, end: Instant) -> Vec<String> {
        let mut all = Vec::new();
        while let left = end.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            // What is heard too late may be of later.
            all.extend(self.hear(left).filter(|_text| Instant::now() < end));
        }
        all
    }
}

/// A life with a manager.
fn told(kit: &Kit, manager: &Manager) {
    let (_name, onion) = kit.init_with_key();
    kit.write_pin("00000");
    let ended = output(manager.serve(kit));
    assert_eq!(ended.status.code(), Some(6), "{}", String::from_utf8_lossy(&ended.stderr));
    let said = manager.all_until(Instant::now() + Duration::from_millis(200));
    assert!(said.iter().all(|text| text == "STOPPING=1"), "nobody was served: {said:?}");
    kit.write_pin(PIN);
    let serving = kit.serve_with(manager.serve(kit));
    manager.wait_for("READY=1");
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)), "{}", kit.log());
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");
    let vault = serving.strike("vault", Signal::STOP);
    let struck = Instant::now();
    // What a self test before it has said, all that is there by now.
    let soon = Instant::now() + Duration::from_millis(50);
    let _before = manager.all_until(soon.max(struck + Duration::from_secs(1)));
    // The gate gives it up after 4.5 s.
    let meanwhile = manager.all_until(struck + Duration::from_millis(3500));
    assert_eq!(meanwhile, Vec::<String>::new(), "{}", kit.log());
    wait_gone(vault);
    manager.wait_for("WATCHDOG=1");
    assert!(matches!(serving.ask(onion, 11), Reply::Certificate(_)), "{}", kit.log());
}

#[test]
fn a_manager_at_a_path_hears_of_a_signer_that_serves_and_is_alive() {
    in_child("notify::a_manager_at_a_path_hears_of_a_signer_that_serves_and_is_alive", |kit| {
        told(&kit, &Manager::at_path(&kit));
    });
}

#[test]
fn a_manager_with_an_abstract_name_hears_the_same() {
    in_child("notify::a_manager_with_an_abstract_name_hears_the_same", |kit| told(&kit, &Manager::by_name()));
}
