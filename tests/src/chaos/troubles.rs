//! What goes wrong in a chaos run, when, and for how long: the only place that breaks the stage and mends it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::judge::Outage;
use crate::assurance::dice::Dice;
use crate::assurance::disk::SmallDisk;
use crate::process::User;
use crate::stage::Stage;

/// How long the publisher may take from its start to its first status.
const START: Duration = Duration::from_secs(30);

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
}

impl Trouble {
    /// Throws what goes wrong next, and for how long.
    pub fn throw(dice: &mut Dice, backends: usize) -> (Self, Duration) {
        let mut between = |from: usize, to: usize| {
            Duration::from_secs((from + dice.below(to - from)).try_into().unwrap_or(1))
        };
        let (backend, publisher, tor, signer) =
            (between(15, 60), between(1, 20), between(1, 20), between(3, 60));
        match dice.below(12) {
            0..=4 => (Self::Backend(dice.below(backends)), backend),
            5..=6 => (Self::Publisher, publisher),
            7..=8 => (Self::Tor, tor),
            9..=10 => (Self::Signer, signer),
            _disk => (Self::Disk, Duration::from_secs(60)),
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
            Self::Backend(_) | Self::Signer | Self::Disk => None,
        }
    }
}

/// What the troubles are made with.
pub struct Tools {
    /// The publisher's state lies on it.
    disk: SmallDisk,
    /// What fills it now.
    filler: Option<PathBuf>,
}

impl Tools {
    /// Puts the publisher on a small disk and starts it again.
    pub fn new(stage: &mut Stage) -> Result<Self> {
        ensure!(crate::assurance::disk::can_mount(), "no file system can be mounted here: run it as root");
        stage.publisher.stop()?;
        let disk = SmallDisk::mount(
            &stage.publisher.dir().join("state"),
            &stage.run.path().join("spare"),
            User::Publisher,
        )?;
        start_publisher(stage)?;
        Ok(Self { disk, filler: None })
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
        }
    }

    /// Ends it.
    pub fn end(&mut self, stage: &mut Stage, trouble: Trouble) -> Result<()> {
        match trouble {
            Trouble::Backend(number) => stage.backends[number].restart(),
            Trouble::Publisher => start_publisher(stage),
            Trouble::Tor => stage.publisher_tor.node.start(),
            Trouble::Signer => stage.signer.start(),
            Trouble::Disk => Ok(self.filler.take().map_or(Ok(()), std::fs::remove_file)?),
        }
    }
}

/// Starts the publisher and waits for its status: a run whose publisher is not there shows nothing.
fn start_publisher(stage: &mut Stage) -> Result<()> {
    stage.publisher.start()?;
    stage.publisher.wait_status("the publisher to run", START, |_status| Ok(()))
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
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(thrown.iter().all(|(_trouble, long)| (1..=60).contains(&long.as_secs())));
        let backends = |(trouble, _long): &(Trouble, Duration)| matches!(trouble, Trouble::Backend(0..=3));
        assert!(thrown.iter().filter(|thrown| backends(thrown)).count() > 80);
    }

    #[test]
    fn only_two_backends_may_be_in_trouble_together_with_their_like() {
        assert!(!Trouble::Backend(1).excludes(Trouble::Backend(2)));
        assert!(Trouble::Backend(1).excludes(Trouble::Backend(1)));
        assert!(Trouble::Disk.excludes(Trouble::Disk));
        assert!(!Trouble::Tor.excludes(Trouble::Publisher));
    }
}
