//! `client add`, `client list`, `client remove`: the only place that writes a folder of clients, and that makes a client's key.

use super::{ENDING, Folder, read};
use crate::config::{Config, ServiceConfig};
use crate::descriptor::{ClientKey, ClientPublicKey};
use onionkeep_common::OnionAddress;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A name has at most so many characters.
const NAME_MAX: usize = 64;

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
            Self::Unknown(_) => "see `client list`",
            Self::Io { .. } => "see that the folder exists and that this user may write there",
            Self::Random(_) => "see the kernel's log: its random number generator does not work",
        }
    }

    /// Whether what was asked for is wrong, not the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Random(_))
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
    let file = file_of(folder, name)?;
    if file.exists() {
        return Err(EditError::Exists(file));
    }
    make_folder(folder)?;
    let mut octets = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *octets).map_err(EditError::Random)?;
    let key = ClientKey::from_bytes(*octets);
    let host = service.address.to_string();
    let host = host.strip_suffix(".onion").unwrap_or(&host);
    let secret = Zeroizing::new(format!("{host}:descriptor:x25519:{}\n", *key.to_base32()));
    if let Some(to) = to {
        write_new(to, &secret, 0o600)?;
    }
    let public = key.public();
    if let Err(error) = write_new(&file, &format!("{public}\n"), 0o644) {
        if let Some(to) = to {
            // The half of a pair that lets nobody in; the first error is the one to tell.
            drop(fs::remove_file(to));
        }
        return Err(error);
    }
    Ok(Added { file, public, secret: to.is_none().then_some(secret) })
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
    let file = file_of(folder, name)?;
    match fs::remove_file(&file) {
        Ok(()) => sync_folder(folder).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EditError::Unknown(file)),
        Err(error) => Err(io_error("remove", &file)(error)),
    }
}

/// The error of an act on a file.
fn io_error<'a>(act: &'static str, path: &'a Path) -> impl Fn(io::Error) -> EditError + 'a {
    move |source| EditError::Io { act, path: path.to_path_buf(), source }
}

/// Makes the folder if only its last part is missing.
fn make_folder(folder: &Path) -> Result<(), EditError> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error("make", folder)(error)),
        _ => Ok(()),
    }
}

/// Writes a file that must not be there yet, under a name that no publisher reads until all of it is on the disk.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), EditError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link fails if the name is taken, a rename would replace it.
        fs::hard_link(&temporary, path)
    };
    let written = write();
    if !matches!(&written, Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !path.exists()) {
        // If it stays, it is in nobody's way.
        drop(fs::remove_file(&temporary));
    }
    match written {
        Ok(()) => sync_folder(
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        ),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
            Err(EditError::Exists(path.to_path_buf()))
        }
        Err(error) => Err(io_error("write", path)(error)),
    }
}

/// Makes sure that names in a folder survive a loss of power.
fn sync_folder(folder: &Path) -> Result<(), EditError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}
