//! The only crate that handles the secret scalar: expanded key, blinded scalar, certificate, and nothing else.
//!
//! It is `no_std` and holds no `unsafe`, so that the same octets can run inside a token's firmware later.
//! No function returns a scalar, blinded or not: whoever has a blinded scalar has the master key, because the
//! blinding factor is public. The only thing that comes out is a finished, verified type-08 certificate.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod certify;
mod key;

pub use certify::{CertTerms, Hedge, Ladder};
pub use key::{CoreError, EXPANDED_LEN, ExpandedKey};
