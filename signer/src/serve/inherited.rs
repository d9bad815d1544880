//! Descriptors that whoever started `serve` left open, and that gate and vault would have too: the only place that looks for them.
//!
//! They are told, not closed: that would need code that the compiler cannot check, and systemd, which starts signers, leaves none.

use crate::log::{Level, line};
use std::io;

/// The flag of a descriptor that no child gets.
const CLOSED_ON_EXEC: u32 = 0o2_000_000;

/// Tells which descriptors the children of this process would get besides the standard streams.
pub(super) fn tell() {
    // Without /proc nobody serves: the children are started from there.
    let Ok(found) = open() else { return };
    if found.is_empty() {
        return;
    }
    let numbers: Vec<_> = found.iter().map(u32::to_string).collect();
    let why = "whoever started serve left them open, and gate and vault have them too: start it with systemd, or close them";
    line(Level::Warn, "descriptors-inherited", &[("descriptors", &numbers.join(",")), ("why", &why)]);
}

/// Descriptors above the standard streams that are not closed on exec, in their order.
fn open() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that is gone by now was our own.
        let kept = std::fs::read_to_string(entry.path()).is_ok_and(|text| outlives_exec(&text));
        if number > 2 && kept {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether the kernel's lines about a descriptor say that a child gets it.
fn outlives_exec(text: &str) -> bool {
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSED_ON_EXEC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_setfd};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_descriptor_that_a_child_gets_is_found_and_others_are_not() {
        let (kept, closed) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        fcntl_setfd(&kept, FdFlags::empty()).unwrap();
        let found = open().unwrap();
        let has = |number: i32| found.contains(&u32::try_from(number).unwrap());
        assert!(has(kept.as_raw_fd()) && !has(closed.as_raw_fd()), "{found:?}");
    }

    #[test]
    fn the_kernels_lines_are_read() {
        assert!(outlives_exec("pos:\t0\nflags:\t0100000\nmnt_id:\t26\n"));
        assert!(!outlives_exec("pos:\t0\nflags:\t02100000\nmnt_id:\t26\n"));
        assert!(!outlives_exec(""));
    }
}
