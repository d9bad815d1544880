//! Small files that are either whole or not there: checksum, temporary file, fsync, rename, fsync of the folder.

use data_encoding::HEXLOWER;
use sha3::{Digest, Sha3_256};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// No state file is larger, in octets: the backends of the largest service are a third of it.
const MAX_LEN: u64 = 1024 * 1024;
/// Starts the last line.
const CHECKSUM: &str = "sha3-256 ";
/// Ends the name of a file that is being written.
pub(crate) const TEMPORARY: &str = ".new";

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
    let checksum = format!("{CHECKSUM}{}\n", HEXLOWER.encode(&Sha3_256::digest(body)));
    write_octets(path, &[body.as_bytes(), checksum.as_bytes()])
}

/// Writes octets as they are, whole or not at all, for a file with a signature of its own.
///
/// # Errors
/// [`FileError::Io`] if the system refuses; the old content then stays.
pub(crate) fn write_octets(path: &Path, parts: &[&[u8]]) -> Result<(), FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    let temporary = PathBuf::from(name);
    let written = write_new(&temporary, parts).and_then(|()| {
        std::fs::rename(&temporary, path).map_err(io_error("rename to", path))?;
        sync_folder(folder_of(path))
    });
    if written.is_err() {
        // Nothing more can be done about a temporary file that does not go away: the next start removes it.
        drop(std::fs::remove_file(&temporary));
    }
    written
}

/// Writes a file that nobody else may read, down to the disk.
fn write_new(path: &Path, parts: &[&[u8]]) -> Result<(), FileError> {
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
    let mut file = options.open(path).map_err(io_error("create", path))?;
    for part in parts {
        file.write_all(part).map_err(io_error("write", path))?;
    }
    file.sync_all().map_err(io_error("sync", path))
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

/// Overwrites a file with zeros down to the disk and removes it; nothing if there is none.
///
/// A journal, a snapshot or a flash disk may keep the old blocks all the same.
///
/// # Errors
/// [`FileError::Io`] if the system refuses.
pub(crate) fn wipe(path: &Path) -> Result<(), FileError> {
    let mut file = match OpenOptions::new().write(true).open(path) {
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
}
