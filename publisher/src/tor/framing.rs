//! The only place that names torut: its `Conn` cuts tor's octets into replies.
//!
//! torut reads octet by octet, so its stream must be buffered; a read that is dropped half-way loses its place, so nobody may
//! drop one and go on; a reply has at most 1 MiB, more is an error.

use super::reply::Reply;
use super::stream::{AsciiOnly, ControlStream};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadHalf, WriteHalf};
use torut::control::{Conn, ConnError};

/// Octets read ahead from the socket.
const READ_AHEAD: usize = 8 * 1024;

/// Why no reply could be read; the connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameFault {
    /// The other side closed the connection.
    #[error("tor closed it")]
    Closed,
    /// The system's error.
    #[error("{0}")]
    Io(io::Error),
    /// A reply of more than 1 MiB.
    #[error("a reply has more than 1 MiB")]
    TooLarge,
    /// Octets that are no reply.
    #[error("what came is not a reply of the control protocol")]
    NotAReply,
}

impl From<ConnError> for FrameFault {
    fn from(error: ConnError) -> Self {
        match error {
            ConnError::IOError(error) => Self::from(error),
            ConnError::TooManyBytesRead => Self::TooLarge,
            ConnError::Utf8Error(_)
            | ConnError::FromUtf8Error(_)
            | ConnError::ParseIntError(_)
            | ConnError::UnauthenticatedConnError(_)
            | ConnError::AuthenticatedConnError(_)
            | ConnError::InvalidResponseCode(_)
            | ConnError::InvalidFormat
            | ConnError::InvalidCharacterFound
            | ConnError::NonAsciiByteFound
            | ConnError::ResponseCodeMismatch => Self::NotAReply,
        }
    }
}

impl From<io::Error> for FrameFault {
    fn from(error: io::Error) -> Self {
        match error.kind() == io::ErrorKind::UnexpectedEof {
            true => Self::Closed,
            false => Self::Io(error),
        }
    }
}

/// A stream that gives replies, takes commands, or both.
pub(super) struct Framed<S>(Conn<S>);

/// The connection before it is split: replies and commands in turn.
pub(super) type Whole = Framed<BufReader<ControlStream>>;
/// The reading half of a split connection.
pub(super) type Replies = Framed<BufReader<AsciiOnly<ReadHalf<BufReader<ControlStream>>>>>;
/// The writing half of a split connection.
pub(super) type Commands = Framed<WriteHalf<BufReader<ControlStream>>>;

impl<S: AsyncRead + Unpin> Framed<S> {
    /// The next reply. Dropping the future makes the connection useless.
    pub(super) async fn receive(&mut self) -> Result<Reply, FrameFault> {
        let (code, lines) = self.0.receive_data().await?;
        Ok(Reply { code, lines })
    }
}

impl<S: AsyncWrite + Unpin> Framed<S> {
    /// Writes a command, line end included by the caller.
    pub(super) async fn send(&mut self, command: &[u8]) -> Result<(), FrameFault> {
        Ok(self.0.write_data(command).await?)
    }
}

impl Whole {
    /// Starts on a fresh connection. Writing is not buffered, so that no secret stays behind in a buffer.
    pub(super) fn new(stream: ControlStream, read_ahead: usize) -> Self {
        Self(Conn::new(BufReader::with_capacity(read_ahead, stream)))
    }

    /// Gives the stream back, with what has been read ahead.
    pub(super) fn into_inner(self) -> BufReader<ControlStream> {
        self.0.into_inner()
    }

    /// Parts the connection for the task that reads while it writes.
    pub(super) fn split(self) -> (Replies, Commands) {
        let (read, write) = tokio::io::split(self.into_inner());
        let read = BufReader::with_capacity(READ_AHEAD, AsciiOnly(read));
        (Framed(Conn::new(read)), Framed(Conn::new(write)))
    }
}

#[cfg(test)]
impl<S> Framed<S> {
    /// Frames any stream, for tests.
    pub(super) fn over(stream: S) -> Self {
        Self(Conn::new(stream))
    }
}
