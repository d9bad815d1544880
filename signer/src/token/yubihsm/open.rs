//! From the configuration to a device: USB, or a yubihsm-connector where that was built in.

use super::YubihsmToken;
use super::client::Link;
use super::device::Trouble;
use super::init::{SetUp, set_up};
use super::log::file::LogFile;
use crate::config::{Connector, YubihsmConfig};
use crate::pin::Pin;
use crate::seal::TokenName;
use crate::token::TokenError;
use crate::token::pkcs11::Access;
use std::path::Path;

/// Opens the device with one authentication key; its log goes to `device-log` in the state directory.
///
/// # Errors
/// [`TokenError`] if it does not answer, refuses the password, or is not as it must be.
pub fn open(
    config: &YubihsmConfig,
    name: TokenName,
    password: Pin,
    access: Access,
    state_dir: &Path,
) -> Result<YubihsmToken, TokenError> {
    let key = match access {
        Access::Read => config.auth_key_id,
        Access::Write => config.admin_key_id,
    };
    let link = Box::new(link(config, &name.serial)?);
    YubihsmToken::new(link, name, key, password, access, record(state_dir)?)
}

/// Sets a fresh device up and returns its serial number.
///
/// # Errors
/// [`TokenError::Init`] if it is not fresh; [`TokenError`] for passwords and answers.
pub fn initialise(
    config: &YubihsmConfig,
    serial: &str,
    (serve, admin): (&Pin, &Pin),
    state_dir: &Path,
) -> Result<String, TokenError> {
    let wanted = SetUp {
        serial: Some(serial),
        serve: (config.auth_key_id, serve),
        admin: (config.admin_key_id, admin),
    };
    set_up(&link(config, serial)?, &wanted, record(state_dir)?)
}

/// The way to the device.
fn link(config: &YubihsmConfig, serial: &str) -> Result<Link, TokenError> {
    let failed = |trouble: Trouble| super::failed("looking for the device", trouble.into());
    match &config.connector {
        Connector::Usb => Link::usb(serial).map_err(failed),
        #[cfg(feature = "yubihsm-http")]
        Connector::Http { host, port } => Ok(Link::http(host, *port)),
    }
}

/// The record of the device's log.
fn record(state_dir: &Path) -> Result<Box<LogFile>, TokenError> {
    let what = "opening device-log in the state directory";
    let log =
        LogFile::open(state_dir).map_err(|error| TokenError::Failed { what, why: error.to_string() })?;
    Ok(Box::new(log))
}
