//! Probes: a connection to a backend's onion service through tor's SOCKS port, and if wanted one question to the web
//! server behind it; a second one on other circuits before it counts as down. The only place that speaks SOCKS.

mod http;

pub use http::HttpCheck;

use onionkeep_common::OnionAddress;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// SOCKS version.
const VERSION: u8 = 5;
/// Method: user name and password, by which tor keeps the circuits of probes apart from others.
const METHOD_PASSWORD: u8 = 2;
/// Command: connect.
const CONNECT: u8 = 1;
/// Address type: a host name.
const HOST_NAME: u8 = 3;

/// If a backend has not accepted a connection so long after a probe began, a second one is tried.
const SECOND: Duration = Duration::from_secs(3);

/// Where tor's SOCKS port is: `ADDRESS:PORT` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocksAddr {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// A text that is no place of a SOCKS port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither unix:/absolute/path nor an IP address with a port, like 127.0.0.1:9050")]
pub struct SocksAddrError(String);

impl FromStr for SocksAddr {
    type Err = SocksAddrError;

    fn from_str(text: &str) -> Result<Self, SocksAddrError> {
        let wrong = || SocksAddrError(text.to_owned());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_relative) => Err(wrong()),
            None => {
                let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
                address.map(Self::Tcp).ok_or_else(wrong)
            }
        }
    }
}

impl fmt::Display for SocksAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// What a probe found.
#[derive(Debug)]
pub enum Probed {
    /// The backend accepted the connection.
    Up,
    /// It accepted neither of two, within the deadline.
    Down(String),
    /// tor's SOCKS port did not do its part: this says nothing about the backend.
    NoSocks(io::Error),
}

/// What a probe does at a backend.
#[derive(Clone, Debug)]
pub struct Question {
    /// The backend's address.
    pub onion: OnionAddress,
    /// The port of its onion service.
    pub port: u16,
    /// What is asked of the web server there, if anything.
    pub http: Option<HttpCheck>,
    /// The name by which the web server is asked: the frontend's, as visitors do.
    pub host: String,
    /// How many probes of it failed: after each, tor is asked for other circuits, since it would wait with the old ones.
    pub failed: u64,
}

/// Connects to a backend, asks its web server if that is wanted, and closes the connection again; after some seconds a second time, on
/// other circuits, whether the first was refused or hangs.
///
/// The deadline is for both together. A port that takes connections and says no word is not tor's, or its tor hangs.
pub async fn probe(socks: &SocksAddr, question: &Question, deadline: Duration) -> Probed {
    let greeted = AtomicBool::new(false);
    let both = async {
        let mut first = pin!(attempt(socks, question, 1, &greeted));
        let mut second = pin!(async {
            tokio::time::sleep(SECOND).await;
            attempt(socks, question, 2, &greeted).await
        });
        tokio::select! {
            probed = &mut first => if matches!(probed, Probed::Down(_)) { second.await } else { probed },
            probed = &mut second => if matches!(probed, Probed::Down(_)) { first.await } else { probed },
        }
    };
    let late = |_elapsed| {
        let late = format!("no answer within {} s", deadline.as_secs());
        if greeted.load(Ordering::Relaxed) {
            Probed::Down(late)
        } else {
            Probed::NoSocks(io::Error::new(io::ErrorKind::TimedOut, late))
        }
    };
    tokio::time::timeout(deadline, both).await.unwrap_or_else(late)
}

/// One connection. tor keeps the circuits of attempts of different names apart.
async fn attempt(socks: &SocksAddr, question: &Question, number: u8, greeted: &AtomicBool) -> Probed {
    let name = &format!("{number}.{}", question.failed);
    let asked = match socks {
        SocksAddr::Unix(path) => ask(UnixStream::connect(path).await, question, name, greeted).await,
        SocksAddr::Tcp(address) => ask(TcpStream::connect(address).await, question, name, greeted).await,
    };
    match asked {
        Ok(Ok(())) => Probed::Up,
        Ok(Err(why)) => Probed::Down(why),
        Err(error) => Probed::NoSocks(error),
    }
}

/// Connects, and asks the web server if that is wanted; what is wrong with the backend, if anything.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: io::Result<S>,
    question: &Question,
    name: &str,
    greeted: &AtomicBool,
) -> io::Result<Result<(), String>> {
    let mut stream = stream?;
    log_in(&mut stream, name).await?;
    greeted.store(true, Ordering::Relaxed);
    let code = connect(&mut stream, question).await?;
    if code != 0 {
        return Ok(Err(meaning(code).to_owned()));
    }
    let Some(http) = &question.http else { return Ok(Ok(())) };
    skip_bound_address(&mut stream).await?;
    Ok(http.ask(&mut stream, &question.host).await)
}

