//! Where the token lives: the only place that reads the environment, takes the lock between processes and writes files.

use crate::Answer;
use cryptoki_sys::{CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names the token's directory.
const VARIABLE: &str = "ONIONKEEP_FAULT_TOKEN";

/// The token's directory.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

/// The lock between processes; open until dropped.
pub(crate) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // The file is closed next, which unlocks too.
        let _closed_next = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

impl Home {
    /// The directory that the environment names.
    pub(crate) fn find() -> Answer<Self> {
        std::env::var_os(VARIABLE).map(|path| Self(path.into())).ok_or(CKR_GENERAL_ERROR)
    }

    /// A directory, for the unit tests.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A path inside.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Waits until no other process changes anything.
    pub(crate) fn lock(&self) -> Answer<Locked> {
        let file = File::options().create(true).append(true).open(self.join("lock")).map_err(failed)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| failed(error.into()))?;
        Ok(Locked(file))
    }
}

/// What any trouble with the directory is answered with.
pub(crate) fn failed(_error: io::Error) -> u64 {
    CKR_FUNCTION_FAILED
}

/// Writes a file so that after a crash either the old or the new one is there.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
