//! Uploads by HSPOST: one command for each `HSDir`, confirmed by event.
//!
//! `HSADDRESS=` is always sent: without it tor never answers the command. tor accepts an upload before it is made, so only
//! `UPLOADED` says that it arrived; a broken circuit gives no event at all.

use super::conn::Link;
use super::error::PostFailure;
use super::open::{Key, Kind, Outcome};
use super::reply::{shown, stuffed};
use crate::consensus::Fingerprint;
use onionkeep_common::OnionAddress;
use std::time::Duration;
use tokio::time::timeout;

/// Uploads to one `HSDir` and waits for the outcome.
pub(super) async fn to_one(
    link: &Link,
    onion: &OnionAddress,
    hsdir: Fingerprint,
    descriptor: &str,
    deadline: Duration,
) -> Result<(), PostFailure> {
    timeout(deadline, confirmed(link, onion, hsdir, descriptor)).await.unwrap_or(Err(PostFailure::Timeout))
}

/// Uploads; the caller gives the deadline.
///
/// Spec: control-spec, 3.34 (HSPOST).
async fn confirmed(
    link: &Link,
    onion: &OnionAddress,
    hsdir: Fingerprint,
    descriptor: &str,
) -> Result<(), PostFailure> {
    let lost = |_closed| PostFailure::ConnectionLost;
    let (_ticket, outcome) = link.open().enter(Key::of(onion, hsdir), Kind::Upload).await.map_err(lost)?;
    let mut command = format!("+HSPOST SERVER={hsdir} HSADDRESS={}\r\n", onion.bare()).into_bytes();
    command.append(&mut stuffed(descriptor));
    let reply = link.ask_raw("HSPOST", command).await.map_err(|_ended| PostFailure::ConnectionLost)?;
    match reply.code {
        250 => match outcome.await.map_err(|_ended| PostFailure::ConnectionLost)? {
            Outcome::Uploaded => Ok(()),
            Outcome::Failed(reason) if reason == "UPLOAD_REJECTED" => Err(PostFailure::Rejected),
            Outcome::Failed(reason) => Err(PostFailure::Unexpected(reason)),
            Outcome::Content(_) => Err(PostFailure::Unexpected("RECEIVED".to_owned())),
        },
        552 => Err(PostFailure::UnknownServer(hsdir)),
        554 => Err(PostFailure::InvalidDescriptor),
        code => Err(PostFailure::Refused(format!("{code} {}", shown(reply.first())))),
    }
}
