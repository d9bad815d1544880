//! What is wanted of a YubiHSM 2, as plain data: the calls that we need and no other. The only place with its numbers.
//!
//! `client.rs` answers with the real device, `fake.rs` with one in memory that enforces capabilities and keeps a log, which
//! the library's own mock does not.

use super::log::Page;
use crate::pin::Pin;
use zeroize::Zeroizing;

/// Number of an object.
pub(super) type Id = u16;

/// Number of the authentication key that every device leaves the factory with.
pub(super) const FACTORY_KEY: Id = 1;
/// Its password.
pub(super) const FACTORY_PASSWORD: &str = "password";
/// `hmac-sha256` among the device's algorithms.
pub(super) const HMAC_SHA256: u8 = 0x14;
/// `ed25519` among the device's algorithms.
pub(super) const ED25519: u8 = 0x2e;
/// The origin of an object that was generated on this device.
pub(super) const GENERATED: u8 = 0x01;

/// Kinds of objects that we look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Octets.
    Opaque,
    /// A password's key.
    Authentication,
    /// A signing key.
    Asymmetric,
    /// A key that wraps others.
    Wrap,
    /// An HMAC key.
    Hmac,
}

/// What the device says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    /// Its algorithm.
    pub(super) algorithm: u8,
    /// What may be done with it, or by it.
    pub(super) capabilities: u64,
    /// What objects that it makes may have.
    pub(super) delegated: u64,
    /// Where it comes from.
    pub(super) origin: u8,
    /// Its label.
    pub(super) label: String,
}

/// An authentication key to be made.
pub(super) struct NewKey<'a> {
    /// Its number.
    pub(super) id: Id,
    /// Its label.
    pub(super) label: &'a str,
    /// What it may do.
    pub(super) capabilities: u64,
    /// What objects that it makes may have.
    pub(super) delegated: u64,
    /// Its password.
    pub(super) password: &'a Pin,
}

/// Why a call failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no answer, or the session is lost: a new one may help.
    Gone(String),
    /// There is no such authentication key, or its password is another.
    Password,
    /// The log is full, and the device does nothing that it cannot log.
    LogFull,
    /// There is no such object.
    Missing,
    /// It answered something else.
    Other(String),
}

/// An open session.
pub(super) trait Device: Send {
    /// The serial number, in ten digits.
    fn serial(&mut self) -> Result<String, Trouble>;
    /// The numbers of all visible objects of a kind.
    fn list(&mut self, kind: Kind) -> Result<Vec<Id>, Trouble>;
    /// The attributes of an object.
    fn info(&mut self, kind: Kind, id: Id) -> Result<Info, Trouble>;
    /// HMAC-SHA256 by a key.
    fn sign_hmac(&mut self, key: Id, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble>;
    /// An Ed25519 signature by a key.
    fn sign_ed25519(&mut self, key: Id, message: &[u8]) -> Result<[u8; 64], Trouble>;
    /// The public half of an Ed25519 key.
    fn public_key(&mut self, key: Id) -> Result<[u8; 32], Trouble>;
    /// The octets of an opaque object.
    fn get_opaque(&mut self, id: Id) -> Result<Vec<u8>, Trouble>;
    /// Stores octets.
    fn put_opaque(&mut self, id: Id, label: &str, octets: &[u8]) -> Result<(), Trouble>;
    /// Generates an HMAC-SHA256 key.
    fn generate_hmac(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble>;
    /// Generates an Ed25519 key.
    fn generate_ed25519(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble>;
    /// Deletes an object.
    fn delete(&mut self, kind: Kind, id: Id) -> Result<(), Trouble>;
    /// Makes an authentication key.
    fn put_key(&mut self, key: &NewKey<'_>) -> Result<(), Trouble>;
    /// Whether the device refuses what it cannot log, and this can be undone only by a factory reset.
    fn is_forced(&mut self) -> Result<bool, Trouble>;
    /// Makes that so.
    fn force_for_ever(&mut self) -> Result<(), Trouble>;
    /// Logs a command until a factory reset.
    fn log_for_ever(&mut self, command: u8) -> Result<(), Trouble>;
    /// Everything in the log store.
    fn log(&mut self) -> Result<Page, Trouble>;
    /// Frees the log store up to and with this number.
    fn free_log(&mut self, number: u16) -> Result<(), Trouble>;
}

/// The way to one device.
pub(super) trait Connect: Send {
    /// What a password stands for on the device.
    fn derive(&self, password: &Pin) -> AuthKey;
    /// Opens a session; the key is tried once.
    fn open(&self, key: Id, secret: &AuthKey) -> Result<Box<dyn Device>, Trouble>;
    /// Opens a session by a password, once.
    fn open_by(&self, key: Id, password: &Pin) -> Result<Box<dyn Device>, Trouble> {
        self.open(key, &self.derive(password))
    }
}

/// The secret half of an authentication key: two AES keys, from which each session's are made. Whoever has it can log in to
/// this kind of device, but it does not tell the password.
pub(super) struct AuthKey(pub(super) Zeroizing<[u8; 32]>);
