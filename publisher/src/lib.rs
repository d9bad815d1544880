//! Being written.

pub mod certs;
pub mod clock;
pub mod consensus;
pub mod netdoc;
pub mod revision;
pub mod ring;
