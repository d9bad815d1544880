//! Sealed keys as files of the state directory, for tokens that cannot store them.

use super::VaultError;
use crate::state;
use onionkeep_common::OnionAddress;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Ending of such a file's name; the onion's address is before it.
const ENDING: &str = ".sealed";
/// Files are read up to this size; a longer one is no sealed key.
const FILE_MAX: u64 = 4096;

/// All such files with their octets.
pub(super) fn read(state_dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, VaultError> {
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| VaultError::File { path, source }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(state_dir).map_err(cannot(state_dir))? {
        let path = entry.map_err(cannot(state_dir))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING)) {
            let mut octets = Vec::new();
            let file = File::open(&path).map_err(cannot(&path))?;
            file.take(FILE_MAX).read_to_end(&mut octets).map_err(cannot(&path))?;
            found.push((path, octets));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes one.
pub(super) fn write(state_dir: &Path, onion: &OnionAddress, octets: &[u8]) -> Result<PathBuf, VaultError> {
    let name = format!("{onion}{ENDING}");
    let path = state_dir.join(&name);
    state::replace(state_dir, &name, octets)
        .map_err(|source| VaultError::File { path: path.clone(), source })?;
    Ok(path)
}
