//! Files with secrets that the configuration names: the only place that opens them.

use super::paths;
use crate::descriptor::ClientKey;
use crate::tor::Password;
use onionkeep_common::config::Section;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file with a secret has at most so many octets.
const SECRET_MAX: u64 = 1024;

/// Reads a small file with a secret: not empty, and not for every user to read.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
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

/// Reads the control port's password.
pub(super) fn read_password(path: &Path) -> Result<Password, String> {
    read_secret(path).map(Password::new)
}

/// Reads our key for a backend.
pub(super) fn read_client_key(path: &Path) -> Result<ClientKey, String> {
    let octets = read_secret(path)?;
    let text = std::str::from_utf8(&octets).map_err(|_octets| "it is not a text".to_owned())?;
    ClientKey::from_text(text).map_err(|error| error.to_string())
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Secret {
    /// The control port's password.
    Password,
    /// Our key for a backend.
    ClientKey,
}

/// Whether the files are looked into when the configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They are read later, by who needs them.
    Unread,
    /// Those that cannot be used are reported.
    Read,
}

/// The path in `"file:/absolute/path"`.
pub(super) fn secret_file(
    section: &Section<'_, '_>,
    key: &str,
    secret: Secret,
    secrets: Secrets,
) -> Option<PathBuf> {
    let text = section.text(key)?;
    let Some(path) = text.strip_prefix("file:").filter(|path| path.starts_with('/')).map(PathBuf::from)
    else {
        let text = format!("{key}: wanted is \"file:/absolute/path\"; the secret itself has no place here");
        section.report(key, text);
        return Some(PathBuf::new());
    };
    paths::check(section, key, &path);
    if secrets == Secrets::Read {
        let read = match secret {
            Secret::Password => read_password(&path).map(drop),
            Secret::ClientKey => read_client_key(&path).map(drop),
        };
        if let Err(why) = read {
            section.report(key, format!("{key}: cannot use the file {}: {why}", path.display()));
        }
    }
    Some(path)
}
