//! The directory of one ceremony: what was agreed at its start, which steps are done, its transcript and its files.
//!
//! Canonical text, each file written whole or not at all, so that a power cut at any moment leaves a ceremony that goes on.

use super::files::{self, MediumError};
use crate::careful;
use crate::error::{Failure, Kind};
use crate::room;
use onionkeep_common::UnixTime;
use onionkeep_common::iso::Iso;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The first line of the plan.
const TITLE: &str = "onionkeep-ceremony 1";
/// What was agreed at the start.
const PLAN: &str = "plan";
/// Which steps are done.
const DONE: &str = "steps";
/// What the room saw.
const TRANSCRIPT: &str = "transcript.log";
/// Locked while somebody works on it.
const LOCK: &str = "lock";

/// What was agreed at a ceremony's start: names and values, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(Vec<(String, String)>);

impl Plan {
    /// The same with one thing more.
    ///
    /// # Errors
    /// [`Failure`] if the value cannot stand in a line.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, Failure> {
        if value.is_empty() || value.contains(char::is_control) {
            let text = format!("{name} {value:?} cannot stand in the ceremony's plan. Nothing was begun");
            return Err(Failure::new(Kind::Usage, text, "use names without control characters"));
        }
        self.0.push((name.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// The same with a path, which from now on does not depend on the working directory.
    ///
    /// # Errors
    /// As [`Plan::with`].
    pub fn with_path(self, name: &str, path: &Path) -> Result<Self, Failure> {
        let whole = std::path::absolute(path).unwrap_or_else(|_empty| path.to_owned());
        let Some(text) = whole.to_str() else {
            let text = format!("{} is no text. Nothing was begun", path.display());
            return Err(Failure::new(Kind::Usage, text, "use names in UTF-8"));
        };
        self.with(name, text)
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Whether it is a rehearsal.
    #[must_use]
    pub fn rehearses(&self) -> bool {
        self.get("rehearsal") == Some("yes")
    }

    /// The file.
    fn to_text(&self) -> String {
        let lines: String = self.0.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        format!("{TITLE}\n{lines}end\n")
    }

    /// Reads the file; a cut one is refused.
    fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix(TITLE)?.strip_prefix('\n')?.strip_suffix("end\n")?;
        let pair = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
        body.lines().map(pair).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// One ceremony's directory.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    dir: PathBuf,
    /// What was agreed.
    pub plan: Plan,
    /// Steps that are done, and when.
    done: BTreeMap<String, String>,
    /// Held while somebody works on it.
    _lock: Option<File>,
}

impl Folder {
    /// Begins a ceremony: the directory is made, and what was agreed is on the disk. The same again is the same ceremony.
    ///
    /// # Errors
    /// [`Failure`] if another ceremony is there, or nothing can be written.
    pub fn begin(dir: &Path, plan: Plan) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir).map_err(|source| write(dir, source))?;
        let lock = lock(dir)?;
        if dir.join(PLAN).exists() {
            let found = Self::read(dir)?;
            if found.plan != plan {
                let text = format!("{} has another ceremony. Nothing was begun", dir.display());
                let hint = format!(
                    "name another directory, or go on there: onionkeep-signer ceremony resume {}",
                    dir.display()
                );
                return Err(Failure::new(Kind::Refused, text, hint));
            }
            return Ok(Self { _lock: Some(lock), ..found });
        }
        files::replace(&dir.join(PLAN), plan.to_text().as_bytes())?;
        Ok(Self { dir: dir.to_owned(), plan, done: BTreeMap::new(), _lock: Some(lock) })
    }

    /// Goes on with a ceremony.
    ///
    /// # Errors
    /// [`Failure`] if there is none, or somebody works on it.
    pub fn resume(dir: &Path) -> Result<Self, Failure> {
        let found = Self::read(dir)?;
        Ok(Self { _lock: Some(lock(dir)?), ..found })
    }

    /// Looks at a ceremony.
    ///
    /// # Errors
    /// [`Failure`] if there is none.
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(PLAN);
        if !path.exists() {
            let text = format!("there is no ceremony in {}. Nothing was done", dir.display());
            let hint = "name its directory; onionkeep-signer ceremony start begins one";
            return Err(Failure::new(Kind::Usage, text, hint));
        }
        let broken = |path: &Path| {
            let text =
                format!("{} is no file of a ceremony of this version. Nothing was done", path.display());
            Failure::new(
                Kind::Verification,
                text,
                "start again in another directory: what was signed is not signed twice",
            )
        };
        let text = |path: &Path| -> Result<String, Failure> {
            String::from_utf8(files::read(path)?).map_err(|_octets| broken(path))
        };
        let plan = Plan::parse(&text(&path)?).ok_or_else(|| broken(&path))?;
        let steps = dir.join(DONE);
        let done = if steps.exists() {
            parse_done(&text(&steps)?).ok_or_else(|| broken(&steps))?
        } else {
            BTreeMap::new()
        };
        Ok(Self { dir: dir.to_owned(), plan, done, _lock: None })
    }

