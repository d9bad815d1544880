//! Slots whose private halves are sealed: opened one at a time, by the machine that sealed them.

use super::*;
use crate::ceremony::seal::tests::machine;
use crate::state::StateError;

/// A request whose keys are sealed; `None` where nothing can be sealed.
fn sealed_request(stage: &Stage) -> Option<(Request, PathBuf)> {
    let output = stage.file();
    machine(stage.dir.path()).then(|| {
        let wish = Wish { seal: Seal::Host, ..stage.wish(&output, 3, NOW) };
        (new(&stage.store, &wish).unwrap().request, output.clone())
    })
}

#[test]
fn a_sealed_slot_is_no_seed_on_the_disk_and_serves_its_period() {
    let stage = Stage::new();
    let Some((request, path)) = sealed_request(&stage) else { return };
    let mut seeds = Vec::new();
    for slot in &request.slots {
        let name = super::super::slot::SlotKey::name(slot.period, &slot.key);
        let text = std::fs::read_to_string(stage.store.slots().join(name)).unwrap();
        assert!(text.contains("\nsealed host ") && !text.contains("\nseed "), "{text}");
        let opened = stage.store.open_slot(slot.period, &slot.key).unwrap().unwrap();
        seeds.push(data_encoding::HEXLOWER.encode(opened.seed()));
        assert!(!text.contains(seeds.last().unwrap()));
    }
    stage.import(&stage.bundle(&path, Kind::Main, NOW), NOW).unwrap();
    let state = StateDir::open(&stage.state_dir()).unwrap();
    let at = TimePeriod { number: request.slots[1].period, length: Clockwork::PUBLIC.rule.length };
    let (mut period, _damage) = state.load_or_make(&stage.store.onion, at).unwrap();
    assert!(stage.bundles().fit(&mut period, NOW, true).unwrap());
    assert_eq!(*period.keys.signing_key(), request.slots[1].key);
    state.save(&stage.store.onion, &period).unwrap();
    // Nothing in the whole folder is a private half.
    for seed in &seeds {
        let found =
            std::process::Command::new("grep").args(["-rl", seed]).arg(stage.state_dir()).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}

#[test]
fn slots_that_this_machine_cannot_open_are_found_at_the_import_and_never_replaced_silently() {
    let stage = Stage::new();
    let Some((request, path)) = sealed_request(&stage) else { return };
    let bundle = stage.bundle(&path, Kind::Main, NOW);
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(machine(elsewhere.path()));
    let error = stage.import(&bundle, NOW).unwrap_err();
    assert!(matches!(error, CeremonyError::State(StateError::Seal(_))), "{error}");
    assert!(error.advice().contains("emergency bundle"), "{}", error.advice());
    assert!(stage.store.bundle(Place::Current).unwrap().is_none(), "nothing was imported");
    // On the machine itself it is taken; when the secret is lost afterwards, the period's state says so.
    assert!(machine(stage.dir.path()));
    stage.import(&bundle, NOW).unwrap();
    let state = StateDir::open(&stage.state_dir()).unwrap();
    let at = TimePeriod { number: request.slots[1].period, length: Clockwork::PUBLIC.rule.length };
    let (mut period, _damage) = state.load_or_make(&stage.store.onion, at).unwrap();
    assert!(machine(elsewhere.path()));
    assert!(matches!(stage.bundles().fit(&mut period, NOW, true), Err(StateError::Seal(_))));
    assert!(machine(stage.dir.path()));
    assert!(stage.bundles().fit(&mut period, NOW, true).unwrap());
}

#[test]
fn a_slot_moved_to_another_period_or_altered_does_not_open() {
    let stage = Stage::new();
    let Some((request, _path)) = sealed_request(&stage) else { return };
    let path =
        |slot: &Slot| stage.store.slots().join(super::super::slot::SlotKey::name(slot.period, &slot.key));
    let (first, second) = (&request.slots[0], &request.slots[1]);
    let text = std::fs::read_to_string(path(first)).unwrap();
    let body = text.split_once("sha3-256").unwrap().0.to_owned();
    let moved = body.replace(&format!("period {}", first.period), &format!("period {}", second.period));
    crate::state::file::write(&path(second), &moved).unwrap();
    assert!(stage.store.open_slot(second.period, &second.key).is_err());
    for (from, to) in
        [("sealed host", "sealed nothing"), ("slot 2", "slot 3"), ("sealed host ", "sealed host")]
    {
        crate::state::file::write(&path(first), &body.replace(from, to)).unwrap();
        assert!(stage.store.open_slot(first.period, &first.key).is_err(), "{from} {to}");
    }
}
