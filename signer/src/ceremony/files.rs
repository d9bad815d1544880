//! Files of a ceremony on their medium: read with a limit, written whole or not at all, read back. The only place that does.

use crate::careful::{self, Found};
use crate::error::{Explain, Kind};
use crate::state;
use onionkeep_common::paper::lines::FILE_MAX;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
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
    /// Both bundles would have one name.
    #[error("{} is named for both bundles, which need two places; nothing was written", .0.display())]
    Same(PathBuf),
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
            Self::Same(_) => "name another file for the emergency bundle, best on a medium of its own",
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
    match path.symlink_metadata() {
        Ok(_something) => return Err(MediumError::Exists(path.to_owned())),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(MediumError::Write { path: path.to_owned(), source }),
    }
    let result = careful::temporary(directory(path)).and_then(|(made, _file)| std::fs::remove_file(made));
    result.map_err(|source| MediumError::Write { path: path.to_owned(), source })
}

/// The same for the bundles of a request, which must not overwrite each other.
///
/// # Errors
/// [`MediumError`] if one cannot be written, or both have one place.
pub fn check_places(main: &Path, emergency: Option<&Path>) -> Result<(), MediumError> {
    [Some(main), emergency].into_iter().flatten().try_for_each(check_place)?;
    apart(main, emergency)
}

/// Makes sure that the bundles of a request have two places.
///
/// # Errors
/// [`MediumError::Same`] if they have one, [`MediumError::Write`] if there is none.
pub fn apart(main: &Path, emergency: Option<&Path>) -> Result<(), MediumError> {
    let Some(emergency) = emergency else { return Ok(()) };
    let place = |path: &Path| match directory(path).metadata() {
        Ok(found) => Ok((found.dev(), found.ino())),
        Err(source) => Err(MediumError::Write { path: path.to_owned(), source }),
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_ascii_lowercase();
    // Small and capital letters are one on a stick's file system.
    if place(main)? == place(emergency)? && name(main) == name(emergency) {
        return Err(MediumError::Same(emergency.to_owned()));
    }
    Ok(())
}

/// Writes a file: to a temporary name, synced, read back and compared, then renamed. The same octets again change nothing.
///
/// # Errors
/// [`MediumError`]; then there is no such file.
pub fn put(path: &Path, content: &[u8]) -> Result<(), MediumError> {
    match careful::compare(path, content) {
        Ok(Found::Nothing) => replace(path, content),
        Ok(Found::Same) => Ok(()),
        Ok(Found::Other) => Err(MediumError::Exists(path.to_owned())),
        Err(source) => Err(MediumError::Write { path: path.to_owned(), source }),
    }
}

/// The same for a file that may be there with older content.
///
/// # Errors
/// [`MediumError::Write`]; then the file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), MediumError> {
    let failed = |source| MediumError::Write { path: path.to_owned(), source };
    let (temporary, file) = careful::temporary(directory(path)).map_err(failed)?;
    let written = fill(file, content)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| state::sync_directory(directory(path)));
    written.map_err(|source| {
        // It may not exist; the error that is returned is the one that matters.
        let _gone = std::fs::remove_file(&temporary);
        failed(source)
    })
}

/// Writes, syncs and reads back.
fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()?;
    file.rewind()?;
    let mut back = Vec::with_capacity(content.len());
    file.read_to_end(&mut back)?;
    if back == content { Ok(()) } else { Err(io::Error::other("it reads back otherwise")) }
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
