//! The program itself: commands, exit codes, the socket, the ledger, signals.

use crate::kit::ran::first_word;
use crate::kit::serving::{HOUR, ask, clear_of, request};
use crate::kit::{Kit, LABEL, PIN, SO_PIN, in_child};
use onionkeep_common::OnionAddress;
use onionkeep_common::wire::{AwayReason, Reply, Rule};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn init(kit: Kit) {
    let foreign = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "theirs", "--pin", "9999", "--so-pin", "99999999"])
        .output();
    assert!(foreign.unwrap().status.success());
    let theirs = std::fs::read_dir(kit.tokens()).unwrap().next().unwrap().unwrap().path();
    let before = std::fs::read(theirs.join("token.object")).unwrap();

    let (name, onion) = kit.init_with_key();
    kit.run(&["token", "init"]).fails(3, "already initialised");
    kit.run(&["token", "init", "--erase", "0000"]).fails(3, "no token has the serial 0000");
    assert!(kit.run(&["key", "show"]).good().contains(&onion.to_string()));

    let erased = kit.run(&["token", "init", "--erase", &name.serial]).good();
    assert!(erased.contains("serial = "));
    let serial = erased.lines().find_map(|line| line.strip_prefix("serial = \"")).unwrap();
    kit.write_config(Some(serial.trim_end_matches('"')), &[], &kit.module);
    assert!(kit.run(&["key", "show"]).good().contains("no onions"));
    assert_eq!(std::fs::read(theirs.join("token.object")).unwrap(), before, "a token of others was touched");
}

#[test]
fn token_init_destroys_only_what_was_typed() {
    in_child("program::token_init_destroys_only_what_was_typed", init);
}

/// The key of C tor's file, expanded from seed 07 x 32.
fn tor_key_file(kit: &Kit) -> (PathBuf, OnionAddress) {
    let key = onionkeep_core::ExpandedKey::from_seed(&[7; 32]).unwrap();
    let dir = kit.home.join("hs");
    std::fs::create_dir_all(&dir).unwrap();
    let octets = [b"== ed25519v1-secret: type0 ==\0\0\0".as_slice(), &key.with_octets(|octets| *octets)];
    let onion = OnionAddress::new(*key.public());
    std::fs::write(dir.join("hs_ed25519_secret_key"), octets.concat()).unwrap();
    std::fs::write(dir.join("hostname"), format!("{onion}\n")).unwrap();
    (dir.join("hs_ed25519_secret_key"), onion)
}

fn import(kit: Kit) {
    kit.init();
    let (file, onion) = tor_key_file(&kit);
    let file = file.to_str().unwrap();
    assert_eq!(first_word(&kit.run(&["key", "import", file]).good()), onion.to_string());
    kit.run(&["key", "import", file]).fails(3, "already on this token");
    let pem = kit.home.join("ob.key");
    let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                -----END PRIVATE KEY-----\n";
    std::fs::write(&pem, text).unwrap();
    let second = first_word(&kit.run(&["key", "import", pem.to_str().unwrap()]).good()).to_owned();
    let shown = kit.run(&["key", "show"]).good();
    assert!(shown.contains(&onion.to_string()) && shown.contains(&second), "{shown}");
    assert_eq!(shown.matches("opens, key is that of the address").count(), 2, "{shown}");
}

#[test]
fn keys_of_tor_and_onionbalance_are_imported_once() {
    in_child("program::keys_of_tor_and_onionbalance_are_imported_once", import);
}

fn serve(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    let serving = kit.serve();
    clear_of(HOUR);
    let Reply::Certificate(first) = serving.ask(onion, 10) else { panic!("no certificate") };
    assert_eq!(serving.ask(onion, 10), Reply::Certificate(first), "another certificate in the same hour");
    assert!(matches!(
        ask(&kit.socket(), &request(onion, 10, 1)),
        Reply::Refused { rule: Rule::KeyFresh, .. }
    ));
    // A signal simply ends it: there is nothing that a crash could not leave behind either.
    assert_eq!(serving.signal(Signal::TERM), None);
    let log = kit.log();
    assert!(log.contains(" info certified ") && log.contains("rule=key-fresh"), "{log}");
    assert!(!log.contains(&onion.bare().to_string()), "a whole address is in the log");
    // After a restart, and a signal from the keyboard.
    let serving = kit.serve();
    assert!(matches!(
        ask(&kit.socket(), &request(onion, 10, 1)),
        Reply::Refused { rule: Rule::KeyFresh, .. }
    ));
    assert_eq!(serving.signal(Signal::INT), None);
}

#[test]
fn serving_certifies_remembers_and_stops_clean() {
    in_child("program::serving_certifies_remembers_and_stops_clean", serve);
}

