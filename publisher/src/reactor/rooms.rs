//! How much may be under way at the same time, in all and of one service: tor is not asked for too much at once, and a service whose work is
//! not answered leaves the others theirs.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many uploads may be under way at the same time.
const UPLOADS: usize = 32;
/// How many of one service: both descriptors to eight HSDirs each, and half of what there is room for.
const OWN_UPLOADS: usize = 16;
/// How many probes may be under way at the same time: C tor builds so many circuits for clients at a time. Each has at most two connections.
///
/// Spec: C tor, `MaxClientCircuitsPending`.
pub(super) const PROBES: usize = 32;
/// How many of one service: most of them, as many publishers have one service only, and some are left for the others.
pub(super) const OWN_PROBES: usize = 24;

/// One permit for each thing of a kind that may be under way.
#[derive(Debug)]
pub(super) struct Rooms {
    /// For uploads.
    uploads: Arc<Semaphore>,
    /// For probes.
    probes: Arc<Semaphore>,
}

impl Rooms {
    /// The room of all services together.
    pub(super) fn of_all() -> Self {
        Self::new(UPLOADS, PROBES)
    }

    /// The room of one service.
    pub(super) fn of_one() -> Self {
        Self::new(OWN_UPLOADS, OWN_PROBES)
    }

    /// Room for so many uploads and probes.
    fn new(uploads: usize, probes: usize) -> Self {
        Self { uploads: Arc::new(Semaphore::new(uploads)), probes: Arc::new(Semaphore::new(probes)) }
    }

    /// For one upload of a service, of which this is the room.
    pub(super) fn upload(&self, all: &Self) -> Room {
        Room { all: Arc::clone(&all.uploads), own: Arc::clone(&self.uploads) }
    }

    /// For one probe of a service, of which this is the room.
    pub(super) fn probe(&self, all: &Self) -> Room {
        Room { all: Arc::clone(&all.probes), own: Arc::clone(&self.probes) }
    }

    /// Probes that wait for their turn are no longer wanted: they never get it.
    pub(super) fn give_up_probes(&mut self) {
        self.probes.close();
        self.probes = Self::of_one().probes;
    }
}

/// Room for one thing.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// For all services.
    all: Arc<Semaphore>,
    /// For the one service.
    own: Arc<Semaphore>,
}

/// A turn that has come; it lasts until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// That of the service.
    _own: OwnedSemaphorePermit,
    /// One of all; none if others have it meanwhile.
    all: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Leaves the turn to another service, or to another thing of this one as far as it has room.
    pub(super) fn lend(&mut self) {
        self.all = None;
    }
}

impl Room {
    /// Waits for the turn, at most so long; `None` if it does not come.
    pub(super) async fn turn(self, most: Duration) -> Option<Held> {
        let enter =
            async { Some((self.own.acquire_owned().await.ok()?, self.all.acquire_owned().await.ok()?)) };
        let (own, all) = timeout(most, enter).await.ok().flatten()?;
        // It may have been given up while it waited for the others.
        (!own.semaphore().is_closed()).then_some(Held { _own: own, all: Some(all) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for what comes at all.
    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn one_service_leaves_others_their_turn_and_all_together_have_no_more_than_there_are() {
        let (all, one, other) = (Rooms::of_all(), Rooms::of_one(), Rooms::of_one());
        let mut held = Vec::new();
        while let Some(turn) = one.probe(&all).turn(SOON).await {
            held.push(turn);
        }
        assert_eq!(held.len(), OWN_PROBES);
        while let Some(turn) = other.probe(&all).turn(SOON).await {
            held.push(turn);
        }
        assert_eq!(held.len(), PROBES);
        assert!(one.upload(&all).turn(SOON).await.is_some(), "uploads have room of their own");
        held.pop();
        assert!(other.probe(&all).turn(SOON).await.is_some(), "a turn ends when it is dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_are_given_up_never_come_and_new_ones_do() {
        let (all, mut one) = (Rooms::of_all(), Rooms::of_one());
        let mut held = Vec::new();
        while let Some(turn) = one.probe(&all).turn(SOON).await {
            held.push(turn);
        }
        let waiting = tokio::spawn(one.probe(&all).turn(Duration::from_secs(3600)));
        tokio::task::yield_now().await;
        let before = tokio::time::Instant::now();
        one.give_up_probes();
        assert!(waiting.await.unwrap().is_none());
        assert_eq!(before.elapsed(), Duration::ZERO, "at once");
        assert!(one.probe(&all).turn(SOON).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_are_given_up_while_they_wait_for_other_services_never_come() {
        let (all, mut one, other) = (Rooms::new(1, 1), Rooms::of_one(), Rooms::of_one());
        let held = other.probe(&all).turn(SOON).await.unwrap();
        let waiting = tokio::spawn(one.probe(&all).turn(Duration::from_secs(3600)));
        tokio::task::yield_now().await;
        one.give_up_probes();
        drop(held);
        assert!(waiting.await.unwrap().is_none());
        assert!(one.probe(&all).turn(SOON).await.is_some());
    }
}
