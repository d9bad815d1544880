//! `publisher.toml`: what its words mean. The only place that reads it.

mod error;
mod notes;
mod paths;
mod probing;
mod secret;
mod sockets;
mod values;

pub use error::ConfigError;
pub use probing::Probing;
pub use sockets::Sockets;

use crate::descriptor::ClientKey;
use crate::merge::Mode;
use crate::metrics::MetricsAddr;
use crate::probe::SocksAddr;
use crate::tor::{ControlAddr, TorConfig};
use onionkeep_common::OnionAddress;
use onionkeep_common::config::{Problem, Problems, Section, read};
use onionkeep_common::ladder::Clockwork;
use paths::{absolute, socket};
use secret::{Secret, Secrets, read_client_key, read_password, secret_file};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Backends of one service.
pub(crate) const BACKENDS_MAX: usize = 3000;
/// Services of one publisher.
const SERVICES_MAX: usize = 1000;
/// Backends of all services together: more than so many were never measured.
const ALL_BACKENDS_MAX: usize = 10_000;
/// Weights of a backend.
pub(crate) const WEIGHTS: RangeInclusive<u64> = 1..=1000;
/// What a backend's name may be.
pub(crate) const NAME_RULE: &str = "wanted are 1 to 32 of the characters A-Z a-z 0-9 - _ .";
/// Three of four HSDirs: one or two of them are often on their way out of the network.
const ALARM_PERCENT: u64 = 75;
/// Within how many **seconds** an upload is looked after, as a rule: uploads are at least so far apart.
const CHECK_UPLOADS: u64 = 3600;
/// ... and at most: longer than any time between two uploads.
const CHECK_UPLOADS_MOST: u64 = 7200;
/// Keys of the top level.
const TOP: &[&str] = &[
    "state_dir",
    "status_socket",
    "control_socket",
    "alarm_hsdirs_percent",
    "metrics",
    "tor",
    "period",
    "service",
];
/// Keys of `[tor]`.
const TOR: &[&str] = &["control", "password", "allow_plain_cookie", "socks"];
/// Keys of `[[service]]`.
const SERVICE: &[&str] = &[
    "address",
    "signer",
    "bundles",
    "mode",
    "rotate",
    "intro_points",
    values::OLD_POINTS,
    "probe_port",
    "probe_interval_seconds",
    "probe_http",
    "probe_http_status",
    "check_uploads_seconds",
    "authorized_clients",
    "backend",
];
/// Keys of `[[service.backend]]`.
const BACKEND: &[&str] = &["name", "address", "weight", "drain", "client_key", "pow"];

/// How tor is reached.
#[derive(Clone, Debug)]
pub struct TorSection {
    /// Its control port.
    pub control: ControlAddr,
    /// The file with the control port's password.
    pub password: Option<PathBuf>,
    /// Whether the cookie itself may be sent.
    pub allow_plain_cookie: bool,
    /// Its SOCKS port, for probes.
    pub socks: Option<SocksAddr>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// The operator's name for it.
    pub name: String,
    /// Its address.
    pub address: OnionAddress,
    /// Its share of new clients is its weight against the sum of all.
    pub weight: u32,
    /// Whether it is to get no new clients while others are up.
    pub drain: bool,
    /// The file with our client key, if it lets only some clients read its descriptor.
    pub client_key: Option<PathBuf>,
    /// Whether it is listed although it asks for proof of work, which clients are then not told.
    pub ignore_pow: bool,
}

impl BackendConfig {
    /// Reads our client key for this backend.
    ///
    /// # Errors
    /// [`ConfigError::ClientKey`] if the file cannot be read or has another form, or others may read it.
    pub fn read_client_key(&self) -> Result<Option<ClientKey>, ConfigError> {
        let Some(path) = &self.client_key else { return Ok(None) };
        let failed =
            |why: String| ConfigError::ClientKey { path: path.clone(), name: self.name.clone(), why };
        Ok(Some(read_client_key(path).map_err(failed)?))
    }
}

/// One frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Its address.
    pub address: OnionAddress,
    /// The signer's socket, asked first.
    pub signer: Option<PathBuf>,
    /// Whether certificates come from bundles too.
    pub bundles: bool,
    /// How many introduction points are listed, and whether all HSDirs get the same.
    pub mode: Mode,
    /// How its backends are probed, if they are.
    pub probing: Option<Probing>,
    /// The folder with the clients that can read its descriptor; everybody can without it.
    pub authorized_clients: Option<PathBuf>,
    /// Within how many **seconds** after an upload its HSDirs are asked whether they give it; 0 if never.
    pub check_uploads: u64,
    /// Its backends.
    pub backends: Vec<BackendConfig>,
}