/// Reads the rest of a SOCKS reply, after its code.
///
/// Spec: RFC 1928, 6.
async fn skip_bound_address<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let _reserved = stream.read_u8().await?;
    let length: usize = match stream.read_u8().await? {
        1 => 4,
        HOST_NAME => stream.read_u8().await?.into(),
        4 => 16,
        _ => return Err(not_socks()),
    };
    let mut address = vec![0; length.saturating_add(2)];
    stream.read_exact(&mut address).await?;
    Ok(())
}

/// Speaks SOCKS 5 until a connection can be asked for, under a name.
///
/// Spec: RFC 1928, 3; RFC 1929, 2; socks-extensions (`IsolateSOCKSAuth`).
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, name: &str) -> io::Result<()> {
    stream.write_all(&[VERSION, 1, METHOD_PASSWORD]).await?;
    expect(stream, [VERSION, METHOD_PASSWORD]).await?;
    let user = b"onionkeep-probe";
    let mut login = vec![1, u8::try_from(user.len()).unwrap_or_default()];
    login.extend(user);
    login.push(u8::try_from(name.len()).unwrap_or_default());
    login.extend(name.as_bytes());
    stream.write_all(&login).await?;
    expect(stream, [1, 0]).await
}

/// Asks for a connection; the reply's code.
///
/// Spec: RFC 1928, 4 to 6.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, question: &Question) -> io::Result<u8> {
    let host = question.onion.to_string();
    let mut request = vec![VERSION, CONNECT, 0, HOST_NAME, u8::try_from(host.len()).unwrap_or_default()];
    request.extend(host.as_bytes());
    request.extend(question.port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut reply = [0; 2];
    stream.read_exact(&mut reply).await?;
    let [version, code] = reply;
    if version == VERSION { Ok(code) } else { Err(not_socks()) }
}

/// Reads two octets that must be these.
async fn expect<S: AsyncRead + Unpin>(stream: &mut S, wanted: [u8; 2]) -> io::Result<()> {
    let mut found = [0; 2];
    stream.read_exact(&mut found).await?;
    if found == wanted { Ok(()) } else { Err(not_socks()) }
}

/// The error for a server that is no SOCKS port of tor.
fn not_socks() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what listens there is not tor's SOCKS port")
}

