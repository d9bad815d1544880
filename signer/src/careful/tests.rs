//! What somebody planted is neither followed nor altered.

use super::*;
use crate::error::Explain as _;
use crate::ledger::Ledger;
use onionkeep_common::UnixTime;
use std::fs::Permissions;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

/// A directory with a precious file and a link to it.
fn planted() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (precious, link) = (dir.path().join("precious"), dir.path().join("link"));
    std::fs::write(&precious, "precious").unwrap();
    symlink(&precious, &link).unwrap();
    (dir, precious, link)
}

#[test]
fn a_link_is_never_opened_for_writing() {
    let (dir, precious, link) = planted();
    assert!(new(&link).is_err() && new(&precious).is_err());
    let error = open_or_make(&link, File::options().append(true)).unwrap_err();
    assert!(error.to_string().contains("a link"), "{error}");
    let dangling = dir.path().join("dangling");
    symlink(dir.path().join("made"), &dangling).unwrap();
    assert!(open_or_make(&dangling, File::options().write(true)).is_err());
    assert!(!dir.path().join("made").exists());
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn a_file_that_is_there_keeps_its_content_and_a_new_one_is_made() {
    let (dir, precious, _link) = planted();
    open_or_make(&precious, File::options().append(true)).unwrap().write_all(b" still").unwrap();
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious still");
    assert!(open_or_make(&dir.path().join("fresh"), File::options().write(true)).is_ok());
    assert!(open_or_make(dir.path(), File::options().write(true)).is_err());
}

#[test]
fn each_temporary_file_has_a_name_of_its_own_and_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (one, mut file) = temporary(dir.path()).unwrap();
    let (other, _file) = temporary(dir.path()).unwrap();
    assert_ne!(one, other);
    file.write_all(b"text").unwrap();
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), one.metadata().unwrap().mode() & 0o777), ("text", 0o600));
}

#[test]
fn what_lies_at_a_path_is_compared_without_reading_on() {
    let (dir, precious, link) = planted();
    assert_eq!(compare(&dir.path().join("nothing"), b"precious").unwrap(), Found::Nothing);
    assert_eq!(compare(&precious, b"precious").unwrap(), Found::Same);
    assert_eq!(compare(&precious, b"precio").unwrap(), Found::Other);
    assert_eq!(compare(&link, b"precious").unwrap(), Found::Other);
    assert_eq!(compare(dir.path(), b"precious").unwrap(), Found::Other);
    assert_eq!(compare(Path::new("/dev/zero"), b"precious").unwrap(), Found::Other);
}

/// A signer's user may plant a link where root's next command locks: the file behind it would become theirs.
#[test]
fn a_ledgers_lock_is_no_link_and_for_its_owner_alone() {
    let (dir, precious, _link) = planted();
    let key = crate::audit_key::AuditKey::Ed25519([1; 32]);
    let (state, lock) = (dir.path().join("state"), dir.path().join("state/lock"));
    std::fs::create_dir(&state).unwrap();
    symlink(&precious, &lock).unwrap();
    let create = || Ledger::create(&state, key, UnixTime(1));
    assert!(create().unwrap_err().in_full().contains("a link"));
    std::fs::remove_file(&lock).unwrap();
    std::fs::write(&lock, "").unwrap();
    std::fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
    create().unwrap();
    assert_eq!(lock.metadata().unwrap().mode() & 0o777, 0o600);
}
