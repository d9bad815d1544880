//! Files of a ceremony on their medium: read with a limit, written whole or not at all, read back. The only place that does.

use crate::error::{Explain, Kind};
use crate::state;
use onionkeep_common::paper::lines::FILE_MAX;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A file of a ceremony cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// It cannot be read.
    #[error("cannot read {}; nothing was signed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {}; no part of it was left there", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is another file of that name.
    #[error("{} exists and is another file; it was not touched", .0.display())]
    Exists(PathBuf),
}

impl Explain for MediumError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "look at the medium and its name, then run the command again",
            Self::Write { .. } => {
                "free space or use another medium, and run the same command again: it writes the same octets"
            }
            Self::Exists(_) => "name another file, or move that one away",
        }
        .to_owned()
    }
}

/// Reads a file of a ceremony.
///
/// # Errors
/// [`MediumError::Read`] if it cannot be read or is far too long.
pub fn read(path: &Path) -> Result<Vec<u8>, MediumError> {
    let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut file = Vec::new();
    let result = File::open(path).and_then(|opened| opened.take(limit).read_to_end(&mut file));
    match result {
        Ok(_length) => Ok(file),
        Err(source) => Err(MediumError::Read { path: path.to_owned(), source }),
    }
}

/// Makes sure, before anything is signed, that a file can be written: its directory takes files, and no other file is there.
///
/// # Errors
/// [`MediumError`] if it cannot.
pub fn check_place(path: &Path) -> Result<(), MediumError> {
    let result = File::create(beside(path)).and_then(|_made| std::fs::remove_file(beside(path)));
    result.map_err(|source| MediumError::Write { path: path.to_owned(), source })
}

/// Writes a file: to a temporary name, synced, read back and compared, then renamed. The same octets again change nothing.
///
/// # Errors
/// [`MediumError`]; then there is no such file.
pub fn put(path: &Path, content: &[u8]) -> Result<(), MediumError> {
    match std::fs::read(path) {
        Ok(found) if found == content => return Ok(()),
        Ok(_other) => return Err(MediumError::Exists(path.to_owned())),
        Err(_absent) => {}
    }
    replace(path, content)
}

/// The same for a file that may be there with older content.
///
/// # Errors
/// [`MediumError::Write`]; then the file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), MediumError> {
    let temporary = beside(path);
    let directory = temporary.parent().unwrap_or(Path::new("/"));
    let written = fresh(&temporary, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| state::sync_directory(directory));
    written.map_err(|source| {
        // It may not exist; the error that is returned is the one that matters.
        let _gone = std::fs::remove_file(&temporary);
        MediumError::Write { path: path.to_owned(), source }
    })
}

/// Writes, syncs and reads back.
fn fresh(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    if std::fs::read(path)? == content { Ok(()) } else { Err(io::Error::other("it reads back otherwise")) }
}

/// The temporary name beside a file.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    directory.join(format!(".{name}.new"))
}
