//! Moving in: writes `publisher.toml` from the configuration of what served an address before. Never reads a key file.

mod onionbalance;
mod tor;
mod yaml;

use crate::torrc::BackendLines;
use onionkeep_common::OnionAddress;
use onionkeep_common::config::{Problem, Problems};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use onionbalance::onionbalance;
pub use tor::tor;

/// A file to import has at most so many octets.
const FILE_MAX: u64 = 1024 * 1024;
/// What stands for a frontend's address that only the key tells.
const UNKNOWN_FRONTEND: &str = "THE ADDRESS THAT `onionkeep-signer key import` PRINTS";
/// The signer's socket as its example has it.
const SIGNER: &str = "/run/onionkeep-signer/signer.sock";
/// The status socket as our example has it.
const STATUS_SOCKET: &str = "/run/onionkeep-publisher/status.sock";
/// Below this the clients of imported services belong, each service's in a folder of its own.
const CLIENTS: &str = "/etc/onionkeep/clients";

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no small text.
    #[error("{0} is not a text of at most {FILE_MAX} octets")]
    NotText(PathBuf),
    /// It is not a configuration that could be carried over.
    #[error("{path} has {} problem{}:\n{problems}", problems.0.len(), if problems.0.len() == 1 { "" } else { "s" })]
    Problems {
        /// The file.
        path: PathBuf,
        /// All of it.
        problems: Problems,
    },
    /// It is the folder of something that cannot move in.
    #[error("{path}: {why}")]
    Unfit {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

impl ImportError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "name an existing file or folder that this user may read",
            Self::NotText(_) => "name Onionbalance's config.yaml, or the HiddenServiceDir of a tor",
            Self::Problems { .. } => "correct these lines in a copy of the file and import the copy",
            Self::Unfit { .. } => "see docs/operate/migrate.md",
        }
    }
}

/// A backend that moves in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its address; `None` if it is yet to be made.
    pub address: Option<OnionAddress>,
}

/// A service that moves in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Its address; `None` if only its key tells it.
    pub address: Option<OnionAddress>,
    /// Its key file, for the signer.
    pub key: PathBuf,
    /// Whether only some clients may read its descriptor.
    pub restricted: bool,
    /// Its backends.
    pub backends: Vec<Instance>,
}

/// All that moves in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The status socket of what served before.
    pub status_socket: Option<PathBuf>,
    /// The services.
    pub services: Vec<Frontend>,
    /// What is not carried over, and what else to know.
    pub notes: Vec<Problem>,
    /// What to do next.
    pub steps: Vec<String>,
}

/// `publisher.toml`.
impl Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# See that it is right with: onionkeep-publisher --config FILE check-config")?;
        writeln!(f, "state_dir = \"/var/lib/onionkeep-publisher\"")?;
        if let Some(socket) = &self.status_socket {
            writeln!(f, "# Onionbalance listens at {} until it is stopped.", plain(socket))?;
        }
        writeln!(f, "status_socket = \"{STATUS_SOCKET}\"\n")?;
        writeln!(f, "[tor]\ncontrol = \"unix:/run/tor/control\"")?;
        for service in &self.services {
            write_service(f, service)?;
        }
        for service in &self.services {
            let new = service.backends.iter().any(|backend| backend.address.is_none());
            if let Some(address) = service.address.filter(|_address| new) {
                let lines = BackendLines { names: "each backend", frontends: &[address] }.to_string();
                writeln!(f)?;
                for line in lines.lines() {
                    writeln!(f, "# {}", line.strip_prefix("# ").unwrap_or(line))?;
                }
            }
        }
        Ok(())
    }
}

/// One `[[service]]`.
fn write_service(f: &mut fmt::Formatter<'_>, service: &Frontend) -> fmt::Result {
    writeln!(
        f,
        "\n[[service]]\n# its key, for the signer: onionkeep-signer key import {}",
        plain(&service.key)
    )?;
    match &service.address {
        Some(address) => writeln!(f, "address = \"{address}\"")?,
        None => writeln!(f, "address = \"{UNKNOWN_FRONTEND}\"")?,
    }
    writeln!(f, "signer = \"{SIGNER}\"")?;
    if let Some(address) = service.address.filter(|_address| service.restricted) {
        writeln!(f, "authorized_clients = \"{}\"", clients_of(&address))?;
    }
    for backend in &service.backends {
        writeln!(f, "\n[[service.backend]]\nname = \"{}\"", backend.name)?;
        match &backend.address {
            Some(address) => writeln!(f, "address = \"{address}\"")?,
            None => writeln!(f, "address = \"THE ADDRESS OF {}\"", backend.name)?,
        }
    }
    Ok(())
}

/// The folder of a service's clients.
fn clients_of(address: &OnionAddress) -> String {
    format!("{CLIENTS}/{}", address.bare())
}

/// A path in a comment, on one line whatever is in it.
fn plain(path: &Path) -> String {
    path.display().to_string().chars().map(|symbol| if symbol.is_control() { '?' } else { symbol }).collect()
}

/// Reads a small text. `Err` only if the system or the content refuses.
fn read_text(path: &Path) -> Result<String, ImportError> {
    let failed = |source| ImportError::Unreadable { path: path.to_path_buf(), source };
    let mut octets = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX.saturating_add(1)).read_to_end(&mut octets).map_err(failed)?;
    let text = String::from_utf8(octets).ok();
    let text = text.filter(|text| u64::try_from(text.len()).is_ok_and(|length| length <= FILE_MAX));
    text.ok_or_else(|| ImportError::NotText(path.to_path_buf()))
}

#[cfg(test)]
mod tests;
