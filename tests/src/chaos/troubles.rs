//! What goes wrong in a chaos run, when, and for how long: the only place that breaks the stage and mends it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::judge::Outage;
use crate::assurance::dice::Dice;
use crate::assurance::disk::SmallDisk;
use crate::clock_step::ClockStep;
use crate::process::User;
use crate::stage::Stage;
use crate::wait;

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
    /// The clock of publisher and signer jumps by so many seconds, and back at the end.
    Clock(i64),
}

impl Trouble {
    /// Throws what goes wrong next, and for how long.
    pub fn throw(dice: &mut Dice, backends: usize) -> (Self, Duration) {
        let mut between = |from: usize, to: usize| {
            Duration::from_secs((from + dice.below(to - from)).try_into().unwrap_or(1))
        };
        let (backend, publisher, tor, signer) =
            (between(15, 60), between(1, 20), between(1, 20), between(3, 60));
        let (near, far) = (between(60, 240), between(20, 60));
        match dice.below(14) {
            0..=4 => (Self::Backend(dice.below(backends)), backend),
            5..=6 => (Self::Publisher, publisher),
            7..=8 => (Self::Tor, tor),
            9..=10 => (Self::Signer, signer),
            11 => (Self::Disk, Duration::from_secs(60)),
            _clock => {
                let seconds =
                    if dice.below(2) == 0 { 3600 } else { i64::try_from(far.as_secs()).unwrap_or(1) };
                (Self::Clock(if dice.below(2) == 0 { seconds } else { -seconds }), near)
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
    /// The clock of publisher and signer.
    clock: ClockStep,
}

impl Tools {
    /// Puts the publisher on a small disk, and both programs where their clock can be moved; shows that it moves.
    pub fn new(stage: &mut Stage) -> Result<Self> {
        ensure!(crate::assurance::disk::can_mount(), "no file system can be mounted here: run it as root");
        let clock = ClockStep::install(&stage.run.path().join("step"), &stage.run.path().join("bin"))?;
        stage.publisher.stop()?;
        stage.signer.stop()?;
        let disk = SmallDisk::mount(
            &stage.publisher.dir().join("state"),
            &stage.run.path().join("spare"),
            User::Publisher,
        )?;
        stage.signer.start_under(clock.outer())?;
        ClockStep::check(stage.signer.process()?)?;
        let tools = Self { disk, filler: None, clock };
        tools.start_publisher(stage)?;
        for by in [30, -30] {
            tools.clock.set(by.max(0))?;
            wait::until_true("the publisher to notice that its clock jumped", START, || {
                Ok(stage.publisher.log().lines().any(|line| has_jumped(line, by)))
            })?;
        }
        Ok(tools)
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
            Trouble::Clock(seconds) => self.clock.set(seconds),
        }
    }

    /// Ends it.
    pub fn end(&mut self, stage: &mut Stage, trouble: Trouble) -> Result<()> {
        match trouble {
            Trouble::Backend(number) => stage.backends[number].restart(),
            Trouble::Publisher => self.start_publisher(stage),
            Trouble::Tor => stage.publisher_tor.node.start(),
            Trouble::Signer => stage.signer.start_under(self.clock.outer()),
            Trouble::Disk => Ok(self.filler.take().map_or(Ok(()), std::fs::remove_file)?),
            Trouble::Clock(_) => self.clock.set(0),
        }
    }

    /// Starts the publisher and waits for its status: a run whose publisher is not there shows nothing.
    fn start_publisher(&self, stage: &mut Stage) -> Result<()> {
        stage.publisher.start_under(self.clock.outer())?;
        stage.publisher.wait_status("the publisher to run", START, |_status| Ok(()))
    }
}

/// Whether a line of the publisher's log says that its clock jumped by so many seconds, one more or less.
fn has_jumped(line: &str, by: i64) -> bool {
    let said = line.split_once(" clock-jumped ").and_then(|(_before, rest)| rest.split_once("by="));
    let said = said.and_then(|(_before, rest)| rest.split(' ').next()?.parse::<i64>().ok());
    said.is_some_and(|said| said.abs_diff(by) <= 1)
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
        let most = |trouble| if matches!(trouble, Trouble::Clock(_)) { 240 } else { 60 };
        assert!(thrown.iter().all(|(trouble, long)| (1..=most(*trouble)).contains(&long.as_secs())));
        let steps = thrown.iter().filter_map(|(trouble, _long)| {
            if let Trouble::Clock(seconds) = trouble {
                Some((seconds.signum(), seconds.abs() == 3600))
            } else {
                None
            }
        });
        assert_eq!(steps.collect::<BTreeSet<_>>().len(), 4, "near and far, to and fro");
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
