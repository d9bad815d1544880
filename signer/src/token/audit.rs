//! The audit key's public half and its signatures, as plain data; the private half is made in the token and stays there.

/// A public audit key, as the token has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditKey {
    /// Ed25519: the point, compressed.
    Ed25519([u8; 32]),
    /// ECDSA on P-256 with SHA-256, for tokens without Ed25519: the point, uncompressed (SEC 1, first octet 04).
    P256([u8; 65]),
}

/// A signature by an audit key: R and S of Ed25519, or r and s of ECDSA in 32 octets each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSignature(pub [u8; 64]);
