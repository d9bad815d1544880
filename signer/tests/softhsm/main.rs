//! The signer against a real SoftHSM: what the token must refuse, how the signer recovers, what the program does.
//!
//! A missing SoftHSM is a failure in CI and a named skip elsewhere. `TEST_PKCS11_MODULE` names another module.

mod custody;
mod kit;
mod ladder;
mod program;
mod residue;
