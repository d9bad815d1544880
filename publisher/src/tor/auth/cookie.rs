//! Reads tor's cookie file, and says exactly who may read it when we may not.

use super::Cookie;
use crate::tor::error::TorError;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Octets of a cookie.
const LEN: usize = 32;

/// Reads the file. Its name comes from a server that has proved nothing yet: only a regular file is opened, and only 33
/// octets are read.
pub(super) fn read(path: &Path) -> Result<Cookie, TorError> {
    let unreadable = |source| TorError::CookieUnreadable {
        path: path.to_owned(),
        source: Arc::new(source),
        access: access(path),
    };
    if !path.is_absolute() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "the path is not absolute")));
    }
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let mut octets = Zeroizing::new([0; LEN + 1]);
    let count = fill(File::open(path).map_err(unreadable)?, &mut octets[..]).map_err(unreadable)?;
    let wrong = TorError::CookieLength { path: path.to_owned(), found: count };
    let mut cookie = Cookie(Zeroizing::new([0; LEN]));
    match octets.first_chunk::<LEN>() {
        Some(first) if count == LEN => {
            cookie.0.copy_from_slice(first);
            Ok(cookie)
        }
        Some(_) | None => Err(wrong),
    }
}

/// Reads until the end of the file or of the buffer.
fn fill(mut file: File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count: usize = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => count = count.saturating_add(more),
        }
    }
    Ok(count)
}

/// Owner, group and mode of the file, or of the nearest folder above it that can be seen.
fn access(path: &Path) -> String {
    for seen in path.ancestors() {
        if let Ok(found) = fs::metadata(seen) {
            let what = if seen == path {
                String::from("the file")
            } else {
                format!("the folder {}", seen.display())
            };
            let (uid, gid, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
            return format!("{what} belongs to uid {uid}, group {}, mode {mode:04o}", group(gid));
        }
    }
    "nothing of the path can be seen".to_owned()
}

/// A group as its name and number.
fn group(gid: u32) -> String {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let number = gid.to_string();
    let line = groups.lines().find(|line| line.split(':').nth(2) == Some(&number));
    let name = line.and_then(|line| line.split(':').next());
    name.map_or_else(|| number.clone(), |name| format!("{name} ({number})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome for a file of these octets.
    fn of_file(octets: &[u8]) -> Result<Cookie, TorError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.authcookie");
        fs::write(&path, octets).unwrap();
        read(&path)
    }

    #[test]
    fn a_cookie_has_32_octets() {
        assert!(matches!(of_file(&[7; 32]), Ok(cookie) if *cookie.0 == [7; 32]));
        for len in [0, 31, 33, 4096] {
            let found = len.min(33);
            assert!(
                matches!(of_file(&vec![7; len]), Err(TorError::CookieLength { found: f, .. }) if f == found)
            );
        }
    }

    #[test]
    fn what_is_no_readable_file_is_named_with_its_access() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none/cookie");
        let Err(error) = read(&missing) else { panic!("read") };
        let text = error.to_string();
        assert!(
            text.contains("none/cookie") && text.contains("the folder") && text.contains("group"),
            "{text}"
        );
        let Err(error) = read(folder.path()) else { panic!("read") };
        assert!(error.to_string().contains("not a regular file"), "{error}");
        assert!(read(Path::new("control.authcookie")).is_err());
    }
}
