//! The fetches and uploads that wait for an event: the only place that says which event belongs to whom.
//!
//! tor's events name the onion and the `HSDir`, not the command. So there is never more than one request about the same pair,
//! and an event about a pair without a request (of another controller, by tor itself, or too late) is given back.

use crate::consensus::Fingerprint;
use onionkeep_common::OnionAddress;
use onionkeep_common::address::ADDRESS_LEN;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// The pair that tor's events are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The address, lower case, without `.onion`.
    onion: String,
    /// The relay.
    hsdir: Fingerprint,
}

impl Key {
    /// The pair of an address as tor writes it, and a relay; `None` if the address has not 56 characters.
    pub(super) fn new(onion: &str, hsdir: Fingerprint) -> Option<Self> {
        (onion.len() == ADDRESS_LEN).then(|| Self { onion: onion.to_ascii_lowercase(), hsdir })
    }

    /// The address, as commands have it.
    pub(super) fn onion(&self) -> &str {
        &self.onion
    }

    /// The service; `None` if tor's word is no address.
    pub(super) fn address(&self) -> Option<OnionAddress> {
        format!("{}.onion", self.onion).parse().ok()
    }

    /// The pair of an address and a relay.
    pub(super) fn of(onion: &OnionAddress, hsdir: Fingerprint) -> Self {
        Self { onion: onion.bare().to_string(), hsdir }
    }
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A descriptor.
    Fetch,
    /// The confirmation of an upload.
    Upload,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The descriptor came.
    Content(Vec<u8>),
    /// The `HSDir` has taken the upload.
    Uploaded,
    /// It failed; tor's reason.
    Failed(String),
}

impl Outcome {
    /// Whether this can be the outcome of a request of this kind.
    ///
    /// `UNEXPECTED` may end either; tor says `UPLOAD_REJECTED` of uploads only and the other reasons of fetches only.
    ///
    /// Spec: C tor, `control_event_hs_descriptor_failed` and its callers.
    fn fits(&self, kind: Kind) -> bool {
        let upload = match self {
            Self::Content(_) => Some(false),
            Self::Uploaded => Some(true),
            Self::Failed(reason) => match reason.as_str() {
                "UPLOAD_REJECTED" => Some(true),
                "NOT_FOUND" | "BAD_DESC" | "QUERY_REJECTED" | "QUERY_NO_HSDIR" | "QUERY_RATE_LIMITED" => {
                    Some(false)
                }
                _other => None,
            },
        };
        upload.is_none_or(|upload| upload == (kind == Kind::Upload))
    }
}

/// One request's place.
struct Slot {
    /// What it waits for.
    kind: Kind,
    /// Where the outcome goes; gone once it has been sent.
    answer: Option<oneshot::Sender<Outcome>>,
}

/// The table behind the lock.
#[derive(Default)]
struct Table {
    /// Whether the connection has ended.
    closed: bool,
    /// The requests.
    slots: HashMap<Key, Slot>,
}

/// All open requests of a connection.
#[derive(Default)]
pub(super) struct Open {
    /// The requests.
    table: Mutex<Table>,
    /// Woken when a pair becomes free, and at the end of the connection.
    freed: Notify,
}

/// The connection has ended.
#[derive(Debug)]
pub(super) struct Closed;

/// A request's place in the table; frees the pair when dropped.
pub(super) struct Ticket {
    /// The table.
    open: Arc<Open>,
    /// The pair.
    key: Key,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.open.lock().slots.remove(&self.key);
        self.open.freed.notify_waiters();
    }
}

impl Open {
    /// The table. A panic elsewhere leaves it usable.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the pair is free, then takes it. The caller gives the deadline.
    pub(super) async fn enter(
        self: &Arc<Self>,
        key: Key,
        kind: Kind,
    ) -> Result<(Ticket, oneshot::Receiver<Outcome>), Closed> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(answer) = self.take(&key, kind)? {
                return Ok((Ticket { open: Arc::clone(self), key }, answer));
            }
            freed.await;
        }
    }

    /// Takes the pair if it is free.
    fn take(&self, key: &Key, kind: Kind) -> Result<Option<oneshot::Receiver<Outcome>>, Closed> {
        let mut table = self.lock();
        if table.closed {
            return Err(Closed);
        }
        if table.slots.contains_key(key) {
            return Ok(None);
        }
        let (answer, outcome) = oneshot::channel();
        table.slots.insert(key.clone(), Slot { kind, answer: Some(answer) });
        Ok(Some(outcome))
    }

    /// Gives an outcome to the request that it fits; gives it back if there is none.
    pub(super) fn deliver(&self, key: &Key, outcome: Outcome) -> Option<Outcome> {
        let mut table = self.lock();
        let slot = table.slots.get_mut(key).filter(|slot| outcome.fits(slot.kind));
        match slot.and_then(|slot| slot.answer.take()) {
            // The request may have given up already.
            Some(answer) => answer.send(outcome).err(),
            None => Some(outcome),
        }
    }

    /// Ends all requests: the connection is gone.
    pub(super) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        for slot in table.slots.values_mut() {
            slot.answer = None;
        }
        drop(table);
        self.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn key(octet: u8) -> Key {
        Key::new(&"a".repeat(ADDRESS_LEN), Fingerprint([octet; 20])).unwrap()
    }

    #[tokio::test]
    async fn an_outcome_reaches_only_the_request_that_it_fits() {
        let open = Arc::new(Open::default());
        let (_fetch, mut fetched) = open.enter(key(1), Kind::Fetch).await.unwrap();
        let (_upload, mut uploaded) = open.enter(key(2), Kind::Upload).await.unwrap();
        for (of, outcome) in [
            (1, Outcome::Uploaded),
            (1, Outcome::Failed("UPLOAD_REJECTED".into())),
            (2, Outcome::Content(vec![1])),
            (2, Outcome::Failed("NOT_FOUND".into())),
            (3, Outcome::Uploaded),
        ] {
            assert_eq!(open.deliver(&key(of), outcome.clone()), Some(outcome), "nobody waits for it");
        }
        assert!(fetched.try_recv().is_err() && uploaded.try_recv().is_err());
        assert_eq!(open.deliver(&key(1), Outcome::Failed("UNEXPECTED".into())), None);
        assert_eq!(open.deliver(&key(2), Outcome::Uploaded), None);
        assert_eq!(fetched.await.unwrap(), Outcome::Failed("UNEXPECTED".into()));
        assert_eq!(uploaded.await.unwrap(), Outcome::Uploaded);
    }

    #[tokio::test]
    async fn the_second_request_about_a_pair_waits_for_the_first() {
        let open = Arc::new(Open::default());
        let (first, _outcome) = open.enter(key(1), Kind::Upload).await.unwrap();
        let soon = Duration::from_millis(30);
        assert!(timeout(soon, open.enter(key(1), Kind::Fetch)).await.is_err());
        let waiting = {
            let open = Arc::clone(&open);
            tokio::spawn(async move { open.enter(key(1), Kind::Fetch).await.is_ok() })
        };
        tokio::task::yield_now().await;
        drop(first);
        assert!(timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn the_end_of_the_connection_ends_all() {
        let open = Arc::new(Open::default());
        let (_ticket, outcome) = open.enter(key(1), Kind::Upload).await.unwrap();
        let waiting = {
            let open = Arc::clone(&open);
            tokio::spawn(async move { open.enter(key(1), Kind::Fetch).await.is_err() })
        };
        tokio::task::yield_now().await;
        open.close();
        assert!(outcome.await.is_err());
        assert!(waiting.await.unwrap());
        assert!(open.enter(key(2), Kind::Fetch).await.is_err());
    }
}
