//! Serving is three processes of this one binary; this file says which, and is the door to each.
//!
//! ```text
//! keeper ── starts, watches, kills ──┬── gate   socket, rules, ledger; no secret, no token library
//!                                    └── vault  token session and key; no socket but the pair
//!           gate <── pair of packets: Ask, Answer ──> vault
//! ```
//!
//! Why three: what a process gives up for good, its children never get back. A gate that can neither open nor run
//! anything cannot start a vault, so something that has no other duty does. Why not a thread: `docs/decisions/0009-three-processes.md`.

use crate::config::{Config, ConfigError, Depth};
use crate::error::{Failure, Kind};
use crate::harden;
use crate::vault::message::Generation;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

mod backoff;
mod child;
mod gate_role;
mod inherited;
mod keeper;
pub(crate) mod line;
mod notify;
pub(crate) mod packet;
mod vault_role;

/// `serve`: the keeper.
///
/// # Errors
/// [`Failure`] if the configuration is no good or the system does not let it start the others.
pub fn keeper(path: &Path) -> Result<ExitCode, Failure> {
    inherited::tell();
    let config = Config::load(path, Depth::Text)?;
    if config.grants.is_empty() {
        return Err(ConfigError::Missing("[[onion]]").into());
    }
    let _named = config.which()?;
    harden::plain()?;
    keeper::Keeper::start(path, &config)?.keep()
}

/// The inner command `gate`; tests itself that often, **seconds**, and tells the keeper.
///
/// # Errors
/// [`Failure`] of whatever comes first.
pub fn gate(path: &Path, self_test: Option<u64>) -> Result<ExitCode, Failure> {
    gate_role::run(path, self_test.map(Duration::from_secs))
}

/// The inner command `vault`.
///
/// # Errors
/// [`Failure`] of whatever comes first.
pub fn vault(path: &Path, generation: u32) -> Result<ExitCode, Failure> {
    vault_role::run(path, Generation(generation))
}

/// The end of a pair in the place of a standard stream.
fn inner(stream: impl AsFd) -> Result<OwnedFd, Failure> {
    packet::inherited(stream).map_err(|_none| {
        Failure::new(Kind::Usage, "this inner command is started by serve alone", "onionkeep-signer serve")
    })
}
