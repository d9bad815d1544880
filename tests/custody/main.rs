//! The signer and a token that fails by a script: no PIN is used up, no wrong answer is passed on, and nothing hangs for long.
//!
//! Each count here is for every day; `ONIONKEEP_CUSTODY_TIMES` makes it that of the published figures.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "tests: a panic is a failed test, and figures are told on stdout"
)]

mod calls;
mod ceremony;
mod corrupt;
mod kit;
mod lies;
mod outage;
mod pin;
