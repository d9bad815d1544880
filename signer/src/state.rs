//! Files in the state directory: made so that a crash leaves the old or the new one, never half of one.
//!
//! A command run by root gives what it makes to the owner of the directory, so that the service can read it.

use crate::careful;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Writes `content` to `directory/name` by way of a temporary file: all of it or nothing, fsynced. Whatever has the temporary
/// name, left by a power cut or planted, is removed and never opened.
///
/// # Errors
/// What the system says; the old file is then as it was.
pub fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.new"));
    // It is seldom there; one that cannot be removed is an error in the next step.
    let _left_over = std::fs::remove_file(&temporary);
    let written = fresh(directory, &temporary, content)
        .and_then(|()| std::fs::rename(&temporary, directory.join(name)))
        .and_then(|()| sync_directory(directory));
    if written.is_err() {
        // It may not exist; the error that is returned is the one that matters.
        let _gone = std::fs::remove_file(&temporary);
    }
    written
}

/// Writes a new file with mode 0600 that belongs to the directory's owner, fsynced.
fn fresh(directory: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = careful::new(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    give_to_owner(directory, &file)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Gives a file to the owner of its directory, if it is not theirs.
///
/// # Errors
/// What the system says.
pub fn give_to_owner(directory: &Path, file: &File) -> io::Result<()> {
    let (owner, own) = (directory.metadata()?, file.metadata()?);
    if owner.uid() == own.uid() {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Makes a directory in a directory, if it is not there, and gives it to the same owner; a link in its place is an error.
///
/// # Errors
/// What the system says.
pub fn directory(parent: &Path, name: &str) -> io::Result<PathBuf> {
    let path = parent.join(name);
    match std::fs::create_dir(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let only_here = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    give_to_owner(parent, &File::options().read(true).custom_flags(only_here).open(&path)?)?;
    sync_directory(parent)?;
    Ok(path)
}

/// Makes a rename or a new name in `directory` last.
///
/// # Errors
/// What the system says.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_whole_and_guarded() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        replace(dir.path(), "a", b"two").unwrap();
        let path = dir.path().join("a");
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_planted_or_left_over_is_neither_followed_nor_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, b"precious").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("a.new")).unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        std::fs::write(dir.path().join("a.new"), b"half").unwrap();
        replace(dir.path(), "a", b"two").unwrap();
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"two");
        assert!(!dir.path().join("a.new").exists());
    }

    #[test]
    fn a_directory_is_made_once_and_a_link_to_another_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let made = directory(dir.path(), "a").unwrap();
        assert_eq!(directory(dir.path(), "a").unwrap(), made);
        std::os::unix::fs::symlink(&made, dir.path().join("b")).unwrap();
        assert!(directory(dir.path(), "b").is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        // A directory in the way of the temporary file.
        std::fs::create_dir(dir.path().join("a.new")).unwrap();
        assert!(replace(dir.path(), "a", b"two").is_err());
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"one");
    }
}
