//! Being written.

pub mod certs;
pub mod clock;
