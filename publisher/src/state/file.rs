//! Small files that are either whole or not there: checksum, temporary file, fsync, rename, fsync of the folder.

use data_encoding::HEXLOWER;
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use sha3::{Digest, Sha3_256};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No state file is larger, in octets: the backends of the largest service are a third of it.
const MAX_LEN: u64 = 1024 * 1024;
/// Starts the last line.
const CHECKSUM: &str = "sha3-256 ";
/// Ends the name of a file that is being written.
pub(crate) const TEMPORARY: &str = ".new";
/// A file that only its owner reads and writes.
pub(crate) const OURS_ALONE: u32 = 0o600;

/// Why a state file cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refuses.
    #[error("cannot {act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The content is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file that is to be new is there.
    #[error("{path} is there already")]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// Where a new file would be written first, there is one: what a command that was cut off has left, or somebody else's.
    #[error("{path} is in the way: a command that was cut off has left it, or it is somebody else's")]
    Leftover {
        /// The file.
        path: PathBuf,
    },
}

/// The error of an act on a file.
pub(crate) fn io_error<'a>(act: &'static str, path: &'a Path) -> impl Fn(io::Error) -> FileError + 'a {
    move |source| FileError::Io { act, path: path.to_path_buf(), source }
}

/// The error of a content that is not what was written.
pub(crate) fn damaged(path: &Path, what: &'static str) -> FileError {
    FileError::Damaged { path: path.to_path_buf(), what }
}

/// Writes `body` and its checksum; afterwards the file has either its old content or all of the new one.
///
/// # Errors
/// [`FileError::Io`] if the system refuses; the old content then stays.
pub(crate) fn write(path: &Path, body: &str) -> Result<(), FileError> {
    write_octets(path, &[body.as_bytes(), checksum(body).as_bytes()])
}

/// The last line of a file with this body, which [`read`] looks for.
pub(crate) fn checksum(body: &str) -> String {
    format!("{CHECKSUM}{}\n", HEXLOWER.encode(&Sha3_256::digest(body)))
}

/// Writes octets as they are, whole or not at all, into a folder of our own, for a file with a signature of its own.
///
/// What an interrupted write has left there is removed first: nobody else writes into our folders.
///
/// # Errors
/// [`FileError::Io`] if the system refuses; the old content then stays.
pub(crate) fn write_octets(path: &Path, parts: &[&[u8]]) -> Result<(), FileError> {
    let temporary = temporary_of(path);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &temporary)(error));
        }
        _gone => {}
    }
    write_new(&temporary, parts, OURS_ALONE, || {
        std::fs::rename(&temporary, path).map_err(io_error("rename to", path))
    })
}

/// Writes a file that must not be there yet, whole or not at all, at a place that somebody else has named.
///
/// Nothing that is there is removed, written to or followed, whoever can write into the folder.
///
/// # Errors
/// [`FileError::Taken`] or [`FileError::Leftover`] if something is in the way, [`FileError::Io`] if the system refuses.
pub(crate) fn write_fresh(path: &Path, parts: &[&[u8]], mode: u32) -> Result<(), FileError> {
    check_fresh(path)?;
    let temporary = temporary_of(path);
    write_new(&temporary, parts, mode, || rename_new(&temporary, path))
}

/// Sees that nothing is where [`write_fresh`] would write.
///
/// # Errors
/// [`FileError::Taken`] or [`FileError::Leftover`].
pub(crate) fn check_fresh(path: &Path) -> Result<(), FileError> {
    check_free(path)?;
    let temporary = temporary_of(path);
    if temporary.symlink_metadata().is_ok() { Err(FileError::Leftover { path: temporary }) } else { Ok(()) }
}

/// Sees that a name is not taken, not even by a link to nowhere.
fn check_free(path: &Path) -> Result<(), FileError> {
    if path.symlink_metadata().is_ok() {
        return Err(FileError::Taken { path: path.to_path_buf() });
    }
    Ok(())
}

