//! Opens files where somebody else may have put things: on a medium, or in a directory of another user. The only place that does.
//!
//! No link is followed, nothing that was found is cut short, and what is new has a name that nobody can have foreseen.

use crate::vault::random;
use data_encoding::HEXLOWER;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A link in the last place of a path is an error, and a pipe with nobody at its other end does not wait.
const AS_IT_IS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// What lies where a file is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file with just this content.
    Same,
    /// Anything else: a file with other content, a link, a directory, a device.
    Other,
}

/// Makes a new file in a directory, to be renamed or removed, and says where. One that a power cut left is in nobody's way.
///
/// # Errors
/// What the system says.
pub fn temporary(directory: &Path) -> io::Result<(PathBuf, File)> {
    let octets = random::octets().map_err(io::Error::other)?;
    let word: String = HEXLOWER.encode(octets.as_slice()).chars().take(16).collect();
    let path = directory.join(format!(".onionkeep-{word}.new"));
    Ok((path.clone(), new(&path)?))
}

/// Makes a new file for its owner alone; whatever has this name already is an error.
///
/// # Errors
/// What the system says.
pub fn new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(AS_IT_IS);
    options.open(path)
}

/// Opens a file as the options say, and makes it if there is none; what is there must be a file, and keeps its content.
///
/// # Errors
/// What the system says; a link, a pipe or a device is an error too.
pub fn open_or_make(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.create(true).truncate(false).custom_flags(AS_IT_IS).open(path);
    let file = opened.map_err(|error| if is_link(&error) { no_file() } else { error })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(no_file()) }
}

/// Compares what lies at a path with a content; never reads more than that.
///
/// # Errors
/// What the system says about a file that cannot be read.
pub fn compare(path: &Path, content: &[u8]) -> io::Result<Found> {
    let file = match File::options().read(true).custom_flags(AS_IT_IS).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if is_link(&error) => return Ok(Found::Other),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(Found::Other);
    }
    let limit = u64::try_from(content.len()).unwrap_or(u64::MAX).saturating_add(1);
    let mut found = Vec::new();
    file.take(limit).read_to_end(&mut found)?;
    Ok(if found == content { Found::Same } else { Found::Other })
}

/// Whether a path was not opened because a link is there.
fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// The error for what is there instead of a file.
fn no_file() -> io::Error {
    io::Error::other("a link or something else that is no file is there; look at it and remove it")
}

#[cfg(test)]
mod tests;
