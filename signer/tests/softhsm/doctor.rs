//! `doctor` on a real token: what is well, what a broken part does to its line and to the exit code, and that it never logs in unasked.

use crate::kit::ran::Ran;
use crate::kit::{Kit, PIN, in_child};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

/// The line of a check, or nothing.
fn line<'a>(ran: &'a Ran, check: &str) -> &'a str {
    let of = |line: &&str| line.split_whitespace().nth(1) == Some(check);
    ran.stdout.lines().find(of).unwrap_or_default()
}

#[track_caller]
fn says(ran: &Ran, mark: &str, check: &str, words: &str) {
    let line = line(ran, check);
    assert!(line.starts_with(mark) && line.contains(words), "{mark} {check} {words}: {ran:?}");
}

fn healthy(kit: Kit) {
    let kit = kit.with_own_module();
    let (_name, onion) = kit.init_with_key();
    // A SoftHSM always has a warning.
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(9), "{ran:?}");
    for check in [
        "config",
        "config-file",
        "module",
        "token",
        "pin-tries",
        "pin-source",
        "state-dir",
        "clock",
        "ledger",
    ] {
        says(&ran, "OK", check, "");
    }
    says(&ran, "WARN", "firmware", "never locks its PIN");
    says(&ran, "OK", "socket", "no signer serves");
    assert_eq!(line(&ran, "root-key"), "", "it logged in unasked");
    let ran = kit.run(&["doctor", "--login"]);
    assert_eq!(ran.code, Some(9), "{ran:?}");
    says(&ran, "OK", "root-key", "value is refused");
    says(&ran, "OK", "seal", "is the key of its address");
    assert!(!ran.stdout.contains(&onion.bare().to_string()), "a whole address: {}", ran.stdout);
    let ran = kit.run(&["doctor", "--json"]);
    assert!(
        ran.stdout.starts_with("{\"exit\":9,\"checks\":[{\"check\":\"config\",\"mark\":\"OK\""),
        "{ran:?}"
    );
    assert_eq!(ran.stdout.lines().count(), 1);
    let serving = kit.serve();
    let ran = kit.run(&["doctor"]);
    says(&ran, "OK", "socket", "guarded");
    says(&ran, "OK", "token-users", "onionkeep-signer (");
    drop(serving);
}

#[test]
fn a_healthy_signer_has_no_failure() {
    in_child("doctor::a_healthy_signer_has_no_failure", healthy);
}

fn broken(kit: Kit) {
    let (name, onion) = kit.init_with_key();
    // A wrong PIN is neither read nor tried unasked: no try is counted.
    kit.write_pin("00000");
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(9), "{ran:?}");
    says(&kit.run(&["doctor"]), "OK", "pin-tries", "");
    let ran = kit.run(&["doctor", "--login"]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    says(&ran, "FAIL", "log-in", "tried once");
    says(&kit.run(&["doctor"]), "WARN", "pin-tries", "wrong PIN");
    kit.write_pin(PIN);
    let set = |path: &str, mode| {
        std::fs::set_permissions(kit.home.join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    for (path, bad, good, check, code) in [
        ("pin", 0o644, 0o600, "pin-source", 6),
        ("state", 0o770, 0o700, "state-dir", 2),
        ("signer.toml", 0o666, 0o644, "config-file", 2),
    ] {
        set(path, bad);
        let ran = kit.run(&["doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        says(&ran, "FAIL", check, "");
        set(path, good);
    }
    kit.write_config(Some("0123456789abcdef"), &[onion], &kit.module);
    let ran = kit.run(&["doctor", "--login"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    says(&ran, "FAIL", "token", "no token has the label");
    assert_eq!(line(&ran, "log-in"), "", "a PIN was tried on another token");
    let other = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion".parse().unwrap();
    kit.write_config(Some(&name.serial), &[onion, other], &kit.module);
    let ran = kit.run(&["doctor", "--login"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(ran.stdout.lines().filter(|line| line.contains(" seal ")).count(), 2, "{ran:?}");
    std::fs::write(kit.home.join("signer.toml"), "nonsense = 1\n").unwrap();
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    says(&ran, "FAIL", "config", "nonsense");
}

#[test]
fn each_broken_part_has_its_line_and_its_code() {
    in_child("doctor::each_broken_part_has_its_line_and_its_code", broken);
}

fn surrounded(kit: Kit) {
    let kit = kit.with_own_module();
    let (name, onion) = kit.init_with_key();
    // A module that others can write is code of theirs that sees the PIN.
    let copy = kit.home.join("module.so");
    std::fs::copy(&kit.module, &copy).unwrap();
    kit.write_config(Some(&name.serial), &[onion], &copy);
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o777)).unwrap();
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    says(&ran, "FAIL", "module", "sees the PIN");
    kit.write_config(Some(&name.serial), &[onion], &kit.module);
    // Another program with the token's library.
    let load =
        format!("import ctypes, sys; ctypes.CDLL({:?}); print(1, flush=True); sys.stdin.read()", kit.module);
    let mut other = std::process::Command::new("python3")
        .args(["-c", &load])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(9), "{ran:?}");
    says(&ran, "WARN", "token-users", "other programs have the token's module loaded: python3");
    drop(other.stdin.take());
    other.wait().unwrap();
    says(&kit.run(&["doctor"]), "OK", "token-users", "");
    // A record that somebody wrote into.
    let ledger = kit.home.join("state/ledger");
    let whole = std::fs::read(&ledger).unwrap();
    std::fs::write(&ledger, [&whole[..], b"1 nonsense\n"].concat()).unwrap();
    let ran = kit.run(&["doctor"]);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    says(&ran, "FAIL", "ledger", "");
    std::fs::write(&ledger, whole).unwrap();
    says(&kit.run(&["doctor"]), "OK", "ledger", "");
}

#[test]
fn a_module_of_others_another_program_and_a_changed_ledger_are_found() {
    in_child("doctor::a_module_of_others_another_program_and_a_changed_ledger_are_found", surrounded);
}
