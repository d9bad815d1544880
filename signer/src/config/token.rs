//! The `[token]` section: which token, which module, how to log in. Written out in keys, or as a PKCS#11 URI.

use super::confine::{self, Confine};
use super::yubihsm::{self, YubihsmConfig};
use super::{Depth, path_at, world};
use crate::pin::PinSource;
use crate::seal::SealKind;
use crate::token::uri::TokenUri;
use onionkeep_common::config::Section;
use std::path::{Path, PathBuf};

/// The section's keys.
pub(super) const KEYS: [&str; 15] = [
    "kind",
    "uri",
    "module",
    "label",
    "serial",
    "manufacturer",
    "model",
    "pin",
    "so_pin",
    "connector",
    "auth_key_id",
    "admin_key_id",
    "seal",
    "sandbox",
    "paths",
];

/// Which token, and how to log in.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// The token's serial number; only `token init` works without it.
    pub serial: Option<String>,
    /// The token's manufacturer, if it is looked at.
    pub manufacturer: Option<String>,
    /// The token's model, if it is looked at.
    pub model: Option<String>,
    /// Where the user PIN comes from.
    pub pin: PinSource,
    /// Where the security officer's PIN comes from; only `token init` reads it.
    pub so_pin: Option<PinSource>,
    /// The device, if it is a `YubiHSM` 2 and not a PKCS#11 token.
    pub yubihsm: Option<YubihsmConfig>,
    /// How the vault confines itself.
    pub confine: Confine,
    /// By what new keys are sealed; keys that are there say themselves by what they open.
    pub seal: SealKind,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_, '_>, depth: Depth, state_dir: Option<&Path>) -> Option<TokenConfig> {
    let token = match section.text("kind") {
        None | Some("pkcs11") => by_pkcs11(section),
        Some("yubihsm") => yubihsm::read(section),
        Some(_) => {
            section.report("kind", "kind: wanted is \"pkcs11\" or \"yubihsm\"");
            None
        }
    }?;
    if let Some(state_dir) = state_dir {
        confine::spare(section, &token.confine.paths, state_dir);
    }
    if depth == Depth::World {
        world::check_paths(section, &token.confine.paths);
        let pins = [("pin", Some(&token.pin)), ("so_pin", token.so_pin.as_ref())];
        let module = token.yubihsm.is_none().then_some(token.module.as_path());
        world::check_token(section, module, &pins);
    }
    Some(token)
}

/// A token behind a PKCS#11 module.
fn by_pkcs11(section: &Section<'_, '_>) -> Option<TokenConfig> {
    for key in yubihsm::KEYS.into_iter().filter(|key| section.has(key)) {
        section.report(key, format!("{key}: only with kind = \"yubihsm\""));
    }
    let token = if section.has("uri") { by_uri(section) } else { by_keys(section) }?;
    shared_serial(section, &token);
    Some(token)
}

/// The token by its URI; module and PIN source may stand beside it if they are not in it.
fn by_uri(section: &Section<'_, '_>) -> Option<TokenConfig> {
    let beside: Vec<_> =
        ["label", "serial", "manufacturer", "model"].into_iter().filter(|key| section.has(key)).collect();
    for key in &beside {
        section.report(key, format!("{key} and uri stand side by side: {key} belongs in the uri"));
    }
    let uri: Option<TokenUri> = section.required_parsed("uri");
    let so_pin = section.parsed("so_pin");
    let uri = uri?;
    let module = match uri.module {
        Some(path) if !twice(section, "module", "module-path") => Some(path),
        Some(_) => None,
        None => path_at(section, "module"),
    };
    let pin = match uri.pin {
        Some(source) if !twice(section, "pin", "pin-source") => Some(source),
        Some(_) => None,
        None => section.required_parsed("pin"),
    };
    let TokenUri { label, serial, manufacturer, model, .. } = uri;
    let (module, pin, yubihsm, seal) = (module?, pin?, None, seal(section));
    let confine = confine::read(section, confine::usual(&module));
    Some(TokenConfig { module, label, serial, manufacturer, model, pin, so_pin, yubihsm, confine, seal })
}

/// By what new keys are sealed.
fn seal(section: &Section<'_, '_>) -> SealKind {
    section.parsed("seal").unwrap_or(SealKind::HmacSha256)
}

/// Whether a key stands beside the part of the URI that says the same.
fn twice(section: &Section<'_, '_>, key: &str, part: &str) -> bool {
    let twice = section.has(key);
    if twice {
        section.report(key, format!("{key} and {part} in the uri stand side by side: keep one of them"));
    }
    twice
}

/// The token by keys of its own.
fn by_keys(section: &Section<'_, '_>) -> Option<TokenConfig> {
    let module = path_at(section, "module");
    let label = section.required_text("label").filter(|label| fits(section, "label", label, 32));
    let optional =
        |key, max| section.text(key).filter(|text| fits(section, key, text, max)).map(str::to_owned);
    let (serial, manufacturer, model) =
        (optional("serial", 16), optional("manufacturer", 32), optional("model", 16));
    let pin: Option<PinSource> = section.required_parsed("pin");
    let so_pin: Option<PinSource> = section.parsed("so_pin");
    let (label, module, pin, yubihsm) = (label?.to_owned(), module?, pin?, None);
    let (confine, seal) = (confine::read(section, confine::usual(&module)), seal(section));
    Some(TokenConfig { module, label, serial, manufacturer, model, pin, so_pin, yubihsm, confine, seal })
}

/// Whether a text fits a token's blank-padded field of `max` octets.
fn fits(section: &Section<'_, '_>, key: &str, text: &str, max: usize) -> bool {
    let fits = !text.is_empty() && text.len() <= max && text.trim_end() == text;
    if !fits {
        section.report(key, format!("{key}: wanted are 1 to {max} octets without a blank at the end"));
    }
    fits
}

/// Reports a serial number that many tokens share, unless manufacturer or model are looked at too.
fn shared_serial(section: &Section<'_, '_>, token: &TokenConfig) {
    let shared = token.serial.as_ref().is_some_and(|serial| serial.bytes().all(|octet| octet == b'0'));
    if shared && token.manufacturer.is_none() && token.model.is_none() {
        let key = if section.has("uri") { "uri" } else { "serial" };
        section.report(
            key,
            format!(
                "{key}: a serial number of zeros tells no token from another; add manufacturer and model"
            ),
        );
    }
}
