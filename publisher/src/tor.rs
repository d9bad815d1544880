//! The way to the local tor: the only place that the rest of the publisher asks for the network.
//!
//! [`Tor`] is a cheap handle. One task owns the connection, reads without ever cancelling a read, and gives each reply to
//! the request that waits for it. Every request ends: by its answer, by its deadline, or with the connection.

mod auth;
mod bulk;
mod config;
mod conn;
mod error;
mod events;
mod fetch;
mod framing;
mod open;
mod post;
mod query;
mod reply;
mod status;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

pub use config::{ControlAddr, ControlAddrError, Password, TorConfig};
pub use error::{FetchFailure, PostFailure, TorError};
pub use events::TorEvent;
pub use status::Bootstrap;

use crate::consensus::{Consensus, Fingerprint};
use conn::Link;
use onionkeep_common::{OnionAddress, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A connection to tor that is authenticated and subscribed to its events.
///
/// The connection closes when the last clone is dropped.
#[derive(Clone)]
pub struct Tor {
    /// The way to the task that owns the connection.
    link: Arc<Link>,
}

impl Tor {
    /// Connects, authenticates and subscribes. The receiver gives tor's news and closes when the connection ends.
    ///
    /// # Errors
    /// [`TorError`] if tor is not there, is not let in, or does not answer in time.
    pub async fn connect(config: &TorConfig) -> Result<(Self, mpsc::Receiver<TorEvent>), TorError> {
        let (link, news) = conn::connect(config, conn::Limits::USUAL).await?;
        Ok((Self { link: Arc::new(link) }, news))
    }

    /// Waits, by tor's events, until tor is bootstrapped and has enough directory information.
    ///
    /// # Errors
    /// [`TorError::NotReady`] with tor's own words after `deadline`, or the connection's error.
    pub async fn wait_bootstrapped(&self, deadline: Duration) -> Result<(), TorError> {
        status::wait_bootstrapped(&self.link, deadline).await
    }

    /// How far tor's bootstrap is.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn bootstrap(&self) -> Result<Bootstrap, TorError> {
        status::bootstrap(&self.link).await
    }

    /// Whether tor has enough directory information to build circuits.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn enough_dir_info(&self) -> Result<bool, TorError> {
        query::flag(&self.link, "status/enough-dir-info").await
    }

    /// tor's version, for example `0.4.9.11`.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn version(&self) -> Result<String, TorError> {
        query::info(&self.link, "version").await
    }

    /// Whether tor runs in a testing network, which changes the length of a time period.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn is_testing_network(&self) -> Result<bool, TorError> {
        query::option_is_set(&self.link, "TestingTorNetwork").await
    }

    /// Whether tor sleeps: it then fetches no consensus until [`Tor::signal_active`].
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn is_dormant(&self) -> Result<bool, TorError> {
        query::flag(&self.link, "dormant").await
    }

    /// Tells tor that it is in use. A control connection alone does not keep it awake: send this with every round.
    ///
    /// # Errors
    /// [`TorError`] if tor does not accept it.
    pub async fn signal_active(&self) -> Result<(), TorError> {
        query::accepted(&self.link, "SIGNAL ACTIVE").await
    }

    /// When tor's consensus became valid, `None` if it has none. Cheap: ask it to see whether [`Tor::network`] has news.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn consensus_valid_after(&self) -> Result<Option<UnixTime>, TorError> {
        query::time(&self.link, "consensus/valid-after").await
    }

    /// Whether tor has a consensus that is valid at `now`.
    ///
    /// # Errors
    /// [`TorError`] if tor does not answer as expected.
    pub async fn has_live_consensus(&self, now: UnixTime) -> Result<bool, TorError> {
        let from = self.consensus_valid_after().await?;
        let until = query::time(&self.link, "consensus/valid-until").await?;
        Ok(from.is_some_and(|from| from <= now) && until.is_some_and(|until| now <= until))
    }

    /// Reads the consensus and all microdescriptors, over a second connection that is closed afterwards.
    ///
    /// tor gives no event when microdescriptors arrive (NEWDESC is for full descriptors): while
    /// `hsdirs_without_microdesc` is not 0, ask again after some seconds or at [`TorEvent::EnoughDirInfo`].
    ///
    /// # Errors
    /// [`TorError`] if the second connection fails, an answer is too large or too slow, or is not readable.
    pub async fn network(&self) -> Result<Consensus, TorError> {
        self.network_by(self.link.config()).await
    }

    /// The same over a connection that is made as `config` says: the way to log in may have changed since this one was made.
    ///
    /// # Errors
    /// As for [`Tor::network`].
    pub async fn network_by(&self, config: &TorConfig) -> Result<Consensus, TorError> {
        bulk::network(config, self.link.limits()).await
    }

    /// Asks each of these `HSDir`s for the descriptor of `onion` in the current period, all at once.
    ///
    /// The answers stand in the order of `hsdirs`, one for each different one, at the latest after `deadline`.
    pub async fn fetch(
        &self,
        onion: &OnionAddress,
        hsdirs: &[Fingerprint],
        deadline: Duration,
    ) -> Vec<(Fingerprint, Result<Vec<u8>, FetchFailure>)> {
        fetch::from_all(&self.link, onion, hsdirs, deadline).await
    }

    /// Asks one `HSDir` for the descriptor of `onion` in the current period, and waits at most `deadline` once its turn has
    /// come: no more than 24 are asked so at the same time, and 20 for one service. It stands in the queue from this call on, whenever it is waited for.
    ///
    /// # Errors
    /// [`FetchFailure`] says why there is none.
    pub fn fetch_from(
        &self,
        service: usize,
        onion: OnionAddress,
        hsdir: Fingerprint,
        deadline: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, FetchFailure>> + Send + use<> {
        let (link, place) = (Arc::clone(&self.link), self.link.turns().join(service));
        async move { fetch::in_turn(&link, place, &onion, hsdir, deadline).await }
    }

    /// Whether so many fetches wait for their turn that more of them for this service would only make all of them late.
    #[must_use]
    pub fn has_long_queue(&self, service: usize) -> bool {
        self.link.turns().are_long(service)
    }

    /// Uploads a descriptor to one `HSDir` and waits until that `HSDir` has confirmed it, at most `deadline`.
    ///
    /// Two requests about the same onion and `HSDir` never run at the same time: the second waits for the first.
    ///
    /// # Errors
    /// [`PostFailure`] says who refused it, or that nobody answered.
    pub async fn post(
        &self,
        onion: &OnionAddress,
        hsdir: Fingerprint,
        descriptor: &str,
        deadline: Duration,
    ) -> Result<(), PostFailure> {
        post::to_one(&self.link, onion, hsdir, descriptor, deadline).await
    }

    /// Why the connection ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<TorError> {
        self.link.ended()
    }
}
