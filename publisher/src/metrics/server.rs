//! Gives metrics out: answers `GET /metrics` of HTTP/1 and nothing else, a few clients at a time, each within its time.

use super::MetricsAddr;
use crate::socket::{Socket, SocketError, TcpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

/// How many clients are heard at the same time; more wait.
pub(super) const CLIENTS: usize = 4;
/// How long a client may take to ask, and again to read the answer.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// The longest request head, in octets.
const REQUEST_MAX: usize = 8192;
/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// Owner and group may ask.
const MODE: u32 = 0o660;
/// What is written.
const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A connection of either kind.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// The listening socket.
pub struct MetricsServer {
    /// Clients that asked rightly.
    scrapers: mpsc::Receiver<Scraper>,
    /// The task that accepts clients.
    task: JoinHandle<()>,
}

/// A client that waits for the metrics.
pub struct Scraper {
    /// The connection.
    stream: Box<dyn Duplex>,
    /// Its place.
    _permit: OwnedSemaphorePermit,
}

impl MetricsServer {
    /// Listens at `at`.
    ///
    /// # Errors
    /// [`SocketError`] if somebody listens there, or the system refuses.
    pub fn open(at: &MetricsAddr) -> Result<Self, SocketError> {
        let (sender, scrapers) = mpsc::channel(CLIENTS);
        let places = Arc::new(Semaphore::new(CLIENTS));
        let task = match at {
            MetricsAddr::Unix(path) => {
                let socket = Socket::open("metrics", path, MODE)?;
                tokio::spawn(async move {
                    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                        let stream = socket.accept().await;
                        tokio::spawn(hear(Box::new(stream), false, place, sender.clone()));
                    }
                })
            }
            MetricsAddr::Tcp(address) => {
                let socket = TcpSocket::open("metrics", *address)?;
                tokio::spawn(async move {
                    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                        let stream = socket.accept().await;
                        tokio::spawn(hear(Box::new(stream), true, place, sender.clone()));
                    }
                })
            }
        };
        Ok(Self { scrapers, task })
    }

    /// Waits for a client that asked rightly. May be cancelled.
    pub async fn next(&mut self) -> Scraper {
        match self.scrapers.recv().await {
            Some(scraper) => scraper,
            None => std::future::pending().await,
        }
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scraper {
    /// Writes the metrics and closes. A client that reads too slowly loses the rest.
    pub async fn answer(mut self, metrics: String) {
        write(&mut *self.stream, "200 OK", &format!("Content-Type: {CONTENT}\r\n"), &metrics).await;
    }
}

/// Reads a client's request and passes it on; answers at once what is none.
async fn hear(
    mut stream: Box<dyn Duplex>,
    tcp: bool,
    place: OwnedSemaphorePermit,
    scrapers: mpsc::Sender<Scraper>,
) {
    // A client that says nothing in time is gone.
    let Ok(asked) = tokio::time::timeout(DEADLINE, read(&mut *stream, tcp)).await else { return };
    match asked {
        // If nobody takes requests any more, the publisher ends.
        Ok(()) => drop(scrapers.send(Scraper { stream, _permit: place }).await),
        Err(Wrong::Gone) => {}
        Err(Wrong::Is(status, more)) => {
            write(&mut *stream, status, more, &format!("{status}: only GET /metrics is answered\n")).await;
        }
    }
}

/// What is wrong with a request.
enum Wrong {
    /// The client went away.
    Gone,
    /// The answer's status, and headers of it.
    Is(&'static str, &'static str),
}

/// Reads a request's head.
async fn read(stream: &mut dyn Duplex, tcp: bool) -> Result<(), Wrong> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let count = stream.read(&mut piece).await.map_err(|_gone| Wrong::Gone)?;
        if count == 0 {
            return Err(Wrong::Gone);
        }
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        if head.len() > REQUEST_MAX {
            return Err(Wrong::Is("431 Request Header Fields Too Large", ""));
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Partial) => {}
            Ok(httparse::Status::Complete(_length)) => return judge(&request, tcp),
            Err(_malformed) => return Err(Wrong::Is("400 Bad Request", "")),
        }
    }
}

/// Whether this is the one request that is answered.
fn judge(request: &httparse::Request<'_, '_>, tcp: bool) -> Result<(), Wrong> {
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some("/metrics") {
        return Err(Wrong::Is("404 Not Found", ""));
    }
    if request.method != Some("GET") {
        return Err(Wrong::Is("405 Method Not Allowed", "Allow: GET\r\n"));
    }
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    // A web page that a browser of this machine shows could else read us, by a name of its own that leads here.
    if tcp && !hosts.all(|host| std::str::from_utf8(host.value).is_ok_and(is_address)) {
        return Err(Wrong::Is("403 Forbidden", ""));
    }
    Ok(())
}

/// Whether a `Host` is a number, or the name that every machine has for itself.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok()
}

/// Writes an answer and closes.
async fn write(stream: &mut dyn Duplex, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    let written = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.shutdown().await
    };
    // A client that went away needs no answer.
    drop(tokio::time::timeout(DEADLINE, written).await);
}
