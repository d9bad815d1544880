//! The socket to tor, of either family, and the filter that keeps strange octets out.

use super::config::ControlAddr;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a control port.
#[derive(Debug)]
pub(super) enum ControlStream {
    /// `ControlSocket`.
    Unix(UnixStream),
    /// `ControlPort`.
    Tcp(TcpStream),
}

impl ControlStream {
    /// Connects. The caller gives the deadline.
    pub(super) async fn connect(at: &ControlAddr) -> io::Result<Self> {
        match at {
            ControlAddr::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            ControlAddr::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
        }
    }
}

impl AsyncRead for ControlStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ControlStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Replaces every octet outside ASCII by `?` on the way in.
///
/// A reply is text, and any onion service that another controller of the same tor visits could put such an octet into its
/// descriptor. A text changed here fails its signature check, as it should.
#[derive(Debug)]
pub(super) struct AsciiOnly<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for AsciiOnly<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.get_mut().0).poll_read(cx, buf))?;
        let new = buf.filled_mut().get_mut(before..).unwrap_or_default();
        if new.is_ascii() {
            return Poll::Ready(Ok(()));
        }
        for octet in new.iter_mut().filter(|octet| !octet.is_ascii()) {
            *octet = b'?';
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn only_octets_outside_ascii_are_replaced() {
        let mut text = String::new();
        AsciiOnly(&b"650 \xc3\xa9 a\r\n"[..]).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "650 ?? a\r\n");
    }
}
