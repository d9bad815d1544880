//! Being written.

pub mod certs;
pub mod clock;
pub mod consensus;
pub mod descriptor;
pub mod netdoc;
pub mod revision;
pub mod ring;
pub mod tor;
