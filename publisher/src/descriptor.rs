//! The v3 descriptor: read with everything verified, and made octet for octet as C tor 0.4.9 makes it.
//!
//! Three layers, one file each: `outer` (what HSDirs see), `middle` (readable with the address), `inner`
//! (readable with the address and, if the service asks for it, a client key). All of it is pure: time and
//! randomness come in as arguments.

mod auth;
mod build;
mod checked;
mod claimed;
mod crypt;
mod decode;
mod error;
mod inner;
mod keys;
mod layers;
mod middle;
mod outer;
mod point;
mod show;
mod table;

pub use auth::{ClientKey, ClientKeyError, ClientPublicKey};
pub use build::{BuildError, Draft, Prepared, most_clients, size_class};
pub use checked::Checked;
pub use claimed::claimed_revision;
pub use decode::{Decoded, Reader, SkipReason, Skipped, UnknownLine, decode, revision};
pub use error::{DescriptorError, Fault, Layer};
pub use inner::FlowControl;
pub use keys::{PERIOD_KEYS_LEN, PeriodKeys};
pub use layers::{Layers, Lengths};
pub use point::{IntroPoint, LinkError, PointError};
pub use show::show;

/// More introduction points than this make a client refuse the whole descriptor.
///
/// Spec: C tor, `HS_CONFIG_V3_MAX_INTRO_POINTS`.
pub const MAX_INTRO_POINTS: usize = 20;
/// A descriptor of this length or more is refused by everybody, unless the consensus sets another limit.
///
/// Spec: rend-spec-v3, 2.4 (`HSV3MaxDescriptorSize`).
pub const MAX_DESCRIPTOR_SIZE: u32 = 50_000;

#[cfg(test)]
mod tests;
