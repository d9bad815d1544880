//! The rigs behind `docs/ASSURANCE.md`: what they do to a running signer, how often, and what they count.
//!
//! Each rig takes its size as an argument: `tests/assurance/` runs a short form of each in every test run, the program
//! `assurance` the full one.

pub mod canary;
pub mod ceremonies;
pub mod dice;
pub mod disk;
pub mod hardening;
pub mod hostile;
pub mod kills;
pub mod rounds;
pub mod scan;
pub mod secrets;
pub mod strangers;
pub mod subject;
pub mod trace;
