//! The shipped units, scored by `systemd-analyze`: how much of the system a broken program could reach.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where it does not go on as it should, and says what it skips"
)]

use std::path::Path;
use std::process::Command;

/// The exposure of a unit, in tenths; `None` where there is no `systemd-analyze`.
fn exposure(unit: &Path) -> Option<u32> {
    let mut command = Command::new("systemd-analyze");
    let ran = command.args(["security", "--offline=true", "--no-pager"]).arg(unit).output().ok()?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let number = line.rsplit_once(": ").unwrap().1.split(' ').next().unwrap();
    Some(number.replace('.', "").parse().unwrap())
}

/// Asserts a limit on the unit as it is shipped, and that the same unit without its hardening is above it.
fn at_most(unit: &str, limit: u32) {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(unit);
    let Some(score) = exposure(&unit) else {
        let missing = "systemd-analyze is missing; it is in the package systemd";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("skipped: {}: {missing}", unit.display());
        return;
    };
    assert!(score <= limit, "{}: {score} tenths, at most {limit}", unit.display());
    let bare = tempfile::tempdir().unwrap().keep().join("bare.service");
    std::fs::write(&bare, "[Service]\nExecStart=/bin/true\n").unwrap();
    assert!(exposure(&bare).unwrap() > limit);
    std::fs::remove_dir_all(bare.parent().unwrap()).unwrap();
}

#[test]
fn the_signers_unit_is_at_most_0_9() {
    at_most("signer/dist/onionkeep-signer.service", 9);
}

#[test]
fn the_publishers_unit_is_at_most_1_6() {
    at_most("publisher/dist/onionkeep-publisher.service", 16);
}
