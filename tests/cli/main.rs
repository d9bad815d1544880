//! Bad input at the level of processes: what an operator, a token, a peer or a server can do wrong, and how our programs
//! end or go on. A real SoftHSM token, no network.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: a panic is a failed test"
)]

mod configuration;
mod control_port;
mod descriptor_show;
mod key_file;
mod kit;
mod signer_socket;
mod token;
mod torrc;
