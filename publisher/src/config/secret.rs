//! Files with secrets that the configuration names: the only place that opens them.

use onionkeep_common::config::Section;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file with a secret has at most so many octets.
const SECRET_MAX: u64 = 1024;

/// Reads a small file with a secret: not empty, and not for every user to read.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.permissions().mode() & 0o007 != 0 {
        return Err("every user may read it; chmod o= it".to_owned());
    }
    if !meta.is_file() || meta.len() > SECRET_MAX {
        return Err("it is not a small plain file".to_owned());
    }
    let mut octets = Zeroizing::new(std::fs::read(path).map_err(|error| error.to_string())?);
    while let Some(b'\n' | b'\r') = octets.last() {
        octets.pop();
    }
    if octets.is_empty() || octets.contains(&b'\n') {
        return Err("it must hold one line with the secret".to_owned());
    }
    Ok(octets)
}

/// The path in `"file:/absolute/path"`.
pub(super) fn secret_file(section: &Section<'_, '_>, key: &str) -> Option<PathBuf> {
    section.text(key).map(|text| match text.strip_prefix("file:") {
        Some(path) if path.starts_with('/') => PathBuf::from(path),
        _other => {
            let text =
                format!("{key}: wanted is \"file:/absolute/path\"; the secret itself has no place here");
            section.report(key, text);
            PathBuf::new()
        }
    })
}