/// How metrics are given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where.
    pub listen: MetricsAddr,
    /// Whether labels show onion addresses as a whole.
    pub full_addresses: bool,
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The state folder.
    pub state_dir: PathBuf,
    /// The status socket.
    pub status_socket: PathBuf,
    /// The control socket, if there is one.
    pub control_socket: Option<PathBuf>,
    /// An alarm is raised if a smaller share of its HSDirs holds a descriptor, in hundredths.
    pub alarm_hsdirs_percent: u32,
    /// Where metrics are given out, if they are.
    pub metrics: Option<MetricsConfig>,
    /// How tor is reached.
    pub tor: TorSection,
    /// The network's clockwork, for requests.
    pub clockwork: Clockwork,
    /// The frontends.
    pub services: Vec<ServiceConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] or [`ConfigError::Problems`] with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, Secrets::Unread)
    }

    /// The same with the files with secrets that it names: what is wrong with them is told with all the rest.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_whole(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, Secrets::Read)
    }

    /// Reads a file, with or without its secrets.
    fn load_with(path: &Path, secrets: Secrets) -> Result<Self, ConfigError> {
        let text = Self::text(path)?;
        Self::parse_with(&text, secrets)
            .map_err(|problems| ConfigError::Problems { path: path.to_path_buf(), problems })
    }

    /// The text of a file.
    fn text(path: &Path) -> Result<String, ConfigError> {
        let octets = std::fs::read(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        String::from_utf8(octets).map_err(|error| {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = good.iter().filter(|octet| **octet == b'\n').count().saturating_add(1);
            let text = "this is not UTF-8 text".to_owned();
            ConfigError::Problems {
                path: path.to_path_buf(),
                problems: Problems(vec![Problem { line, text }]),
            }
        })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong in it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        Self::parse_with(text, Secrets::Unread)
    }

    /// Reads a text, and the files with secrets that it names if that is wanted.
    fn parse_with(text: &str, secrets: Secrets) -> Result<Self, Problems> {
        read(text, TOP, |top| {
            let state_dir = absolute(top, "state_dir");
            let status_socket = socket(top, "status_socket");
            let control_socket = top.has("control_socket").then(|| socket(top, "control_socket")).flatten();
            let status = status_socket.as_deref().map(|path| ("status_socket", path));
            let control = control_socket.as_deref().map(|path| ("control_socket", path));
            paths::check_apart(top, control, &[status]);
            let percent = top.number("alarm_hsdirs_percent", 1..=100).unwrap_or(ALARM_PERCENT);
            let metrics = values::metrics(top, &[status, control]);
            let tor = top.required_section("tor", TOR).and_then(|section| tor_section(&section, secrets));
            let socks = tor.as_ref().is_none_or(|tor| tor.socks.is_some());
            let clockwork = values::clockwork(top);
            let services = services(top, socks, secrets);
            Some(Self {
                state_dir: state_dir?,
                status_socket: status_socket?,
                control_socket,
                alarm_hsdirs_percent: u32::try_from(percent).unwrap_or(100),
                metrics: metrics?,
                tor: tor?,
                clockwork: clockwork?,
                services: services?,
            })
        })
    }
}

impl TorSection {
    /// What the control connection needs, with the password read from its file.
    ///
    /// # Errors
    /// [`ConfigError::Password`] if the file cannot be read, is empty or too long, or others may read it.
    pub fn connection(&self) -> Result<TorConfig, ConfigError> {
        let password = self.password.as_deref().map(|path| {
            read_password(path).map_err(|why| ConfigError::Password { path: path.to_path_buf(), why })
        });
        let password = password.transpose()?;
        Ok(TorConfig {
            control: self.control.clone(),
            password: password.map(Arc::new),
            allow_plain_cookie: self.allow_plain_cookie,
        })
    }
}

/// Reads `[tor]`.
fn tor_section(tor: &Section<'_, '_>, secrets: Secrets) -> Option<TorSection> {
    let control = tor.required_parsed("control");
    if let Some(ControlAddr::Unix(path)) = &control {
        paths::check_socket(tor, "control", path);
    }
    let password = secret_file(tor, "password", Secret::Password, secrets);
    let socks = tor.parsed("socks");
    if let Some(SocksAddr::Unix(path)) = &socks {
        paths::check_socket(tor, "socks", path);
    }
    let allow_plain_cookie = tor.truth("allow_plain_cookie").unwrap_or(false);
    Some(TorSection { control: control?, password, allow_plain_cookie, socks })
}

