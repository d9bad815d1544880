//! Backups in the state directory: the latest is found, an earlier one is gone, a mixed pair is refused.

use super::*;
use crate::backup::shamir::{Plan, Polynomial};
use onionkeep_core::ExpandedKey;

fn backup(generation: u16) -> Backup {
    let plan = Plan::new(2, 3).unwrap();
    let (polynomial, key) = (Polynomial::random(plan).unwrap(), ExpandedKey::from_seed(&[7; 32]).unwrap());
    let onion = OnionAddress::new(*key.public());
    let set = BackupSet::new(onion, generation, plan, polynomial.commitments()).unwrap();
    let wrapped = WrappedKey::wrap(&key, &set, &polynomial.secret()).unwrap();
    Backup { set, wrapped }
}

#[test]
fn the_latest_generation_is_kept_and_earlier_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store(dir.path());
    let (first, second) = (backup(1), backup(2));
    let onion = first.set.onion();
    assert!(matches!(store.latest(&onion), Err(BackupError::None(_))));
    assert_eq!(store.next_generation(&onion).unwrap(), 1);
    assert_eq!(store.keep(&first).unwrap(), 0);
    assert_eq!(store.latest(&onion).unwrap(), first);
    assert_eq!(store.next_generation(&onion).unwrap(), 2);
    assert_eq!(store.keep(&second).unwrap(), 1);
    assert_eq!(store.latest(&onion).unwrap(), second);
    assert_eq!(dir.path().read_dir().unwrap().count(), 2);
}

#[test]
fn a_mixed_pair_and_large_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [wrapped, verifier] = export(&backup(1), dir.path()).unwrap();
    assert!(Backup::read(&wrapped, &verifier).is_ok());
    assert!(matches!(Backup::read(&verifier, &verifier), Err(BackupError::NotABlob)));
    assert!(matches!(Backup::read(&wrapped, &wrapped), Err(BackupError::NotAVerifier)));
    std::fs::write(&verifier, backup(1).set.to_text()).unwrap();
    assert!(matches!(Backup::read(&wrapped, &verifier), Err(BackupError::Mismatch)));
    std::fs::write(&verifier, vec![b'x'; 70_000]).unwrap();
    assert!(matches!(Backup::read(&wrapped, &verifier), Err(BackupError::File { .. })));
}

#[test]
fn nothing_is_exported_to_where_a_share_lies() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("onionkeep-00000000-1.share"), "x").unwrap();
    assert!(matches!(export(&backup(1), dir.path()), Err(BackupError::Medium { .. })));
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
}

#[test]
fn what_was_planted_on_the_medium_of_an_export_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (medium, precious) = (dir.path().join("medium"), dir.path().join("precious"));
    std::fs::create_dir(&medium).unwrap();
    std::fs::write(&precious, "precious").unwrap();
    let backup = backup(1);
    let name = format!("{}.g1.wrapped", backup.set.onion().bare());
    for planted in [name.clone(), format!("{name}.new"), format!(".{name}.new")] {
        std::os::unix::fs::symlink(&precious, medium.join(planted)).unwrap();
    }
    let paths = export(&backup, &medium).unwrap();
    assert_eq!(Backup::read(&paths[0], &paths[1]).unwrap(), backup);
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}
