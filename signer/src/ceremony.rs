//! The signer's side of a ceremony: reads a request, applies the rules, makes the bundles, records them, and checks bundles.
//!
//! The rules: `ceremony/policy.rs` and `docs/POLICY.md`. The files: `docs/BUNDLE.md`. Nothing here reads a clock or asks for a PIN.

pub mod check;
pub mod confirm;
pub mod files;
pub mod issue;
pub mod policy;
pub mod show;

use onionkeep_common::paper::Purpose;

/// Stands in front of every line that a rehearsal writes.
const BANNER: &str = "REHEARSAL  ";

/// A text as a ceremony writes it: in a rehearsal every line says so.
#[must_use]
pub fn marked(purpose: Purpose, text: &str) -> String {
    match purpose {
        Purpose::Real => text.to_owned(),
        Purpose::Rehearsal => text.split_inclusive('\n').map(|line| format!("{BANNER}{line}")).collect(),
    }
}

#[cfg(test)]
mod tests;
