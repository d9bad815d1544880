//! Cuts tor's octets into replies. The only place that names torut, whose `Conn` does it for the start of a connection and
//! writes the commands.
//!
//! torut reads octet by octet. Once a connection is split, descriptors come by all day, so its reading half is cut line by line
//! here. Either way a read that is dropped half-way loses its place, so nobody may drop one and go on; a reply has at most 1 MiB,
//! more is an error.

use super::reply::Reply;
use super::stream::{AsciiOnly, ControlStream};
use memchr::memchr;
use std::io;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadHalf, WriteHalf,
};
use torut::control::{Conn, ConnError};

/// Octets read ahead from the socket: a descriptor of the usual size.
const READ_AHEAD: usize = 16 * 1024;
/// Octets of a line of the usual length.
const USUAL: usize = 256;
/// Octets of a reply at most.
const REPLY_MOST: u64 = 1024 * 1024;

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
pub(super) type Replies = Lines<BufReader<AsciiOnly<ReadHalf<BufReader<ControlStream>>>>>;
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
        (Lines(read), Framed(Conn::new(write)))
    }
}

/// A stream that gives replies, read line by line.
pub(super) struct Lines<S>(S);

impl<S: AsyncBufRead + Unpin> Lines<S> {
    /// The next reply. Dropping the future makes the connection useless.
    ///
    /// Spec: control-spec, 2.3.
    pub(super) async fn receive(&mut self) -> Result<Reply, FrameFault> {
        let (mut code, mut lines, mut left) = (None, Vec::new(), REPLY_MOST);
        loop {
            let mut line = Vec::with_capacity(USUAL);
            self.line(&mut line, &mut left).await?;
            let (own, sign) = head(&line).ok_or(FrameFault::NotAReply)?;
            if *code.get_or_insert(own) != own {
                return Err(FrameFault::NotAReply);
            }
            line.drain(..HEAD);
            if sign == b'+' {
                self.block(&mut line, &mut left).await?;
            }
            line.truncate(line.len().saturating_sub(END.len()));
            lines.push(String::from_utf8(line).map_err(|_not_text| FrameFault::NotAReply)?);
            if sign == b' ' {
                return Ok(Reply { code: own, lines });
            }
        }
    }

    /// Appends a data block up to its dot line, which is left out. `text` ends with the line before the block.
    async fn block(&mut self, text: &mut Vec<u8>, left: &mut u64) -> Result<(), FrameFault> {
        text.reserve(READ_AHEAD);
        loop {
            let read = self.0.fill_buf().await?;
            // The dot line may have begun in what came before.
            let from = text.len().saturating_sub(LAST.len().saturating_sub(1));
            let (before, count) = (text.len(), read.len());
            text.extend_from_slice(read);
            let end = last_line(text, from);
            let taken = end.map_or(count, |end| end.saturating_sub(before));
            self.0.consume(taken);
            *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
            if *left == 0 {
                return Err(FrameFault::TooLarge);
            }
            if count == 0 {
                return Err(FrameFault::Closed);
            }
            if let Some(end) = end {
                text.truncate(end.saturating_sub(DOT.len()));
                return Ok(());
            }
        }
    }

    /// Appends a line with its end, which is CRLF; a line feed alone is none.
    async fn line(&mut self, text: &mut Vec<u8>, left: &mut u64) -> Result<(), FrameFault> {
        let from = text.len();
        while !text.get(from..).is_some_and(|line| line.ends_with(END)) {
            let mut most = (&mut self.0).take(*left);
            let read = most.read_until(b'\n', text).await?;
            *left = most.limit();
            if *left == 0 {
                return Err(FrameFault::TooLarge);
            }
            if read == 0 {
                return Err(FrameFault::Closed);
            }
        }
        Ok(())
    }
}

/// Octets before the text of a reply line: the code and a sign.
const HEAD: usize = 4;
/// The end of a line.
const END: &[u8] = b"\r\n";
/// The last line of a data block.
const DOT: &[u8] = b".\r\n";
/// The same with the end of the line before.
const LAST: &[u8] = b"\r\n.\r\n";

/// Where the dot line ends that ends a data block, not looking at what is before `from`: a descriptor is nearly all base64, which has
/// no dot.
fn last_line(text: &[u8], from: usize) -> Option<usize> {
    let mut begin = from;
    loop {
        let dot = begin.saturating_add(memchr(b'.', text.get(begin..)?)?);
        let start = dot.checked_sub(END.len());
        let end = start.map(|start| start.saturating_add(LAST.len()));
        if let (Some(start), Some(end)) = (start, end)
            && text.get(start..end) == Some(LAST)
        {
            return Some(end);
        }
        begin = dot.saturating_add(1);
    }
}

