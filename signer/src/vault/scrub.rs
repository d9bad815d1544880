//! Overwrites the stack after secrets were on it: moving a value leaves copies in dead frames that no `Drop` ever sees.

use zeroize::Zeroize;

/// Octets below the caller's frame that are overwritten; the deepest call with a secret uses a fraction of it.
const DEPTH: usize = 64 * 1024;

/// Runs `work` in a frame of its own, then overwrites that frame and everything that was below it.
///
/// What `work` returns must hold no secret.
pub(crate) fn after<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    overwrite();
    result
}

/// Keeps the frames of `work` below the caller's.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Writes zeros over the stack below the caller.
#[inline(never)]
fn overwrite() {
    let mut below = [0_u8; DEPTH];
    below.zeroize();
    std::hint::black_box(&mut below);
}