/// The name of a file while it is being written.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

/// Makes a file, writes it down to the disk, and has `place` give it its name; takes it away again if that fails.
fn write_new(
    path: &Path,
    parts: &[&[u8]],
    mode: u32,
    place: impl FnOnce() -> Result<(), FileError>,
) -> Result<(), FileError> {
    // No file that is there, and no link, is opened: its mode, its owner and its readers would be another's choice.
    let options = OpenOptions::new().write(true).create_new(true).mode(mode).clone();
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(FileError::Leftover { path: path.to_path_buf() });
        }
        other => other.map_err(io_error("create", path))?,
    };
    let write = || -> Result<(), FileError> {
        allow(&file, mode).map_err(io_error("set the mode of", path))?;
        for part in parts {
            file.write_all(part).map_err(io_error("write", path))?;
        }
        file.sync_all().map_err(io_error("sync", path))?;
        place()
    };
    if let Err(why) = write() {
        // Nothing more can be done about a file of our own that does not go away; the next write finds and names it.
        drop(std::fs::remove_file(path));
        return Err(why);
    }
    sync_folder(folder_of(path))
}

/// Gives a file or folder that was just made what its mode promises, whatever the umask has kept back.
///
/// What was made can have more than `mode` only where the file system has no modes, as on most sticks.
fn allow(file: &File, mode: u32) -> io::Result<()> {
    let found = file.metadata()?.permissions().mode() & 0o777;
    if found & mode == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(mode)) }
}

/// Gives a file its name unless the name is taken.
fn rename_new(from: &Path, to: &Path) -> Result<(), FileError> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Taken { path: to.to_path_buf() })
        }
        // Some file systems cannot do both at once; then a moment stays open in which another could take the name.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            check_free(to)?;
            std::fs::rename(from, to).map_err(io_error("rename to", to))
        }
        other => other.map_err(io_error("rename to", to)),
    }
}

/// Makes a folder with this mode, unless it is there.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<(), FileError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            let made = OpenOptions::new().read(true).custom_flags(no_link()).open(path);
            let made = made.map_err(io_error("open", path))?;
            allow(&made, mode).map_err(io_error("set the mode of", path))?;
            sync_folder(folder_of(path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("make the folder", path)(error)),
    }
}

/// Makes sure that the names in a folder are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = File::open(path).map_err(io_error("open", path))?;
    folder.sync_all().map_err(io_error("sync", path))
}

/// Reads at most `most` octets of a file as they are; `None` if there is no such file.
///
/// # Errors
/// [`FileError::Io`] if it cannot be read.
pub(crate) fn read_octets(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut octets = Vec::new();
    file.take(most).read_to_end(&mut octets).map_err(io_error("read", path))?;
    Ok(Some(octets))
}

