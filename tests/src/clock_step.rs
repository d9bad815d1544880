//! Clocks that jump or go faster, for the programs of a run alone: the only place where the harness loads the library `onionkeep-clock-step`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::daemon;
use crate::files;
use crate::process::{Process, User};

/// The library's file, as cargo names it.
const LIBRARY: &str = "libonionkeep_clock_step.so";
/// The file beside the programs by which their clocks are moved.
pub const FILE: &str = "clock";
/// Names that file for programs that lie elsewhere.
pub const VARIABLE: &str = "ONIONKEEP_CLOCK";
/// Puts a directory over `/etc` for this process and its children alone, then becomes the rest of the line.
const ENTER: &str = r#"mount -t overlay overlay -o "lowerdir=$1:/etc" /etc && shift && exec "$@""#;

/// The file that the library reads: five numbers of eight octets in the machine's order.
const LENGTH: usize = 40;

/// The clock of all programs in one directory.
pub struct ClockStep {
    /// What lies over `/etc`.
    over: PathBuf,
    /// By what the clocks are moved.
    moved: Moved,
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
        files::copy_program(&built, &place.join(LIBRARY))?;
        let named = format!("{}\n", place.join(LIBRARY).display());
        files::write(&over.join("ld.so.preload"), named, User::Harness, 0o644)?;
        let path = programs.join(FILE);
        files::write(&path, [0; LENGTH], User::Harness, 0o644)?;
        Ok(Self { over, moved: Moved::open(&path)? })
    }

    /// What a program has to be started with so that its clock can be moved; see [`wrapped`](crate::process::wrapped).
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
                mapped.contains(LIBRARY) && mapped.contains(&format!("/bin/{FILE}")),
                "the clock of {pid} does not move"
            );
        }
        Ok(())
    }

    /// Puts the clock so many seconds ahead of the right time, behind it if negative; at once, for all that runs.
    pub fn set(&self, seconds: i64) -> Result<()> {
        self.moved.step(seconds)
    }
}

/// A file by which clocks are moved; the library has the meaning of its numbers.
#[derive(Debug)]
pub struct Moved {
    /// The file.
    file: File,
    /// Where it is.
    path: PathBuf,
}

/// The five numbers.
#[derive(Clone, Copy)]
struct Numbers {
    /// Seconds by which wall clocks are ahead, besides `ahead`.
    step: i64,
    /// Odd while the others are being written.
    writes: i64,
    /// When the speed was changed, in nanoseconds of the monotonic clock.
    since: i64,
    /// Nanoseconds by which all clocks were ahead then.
    ahead: i64,
    /// Seconds that pass in one second of the system; 0 for one.
    speed: i64,
}

impl Moved {
    /// Opens a file that [`ClockStep::install`] has made.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("no clock at {}", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts wall clocks so many seconds ahead of what they would show.
    pub fn step(&self, seconds: i64) -> Result<()> {
        self.put(0, seconds)
    }

    /// Lets so many seconds pass in each second of the system from now on; one is the usual speed.
    pub fn hurry(&self, speed: u32) -> Result<()> {
        let (numbers, now) = (self.read()?, monotonic());
        self.put(1, numbers.writes + 1)?;
        self.put(3, numbers.ahead(now))?;
        self.put(2, now)?;
        self.put(4, i64::from(speed))?;
        self.put(1, numbers.writes + 2)
    }

    /// How far the wall clocks of the programs are ahead of the system's now, in nanoseconds.
    pub fn ahead(&self) -> Result<i64> {
        let numbers = self.read()?;
        Ok(numbers.ahead(monotonic()) + numbers.step * SECOND)
    }

    /// Writes one of the numbers.
    fn put(&self, place: u64, number: i64) -> Result<()> {
        Ok(self.file.write_all_at(&number.to_ne_bytes(), place * 8)?)
    }

