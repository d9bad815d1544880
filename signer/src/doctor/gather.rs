//! Reads the world for `doctor`: files, `/proc`, `/sys`, the token. Changes nothing, and judges nothing.

use super::facts::{
    Configured, Facts, Guard, Holder, Holders, Inside, Looked, Machine, Record, TokenSeen, Trouble, Unit,
};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, Depth};
use crate::error::{Explain, Kind};
use crate::ledger::LedgerError;
use crate::ledger::verify::{Checker, Report, files_in};
use crate::pin::{Pin, PinSource};
use crate::token::pkcs11::{Access, Pkcs11Token, look};
use crate::token::{Token, TokenError, Which};
use crate::vault::Vault;
use onionkeep_common::OnionAddress;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// How long the module may take; a vendor's library that hangs must not hang the doctor.
const PATIENCE: Duration = Duration::from_secs(15);
/// The unit's name.
const UNIT: &str = "onionkeep-signer.service";
/// Where units are, the one that wins first.
const UNIT_DIRS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// What is there while a service keeps the clock.
const TIME_SERVICES: [(&str, &str); 5] = [
    ("/run/systemd/timesync/synchronized", "systemd-timesyncd has set the clock"),
    ("/run/chrony/chronyd.pid", "chrony runs"),
    ("/run/chronyd.pid", "chrony runs"),
    ("/run/ntpd.pid", "ntpd runs"),
    ("/run/openntpd.pid", "openntpd runs"),
];

/// Everything; `login` also logs in, once.
#[must_use]
pub fn facts(config: &Path, login: bool) -> Facts {
    let configured = match Config::load(config, Depth::Text) {
        Ok(config) => Ok(configured(&config, login)),
        Err(ConfigError::Problems { problems, .. }) => {
            Err(problems.0.iter().map(ToString::to_string).collect())
        }
        Err(error) => Err(vec![error.in_full()]),
    };
    Facts {
        config_file: looked(config),
        configured,
        machine: machine(),
        unit: unit(&UNIT_DIRS.map(PathBuf::from)),
        now: SystemClock.now(),
    }
}

/// An error as data.
fn trouble(error: &impl Explain) -> Trouble {
    Trouble { kind: error.kind(), text: error.in_full(), hint: error.hint() }
}

/// Owner and bits of a path.
fn guard(path: &Path) -> Result<Guard, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    Ok(Guard { owner: metadata.uid(), mode: metadata.mode() & 0o7777 })
}

/// A path and its owner and bits.
fn looked(path: &Path) -> Looked {
    Looked { path: path.display().to_string(), guard: guard(path) }
}

/// What depends on the configuration.
fn configured(config: &Config, login: bool) -> Configured {
    let token = &config.token;
    let seen = config.which().map_err(|error| trouble(&error)).and_then(|which| seen(&token.module, which));
    // Nobody tries a PIN on a token that is not there.
    let inside = (login && seen.is_ok()).then(|| inside(config));
    let socket_dir = config.socket.parent().unwrap_or(&config.socket);
    let is_socket = fs::metadata(&config.socket).is_ok_and(|data| data.file_type().is_socket());
    let mut onions: Vec<_> = config.grants.iter().map(|grant| *grant.onion.identity().as_bytes()).collect();
    onions.sort_unstable();
    onions.dedup();
    Configured {
        onions: onions.len(),
        memory_lock: config.memory_lock,
        pin_source: token.pin.clone(),
        pin_file: match &token.pin {
            PinSource::File(path) => Some(looked(path)),
            PinSource::Credential(_) | PinSource::Prompt => None,
        },
        module_file: looked(&token.module),
        token: seen,
        inside,
        state_dir: looked(&config.state_dir),
        socket_dir: looked(socket_dir),
        socket: guard(&config.socket).ok().filter(|_guard| is_socket),
        record: record(&config.state_dir),
        holders: holders(&token.module),
    }
}

/// Runs `act` with a deadline, in a thread that is left behind if it hangs.
fn in_time<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let away = |why: &str| Trouble {
        kind: Kind::Away,
        text: format!("the token's module {why}"),
        hint: "unplug the token and plug it in again; try the token's own tool".to_owned(),
    };
    let (to, from) = sync_channel(1);
    let thread = std::thread::Builder::new().name("token".to_owned()).stack_size(1 << 20);
    if thread.spawn(move || to.send(act())).is_err() {
        return Err(away("cannot have a thread"));
    }
    from.recv_timeout(PATIENCE).unwrap_or_else(|_late| Err(away("does not answer in 15 s, or crashed")))
}

/// What the token says without a log-in.
fn seen(module: &Path, which: Which) -> Result<TokenSeen, Trouble> {
    let module = module.to_owned();
    in_time(move || look(&module, &which).map_err(|error| trouble(&error)))
}

/// What a log-in shows.
fn inside(config: &Config) -> Result<Inside, Trouble> {
    let which = config.which().map_err(|error| trouble(&error))?;
    let pin = config.token.pin.read("PIN of the token").map_err(|error| trouble(&error))?;
    let (module, state_dir) = (config.token.module.clone(), config.state_dir.clone());
    let mut onions: Vec<_> = config.grants.iter().map(|grant| grant.onion).collect();
    onions.dedup();
    in_time(move || logged_in(&module, which, pin, &state_dir, &onions))
}

