//! `request new` when something goes wrong: nothing is written over, what was open stays open until all of the new request is written, and
//! what is damaged can be given up.

use super::*;
use crate::ceremony::horizon::first_in_use;
use crate::ceremony::request::GivenUp;
use crate::ceremony::status::BundleStatus;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// The request that is open, with all of its keys.
fn assert_open(stage: &Stage, request: &Request) {
    assert_eq!(stage.store.request().unwrap().unwrap().content, *request);
    for slot in &request.slots {
        assert!(stage.store.open_slot(slot.period, &slot.key).unwrap().is_some(), "{}", slot.period);
    }
    assert_eq!(stage.store.slot_keys().unwrap().len(), request.slots.len(), "and no other keys");
}

/// What `request new` says, and its exit code.
fn refused(stage: &Stage, wish: &Wish<'_>) -> (String, u8) {
    let error = new(&stage.store, wish).err().unwrap();
    (format!("{error}; try: {}", error.advice()), error.exit_code())
}

#[test]
fn one_file_for_the_request_and_the_standby_keys_is_refused_before_anything_is_done() {
    let stage = Stage::new();
    let folder = stage.dir.path();
    fs::create_dir(folder.join("sub")).unwrap();
    symlink(folder, folder.join("link")).unwrap();
    let output = folder.join("same");
    for standby in ["same", "sub/../same", "link/same", "same.new"] {
        let standby = folder.join(standby);
        for (output, standby) in [(&output, &standby), (&standby, &output)] {
            let wish = Wish { standby: Some(standby), ..stage.wish(output, 3, NOW) };
            let (said, code) = refused(&stage, &wish);
            assert!(said.contains("are one file") && code == 2, "{said}");
        }
    }
    assert!(!output.exists() && !stage.state_dir().exists(), "nothing was done");
    let standby = folder.join("sub/same");
    new(&stage.store, &Wish { standby: Some(&standby), ..stage.wish(&output, 3, NOW) }).unwrap();
    assert_eq!(
        Standby::read(&standby).unwrap().keys.len(),
        3,
        "the same name in another folder is another file"
    );
}

#[test]
fn what_lies_where_a_file_is_written_first_is_neither_followed_nor_replaced() {
    let stage = Stage::new();
    let (output, standby, victim) = (stage.file(), stage.file(), stage.file());
    fs::write(&victim, "dear").unwrap();
    let wish = Wish { standby: Some(&standby), ..stage.wish(&output, 2, NOW) };
    for first in [&output, &standby] {
        let way = first.with_extension("new");
        symlink(&victim, &way).unwrap();
        let (said, code) = refused(&stage, &wish);
        assert!(said.contains(&format!("{} is in the way", way.display())) && code == 2, "{said}");
        fs::remove_file(&way).unwrap();
        fs::write(&way, "whose").unwrap();
        assert_eq!(refused(&stage, &wish).1, 2);
        assert_eq!(fs::read_to_string(&way).unwrap(), "whose");
        fs::remove_file(&way).unwrap();
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "dear");
    let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
    // In our own folder it is what a crash has left: it goes, and its mode with it.
    for way in ["request.new", "request-key.new"] {
        symlink(&victim, stage.store.file(way)).unwrap_or_else(|_no_folder| {
            fs::create_dir_all(stage.store.slots()).unwrap();
            symlink(&victim, stage.store.file(way)).unwrap();
        });
    }
    new(&stage.store, &wish).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "dear");
    for path in [&output, &standby, &stage.store.file("request"), &stage.store.file("request-key")] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        assert!(path.symlink_metadata().unwrap().is_file());
    }
}

#[test]
fn a_request_that_cannot_be_written_gives_nothing_up_and_leaves_nothing() {
    let stage = Stage::new();
    let (request, plain) = stage.request(2, NOW);
    let standby = stage.file();
    let wish = |output| Wish { replace: true, standby: Some(&standby), ..stage.wish(output, 3, NOW) };
    let none = stage.dir.path().join("none").join("Q2");
    let (said, code) = refused(&stage, &wish(&none));
    assert!(said.contains("none/Q2 cannot be written") && code == 2, "{said}");
    assert_open(&stage, &request);
    // Nobody sees beforehand that this is no folder.
    let within = plain.join("Q2");
    assert_eq!(refused(&stage, &wish(&within)).1, 1);
    assert_open(&stage, &request);
    assert!(!standby.exists(), "nothing stands in the way of the next attempt");
    // The last file of all, our own copy, cannot be written.
    let (way, output) = (stage.store.file("request.new"), stage.file());
    fs::create_dir(&way).unwrap();
    let (said, code) = refused(&stage, &wish(&output));
    assert!(said.contains("request.new") && code == 1, "{said}");
    assert_open(&stage, &request);
    assert!(!standby.exists() && !output.exists());
    fs::remove_dir(&way).unwrap();
    let made = new(&stage.store, &wish(&output)).unwrap();
    assert_eq!(made.given_up, Some(GivenUp::Request(request.id)));
    assert_open(&stage, &made.request);
}

