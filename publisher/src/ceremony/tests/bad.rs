//! Bundles that are not taken, each with its own sentence, and nothing changed.

use super::*;
use crate::ceremony::import::ImportFault;

/// What an import said; the folder must be as before.
fn fault(stage: &Stage, file: &[u8], standby: Option<Standby>, now: UnixTime) -> ImportFault {
    let before = listing(stage);
    let error = import(&stage.store, file, standby, now).unwrap_err();
    assert_eq!(listing(stage), before, "something was changed: {error}");
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().ends_with("nothing was imported") && !error.advice().is_empty());
    let CeremonyError::Import { fault } = error else { panic!("{error}") };
    fault
}

/// Every file of the folder with its content.
fn listing(stage: &Stage) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = stage.store.slots().parent().unwrap().to_path_buf();
    let entries = [std::fs::read_dir(&folder), std::fs::read_dir(stage.store.slots())];
    let files = entries.into_iter().flatten().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.is_file() && !path.ends_with("lock")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// A stage with an open request and its bundle.
fn open() -> (Stage, Bundle) {
    let stage = Stage::new();
    let (_request, path) = stage.request(3, NOW);
    let bundle = stage.bundle(&path, Kind::Main, NOW);
    (stage, bundle)
}

#[test]
fn a_file_that_is_cut_converted_or_altered_is_refused() {
    let (stage, bundle) = open();
    let good = sealed(&bundle);
    let text = String::from_utf8(good.clone()).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let swapped = [&lines[..20], &[lines[21], lines[20]], &lines[22..]].concat().concat();
    let merged = format!("{text}{text}");
    for bad in [
        good[..good.len() / 2].to_vec(),
        good[..good.len() - 1].to_vec(),
        text.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        swapped.into_bytes(),
        merged.into_bytes(),
        Vec::new(),
        text.replacen("onionkeep-bundle 1", "onionkeep-bundle 2", 1).into_bytes(),
        text.replacen("kind main", "must-new thing\nkind main", 1).into_bytes(),
    ] {
        assert!(matches!(fault(&stage, &bad, None, NOW), ImportFault::File(_)));
    }
    for at in (0..good.len()).step_by(997) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(import(&stage.store, &bad, None, NOW).is_err(), "octet {at}");
    }
    for drop in (0..lines.len()).step_by(11) {
        let less = [&lines[..drop], &lines[drop + 1..]].concat().concat();
        assert!(import(&stage.store, less.as_bytes(), None, NOW).is_err(), "line {drop}");
    }
    import(&stage.store, &good, None, NOW).unwrap();
}

#[test]
fn a_bundle_that_answers_something_else_is_refused() {
    let (stage, bundle) = open();
    let other = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        fault(&stage, &sealed(&bundle), None, NOW)
    };
    assert_eq!(other(&|bundle| bundle.purpose = Purpose::Rehearsal), ImportFault::Rehearsal);
    let open = bundle.request;
    let found = RequestId([1; 16]);
    assert_eq!(other(&|bundle| bundle.request = found), ImportFault::OtherRequest { found, open });
    assert_eq!(other(&|bundle| bundle.request_digest = FileDigest([1; 32])), ImportFault::AlteredRequest);
    assert_eq!(other(&|bundle| bundle.sequence = 9), ImportFault::Field("sequence"));
    let previous = Previous::Bundle(FileDigest([3; 32]));
    assert_eq!(other(&|bundle| bundle.previous = previous), ImportFault::Field("previous bundle"));
    assert!(matches!(other(&|bundle| drop(bundle.slots.pop())), ImportFault::Slots { .. }));
    assert!(matches!(other(&|bundle| drop(bundle.slots.remove(0))), ImportFault::Slots { .. }));
    let another = Stage::new();
    let (_request, path) = another.request(3, NOW);
    let mixed = another.bundle(&path, Kind::Main, NOW).slots.remove(1);
    let period = mixed.period;
    assert_eq!(other(&|bundle| bundle.slots[1] = mixed.clone()), ImportFault::OtherKey(period));
    let foreign = Stage { token: Onion::new(8), ..Stage::new() };
    let store = Store::at(&foreign.state_dir(), OnionAddress::new(foreign.token.identity));
    let foreign = Stage { store, ..foreign };
    let (_request, path) = foreign.request(3, NOW);
    let foreign_bundle = sealed(&foreign.bundle(&path, Kind::Main, NOW));
    let onion = foreign.store.onion;
    assert_eq!(fault(&stage, &foreign_bundle, None, NOW), ImportFault::OtherOnion(onion));
    let nobody = Stage::new();
    nobody.store.lock().unwrap();
    assert_eq!(fault(&nobody, &sealed(&bundle), None, NOW), ImportFault::NoRequest(open));
    stage.store.wipe_slot(bundle.slots[1].period, &bundle.slots[1].key).unwrap();
    assert_eq!(other(&|_same| ()), ImportFault::KeyGone(bundle.slots[1].period));
}

