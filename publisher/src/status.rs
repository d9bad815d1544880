//! The status document: its words, the socket that writes it, and the client that reads it.

mod legacy;
mod screen;
mod server;
mod table;
mod terminal;
mod watch;

pub use legacy::{Instance, Legacy};
pub use server::{Client, StatusServer};
pub use table::Table;
pub use watch::{WatchError, watch};

use crate::ceremony::status::BundleStatus;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// How long the publisher may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// A document of 100 services is far smaller, in octets.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// What the publisher says about itself. All times are seconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Version of the publisher.
    pub version: String,
    /// When this was written.
    pub now: u64,
    /// When the publisher started.
    pub started: u64,
    /// tor.
    pub tor: TorStatus,
    /// The frontends.
    pub services: Vec<ServiceStatus>,
    /// What the operator should look at; empty if all is well.
    pub warnings: Vec<String>,
    /// The alarms that are raised.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
}

/// An alarm that is raised (`docs/operate/alarms.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Its name, which never changes.
    pub name: String,
    /// `warn`, or `error` if clients are or soon will be without the service.
    pub level: String,
    /// The frontend that it is about.
    pub service: Option<String>,
    /// The backend, or `first` or `second` for a descriptor.
    pub subject: Option<String>,
    /// Since when.
    pub since: u64,
    /// A sentence for people.
    pub text: String,
}

/// What is known of tor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorStatus {
    /// `connecting`, `bootstrapping` or `ready`.
    pub state: String,
    /// Its version.
    pub version: Option<String>,
    /// Whether it runs in a testing network.
    pub testing: bool,
    /// The last problem with it.
    pub problem: Option<String>,
    /// When its consensus became valid.
    pub consensus_valid_after: Option<u64>,
    /// HSDirs in the ring.
    pub hsdirs: usize,
    /// HSDirs that lack a microdescriptor.
    pub hsdirs_without_microdescriptor: usize,
    /// Whether it says that it has no network or no circuits.
    #[serde(default)]
    pub offline: bool,
    /// By how many seconds our clock is ahead of the network's, negative if behind; none if nothing speaks against it.
    #[serde(default)]
    pub clock_skew: Option<i64>,
}

/// One frontend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its address.
    pub address: String,
    /// `ordinary`, `wide` or `distinct`.
    pub mode: String,
    /// Its signer.
    pub signer: SignerStatus,
    /// Its bundles, if it has any to take certificates from.
    #[serde(default)]
    pub bundles: Option<BundleStatus>,
    /// Its backends.
    pub backends: Vec<BackendStatus>,
    /// Names of backends that the configuration has and that were removed at run time.
    #[serde(default)]
    pub removed: Vec<String>,
    /// After a take-over: until when a tor service that had the address before has to answer, without publishing.
    #[serde(default)]
    pub former_until: Option<u64>,
    /// Its two descriptors.
    pub descriptors: Vec<DescriptorStatus>,
    /// The same in Onionbalance's words.
    #[serde(flatten)]
    pub legacy: Legacy,
}

/// What is known of a signer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerStatus {
    /// `unasked`, `ok`, `away`, `refused`, or `none` if only bundles are used.
    pub state: String,
    /// When it last gave a certificate.
    pub last_certificate: Option<u64>,
    /// The last problem.
    pub problem: Option<String>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// `unknown`, `up`, `draining`, `stale`, `down` or `missing`.
    pub state: String,
    /// Why, when the last fetch or probe failed.
    pub problem: Option<String>,
    /// When its last descriptor was uploaded, as far as the counter tells.
    pub uploaded: Option<u64>,
    /// When an HSDir last gave a good one.
    pub fetched: Option<u64>,
    /// Its revision counter.
    pub revision: Option<u64>,
    /// Introduction points that it offers.
    pub points: usize,
    /// When they last changed.
    #[serde(default)]
    pub points_changed: Option<u64>,
    /// How many of them are listed.
    pub listed: usize,
    /// Its weight.
    pub weight: u32,
    /// Whether it is to get no new clients while others are up.
    #[serde(default)]
    pub draining: bool,
    /// What was changed at run time, so that it differs from the configuration.
    #[serde(default)]
    pub changed: Option<String>,
    /// Its share of the clients that come now, in millionths.
    pub share: u64,
}

