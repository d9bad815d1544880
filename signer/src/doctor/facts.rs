//! What `doctor` found out about the world, as plain data: what the checks judge and tests make up.

use crate::audit_key::AuditKey;
use crate::config::MemoryLock;
use crate::error::Kind;
use crate::pin::PinSource;
use onionkeep_common::UnixTime;

pub use crate::token::pkcs11::TokenSeen;

/// A sentence about something that went wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where it lies.
    pub kind: Kind,
    /// The sentence.
    pub text: String,
    /// What to try.
    pub hint: String,
}

/// Owner and permission bits of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The owner's uid.
    pub owner: u32,
    /// The permission bits.
    pub mode: u32,
}

/// A file that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Its path.
    pub path: String,
    /// Its owner and bits, or why they cannot be seen.
    pub guard: Result<Guard, String>,
}

/// What a log-in showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The root key's attributes were read, and its value refused.
    pub root: Result<(), Trouble>,
    /// The audit key if there is one, or what is wrong with it.
    pub audit: Result<Option<AuditKey>, Trouble>,
    /// Each configured onion, shortened, and whether its seal opens and fits the address.
    pub onions: Vec<(String, Result<(), Trouble>)>,
    /// Objects that are no sealed key.
    pub unreadable: usize,
}

/// About the record of what was certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether it is there and whole, in a sentence.
    pub whole: Result<String, Trouble>,
    /// When its last line was written.
    pub written: Option<UnixTime>,
    /// The audit key that it names.
    pub key: Option<AuditKey>,
}

/// A process that has the token's module loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

/// Who has the module loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// They, without ourselves.
    pub all: Vec<Holder>,
    /// Processes that could not be looked into.
    pub hidden: usize,
}

/// About the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Whether memory can be locked from here without a limit.
    pub unlimited_lock: bool,
    /// Swap areas that are neither in memory nor absent.
    pub swap: Vec<String>,
    /// Whether this process is kept from leaving a core.
    pub no_core: bool,
    /// Whether a crash of the kernel would save all memory.
    pub crash_kernel: bool,
    /// The security modules that the kernel has on, if it tells.
    pub modules: Option<String>,
    /// What seccomp can do, if the kernel has it.
    pub seccomp: Option<String>,
    /// The kernel's release.
    pub kernel: String,
    /// A service that keeps the clock, if there is a sign of one.
    pub time_service: Option<String>,
}

/// About the systemd unit, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its path.
    pub path: String,
    /// Its text, with its drop-ins.
    pub text: String,
}

/// What depends on a good configuration.
#[derive(Clone, Debug)]
pub struct Configured {
    /// How many onions it has.
    pub onions: usize,
    /// What happens when memory cannot be locked.
    pub memory_lock: MemoryLock,
    /// Where the PIN comes from.
    pub pin_source: PinSource,
    /// The PIN's file, if it is one.
    pub pin_file: Option<Looked>,
    /// The module's file.
    pub module_file: Looked,
    /// Whether the module loads and has the token.
    pub token: Result<TokenSeen, Trouble>,
    /// What a log-in showed, if one was asked for.
    pub inside: Option<Result<Inside, Trouble>>,
    /// The state directory.
    pub state_dir: Looked,
    /// The socket's directory.
    pub socket_dir: Looked,
    /// The socket, if it is there.
    pub socket: Option<Guard>,
    /// The record.
    pub record: Record,
    /// Who has the module loaded.
    pub holders: Holders,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration's file.
    pub config_file: Looked,
    /// What is wrong with the configuration, or what depends on it.
    pub configured: Result<Configured, Vec<String>>,
    /// About the machine.
    pub machine: Machine,
    /// About the unit.
    pub unit: Option<Unit>,
    /// The time.
    pub now: UnixTime,
}
