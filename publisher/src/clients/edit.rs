//! `client add`, `client list`, `client remove`: the only place that writes a folder of clients, and that makes a client's key.

use super::{ENDING, Folder, read};
use crate::config::{Config, ServiceConfig};
use crate::descriptor::{ClientKey, ClientPublicKey};
use crate::state::FileError;
use crate::state::file;
use onionkeep_common::OnionAddress;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A name has at most so many characters.
const NAME_MAX: usize = 64;
/// Mode of the folder, whatever the umask: public halves, which the publisher's user must be able to read.
const FOLDER_MODE: u32 = 0o755;
/// Mode of a client's file.
const PUBLIC_MODE: u32 = 0o644;

/// Why clients could not be added, listed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The name cannot be a file's.
    #[error("{0:?} is not a name: wanted are 1 to {NAME_MAX} of the characters A-Z a-z 0-9 - _ .")]
    Name(String),
    /// Which service is meant is not clear.
    #[error("which service is meant? {0} services have authorized_clients")]
    Which(usize),
    /// This address is none of ours.
    #[error("the configuration has no [[service]] {0}")]
    NoService(OnionAddress),
    /// This service is open to everybody.
    #[error("the [[service]] {0} has no authorized_clients")]
    Open(OnionAddress),
    /// There is a client of this name.
    #[error("{0} is there already")]
    Exists(PathBuf),
    /// There is a file where the secret half was to be written.
    #[error("{0} is there already")]
    Taken(PathBuf),
    /// A descriptor has no room for another client.
    #[error(
        "{folder} has {most} clients, and a descriptor with {points} introduction points has room for no more"
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Introduction points.
        points: usize,
        /// Clients.
        most: usize,
    },
    /// Where a client's file would be written first, there is one.
    #[error("{0} is in the way: a command that was cut off has left it, or it is somebody else's")]
    Leftover(PathBuf),
    /// The secret half of a client's key did not reach anybody.
    #[error(
        "the secret half of the key could not be written to stdout: {source}; {file} was taken out again"
    )]
    NotTold {
        /// The client's file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// ... and the client could not be taken out again.
    #[error(
        "the secret half of the key could not be written to stdout: {source}; {file} is still there: {why}"
    )]
    StillIn {
        /// The client's file.
        file: PathBuf,
        /// What the system says about stdout.
        source: io::Error,
        /// What it says about the file.
        why: io::Error,
    },
    /// There is no client of this name.
    #[error("there is no {0}")]
    Unknown(PathBuf),
    /// The system refuses.
    #[error("cannot {act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
}

impl EditError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Name(_) => "choose another name",
            Self::Which(0) | Self::Open(_) => {
                "write authorized_clients = \"/absolute/folder\" into its [[service]]"
            }
            Self::Which(_) | Self::NoService(_) => "name it with --onion ADDRESS",
            Self::Exists(_) => "choose another name, or take that client out first with `client remove NAME`",
            Self::Taken(_) => "name a new file with --to",
            Self::Unknown(_) => "see `client list`",
            Self::NoRoom { .. } => {
                "take another client out first with `client remove NAME`; fewer intro_points leave room for more clients"
            }
            Self::Leftover(_) => "look what it is and remove it, then try again",
            Self::NotTold { .. } => "try again, or name a file for the secret half with --to FILE",
            Self::StillIn { .. } => "remove that file: nobody has its secret half",
            Self::Io { .. } => "see that the folder exists and that this user may write there",
            Self::Random(_) => "see the kernel's log: its random number generator does not work",
        }
    }

    /// Whether what was asked for is wrong, not the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Random(_) | Self::NotTold { .. } | Self::StillIn { .. })
    }
}

/// A client that was added.
pub struct Added {
    /// Its file, which lets it in.
    pub file: PathBuf,
    /// The line in it.
    pub public: ClientPublicKey,
    /// The line for the client's own file `NAME.auth_private`; `None` if it was written to a file.
    pub secret: Option<Zeroizing<String>>,
}

/// The service that is meant and its folder.
fn chosen<'c>(
    config: &'c Config,
    onion: Option<&OnionAddress>,
) -> Result<(&'c ServiceConfig, &'c Path), EditError> {
    if let Some(onion) = onion {
        let service = config.services.iter().find(|service| service.address == *onion);
        let service = service.ok_or(EditError::NoService(*onion))?;
        let folder = service.authorized_clients.as_deref().ok_or(EditError::Open(*onion))?;
        return Ok((service, folder));
    }
    let folder = |service: &'c ServiceConfig| Some((service, service.authorized_clients.as_deref()?));
    let all: Vec<_> = config.services.iter().filter_map(folder).collect();
    match all.as_slice() {
        [one] => Ok(*one),
        other => Err(EditError::Which(other.len())),
    }
}

