//! Configurations with several mistakes: all of them are named at once, each unknown key with its nearest known one.

use onionkeep_tests::daemon::{Programs, Ran};
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::process::{self, User};

use crate::kit::code;

/// An address that is right.
const GOOD: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion";
/// The same with another checksum.
const BAD: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igie.onion";

/// Runs `check-config` of a program on a text.
fn check(program: &str, text: &str) -> Ran {
    let mut run = RunDir::new().unwrap();
    run.discard();
    let programs = Programs::install(run.path()).unwrap();
    let path = run.path().join("config.toml");
    files::write(&path, text, User::Harness, 0o644).unwrap();
    let mut command = process::command(programs.path(program), User::Harness);
    command.arg("--config").arg(&path).arg("check-config");
    Ran::of(command).unwrap()
}

/// Exit code 2, and every one of `words` in what it says.
#[track_caller]
fn assert_names(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, code::USAGE, "{ran:?}");
    for word in words {
        assert!([&ran.stdout, &ran.stderr].iter().any(|text| text.contains(word)), "no {word:?} in: {ran:?}");
    }
}

#[test]
fn every_mistake_in_signer_toml_is_named_at_once() {
    let text = format!(
        "state_dir = \"/tmp/s\"\nsoket = \"/tmp/sock\"\nsocket = \"/tmp/sock\"\n\
         [token]\nlabel = \"x\"\npin = \"12345\"\n[[onion]]\naddress = \"{BAD}\"\nuid = 1\n"
    );
    let ran = check("onionkeep-signer", &text);
    assert_names(&ran, &["soket", "socket", "module", "pin", "address"]);
    assert!(![ran.stdout, ran.stderr].concat().contains("12345"), "the PIN is shown");
}

#[test]
fn every_mistake_in_publisher_toml_is_named_at_once() {
    let text = format!(
        "state_dir = \"/tmp/s\"\nstatus_sockt = \"/tmp/sock\"\n[tor]\ncontrol = \"nonsense\"\n\
         [[service]]\naddress = \"{GOOD}\"\nsigner = \"/tmp/x\"\nmax_intro_points = 99\n\
         [[service.backend]]\nname = \"a\"\naddress = \"{GOOD}\"\n\
         [[service.backend]]\nname = \"b\"\naddress = \"{BAD}\"\n"
    );
    assert_names(
        &check("onionkeep-publisher", &text),
        &["status_sockt", "status_socket", "control", "max_intro_points", "backend"],
    );
}

#[test]
fn a_missing_file_is_named() {
    let ran = {
        let mut run = RunDir::new().unwrap();
        run.discard();
        let programs = Programs::install(run.path()).unwrap();
        let mut command = process::command(programs.path("onionkeep-publisher"), User::Harness);
        command.args(["--config", "/nowhere/publisher.toml", "check-config"]);
        Ran::of(command).unwrap()
    };
    assert_names(&ran, &["/nowhere/publisher.toml"]);
}

#[test]
fn the_wrong_words_on_the_command_line_are_usage_errors() {
    let mut run = RunDir::new().unwrap();
    run.discard();
    let programs = Programs::install(run.path()).unwrap();
    for program in ["onionkeep-signer", "onionkeep-publisher"] {
        let mut command = process::command(programs.path(program), User::Harness);
        command.arg("nonsense");
        assert_eq!(Ran::of(command).unwrap().code, code::USAGE, "{program}");
    }
}
