//! Wrapped key and verifier in the state directory: found, written, copied. The only place that knows their file names.

use super::set::BackupSet;
use super::wrapped::WrappedKey;
use super::{BackupError, medium};
use crate::{careful, state};
use onionkeep_common::OnionAddress;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Files are refused above this size, in octets.
const FILE_MAX: u64 = 64 << 10;
/// Ending of a verifier's name; the address and the generation are before it.
const VERIFIER: &str = "verifier";
/// Ending of a wrapped key's name.
const WRAPPED: &str = "wrapped";

/// One backup: the two public files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What is public.
    pub set: BackupSet,
    /// The wrapped key.
    pub wrapped: WrappedKey,
}

impl Backup {
    /// Reads a wrapped key and its verifier, and checks that they belong together.
    ///
    /// # Errors
    /// [`BackupError`] if a file cannot be read, is none, or is of another backup.
    pub fn read(wrapped: &Path, verifier: &Path) -> Result<Self, BackupError> {
        let (set, wrapped) = (read_set(verifier)?, WrappedKey::from_text(&read(wrapped)?)?);
        wrapped.belongs_to(&set)?;
        Ok(Self { set, wrapped })
    }
}

/// Reads a verifier file.
///
/// # Errors
/// [`BackupError`] if it cannot be read or is none.
pub fn read_set(path: &Path) -> Result<BackupSet, BackupError> {
    BackupSet::from_text(&read(path)?)
}

/// The backups in a state directory.
pub struct Store<'a>(pub &'a Path);

impl Store<'_> {
    /// The name of a file.
    fn name(onion: &OnionAddress, generation: u16, ending: &str) -> String {
        format!("{}.g{generation}.{ending}", onion.bare())
    }

    /// The path of a file.
    fn path(&self, onion: &OnionAddress, generation: u16, ending: &str) -> PathBuf {
        self.0.join(Self::name(onion, generation, ending))
    }

    /// The generations of an onion that have a verifier here, the latest first.
    fn generations(&self, onion: &OnionAddress) -> Result<Vec<u16>, BackupError> {
        let cannot = |source| BackupError::File { path: self.0.to_owned(), source };
        let (start, end) = (format!("{}.g", onion.bare()), format!(".{VERIFIER}"));
        let mut found = Vec::new();
        for entry in self.0.read_dir().map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            let name = name.to_string_lossy();
            let number = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(&end));
            found.extend(number.and_then(|number| number.parse::<u16>().ok()));
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    /// The generation that the next backup has.
    ///
    /// # Errors
    /// [`BackupError`] if the directory cannot be read.
    pub fn next_generation(&self, onion: &OnionAddress) -> Result<u16, BackupError> {
        Ok(self.generations(onion)?.first().copied().unwrap_or(0).saturating_add(1))
    }

    /// The latest backup of an onion.
    ///
    /// # Errors
    /// [`BackupError::None`] if there is none; [`BackupError`] if it cannot be read.
    pub fn latest(&self, onion: &OnionAddress) -> Result<Backup, BackupError> {
        let latest = self.generations(onion)?.first().copied().ok_or(BackupError::None(*onion))?;
        Backup::read(&self.path(onion, latest, WRAPPED), &self.path(onion, latest, VERIFIER))
    }

    /// Whether both files of a backup are here, or those of a later one.
    ///
    /// # Errors
    /// [`BackupError`] if the directory cannot be read.
    pub fn has(&self, set: &BackupSet) -> Result<bool, BackupError> {
        let (onion, generation) = (set.onion(), set.generation());
        let latest = self.generations(&onion)?.first().copied().unwrap_or(0);
        let files = [WRAPPED, VERIFIER].map(|ending| self.path(&onion, generation, ending));
        Ok(latest > generation || Backup::read(&files[0], &files[1]).is_ok_and(|found| found.set == *set))
    }

    /// Writes a backup, the verifier last, and removes what is left here of earlier ones. Returns how many those were.
    ///
    /// # Errors
    /// [`BackupError::File`] if it cannot be written; earlier ones are then still there.
    pub fn keep(&self, backup: &Backup) -> Result<usize, BackupError> {
        let (onion, generation) = (backup.set.onion(), backup.set.generation());
        write(self.0, backup, state::replace)?;
        let mut dead = 0_usize;
        for old in self.generations(&onion)?.into_iter().filter(|old| *old < generation) {
            for ending in [VERIFIER, WRAPPED] {
                let path = self.path(&onion, old, ending);
                std::fs::remove_file(&path).map_err(|source| BackupError::File { path, source })?;
            }
            dead = dead.saturating_add(1);
        }
        Ok(dead)
    }
}

/// Writes both files of a backup to a directory, the verifier last. Returns their paths.
fn write(
    dir: &Path,
    backup: &Backup,
    put: fn(&Path, &str, &[u8]) -> io::Result<()>,
) -> Result<[PathBuf; 2], BackupError> {
    let (onion, generation) = (backup.set.onion(), backup.set.generation());
    let one = |ending, text: String| {
        let name = Store::name(&onion, generation, ending);
        let path = dir.join(&name);
        match put(dir, &name, text.as_bytes()) {
            Ok(()) => Ok(path),
            Err(source) => Err(BackupError::File { path, source }),
        }
    };
    Ok([one(WRAPPED, backup.wrapped.to_text())?, one(VERIFIER, backup.set.to_text())?])
}

/// Writes a public file whole, fsynced, without a mode or an owner of its own, which a stick's file system may not know.
fn put_plain(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = careful::temporary(dir)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, dir.join(name)))
        .and_then(|()| state::sync_directory(dir));
    if written.is_err() {
        // It may not exist; the error that is returned is the one that matters.
        let _gone = std::fs::remove_file(&temporary);
    }
    written
}

/// Copies both files of a backup to a directory that holds no share. Returns their paths.
///
/// # Errors
/// [`BackupError::Medium`] if a share lies there, [`BackupError::File`] if it cannot be written.
pub fn export(backup: &Backup, dir: &Path) -> Result<[PathBuf; 2], BackupError> {
    medium::without_shares(dir)?;
    write(dir, backup, put_plain)
}

/// Reads a text file of a sane size.
fn read(path: &Path) -> Result<String, BackupError> {
    let cannot = |source| BackupError::File { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(cannot)?;
    let length = file.take(FILE_MAX).read_to_string(&mut text).map_err(cannot)?;
    if u64::try_from(length).is_ok_and(|length| length < FILE_MAX) {
        Ok(text)
    } else {
        Err(cannot(io::ErrorKind::FileTooLarge.into()))
    }
}

#[cfg(test)]
mod tests;
