//! The queue of fetches: no more are under way at the same time than tor builds circuits for, and whoever starts one sees how many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// With so many fetches in the queue for each that may be under way it is a long one.
const LONG: usize = 4;

/// The queue.
pub(super) struct Turns {
    /// One permit for each fetch at the same time.
    turns: Arc<Semaphore>,
    /// Fetches in the queue or under way.
    places: AtomicUsize,
    /// How many of them make a long queue.
    long: usize,
    /// How long a fetch waits for its turn.
    wait: Duration,
}

impl Turns {
    /// A queue of which `most` are under way at the same time, and the others wait so long.
    pub(super) fn new(most: usize, wait: Duration) -> Self {
        let (turns, places) = (Arc::new(Semaphore::new(most)), AtomicUsize::new(0));
        Self { turns, places, long: most.saturating_mul(LONG), wait }
    }

    /// Joins the queue: what is returned counts at once, before anybody waits for its turn.
    pub(super) fn join(self: &Arc<Self>) -> Place {
        self.places.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(self))
    }

    /// Whether one that joins now waits for several others to end.
    pub(super) fn are_long(&self) -> bool {
        self.places.load(Ordering::Relaxed) >= self.long
    }
}

/// A place in the queue; it is left when this is dropped.
pub(super) struct Place(Arc<Turns>);

impl Place {
    /// Waits for the turn, which lasts as long as what is returned; `None` if it does not come in time.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        timeout(self.0.wait, Arc::clone(&self.0.turns).acquire_owned()).await.ok()?.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::Relaxed);
    }
}
