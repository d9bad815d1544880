//! `[token]` with `kind = "yubihsm"`: which device and which of its authentication keys. Known also to builds without it.

use super::confine::{self, Profile};
use super::token::TokenConfig;
use crate::pin::PinSource;
use crate::seal::SealKind;
use onionkeep_common::config::Section;
use std::path::PathBuf;

/// Keys that only this kind has.
pub(super) const KEYS: [&str; 3] = ["connector", "auth_key_id", "admin_key_id"];
/// Keys that only PKCS#11 has.
const OTHERS: [&str; 7] = ["uri", "module", "label", "manufacturer", "model", "seal", "sandbox"];
/// What stands for the label that a device does not have.
const LABEL: &str = "yubihsm";
/// Digits of a serial number.
const SERIAL_LEN: usize = 10;

/// Which device, and which of its authentication keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YubihsmConfig {
    /// The way to it.
    pub connector: Connector,
    /// Number of the authentication key for serving; `pin` is its password.
    pub auth_key_id: u16,
    /// Number of the authentication key for making keys; `so_pin` is its password.
    pub admin_key_id: u16,
}

/// The way to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connector {
    /// USB.
    Usb,
    /// A yubihsm-connector.
    #[cfg(feature = "yubihsm-http")]
    Http {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Reads the section.
pub(super) fn read(section: &Section<'_, '_>) -> Option<TokenConfig> {
    if !cfg!(feature = "yubihsm") {
        section.report(
            "kind",
            "kind: this program was built without YubiHSM support; build it with the feature `yubihsm`",
        );
        return None;
    }
    for key in OTHERS.into_iter().filter(|key| section.has(key)) {
        section.report(key, format!("{key}: not with kind = \"yubihsm\""));
    }
    let connector = connector(section);
    let (auth_key_id, admin_key_id) = (key_id(section, "auth_key_id", 2), key_id(section, "admin_key_id", 3));
    if auth_key_id.is_some() && auth_key_id == admin_key_id {
        section.report("admin_key_id", "admin_key_id: it must be another key than auth_key_id");
    }
    let serial = section.required_text("serial").filter(|text| is_serial(section, text));
    let pin: Option<PinSource> = section.required_parsed("pin");
    let so_pin: Option<PinSource> = section.parsed("so_pin");
    let yubihsm =
        YubihsmConfig { connector: connector?, auth_key_id: auth_key_id?, admin_key_id: admin_key_id? };
    Some(TokenConfig {
        module: PathBuf::new(),
        label: LABEL.to_owned(),
        serial: Some(serial?.to_owned()),
        manufacturer: None,
        model: None,
        pin: pin?,
        so_pin,
        yubihsm: Some(yubihsm),
        confine: confine::read(section, Profile::Usb),
        seal: SealKind::HmacSha256,
    })
}

/// The number of an authentication key; never that of the factory's.
fn key_id(section: &Section<'_, '_>, key: &str, default: u16) -> Option<u16> {
    if !section.has(key) {
        return Some(default);
    }
    section.number(key, 2..=0xfffe).and_then(|id| u16::try_from(id).ok())
}

/// Whether a text is a serial number; reports it otherwise.
fn is_serial(section: &Section<'_, '_>, text: &str) -> bool {
    let fits = text.len() == SERIAL_LEN && text.bytes().all(|octet| octet.is_ascii_digit());
    if !fits {
        section.report(
            "serial",
            "serial: wanted are the ten digits of the device's serial number, with zeros in front",
        );
    }
    fits
}

/// The way to the device; USB if it is not written.
fn connector(section: &Section<'_, '_>) -> Option<Connector> {
    match section.text("connector") {
        None | Some("usb") => Some(Connector::Usb),
        Some(text) => http(section, text),
    }
}

/// An address of a yubihsm-connector on this machine.
#[cfg(feature = "yubihsm-http")]
fn http(section: &Section<'_, '_>, text: &str) -> Option<Connector> {
    let address = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let parsed = address.and_then(|address| address.parse::<std::net::SocketAddr>().ok());
    let local = parsed.filter(|address| address.is_ipv4() && address.ip().is_loopback());
    if local.is_none() {
        section.report(
            "connector",
            "connector: wanted is \"usb\" or \"http://127.0.0.1:PORT\"; it is not encrypted by itself, so not over a network",
        );
    }
    local.map(|address| Connector::Http { host: address.ip().to_string(), port: address.port() })
}

/// Reports what this build cannot do.
#[cfg(not(feature = "yubihsm-http"))]
fn http(section: &Section<'_, '_>, text: &str) -> Option<Connector> {
    let why = if text.starts_with("http://") {
        "connector: this program reaches the device by USB only; build it with the feature `yubihsm-http` for a \
         yubihsm-connector"
    } else {
        "connector: wanted is \"usb\""
    };
    section.report("connector", why);
    None
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Depth};

    /// All that is required.
    const DEVICE: &str = "state_dir = \"/var/lib/x\"\nsocket = \"/run/x.sock\"\n[token]\nkind = \"yubihsm\"\n\
                          serial = \"0012345678\"\npin = \"prompt\"\n";

    fn problems(text: &str) -> String {
        Config::parse(text, Depth::Text).map(drop).unwrap_err().to_string()
    }

    #[cfg(not(feature = "yubihsm"))]
    #[test]
    fn a_build_without_it_names_the_feature() {
        assert!(problems(DEVICE).starts_with("line 4: kind: this program was built without YubiHSM support"));
        assert!(problems(DEVICE).contains("feature `yubihsm`"));
    }

    #[test]
    fn unknown_kinds_and_keys_of_the_other_kind_are_problems() {
        assert!(problems(&DEVICE.replace("\"yubihsm\"", "\"luna\"")).contains("line 4: kind: wanted is"));
        let text = "state_dir = \"/x\"\nsocket = \"/s\"\n[token]\nmodule = \"/m\"\nlabel = \"l\"\npin = \"prompt\"\n\
                    auth_key_id = 2\n";
        assert!(problems(text).contains("line 7: auth_key_id: only with kind"), "{}", problems(text));
    }

    #[cfg(feature = "yubihsm")]
    #[test]
    fn a_device_is_read_with_its_defaults() {
        let config = Config::parse(DEVICE, Depth::Text).unwrap();
        let device = config.token.yubihsm.as_ref().unwrap();
        assert_eq!(device.connector, super::Connector::Usb);
        assert_eq!((device.auth_key_id, device.admin_key_id), (2, 3));
        assert_eq!((config.token.label.as_str(), config.serial().unwrap()), ("yubihsm", "0012345678"));
    }

    #[cfg(feature = "yubihsm")]
    #[test]
    fn what_does_not_fit_is_a_problem() {
        for (line, wanted) in [
            ("auth_key_id = 1\n", "auth_key_id"),
            ("auth_key_id = 3\n", "admin_key_id: it must be another key"),
            ("module = \"/m\"\n", "module: not with kind"),
            ("connector = \"tcp\"\n", "connector: wanted is"),
            ("pin-value = \"1\"\n", "unknown key"),
        ] {
            assert!(problems(&format!("{DEVICE}{line}")).contains(wanted), "{line}");
        }
        assert!(problems(&DEVICE.replace("0012345678", "12345678")).contains("ten digits"));
        assert!(problems(&DEVICE.replace("serial", "#serial")).contains("serial"));
    }

    #[cfg(all(feature = "yubihsm", not(feature = "yubihsm-http")))]
    #[test]
    fn http_is_refused_with_the_name_of_its_feature() {
        let text = format!("{DEVICE}connector = \"http://127.0.0.1:12345\"\n");
        assert!(problems(&text).contains("feature `yubihsm-http`"));
    }

    #[cfg(feature = "yubihsm-http")]
    #[test]
    fn http_is_taken_on_this_machine_only() {
        let text = |address: &str| format!("{DEVICE}connector = \"{address}\"\n");
        let config = Config::parse(&text("http://127.0.0.1:12345"), Depth::Text).unwrap();
        let wanted = super::Connector::Http { host: "127.0.0.1".to_owned(), port: 12345 };
        assert_eq!(config.token.yubihsm.unwrap().connector, wanted);
        for bad in [
            "http://192.0.2.1:12345",
            "https://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost:1",
            "http://127.0.0.1",
        ] {
            assert!(problems(&text(bad)).contains("connector: wanted is"), "{bad}");
        }
    }
}
