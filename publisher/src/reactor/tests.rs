//! The whole publisher in pretended time, with tor, signers and backends that are played.

mod alarms;
mod bundled;
mod crowd;
mod foreign;
mod heard;
mod isolation;
mod lapse;
mod many;
mod probing;
mod reloads;
mod running;
pub(super) mod seconds;
mod stage;
mod standby;
mod unwritten;
mod withheld;
mod world;

use crate::tor::tests::control_port;
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// How long a probe of this thread's publisher waits for its turn, if not as long as usual.
    pub(super) static SHORT_TURN: Cell<Option<Duration>> = const { Cell::new(None) };
}

#[allow(dead_code, reason = "these tests use only a part of it")]
#[path = "../../benches/support/network.rs"]
mod network;
#[allow(dead_code, reason = "these tests use only a part of it")]
#[path = "../../benches/support/onions.rs"]
mod onions;
