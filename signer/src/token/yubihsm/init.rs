//! Sets a device up that is fresh from the factory or was reset: keys with few rights, forced auditing, no factory key.
//!
//! Nothing else is set up, so nothing can be lost: a device with any object of its own is refused, and a set-up that was
//! interrupted is repeated after a reset.

use super::device::{Connect, Device, FACTORY_KEY, FACTORY_PASSWORD, Id, Kind, NewKey, Trouble};
use super::drain::Drain;
use super::log::LogSink;
use super::{Fault, failed, rights};
use crate::pin::Pin;
use crate::token::TokenError;
use secrecy::ExposeSecret;

/// The shortest password, in octets: the device counts no wrong tries, so its length is all that protects it.
const PASSWORD_MIN: usize = 16;
/// What is logged until a factory reset: sessions, everything that uses, makes, imports, exports or deletes a key, options.
pub(super) const LOGGED: [u8; 31] = [
    0x03, 0x04, 0x08, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x49, 0x4a, 0x4b, 0x4c, 0x4f, 0x52, 0x53, 0x55,
    0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x64, 0x67, 0x68, 0x69, 0x6a, 0x6c,
];

/// What is to be set up.
pub(super) struct SetUp<'a> {
    /// The configured serial number, if there is one.
    pub(super) serial: Option<&'a str>,
    /// Number and password of the authentication key for serving.
    pub(super) serve: (Id, &'a Pin),
    /// Number and password of the one for making keys.
    pub(super) admin: (Id, &'a Pin),
}

/// Sets a device up and returns its serial number.
pub(super) fn set_up(
    link: &dyn Connect,
    wanted: &SetUp<'_>,
    sink: Box<dyn LogSink>,
) -> Result<String, TokenError> {
    passwords(wanted)?;
    let factory = Pin::new(FACTORY_PASSWORD);
    let mut device = match link.open_by(FACTORY_KEY, &factory) {
        Err(Trouble::Password | Trouble::Missing) => {
            return Err(used("it does not take its factory password"));
        }
        device => device.map_err(|trouble| failed("opening a session", trouble.into()))?,
    };
    steps(link, &mut *device, wanted, sink).map_err(|fault| failed("setting the device up", fault))
}

/// The steps, in an order in which an interruption leaves a device that is refused or not yet in use.
fn steps(
    link: &dyn Connect,
    device: &mut dyn Device,
    wanted: &SetUp<'_>,
    sink: Box<dyn LogSink>,
) -> Result<String, Fault> {
    let serial = device.serial()?;
    if wanted.serial.is_some_and(|wanted| wanted != serial) {
        return Err(used(&format!("its serial number is {serial}")).into());
    }
    empty(device)?;
    put_keys(device, wanted)?;
    for command in LOGGED {
        device.log_for_ever(command)?;
    }
    let mut drain = Drain::new(sink);
    let _records = drain.run(device)?;
    device.force_for_ever()?;
    // Nobody may be locked out: both keys must open a session before the factory's goes.
    drop(link.open_by(wanted.serve.0, wanted.serve.1)?);
    drop(link.open_by(wanted.admin.0, wanted.admin.1)?);
    device.delete(Kind::Authentication, FACTORY_KEY)?;
    drop(drain.run(&mut *link.open_by(wanted.admin.0, wanted.admin.1)?)?);
    Ok(serial)
}

/// Refuses a device with objects of its own; number 0 is the factory's certificate.
fn empty(device: &mut dyn Device) -> Result<(), Fault> {
    for kind in [Kind::Authentication, Kind::Opaque, Kind::Asymmetric, Kind::Wrap, Kind::Hmac] {
        let own = |id: &Id| *id != 0 && !(kind == Kind::Authentication && *id == FACTORY_KEY);
        if let Some(id) = device.list(kind)?.iter().find(|id| own(id)) {
            return Err(used(&format!("it has an object of its own ({kind:?} {id:#06x})")).into());
        }
    }
    Ok(())
}

/// Makes the two authentication keys.
fn put_keys(device: &mut dyn Device, wanted: &SetUp<'_>) -> Result<(), Fault> {
    device.put_key(&NewKey {
        id: wanted.serve.0,
        label: "onionkeep serve",
        capabilities: rights::SERVE,
        delegated: 0,
        password: wanted.serve.1,
    })?;
    device.put_key(&NewKey {
        id: wanted.admin.0,
        label: "onionkeep admin",
        capabilities: rights::ADMIN,
        delegated: rights::ADMIN_DELEGATED,
        password: wanted.admin.1,
    })?;
    Ok(())
}

/// Refuses short and equal passwords.
fn passwords(wanted: &SetUp<'_>) -> Result<(), TokenError> {
    let length = |pin: &Pin| pin.with(|text| text.expose_secret().len());
    let short =
        |what| TokenError::PinUnusable { what, why: format!("wanted are at least {PASSWORD_MIN} octets") };
    if length(wanted.serve.1) < PASSWORD_MIN {
        return Err(short("pin"));
    }
    if length(wanted.admin.1) < PASSWORD_MIN {
        return Err(short("so_pin"));
    }
    let same = wanted
        .serve
        .1
        .with(|serve| wanted.admin.1.with(|admin| serve.expose_secret() == admin.expose_secret()));
    if same {
        let why = "it is the same as pin; serving would have the rights to make keys".to_owned();
        return Err(TokenError::PinUnusable { what: "so_pin", why });
    }
    Ok(())
}

/// A device that is not set up because it is no empty one.
fn used(why: &str) -> TokenError {
    TokenError::Init(format!("the YubiHSM is not set up: {why}"))
}
