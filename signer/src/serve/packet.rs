//! Packets between our own processes over a pair of Unix sockets; the only place that makes, sends and receives them.

use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Two ends that keep the borders of packets and are not inherited by accident.
///
/// # Errors
/// What the system says.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The end that this process was started with in the place of a standard stream.
///
/// # Errors
/// [`io::ErrorKind::NotConnected`] if that is no such end: a person has typed an inner command.
pub(crate) fn inherited(stream: impl AsFd) -> io::Result<OwnedFd> {
    match socket_type(&stream) {
        Ok(SocketType::SEQPACKET) => stream.as_fd().try_clone_to_owned(),
        Ok(_) | Err(_) => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Sends a packet without waiting.
///
/// # Errors
/// What the system says: the other end is gone, or does not fetch what was sent before.
pub(crate) fn tell(end: impl AsFd, packet: &[u8]) -> io::Result<()> {
    send(end, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop).map_err(io::Error::from)
}

/// What a look at an end found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// So many octets in the buffer.
    Packet(usize),
    /// Nothing, for now.
    Nothing,
    /// The other end is gone.
    Gone,
}

/// Fetches a packet; waits for one if `wait`. A packet longer than the buffer counts as its whole length.
///
/// # Errors
/// What the system says.
pub(crate) fn hear(end: impl AsFd, buffer: &mut [u8], wait: bool) -> io::Result<Heard> {
    let flags = if wait { RecvFlags::TRUNC } else { RecvFlags::TRUNC | RecvFlags::DONTWAIT };
    loop {
        return match recv(&end, &mut *buffer, flags) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(Heard::Gone),
            Ok((_octets, length)) => Ok(Heard::Packet(length)),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Ok(Heard::Nothing),
            Err(error) => Err(error.into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_borders_and_an_end_is_heard() {
        let (one, other) = pair().unwrap();
        let mut buffer = [0; 4];
        assert_eq!(hear(&other, &mut buffer, false).unwrap(), Heard::Nothing);
        tell(&one, b"ab").unwrap();
        tell(&one, b"abcdef").unwrap();
        assert_eq!(hear(&other, &mut buffer, true).unwrap(), Heard::Packet(2));
        assert_eq!(hear(&other, &mut buffer, true).unwrap(), Heard::Packet(6));
        drop(one);
        assert_eq!(hear(&other, &mut buffer, true).unwrap(), Heard::Gone);
        assert!(tell(&other, b"x").is_err());
    }

    #[test]
    fn only_such_an_end_is_taken_for_inherited() {
        let (one, _other) = pair().unwrap();
        assert!(inherited(&one).is_ok());
        let (stream, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(inherited(&stream).is_err());
        assert!(inherited(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
