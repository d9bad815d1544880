//! Uids that nobody configured: not one octet comes back to them, even if the socket lets them connect.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_common::wire::Reply;

use super::subject::Subject;
use crate::peer::{self, Peer};
use crate::process::{self, User};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What a stranger counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Count {
    /// Connections that were made.
    pub connected: usize,
    /// Octets that came.
    pub received: usize,
}

/// Opens the socket of a running signer to everybody, and has a stranger try `tries` times. `program` is the program
/// `assurance`, which is also the stranger. Needs root.
pub fn run(program: &Path, tries: usize) -> Result<Count> {
    let mut subject = Subject::new(1)?;
    let copy = subject.tool(program)?;
    subject.start()?;
    std::fs::set_permissions(subject.signer.socket(), PermissionsExt::from_mode(0o666))?;
    let mut command = process::command(&copy, User::Stranger);
    command.arg("stranger").arg(subject.signer.socket()).arg(subject.keys[0].onion.to_string());
    command.arg(tries.to_string());
    let output = process::run(&mut command, "the stranger")?;
    let text = String::from_utf8(output.stdout)?;
    let (connected, received) = text.trim().split_once(' ').context("the stranger said nothing")?;
    // The same question by a uid that may ask it.
    let reply = Peer::connect(&subject.signer.socket(), LIMIT)?.answered(&subject.request(0))?;
    ensure!(matches!(reply, Reply::Certificate(_)), "the configured uid got {reply:?}");
    subject.signer.stop()?;
    Ok(Count { connected: connected.parse()?, received: received.parse()? })
}

/// A stranger in a process of its own: connects, asks, reads to the end, `tries` times; prints how often it could connect and
/// how many octets came.
pub fn be_a_stranger(socket: &Path, onion: &str, tries: usize) -> Result<String> {
    let request = peer::request(onion.parse()?, peer::period_now(), [0x33; 32]);
    let (mut connected, mut received) = (0_usize, 0);
    for _try in 0..tries {
        let mut peer = Peer::connect(socket, LIMIT)?;
        connected += 1;
        // It may be closed before all is sent.
        let _closed = peer.send(request.to_frame().as_bytes());
        match peer.rest() {
            Ok(rest) => received += rest.len(),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => return Err(error).context("the socket neither answers nor closes"),
        }
    }
    Ok(format!("{connected} {received}"))
}
