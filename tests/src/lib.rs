//! The harness, and the only place where a private Tor network, a throw-away token and our two daemons are put together.
//!
//! [`tornet`] is the network, [`softhsm`] the token, [`fault_token`] one that fails by a script, [`daemon`] our programs, [`stage`] all of them at once. The stories
//! themselves are in `end_to_end/` and `cli/`, the demonstration is `bin/demo.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "a harness: every error ends one test and carries its own text, and a panic is a failed test"
)]

pub mod assurance;
pub mod chaos;
pub mod clock;
pub mod clock_step;
pub mod daemon;
pub mod descriptor;
pub mod fake_tor;
pub mod fault_token;
pub mod files;
pub mod liar;
pub mod look;
pub mod onionbalance;
pub mod peer;
pub mod process;
pub mod report;
pub mod seat;
pub mod softhsm;
pub mod stage;
pub mod tornet;
pub mod transcript;
pub mod wait;

pub use report::Report;
