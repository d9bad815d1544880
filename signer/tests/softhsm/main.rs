//! The signer against a real SoftHSM: what the token must refuse, how the signer recovers, what the program does.
//!
//! A missing SoftHSM is a failure in CI and a named skip elsewhere. `TEST_PKCS11_MODULE` names another module.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that does not go on as it should ends here, and says what it skips"
)]

mod audit;
mod ceremony;
mod custody;
mod doctor;
mod drill;
#[allow(dead_code, reason = "the benchmark uses some of it that no test uses")]
mod kit;
mod ladder;
mod notify;
mod person;
mod processes;
mod program;
mod residue;
mod seals;
mod unrecorded;