/// The code of a line and whether it is the last, or a data block follows.
fn head(line: &[u8]) -> Option<(u16, u8)> {
    let (code, rest) = line.split_first_chunk::<3>()?;
    let digits = code.iter().all(u8::is_ascii_digit);
    let code = core::str::from_utf8(code).ok().filter(|_code| digits)?.parse().ok()?;
    rest.first().copied().filter(|sign| b" -+".contains(sign)).map(|sign| (code, sign))
}

#[cfg(test)]
impl<S> Framed<S> {
    /// Frames any stream, for tests.
    pub(super) fn over(stream: S) -> Self {
        Self(Conn::new(stream))
    }
}

#[cfg(test)]
impl<S> Lines<S> {
    /// Reads any stream line by line, for tests.
    pub(super) fn over(stream: S) -> Self {
        Self(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything until the first fault, cut by torut and by us, which must be the same.
    async fn both(wire: &[u8]) -> (Vec<Reply>, String) {
        let (mut ours, mut theirs) = (Lines::over(wire), Framed::over(wire));
        let mut replies = Vec::new();
        loop {
            match (ours.receive().await, theirs.receive().await) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours, theirs);
                    replies.push(ours);
                }
                (Err(fault), Err(_other)) => return (replies, fault.to_string()),
                (ours, theirs) => panic!("{:?} and {:?}", ours.is_ok(), theirs.is_ok()),
            }
        }
    }

    #[tokio::test]
    async fn replies_are_cut_as_torut_cuts_them() {
        let wire =
            b"250-a\r\n250+b=\r\n..x\r\ny\nz\r\n.\r\n250 OK\r\n650 E\r\n650+C\r\n.\r\n650 OK\r\n250 a\nb\r\n";
        let (replies, end) = both(wire).await;
        assert_eq!(end, FrameFault::Closed.to_string());
        assert_eq!(replies.len(), 4);
        assert_eq!(replies[0].lines, ["a", "b=\r\n..x\r\ny\nz", "OK"]);
        assert_eq!(replies[2].lines, ["C", "OK"]);
        assert_eq!(replies[3].lines, ["a\nb"]);
    }

    #[tokio::test]
    async fn what_is_no_reply_or_too_long_is_a_fault() {
        for bad in ["HTTP/1.1 200 OK\r\n", "25\r\n", "250*x\r\n", "\r\n", "250-a\r\n251 OK\r\n", "+25 a\r\n"]
        {
            let (replies, end) = both(bad.as_bytes()).await;
            assert_eq!((replies.len(), end), (0, FrameFault::NotAReply.to_string()), "{bad}");
        }
        for cut in ["", "2", "250-", "250 a\r", "250+a\r\nb\r\n.", "250-a\r\n"] {
            assert_eq!(both(cut.as_bytes()).await.1, FrameFault::Closed.to_string(), "{cut:?}");
        }
        for piece in [&b"x"[..], b"x\r\n", b"250-x\r\n"] {
            let head: &[u8] = if piece[0] == b'x' { b"250+" } else { b"" };
            let wire = [head, piece.repeat(1_100_000 / piece.len()).as_slice()].concat();
            assert_eq!(both(&wire).await.1, FrameFault::TooLarge.to_string());
        }
    }

    #[tokio::test]
    async fn a_data_block_ends_where_it_ends_however_the_octets_come() {
        let body = "a.b\r\n..c\r\n.\rd\r\n".to_owned() + &"x".repeat(200) + "\r\n";
        let wire = format!("650+E\r\n{body}.\r\n650 OK\r\n650 next\r\n");
        for most in 1..wire.len() {
            let mut lines = Lines::over(BufReader::with_capacity(most, wire.as_bytes()));
            let reply = lines.receive().await.unwrap();
            assert_eq!(
                reply.lines,
                [format!("E\r\n{}", body.strip_suffix("\r\n").unwrap()), "OK".to_owned()]
            );
            assert_eq!(lines.receive().await.unwrap().lines, ["next"], "read {most} octets at a time");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_cut_as_torut_cuts_them(pieces in proptest::collection::vec(
            proptest::sample::select(vec!["250", "650", " ", "-", "+", "a", ".", "\r\n", "\n", "\r", "..", "9"]), 0..40
        )) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(both(pieces.concat().as_bytes()));
        }
    }
}
