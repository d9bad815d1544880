//! The real device through the crate; the only file that names it.
//!
//! Version 0.42.1 knows closed lists of commands, capabilities and algorithms: what newer firmware adds to an answer makes
//! the whole answer unreadable. So the logged commands are not asked for, and on USB the serial number is not either: the
//! device was chosen by it.

use super::device::{AuthKey, Connect, Device, Id, Info, Kind, NewKey, Trouble};
use super::log::{Entry, Page};
use crate::pin::Pin;
use ::yubihsm::client::{Error, ErrorKind};
use ::yubihsm::device::ErrorKind as DeviceError;
use ::yubihsm::object::{Filter, Label, Type};
use ::yubihsm::{AuditOption, Capability, Client, Connector, Credentials, Domain, UsbConfig};
use ::yubihsm::{asymmetric, authentication, command, hmac, opaque};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

/// How long one exchange may take, in **milliseconds**; below the patience of whoever asks the token.
const TIMEOUT_MS: u64 = 4000;
/// All our objects are in the device's first domain.
const DOMAIN: Domain = Domain::DOM1;

/// The way to a device.
pub(super) struct Link {
    /// USB or HTTP.
    connector: Connector,
    /// The serial number by which it was chosen on USB.
    chosen: Option<String>,
}

impl Link {
    /// The one device on USB with this serial number.
    pub(super) fn usb(serial: &str) -> Result<Self, Trouble> {
        let number = serial.parse().map_err(|_digits| Trouble::Other("serial: ten digits".to_owned()))?;
        let config = UsbConfig { serial: Some(number), timeout_ms: TIMEOUT_MS };
        Ok(Self { connector: Connector::usb(&config), chosen: Some(serial.to_owned()) })
    }

    /// The device behind a yubihsm-connector.
    #[cfg(feature = "yubihsm-http")]
    pub(super) fn http(addr: &str, port: u16) -> Self {
        let config = ::yubihsm::HttpConfig { addr: addr.to_owned(), port, timeout_ms: TIMEOUT_MS };
        Self { connector: Connector::http(&config), chosen: None }
    }

    /// The crate's mock: wire calls only.
    #[cfg(all(test, feature = "yubihsm-mock"))]
    pub(super) fn mock() -> Self {
        Self { connector: Connector::mockhsm(), chosen: None }
    }
}

impl Connect for Link {
    fn derive(&self, password: &Pin) -> AuthKey {
        let derive = |text: &str| authentication::Key::derive_from_password(text.as_bytes());
        let key = password.with(|text| derive(text.expose_secret()));
        let mut secret = Zeroizing::new([0; 32]);
        for (octet, from) in secret.iter_mut().zip(key.as_secret_slice()) {
            *octet = *from;
        }
        AuthKey(secret)
    }

    fn open(&self, key: Id, secret: &AuthKey) -> Result<Box<dyn Device>, Trouble> {
        // The crate keeps a copy as long as the client lives, and wipes it then.
        let credentials = Credentials::new(key, authentication::Key::new(*secret.0));
        // A session dies after 30 s without a command; the client then opens another with the same key.
        let client =
            Client::open(self.connector.clone(), credentials, true).map_err(|error| trouble(&error))?;
        Ok(Box::new(Session { client, chosen: self.chosen.clone() }))
    }
}

/// What an error of the crate means.
fn trouble(error: &Error) -> Trouble {
    let why = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationError => Trouble::Password,
        ErrorKind::DeviceError => error.device_error().map_or(Trouble::Other(why), device_trouble),
        ErrorKind::ClosedSessionError
        | ErrorKind::ConnectorError
        | ErrorKind::CreateFailed
        | ErrorKind::ProtocolError
        | ErrorKind::ResponseError => Trouble::Gone(why),
    }
}

/// What an error of the device means.
fn device_trouble(error: DeviceError) -> Trouble {
    if error == DeviceError::LogFull {
        return Trouble::LogFull;
    }
    if error == DeviceError::ObjectNotFound {
        return Trouble::Missing;
    }
    let session =
        [DeviceError::InvalidSession, DeviceError::SessionFailed, DeviceError::SessionsFull].contains(&error);
    if session { Trouble::Gone(error.to_string()) } else { Trouble::Other(error.to_string()) }
}

/// A session.
struct Session {
    /// The crate's client.
    client: Client,
    /// The serial number by which the device was chosen on USB.
    chosen: Option<String>,
}

impl Session {
    /// Runs a call of the crate.
    fn call<T>(&self, call: impl FnOnce(&Client) -> Result<T, Error>) -> Result<T, Trouble> {
        call(&self.client).map_err(|error| trouble(&error))
    }
}

/// The crate's name of a kind.
const fn kind_of(kind: Kind) -> Type {
    match kind {
        Kind::Opaque => Type::Opaque,
        Kind::Authentication => Type::AuthenticationKey,
        Kind::Asymmetric => Type::AsymmetricKey,
        Kind::Wrap => Type::WrapKey,
        Kind::Hmac => Type::HmacKey,
    }
}

/// A label of at most 40 octets.
fn label_of(label: &str) -> Result<Label, Trouble> {
    Label::from_bytes(label.as_bytes()).map_err(|error| Trouble::Other(error.to_string()))
}

