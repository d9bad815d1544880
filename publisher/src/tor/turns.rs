//! The queue of fetches: no more are under way at the same time than tor builds circuits for, no service takes all turns, and whoever
//! starts a fetch sees how many wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// With so many fetches in the queue for each that may be under way it is a long one.
const LONG: usize = 4;

/// The queue: a lane for each service, and one that all lanes lead to.
pub(super) struct Turns {
    /// One permit for each fetch at the same time.
    all: Arc<Semaphore>,
    /// How many these are, and how many of them one service may have.
    most: (usize, usize),
    /// How long a fetch waits for its turn.
    wait: Duration,
    /// The services that have fetches in the queue or under way.
    lanes: Mutex<BTreeMap<usize, Lane>>,
}

/// What one service has in the queue.
struct Lane {
    /// One permit for each fetch of it at the same time.
    turns: Arc<Semaphore>,
    /// Its fetches in the queue or under way.
    places: usize,
}

impl Turns {
    /// A queue of which `most` are under way at the same time, no more than `own` of one service, and the others wait so long.
    pub(super) fn new((most, own): (usize, usize), wait: Duration) -> Self {
        Self { all: Arc::new(Semaphore::new(most)), most: (most, own), wait, lanes: Mutex::default() }
    }

    /// The lanes. A panic elsewhere leaves them usable.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fetch of a service joins the queue: what is returned counts at once, before anybody waits for its turn.
    pub(super) fn join(self: &Arc<Self>, service: usize) -> Place {
        let (_most, own) = self.most;
        let new = || Lane { turns: Arc::new(Semaphore::new(own)), places: 0 };
        let mut lanes = self.lock();
        let lane = lanes.entry(service).or_insert_with(new);
        lane.places = lane.places.saturating_add(1);
        Place { queue: Arc::clone(self), service, own: Arc::clone(&lane.turns) }
    }

    /// Whether a fetch of this service that joins now waits for several others to end: of its own, or of many services.
    pub(super) fn are_long(&self, service: usize) -> bool {
        let (most, own) = self.most;
        let lanes = self.lock();
        let ahead = lanes.values().map(|lane| lane.places.min(own)).fold(0, usize::saturating_add);
        lanes.get(&service).is_some_and(|lane| lane.places >= own.saturating_mul(LONG))
            || ahead >= most.saturating_mul(LONG)
    }
}

/// A place in the queue; it is left when this is dropped.
pub(super) struct Place {
    /// The queue.
    queue: Arc<Turns>,
    /// The service that it is for.
    service: usize,
    /// The turns of that service.
    own: Arc<Semaphore>,
}

impl Place {
    /// Waits for the turn, which lasts as long as what is returned; `None` if it does not come in time.
    pub(super) async fn turn(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let both = async {
            let own = Arc::clone(&self.own).acquire_owned().await.ok()?;
            Some([own, Arc::clone(&self.queue.all).acquire_owned().await.ok()?])
        };
        timeout(self.queue.wait, both).await.ok()?
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.queue.lock();
        let Some(lane) = lanes.get_mut(&self.service) else { return };
        lane.places = lane.places.saturating_sub(1);
        if lane.places == 0 {
            lanes.remove(&self.service);
        }
    }
}
