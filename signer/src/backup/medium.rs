//! Shares in files, for custodians who bring a medium: one directory each, no two on one file system, none on the blob's.

use super::{BackupError, BackupSet, Polynomial};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Ending of a share's file.
const ENDING: &str = ".share";
/// Files are read back up to this size.
const FILE_MAX: u64 = 1024;

/// What is looked at before a share is written.
#[derive(Clone, Debug)]
struct Medium {
    /// The directory.
    path: PathBuf,
    /// Its file system.
    device: u64,
}

/// Looks at a directory.
fn medium(path: &Path) -> Result<Medium, BackupError> {
    let cannot = |source| BackupError::File { path: path.to_owned(), source };
    let metadata = path.metadata().map_err(cannot)?;
    if !metadata.is_dir() {
        return Err(cannot(io::ErrorKind::NotADirectory.into()));
    }
    Ok(Medium { path: path.to_owned(), device: metadata.dev() })
}

/// Refuses a medium that holds the blob, and one that holds two shares.
fn apart(blob: &Medium, media: &[Medium]) -> Result<(), BackupError> {
    for (at, medium) in media.iter().enumerate() {
        let refuse = |why| Err(BackupError::Medium { path: medium.path.clone(), why });
        if medium.device == blob.device {
            return refuse("the wrapped key is on the same file system; no share may be beside it");
        }
        if media.iter().skip(at.saturating_add(1)).any(|other| other.device == medium.device) {
            return refuse(
                "two shares would be on this file system; each custodian needs a medium of their own",
            );
        }
    }
    Ok(())
}

/// Checks the directories before any secret is made.
///
/// # Errors
/// [`BackupError::Directories`] unless there is one for each share, [`BackupError::Medium`] if they are not apart.
pub fn check(state_dir: &Path, dirs: &[PathBuf], shares: u8) -> Result<(), BackupError> {
    if dirs.len() != usize::from(shares) {
        return Err(BackupError::Directories { dirs: dirs.len(), shares });
    }
    let media: Result<Vec<_>, _> = dirs.iter().map(|dir| medium(dir)).collect();
    apart(&medium(state_dir)?, &media?)
}

/// Writes each share to its directory and reads it back.
///
/// # Errors
/// [`BackupError::File`] if one cannot be written, [`BackupError::Share`] if it reads back differently.
pub fn hand_out(dirs: &[PathBuf], set: &BackupSet, polynomial: &Polynomial) -> Result<(), BackupError> {
    for (index, dir) in (1..=set.plan().shares()).zip(dirs) {
        let path = dir.join(format!("onionkeep-{}-{index}{ENDING}", set.short_name()));
        let text = set.write_share(&polynomial.share(index));
        let back = write(&path, &text).and_then(|()| read(&path));
        let back = back.map_err(|source| BackupError::File { path, source })?;
        set.read_share(back.trim_end()).map_err(BackupError::Share)?;
    }
    Ok(())
}

/// Writes a new file, fsynced. A stick's file system may know no modes, so that a refused mode is no error.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Reads a file.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Refuses to put the blob where a share lies.
///
/// # Errors
/// [`BackupError::Medium`] if there is a share in the directory, [`BackupError::File`] if it cannot be read.
pub fn without_shares(dir: &Path) -> Result<(), BackupError> {
    let cannot = |source| BackupError::File { path: dir.to_owned(), source };
    for entry in dir.read_dir().map_err(cannot)? {
        if entry.map_err(cannot)?.file_name().to_string_lossy().ends_with(ENDING) {
            let why = "a share lies here; the wrapped key may not be beside it";
            return Err(BackupError::Medium { path: dir.to_owned(), why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, device: u64) -> Medium {
        Medium { path: path.into(), device }
    }

    #[test]
    fn media_of_their_own_are_taken() {
        assert!(apart(&at("/state", 1), &[at("/a", 2), at("/b", 3)]).is_ok());
    }

    #[test]
    fn the_medium_of_the_blob_and_a_shared_one_are_refused() {
        let refused = |media: &[Medium]| match apart(&at("/state", 1), media) {
            Err(BackupError::Medium { path, .. }) => Some(path),
            _ => None,
        };
        assert_eq!(refused(&[at("/a", 2), at("/b", 1)]), Some("/b".into()));
        assert_eq!(refused(&[at("/a", 2), at("/b", 3), at("/c", 2)]), Some("/a".into()));
    }

    #[test]
    fn a_directory_beside_the_state_is_refused_and_so_is_a_wrong_count() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        assert!(matches!(check(dir.path(), &dirs, 1), Err(BackupError::Medium { .. })));
        assert!(matches!(check(dir.path(), &dirs, 2), Err(BackupError::Directories { dirs: 1, shares: 2 })));
        assert!(matches!(check(dir.path(), &["/nonexistent".into()], 1), Err(BackupError::File { .. })));
    }

    #[test]
    fn a_blob_is_not_put_beside_a_share() {
        let dir = tempfile::tempdir().unwrap();
        assert!(without_shares(dir.path()).is_ok());
        write(&dir.path().join("onionkeep-00000000-1.share"), "x").unwrap();
        assert!(matches!(without_shares(dir.path()), Err(BackupError::Medium { .. })));
    }

    #[test]
    fn a_written_share_reads_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.share");
        write(&path, "abcd efgh").unwrap();
        assert_eq!(read(&path).unwrap().trim_end(), "abcd efgh");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(write(&path, "other").is_err());
    }
}