/// The file of a client.
fn file_of(folder: &Path, name: &str) -> Result<PathBuf, EditError> {
    let good = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with('.') || !name.chars().all(good) {
        return Err(EditError::Name(name.to_owned()));
    }
    Ok(folder.join(format!("{name}{ENDING}")))
}

/// Makes a key pair, writes the secret half to `to` if given, and lets the client in.
///
/// # Errors
/// [`EditError`]; then nothing was changed.
pub fn add(
    config: &Config,
    name: &str,
    onion: Option<&OnionAddress>,
    to: Option<&Path>,
) -> Result<Added, EditError> {
    let (service, folder) = chosen(config, onion)?;
    let path = file_of(folder, name)?;
    if path.exists() {
        return Err(EditError::Exists(path));
    }
    check_room(service, folder)?;
    file::make_folder(folder, FOLDER_MODE)?;
    let mut octets = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *octets).map_err(EditError::Random)?;
    let key = ClientKey::from_bytes(*octets);
    let host = service.address.to_string();
    let host = host.strip_suffix(".onion").unwrap_or(&host);
    let secret = Zeroizing::new(format!("{host}:descriptor:x25519:{}\n", *key.to_base32()));
    if let Some(to) = to {
        file::write_fresh(to, &[secret.as_bytes()], file::OURS_ALONE)?;
    }
    let public = key.public();
    if let Err(error) = file::write_fresh(&path, &[format!("{public}\n").as_bytes()], PUBLIC_MODE) {
        if let Some(to) = to {
            // The half of a pair that lets nobody in; the first error is the one to tell.
            drop(fs::remove_file(to));
        }
        return Err(error.into());
    }
    Ok(Added { file: path, public, secret: to.is_none().then_some(secret) })
}

/// Refuses a client for whom another, the last by name, would be left out.
fn check_room(service: &ServiceConfig, folder: &Path) -> Result<(), EditError> {
    let points = service.mode.points();
    let most = crate::descriptor::most_clients(points);
    let there = match read(folder, points) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io_error("read", folder))?,
    };
    if there.clients.len() >= most {
        return Err(EditError::NoRoom { folder: folder.to_path_buf(), points, most });
    }
    Ok(())
}

/// Takes a client out again whose secret half did not reach anybody, and gives the error to tell.
#[must_use]
pub fn take_back(added: &Added, source: io::Error) -> EditError {
    let file = added.file.clone();
    match fs::remove_file(&file) {
        Ok(()) => EditError::NotTold { file, source },
        Err(why) => EditError::StillIn { file, source, why },
    }
}

/// The clients of a service.
///
/// # Errors
/// [`EditError`].
pub fn list(config: &Config, onion: Option<&OnionAddress>) -> Result<Folder, EditError> {
    let (service, folder) = chosen(config, onion)?;
    match read(folder, service.mode.points()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Folder::default()),
        other => other.map_err(io_error("read", folder)),
    }
}

/// Takes a client out, and gives the name of its file.
///
/// # Errors
/// [`EditError`].
pub fn remove(config: &Config, name: &str, onion: Option<&OnionAddress>) -> Result<PathBuf, EditError> {
    let (_service, folder) = chosen(config, onion)?;
    let path = file_of(folder, name)?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(file::sync_folder(folder).map(|()| path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EditError::Unknown(path)),
        Err(error) => Err(io_error("remove", &path)(error)),
    }
}

/// The error of an act on a file.
fn io_error<'a>(act: &'static str, path: &'a Path) -> impl Fn(io::Error) -> EditError + 'a {
    move |source| EditError::Io { act, path: path.to_path_buf(), source }
}

impl From<FileError> for EditError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io { act, path, source } => Self::Io { act, path, source },
            FileError::Taken { path } => Self::Taken(path),
            FileError::Leftover { path } => Self::Leftover(path),
            // Nothing is read here, so nothing is found to be damaged.
            FileError::Damaged { path, what } => {
                Self::Io { act: "read", path, source: io::Error::other(what) }
            }
        }
    }
}