#[test]
fn what_a_crash_has_left_is_wiped_with_the_next_request() {
    let stage = Stage::new();
    let (request, path) = stage.request(2, NOW);
    // A command that was cut off after its keys: the old request is whole.
    let stray = super::super::slot::SlotKey::generate(request.slots[0].period).unwrap();
    stray.write(&stage.store.slots(), Seal::Plain).unwrap();
    // ... and one within a key.
    let half = stage.store.slots().join("1-half.key.new");
    fs::write(&half, "seed").unwrap();
    let bundle = stage.bundle(&path, Kind::Main, NOW);
    stage.import(&bundle, NOW).unwrap();
    let (next, _path) = stage.request(2, NOW);
    assert!(stage.store.open_slot(stray.period, &stray.key).unwrap().is_none());
    assert!(!half.exists());
    for (period, key) in bundle.slots.iter().map(|slot| (slot.period, slot.key)) {
        assert!(stage.store.open_slot(period, &key).unwrap().is_some(), "what a bundle certifies stays");
    }
    assert!(stage.store.open_slot(next.slots[1].period, &next.slots[1].key).unwrap().is_some());
}

#[test]
fn a_first_period_that_no_ceremony_could_mean_is_refused() {
    let stage = Stage::new();
    let first = first_in_use(&Clockwork::PUBLIC, NOW).0;
    let latest = Clockwork::PUBLIC.rule.number_at(NOW.plus(400 * 86_400)).0;
    let output = stage.file();
    let wish = |from, periods| {
        let from = Some(PeriodNumber(from));
        Wish { from, periods, ..stage.wish(&output, 1, NOW) }
    };
    for (from, periods) in [
        (u64::MAX, None),
        (u64::MAX, Some(1)),
        (u64::MAX - 1, Some(400)),
        (300_000_000_000_000_000, Some(2)),
        (latest + 1, None),
        (latest, Some(2)),
    ] {
        let (said, code) = refused(&stage, &wish(from, periods));
        assert!(said.contains("within 400 days") && code == 2, "{said}");
        assert!(!output.exists());
    }
    assert_eq!(refused(&stage, &wish(first - 1, Some(2))).1, 2, "over");
    assert_eq!(stage.store.slot_keys().unwrap(), []);
    new(&stage.store, &wish(latest, Some(1))).unwrap();
}

#[test]
fn a_damaged_request_is_told_and_can_be_given_up() {
    let stage = Stage::new();
    let (request, path) = stage.request(2, NOW);
    let bundle = stage.bundle(&path, Kind::Main, NOW);
    fs::write(stage.store.file("request"), "nonsense").unwrap();
    let output = stage.file();
    let (said, code) = refused(&stage, &stage.wish(&output, 2, NOW));
    assert!(said.contains("is damaged") && said.contains("request new --replace") && code == 1, "{said}");
    let error = stage.import(&bundle, NOW).unwrap_err();
    assert!(error.advice().contains("request new --replace"), "{}", error.advice());
    let status = BundleStatus::read(&stage.state_dir(), stage.store.onion, NOW).unwrap();
    assert!(status.warnings(NOW).iter().any(|text| text.contains("request new --replace")), "{status:?}");
    let made = new(&stage.store, &Wish { replace: true, ..stage.wish(&output, 2, NOW) }).unwrap();
    assert_eq!(made.given_up, Some(GivenUp::Damaged(stage.store.file("request"))));
    assert!(stage.store.open_slot(request.slots[0].period, &request.slots[0].key).unwrap().is_none());
    assert_open(&stage, &made.request);
    assert!(BundleStatus::read(&stage.state_dir(), stage.store.onion, NOW).unwrap().problem.is_none());
}
