//! One question to the web server behind a backend, over a connection that is there already: does it answer as it should?

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest path, in octets.
const PATH_MAX: usize = 256;
/// The longest status line that is read, in octets; what follows it is not read at all.
const LINE_MAX: usize = 1024;
/// Answers before the answer (1xx) that are put up with.
const INTERIM_MAX: usize = 4;
/// Header lines of such an answer.
const HEADERS_MAX: u32 = 64;
/// Without a wanted status each below this one is good: the server answers, and not by "I cannot".
///
/// Spec: RFC 9110, 15.6.
const SERVER_ERROR: u16 = 500;

/// What is asked of a web server, and which answer is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The path.
    path: String,
    /// The only status that is good; each below 500 if there is none.
    status: Option<u16>,
}

impl HttpCheck {
    /// A check of this path; `None` if it is not one of visible ASCII that starts with `/`.
    #[must_use]
    pub fn new(path: &str, status: Option<u16>) -> Option<Self> {
        let good = path.starts_with('/')
            && path.len() <= PATH_MAX
            && path.bytes().all(|octet| octet.is_ascii_graphic());
        good.then(|| Self { path: path.to_owned(), status })
    }

    /// Asks; the caller gives the deadline. What is wrong with the answer, if anything.
    ///
    /// Spec: RFC 9112, 3 and 4.
    pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        host: &str,
    ) -> Result<(), String> {
        let question =
            format!("GET {} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n", self.path);
        let broken = |error: io::Error| format!("the web server broke off: {error}");
        stream.write_all(question.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        for _ in 0..INTERIM_MAX {
            let first = read_line(stream).await.map_err(broken)?;
            let status = status_of(&first).ok_or("what answers at the port is not a web server")?;
            if status >= 200 {
                return self.judge(status);
            }
            let mut left = HEADERS_MAX;
            while left > 0 && !read_line(stream).await.map_err(broken)?.is_empty() {
                left -= 1;
            }
        }
        Err("the web server gave no final answer".to_owned())
    }

    /// Whether a status is good.
    fn judge(&self, status: u16) -> Result<(), String> {
        match self.status {
            Some(wanted) if wanted != status => {
                Err(format!("the web server answered {status} at {}, not {wanted}", self.path))
            }
            None if status >= SERVER_ERROR => {
                Err(format!("the web server answered {status} at {}", self.path))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// One line without its end; an error if it is too long or the connection ends in it.
async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        // Octet by octet: a line is short, and nothing after it is wanted.
        let octet = stream.read_u8().await?;
        if octet == b'\n' {
            line.pop_if(|last| *last == b'\r');
            return Ok(line);
        }
        if line.len() >= LINE_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of its answer is too long"));
        }
        line.push(octet);
    }
}

/// The status in a status line.
fn status_of(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line.get(..line.len().min(13))?).ok()?;
    let rest = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?;
    let digits = rest.get(..3)?;
    let ends = rest.as_bytes().get(3).is_none_or(|next| *next == b' ');
    let status: u16 = digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())??;
    (ends && status >= 100).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a check makes of a server's octets, after which the connection ends; and what it asked.
    async fn against(check: &HttpCheck, answer: &[u8]) -> (Result<(), String>, String) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        let asked = check.ask(&mut ours, "x.onion");
        let server = async {
            let mut question = vec![0; 512];
            let count = theirs.read(&mut question).await.unwrap();
            drop(theirs);
            String::from_utf8(question[..count].to_vec()).unwrap()
        };
        tokio::join!(asked, server)
    }

    fn check(status: Option<u16>) -> HttpCheck {
        HttpCheck::new("/health?deep=1", status).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_answers_is_good_and_was_asked_for_the_path() {
        let (found, question) = against(&check(None), b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(found, Ok(()));
        assert!(question.starts_with("GET /health?deep=1 HTTP/1.1\r\nHost: x.onion\r\n"), "{question}");
        assert!(question.ends_with("\r\n\r\n"));
        for good in [
            &b"HTTP/1.0 404 Not Found\n"[..],
            b"HTTP/1.1 301\r\n",
            b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(against(&check(None), good).await.0, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_server_error_and_a_status_that_is_not_wanted_are_told_with_their_number() {
        let (found, _question) = against(&check(None), b"HTTP/1.1 503 Busy\r\n\r\n").await;
        assert!(found.unwrap_err().contains("503"));
        let (found, _question) = against(&check(Some(200)), b"HTTP/1.1 404 No\r\n\r\n").await;
        assert!(found.unwrap_err().contains("404 at /health?deep=1, not 200"));
        assert_eq!(against(&check(Some(404)), b"HTTP/1.1 404 No\r\n\r\n").await.0, Ok(()));
    }

    #[tokio::test]
    async fn what_is_no_web_server_is_told() {
        for bad in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1 0x0 OK\r\n",
            b"HTTP/1.1 099 OK\r\n",
            b"HTTP/2 200\r\n",
            b"\r\n",
            b"",
            b"HTTP/1.1 200 OK",
            &[b'x'; 60_000],
            &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10),
        ] {
            assert!(against(&check(None), bad).await.0.is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_path_is_visible_ascii_and_cannot_smuggle_a_line() {
        for bad in ["", "health", "/a b", "/a\r\nX: y", "/\u{fc}", &format!("/{}", "a".repeat(256))] {
            assert_eq!(HttpCheck::new(bad, None), None, "{bad:?}");
        }
        assert!(HttpCheck::new("/", Some(200)).is_some());
    }
}