fn killed(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    assert_eq!(serving.signal(Signal::KILL), None);
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    kit.run(&["serve"]).fails(2, "another signer is using the ledger");
}

#[test]
fn a_killed_signer_starts_again_and_a_second_one_does_not() {
    in_child("program::a_killed_signer_starts_again_and_a_second_one_does_not", killed);
}

fn ledger(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    let path = kit.state().join("ledger");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}nonsense\n")).unwrap();
    kit.run(&["serve"]).fails(8, "line 2 of ");
    std::fs::remove_file(&path).unwrap();
    kit.run(&["serve"]).fails(8, "is missing");
    kit.run(&["audit", "verify"]).fails(8, "is missing");
    assert!(kit.run(&["init"]).good().contains("ed25519:"));
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    drop(serving);
    kit.run(&["init"]).fails(3, "already");
}

#[test]
fn a_broken_or_missing_ledger_stops_the_signer() {
    in_child("program::a_broken_or_missing_ledger_stops_the_signer", ledger);
}

fn away(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    let serving = kit.serve();
    let elsewhere = kit.home.join("elsewhere");
    std::fs::rename(kit.tokens(), &elsewhere).unwrap();
    let Reply::Away { reason, retry_after } = serving.ask_once(onion, 10) else { panic!("not away") };
    assert_eq!(reason, AwayReason::TokenAway);
    std::fs::rename(&elsewhere, kit.tokens()).unwrap();
    std::thread::sleep(Duration::from_secs(u64::from(retry_after) + 1));
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)), "{}", kit.log());
}

#[test]
fn a_serving_signer_survives_an_unplugged_token() {
    in_child("program::a_serving_signer_survives_an_unplugged_token", away);
}

/// A module that writes down every call; `OpenSC` has it.
fn spy() -> Option<&'static Path> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
        "/usr/lib/aarch64-linux-gnu/pkcs11-spy.so",
        "/usr/lib64/pkcs11-spy.so",
    ];
    places.into_iter().map(Path::new).find(|path| path.exists())
}

fn login_count(kit: Kit) {
    let Some(spy) = spy() else {
        println!("skipped: counting log-ins needs pkcs11-spy.so of OpenSC");
        return;
    };
    let (name, onion) = kit.init_with_key();
    kit.write_config(Some(&name.serial), &[onion], spy);
    // The sandbox knows SoftHSM's own module only: this one must be told where the tokens are.
    let file = kit.home.join("signer.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let table = format!("[token]\npaths = [\"{}\"]\n", kit.tokens().display());
    std::fs::write(&file, text.replace("[token]\n", &table)).unwrap();
    let calls = kit.home.join("calls");
    let run = |pin: &str, arguments: &[&str]| {
        kit.write_pin(pin);
        let _first_time = std::fs::remove_file(&calls);
        let mut command = kit.command(arguments);
        command.env("PKCS11SPY", &kit.module).env("PKCS11SPY_OUTPUT", &calls);
        let code = command.output().unwrap().status.code();
        (code, std::fs::read_to_string(&calls).unwrap().matches("C_Login\n").count())
    };
    for command in [&["serve"][..], &["key", "new"], &["key", "show"]] {
        assert_eq!(run("00000", command), (Some(6), 1), "{command:?}");
    }
    assert_eq!(run(PIN, &["key", "show"]), (Some(0), 1));
    // A vault that is replaced is a start of its own.
    let mut command = kit.command(&["serve"]);
    command.env("PKCS11SPY", &kit.module).env("PKCS11SPY_OUTPUT", &calls);
    let _first_time = std::fs::remove_file(&calls);
    let serving = kit.serve_with(command);
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    let logins = || std::fs::read_to_string(&calls).unwrap().matches("C_Login\n").count();
    assert_eq!(logins(), 1);
    crate::kit::serving::wait_gone(serving.strike("vault", Signal::KILL));
    assert!(matches!(serving.ask(onion, 11), Reply::Certificate(_)));
    assert_eq!(logins(), 2);
    drop(serving);
    // A command that ends before the token is asked does not log in at all.
    std::fs::remove_file(kit.state().join("ledger")).unwrap();
    kit.write_pin("00000");
    kit.run(&["serve"]).fails(8, "is missing");
}

#[test]
fn every_start_logs_in_once() {
    in_child("program::every_start_logs_in_once", login_count);
}

fn full_disk(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    if !mount_tiny(&kit.state()) {
        println!("skipped: a tiny file system needs the right to mount");
        return;
    }
    let result = std::panic::catch_unwind(|| on_a_full_disk(&kit, onion));
    assert!(Command::new("umount").arg("-l").arg(kit.state()).status().unwrap().success());
    result.unwrap();
}

/// Mounts a file system of a few pages in the place of a directory.
fn mount_tiny(path: &Path) -> bool {
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k,mode=0700", "none"]).arg(path).output();
    mount.is_ok_and(|ran| ran.status.success())
}

fn on_a_full_disk(kit: &Kit, onion: OnionAddress) {
    kit.run(&["init"]).good();
    let serving = kit.serve();
    let filler = kit.state().join("filler");
    let _until_full = std::fs::write(&filler, vec![0; 64 * 1024]);
    // What is left of the ledger's last page has no room for all of their lines.
    let replies: Vec<_> = (10..18).map(|seed| serving.ask_once(onion, seed)).collect();
    let stored = |reply: &Reply| matches!(reply, Reply::Certificate(_));
    let full = |reply: &Reply| matches!(reply, Reply::Away { reason: AwayReason::Storage, .. });
    assert!(replies.iter().all(|reply| stored(reply) || full(reply)), "{replies:?}");
    assert!(full(&replies[7]), "the disk never was full: {replies:?}");
    std::fs::remove_file(&filler).unwrap();
    assert!(stored(&serving.ask(onion, 17)), "{}", kit.log());
    drop(serving);
    let report = kit.run(&["audit", "verify", "--json"]).good();
    let certificates = replies.iter().filter(|reply| stored(reply)).count() + 1;
    assert!(report.contains(&format!("\"certificates\":{certificates},")), "{report}");
}

#[test]
fn a_full_disk_is_an_away_reply_and_nothing_is_released() {
    in_child("program::a_full_disk_is_an_away_reply_and_nothing_is_released", full_disk);
}

fn hardened(kit: Kit) {
    let (_name, onion) = kit.init_with_key();
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    for pid in serving.all() {
        is_hardened(pid);
    }
    for role in ["gate", "vault"] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", serving.role(role))).unwrap();
        assert!(status.contains("Seccomp:\t2"), "{role}: {status}");
    }
    if kit.log().contains("memory-not-locked") {
        println!("skipped: looking at locked memory needs an unlimited RLIMIT_MEMLOCK");
    } else {
        let status = std::fs::read_to_string(format!("/proc/{}/status", serving.role("vault"))).unwrap();
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let locked: u64 = locked.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(locked > 1000, "{locked} kB are locked");
    }
}

