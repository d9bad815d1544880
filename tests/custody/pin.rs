//! The PIN is never locked by us: at most one try a start, none on the last try, none after a refusal.

use std::thread;
use std::time::Duration;

use onionkeep_common::wire::Reply;

use crate::kit::{Kit, assert_fails, code};

/// Commands that log in.
const COMMANDS: [&[&str]; 3] = [&["serve"], &["key", "show"], &["key", "new"]];

#[test]
fn the_right_pin_costs_no_try() {
    let kit = Kit::new(1);
    let before = kit.token().count("C_Login").unwrap();
    assert_eq!(kit.run(&["key", "show"]).code, 0);
    assert_eq!(kit.token().count("C_Login").unwrap(), before + 1);
    assert_eq!(kit.token().tries_left().unwrap(), 3);
}

#[test]
fn a_wrong_pin_costs_one_try_a_start_and_the_last_try_is_never_used() {
    let kit = Kit::new(1);
    kit.signer.write_pin("00000").unwrap();
    for (start, left) in [(1, 2), (2, 1)] {
        let before = kit.token().count("C_Login").unwrap();
        assert_fails(&kit.run(&["serve"]), code::PIN, &["PIN", "tried once"]);
        let tried = kit.token().count("C_Login").unwrap() - before;
        assert_eq!((tried, kit.token().tries_left().unwrap()), (1, left), "start {start}");
    }
    // One try is left: not even the right PIN is worth it, because nobody can know that it is the right one.
    for command in COMMANDS {
        let before = kit.token().count("C_Login").unwrap();
        assert_fails(&kit.run(command), code::PIN, &["one more try"]);
        assert_eq!(kit.token().count("C_Login").unwrap(), before, "{command:?}");
    }
    kit.signer.write_right_pin().unwrap();
    assert_fails(&kit.run(&["serve"]), code::PIN, &["one more try"]);
    assert_eq!(kit.token().tries_left().unwrap(), 1);
}

#[test]
fn flags_of_the_token_decide_before_a_log_in() {
    let kit = Kit::new(1);
    for (flag, words) in [
        ("flag CKF_USER_PIN_FINAL_TRY", "only one more try of the user PIN"),
        ("flag CKF_USER_PIN_LOCKED", "has locked the user PIN"),
    ] {
        kit.faults(&[flag]);
        for command in COMMANDS {
            let before = kit.token().count("C_Login").unwrap();
            assert_fails(&kit.run(command), code::PIN, &[words]);
            assert_eq!(kit.token().count("C_Login").unwrap(), before, "{flag}: {command:?}");
        }
    }
    kit.faults(&["flag CKF_USER_PIN_COUNT_LOW"]);
    assert_eq!(kit.run(&["key", "show"]).code, 0);
}

#[test]
fn a_pin_that_is_refused_when_the_token_comes_back_is_not_tried_again() {
    let kit = Kit::serving(1);
    kit.serves_again(0, 1);
    let before = kit.token().count("C_Login").unwrap();
    kit.faults(&["sessions-lost on C_SignInit at 1", "error CKR_PIN_INCORRECT on C_Login"]);
    for seed in 2..14 {
        let reply = kit.ask(0, 2 + seed % 2);
        assert!(matches!(reply, Reply::Away { .. }), "{reply:?}");
        thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(kit.token().count("C_Login").unwrap(), before + 1, "{}", kit.signer.log());
    kit.assert_one_login_a_process();
}
