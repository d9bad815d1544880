//! The words that the signer and the publisher share, and the only place where they are defined.
//!
//! Nothing here does I/O, reads a clock or makes randomness; without the feature `config` the crate is `no_std`.

#![cfg_attr(not(feature = "config"), no_std)]

#[cfg(any(feature = "batch", feature = "paper", test))]
extern crate alloc;

pub mod address;
#[cfg(feature = "paper")]
pub mod audit_key;
pub mod blinding;
pub mod cert;
#[cfg(feature = "config")]
pub mod config;
pub mod iso;
pub mod keys;
pub mod ladder;
#[cfg(feature = "paper")]
pub mod paper;
pub mod period;
pub mod units;
pub mod wire;

pub use address::OnionAddress;
pub use blinding::{Credential, Subcredential, TimePeriod};
pub use cert::{CertBody, CertType, EncodedCert, UncheckedCert};
pub use keys::{BlindedId, DescSigningKey, IdentityKey, IntroAuthKey, IntroEncKey, Signature};
pub use period::{PeriodRule, Segment};
pub use units::{ExpirationHours, Minutes, PeriodLength, PeriodNumber, UnixTime};
