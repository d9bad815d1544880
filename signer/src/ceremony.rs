//! The signer's side of a ceremony: reads a request, applies the rules, makes the bundles, records them, and checks bundles.
//!
//! The rules: `ceremony/policy.rs` and `docs/POLICY.md`. The files: `docs/BUNDLE.md`. Nothing here reads a clock or asks for a PIN.

pub mod check;
pub mod confirm;
pub mod dates;
pub mod files;
pub mod folder;
pub mod issue;
pub mod policy;
pub mod show;

use onionkeep_common::OnionAddress;

/// Addresses of rehearsals begin so: `key new` makes none like it but in a rehearsal.
pub const MARK: &str = "dry";

/// Whether an address is one of a rehearsal. Somebody may have chosen such an address long ago; then it cannot be rehearsed with.
#[must_use]
pub fn is_marked(onion: &OnionAddress) -> bool {
    onion.to_string().starts_with(MARK)
}

#[cfg(test)]
mod tests;
