//! The tiny web service behind an onion service: it answers its own name, whatever is asked, or as many octets as are asked for.
//!
//! It can be ill, as an application behind a healthy tor is: then it answers 500.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

/// Longest time one visitor may take.
const VISIT_LIMIT: Duration = Duration::from_secs(10);

/// A running web service; ends when dropped.
pub(super) struct Web {
    /// Where it listens on 127.0.0.1.
    port: u16,
    /// Set when it should end.
    over: Arc<AtomicBool>,
    /// Whether it answers 500.
    ill: Arc<AtomicBool>,
    /// Its thread.
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Listens on a port of its own.
    pub(super) fn start(name: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, super::free_port()?))?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let (flag, body) = (Arc::clone(&over), format!("{name}\n"));
        let ill = Arc::new(AtomicBool::new(false));
        let now_ill = Arc::clone(&ill);
        let thread = thread::spawn(move || {
            for visitor in listener.incoming() {
                if flag.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = visitor {
                    let (body, ill) = (body.clone(), now_ill.load(Ordering::Relaxed));
                    thread::spawn(move || drop(serve(stream, &body, ill)));
                }
            }
        });
        Ok(Self { port, over, ill, thread: Some(thread) })
    }

    /// From now on it answers 500, or as it should.
    pub(super) fn set_ill(&self, ill: bool) {
        self.ill.store(ill, Ordering::Relaxed);
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Reads a request's head and answers.
fn serve(mut stream: TcpStream, body: &str, ill: bool) -> Result<()> {
    stream.set_read_timeout(Some(VISIT_LIMIT))?;
    stream.set_write_timeout(Some(VISIT_LIMIT))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    if ill {
        stream.write_all(
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        )?;
        return Ok(());
    }
    let bulk = String::from_utf8_lossy(&head)
        .strip_prefix("GET /octets/")
        .and_then(|rest| rest.split(' ').next().and_then(|count| count.parse::<usize>().ok()));
    let length = bulk.unwrap_or(body.len());
    let body = if bulk.is_some() { "x".repeat(length) } else { body.to_owned() };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(())
}
