//! What the process gives up before it serves; the only place that does. Order and reasons: `docs/THREAT-MODEL.md`.

use crate::config::{Config, MemoryLock};
use crate::error::{Explain, Kind};
use crate::log::{Level, line};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_no_new_privs};
use sandbox::Role;
use std::io;

mod calls;
mod places;
pub mod sandbox;

/// What could not be given up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HardenError {
    /// A call that never fails on a usual Linux.
    #[error("cannot harden the process: {what}")]
    Call {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Memory cannot be locked.
    #[error("cannot lock the memory: {0}")]
    Memory(String),
    /// No sandbox.
    #[error("cannot confine the process: {0}")]
    Sandbox(String),
    /// Nobody knows which files the token's module needs.
    #[error("cannot confine the vault: SoftHSM's configuration: {0}")]
    Token(String),
}

impl Explain for HardenError {
    fn kind(&self) -> Kind {
        match self {
            Self::Call { .. } => Kind::Internal,
            Self::Memory(_) | Self::Sandbox(_) | Self::Token(_) => Kind::Usage,
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::Call { .. } => "run on Linux 5.4 or later",
            Self::Memory(_) => {
                "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited; \
                 to try things out only: memory_lock = \"if-possible\""
            }
            Self::Sandbox(_) => {
                "run on a kernel with landlock and seccomp; to try things out only: sandbox = \"if-possible\""
            }
            Self::Token(_) => {
                "set SOFTHSM2_CONF, or sandbox = \"generic\" and paths = [...] in [token] if the module is no SoftHSM"
            }
        };
        hint.to_owned()
    }
}

/// Not dumpable, no core. Every command does this first, before a PIN or a key is in its memory.
///
/// # Errors
/// [`HardenError`] if one of these cannot be had.
pub(crate) fn no_dumps() -> Result<(), HardenError> {
    let failed = |what| move |error: rustix::io::Errno| HardenError::Call { what, source: error.into() };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("not dumpable"))?;
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, nothing).map_err(failed("no core"))
}

/// Not dumpable, no core, memory locked, no new privileges. Threads that start later inherit all of it.
///
/// # Errors
/// [`HardenError`] if one of these cannot be had.
pub(crate) fn harden(memory_lock: MemoryLock) -> Result<(), HardenError> {
    no_dumps()?;
    lock_memory(memory_lock)?;
    no_new_privileges()
}

/// What the keeper gives up, and its children with it.
///
/// # Errors
/// [`HardenError`] if something cannot be given up.
pub(crate) fn plain() -> Result<(), HardenError> {
    no_dumps()?;
    no_new_privileges()
}

/// What the gate gives up. It has no secret, so its memory is not locked.
///
/// # Errors
/// [`HardenError`] if something cannot be given up.
pub(crate) fn gate(config: &Config) -> Result<(), HardenError> {
    plain()?;
    sandbox::confine(&Role::Gate(config.state_dir.clone()), config.sandbox).map_err(HardenError::Sandbox)
}

/// What the vault gives up.
///
/// # Errors
/// [`HardenError`] if something cannot be given up.
pub(crate) fn vault(config: &Config) -> Result<(), HardenError> {
    harden(config.memory_lock)?;
    let role = Role::of_vault(&config.token).map_err(HardenError::Token)?;
    sandbox::confine(&role, config.sandbox).map_err(HardenError::Sandbox)
}

/// No program that it runs has more rights than it has itself.
fn no_new_privileges() -> Result<(), HardenError> {
    set_no_new_privs(true)
        .map_err(|error| HardenError::Call { what: "no new privileges", source: error.into() })
}

/// Locks what is and what will be in memory, or says that it may be swapped.
fn lock_memory(wanted: MemoryLock) -> Result<(), HardenError> {
    match (try_lock(), wanted) {
        (Ok(()), _) => Ok(()),
        (Err(why), MemoryLock::Required) => Err(HardenError::Memory(why)),
        (Err(why), MemoryLock::IfPossible) => {
            line(Level::Warn, "memory-not-locked", &[("why", &why)]);
            Ok(())
        }
    }
}

/// Locks pages as they are touched: locking whole mappings would pull all of the module's libraries into memory.
fn try_lock() -> Result<(), String> {
    let privileged = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let limit = getrlimit(Resource::Memlock);
    // Address space counts against the limit, so with any limit a later thread could fail to start.
    if let (Some(octets), false) = (limit.maximum, privileged) {
        return Err(format!("the hard limit RLIMIT_MEMLOCK is {octets} octets, and must be unlimited"));
    }
    if !privileged {
        let unlimited = Rlimit { current: None, maximum: limit.maximum };
        setrlimit(Resource::Memlock, unlimited).map_err(|error| error.to_string())?;
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(flags).map_err(|error| error.to_string())
}