    /// Reads them all; only the harness writes, and never while it reads.
    fn read(&self) -> Result<Numbers> {
        let mut octets = [0; LENGTH];
        self.file.read_exact_at(&mut octets, 0)?;
        let mut numbers =
            octets.chunks_exact(8).map(|number| i64::from_ne_bytes(number.try_into().expect("eight octets")));
        let mut next = || numbers.next().context("five numbers");
        Ok(Numbers { step: next()?, writes: next()?, since: next()?, ahead: next()?, speed: next()? })
    }
}

impl Numbers {
    /// By how many nanoseconds all clocks are ahead at a moment of the monotonic clock.
    fn ahead(self, now: i64) -> i64 {
        if self.speed < 2 { self.ahead } else { self.ahead + (now - self.since) * (self.speed - 1) }
    }
}

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// The system's monotonic clock in nanoseconds.
fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * SECOND + now.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::unix_now;
    use crate::process;
    use std::time::Duration;

    #[test]
    fn the_clock_of_what_runs_inside_is_moved_and_no_other() {
        if !crate::assurance::disk::can_mount() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        files::copy_program(Path::new("/usr/bin/date"), &programs.join("date")).unwrap();
        let step = ClockStep::install(&dir.path().join("step"), &programs).unwrap();
        let now = || i64::try_from(unix_now()).unwrap();
        // By how much `date` is ahead, at least and at most: it reads its clock between two looks at ours.
        let ahead_of = |mut date: Command| {
            let before = now();
            let ran = process::run(&mut date, "date").unwrap();
            let date: i64 = String::from_utf8(ran.stdout).unwrap().trim().parse().unwrap();
            date - now()..=date - before
        };
        let date = || {
            let mut date = Command::new(programs.join("date"));
            date.arg("+%s");
            date
        };
        // Through a program that clears the environment, as the signer's keeper does for its gate.
        let ahead = || {
            let mut inner = Command::new("env");
            inner.arg("-i").arg(date().get_program()).args(date().get_args());
            ahead_of(process::wrapped(step.outer(), &inner))
        };
        for seconds in [0, 3600, -3600, 30] {
            step.set(seconds).unwrap();
            let seen = ahead();
            assert!(seen.contains(&seconds), "{seconds} s: {seen:?}");
        }
        step.set(0).unwrap();
        step.moved.hurry(1000).unwrap();
        let start = std::time::Instant::now();
        let slept = |seconds: &str| {
            let mut inner = Command::new("env");
            let script = format!("$0 +%s; sleep {seconds}; $0 +%s");
            inner.arg("-i").args(["sh", "-c", &script]).arg(programs.join("date"));
            inner
        };
        // The shell and `sleep` lie elsewhere: what is shown is that `date` goes by the file.
        let ran = process::run(&mut process::wrapped(step.outer(), &slept("0.3")), "date").unwrap();
        let times: Vec<i64> =
            String::from_utf8(ran.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert!(times[1] - times[0] >= 300, "{times:?}");
        let named = |mut command: Command| {
            command.env(VARIABLE, programs.join(FILE));
            command
        };
        let mut inner = Command::new("sleep");
        inner.arg("60");
        process::run(&mut named(process::wrapped(step.outer(), &inner)), "a short sleep").unwrap();
        let mut python = Command::new("python3");
        python.args(["-c", "import time, select; time.sleep(60); select.select([], [], [], 60)"]);
        process::run(&mut named(process::wrapped(step.outer(), &python)), "waits of Python").unwrap();
        assert!(start.elapsed() < Duration::from_secs(60));
        step.moved.hurry(1).unwrap();
        let later = ahead();
        assert!(*later.start() >= 180, "what has passed has passed: {later:?}");
        // No whole number of seconds, so that each look may be one off.
        let last = ahead();
        assert!(*last.start() <= later.end() + 1, "it still goes faster: {later:?}, {last:?}");
        assert!(ahead_of(date()).contains(&0), "outside it is moved too");
    }
}
