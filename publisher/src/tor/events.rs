//! What tor tells unasked: the only place that reads 650 lines.

use super::open::{Key, Outcome};
use super::reply::{Reply, argument, shown, words};
use super::status::Bootstrap;
use crate::consensus::Fingerprint;
use onionkeep_common::OnionAddress;

/// The events that we subscribe to. NEWCONSENSUS is left out: it repeats the whole consensus.
pub(super) const SUBSCRIBED: &str = "HS_DESC HS_DESC_CONTENT STATUS_CLIENT STATUS_GENERAL NETWORK_LIVENESS";

/// News of tor that are not the answer to anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TorEvent {
    /// The bootstrap went on, or met a problem.
    Bootstrap(Bootstrap),
    /// tor has another consensus: ask for its valid-after, then read it.
    NewConsensus,
    /// Whether tor now has enough directory information to build circuits.
    EnoughDirInfo(bool),
    /// Whether tor now can build circuits.
    Circuits(bool),
    /// Whether tor now sees the network.
    Network(bool),
    /// By how many seconds our clock is ahead, negative if behind, as an authority or a consensus told tor.
    ClockSkew(i64),
    /// A descriptor that nobody here waits for: tor fetched it by itself, since it knew none or the points that it knew do not answer, or it
    /// came too late.
    Descriptor(OnionAddress, Vec<u8>),
}

/// One event, as far as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// For the reactor.
    News(TorEvent),
    /// What became of a fetch or an upload.
    Directory(Key, Outcome),
    /// A status event without further meaning here.
    Status,
    /// Anything else.
    Unknown,
}

impl Event {
    /// Reads an event; what is not known or not well formed becomes [`Event::Unknown`].
    ///
    /// Spec: control-spec, 4.1.
    pub(super) fn of(reply: Reply) -> Self {
        let line = reply.first();
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        match name {
            "STATUS_CLIENT" => status(rest),
            "STATUS_GENERAL" => general(rest),
            "HS_DESC" => {
                directory(rest).map_or(Self::Unknown, |(key, outcome)| Self::Directory(key, outcome))
            }
            "HS_DESC_CONTENT" => content(reply).unwrap_or(Self::Unknown),
            "NETWORK_LIVENESS" => match rest.trim_end() {
                "UP" => Self::News(TorEvent::Network(true)),
                "DOWN" => Self::News(TorEvent::Network(false)),
                _other => Self::Unknown,
            },
            _other => Self::Unknown,
        }
    }
}

/// `STATUS_CLIENT SEVERITY ACTION [ARGUMENTS]`.
///
/// Spec: control-spec, 4.1.10.
fn status(rest: &str) -> Event {
    match words(rest).nth(1) {
        Some("BOOTSTRAP") => {
            Bootstrap::parse(rest).map_or(Event::Unknown, |state| Event::News(TorEvent::Bootstrap(state)))
        }
        Some("CONSENSUS_ARRIVED") => Event::News(TorEvent::NewConsensus),
        Some("ENOUGH_DIR_INFO") => Event::News(TorEvent::EnoughDirInfo(true)),
        Some("NOT_ENOUGH_DIR_INFO") => Event::News(TorEvent::EnoughDirInfo(false)),
        Some("CIRCUIT_ESTABLISHED") => Event::News(TorEvent::Circuits(true)),
        Some("CIRCUIT_NOT_ESTABLISHED") => Event::News(TorEvent::Circuits(false)),
        Some(_) | None => Event::Status,
    }
}

/// `STATUS_GENERAL SEVERITY ACTION [ARGUMENTS]`. Of a clock tor tells the controller only what it trusts.
///
/// Spec: control-spec, 4.1.10 (`CLOCK_SKEW`); C tor, `clock_skew_warning`, `warn_early_consensus`.
fn general(rest: &str) -> Event {
    if words(rest).nth(1) != Some("CLOCK_SKEW") {
        return Event::Status;
    }
    let ahead = argument(rest, "SKEW").or_else(|| argument(rest, "MIN_SKEW"));
    let ahead = ahead.and_then(|ahead| ahead.parse().ok());
    ahead.map_or(Event::Unknown, |ahead| Event::News(TorEvent::ClockSkew(ahead)))
}

/// `HS_DESC ACTION ADDRESS AUTH HSDIR [BLINDED] [KEY=VALUE...]`; only the actions that end something.
///
/// Spec: control-spec, 4.1.25.
fn directory(rest: &str) -> Option<(Key, Outcome)> {
    let mut fields = words(rest);
    let action = fields.next()?;
    let address = fields.next()?;
    let key = Key::new(address, relay(fields.nth(1)?)?)?;
    match action {
        "UPLOADED" => Some((key, Outcome::Uploaded)),
        "FAILED" => {
            let reason =
                argument(rest, "REASON").map_or_else(|| "no reason".to_owned(), |reason| shown(&reason));
            Some((key, Outcome::Failed(reason)))
        }
        _other => None,
    }
}

/// `HS_DESC_CONTENT ADDRESS BLINDED HSDIR` and the descriptor. An empty one only follows a failure that was told already.
///
/// Spec: control-spec, 4.1.26.
fn content(reply: Reply) -> Option<Event> {
    let key = {
        let mut fields = words(reply.first()).skip(1);
        let address = fields.next()?;
        Key::new(address, relay(fields.nth(1)?)?)?
    };
    let text = reply.into_data();
    (!text.is_empty()).then_some(Event::Directory(key, Outcome::Content(text)))
}

/// The fingerprint in `$FINGERPRINT~nickname`, `$FINGERPRINT=nickname` or `$FINGERPRINT`.
fn relay(word: &str) -> Option<Fingerprint> {
    let word = word.strip_prefix('$').unwrap_or(word);
    word.split(['~', '=']).next()?.parse().ok()
}

#[cfg(test)]
mod tests;
