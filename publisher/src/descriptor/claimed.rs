//! What a descriptor claims, nothing verified: enough to know one again that was read before.

use memchr::memmem;

/// What stands before a counter.
const COUNTER: &[u8] = b"\nrevision-counter ";

/// The revision counter that a descriptor claims to have. **Nothing is verified**, not even that it is a descriptor.
///
/// That suffices to know a descriptor again that was read before: a service encrypts it anew for each HSDir, so that copies have nothing
/// else in common. An HSDir that lies about the counter gains nothing, for it could give the known descriptor as well.
///
/// Spec: rend-spec-v3, 2.4 (`revision-counter`).
#[must_use]
pub fn claimed_revision(text: &[u8]) -> Option<u64> {
    let at = memmem::find(text, COUNTER)?.checked_add(COUNTER.len())?;
    let line = text.get(at..)?.split(|octet| *octet == b'\n').next()?;
    std::str::from_utf8(line).ok()?.parse().ok()
}
