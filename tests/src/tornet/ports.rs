//! The only place where TCP ports for a private network are chosen.
//!
//! They are taken from below the range that Linux hands to outgoing connections, or a relay that restarts could find
//! its port in use by somebody's outgoing connection. Whether a port is free is asked by connecting, never by listening:
//! a child that another thread forks at that moment inherits the listener and keeps the port until it has become its
//! program, and whoever was given the port finds it in use.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// First port that may be chosen.
const LOWEST: u16 = 11_000;
/// How many ports may be chosen from.
const RANGE: u16 = 20_000;

/// A port of 127.0.0.1 that nobody listens on, never the same twice in one process.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(RANGE))
        .expect("smaller than the range");
    for _ in 0..RANGE {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % RANGE;
        let port = LOWEST + (seed + step) % RANGE;
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {LOWEST} and {}", LOWEST + RANGE)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::Command;
    use std::thread;

    use super::*;

    #[test]
    fn ports_differ_and_can_be_used() {
        let (one, two) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(one, two);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, two)).is_ok());
    }

    #[test]
    fn a_port_in_use_is_not_chosen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).unwrap();
        let taken = listener.local_addr().unwrap().port();
        assert!((0..200).all(|_| free_port().unwrap() != taken));
    }

    #[test]
    fn a_port_is_free_while_children_are_started() {
        let forks = thread::spawn(|| {
            for _ in 0..200 {
                Command::new("true").status().unwrap();
            }
        });
        while !forks.is_finished() {
            let port = free_port().unwrap();
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        }
        forks.join().unwrap();
    }
}
