//! Tokens that are away, doubled, swapped or altered, and PINs that are wrong.

use onionkeep_tests::files;

use crate::kit::{Kit, assert_fails, code};

#[test]
fn the_right_pin_on_the_right_token_shows_the_key() {
    let kit = Kit::open_to_us();
    let shown = kit.signer.run(&["key", "show"]).unwrap().answer().unwrap();
    assert!(shown.contains(&kit.address), "{shown}");
}

#[test]
fn a_wrong_pin_is_an_error_of_its_own_and_nothing_is_lost() {
    let mut kit = Kit::open_to_us();
    kit.signer.write_pin("00000").unwrap();
    for arguments in [&["serve"][..], &["key", "new"]] {
        assert_fails(&kit.signer.run(arguments).unwrap(), code::PIN, &["PIN"]);
    }
    kit.signer.write_right_pin().unwrap();
    kit.signer.start().unwrap();
}

#[test]
fn a_missing_or_exposed_pin_file_is_an_error() {
    let kit = Kit::open_to_us();
    let pin = kit.signer.dir().join("pin");
    files::give(&pin, onionkeep_tests::process::User::Signer, 0o444).unwrap();
    assert_fails(&kit.signer.run(&["serve"]).unwrap(), code::PIN, &["pin"]);
    std::fs::remove_file(&pin).unwrap();
    assert_fails(&kit.signer.run(&["serve"]).unwrap(), code::PIN, &["pin"]);
}

#[test]
fn an_absent_token_is_away() {
    let kit = Kit::open_to_us();
    kit.signer.token().remove_tokens().unwrap();
    assert_fails(&kit.signer.run(&["serve"]).unwrap(), code::AWAY, &[]);
}

#[test]
fn a_swapped_token_with_the_same_label_is_refused() {
    let kit = Kit::open_to_us();
    let (label, pin, so_pin) = kit.signer.credentials();
    kit.signer.token().remove_tokens().unwrap();
    kit.signer.token().add_foreign_token(label, pin, so_pin).unwrap();
    let ran = kit.signer.run(&["serve"]).unwrap();
    assert_fails(&ran, ran.code, &["serial"]);
}

#[test]
fn a_second_token_with_the_same_label_does_not_confuse_a_pinned_serial() {
    let mut kit = Kit::open_to_us();
    let (label, pin, so_pin) = kit.signer.credentials();
    kit.signer.token().add_foreign_token(label, pin, so_pin).unwrap();
    kit.signer.start().unwrap();
}

#[test]
fn without_a_serial_nothing_but_token_init_runs() {
    let mut kit = Kit::open_to_us();
    kit.signer.set_serial(None).unwrap();
    for arguments in [&["serve"][..], &["key", "new"], &["key", "show"]] {
        assert_fails(&kit.signer.run(arguments).unwrap(), code::USAGE, &["serial"]);
    }
}

#[test]
fn an_onion_whose_key_is_not_on_the_token_is_not_served() {
    let mut kit = Kit::open_to_us();
    let other = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion";
    kit.signer.allow_uid(other, 64_999).unwrap();
    let ran = kit.signer.run(&["serve"]).unwrap();
    assert_fails(&ran, ran.code, &["7igid.onion"]);
    assert!(!ran.stderr.contains(other), "the whole address is shown: {}", ran.stderr);
}

#[test]
fn a_token_in_use_is_not_initialised_again() {
    let kit = Kit::open_to_us();
    let ran = kit.signer.run(&["token", "init"]).unwrap();
    assert_ne!(ran.code, 0, "{ran:?}");
    let shown = kit.signer.run(&["key", "show"]).unwrap().answer().unwrap();
    assert!(shown.contains(&kit.address), "{shown}");
    let other = kit.signer.run(&["token", "init", "--erase", "0000000000000000"]).unwrap();
    assert_ne!(other.code, 0, "{other:?}");
    assert!(kit.signer.run(&["key", "show"]).unwrap().answer().unwrap().contains(&kit.address));
}

/// Every object of the token, altered in one octet near its end and in its middle: no alteration crashes the signer,
/// at least one is found by a check, and where an altered object names another onion (one altered point in sixteen is a
/// key, and its address is shown whole), its line says that it is not good.
#[test]
fn an_altered_object_is_found_and_never_serves() {
    let mut kit = Kit::open_to_us();
    let snapshot = kit.run.path().join("snapshot");
    kit.signer.token().snapshot(&snapshot).unwrap();
    let mut codes = Vec::new();
    for object in kit.signer.token().object_files().unwrap() {
        let original = std::fs::read(&object).unwrap();
        for at in [original.len() - 20, original.len() / 2] {
            let mut altered = original.clone();
            altered[at] ^= 0x40;
            std::fs::write(&object, altered).unwrap();
            let ran = kit.signer.run(&["key", "show"]).unwrap();
            assert!((0..=8).contains(&ran.code), "{ran:?}");
            for line in ran.stdout.lines().filter(|line| line.contains(".onion")) {
                let good = !line.contains("NOT GOOD");
                assert!(!good || line.starts_with(&kit.address), "another address is good: {ran:?}");
                assert!(good || ran.code == code::VERIFICATION, "not good, and no failure: {ran:?}");
            }
            codes.push(ran.code);
        }
        std::fs::write(&object, original).unwrap();
    }
    assert!(codes.contains(&code::VERIFICATION), "no alteration was found by a check: {codes:?}");
    kit.signer.token().restore(&snapshot).unwrap();
    kit.signer.start().unwrap();
}
