//! The ceremony's files against two verifiers that share no code: ours and `tests/verify_bundle.py`. Golden files, and altered ones.
//!
//! The full run, which needs some minutes: `tests/run altered`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at anything unexpected")]

mod altered;
mod commands;
mod golden;
mod handbook;
mod made;
mod two_ledgers;
mod verifiers;
