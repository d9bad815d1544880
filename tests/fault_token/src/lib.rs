//! A PKCS#11 token that fails by a script and records every call: the only place where the tests make a token misbehave.
//!
//! The PKCS#11 calls are in `abi`, the token they work on in `library` and `store`, the faults in `script`, the record in
//! `record`. What it can and what it is not is told in its README. It is never a dependency of anything.

mod abi;
mod home;
mod library;
mod names;
mod record;
mod script;
mod store;

/// What a call gives, or the code it fails with.
type Answer<T> = Result<T, cryptoki_sys::CK_RV>;
