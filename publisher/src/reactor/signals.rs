//! The signals that the publisher listens to: SIGTERM and SIGINT end it, SIGHUP reads the configuration again.

use super::{Stopped, Woken};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the publisher listens to.
pub(super) struct Signals {
    /// SIGTERM.
    term: Signal,
    /// SIGINT.
    int: Signal,
    /// SIGHUP.
    hup: Signal,
}

impl Signals {
    /// Takes them over.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one. May be cancelled.
    pub(super) async fn next(&mut self) -> Woken {
        tokio::select! {
            _ = self.term.recv() => Woken::Stop(Stopped::Asked),
            _ = self.int.recv() => Woken::Stop(Stopped::Interrupted),
            _ = self.hup.recv() => Woken::Reload,
        }
    }
}
