//! What a serving process gives up of files, network and system calls, by role; the only place that confines itself.

use super::calls;
use crate::config::Sandbox;
use crate::log::{Level, line};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, make_bitflags, path_beneath_rules,
};
use std::path::{Path, PathBuf};

/// The newest kernel interface that we know; an older kernel enforces as much of it as it has.
const KNOWN: ABI = ABI::V6;

/// Whose sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The gate: this state directory, and nothing else.
    Gate(PathBuf),
    /// A vault with `SoftHSM`: its directory of tokens.
    SoftHsm(PathBuf),
    /// A vault with a module that was not measured: devices, sockets and the system's libraries.
    Generic,
}

impl Role {
    /// The role of a vault, by its module.
    #[must_use]
    pub fn of_vault(module: &Path) -> Self {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        match softhsm_tokens().filter(|_tokens| name.contains("softhsm2")) {
            Some(tokens) => Self::SoftHsm(tokens),
            None => Self::Generic,
        }
    }

    /// Its name, for the log.
    const fn name(&self) -> &'static str {
        match self {
            Self::Gate(_) => "gate",
            Self::SoftHsm(_) => "softhsm",
            Self::Generic => "generic",
        }
    }
}

/// Where `SoftHSM` keeps its tokens, from its own configuration.
fn softhsm_tokens() -> Option<PathBuf> {
    let file = std::env::var_os("SOFTHSM2_CONF").unwrap_or_else(|| "/etc/softhsm/softhsm2.conf".into());
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let (_key, value) = lines.find(|(key, _value)| key.trim() == "directories.tokendir")?;
    Some(PathBuf::from(value.trim()))
}

/// Confines this process for good, or says that it cannot if that is allowed.
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

/// Files and network first, then system calls: the first need calls that the second refuse.
fn enforce(role: &Role) -> Result<(), String> {
    files(role).map_err(|error| format!("landlock: {error}"))?;
    let calls = match role {
        Role::Gate(_) => calls::gate(),
        Role::SoftHsm(_) => calls::softhsm(),
        Role::Generic => calls::generic(),
    };
    calls.map_err(|error| format!("seccomp: {error}"))
}

/// Gives up all files but the role's own, all TCP, and whatever else the kernel can take away.
fn files(role: &Role) -> Result<(), Box<dyn std::error::Error>> {
    let read: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile | Refer});
    let system: Vec<PathBuf> = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys"].map(PathBuf::from).into();
    let devices: Vec<PathBuf> = ["/dev", "/run", "/var", "/tmp"].map(PathBuf::from).into();
    let (reads, writes) = match role {
        Role::Gate(state) => (Vec::new(), vec![state.clone()]),
        Role::SoftHsm(tokens) => (vec![tokens.clone()], Vec::new()),
        Role::Generic => (system, devices),
    };
    let whole = if *role == Role::Generic {
        (AccessFs::from_read(KNOWN), AccessFs::from_all(KNOWN) & !AccessFs::Execute)
    } else {
        (read, write)
    };
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(
            Scope::from_all(KNOWN)
                & if *role == Role::Generic { Scope::Signal.into() } else { BitFlags::all() },
        )?
        .create()?
        .add_rules(path_beneath_rules(reads, whole.0))?
        .add_rules(path_beneath_rules(writes, whole.1))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel does not have it".into()),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}
