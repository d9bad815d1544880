//! Who can read a frontend's descriptor: the folder `authorized_clients`, as C tor has it. The only place that reads it.
//!
//! What is wrong there takes access away, never gives it: a bad file lets nobody in, and a folder without one good file
//! lets nobody in at all.

mod edit;

pub use edit::{Added, EditError, add, list, remove, take_back};

use crate::descriptor::{ClientKeyError, ClientPublicKey};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a client's file ends.
///
/// Spec: rend-spec-v3, G.1.1.
const ENDING: &str = ".auth";
/// A client's file has at most so many octets.
const FILE_MAX: u64 = 4096;
/// So many files are looked at.
const FILES_MAX: usize = 4096;

/// Why a client's file, or a line of it, does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientProblem {
    /// The system does not give it.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a folder, a pipe or the like.
    #[error("is not a plain file")]
    NotAFile,
    /// It is no text of a sensible length.
    #[error("is not a text of at most {FILE_MAX} octets")]
    NotText,
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// Its first line is not a client's key.
    #[error("line 1: {0}")]
    Key(#[from] ClientKeyError),
    /// C tor reads the first line only, and so do we.
    #[error("line {0}: only the first line of a file counts, a second client needs a file of its own")]
    More(usize),
    /// Another file has the same key.
    #[error("has the key of {0}")]
    Twice(String),
    /// A descriptor has no room for it.
    #[error("is left out: a descriptor with {points} introduction points has room for {most} clients")]
    NoRoom {
        /// Introduction points.
        points: usize,
        /// Clients.
        most: usize,
    },
}

/// A client's file that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The file's name without its ending.
    pub name: String,
    /// The client's key.
    pub key: ClientPublicKey,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Folder {
    /// The clients, by name.
    pub clients: Vec<Client>,
    /// Files that do not count, or not wholly, with the reason.
    pub problems: Vec<(String, ClientProblem)>,
}

/// A file's name with what changes when the file does: time of change, length, number.
type Stamp = (String, (i64, i64), u64, u64);

/// The clients of one frontend, kept in step with the folder.
#[derive(Debug)]
pub struct Clients {
    /// The folder.
    path: PathBuf,
    /// How many introduction points their descriptor may list.
    points: usize,
    /// What the folder looked like; `None` before the first look.
    seen: Option<Vec<Stamp>>,
    /// The keys.
    keys: Arc<BTreeSet<ClientPublicKey>>,
    /// Why the folder could not be looked at the last time.
    unseen: Option<String>,
}

/// What a look at the folder brought.
#[derive(Debug)]
pub struct News {
    /// Whether other clients than before can read the descriptor.
    pub changed: bool,
    /// Files that do not count.
    pub problems: Vec<(String, ClientProblem)>,
}

impl Clients {
    /// For a folder that has not been looked at: nobody can read the descriptor until [`Clients::look`].
    #[must_use]
    pub fn new(path: &Path, points: usize) -> Self {
        Self { path: path.to_path_buf(), points, seen: None, keys: Arc::default(), unseen: None }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of those who can read the descriptor; of nobody if empty.
    #[must_use]
    pub fn keys(&self) -> Arc<BTreeSet<ClientPublicKey>> {
        Arc::clone(&self.keys)
    }

    /// Why the folder could not be looked at the last time; `None` if it could.
    #[must_use]
    pub fn unseen(&self) -> Option<&str> {
        self.unseen.as_deref()
    }

    /// Looks at the folder; `None` if nothing in it has changed.
    ///
    /// A folder that is not there is one without clients. If the system does not let us look, all stays as it was.
    ///
    /// # Errors
    /// What the system says.
    pub fn look(&mut self) -> io::Result<Option<News>> {
        let looked = self.look_at_folder();
        self.unseen = looked.as_ref().err().map(ToString::to_string);
        looked
    }

    /// [`Clients::look`] without a note of what the system says.
    fn look_at_folder(&mut self) -> io::Result<Option<News>> {
        let stamps = match stamps(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        if self.seen.as_ref() == Some(&stamps) {
            return Ok(None);
        }
        let names = stamps.iter().map(|(name, ..)| name.as_str());
        let Folder { clients, problems } = read_files(&self.path, names, self.points);
        let keys: BTreeSet<_> = clients.iter().map(|client| client.key).collect();
        let changed = self.seen.is_none() || keys != *self.keys;
        (self.seen, self.keys) = (Some(stamps), Arc::new(keys));
        Ok(Some(News { changed, problems }))
    }
}

/// Reads a folder.
///
/// # Errors
/// What the system says about the folder itself.
pub fn read(path: &Path, points: usize) -> io::Result<Folder> {
    let stamps = stamps(path)?;
    Ok(read_files(path, stamps.iter().map(|(name, ..)| name.as_str()), points))
}

/// The clients' files of a folder, by name.
fn stamps(path: &Path) -> io::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for entry in fs::read_dir(path)?.take(FILES_MAX) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.len() > ENDING.len() && name.ends_with(ENDING) {
            let mark = |meta: Metadata| ((meta.ctime(), meta.ctime_nsec()), meta.len(), meta.ino());
            let (time, length, number) = fs::metadata(path.join(&name)).map(mark).unwrap_or_default();
            stamps.push((name, time, length, number));
        }
    }
    stamps.sort();
    Ok(stamps)
}

/// Reads these files.
fn read_files<'a>(path: &Path, names: impl Iterator<Item = &'a str>, points: usize) -> Folder {
    let most = crate::descriptor::most_clients(points);
    let mut folder = Folder::default();
    for name in names {
        let read = read_file(&path.join(name)).and_then(|(key, more)| {
            if let Some(other) = folder.clients.iter().find(|other| other.key == key) {
                return Err(ClientProblem::Twice(format!("{}{ENDING}", other.name)));
            }
            if folder.clients.len() >= most {
                return Err(ClientProblem::NoRoom { points, most });
            }
            Ok((key, more))
        });
        match read {
            Ok((key, more)) => {
                let own = name.strip_suffix(ENDING).unwrap_or(name);
                folder.clients.push(Client { name: own.to_owned(), key });
                folder.problems.extend(more.map(|line| (name.to_owned(), ClientProblem::More(line))));
            }
            Err(problem) => folder.problems.push((name.to_owned(), problem)),
        }
    }
    folder
}

/// The key in a client's file, and the number of a further line that is not empty.
///
/// Spec: C tor, `parse_authorized_client_key`.
fn read_file(path: &Path) -> Result<(ClientPublicKey, Option<usize>), ClientProblem> {
    let text = read_text(path)?;
    let mut lines = text.lines();
    let first = lines.next().filter(|line| !line.trim().is_empty()).ok_or(ClientProblem::Empty)?;
    let key = ClientPublicKey::from_auth(first)?;
    let more = lines.position(|line| !line.trim().is_empty()).map(|at| at.saturating_add(2));
    Ok((key, more))
}

/// The text of a small plain file. Never waits for a pipe's other end.
fn read_text(path: &Path) -> Result<String, ClientProblem> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ClientProblem::NotAFile);
    }
    let mut octets = Vec::new();
    file.take(FILE_MAX.saturating_add(1)).read_to_end(&mut octets)?;
    let text = String::from_utf8(octets).map_err(|_octets| ClientProblem::NotText)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= FILE_MAX) {
        Ok(text)
    } else {
        Err(ClientProblem::NotText)
    }
}

#[cfg(test)]
mod tests;