/// Capabilities, all bits of which the crate knows by a name or a number.
fn capabilities_of(bits: u64) -> Capability {
    Capability::from_bits_truncate(bits)
}

impl Device for Session {
    fn serial(&mut self) -> Result<String, Trouble> {
        match &self.chosen {
            Some(chosen) => Ok(chosen.clone()),
            None => Ok(self.call(Client::device_info)?.serial_number.to_string()),
        }
    }

    fn list(&mut self, kind: Kind) -> Result<Vec<Id>, Trouble> {
        let entries = self.call(|client| client.list_objects(&[Filter::Type(kind_of(kind))]))?;
        Ok(entries.into_iter().map(|entry| entry.object_id).collect())
    }

    fn info(&mut self, kind: Kind, id: Id) -> Result<Info, Trouble> {
        let info = self.call(|client| client.get_object_info(id, kind_of(kind)))?;
        Ok(Info {
            algorithm: info.algorithm.to_u8(),
            capabilities: info.capabilities.bits(),
            delegated: info.delegated_capabilities.bits(),
            origin: info.origin.to_u8(),
            label: info.label.to_string(),
        })
    }

    fn sign_hmac(&mut self, key: Id, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        Ok(Zeroizing::new(self.call(|client| client.sign_hmac(key, message))?.into_vec()))
    }

    fn sign_ed25519(&mut self, key: Id, message: &[u8]) -> Result<[u8; 64], Trouble> {
        Ok(self.call(|client| client.sign_ed25519(key, message))?.to_bytes())
    }

    fn public_key(&mut self, key: Id) -> Result<[u8; 32], Trouble> {
        let public = self.call(|client| client.get_public_key(key))?;
        let point = public.ed25519().ok_or_else(|| Trouble::Other("no Ed25519 key".to_owned()))?;
        Ok(point.into_bytes())
    }

    fn get_opaque(&mut self, id: Id) -> Result<Vec<u8>, Trouble> {
        self.call(|client| client.get_opaque(id))
    }

    fn put_opaque(&mut self, id: Id, label: &str, octets: &[u8]) -> Result<(), Trouble> {
        let label = label_of(label)?;
        let none = Capability::empty();
        let data = opaque::Algorithm::Data;
        self.call(|client| client.put_opaque(id, label, DOMAIN, none, data, octets)).map(drop)
    }

    fn generate_hmac(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble> {
        let (label, capabilities) = (label_of(label)?, capabilities_of(capabilities));
        let sha256 = hmac::Algorithm::Sha256;
        self.call(|client| client.generate_hmac_key(id, label, DOMAIN, capabilities, sha256)).map(drop)
    }

    fn generate_ed25519(&mut self, id: Id, label: &str, capabilities: u64) -> Result<(), Trouble> {
        let (label, capabilities) = (label_of(label)?, capabilities_of(capabilities));
        let curve = asymmetric::Algorithm::Ed25519;
        self.call(|client| client.generate_asymmetric_key(id, label, DOMAIN, capabilities, curve)).map(drop)
    }

    fn delete(&mut self, kind: Kind, id: Id) -> Result<(), Trouble> {
        self.call(|client| client.delete_object(id, kind_of(kind)))
    }

    fn put_key(&mut self, key: &NewKey<'_>) -> Result<(), Trouble> {
        let label = label_of(key.label)?;
        let (capabilities, delegated) = (capabilities_of(key.capabilities), capabilities_of(key.delegated));
        let derive = |text: &str| authentication::Key::derive_from_password(text.as_bytes());
        let secret = key.password.with(|text| derive(text.expose_secret()));
        let aes = authentication::Algorithm::YubicoAes;
        self.call(|client| {
            client.put_authentication_key(key.id, label, DOMAIN, capabilities, delegated, aes, secret)
        })
        .map(drop)
    }

    fn is_forced(&mut self) -> Result<bool, Trouble> {
        Ok(self.call(Client::get_force_audit_option)? == AuditOption::Fix)
    }

    fn log_for_ever(&mut self, command: u8) -> Result<(), Trouble> {
        let code = command::Code::from_u8(command).map_err(|error| Trouble::Other(error.to_string()))?;
        self.call(|client| client.set_command_audit_option(code, AuditOption::Fix))
    }

    fn force_for_ever(&mut self) -> Result<(), Trouble> {
        self.call(|client| client.set_force_audit_option(AuditOption::Fix))
    }

    fn log(&mut self) -> Result<Page, Trouble> {
        let log = self.call(Client::get_log_entries)?;
        let entries = log.entries.into_iter().map(|entry| Entry {
            number: entry.item,
            command: entry.cmd.to_u8(),
            length: entry.length,
            key: entry.session_key,
            target: entry.target_key,
            second: entry.second_key,
            result: entry.result.to_u8(),
            tick: entry.tick,
            digest: entry.digest.0,
        });
        Ok(Page {
            unlogged_boots: log.unlogged_boot_events,
            unlogged_logins: log.unlogged_auth_events,
            entries: entries.collect(),
        })
    }

    fn free_log(&mut self, number: u16) -> Result<(), Trouble> {
        self.call(|client| client.set_log_index(number))
    }
}

#[cfg(test)]
#[cfg(feature = "yubihsm-mock")]
mod tests;
