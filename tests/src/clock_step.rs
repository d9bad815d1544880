//! A wall clock that jumps for our programs alone: the only place where the harness loads the library `onionkeep-clock-step`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::daemon;
use crate::files;
use crate::process::{self, Process, User};

/// The library's file, as cargo names it.
const LIBRARY: &str = "libonionkeep_clock_step.so";
/// Puts a directory over `/etc` for this process and its children alone, then becomes the rest of the line.
const ENTER: &str = r#"mount -t overlay overlay -o "lowerdir=$1:/etc" /etc && shift && exec "$@""#;

/// The clock of all programs in one directory.
pub struct ClockStep {
    /// What lies over `/etc`.
    over: PathBuf,
    /// How many seconds the clock is ahead.
    file: File,
}

impl ClockStep {
    /// Puts the library into `place` and the file with the seconds beside the `programs`; the clock is right at first.
    ///
    /// # Errors
    /// The library was not built.
    pub fn install(place: &Path, programs: &Path) -> Result<Self> {
        let built = daemon::built(LIBRARY)
            .context("build it first: cargo build --release -p onionkeep-clock-step")?;
        let over = place.join("over-etc");
        files::make_dir(place, User::Harness, 0o755)?;
        files::make_dir(&over, User::Harness, 0o755)?;
        process::run(Command::new("cp").arg(&built).arg(place), "copying the library of the clock")?;
        let named = format!("{}\n", place.join(LIBRARY).display());
        files::write(&over.join("ld.so.preload"), named, User::Harness, 0o644)?;
        let path = programs.join("clock");
        files::write(&path, 0_i64.to_ne_bytes(), User::Harness, 0o644)?;
        Ok(Self { over, file: File::options().write(true).open(path)? })
    }

    /// What a program has to be started with so that its clock can be moved; see [`process::wrapped`].
    #[must_use]
    pub fn outer(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "sh"]).arg(&self.over);
        command
    }

    /// An error unless a program and everything it has started can be moved.
    pub fn check(process: &Process) -> Result<()> {
        for pid in process.children().into_iter().chain([process.id()]) {
            let mapped = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
            ensure!(
                mapped.contains(LIBRARY) && mapped.contains("/bin/clock"),
                "the clock of {pid} does not move"
            );
        }
        Ok(())
    }

    /// Puts the clock so many seconds ahead of the right time, behind it if negative; at once, for all that runs.
    pub fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::unix_now;

    #[test]
    fn the_clock_of_what_runs_inside_is_moved_and_no_other() {
        if !crate::assurance::disk::can_mount() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::fs::copy("/usr/bin/date", programs.join("date")).unwrap();
        let step = ClockStep::install(&dir.path().join("step"), &programs).unwrap();
        // Through a program that clears the environment, as the signer's keeper does for its gate.
        let ahead = || {
            let mut inner = Command::new("env");
            inner.arg("-i").arg(programs.join("date")).arg("+%s");
            let ran = process::run(&mut process::wrapped(step.outer(), &inner), "date").unwrap();
            String::from_utf8(ran.stdout).unwrap().trim().parse::<i64>().unwrap()
                - i64::try_from(unix_now()).unwrap()
        };
        for seconds in [0, 3600, -3600, 30] {
            step.set(seconds).unwrap();
            assert!((ahead() - seconds).abs() <= 2, "{seconds} s: {}", ahead());
        }
        let outside = process::run(Command::new(programs.join("date")).arg("+%s"), "date").unwrap();
        let outside: u64 = String::from_utf8(outside.stdout).unwrap().trim().parse().unwrap();
        assert!(unix_now().abs_diff(outside) <= 2);
    }
}