/// Overwrites a file, never what a link points to, with zeros down to the disk and removes it; nothing if there is none.
///
/// A journal, a snapshot or a flash disk may keep the old blocks all the same.
///
/// # Errors
/// [`FileError::Io`] if the system refuses.
pub(crate) fn wipe(path: &Path) -> Result<(), FileError> {
    let mut file = match OpenOptions::new().write(true).custom_flags(no_link()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let len = file.metadata().map_err(io_error("look at", path))?.len();
    io::copy(&mut io::repeat(0).take(len), &mut file).map_err(io_error("overwrite", path))?;
    file.sync_all().map_err(io_error("sync", path))?;
    std::fs::remove_file(path).map_err(io_error("remove", path))?;
    sync_folder(folder_of(path))
}

/// The flag that keeps a link from being followed.
fn no_link() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// The folder of a file, also of one that is named without any.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a file and checks its checksum; `None` if there is no such file.
///
/// # Errors
/// [`FileError::Io`] if it cannot be read, [`FileError::Damaged`] if its content is not what was written.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut octets = Zeroizing::new(Vec::with_capacity(4096));
    file.take(MAX_LEN).read_to_end(&mut octets).map_err(io_error("read", path))?;
    let text = str::from_utf8(&octets).map_err(|_position| damaged(path, "it is not text"))?;
    let (body, checksum) = text
        .trim_end_matches('\n')
        .rfind('\n')
        .and_then(|at| text.split_at_checked(at.saturating_add(1)))
        .ok_or_else(|| damaged(path, "it has no checksum"))?;
    let wanted = HEXLOWER.encode(&Sha3_256::digest(body));
    if checksum.strip_prefix(CHECKSUM).map(str::trim_end) != Some(wanted.as_str()) {
        return Err(damaged(path, "its checksum does not fit its content"));
    }
    Ok(Some(Zeroizing::new(body.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_written_is_read_and_only_the_owner_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert!(read(&path).unwrap().is_none());
        for body in ["one\n", "two\nlines\n"] {
            write(&path, body).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().as_str(), body);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_changed_octet_and_any_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, "keys abc\nlast 7\n").unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(read(&path), Err(FileError::Damaged { .. })), "octet {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(read(&path), Err(FileError::Damaged { .. })), "cut at {at}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, "old\n").unwrap();
        std::fs::create_dir(dir.path().join("a.new")).unwrap();
        assert!(matches!(write(&path, "new\n"), Err(FileError::Io { .. })));
        assert_eq!(read(&path).unwrap().unwrap().as_str(), "old\n");
    }

    #[test]
    fn what_an_interrupted_write_has_left_goes_and_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (path, way, victim) = (dir.path().join("a"), dir.path().join("a.new"), dir.path().join("victim"));
        std::fs::write(&victim, "dear").unwrap();
        std::os::unix::fs::symlink(&victim, &way).unwrap();
        write(&path, "one\n").unwrap();
        // Somebody who has opened the leftover sees nothing of what is written.
        std::fs::write(&way, "half").unwrap();
        std::fs::set_permissions(&way, Permissions::from_mode(0o644)).unwrap();
        let mut open = File::open(&way).unwrap();
        write(&path, "two\n").unwrap();
        let mut seen = String::new();
        open.read_to_string(&mut seen).unwrap();
        assert_eq!((seen.as_str(), std::fs::read_to_string(&victim).unwrap().as_str()), ("half", "dear"));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_fresh_file_replaces_nothing_and_follows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("a"), dir.path().join("victim"));
        let fresh = || write_fresh(&path, &[b"fresh"], 0o640);
        for way in [&path, &temporary_of(&path)] {
            std::os::unix::fs::symlink(&victim, way).unwrap();
            assert!(matches!(fresh(), Err(FileError::Taken { .. } | FileError::Leftover { .. })));
            assert!(way.symlink_metadata().unwrap().is_symlink() && !victim.exists());
            std::fs::remove_file(way).unwrap();
        }
        fresh().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        // Names that were taken in the last moment.
        let way = temporary_of(&path);
        for link in [true, false] {
            if link {
                std::os::unix::fs::symlink(&victim, &way).unwrap();
            } else {
                std::fs::write(&way, "whose").unwrap();
            }
            let written = write_new(&way, &[b"secret"], OURS_ALONE, || Ok(()));
            assert!(matches!(written, Err(FileError::Leftover { .. })) && !victim.exists(), "{written:?}");
            assert!(link || std::fs::read_to_string(&way).unwrap() == "whose");
            std::fs::remove_file(&way).unwrap();
        }
        let late = dir.path().join("late");
        std::fs::write(&late, "late").unwrap();
        assert!(matches!(rename_new(&late, &path), Err(FileError::Taken { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "fresh");
    }

    #[test]
    fn what_a_link_points_to_is_not_wiped() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("a"), dir.path().join("victim"));
        std::fs::write(&victim, "dear").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(wipe(&path).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "dear");
    }
}