/// Looks at the objects of a token that is logged in to.
fn logged_in(
    module: &Path,
    which: Which,
    pin: Pin,
    state_dir: &Path,
    onions: &[OnionAddress],
) -> Result<Inside, Trouble> {
    let mut token = Pkcs11Token::open(module, which, pin, Access::Read).map_err(|error| trouble(&error))?;
    let audit = match token.audit_key() {
        Ok(key) => Ok(Some(key)),
        Err(TokenError::NoAuditKey) => Ok(None),
        Err(error) => Err(trouble(&error)),
    };
    let mut vault = Vault::open(token, state_dir).map_err(|error| trouble(&error))?;
    let root = vault.check_root().map_err(|error| trouble(&error));
    let mut check = |onion: &OnionAddress| {
        (onion.redacted().to_string(), vault.check(*onion).map_err(|error| trouble(&error)))
    };
    let onions = onions.iter().map(&mut check).collect();
    Ok(Inside { root, audit, onions, unreadable: vault.unreadable().len() })
}

/// About the ledger: read and checked line by line, as `audit verify` does, while a signer may be writing it.
fn record(state_dir: &Path) -> Record {
    match checked(state_dir) {
        Ok(Report { to, time, certificates, key, .. }) => {
            let text = format!("whole, {to} lines, {certificates} certificates");
            Record { whole: Ok(text), written: time, key }
        }
        Err(error) => Record { whole: Err(trouble(&error)), written: None, key: None },
    }
}

/// Reads the whole ledger.
fn checked(state_dir: &Path) -> Result<Report, LedgerError> {
    Checker::new(Vec::new(), None, &mut |_line| {}).files(&files_in(state_dir)?)
}

/// Which processes have the module loaded, besides this one.
fn holders(module: &Path) -> Holders {
    let module = fs::canonicalize(module).unwrap_or_else(|_error| module.to_owned());
    let module = module.display().to_string();
    let mut holders = Holders::default();
    let own = std::process::id();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok().filter(|pid| *pid != own);
        let Some(pid) = pid else { continue };
        match fs::read_to_string(entry.path().join("maps")) {
            Ok(maps) if maps.lines().any(|line| line.ends_with(&module)) => {
                holders.all.push(Holder { pid, name: program(&entry.path()) });
            }
            Ok(_others) => {}
            // It may have ended meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_refused) => holders.hidden = holders.hidden.saturating_add(1),
        }
    }
    holders.all.sort_by_key(|holder| holder.pid);
    holders
}

/// The name of a process's program; what it calls itself may be another (the parts of the signer are "exe").
fn program(process: &Path) -> String {
    let link = fs::read_link(process.join("exe")).ok();
    let name = link.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned())
}

/// A short file of the kernel's, trimmed.
fn kernel_says(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// About the machine.
fn machine() -> Machine {
    let privileged = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let no_core = getrlimit(Resource::Core).current == Some(0)
        && dumpable_behavior().is_ok_and(|dumpable| dumpable == DumpableBehavior::NotDumpable);
    let service = TIME_SERVICES.iter().find(|(path, _what)| Path::new(path).exists());
    Machine {
        unlimited_lock: privileged || getrlimit(Resource::Memlock).maximum.is_none(),
        swap: swap_areas(&kernel_says("/proc/swaps").unwrap_or_default()),
        no_core,
        crash_kernel: kernel_says("/sys/kernel/kexec_crash_loaded").as_deref() == Some("1"),
        modules: kernel_says("/sys/kernel/security/lsm"),
        seccomp: kernel_says("/proc/sys/kernel/seccomp/actions_avail"),
        kernel: kernel_says("/proc/sys/kernel/osrelease").unwrap_or_default(),
        time_service: service.map(|(_path, what)| (*what).to_owned()),
    }
}

/// The swap areas in `/proc/swaps` that are not compressed memory.
fn swap_areas(text: &str) -> Vec<String> {
    let areas = text.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    areas.filter(|area| !area.starts_with("/dev/zram")).map(str::to_owned).collect()
}

/// The unit and its drop-ins.
fn unit(dirs: &[PathBuf]) -> Option<Unit> {
    let path = dirs.iter().map(|dir| dir.join(UNIT)).find(|path| path.is_file())?;
    let mut text = fs::read_to_string(&path).ok()?;
    for dir in dirs {
        for entry in fs::read_dir(dir.join(format!("{UNIT}.d"))).into_iter().flatten().flatten() {
            text.push_str(&fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    Some(Unit { path: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_in_memory_is_none() {
        let head = "Filename\tType\tSize\tUsed\tPriority\n";
        assert!(swap_areas(head).is_empty());
        let text = format!("{head}/dev/zram0 partition 1 0 100\n/dev/sda2 partition 9 0 -2\n");
        assert_eq!(swap_areas(&text), ["/dev/sda2"]);
    }

    #[test]
    fn a_unit_is_read_with_its_drop_ins() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        assert_eq!(unit(&dirs), None);
        fs::write(dir.path().join(UNIT), "[Service]\n").unwrap();
        fs::create_dir(dir.path().join(format!("{UNIT}.d"))).unwrap();
        fs::write(dir.path().join(format!("{UNIT}.d/a.conf")), "WatchdogSec=30\n").unwrap();
        assert!(unit(&dirs).unwrap().text.contains("WatchdogSec"));
    }

    #[test]
    fn a_module_that_never_answers_is_left_behind() {
        let answered = in_time(|| Ok(7));
        assert_eq!(answered, Ok(7));
        let crashed: Result<u8, Trouble> = in_time(|| panic!("on order"));
        assert_eq!(crashed.unwrap_err().kind, Kind::Away);
    }

    #[test]
    fn a_missing_configuration_is_a_fact() {
        let facts = facts(Path::new("/nonexistent/signer.toml"), false);
        assert!(facts.configured.is_err() && facts.config_file.guard.is_err());
    }
}
