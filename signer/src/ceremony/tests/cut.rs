//! A power cut between the keeping of the bundles and their line in the ledger.

use super::{Room, policy, read};
use crate::ceremony::dates;
use crate::ceremony::folder::{Folder, Plan};
use crate::ceremony::issue::Issued;
use crate::ceremony::policy::clockwork_of;
use crate::ceremony::{files, is_marked};
use crate::ledger::Denied;
use onionkeep_common::PeriodRule;
use onionkeep_common::paper::{FileDigest, Purpose};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A room after a power cut: the bundles are kept, the ledger ends with the request and its keys.
fn cut(room: &mut Room) -> Issued {
    let request = read(room.request());
    let issued = room.issue(&request).unwrap();
    room.ledger = None;
    let ledger = room.dir.path().join("ledger");
    let text = std::fs::read_to_string(&ledger).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let before = lines.iter().position(|line| line.contains(" bundle ")).unwrap();
    std::fs::write(&ledger, lines[..before].concat()).unwrap();
    room.reopen();
    issued
}

/// What is kept.
fn kept(room: &Room) -> BTreeSet<PathBuf> {
    std::fs::read_dir(room.dir.path().join("ceremony")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn bundles_that_were_kept_are_the_answer() {
    let mut room = Room::new();
    let before = cut(&mut room);
    let request = read(room.request());
    assert_eq!(room.issue(&request).unwrap(), before);
    assert_eq!(kept(&room).len(), 2);
}

/// The second bundle was on the disk, its rename was not: what the kill rig found.
#[test]
fn a_bundle_that_has_its_temporary_name_still_is_kept_under_its_own() {
    let mut room = Room::new();
    let before = cut(&mut room);
    let dir = room.dir.path().join("ceremony");
    let spare = dir.join(FileDigest::of(before.emergency.as_ref().unwrap()).to_string());
    std::fs::rename(&spare, spare.with_extension("new")).unwrap();
    let request = read(room.request());
    assert_eq!(room.issue(&request).unwrap(), before);
    assert!(spare.exists() && kept(&room).len() == 2);
    assert_eq!(room.issue(&request).unwrap(), before, "it is there when it is asked for again");
}

#[test]
fn what_is_not_whole_is_removed_and_made_anew() {
    let mut room = Room::new();
    let before = cut(&mut room);
    let dir = room.dir.path().join("ceremony");
    let spare = dir.join(FileDigest::of(before.emergency.as_ref().unwrap()).to_string());
    std::fs::rename(&spare, spare.with_extension("new")).unwrap();
    std::fs::write(spare.with_extension("new"), "half").unwrap();
    let request = read(room.request());
    let after = room.issue(&request).unwrap();
    assert_ne!(after.main, before.main, "the certificates of half an answer are never used");
    let names = [&after.main, after.emergency.as_ref().unwrap()];
    let names = names.map(|file| dir.join(FileDigest::of(file).to_string()));
    assert_eq!(kept(&room), BTreeSet::from(names));
}

#[test]
fn addresses_of_rehearsals_are_marked_and_others_are_not() {
    assert!(is_marked(&Room::rehearsal().onions[0]));
    let mut vault = Room::new().vault;
    assert!(is_marked(&vault.generate_for(Purpose::Rehearsal).unwrap()));
    assert!((0..3).all(|_| !is_marked(&vault.generate().unwrap())));
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bundle");
    files::check_place(&path).unwrap();
    files::put(&path, b"one").unwrap();
    files::put(&path, b"one").unwrap();
    assert!(files::put(&path, b"two").unwrap_err().to_string().contains("was not touched"));
    assert_eq!(files::read(&path).unwrap(), b"one");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let gone = dir.path().join("pulled-out").join("b.bundle");
    assert!(files::check_place(&gone).is_err());
    assert!(files::put(&gone, b"one").unwrap_err().to_string().contains("no part of it was left"));
    assert!(files::read(&gone).unwrap_err().to_string().contains("nothing was signed"));
}

/// What a power cut leaves of lines that are written at once is any part of them.
#[test]
fn a_part_of_the_keys_on_record_is_not_all_of_them() {
    let mut room = Room::new();
    let request = read(room.request());
    let audit = super::audit(&mut room);
    room.issue(&request).unwrap();
    room.ledger = None;
    let path = room.dir.path().join("ledger");
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let first = lines.iter().position(|line| line.contains(" request ")).unwrap();
    let end = lines.iter().position(|line| line.contains(" bundle ")).unwrap();
    assert_eq!(end - first, 1 + request.content.slots.len() + request.content.standby.len());
    let len = |lines: &[&str]| lines.concat().len();
    // Each line, and within each.
    let ends = (first..end).map(|line| len(&lines[..=line]));
    let cuts: Vec<_> = ends.flat_map(|end| [end - 40, end]).chain([len(&lines[..first])]).collect();
    for cut in cuts {
        std::fs::remove_dir_all(room.dir.path().join("ceremony")).unwrap();
        std::fs::write(&path, &whole.as_bytes()[..cut]).unwrap();
        room.reopen();
        let all = cut == len(&lines[..end]);
        assert_eq!(policy::audit_first(room.memory(), &request, audit, audit).is_ok(), all, "{cut}");
        // The rest of the lines may begin a further file.
        room.ledger.as_mut().unwrap().rotate_after_for_test(if cut % 2 == 0 { 0 } else { u64::MAX });
        let issued = room.issue(&request).unwrap();
        room.reopen();
        for slot in request.content.slots.iter().chain(&request.content.standby) {
            let ceremonies = room.memory().ceremonies();
            assert!(
                ceremonies.used(&slot.key).is_some_and(|(of, _place, _kind)| of == request.digest),
                "{cut}"
            );
            let denied = Denied::Key(slot.key);
            let said = dates::exposed(room.memory(), &denied, &clockwork_of(PeriodRule::PUBLIC), super::NOW);
            assert!(said.contains("the damage ends then"), "{cut}: {said}");
        }
        let last = room.ledger.as_ref().unwrap().head().0;
        assert_eq!(room.issue(&request).unwrap(), issued);
        assert_eq!(room.ledger.as_ref().unwrap().head().0, last + 1, "only a checkpoint");
        room.ledger = None;
        for older in std::fs::read_dir(room.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if older.to_string_lossy().contains("ledger.0") {
                std::fs::remove_file(older).unwrap();
            }
        }
    }
}

/// Somebody prepared the medium: links at every name that could be foreseen, a file that never ends in the bundle's place.
#[test]
fn what_was_planted_on_a_medium_is_neither_followed_nor_altered() {
    let dir = tempfile::tempdir().unwrap();
    let (path, precious) = (dir.path().join("1.bundle"), dir.path().join("ledger"));
    std::fs::write(&precious, "precious").unwrap();
    for planted in [".1.bundle.new", "1.bundle.new", "transcript.log", "lock"] {
        symlink(&precious, dir.path().join(planted)).unwrap();
    }
    files::check_place(&path).unwrap();
    files::put(&path, b"one").unwrap();
    files::replace(&path, b"two").unwrap();
    assert_eq!(files::read(&path).unwrap(), b"two");
    assert!(Folder::begin(dir.path(), Plan::default()).unwrap_err().to_string().contains("a link"));
    assert!(crate::room::records_to(&dir.path().join("transcript.log")).is_err());
    std::fs::remove_file(&path).unwrap();
    for planted in [PathBuf::from("/dev/zero"), precious.clone()] {
        symlink(planted, &path).unwrap();
        assert!(files::put(&path, b"precious").unwrap_err().to_string().contains("was not touched"));
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn the_places_of_bundles_are_free_and_two() {
    let dir = tempfile::tempdir().unwrap();
    let (main, spare) = (dir.path().join("a.bundle"), dir.path().join("a.spare"));
    files::check_places(&main, Some(&spare)).unwrap();
    let linked = dir.path().join("linked");
    symlink(dir.path(), &linked).unwrap();
    for same in [main.clone(), linked.join("a.bundle"), dir.path().join("A.bundle")] {
        let error = files::check_places(&main, Some(&same)).unwrap_err();
        assert!(error.to_string().contains("two places"), "{error}");
    }
    for (place, taken) in [(&spare, "a file"), (&main, "")] {
        std::fs::write(place, taken).unwrap();
        let error = files::check_places(&main, Some(&spare)).unwrap_err();
        assert!(matches!(&error, files::MediumError::Exists(path) if path == place), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}
