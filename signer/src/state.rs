//! Files in the state directory: made so that a crash leaves the old or the new one, never half of one.
//!
//! A command run by root gives what it makes to the owner of the directory, so that the service can read it.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Writes `content` to `directory/name` by way of a temporary file: all of it or nothing, fsynced.
///
/// # Errors
/// What the system says; the old file is then as it was.
pub fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.new"));
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
    let mut file = File::options().write(true).create(true).truncate(true).open(path)?;
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
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        // A directory in the way of the temporary file.
        std::fs::create_dir(dir.path().join("a.new")).unwrap();
        assert!(replace(dir.path(), "a", b"two").is_err());
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"one");
    }
}
