//! Descriptors by HSFETCH: one command for each `HSDir`, its outcome by event.
//!
//! With `SERVER=` tor asks exactly that relay and neither its cache nor its 15-minute rule. Some failures (a broken circuit)
//! give no event at all, so each fetch has a deadline of its own.

use super::conn::Link;
use super::error::FetchFailure;
use super::open::{Key, Kind, Outcome};
use super::reply::shown;
use super::turns::Place;
use crate::consensus::Fingerprint;
use onionkeep_common::OnionAddress;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// One `HSDir` and what came of asking it.
pub(super) type Fetched = (Fingerprint, Result<Vec<u8>, FetchFailure>);

/// Asks all these `HSDir`s at once, whatever else is asked: for what an upload waits for.
pub(super) async fn from_all(
    link: &Arc<Link>,
    onion: &OnionAddress,
    hsdirs: &[Fingerprint],
    deadline: Duration,
) -> Vec<Fetched> {
    let mut wanted: Vec<Fingerprint> = Vec::with_capacity(hsdirs.len());
    let mut asked = JoinSet::new();
    for hsdir in hsdirs {
        if wanted.contains(hsdir) {
            continue;
        }
        wanted.push(*hsdir);
        let (link, onion, hsdir) = (Arc::clone(link), *onion, *hsdir);
        asked.spawn(async move { (hsdir, within(&link, &onion, hsdir, deadline).await) });
    }
    let mut answers: Vec<Fetched> = Vec::with_capacity(wanted.len());
    while let Some(joined) = asked.join_next().await {
        answers.extend(joined);
    }
    // A task that did not come to its end, at the end of the runtime, counts as lost.
    let lost = |hsdir| (hsdir, Err(FetchFailure::ConnectionLost));
    let answer = |hsdir| answers.iter().find(|(of, _)| *of == hsdir).cloned().unwrap_or_else(|| lost(hsdir));
    wanted.into_iter().map(answer).collect()
}

/// Asks one `HSDir` when its turn comes; the deadline begins then.
pub(super) async fn in_turn(
    link: &Link,
    place: Place,
    onion: &OnionAddress,
    hsdir: Fingerprint,
    deadline: Duration,
) -> Result<Vec<u8>, FetchFailure> {
    let Some(_turn) = place.turn().await else { return Err(FetchFailure::NoTurn) };
    within(link, onion, hsdir, deadline).await
}

/// Asks one `HSDir` at once.
async fn within(
    link: &Link,
    onion: &OnionAddress,
    hsdir: Fingerprint,
    deadline: Duration,
) -> Result<Vec<u8>, FetchFailure> {
    timeout(deadline, from_one(link, onion, hsdir)).await.unwrap_or(Err(FetchFailure::Timeout))
}

/// Asks one `HSDir`; the caller gives the deadline.
///
/// Spec: control-spec, 3.35 (HSFETCH).
async fn from_one(link: &Link, onion: &OnionAddress, hsdir: Fingerprint) -> Result<Vec<u8>, FetchFailure> {
    let lost = |_closed| FetchFailure::ConnectionLost;
    let key = Key::of(onion, hsdir);
    let command = format!("HSFETCH {} SERVER={hsdir}", key.onion());
    let (_ticket, outcome) = link.open().enter(key, Kind::Fetch).await.map_err(lost)?;
    let reply = link.ask(&command).await;
    let reply = reply.map_err(|_ended| FetchFailure::ConnectionLost)?;
    match reply.code {
        250 => match outcome.await.map_err(|_ended| FetchFailure::ConnectionLost)? {
            Outcome::Content(text) => Ok(text),
            Outcome::Failed(reason) => Err(failure(reason)),
            Outcome::Uploaded => Err(FetchFailure::Unexpected("UPLOADED".to_owned())),
        },
        552 => Err(FetchFailure::UnknownServer(hsdir)),
        code => Err(FetchFailure::Refused(format!("{code} {}", shown(reply.first())))),
    }
}

/// tor's reason as a failure.
///
/// Spec: control-spec, 4.1.25 (`REASON`).
fn failure(reason: String) -> FetchFailure {
    match reason.as_str() {
        "NOT_FOUND" => FetchFailure::NotFound,
        "BAD_DESC" => FetchFailure::BadDescriptor,
        "QUERY_REJECTED" => FetchFailure::QueryRejected,
        _other => FetchFailure::Unexpected(reason),
    }
}