#[test]
fn another_audit_key_or_a_wrong_signature_is_refused() {
    let (stage, bundle) = open();
    let wrong = signed_by(&bundle, 78);
    assert!(matches!(fault(&stage, &wrong, None, NOW), ImportFault::Signature(_)));
    let nonsense = Bundle { auditor: "ed25519:00".to_owned(), ..bundle.clone() };
    assert!(matches!(fault(&stage, &sealed(&nonsense), None, NOW), ImportFault::NoAuditor(_)));
    stage.import(&bundle, NOW).unwrap();
    let (_request, path) = stage.request(3, NOW);
    let next = Bundle { auditor: auditor(78), ..stage.bundle(&path, Kind::Main, NOW) };
    assert!(matches!(fault(&stage, &signed_by(&next, 78), None, NOW), ImportFault::OtherAuditor { .. }));
}

#[test]
fn what_would_make_things_worse_is_refused() {
    let stage = Stage::new();
    let first = stage.ceremony(4, NOW);
    let second = stage.ceremony(2, NOW);
    let older = ImportFault::Older { found: 1, current: 2 };
    assert_eq!(fault(&stage, &sealed(&first), None, NOW), older);
    let ask = |from: u64, periods: u64, now| {
        let output = stage.file();
        let wish =
            Wish { from: Some(PeriodNumber(from)), replace: true, ..stage.wish(&output, periods, now) };
        new(&stage.store, &wish).unwrap();
        sealed(&stage.bundle(&output, Kind::Main, now))
    };
    let last = second.slots[1].period;
    // The first of them is still in use, and would be dropped.
    let needed = first.slots[0].period;
    assert_eq!(fault(&stage, &ask(last.0 + 1, 2, NOW), None, NOW), ImportFault::StillNeeded(needed));
    let later = NOW.plus(4 * 86_400);
    let gap = ImportFault::Gap { from: last.next(), to: last.next() };
    assert_eq!(fault(&stage, &ask(last.0 + 2, 3, later), None, later), gap);
    let shorter = ImportFault::Shorter { found: last.previous(), current: last };
    assert_eq!(fault(&stage, &ask(last.0 - 1, 1, later), None, later), shorter);
    let over = ask(last.0 + 1, 1, later);
    let end = later.plus(9 * 86_400);
    assert_eq!(fault(&stage, &over, None, end), ImportFault::Over(last.next()));
    import(&stage.store, &over, None, later).unwrap();
}

#[test]
fn an_emergency_bundle_and_its_keys_belong_together() {
    let stage = Stage::new();
    let (_request, path, standby) = stage.request_with_standby(3, NOW);
    let main = sealed(&stage.bundle(&path, Kind::Main, NOW));
    let emergency = sealed(&stage.bundle(&path, Kind::Emergency, NOW));
    let keys = || Some(Standby::read(&standby).unwrap());
    assert_eq!(fault(&stage, &emergency, None, NOW), ImportFault::Emergency);
    assert_eq!(fault(&stage, &main, keys(), NOW), ImportFault::NoEmergency);
    let other = Stage::new();
    let (_request, path, _keys) = other.request_with_standby(3, NOW);
    let foreign = sealed(&other.bundle(&path, Kind::Emergency, NOW));
    assert_eq!(fault(&stage, &foreign, keys(), NOW), ImportFault::OtherStandby);
    assert!(Standby::read(&path).is_err());
}

#[test]
fn a_request_is_not_forgotten_and_no_file_is_written_over() {
    let stage = Stage::new();
    let (request, path) = stage.request(2, NOW);
    let output = stage.file();
    let error = new(&stage.store, &stage.wish(&output, 2, NOW)).err().unwrap();
    assert!(error.to_string().contains(&request.id.to_string()) && error.exit_code() == 2);
    let wish = Wish { replace: true, ..stage.wish(&path, 2, NOW) };
    assert!(new(&stage.store, &wish).is_err(), "the file is there");
    let wish = Wish { replace: true, ..stage.wish(&output, 2, NOW) };
    new(&stage.store, &wish).unwrap();
    assert!(
        stage.store.open_slot(request.slots[0].period, &request.slots[0].key).unwrap().is_none(),
        "the keys of the request that was given up are wiped"
    );
    for (from, periods) in [(Some(PeriodNumber(1)), 2), (None, 0), (None, 401)] {
        let output = stage.file();
        let wish = Wish { replace: true, from, ..stage.wish(&output, periods, NOW) };
        assert_eq!(new(&stage.store, &wish).err().map(|error| error.exit_code()), Some(2));
        assert!(!output.exists());
    }
}

#[test]
fn a_damaged_slot_is_said_and_never_used() {
    let (stage, bundle) = open();
    let slot = &bundle.slots[0];
    let name = super::super::slot::SlotKey::name(slot.period, &slot.key);
    let path = stage.store.slots().join(name);
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert!(stage.store.open_slot(slot.period, &slot.key).is_err(), "octet {at}");
    }
    let other: DescSigningKey = bundle.slots[1].key;
    let moved = stage.store.slots().join(super::super::slot::SlotKey::name(slot.period, &other));
    std::fs::write(moved, good).unwrap();
    assert!(stage.store.open_slot(slot.period, &other).is_err());
}
