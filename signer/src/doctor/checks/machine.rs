//! The checks of the machine: memory, swap, dumps, sandbox, what keeps the clock, the unit.

use super::super::Finding;
use super::super::facts::{Machine, Unit};
use crate::config::MemoryLock;
use crate::error::Kind;

/// Whether something keeps the clock.
pub(super) fn time_service(machine: &Machine) -> Finding {
    match &machine.time_service {
        Some(service) => Finding::ok("time-service", service),
        None => Finding::warn(
            "time-service",
            "no sign of a service that keeps the clock right",
            "systemd-timesyncd, chrony or ntpd; on an air-gapped machine compare the clock at each ceremony",
        ),
    }
}

/// Whether memory can be locked.
pub(super) fn memory_lock(wanted: MemoryLock, unlimited: bool) -> Finding {
    match (wanted, unlimited) {
        (MemoryLock::Required, true) => Finding::ok("memory-lock", "required, and possible"),
        (MemoryLock::Required, false) => Finding::warn(
            "memory-lock",
            "RLIMIT_MEMLOCK is limited here; with this limit serve does not start",
            "LimitMEMLOCK=infinity in the unit; ulimit -l unlimited for a trial",
        ),
        (MemoryLock::IfPossible, _) => Finding::warn(
            "memory-lock",
            "memory_lock = \"if-possible\": secrets may be swapped",
            "memory_lock = \"required\" for a key that matters",
        ),
    }
}

/// Whether a secret could get into a swap area.
pub(super) fn swap(areas: &[String], lock: MemoryLock) -> Finding {
    match (areas, lock) {
        ([], _) => Finding::ok("swap", "none on a disk"),
        (some, MemoryLock::Required) => Finding::ok(
            "swap",
            format!("{}: the signer's memory is locked and stays out of it", some.join(", ")),
        ),
        (some, MemoryLock::IfPossible) => {
            let text = format!("{}: secrets may get there", some.join(", "));
            Finding::warn("swap", text, "memory_lock = \"required\", or swapoff -a")
        }
    }
}

/// Whether memory could end up in a dump.
pub(super) fn core(machine: &Machine) -> Finding {
    match machine {
        Machine { no_core: false, .. } => Finding::fail(
            "core-dumps",
            Kind::Internal,
            "this process could leave a core",
            "run on Linux 5.4 or later, without a tracer",
        ),
        Machine { crash_kernel: true, .. } => Finding::warn(
            "core-dumps",
            "a crash kernel is loaded: a crash would save all memory, secrets too",
            "systemctl disable --now kdump",
        ),
        Machine { no_core: true, .. } => Finding::ok("core-dumps", "none, of the process or of the kernel"),
    }
}

/// Whether the kernel can confine the signer.
pub(super) fn sandbox(machine: &Machine) -> Finding {
    let landlock = machine.modules.as_ref().map(|modules| modules.split(',').any(|name| name == "landlock"));
    let fix = "boot a kernel with lsm=landlock,... and CONFIG_SECCOMP_FILTER";
    match (landlock, &machine.seccomp) {
        (_, None) => Finding::fail("sandbox", Kind::Usage, "the kernel has no seccomp filters", fix),
        (Some(false), Some(_)) => Finding::fail("sandbox", Kind::Usage, "the kernel has landlock off", fix),
        (None, Some(_)) if !has_landlock(&machine.kernel) => {
            Finding::fail("sandbox", Kind::Usage, format!("Linux {} has no landlock", machine.kernel), fix)
        }
        (None, Some(_)) => Finding::ok(
            "sandbox",
            format!("seccomp; Linux {} knows landlock (whether it is on is not shown)", machine.kernel),
        ),
        (Some(true), Some(_)) => Finding::ok("sandbox", "landlock and seccomp"),
    }
}

/// Whether a kernel release is 5.13 or later.
fn has_landlock(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 13)
}

/// Whether the unit has what it should have.
pub(super) fn unit(unit: &Unit) -> Finding {
    let has = |key: &str| unit.text.lines().any(|line| line.trim_start().starts_with(key));
    let wanted = [
        "LoadCredential",
        "LimitMEMLOCK=infinity",
        "NoNewPrivileges=yes",
        "PrivateNetwork=yes",
        "WatchdogSec",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|key| !has(key)).collect();
    if missing.is_empty() {
        Finding::ok("unit", &unit.path)
    } else {
        let text = format!("{} lacks {}", unit.path, missing.join(", "));
        Finding::warn("unit", text, "compare it with the shipped unit")
    }
}
