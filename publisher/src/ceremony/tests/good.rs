//! Requests, imports, the key of a period, fallback and retirement when everything is right.

use super::*;
use crate::ceremony::horizon::first_in_use;
use crate::ceremony::retire::{Which, retire};
use crate::ceremony::status::BundleStatus;
use crate::certs::check;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_request_asks_for_the_periods_in_use_and_its_keys_are_kept_one_a_file() {
    let stage = Stage::new();
    let (request, path) = stage.request(4, NOW);
    let read = Request::parse(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(read.content, request);
    let first = first_in_use(&Clockwork::PUBLIC, NOW);
    assert_eq!(request.slots[0].period, first);
    assert_eq!((request.sequence, request.previous, request.slots.len()), (1, Previous::First, 4));
    let key = stage.store.request_key(false).unwrap().unwrap();
    assert_eq!(key.public(), request.requester);
    let keys = stage.store.slot_keys().unwrap();
    assert_eq!(keys, request.slots.iter().map(|slot| (slot.period, slot.key)).collect::<Vec<_>>());
    for entry in std::fs::read_dir(stage.store.slots()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn standby_keys_leave_nothing_in_the_publishers_state() {
    let stage = Stage::new();
    let (request, _path, standby) = stage.request_with_standby(3, NOW);
    let read = Standby::read(&standby).unwrap();
    assert_eq!(read.keys.len(), 3);
    let keys = stage.store.slot_keys().unwrap();
    for (slot, key) in request.standby.iter().zip(&read.keys) {
        assert_eq!((slot.period, slot.key), (key.period, key.key));
        assert!(!keys.contains(&(key.period, key.key)));
    }
    let state = std::process::Command::new("grep")
        .args(["-rl", &data_encoding::HEXLOWER.encode(read.keys[1].seed())])
        .arg(stage.state_dir())
        .output()
        .unwrap();
    assert!(state.stdout.is_empty());
}

#[test]
fn an_import_enrols_the_audit_key_and_says_what_is_replaced() {
    let stage = Stage::new();
    let (_request, path) = stage.request(4, NOW);
    let first = stage.bundle(&path, Kind::Main, NOW);
    let imported = stage.import(&first, NOW).unwrap();
    assert_eq!(imported.enrolled.map(|key| key.to_string()), Some(auditor(AUDITOR)));
    assert_eq!((imported.replaced, imported.again, imported.missing), (None, false, Vec::new()));
    let again = stage.import(&first, NOW).unwrap();
    assert!(again.again);
    let later = NOW.plus(2 * 86_400);
    let second = stage.ceremony(4, later);
    assert_eq!(second.sequence, 2);
    assert_eq!(second.previous, Previous::Bundle(FileDigest::of(&sealed(&first))));
    assert_eq!(second.slots[0].period, first.slots[3].period.next());
    assert_eq!(stage.store.bundle(Place::Old).unwrap().unwrap().content, first);
    assert_eq!(stage.store.bundle(Place::Current).unwrap().unwrap().content, second);
    let horizon = stage.bundles().horizon(later).unwrap();
    assert_eq!((horizon.missing.len(), horizon.slots), (0, 6));
    assert_eq!(horizon.until, Clockwork::PUBLIC.span(second.slots[3].period.next()).0);
}

#[test]
fn a_first_bundle_that_begins_late_is_taken_and_the_missing_periods_are_named() {
    let stage = Stage::new();
    let output = stage.dir.path().join("late");
    let from = PeriodNumber(first_in_use(&Clockwork::PUBLIC, NOW).0 + 2);
    let wish = Wish { from: Some(from), ..stage.wish(&output, 3, NOW) };
    new(&stage.store, &wish).unwrap();
    let imported = stage.import(&stage.bundle(&output, Kind::Main, NOW), NOW).unwrap();
    assert_eq!(imported.missing, [PeriodNumber(from.0 - 2), PeriodNumber(from.0 - 1)]);
    let status = BundleStatus::of(&stage.store.onion, &stage.bundles(), NOW);
    assert_eq!(status.missing_periods, [from.0 - 2, from.0 - 1]);
    assert_eq!(status.level, "over");
    assert_eq!(status.warnings(NOW).len(), 2);
}

#[test]
fn a_period_takes_the_key_of_its_slot_and_its_state_file_has_no_private_half() {
    let stage = Stage::new();
    let bundle = stage.ceremony(3, NOW);
    let (state, slot) = (StateDir::open(&stage.state_dir()).unwrap(), &bundle.slots[1]);
    let at = TimePeriod { number: slot.period, length: Clockwork::PUBLIC.rule.length };
    let onion = stage.store.onion;
    let (mut period, _damage) = state.load_or_make(&onion, at).unwrap();
    let bundles = stage.bundles();
    assert!(bundles.fit(&mut period, NOW, true).unwrap(), "the generated key is replaced");
    assert_eq!(*period.keys.signing_key(), slot.key);
    assert!(!bundles.fit(&mut period, NOW, true).unwrap());
    state.save(&onion, &period).unwrap();
    let mut read = state.load(&onion, at).unwrap().unwrap();
    assert!(read.is_incomplete());
    assert_eq!(read.keys.to_bytes()[..32], [0; 32]);
    assert!(!bundles.fit(&mut read, NOW, true).unwrap());
    assert_eq!(*read.keys.to_bytes(), *period.keys.to_bytes());
    let now = Clockwork::PUBLIC.span(slot.period).0.plus(5000);
    let request = read.keys.certify_request(&onion, at);
    let cert = bundles.certificate(&request, now).unwrap();
    check(&request, &cert, now).unwrap();
}

#[test]
fn a_key_is_kept_while_its_certificate_is_good_unless_there_are_only_bundles() {
    let stage = Stage::new();
    let bundle = stage.ceremony(3, NOW);
    let state = StateDir::open(&stage.state_dir()).unwrap();
    let at = TimePeriod { number: bundle.slots[1].period, length: Clockwork::PUBLIC.rule.length };
    let (mut period, _damage) = state.load_or_make(&stage.store.onion, at).unwrap();
    let own = *period.keys.signing_key();
    let blinded = stage.token.identity.blinded(at).unwrap();
    let body = CertBody::desc_signing(&own, ExpirationHours::of_desc_signing_cert(NOW), &blinded);
    period.cert = Some(stage.token.sign_for(at, &body));
    let bundles = stage.bundles();
    assert!(!bundles.fit(&mut period, NOW, false).unwrap());
    assert_eq!(*period.keys.signing_key(), own);
    assert!(bundles.fit(&mut period, NOW, true).unwrap());
    assert_eq!((*period.keys.signing_key(), period.cert), (bundle.slots[1].key, None));
}

#[test]
fn a_running_publisher_notices_a_new_bundle_and_a_bad_one_replaces_nothing() {
    let stage = Stage::new();
    let mut bundles = stage.bundles();
    assert!(bundles.newest().is_none());
    let first = stage.ceremony(3, NOW);
    assert!(bundles.refresh());
    assert!(!bundles.refresh());
    assert_eq!(bundles.newest(), Some(&first));
    let mut file = sealed(&first);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    let path = stage.store.bundle_path(Place::Current);
    std::fs::write(&path, file).unwrap();
    // Older kernels count file times in steps of 4 ms.
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(bundles.refresh());
    assert_eq!(bundles.newest(), Some(&first));
    assert!(bundles.problem.is_some());
    let restarted = stage.bundles();
    assert!(restarted.newest().is_none() && restarted.problem.is_some());
}

#[test]
fn an_emergency_bundle_ends_the_use_of_the_keys_before() {
    let stage = Stage::new();
    let (request, path, standby) = stage.request_with_standby(3, NOW);
    stage.import(&stage.bundle(&path, Kind::Main, NOW), NOW).unwrap();
    let state = StateDir::open(&stage.state_dir()).unwrap();
    let at = TimePeriod { number: request.slots[1].period, length: Clockwork::PUBLIC.rule.length };
    let (mut period, _damage) = state.load_or_make(&stage.store.onion, at).unwrap();
    stage.bundles().fit(&mut period, NOW, true).unwrap();
    let emergency = sealed(&stage.bundle(&path, Kind::Emergency, NOW));
    let keys = || Some(Standby::read(&standby).unwrap());
    import(&stage.store, &emergency, keys(), NOW).unwrap();
    let bundles = stage.bundles();
    assert!(bundles.fit(&mut period, NOW, false).unwrap(), "at once, whatever certificate there is");
    assert_eq!(*period.keys.signing_key(), request.standby[1].key);
    // The token's side knows the main bundle as the last.
    let later = NOW.plus(2 * 86_400);
    let (next, path) = stage.request(3, later);
    let main = stage.store.bundle(Place::Old).unwrap().unwrap().digest;
    assert_eq!((next.sequence, next.previous), (2, Previous::Bundle(main)));
    stage.import(&stage.bundle(&path, Kind::Main, later), later).unwrap();
    // The same on a machine that knows nothing.
    let fresh = Stage::new();
    import(&fresh.store, &emergency, keys(), NOW).unwrap();
    assert_eq!(fresh.bundles().horizon(NOW).unwrap().slots, 3);
    let (next, _path) = fresh.request(3, NOW);
    assert_eq!((next.sequence, next.previous), (2, Previous::First));
}

#[test]
fn retiring_all_wipes_keys_and_certificates_and_tells_when_the_damage_ends() {
    let stage = Stage::new();
    let bundle = stage.ceremony(5, NOW);
    let seed = stage.store.open_slot(bundle.slots[2].period, &bundle.slots[2].key).unwrap().unwrap();
    let hex = data_encoding::HEXLOWER.encode(seed.seed());
    let half = stage.store.slots().join("1-half.key.new");
    std::fs::write(&half, "what a power cut has left of a key").unwrap();
    let (note, path) = retire(&stage.store, &Which::All, &Clockwork::PUBLIC, NOW).unwrap();
    assert!(!half.exists());
    assert_eq!(note.damage_ends, Some(Clockwork::PUBLIC.span(bundle.slots[4].period).1));
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("deny --request {}", bundle.request)), "{text}");
    assert!(text.contains("damage-ends 20"), "{text}");
    assert!(!text.contains(&hex));
    assert_eq!(stage.store.slot_keys().unwrap(), []);
    assert!(stage.bundles().newest().is_none());
    // The chain goes on.
    let (request, path) = stage.request(2, NOW);
    assert_eq!((request.sequence, request.previous), (2, Previous::Bundle(FileDigest::of(&sealed(&bundle)))));
    stage.import(&stage.bundle(&path, Kind::Main, NOW), NOW).unwrap();
}

#[test]
fn retiring_some_slots_leaves_the_others() {
    let stage = Stage::new();
    let bundle = stage.ceremony(5, NOW);
    let which = Which::Periods(bundle.slots[1].period..=bundle.slots[2].period);
    let (note, _path) = retire(&stage.store, &which, &Clockwork::PUBLIC, NOW).unwrap();
    assert_eq!(note.keys.len(), 2);
    assert_eq!(note.damage_ends, Some(Clockwork::PUBLIC.span(bundle.slots[2].period).1));
    let horizon = stage.bundles().horizon(NOW).unwrap();
    assert_eq!(horizon.missing, [bundle.slots[1].period, bundle.slots[2].period]);
    assert!(
        retire(&stage.store, &Which::Periods(PeriodNumber(1)..=PeriodNumber(2)), &Clockwork::PUBLIC, NOW)
            .is_ok()
    );
}

#[test]
fn a_configuration_needs_a_signer_or_bundles() {
    let without = SAMPLE.replace("signer = \"/run/onionkeep-signer/signer.sock\"\n", "");
    assert!(crate::config::Config::parse(&without).is_err());
    let with = without.replace("probe_port = 80", "probe_port = 80\nbundles = true");
    let config = crate::config::Config::parse(&with).unwrap();
    assert!(config.services[0].bundles && config.services[0].signer.is_none());
    assert_eq!(config.clockwork, Clockwork::PUBLIC);
}
