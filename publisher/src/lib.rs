//! The publisher: merges the backends' introduction points into the frontend's descriptors and uploads them through a tor.
//!
//! It holds no long-term key: certificates come from the signer, for one descriptor-signing key per period.
//! `schedule` and `merge` decide, as pure functions; `reactor` is the only one that waits.

// The made-up world is shared with a bench, which names the crate.
#[cfg(test)]
extern crate self as onionkeep_publisher;

pub mod alarm;
pub mod backend;
pub mod ceremony;
pub mod certs;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod compare;
pub mod config;
pub mod consensus;
pub mod control;
pub mod descriptor;
pub mod error;
pub mod harden;
pub mod import;
pub mod log;
pub mod merge;
pub mod metrics;
pub mod netdoc;
pub mod notify;
pub mod probe;
pub mod reactor;
pub mod revision;
pub mod ring;
pub mod schedule;
pub mod socket;
pub mod state;
pub mod status;
pub mod tor;
pub mod torrc;
