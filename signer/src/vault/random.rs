//! Random octets from the operating system; the only place that asks for them.

use super::VaultError;
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use zeroize::Zeroizing;

/// 32 random octets.
pub(crate) fn octets() -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let mut octets = Zeroizing::new([0; 32]);
    // A request of up to 256 octets is never answered in part once the system's source is ready.
    let given = getrandom(octets.as_mut_slice(), GetRandomFlags::empty());
    match given.map_err(|error| VaultError::Random(error.into()))? {
        32 => Ok(octets),
        _ => Err(VaultError::Random(io::Error::from(io::ErrorKind::UnexpectedEof))),
    }
}
