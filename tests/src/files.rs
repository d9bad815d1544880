//! The only place where the harness makes, owns and hands out files: one directory per run, kept when the run failed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::User;

/// Names the directory that keeps the logs of failed runs; the system's temporary directory without it.
pub const RUN_DIR_VARIABLE: &str = "ONIONKEEP_RUN_DIR";

/// The directory of one run. It stays on disk with its logs unless [`RunDir::discard`] was called.
pub struct RunDir {
    /// Short on purpose: a Unix socket's path may have 107 bytes.
    path: PathBuf,
    /// Whether it goes with its owner.
    discarded: bool,
}

impl RunDir {
    /// A new directory that every user of the run can enter.
    pub fn new() -> Result<Self> {
        let parent = std::env::var_os(RUN_DIR_VARIABLE).map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = tempfile::Builder::new()
            .prefix("ok-")
            .tempdir_in(&parent)
            .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        // Whatever the umask is.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { path: dir.keep(), discarded: false })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says that all went well: it is removed when its owner ends.
    pub fn discard(&mut self) {
        self.discarded = true;
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.discarded && !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Makes `path` a directory of `user` with these permission bits.
pub fn make_dir(path: &Path, user: User, mode: u32) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    give(path, user, mode)
}

/// Writes a file that belongs to `user` with these permission bits.
pub fn write(path: &Path, content: impl AsRef<[u8]>, user: User, mode: u32) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    give(path, user, mode)
}

/// Hands one path to `user`; without root everything already belongs to whoever runs the harness.
pub fn give(path: &Path, user: User, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    if let Some(ids) = user.ids() {
        chown(path, Some(ids.uid), Some(ids.gid))
            .with_context(|| format!("cannot give {} to uid {}", path.display(), ids.uid))?;
    }
    Ok(())
}

/// Copies a program or a library to a file that every user may execute, whatever the umask is. By another process: a copy of
/// ours could not be executed while any thread is between fork and exec, because the child holds the file open for writing
/// until then.
pub fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let what = format!("copying {}", from.display());
    crate::process::run(std::process::Command::new("cp").arg("-T").arg(from).arg(to), &what)?;
    give(to, User::Harness, 0o755)
}

/// Copies a directory with everything in it, owners and modes included.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    crate::process::run(
        std::process::Command::new("cp").arg("-a").arg("-T").arg(from).arg(to),
        &format!("copying {} to {}", from.display(), to.display()),
    )?;
    Ok(())
}
