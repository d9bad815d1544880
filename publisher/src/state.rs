//! What survives a restart: the only place that writes the publisher's state folder.
//!
//! `counter-secret` is the secret of all revision counters; publishers of the same address share a copy of it.
//! `ADDRESS/NUMBER-LENGTH` holds one period of one service, `ADDRESS/backends` its backends if they were changed at run
//! time. `lock` keeps a second publisher out.

mod backends;
pub(crate) mod file;
mod period;

pub use file::FileError;
pub use period::PeriodState;

use crate::ceremony::seal::SealError;
use crate::config::BackendConfig;
use crate::descriptor::PeriodKeys;
use data_encoding::HEXLOWER;
use file::{damaged, io_error};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{OnionAddress, TimePeriod};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// First line of the counter secret's file.
const SECRET_HEAD: &str = "onionkeep-publisher counter-secret 1";

/// Why the state cannot be used or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another publisher runs.
    #[error("another publisher uses {path}")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(getrandom::Error),
    /// Never for a key that is made here; kept so that no panic is needed.
    #[error("the new key is not usable: {0}")]
    Key(#[from] KeyError),
    /// The private half of a slot's key.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl StateError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::File(FileError::Io { .. }) => {
                "see that the folder exists, belongs to this user, and that its disk is not full"
            }
            Self::File(FileError::Damaged { .. }) => {
                "bring the file back from a backup; or move it away: new secrets are made then, as after a first start"
            }
            Self::File(FileError::Taken { .. }) => "name a new file, or move that one away",
            Self::File(FileError::Leftover { .. }) => "look what it is and remove it, or name another file",
            Self::Seal(error) => error.advice(),
            Self::Locked { .. } => "stop the other publisher, or give this one a state_dir of its own",
            Self::Random(_) | Self::Key(_) => {
                "see the kernel's log: its random number generator does not work"
            }
        }
    }
}

/// The state folder, locked for this process.
pub struct StateDir {
    /// The folder.
    path: PathBuf,
    /// Holds the lock.
    lock: File,
}