fn is_hardened(pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    // For every thread, those of connections too.
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    // Not dumpable: the files of the process belong to root, whoever runs it.
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
}

#[test]
fn a_serving_signer_is_hardened_in_all_its_threads() {
    in_child("program::a_serving_signer_is_hardened_in_all_its_threads", hardened);
}

fn no_lock(kit: Kit) {
    let (_name, _onion) = kit.init_with_key();
    let config = kit.home.join("signer.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("if-possible", "required");
    std::fs::write(&config, text).unwrap();
    let exe = env!("CARGO_BIN_EXE_onionkeep-signer");
    let script = "ulimit -l 64; exec setpriv --bounding-set=-ipc_lock --inh-caps=-all -- \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, exe, "--config", config.to_str().unwrap(), "serve"]);
    let output = command.env("SOFTHSM2_CONF", kit.home.join("softhsm2.conf")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot lock the memory"), "{stderr}");
}

#[test]
fn without_locked_memory_a_signer_that_requires_it_does_not_start() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: setpriv is not installed");
        return;
    }
    in_child("program::without_locked_memory_a_signer_that_requires_it_does_not_start", no_lock);
}

#[test]
fn shipped_example_is_a_good_configuration() {
    let text = include_str!("../../dist/signer.example.toml");
    let config = onionkeep_signer::config::Config::parse(text, onionkeep_signer::config::Depth::Text);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.token.label, LABEL);
    assert!(!text.contains(PIN) && !text.contains(SO_PIN));
}

/// A key command waits in the middle, with the PIN in its memory, for a key file that nobody writes.
fn no_dumps(kit: Kit) {
    kit.init_with_key();
    let waits = kit.home.join("never-written");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&waits).status().unwrap().success());
    let mut child = kit.command(&["key", "import", &waits.display().to_string()]).spawn().unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    let core = || {
        let text = std::fs::read_to_string(&limits).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap().to_owned();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let closed = (0..250).any(|_step| {
        std::thread::sleep(Duration::from_millis(20));
        core() == ["0", "0"]
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(closed, "a key command could leave a core with the PIN in it");
}

#[test]
fn key_commands_leave_no_core() {
    in_child("program::key_commands_leave_no_core", no_dumps);
}
