//! Paths in the configuration: absolute, such as the system takes, and sockets at places of their own.

use onionkeep_common::config::Section;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The longest path of a socket, in octets: `sun_path` has 108, the last of them is 0.
const SOCKET_MOST: usize = 107;

/// A key and the path of its socket.
pub(super) type Place<'p> = (&'static str, &'p Path);

/// An absolute path; its absence is reported.
pub(super) fn absolute(section: &Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.required_text(key)?);
    if !path.is_absolute() {
        section.report(key, format!("{key}: wanted is an absolute path, it starts with /"));
    }
    check(section, key, &path);
    Some(path)
}

/// The absolute path of a socket; its absence is reported.
pub(super) fn socket(section: &Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let path = absolute(section, key)?;
    check_length(section, key, &path);
    Some(path)
}

/// Reports a path that no system takes.
pub(super) fn check(section: &Section<'_, '_>, key: &str, path: &Path) {
    if path.as_os_str().as_bytes().contains(&0) {
        section.report(key, format!("{key}: no path has a character NUL in it"));
    }
}

/// Reports a path that no socket can have.
pub(super) fn check_socket(section: &Section<'_, '_>, key: &str, path: &Path) {
    check(section, key, path);
    check_length(section, key, path);
}

/// Reports a path that is too long for a socket.
fn check_length(section: &Section<'_, '_>, key: &str, path: &Path) {
    let length = path.as_os_str().len();
    if length > SOCKET_MOST {
        section.report(
            key,
            format!("{key}: the path of a socket has at most {SOCKET_MOST} octets, this one has {length}"),
        );
    }
}

/// Reports a socket of ours that is where another one is, also if the way there is spelled in another way.
pub(super) fn check_apart(section: &Section<'_, '_>, own: Option<Place<'_>>, others: &[Option<Place<'_>>]) {
    let Some((key, path)) = own else { return };
    let same = |(_key, other): &&Place<'_>| plain(other) == plain(path);
    if let Some((other, _path)) = others.iter().flatten().find(same) {
        let what = other.trim_end_matches("_socket");
        section
            .report(key, format!("{key}: the {what} socket is there already; give each a path of its own"));
    }
}

/// A path without `.` and `..`, by its words alone: no link is looked up.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}
