//! Answers of many megabytes: read on a connection of their own, as a stream, without torut and its cap.
//!
//! The text is handed on in pieces with tor's line ends and dots undone; no copy of it is held.

use super::config::TorConfig;
use super::conn::{self, Limits};
use super::error::TorError;
use super::reply::shown;
use crate::consensus::{Consensus, ConsensusError, ConsensusReader};
use lines::{Buffer, Head, Piece};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

mod lines;

/// Octets read ahead by the stream itself: only the authentication passes there, larger reads go past it.
const READ_AHEAD: usize = 1024;
/// The consensus that a client has.
const CONSENSUS: &str = "dir/status-vote/current/consensus-microdesc";
/// All microdescriptors that tor has, one after the other.
const MICRODESCS: &str = "md/all";

/// Reads consensus and microdescriptors over a connection of their own.
pub(super) async fn network(config: &TorConfig, limits: &Limits) -> Result<Consensus, TorError> {
    let all = async {
        let stream = conn::authenticated(config, limits, READ_AHEAD).await?.into_inner();
        let mut bulk = Bulk { stream, buffer: Buffer::new(), limits };
        let mut reader = ConsensusReader::new();
        bulk.read(CONSENSUS, |text| reader.push(text)).await?;
        let mut reader = reader.end().map_err(unreadable)?;
        bulk.read(MICRODESCS, |text| reader.push(text)).await?;
        reader.end().map_err(unreadable)
    };
    let late = |_elapsed| stalled(CONSENSUS, "the time for the whole answer is over");
    timeout(limits.bulk, all).await.map_err(late)?
}

/// A connection that reads large answers.
struct Bulk<'a, S> {
    /// The connection, authenticated and without events.
    stream: S,
    /// What has been read and not handed on.
    buffer: Buffer,
    /// The deadlines.
    limits: &'a Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Bulk<'_, S> {
    /// Asks for `key` and hands its text to `take`, piece by piece.
    async fn read(
        &mut self,
        key: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), ConsensusError>,
    ) -> Result<(), TorError> {
        let ended = |_error| stalled(key, "the connection ended");
        self.stream.write_all(format!("GETINFO {key}\r\n").as_bytes()).await.map_err(ended)?;
        self.stream.flush().await.map_err(ended)?;
        let mut left = self.limits.bulk_octets;
        match self.head(key, &mut left).await? {
            Head::Data => self.data(key, &mut left, &mut take).await?,
            Head::Value(value) => take(&value).map_err(unreadable)?,
        }
        self.ok(key, &mut left).await
    }

    /// The first line of the answer.
    async fn head(&mut self, key: &str, left: &mut u64) -> Result<Head, TorError> {
        let line = self.line(key, left).await?;
        Head::parse(&line, key).ok_or_else(|| refusal(key, &line))
    }

    /// The data block.
    async fn data(
        &mut self,
        key: &str,
        left: &mut u64,
        take: &mut impl FnMut(&[u8]) -> Result<(), ConsensusError>,
    ) -> Result<(), TorError> {
        loop {
            let Piece { text, end } = self.buffer.take_text();
            take(text).map_err(unreadable)?;
            if end {
                return Ok(());
            }
            self.more(key, left).await?;
        }
    }

    /// Wants `250 OK` after the value.
    async fn ok(&mut self, key: &str, left: &mut u64) -> Result<(), TorError> {
        let line = self.line(key, left).await?;
        if line.starts_with(b"250 ") { Ok(()) } else { Err(refusal(key, &line)) }
    }

    /// The next line, without its end.
    async fn line(&mut self, key: &str, left: &mut u64) -> Result<Vec<u8>, TorError> {
        loop {
            if let Some(line) = self.buffer.take_line() {
                return Ok(line);
            }
            self.more(key, left).await?;
        }
    }

    /// Reads more octets, within the deadline and the cap.
    async fn more(&mut self, key: &str, left: &mut u64) -> Result<(), TorError> {
        let too_long = || malformed(key, "a line is longer than the buffer".to_owned());
        let room = self.buffer.room().ok_or_else(too_long)?;
        let read = timeout(self.limits.progress, self.stream.read(room)).await;
        let read = read.map_err(|_elapsed| stalled(key, "nothing came for too long"))?;
        match read.map_err(|_error| stalled(key, "the connection broke"))? {
            0 => return Err(stalled(key, "the connection ended in the middle")),
            count => {
                self.buffer.filled(count);
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                let too_large =
                    || TorError::TooLarge { command: format!("GETINFO {key}"), cap: self.limits.bulk_octets };
                *left = left.checked_sub(count).ok_or_else(too_large)?;
            }
        }
        Ok(())
    }
}

/// The error for a line that is not what belongs there: tor's refusal, or no reply at all.
fn refusal(key: &str, line: &[u8]) -> TorError {
    let text = String::from_utf8_lossy(line);
    let code = text.get(..3).and_then(|code| code.parse().ok());
    match code {
        Some(code @ 400..=599) => TorError::Rejected {
            command: format!("GETINFO {key}"),
            code,
            text: shown(text.get(4..).unwrap_or_default()),
        },
        Some(_) | None => malformed(key, shown(&text)),
    }
}

/// The error for an answer that is no answer.
fn malformed(key: &str, what: String) -> TorError {
    TorError::Malformed { command: format!("GETINFO {key}"), what }
}

/// The error for an answer that does not come to its end.
fn stalled(key: &str, what: &'static str) -> TorError {
    TorError::Stalled { command: format!("GETINFO {key}"), what }
}

/// The error for a text that cannot be read.
fn unreadable(error: ConsensusError) -> TorError {
    TorError::Consensus(Arc::new(error))
}
