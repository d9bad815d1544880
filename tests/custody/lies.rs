//! Tokens that say what is not so, show what must not be shown, or are there twice: refused with the reason. Tokens that lose
//! sessions or have too few: served again.

use crate::kit::{Kit, assert_fails, code};

#[test]
fn a_token_that_tells_the_truth_is_taken() {
    let kit = Kit::serving(1);
    kit.serves_again(0, 1);
}

#[test]
fn a_root_key_that_is_not_guarded_is_refused_by_the_attribute() {
    let kit = Kit::new(1);
    for (lie, why) in [
        ("lie key:CKA_SENSITIVE 00", "Sensitive is false, must be true"),
        ("lie key:CKA_EXTRACTABLE 01", "Extractable is true, must be false"),
        ("lie key:CKA_NEVER_EXTRACTABLE 00", "Never extractable is false, must be true"),
        ("lie key:CKA_LOCAL 00", "Local is false, must be true"),
        ("lie key:CKA_DERIVE 01", "Derive is true, must be false"),
    ] {
        kit.faults(&[lie]);
        let ran = kit.run(&["serve"]);
        assert_fails(&ran, code::VERIFICATION, &["not guarded"]);
        let (said, why) = (ran.stderr.to_lowercase(), why.to_lowercase());
        assert!(said.replace(['_', '-'], " ").contains(&why), "no {why:?} in: {said}");
    }
}

#[test]
fn a_value_that_can_be_read_is_refused_whatever_the_attributes_say() {
    let kit = Kit::new(1);
    kit.faults(&["lie key:CKA_VALUE readable"]);
    assert_fails(&kit.run(&["serve"]), code::VERIFICATION, &["gives its value away"]);
    assert_fails(&kit.run(&["key", "new"]), code::VERIFICATION, &["gives its value away"]);
}

#[test]
fn a_new_root_key_is_checked_before_anything_is_sealed_to_it() {
    let kit = Kit::empty();
    kit.faults(&["lie key:CKA_EXTRACTABLE 01"]);
    assert_fails(&kit.run(&["key", "new"]), code::VERIFICATION, &["not guarded"]);
    let names = kit.token().names().unwrap();
    assert!(names.contains("C_GenerateKey CKM_GENERIC_SECRET_KEY_GEN"), "{names:?}");
    assert!(!names.contains("C_CreateObject"), "something was stored: {names:?}");
}

#[test]
fn a_sealed_key_that_reads_back_differently_is_refused() {
    let kit = Kit::new(1);
    kit.faults(&["lie data:CKA_PRIVATE 00"]);
    assert_fails(&kit.run(&["key", "new"]), code::VERIFICATION, &["another object than was stored"]);
    let shown = kit.run(&["key", "show"]).answer().unwrap();
    assert_eq!(shown.matches(".onion").count(), 1, "it was left there: {shown}");
}

#[test]
fn two_tokens_with_the_same_label_and_serial_are_refused() {
    let kit = Kit::new(1);
    kit.token().double(1).unwrap();
    let before = kit.token().count("C_Login").unwrap();
    assert_fails(&kit.run(&["serve"]), code::USAGE, &["2 tokens"]);
    assert_eq!(kit.token().count("C_Login").unwrap(), before, "logged in to one of two");
}

#[test]
fn lost_sessions_and_a_full_table_of_sessions_are_recovered() {
    let kit = Kit::serving(1);
    for (faults, seed) in [
        &["sessions-lost on C_SignInit at 1"][..],
        &["sessions-lost on C_Sign at 2"],
        &["sessions-lost on C_SignInit at 1", "error CKR_SESSION_COUNT on C_OpenSession times 2"],
        &["error CKR_OPERATION_ACTIVE on C_SignInit times 1"],
        &["error CKR_KEY_HANDLE_INVALID on C_SignInit times 1"],
        &["error CKR_DEVICE_ERROR on C_SignInit times 3"],
    ]
    .into_iter()
    .zip(1..)
    {
        kit.faults(faults);
        kit.serves_again(0, seed);
    }
}

#[test]
fn a_token_without_a_free_session_is_away_and_not_misused() {
    let kit = Kit::new(1);
    kit.faults(&["session-limit 0"]);
    let before = kit.token().count("C_Login").unwrap();
    assert_fails(&kit.run(&["key", "show"]), code::AWAY, &["SessionCount"]);
    assert_eq!(kit.token().count("C_Login").unwrap(), before);
}