/// Reads all `[[service]]`.
fn services(top: &Section<'_, '_>, socks: bool, secrets: Secrets) -> Option<Vec<ServiceConfig>> {
    let sections = top.sections("service", SERVICE);
    if sections.is_empty() {
        top.report("service", "no [[service]]: at least one frontend is wanted");
    }
    if sections.len() > SERVICES_MAX {
        let count = sections.len();
        let wanted = format!("wanted are 1 to {SERVICES_MAX}; share them out among several publishers");
        top.report("service", format!("{count} [[service]]: {wanted}"));
        return None;
    }
    let address = |section: &Section<'_, '_>| section.text("address")?.parse::<OnionAddress>().ok();
    let frontends: Vec<_> = sections.iter().filter_map(address).collect();
    let (mut read, mut before) = (Vec::new(), BTreeSet::new());
    for section in &sections {
        if address(section).is_some_and(|own| !before.insert(*own.identity().as_bytes())) {
            section.report("address", "address: this frontend has a [[service]] already");
        }
        let backends = backends(section, &frontends, secrets);
        read.push(service(section, socks, backends));
    }
    let read: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    let backends: usize = read.iter().map(|service: &ServiceConfig| service.backends.len()).sum();
    if backends > ALL_BACKENDS_MAX {
        let wanted =
            format!("at most {ALL_BACKENDS_MAX} are wanted; share them out among several publishers");
        top.report("service", format!("{backends} [[service.backend]] in all: {wanted}"));
        return None;
    }
    Some(read)
}

/// Reads one `[[service]]`, whose backends were read.
fn service(
    section: &Section<'_, '_>,
    socks: bool,
    backends: Option<Vec<BackendConfig>>,
) -> Option<ServiceConfig> {
    let address = section.required_parsed("address");
    let bundles = section.truth("bundles").unwrap_or(false);
    let signer = if section.has("signer") || !bundles { Some(socket(section, "signer")) } else { None };
    let mode = values::mode(section);
    let probing = probing::probing(section, socks);
    let clients =
        section.has("authorized_clients").then(|| absolute(section, "authorized_clients")).flatten();
    Some(ServiceConfig {
        address: address?,
        signer: signer.map_or(Some(None), |path| path.map(Some))?,
        bundles,
        mode: mode?,
        probing,
        authorized_clients: clients,
        check_uploads: section
            .number("check_uploads_seconds", 0..=CHECK_UPLOADS_MOST)
            .unwrap_or(CHECK_UPLOADS),
        backends: backends?,
    })
}

/// Reads all `[[service.backend]]` of a service.
fn backends(
    service: &Section<'_, '_>,
    frontends: &[OnionAddress],
    secrets: Secrets,
) -> Option<Vec<BackendConfig>> {
    let sections = service.sections("backend", BACKEND);
    if sections.is_empty() || sections.len() > BACKENDS_MAX {
        let count = sections.len();
        service.report("backend", format!("{count} [[service.backend]]: wanted are 1 to {BACKENDS_MAX}"));
    }
    let mut read: Vec<Option<BackendConfig>> = Vec::new();
    for section in &sections {
        let name = section.required_text("name");
        let address = section.required_parsed("address");
        check_name(section, name);
        let earlier = || read.iter().flatten();
        if earlier().any(|other| Some(other.name.as_str()) == name) {
            section.report("name", "name: another backend of this service has this name");
        }
        if let Some(other) = earlier().find(|other| Some(other.address) == address) {
            section.report("address", format!("address: the same as that of backend \"{}\"", other.name));
        }
        if address.is_some_and(|address| frontends.contains(&address)) {
            section.report("address", "address: this is a frontend, which cannot be a backend");
        }
        let weight = section.number("weight", WEIGHTS);
        let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        let drain = section.truth("drain").unwrap_or(false);
        let client_key = secret_file(section, "client_key", Secret::ClientKey, secrets);
        let ignore_pow = values::ignore_pow(section);
        let backend = |(name, address): (&str, _)| {
            let name = name.to_owned();
            BackendConfig { name, address, weight, drain, client_key, ignore_pow }
        };
        read.push(name.zip(address).map(backend));
    }
    read.into_iter().collect()
}

/// A name stands in logs and tables.
fn check_name(section: &Section<'_, '_>, name: Option<&str>) {
    if name.is_some_and(|name| !is_name(name)) {
        section.report("name", format!("name: {NAME_RULE}"));
    }
}

/// Whether this may be a backend's name.
pub(crate) fn is_name(name: &str) -> bool {
    let good = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    (1..=32).contains(&name.len()) && name.chars().all(good)
}

#[cfg(test)]
pub(crate) mod tests;
