//! One peer's connection: frames in, frames out, each within its time. The only place that reads from a peer.

use super::Gate;
use crate::clock::{deadline_in, until};
use crate::log::{Level, by_peer};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Reply, Rule};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a peer may stay silent between two frames.
pub const SILENCE: Duration = Duration::from_secs(60);
/// How long a whole frame may take from its first octet on. An octet a minute does not help a peer.
pub const FRAME_PATIENCE: Duration = Duration::from_secs(5);
/// How long a peer may take to fetch a reply.
const REPLY_PATIENCE: Duration = Duration::from_secs(2);

/// Octets of the largest content that a header lets through.
const CONTENT_MAX: usize = 254;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed it between two frames.
    Closed,
    /// The peer was too slow.
    TooSlow,
    /// What it sent is no frame or no request.
    Malformed,
    /// The connection broke.
    Broken,
}

impl End {
    /// The word in the log.
    const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::TooSlow => "too-slow",
            Self::Malformed => "malformed",
            Self::Broken => "broken",
        }
    }
}

/// Serves a peer whose uid is known until it closes, is too slow, or sends something malformed.
pub fn serve(gate: &Gate, uid: u32, stream: &UnixStream) -> End {
    let end = loop {
        match one(gate, uid, stream) {
            Ok(()) => {}
            Err(end) => break end,
        }
    };
    if end != End::Closed {
        by_peer(Some(uid), Level::Warn, "peer-dropped", &[("uid", &uid), ("why", &end.word())]);
    }
    end
}

/// One frame in, one frame out.
fn one(gate: &Gate, uid: u32, stream: &UnixStream) -> Result<(), End> {
    let mut head = [0; HEADER_LEN];
    let (first, rest) = head.split_at_mut(1);
    read(stream, first, deadline_in(SILENCE), End::Closed)?;
    let deadline = deadline_in(FRAME_PATIENCE);
    read(stream, rest, deadline, End::Broken)?;
    let Ok(header) = Header::parse(head) else { return malformed(stream) };
    let mut content = [0; CONTENT_MAX];
    let content = content.get_mut(..header.content_len).ok_or(End::Malformed)?;
    read(stream, content, deadline, End::Broken)?;
    match CertifyRequest::parse(header.kind, content) {
        Ok(request) => reply(stream, &gate.answer(uid, &request)),
        Err(_why) => malformed(stream),
    }
}

/// Says that the request was malformed, and ends.
fn malformed(stream: &UnixStream) -> Result<(), End> {
    reply(stream, &Reply::Refused { rule: Rule::WellFormed, retry_after: 0 })?;
    Err(End::Malformed)
}

/// Writes a reply.
///
/// # Errors
/// [`End::TooSlow`] if the peer does not fetch it, [`End::Broken`] if it is gone.
pub fn reply(mut stream: &UnixStream, reply: &Reply) -> Result<(), End> {
    stream.set_write_timeout(Some(REPLY_PATIENCE)).map_err(|_broken| End::Broken)?;
    // A frame is far smaller than a socket's buffer: this is one write, or none.
    stream.write_all(reply.to_frame().as_bytes()).map_err(|error| ended(&error))
}

/// Fills `buffer` before `deadline`; `at_start` is how it ends if the peer closes before the first octet.
fn read(mut stream: &UnixStream, buffer: &mut [u8], deadline: Instant, at_start: End) -> Result<(), End> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let left = until(deadline);
        if left.is_zero() {
            return Err(End::TooSlow);
        }
        stream.set_read_timeout(Some(left)).map_err(|_broken| End::Broken)?;
        match stream.read(rest) {
            Ok(0) => return Err(if filled == 0 { at_start } else { End::Broken }),
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ended(&error)),
        }
    }
    Ok(())
}

/// What a failed read or write says about the peer.
fn ended(error: &io::Error) -> End {
    let slow = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    if slow { End::TooSlow } else { End::Broken }
}
