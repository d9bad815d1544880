//! The harness's own eyes on a tor: the only place of the harness that speaks the control protocol.
//!
//! Blocking and small on purpose; it shares no code with the publisher, which is one of the things it judges.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Longest time one read may take when nothing else is said.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// One reply or event: the text of its first line without the status code, and the data block if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Status code, 650 for events.
    pub code: u16,
    /// The line after the code and its separator.
    pub text: String,
    /// The data block after it, line ends as LF; empty without one.
    pub data: String,
}

/// An authenticated connection.
pub struct Control {
    /// The socket; lines end with CRLF.
    stream: BufReader<UnixStream>,
    /// Events that came while a reply was awaited.
    events: VecDeque<Line>,
}

impl Control {
    /// Connects and authenticates with the cookie file.
    pub fn connect(socket: &Path, cookie: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("no control at {}", socket.display()))?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        let mut control = Self { stream: BufReader::new(stream), events: VecDeque::new() };
        let secret = std::fs::read(cookie).with_context(|| format!("no cookie at {}", cookie.display()))?;
        control.ask(&format!("AUTHENTICATE {}", data_encoding::HEXUPPER.encode(&secret)))?;
        Ok(control)
    }

    /// Sends one command and returns the lines of its reply; anything but 250 is an error.
    pub fn ask(&mut self, command: &str) -> Result<Vec<Line>> {
        self.stream.get_ref().set_read_timeout(Some(REPLY_LIMIT))?;
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        let verb = command.split(' ').next().unwrap_or_default();
        let reply = self.read_reply().with_context(|| format!("no reply to {verb}"))?;
        let last = reply.last().context("empty reply")?;
        ensure!(last.code == 250, "{verb}: {} {}", last.code, last.text);
        Ok(reply)
    }

    /// `GETINFO` of one key.
    pub fn info(&mut self, key: &str) -> Result<String> {
        let reply = self.ask(&format!("GETINFO {key}"))?;
        let first = reply.first().context("empty reply")?;
        let value =
            first.text.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')).context("another key")?;
        Ok(if first.data.is_empty() { value.to_owned() } else { first.data.clone() })
    }

    /// Waits for the first event, old or new, that `wanted` accepts; others are dropped.
    pub fn event(&mut self, what: &str, limit: Duration, wanted: impl Fn(&Line) -> bool) -> Result<Line> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(event) = self.events.pop_front() {
                if wanted(&event) {
                    return Ok(event);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "waited {} s in vain for the event: {what}", limit.as_secs());
            self.stream.get_ref().set_read_timeout(Some(left))?;
            let reply = self.read_group().with_context(|| format!("waiting for the event: {what}"))?;
            self.events.extend(reply);
        }
    }

    /// Every event that has arrived until `limit` passes in silence.
    pub fn drain_events(&mut self, limit: Duration) -> Vec<Line> {
        while self.stream.get_ref().set_read_timeout(Some(limit)).is_ok() {
            match self.read_group() {
                Ok(group) => self.events.extend(group),
                Err(_) => break,
            }
        }
        self.events.drain(..).collect()
    }

    /// Reads groups until one is a reply; events on the way are kept.
    fn read_reply(&mut self) -> Result<Vec<Line>> {
        loop {
            let group = self.read_group()?;
            if group.first().is_some_and(|line| line.code == 650) {
                self.events.extend(group);
            } else {
                return Ok(group);
            }
        }
    }

    /// Reads lines up to the one that ends its reply or event.
    fn read_group(&mut self) -> Result<Vec<Line>> {
        let mut group = Vec::new();
        loop {
            let raw = self.read_line()?;
            ensure!(raw.len() >= 4 && raw.is_char_boundary(3) && raw.is_char_boundary(4), "odd line {raw:?}");
            let code = raw[..3].parse().with_context(|| format!("odd line {raw:?}"))?;
            let data = if raw[3..].starts_with('+') { self.read_data()? } else { String::new() };
            let is_last = raw[3..].starts_with(' ');
            group.push(Line { code, text: raw[4..].to_owned(), data });
            if is_last {
                return Ok(group);
            }
        }
    }

    /// The lines of a data block, dots unstuffed.
    fn read_data(&mut self) -> Result<String> {
        let mut data = String::new();
        loop {
            let line = self.read_line()?;
            if line == "." {
                return Ok(data);
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
        }
    }

    /// One line without its end.
    fn read_line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("tor closed the control connection");
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose other end has already said `script`.
    fn scripted(script: &str) -> Control {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(script.as_bytes()).unwrap();
        std::mem::forget(theirs);
        Control { stream: BufReader::new(ours), events: VecDeque::new() }
    }

    #[test]
    fn an_event_before_a_reply_is_kept_for_later() {
        let mut control = scripted("650 HS_DESC UPLOADED a\r\n250-version=0.4.9\r\n250 OK\r\n");
        assert_eq!(control.info("version").unwrap(), "0.4.9");
        let event =
            control.event("upload", Duration::from_secs(1), |line| line.text.contains("UPLOADED")).unwrap();
        assert_eq!(event.text, "HS_DESC UPLOADED a");
    }

    #[test]
    fn a_data_block_is_unstuffed() {
        let mut control = scripted("250+ns/all=\r\nr one\r\n..dot\r\n.\r\n250 OK\r\n");
        assert_eq!(control.info("ns/all").unwrap(), "r one\n.dot\n");
    }

    #[test]
    fn a_refusal_is_an_error_with_tors_words() {
        let error = scripted("552 Unrecognized key \"x\"\r\n").info("x").unwrap_err();
        assert!(error.to_string().contains("552 Unrecognized key"), "{error}");
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut control = Control { stream: BufReader::new(ours), events: VecDeque::new() };
        assert!(control.info("version").is_err());
    }
}