    /// From now on the transcript has what the room sees.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written.
    pub fn record(&self, now: UnixTime) -> Result<(), Failure> {
        let path = self.dir.join(TRANSCRIPT);
        room::records_to(&path).map_err(|source| write(&path, source))?;
        // The screen needs no such line; the file shows by it where somebody went on.
        room::typed(&room::marked(&format!("--- {}", Iso(now))));
        self.settle()
    }

    /// Waits until the transcript is on the disk.
    fn settle(&self) -> Result<(), Failure> {
        room::settle().map_err(|source| write(&self.dir.join(TRANSCRIPT), source))
    }

    /// Notes that a step is done, after the transcript is on the disk.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be written: the step is then done again, which changes nothing.
    pub fn finish(&mut self, step: &str, now: UnixTime) -> Result<(), Failure> {
        self.note(step, &Iso(now).to_string())
    }

    /// Notes something that a step has found out.
    ///
    /// # Errors
    /// As [`Folder::finish`].
    pub fn note(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        self.settle()?;
        let mut done = self.done.clone();
        done.insert(name.to_owned(), value.to_owned());
        let text: String = done.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        files::replace(&self.dir.join(DONE), format!("{text}end\n").as_bytes())?;
        self.done = done;
        Ok(())
    }

    /// When a step was done, or what was noted.
    #[must_use]
    pub fn noted(&self, name: &str) -> Option<&str> {
        self.done.get(name).map(String::as_str)
    }

    /// A file of the ceremony.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Reads the list of steps; a cut one is refused.
fn parse_done(text: &str) -> Option<BTreeMap<String, String>> {
    let pair = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.strip_suffix("end\n")?.lines().map(pair).collect()
}

/// Two people do not work on one ceremony.
fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(LOCK);
    let file = careful::open_or_make(&path, File::options().write(true));
    let file = file.map_err(|source| write(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let text = format!("another program works on the ceremony in {}", dir.display());
            Err(Failure::new(Kind::Refused, text, "wait for its end"))
        }
        // Some file systems of sticks have no locks; the ledger has its own.
        Err(std::fs::TryLockError::Error(_no_locks)) => Ok(file),
    }
}

/// The ceremony's directory does not take a file.
fn write(path: &Path, source: std::io::Error) -> Failure {
    MediumError::Write { path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::default().with("kind", "issue").unwrap().with_path("request", Path::new("/a b/c")).unwrap()
    }

    #[test]
    fn what_was_agreed_and_done_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("c7");
        let mut folder = Folder::begin(&at, plan()).unwrap();
        folder.finish("doctor", UnixTime(0)).unwrap();
        drop(folder);
        let again = Folder::begin(&at, plan()).unwrap();
        assert_eq!(again.noted("doctor"), Some("1970-01-01T00:00:00Z"));
        assert_eq!((again.noted("clock"), again.plan.get("request")), (None, Some("/a b/c")));
        assert!(Folder::resume(&at).unwrap_err().to_string().contains("another program"));
        drop(again);
        assert_eq!(Folder::resume(&at).unwrap().plan, plan());
        let other = plan().with("horizon", "3").unwrap();
        assert!(Folder::begin(&at, other).unwrap_err().to_string().contains("another ceremony"));
    }

    #[test]
    fn what_is_cut_or_missing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Folder::read(dir.path()).unwrap_err().to_string().contains("there is no ceremony"));
        let mut folder = Folder::begin(dir.path(), plan()).unwrap();
        folder.finish("doctor", UnixTime(0)).unwrap();
        drop(folder);
        for name in [DONE, PLAN] {
            let path = dir.path().join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.split_at(text.len() - 3).0).unwrap();
            assert!(
                Folder::read(dir.path()).unwrap_err().to_string().contains("no file of a ceremony"),
                "{name}"
            );
        }
        assert!(Plan::default().with("request", "a\nb").is_err());
    }
}
