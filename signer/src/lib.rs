//! The safe: holds the master identity keys on a token and issues descriptor-signing-key certificates, nothing else.
//!
//! Blocking code, no async runtime, no socket but `AF_UNIX`. What happens in which order: [`serve`]; what may be asked:
//! [`gate`]; where the key is: [`vault`] and the crate `onionkeep-core`.

pub mod backup;
pub mod careful;
pub mod ceremony;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod doctor;
pub mod error;
pub mod gate;
pub mod harden;
pub mod import;
pub mod ledger;
pub mod log;
pub mod pin;
pub mod policy;
pub mod room;
pub mod seal;
pub mod serve;
pub mod state;
pub mod terminal;
pub mod token;
mod users;
pub mod vault;

pub use onionkeep_common::audit_key;
