//! `descriptor show`: what C tor made is shown as JSON, what is broken is refused with the place where it breaks.

use onionkeep_tests::daemon::{Programs, Ran};
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::process::{self, User};

use crate::kit::code;

/// The address of the vector.
const ADDRESS: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion";
/// A descriptor that C tor made.
const TEXT: &str = include_str!("../vectors/ctor_plain.desc.txt");

/// Runs `descriptor show` on a text.
fn show(text: &str) -> Ran {
    let mut run = RunDir::new().unwrap();
    run.discard();
    let programs = Programs::install(run.path()).unwrap();
    let path = run.path().join("descriptor");
    files::write(&path, text, User::Harness, 0o644).unwrap();
    let mut command = process::command(programs.path("onionkeep-publisher"), User::Harness);
    command.args(["descriptor", "show", "--onion", ADDRESS, "--period-minutes", "8"]).arg(&path);
    Ran::of(command).unwrap()
}

#[test]
fn a_descriptor_of_c_tor_is_shown() {
    let shown = show(TEXT).answer().unwrap();
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert!(json.to_string().contains("7742403"), "no revision counter in {shown}");
}

#[test]
fn a_broken_descriptor_is_refused() {
    let cut = &TEXT[..TEXT.len() / 2];
    let altered = TEXT.replacen("descriptor-lifetime 180", "descriptor-lifetime 181", 1);
    for text in ["", cut, &altered] {
        let ran = show(text);
        assert_eq!(ran.code, code::VERIFICATION, "{ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    }
}