/// The words for a reply's code.
///
/// Spec: RFC 1928, 6.
const fn meaning(code: u8) -> &'static str {
    match code {
        2 => "not allowed by tor's configuration",
        3 => "network unreachable",
        4 => "onion service not reachable",
        5 => "connection refused by the backend",
        6 => "no answer in time",
        _ => "connection failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn onion() -> OnionAddress {
        "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid".parse().unwrap()
    }

    fn question(http: Option<HttpCheck>) -> Question {
        Question { onion: onion(), port: 80, http, host: "front.onion".to_owned(), failed: 7 }
    }

    /// What a server answers on one connection, piece by piece.
    type Answers = &'static [&'static [u8]];

    /// tor's words until a connection is asked for, and its yes and its no to that.
    const HELLO: [&[u8]; 2] = [&[5, 2], &[1, 0]];
    const YES: Answers = &[HELLO[0], HELLO[1], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]];
    const NO: Answers = &[HELLO[0], HELLO[1], &[5, 4]];
    /// It waits for ever.
    const SILENT: Answers = &HELLO;

    /// Probes a server that answers so on the first connection and so on the others; gives what it was sent on each.
    async fn against(
        question: &Question,
        answers: [Answers; 2],
        deadline: Duration,
    ) -> (Probed, Vec<Vec<u8>>, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socks = SocksAddr::Tcp(listener.local_addr().unwrap());
        let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _peer) = listener.accept().await.unwrap();
                let (answers, sent) = (answers[number.min(1)], sent.clone());
                tokio::spawn(async move {
                    let mut heard = Vec::new();
                    for answer in answers {
                        let mut octets = [0; 200];
                        let count = stream.read(&mut octets).await.unwrap_or(0);
                        heard.extend_from_slice(&octets[..count]);
                        let _gone = stream.write_all(answer).await;
                    }
                    let _closed = stream.read_to_end(&mut heard).await;
                    let _nobody = sent.send(heard);
                });
            }
        });
        let start = tokio::time::Instant::now();
        let probed = probe(&socks, question, deadline).await;
        let took = start.elapsed();
        server.abort();
        let mut all = Vec::new();
        let _stopped = server.await;
        while let Some(heard) = received.recv().await {
            all.push(heard);
        }
        (probed, all, took)
    }

    /// The longest that a probe may take here.
    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_accepted_connection_is_up_and_the_question_names_host_and_port() {
        let (probed, sent, _took) = against(&question(None), [YES, NO], SOON).await;
        assert!(matches!(probed, Probed::Up));
        let tail = [onion().to_string().as_bytes(), &[0, 80]].concat();
        let [first] = sent.as_slice() else { panic!("{sent:?}") };
        assert!(first.ends_with(&tail));
        assert!(first.starts_with(&[5, 1, 2, 1, 15]));
    }

    #[tokio::test]
    async fn a_web_server_is_asked_on_the_same_connection_and_its_failure_is_the_backends() {
        const GOOD: Answers = &[HELLO[0], HELLO[1], YES[2], b"HTTP/1.1 200 OK\r\n\r\n"];
        const BAD: Answers = &[HELLO[0], HELLO[1], YES[2], b"HTTP/1.1 502 Bad Gateway\r\n\r\n"];
        let asked = question(HttpCheck::new("/up", None));
        let (probed, sent, _took) = against(&asked, [GOOD, BAD], SOON).await;
        assert!(matches!(probed, Probed::Up), "{probed:?}");
        let text = String::from_utf8_lossy(&sent[0]);
        assert!(text.contains("GET /up HTTP/1.1\r\nHost: front.onion\r\n"), "{text}");
        let (probed, sent, _took) = against(&asked, [BAD, BAD], SOON).await;
        assert!(matches!(&probed, Probed::Down(why) if why.contains("502 at /up")), "{probed:?}");
        assert_eq!(sent.len(), 2);
        // It accepts and says nothing: the deadline counts for the whole.
        let (probed, _sent, _took) = against(&asked, [YES, YES], Duration::from_millis(300)).await;
        assert!(matches!(&probed, Probed::Down(why) if why.contains("no answer")), "{probed:?}");
    }

    #[tokio::test]
    async fn a_backend_that_refuses_is_asked_again_after_some_seconds_on_other_circuits() {
        let (probed, sent, took) = against(&question(None), [NO, NO], SOON).await;
        assert!(matches!(probed, Probed::Down(why) if why == "onion service not reachable"));
        assert!(took >= SECOND, "{took:?}");
        let [first, second] = sent.as_slice() else { panic!("{sent:?}") };
        assert_ne!(first, second, "the name by which tor keeps circuits apart");
        let after = Question { failed: 8, ..question(None) };
        let (_probed, later, _took) = against(&after, [NO, NO], SOON).await;
        assert!(
            !later.contains(first) && !later.contains(second),
            "a circuit that hangs is not waited for again"
        );
        let (probed, ..) = against(&question(None), [NO, YES], SOON).await;
        assert!(matches!(probed, Probed::Up), "a web server that was restarted meanwhile");
    }

    #[tokio::test]
    async fn a_connection_that_hangs_is_not_waited_for_before_another_one_is_tried() {
        let (probed, _sent, took) = against(&question(None), [SILENT, YES], SOON).await;
        assert!(matches!(probed, Probed::Up) && took >= SECOND, "{took:?}");
        let (probed, _sent, took) = against(&question(None), [SILENT, NO], SECOND * 2).await;
        assert!(matches!(probed, Probed::Down(why) if why.contains("no answer")));
        assert!(took >= SECOND * 2, "the first may still be taken: {took:?}");
    }

    #[tokio::test]
    async fn no_server_or_another_one_says_nothing_about_the_backend() {
        const WEB: Answers = &[b"HTTP/1.1 400 Bad\r\n"];
        const MUTE: Answers = &[];
        let (probed, ..) = against(&question(None), [WEB, YES], SOON).await;
        assert!(matches!(probed, Probed::NoSocks(_)));
        let (probed, ..) = against(&question(None), [MUTE, MUTE], SECOND + SECOND / 2).await;
        assert!(
            matches!(&probed, Probed::NoSocks(error) if error.to_string().contains("no answer")),
            "{probed:?}"
        );
        let nobody = SocksAddr::Unix("/nonexistent/socks".into());
        assert!(matches!(probe(&nobody, &question(None), Duration::from_secs(5)).await, Probed::NoSocks(_)));
    }

    #[test]
    fn places_are_read_and_written() {
        for text in ["127.0.0.1:9050", "[::1]:9050", "unix:/run/tor/socks"] {
            assert_eq!(text.parse::<SocksAddr>().unwrap().to_string(), text);
        }
        for text in ["", "9050", "unix:socks", "localhost:9050", "127.0.0.1:0"] {
            assert!(text.parse::<SocksAddr>().is_err(), "{text}");
        }
    }
}