impl Drop for StateDir {
    /// Frees the lock, also if a child that was just started has the file open yet.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

impl StateDir {
    /// Opens the folder, makes it if only its last part is missing, and locks it.
    ///
    /// # Errors
    /// [`StateError::Locked`] if another publisher runs, [`StateError::File`] if the system refuses.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        make_folder(path)?;
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&lock_path).map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_path_buf(), lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &lock_path)(source).into()),
        }
    }

    /// The secret of all revision counters; made at the first start, never replaced.
    ///
    /// # Errors
    /// [`StateError::File`] if it is damaged or cannot be read or written, [`StateError::Random`] without randomness.
    pub fn counter_secret(&self) -> Result<Zeroizing<[u8; 32]>, StateError> {
        let path = self.path.join("counter-secret");
        let mut secret = Zeroizing::new([0; 32]);
        if let Some(text) = file::read(&path)? {
            let hex = text.strip_prefix(SECRET_HEAD).and_then(|rest| rest.trim().strip_prefix("secret "));
            let hex = hex.ok_or_else(|| damaged(&path, "it is not a counter secret of this version"))?;
            let octets = HEXLOWER.decode(hex.as_bytes()).map(Zeroizing::new);
            let octets = octets.ok().filter(|octets| octets.len() == secret.len());
            secret
                .copy_from_slice(&octets.ok_or_else(|| damaged(&path, "the secret has not 64 hex digits"))?);
        } else {
            getrandom::fill(&mut *secret).map_err(StateError::Random)?;
            let hex = Zeroizing::new(HEXLOWER.encode(&*secret));
            file::write(&path, &Zeroizing::new(format!("{SECRET_HEAD}\nsecret {}\n", *hex)))?;
        }
        Ok(secret)
    }

    /// The state of a period; `None` if there is none.
    ///
    /// # Errors
    /// [`StateError::File`] if it is damaged or cannot be read.
    pub fn load(&self, onion: &OnionAddress, period: TimePeriod) -> Result<Option<PeriodState>, StateError> {
        let path = self.period_path(onion, period);
        let Some(text) = file::read(&path)? else { return Ok(None) };
        Ok(Some(PeriodState::from_text(&text, onion, period).map_err(|what| damaged(&path, what))?))
    }

    /// The state of a period, made and written if there is none.
    ///
    /// A damaged file is set aside as `NAME.damaged`, and its error given back with the new state: the keys of one
    /// period are replaced as a restarted tor would replace them, and counters go on from their curve.
    ///
    /// # Errors
    /// [`StateError`] if the state can neither be read nor made.
    pub fn load_or_make(
        &self,
        onion: &OnionAddress,
        period: TimePeriod,
    ) -> Result<(PeriodState, Option<StateError>), StateError> {
        let damage = match self.load(onion, period) {
            Ok(Some(state)) => return Ok((state, None)),
            Ok(None) => None,
            Err(error @ StateError::File(FileError::Damaged { .. })) => {
                let path = self.period_path(onion, period);
                let aside = path.with_extension("damaged");
                std::fs::rename(&path, &aside).map_err(io_error("set aside", &path))?;
                Some(error)
            }
            Err(error) => return Err(error),
        };
        let keys = PeriodKeys::generate(|octets| getrandom::fill(octets).map_err(StateError::Random))?;
        let state = PeriodState::new(period, keys);
        self.save(onion, &state)?;
        Ok((state, damage))
    }

    /// Writes the state of a period.
    ///
    /// # Errors
    /// [`StateError::File`] if the system refuses; the old content then stays.
    pub fn save(&self, onion: &OnionAddress, state: &PeriodState) -> Result<(), StateError> {
        make_folder(&self.service_path(onion))?;
        Ok(file::write(&self.period_path(onion, state.period), &state.to_text(onion))?)
    }

    /// Removes the files of a service's periods before `oldest`, and what an interrupted write left behind.
    ///
    /// # Errors
    /// [`StateError::File`] if the system refuses.
    pub fn remove_before(&self, onion: &OnionAddress, oldest: TimePeriod) -> Result<(), StateError> {
        let folder = self.service_path(onion);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error("read", &folder)(error).into()),
        };
        let mut removed = false;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            let number = name.split('-').next().and_then(|number| number.parse::<u64>().ok());
            if name.ends_with(file::TEMPORARY) || number.is_some_and(|number| number < oldest.number.0) {
                std::fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
                removed = true;
            }
        }
        Ok(if removed { file::sync_folder(&folder) } else { Ok(()) }?)
    }

    /// The backends of a service as they were changed at run time; `None` if the configuration's `file` counts.
    ///
    /// # Errors
    /// [`StateError::File`] if what is there is damaged or cannot be read.
    pub fn backends(
        &self,
        onion: &OnionAddress,
        file: &[BackendConfig],
    ) -> Result<Option<Vec<BackendConfig>>, StateError> {
        let path = self.backends_path(onion);
        let Some(text) = file::read(&path)? else { return Ok(None) };
        Ok(backends::from_text(&text, file).map_err(|what| damaged(&path, what))?)
    }

    /// Keeps the backends of a service as they are `now`, or nothing if that is what the configuration's `file` says.
    ///
    /// # Errors
    /// [`StateError::File`] if the system refuses; the old content then stays.
    pub fn keep_backends(
        &self,
        onion: &OnionAddress,
        file: &[BackendConfig],
        now: &[BackendConfig],
    ) -> Result<(), StateError> {
        let path = self.backends_path(onion);
        if file != now {
            make_folder(&self.service_path(onion))?;
            return Ok(file::write(&path, &backends::to_text(file, now))?);
        }
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(file::sync_folder(&self.service_path(onion))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("remove", &path)(error).into()),
        }
    }

    /// Where the backends of a service are kept.
    fn backends_path(&self, onion: &OnionAddress) -> PathBuf {
        self.service_path(onion).join("backends")
    }

    /// Where a service's files are.
    fn service_path(&self, onion: &OnionAddress) -> PathBuf {
        self.path.join(onion.bare().to_string())
    }

    /// Where a period's file is.
    fn period_path(&self, onion: &OnionAddress, period: TimePeriod) -> PathBuf {
        self.service_path(onion).join(format!("{}-{}", period.number.0, period.length.minutes()))
    }
}

/// Makes a folder that nobody else may enter, unless it is there.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    file::make_folder(path, 0o700)
}

#[cfg(test)]
mod tests;
