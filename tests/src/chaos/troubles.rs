//! What goes wrong in a chaos run, when, and for how long: the only place that breaks the stage and mends it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::judge::Outage;
use crate::assurance::dice::Dice;
use crate::assurance::disk::SmallDisk;
use crate::files;
use crate::process::User;
use crate::stage::Stage;

/// Where Debian's package `faketime` has its library, below the folder of the architecture.
const FAKETIME: &str = "faketime/libfaketime.so.1";

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// A backend's tor is killed.
    Backend(usize),
    /// The publisher is killed.
    Publisher,
    /// The publisher's tor is killed.
    Tor,
    /// The signer is killed.
    Signer,
    /// No free octet is left on the publisher's disk.
    Disk,
    /// The publisher's clock jumps by so many seconds, and back afterwards.
    Clock(i64),
}

impl Trouble {
    /// Throws what goes wrong next, and for how long.
    pub fn throw(dice: &mut Dice, backends: usize) -> (Self, Duration) {
        let mut between = |from: usize, to: usize| {
            Duration::from_secs((from + dice.below(to - from)).try_into().unwrap_or(1))
        };
        let (backend, publisher, tor, signer, clock) =
            (between(15, 60), between(1, 20), between(1, 20), between(3, 60), between(20, 90));
        match dice.below(13) {
            0..=4 => (Self::Backend(dice.below(backends)), backend),
            5..=6 => (Self::Publisher, publisher),
            7..=8 => (Self::Tor, tor),
            9..=10 => (Self::Signer, signer),
            11 => (Self::Disk, Duration::from_secs(60)),
            _clock => {
                let seconds = i64::try_from(1 + dice.below(1800)).unwrap_or(1);
                (Self::Clock(if dice.below(2) == 0 { seconds } else { -seconds }), clock)
            }
        }
    }

    /// The word for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backend(_) => "backend killed",
            Self::Publisher => "publisher killed",
            Self::Tor => "tor killed",
            Self::Signer => "signer killed",
            Self::Disk => "disk full",
            Self::Clock(_) => "clock stepped",
        }
    }

    /// Whether both cannot be at the same time.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        self.name() == other.name()
            && !matches!((self, other), (Self::Backend(a), Self::Backend(b)) if a != b)
    }

    /// The outage that a backend's death may hide behind.
    #[must_use]
    pub const fn outage(self, from: Duration) -> Option<Outage> {
        match self {
            Self::Publisher | Self::Tor => Some(Outage { what: self.name(), from, to: None }),
            Self::Backend(_) | Self::Signer | Self::Disk | Self::Clock(_) => None,
        }
    }
}

/// What the troubles are made with.
pub struct Tools {
    /// The publisher's state lies on it.
    disk: SmallDisk,
    /// What fills it now.
    filler: Option<PathBuf>,
    /// How far the publisher's clock is off, in seconds, for libfaketime.
    clock: PathBuf,
    /// libfaketime.
    library: PathBuf,
}

impl Tools {
    /// Puts the publisher on a small disk and a clock that can be set, and starts it again.
    pub fn new(stage: &mut Stage) -> Result<Self> {
        stage.publisher.stop()?;
        let disk = SmallDisk::mount(
            &stage.publisher.dir().join("state"),
            &stage.run.path().join("spare"),
            User::Publisher,
        )?;
        let clock = stage.run.path().join("clock");
        files::write(&clock, "+0\n", User::Harness, 0o644)?;
        let tools = Self { disk, filler: None, clock, library: find_library()? };
        tools.start_publisher(stage)?;
        Ok(tools)
    }

    /// Starts the publisher with the clock that can be set. Timers run on: only the wall clock is another.
    fn start_publisher(&self, stage: &mut Stage) -> Result<()> {
        let mut outer = Command::new("env");
        outer.arg(format!("LD_PRELOAD={}", self.library.display()));
        outer.arg(format!("FAKETIME_TIMESTAMP_FILE={}", self.clock.display()));
        outer.args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
        stage.publisher.start_under(outer)
    }

    /// Makes a trouble.
    pub fn begin(&mut self, stage: &mut Stage, trouble: Trouble) -> Result<()> {
        match trouble {
            Trouble::Backend(number) => stage.backends[number].kill(),
            Trouble::Publisher => stage.publisher.kill(),
            Trouble::Tor => stage.publisher_tor.node.kill(),
            Trouble::Signer => stage.signer.kill(),
            Trouble::Disk => {
                self.filler = Some(self.disk.fill()?);
                Ok(())
            }
            Trouble::Clock(seconds) => self.set_clock(seconds),
        }
    }

    /// Ends it.
    pub fn end(&mut self, stage: &mut Stage, trouble: Trouble) -> Result<()> {
        match trouble {
            Trouble::Backend(number) => stage.backends[number].restart(),
            Trouble::Publisher => self.start_publisher(stage),
            Trouble::Tor => stage.publisher_tor.node.start(),
            Trouble::Signer => stage.signer.start(),
            Trouble::Disk => Ok(self.filler.take().map_or(Ok(()), std::fs::remove_file)?),
            Trouble::Clock(_) => self.set_clock(0),
        }
    }

    /// Lets the publisher's clock be off by so many seconds.
    fn set_clock(&self, seconds: i64) -> Result<()> {
        files::write(&self.clock, format!("{seconds:+}\n"), User::Harness, 0o644)
    }
}

/// libfaketime in a folder of any architecture.
fn find_library() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path().join(FAKETIME));
    let library = folders.chain([PathBuf::from("/usr/lib").join(FAKETIME)]).find(|path| path.exists());
    let library = library.context("libfaketime is missing; as root: apt-get install faketime")?;
    ensure!(crate::assurance::disk::can_mount(), "no file system can be mounted here: run it as root");
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_trouble_comes_and_ends_in_time() {
        let mut dice = Dice::new(1);
        let thrown: Vec<_> = (0..300).map(|_throw| Trouble::throw(&mut dice, 4)).collect();
        let names: BTreeSet<_> = thrown.iter().map(|(trouble, _long)| trouble.name()).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(thrown.iter().all(|(_trouble, long)| (1..=90).contains(&long.as_secs())));
        let backends = |(trouble, _long): &(Trouble, Duration)| matches!(trouble, Trouble::Backend(0..=3));
        assert!(thrown.iter().filter(|thrown| backends(thrown)).count() > 80);
    }

    #[test]
    fn only_two_backends_may_be_in_trouble_together_with_their_like() {
        assert!(!Trouble::Backend(1).excludes(Trouble::Backend(2)));
        assert!(Trouble::Backend(1).excludes(Trouble::Backend(1)));
        assert!(Trouble::Clock(3).excludes(Trouble::Clock(-9)));
        assert!(!Trouble::Tor.excludes(Trouble::Publisher));
    }
}
