//! What a serving process gives up of files, network and system calls, by role; the only place that confines itself.

use super::{calls, places};
use crate::config::{Connector, Profile, Sandbox, TokenConfig};
use crate::log::{Level, line};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};
use std::path::{Path, PathBuf};

/// The newest kernel interface that we know; an older kernel enforces as much of it as it has.
const KNOWN: ABI = ABI::V6;

/// Whose sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The gate: this state directory, and nothing else.
    Gate(PathBuf),
    /// A vault with `SoftHSM`.
    SoftHsm {
        /// Its directory of tokens.
        tokens: PathBuf,
        /// What the configuration adds.
        paths: Vec<PathBuf>,
    },
    /// A vault with a module that was not measured: devices, sockets and the system's libraries, and these paths.
    Generic(Vec<PathBuf>),
    /// A vault with a device on USB, and these paths.
    Usb(Vec<PathBuf>),
    /// A vault with a yubihsm-connector.
    Connector {
        /// Its TCP port on this machine.
        port: u16,
        /// What the configuration adds.
        paths: Vec<PathBuf>,
    },
}

impl Role {
    /// The role of a vault, by its token.
    ///
    /// # Errors
    /// Which file of the token's own settings is missing.
    pub fn of_vault(token: &TokenConfig) -> Result<Self, String> {
        let paths = token.confine.paths.clone();
        match token.yubihsm.as_ref().map(|device| &device.connector) {
            #[cfg(feature = "yubihsm-http")]
            Some(Connector::Http { port, host: _ }) => return Ok(Self::Connector { port: *port, paths }),
            Some(Connector::Usb) | None => {}
        }
        Ok(match token.confine.profile {
            Profile::SoftHsm => Self::SoftHsm { tokens: softhsm_tokens()?, paths },
            Profile::Generic => {
                let own = places::of_module(&token.module, |key| std::env::var_os(key).map(PathBuf::from));
                Self::Generic([own, paths].concat())
            }
            Profile::Usb => Self::Usb(paths),
        })
    }

    /// Its name, for the log.
    const fn name(&self) -> &'static str {
        match self {
            Self::Gate(_) => "gate",
            Self::SoftHsm { .. } => "softhsm",
            Self::Generic(_) => "generic",
            Self::Usb(_) => "usb",
            Self::Connector { .. } => "connector",
        }
    }

    /// Whether its files are used by a library that we have not measured.
    const fn unmeasured(&self) -> bool {
        match self {
            Self::Generic(_) | Self::Usb(_) => true,
            Self::Gate(_) | Self::SoftHsm { .. } | Self::Connector { .. } => false,
        }
    }
}

/// Where `SoftHSM` keeps its tokens, from its own configuration.
fn softhsm_tokens() -> Result<PathBuf, String> {
    let named = std::env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
    let own = std::env::var_os("HOME").map(|home| Path::new(&home).join(".config/softhsm2/softhsm2.conf"));
    let file = named.or_else(|| own.filter(|own| own.is_file()));
    let file = file.unwrap_or_else(|| "/etc/softhsm/softhsm2.conf".into());
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(key, _value)| key.trim() == "directories.tokendir");
    let (_key, value) = found.ok_or_else(|| format!("{} names no directories.tokendir", file.display()))?;
    Ok(PathBuf::from(value.trim()))
}

/// Confines this process for good, or says that it cannot if that is allowed; then what the kernel has is used.
///
/// # Errors
/// Why it cannot, if it must.
pub fn confine(role: &Role, wanted: Sandbox) -> Result<(), String> {
    match (enforce(role), wanted) {
        (Ok(()), _) => Ok(()),
        (Err(why), Sandbox::Required) => Err(why),
        (Err(why), Sandbox::IfPossible) => {
            line(Level::Warn, "not-in-a-sandbox", &[("role", &role.name()), ("why", &why)]);
            Ok(())
        }
    }
}

/// Files and network first, then system calls: the first need calls that the second refuse. One that the kernel does
/// not have is no reason to go without the other.
fn enforce(role: &Role) -> Result<(), String> {
    let files = files(role).map_err(|error| format!("landlock: {error}"));
    let calls = match role {
        Role::Gate(_) => calls::gate(),
        Role::SoftHsm { .. } => calls::softhsm(),
        Role::Generic(_) => calls::generic(),
        Role::Usb(_) => calls::usb(),
        Role::Connector { .. } => calls::connector(),
    };
    let calls = calls.map_err(|error| format!("seccomp: {error}"));
    match (files, calls) {
        (Err(files), Err(calls)) => Err(format!("{files}; {calls}")),
        (files, calls) => files.and(calls),
    }
}

/// Gives up all files but the role's own, all TCP, and whatever else the kernel can take away.
fn files(role: &Role) -> Result<(), Box<dyn std::error::Error>> {
    let read: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile | Refer});
    let (read, write) = if role.unmeasured() {
        (AccessFs::from_read(KNOWN) & !AccessFs::Execute, AccessFs::from_all(KNOWN) & !AccessFs::Execute)
    } else {
        (read, write)
    };
    let scope = if role.unmeasured() { Scope::Signal.into() } else { Scope::from_all(KNOWN) };
    let port = match role {
        Role::Connector { port, .. } => Some(*port),
        Role::Gate(_) | Role::SoftHsm { .. } | Role::Generic(_) | Role::Usb(_) => None,
    };
    let places = places::of(role);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(scope)?
        .create()?
        .add_rules(path_beneath_rules(places.read, read))?
        .add_rules(path_beneath_rules(places.write, write))?
        .add_rules(
            port.map(|port| Ok::<_, landlock::RulesetError>(NetPort::new(port, AccessNet::ConnectTcp))),
        )?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel does not have it".into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}