/// One descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorStatus {
    /// `first` or `second`.
    pub role: String,
    /// Number of its period.
    pub period: u64,
    /// Length of the period in minutes.
    pub period_minutes: u32,
    /// Whether clients ask for it now.
    pub fetched_now: bool,
    /// Its blinded key, unpadded base64.
    pub blinded: String,
    /// Revision counter of the last upload.
    pub revision: Option<u64>,
    /// End of its certificate.
    pub certificate_expires: Option<u64>,
    /// Introduction points in the last upload.
    pub points: usize,
    /// Octets of the last upload's longest copy.
    #[serde(default)]
    pub octets: usize,
    /// Blocks of 10000 octets that its middle layer was padded to: its size class.
    #[serde(default)]
    pub blocks: usize,
    /// When it was last uploaded.
    pub uploaded: Option<u64>,
    /// When it is uploaded next.
    pub next_upload: Option<u64>,
    /// Another publisher of this descriptor, if HSDirs gave one that we did not write.
    #[serde(default)]
    pub other: Option<OtherStatus>,
    /// The responsible HSDirs.
    pub hsdirs: Vec<HsDirStatus>,
}

/// One HSDir of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsDirStatus {
    /// Its fingerprint.
    pub fingerprint: String,
    /// `none`, `sent`, `stored`, or what went wrong.
    pub result: String,
    /// When that was.
    pub at: Option<u64>,
    /// Counter of the last upload that it has confirmed.
    pub stored_revision: Option<u64>,
    /// When it confirmed that.
    pub stored_at: Option<u64>,
    /// What is known of our copy there: `none`, `sent`, `acknowledged`, and after a look `held`, `other` or `missing`.
    #[serde(default)]
    pub copy: String,
    /// Counter of what it gave at the last look.
    #[serde(default)]
    pub given_revision: Option<u64>,
    /// When it was last looked at.
    #[serde(default)]
    pub looked_at: Option<u64>,
}

/// Another publisher of the same address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherStatus {
    /// The last counter of it that an HSDir gave.
    pub revision: u64,
    /// When that was seen.
    pub seen: u64,
    /// When it was uploaded, by the other's clock, if its counter tells.
    pub uploaded: Option<u64>,
    /// Whether it shares our counter secret; none if that is not clear.
    pub same_secret: Option<bool>,
    /// By how many seconds its clock is ahead of ours at least, if that is worth a word.
    pub clock_ahead: Option<u64>,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Nobody answers at the socket.
    #[error("cannot reach the publisher at {path}: {source}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What answers is no publisher, or one of another version.
    #[error("what answers at {path} is not understood: {source}")]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        source: serde_json::Error,
    },
}

impl StatusError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "see that the publisher runs, that status_socket is the same in its configuration, and that this user may enter it"
            }
            Self::NotUnderstood { .. } => "use the `status` command of the version that runs",
        }
    }
}

/// Asks a running publisher.
///
/// # Errors
/// [`StatusError`] if it cannot be reached or is not understood.
pub fn ask(path: &Path) -> Result<Document, StatusError> {
    let unreachable = |source| StatusError::Unreachable { path: path.to_path_buf(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    runtime.block_on(ask_async(path))
}

/// The same without blocking.
async fn ask_async(path: &Path) -> Result<Document, StatusError> {
    let unreachable = |source| StatusError::Unreachable { path: path.to_path_buf(), source };
    let read = async {
        let stream = UnixStream::connect(path).await?;
        let mut text = Vec::new();
        stream.take(MAX_LEN).read_to_end(&mut text).await?;
        Ok(text)
    };
    let late = |_elapsed| unreachable(io::Error::from(io::ErrorKind::TimedOut));
    let text = tokio::time::timeout(DEADLINE, read).await.map_err(late)?.map_err(unreachable)?;
    serde_json::from_slice(&text)
        .map_err(|source| StatusError::NotUnderstood { path: path.to_path_buf(), source })
}

#[cfg(test)]
pub(crate) mod tests;
