//! The drill: a key is split among custodians, its token destroyed, the key restored, copied to a second token, the PIN
//! changed; custodians sit at a pseudo-terminal. `tests/drill` shows it.

use crate::kit::ran::{Ran, first_word};
use crate::kit::serving::{ask, now, request};
use crate::kit::{Kit, PIN, fresh, write_open};
use crate::person::Person;
use onionkeep_common::wire::Reply;
use onionkeep_common::{CertType, OnionAddress, PeriodRule, TimePeriod, UncheckedCert};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Tells the drill's next step.
fn step(text: &str) {
    println!("drill: {text}");
}

/// A machine with a SoftHSM of its own.
pub(crate) fn machine(home: &Path, name: &str) -> Option<Kit> {
    let home = home.join(name);
    std::fs::create_dir(&home).unwrap();
    fresh(&home)
}

/// The share on a custodian's screen.
fn share_in(page: &str) -> String {
    let lines: Vec<_> = page.lines().filter_map(|line| line.trim_end().strip_prefix("    ")).collect();
    assert_eq!(lines.len(), 3, "{page}");
    lines.join(" ")
}

/// A custodian writes a share down and types it back; the second one slips.
pub(crate) fn takes(room: &mut Person, custodian: usize, of: usize) -> String {
    room.reads(&format!("custodian {custodian} of {of}"));
    room.reads("press Enter: ");
    room.types("");
    let share = share_in(&room.reads("the screen is cleared."));
    room.types("");
    room.reads("\x1b[2J\x1b[3J");
    room.reads("type the share back: ");
    if custodian == 2 {
        room.types(&share.replacen('q', "p", 1).replacen('z', "q", 1).replacen('4', "5", 1));
        room.reads("not accepted");
        room.reads("press Enter: ");
        room.types("");
        room.reads("the screen is cleared.");
        room.types("");
        room.reads("type the share back: ");
    }
    let shown = room.seen.matches(&*share.chars().take(29).collect::<String>()).count();
    room.types(&share);
    room.reads(&format!("share {custodian} of {of} is good"));
    assert_eq!(
        room.seen.matches(&*share.chars().take(29).collect::<String>()).count(),
        shown,
        "it is echoed"
    );
    share
}

/// Splits with everybody at the terminal; returns the shares as the custodians wrote them down.
pub(crate) fn split(kit: &Kit, onion: OnionAddress) -> Vec<String> {
    let onion = onion.to_string();
    let command = kit.command(&["backup", "split", "--onion", &onion, "--shares", "5", "--threshold", "3"]);
    let mut room = Person::runs(&command);
    let mut paper = Vec::new();
    for custodian in 1..=5 {
        paper.push(takes(&mut room, custodian, 5));
    }
    let (ran, _seen) = room.leaves();
    for share in &paper {
        assert!(!ran.stdout.contains(share) && !ran.stderr.contains(share));
    }
    assert!(ran.good().contains("any 3 restore the key"));
    paper
}

/// Copies the two public files away.
pub(crate) fn export(kit: &Kit, onion: OnionAddress, to: &Path) -> (PathBuf, PathBuf) {
    let ran = kit.run(&["backup", "export", "--onion", &onion.to_string(), "--to", to.to_str().unwrap()]);
    let answer = ran.good();
    let mut paths = answer.lines().map(PathBuf::from);
    (paths.next().unwrap(), paths.next().unwrap())
}

/// Runs a command that reads shares from a pipe.
fn piped(kit: &Kit, arguments: &[&str], shares: &[&str]) -> Ran {
    types_in(kit.command(arguments), shares)
}

/// The same with a command that is there already.
pub(crate) fn types_in(mut command: Command, shares: &[&str]) -> Ran {
    command.arg("--shares-from-stdin").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines: String = shares.iter().map(|share| format!("{share}\n")).collect();
    // It may have refused before it read.
    let _refused = child.stdin.take().unwrap().write_all(lines.as_bytes());
    Ran::of(crate::kit::ran::ended(child))
}

/// Serves, and checks a certificate against the address alone.
fn serves(kit: &Kit, config: &str, onion: OnionAddress) {
    let serving = kit.serve_with(kit.command_of(config, &["serve"]));
    let asked = request(onion, 9, 0);
    let Reply::Certificate(cert) = ask(&kit.socket(), &asked) else { panic!("{}", kit.log()) };
    let cert = UncheckedCert::parse(CertType::DescSigning, &cert.0).unwrap().check_signature().unwrap();
    let period = TimePeriod { number: asked.period, length: PeriodRule::PUBLIC.length };
    let blinded = onion.identity().blinded(period).unwrap();
    assert_eq!(cert.check_time(now()).unwrap().signer(), blinded.as_bytes());
    drop(serving);
}

/// Files below a directory that hold one of the texts.
fn holding(dir: &Path, texts: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, texts));
        } else if let Ok(octets) = std::fs::read(&path) {
            let text = String::from_utf8_lossy(&octets).replace([' ', '\n'], "");
            if texts.iter().any(|share| text.contains(&share.replace(' ', ""))) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_lost_token_is_replaced_from_shares_and_the_address_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Some(old) = machine(dir.path(), "old") else { return };
    step("token A: init, key new");
    let (_name, onion) = old.init_with_key();
    step("split 3 of 5: each custodian writes down and types back");
    let paper = split(&old, onion);
    on_record(&old, &format!("backup      {} 1 ", onion.bare()));
    let safe = dir.path().join("safe");
    std::fs::create_dir(&safe).unwrap();
    let (wrapped, verifier) = export(&old, onion, &safe);
    step("each custodian checks their share alone");
    let check = ["backup", "check", "--verifier", verifier.to_str().unwrap()];
    for (share, number) in paper.iter().zip(1..) {
        let said = piped(&old, &check, &[share]).good();
        assert!(said.starts_with(&format!("share {number} of 5 is good\n{onion}\n")), "{said}");
    }
    assert_eq!(holding(dir.path(), &paper), Vec::<PathBuf>::new(), "a share lies on the disk");
    step("token A is destroyed");
    std::fs::remove_dir_all(dir.path().join("old")).unwrap();

    step("token B: init, restore with three shares");
    let new = machine(dir.path(), "new").unwrap();
    let name = new.init();
    restore_at_the_terminal(&new, onion, (&wrapped, &verifier), &paper);
    new.write_config(Some(&name.serial), &[onion], &new.module);
    assert_eq!(holding(dir.path(), &paper), Vec::<PathBuf>::new(), "a share lies on the disk");
    new.run(&["init"]).good();
    step("a further split is on record; the restored generation counts on");
    let _later = split(&new, onion);
    on_record(&new, &format!("backup      {} 2 ", onion.bare()));
    step("token B serves; its certificate verifies against the old address");
    serves(&new, "signer.toml", onion);
    let mut again = vec!["restore", "--wrapped", wrapped.to_str().unwrap()];
    again.extend(["--verifier", verifier.to_str().unwrap()]);
    piped(&new, &again, &[]).fails(3, "already on this token");

    step("the key is sealed to token C too, and served from it");
    copied(&new, onion);
    step("the PIN of token B is changed; the old one is refused");
    pin_changed(&new, onion);
}

/// The line of the ledger that tells of a step.
pub(crate) fn on_record(kit: &Kit, words: &str) {
    let shown = kit.run(&["audit", "show"]).good();
    let found = shown.lines().find(|line| line.contains(words));
    step(&format!("on record: {}", found.unwrap_or_else(|| panic!("{words} is not in {shown}"))));
}

/// Three of five, after a slip and a share that was typed before.
fn restore_at_the_terminal(kit: &Kit, onion: OnionAddress, files: (&Path, &Path), paper: &[String]) {
    let (wrapped, verifier) = (files.0.to_str().unwrap(), files.1.to_str().unwrap());
    let mut room = Person::runs(&kit.command(&["restore", "--wrapped", wrapped, "--verifier", verifier]));
    room.reads("share 1 of 3: ");
    room.types(&paper[4]);
    room.reads("share 1 of 3 accepted");
    room.reads("share 2 of 3: ");
    room.types(&paper[4]);
    room.reads("share 5 was typed before");
    room.reads("share 2 of 3: ");
    room.types(paper[1].strip_suffix(|_last| true).unwrap());
    room.reads("it has 71 characters");
    room.reads("share 2 of 3: ");
    room.types(&paper[1].replace(' ', ""));
    room.reads("share 2 of 3 accepted");
    room.reads("share 3 of 3: ");
    room.types(&paper[2]);
    room.reads("share 3 of 3 accepted");
    let (ran, seen) = room.leaves();
    assert!(paper.iter().all(|share| !seen.contains(share)), "a share is echoed");
    let said = ran.good();
    assert_eq!(first_word(&said), onion.to_string());
    assert!(said.contains("opened again it is the key of this address"), "{said}");
}

/// A second token of the same machine, and its configuration.
pub(crate) fn second(kit: &Kit) -> PathBuf {
    std::fs::create_dir(kit.home.join("state2")).unwrap();
    std::fs::set_permissions(kit.home.join("state2"), PermissionsExt::from_mode(0o700)).unwrap();
    let first = std::fs::read_to_string(kit.home.join("signer.toml")).unwrap();
    let second: String =
        first.lines().filter(|line| !line.starts_with("serial")).fold(String::new(), |all, line| {
            let line =
                line.replace("/state\"", "/state2\"").replace("label = \"onionkeep\"", "label = \"second\"");
            all + &line + "\n"
        });
    write_open(&kit.home.join("second.toml"), &second);
    let said = Ran::of(kit.command_of("second.toml", &["token", "init"]).output().unwrap()).good();
    let serial = said.lines().find(|line| line.starts_with("serial = ")).unwrap();
    let second = second.replace("label = \"second\"\n", &format!("label = \"second\"\n{serial}\n"));
    write_open(&kit.home.join("second.toml"), &second);
    kit.home.join("second.toml")
}

/// `key copy` to a second token of the same machine.
fn copied(kit: &Kit, onion: OnionAddress) {
    let to = second(kit);
    let copy = ["key", "copy", "--onion", &onion.to_string(), "--to", to.to_str().unwrap()];
    let ran = kit.run(&copy);
    assert!(!ran.stderr.contains("warn"), "{}", ran.stderr);
    assert_eq!(first_word(&ran.good()), onion.to_string());
    kit.run(&copy).fails(3, "already on this token");
    on_record(kit, &format!("custody     copied {} ", onion.bare()));
    let itself = kit.home.join("signer.toml");
    kit.run(&["key", "copy", "--onion", &onion.to_string(), "--to", itself.to_str().unwrap()])
        .fails(2, "the same token");
    Ran::of(kit.command_of("second.toml", &["init"]).output().unwrap()).good();
    serves(kit, "second.toml", onion);
}

/// `pin change`, from a file and at the terminal.
fn pin_changed(kit: &Kit, onion: OnionAddress) {
    let (next, source) = (kit.home.join("pin.new"), format!("file:{}/pin.new", kit.home.display()));
    std::fs::copy(kit.home.join("pin"), &next).unwrap();
    kit.run(&["pin", "change", "--new", &source]).fails(6, "it is the old one");
    std::fs::write(&next, "another-PIN-17").unwrap();
    assert!(kit.run(&["pin", "change", "--new", &source]).good().contains("the old one is refused"));
    on_record(kit, "custody     pin ");
    kit.run(&["key", "show"]).fails(6, "refuses the user PIN");
    kit.run(&["pin", "change", "--new", "file:/nonexistent"]).fails(6, "cannot read the PIN");
    std::fs::write(&next, "yet-another-18").unwrap();
    kit.run(&["pin", "change", "--new", &source]).fails(6, "refuses the user PIN");
    kit.write_pin("another-PIN-17");
    let mut person = Person::runs(&kit.command(&["pin", "change"]));
    person.reads("new PIN of the token: ");
    person.types("typed-PIN-1");
    person.reads("once more: ");
    person.types("typed-PIN-2");
    let (ran, seen) = person.leaves();
    ran.fails(6, "two different ways");
    assert!(!seen.contains("typed-PIN"));
    let mut person = Person::runs(&kit.command(&["pin", "change"]));
    person.reads("new PIN of the token: ");
    person.types(PIN);
    person.reads("once more: ");
    person.types(PIN);
    person.leaves().0.good();
    kit.write_pin(PIN);
    assert!(kit.run(&["key", "show"]).good().contains(&onion.to_string()));
}

#[test]
fn wrong_shares_and_files_restore_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(old) = machine(dir.path(), "old") else { return };
    let (_name, onion) = old.init_with_key();
    let paper = split(&old, onion);
    let (wrapped, verifier) = export(&old, onion, dir.path());
    let new = machine(dir.path(), "new").unwrap();
    new.init();
    let restore = |blob: &Path, shares: &[&str]| {
        let arguments = ["restore", "--wrapped", blob.to_str().unwrap()];
        let verifier = ["--verifier", verifier.to_str().unwrap()];
        piped(&new, &[arguments.as_slice(), &verifier].concat(), shares)
    };
    let [one, two, three, ..] = paper.as_slice() else { panic!("{}", paper.len()) };
    restore(&wrapped, &[one, two]).fails(4, "only 2 of 3 shares");
    restore(&wrapped, &[one, two, one]).fails(4, "typed before");
    restore(&wrapped, &[one, &two.replace('q', "p").replace('z', "y"), three]).fails(4, "checksum");
    restore(&wrapped, &["nonsense"]).fails(4, "72, in 18 groups");
    // A later split: its shares are of another generation, and the files at hand are of the earlier one.
    let later = split(&old, onion);
    restore(&wrapped, &[&later[0], &later[1], &later[2]])
        .fails(4, "generation 2, and the backup at hand is generation 1");
    let shown = old.run(&["audit", "show"]).good();
    let dead: Vec<_> = shown.lines().filter(|line| line.contains("  backup  ")).collect();
    assert!(dead.len() == 2 && dead[0].ends_with("(dead: there is a later backup)"), "{shown}");
    assert!(!dead[1].contains("dead"), "{shown}");
    assert_eq!(old.run(&["audit", "show", "--json"]).good().matches("\"dead\":true").count(), 1);
    let (newer, _verifier) = export(&old, onion, dir.path());
    restore(&newer, &[one, two, three]).fails(4, "different backups");
    // A flipped octet in the ciphertext.
    let mut text = std::fs::read_to_string(&wrapped).unwrap().into_bytes();
    let last = text.len() - 100;
    text[last] = if text[last] == b'0' { b'1' } else { b'0' };
    let tampered = dir.path().join("tampered");
    std::fs::write(&tampered, text).unwrap();
    restore(&tampered, &[one, two, three]).fails(4, "does not open: it was altered");
    // Shares in a file are not read.
    let file = dir.path().join("shares");
    std::fs::write(&file, paper.join("\n")).unwrap();
    let mut command =
        new.command(&["restore", "--shares-from-stdin", "--wrapped", wrapped.to_str().unwrap()]);
    command.args(["--verifier", verifier.to_str().unwrap()]).stdin(std::fs::File::open(&file).unwrap());
    Ran::of(command.output().unwrap()).fails(3, "not a pipe");
    assert!(new.run(&["key", "show"]).good().contains("no onions"));
    // And the right ones do; where there is a ledger, it says so.
    new.run(&["init"]).good();
    assert_eq!(first_word(&restore(&wrapped, &[three, one, two]).good()), onion.to_string());
    on_record(&new, &format!("custody     restored {} 1 ", onion.bare()));
}

#[test]
fn nothing_is_split_or_copied_without_a_ledger_or_while_it_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let Some(kit) = machine(dir.path(), "old") else { return };
    let (_name, onion) = kit.init_with_key();
    let text = onion.to_string();
    let split = |refused: (i32, &str)| {
        let arguments = ["backup", "split", "--onion", &text, "--shares", "2", "--threshold", "2"];
        let (ran, seen) = Person::runs(&kit.command(&arguments)).leaves();
        assert!(!seen.contains("custodian"), "{seen}");
        ran.fails(refused.0, refused.1);
    };
    let pin = format!("file:{}/pin.new", kit.home.display());
    std::fs::write(kit.home.join("pin.new"), "another-PIN-17").unwrap();
    let serving = kit.serve();
    split((2, "another signer is using the ledger"));
    kit.run(&["pin", "change", "--new", &pin]).fails(2, "another signer is using the ledger");
    drop(serving);
    let ledger = kit.state().join("ledger");
    let before = std::fs::read(&ledger).unwrap();
    assert!(!String::from_utf8_lossy(&before).contains(" backup "));
    std::fs::remove_file(&ledger).unwrap();
    split((8, "is missing"));
    let second = std::fs::read_to_string(kit.home.join("signer.toml")).unwrap();
    let second =
        second.replace("/state\"", "/state2\"").replace("label = \"onionkeep\"", "label = \"second\"");
    write_open(&kit.home.join("second.toml"), &second);
    let to = kit.home.join("second.toml");
    kit.run(&["key", "copy", "--onion", &text, "--to", to.to_str().unwrap()]).fails(8, "is missing");
    assert!(!ledger.exists());
}

#[test]
fn an_interrupted_split_leaves_no_backup_and_a_clear_screen() {
    let dir = tempfile::tempdir().unwrap();
    let Some(kit) = machine(dir.path(), "old") else { return };
    let (_name, onion) = kit.init_with_key();
    let onion = onion.to_string();
    let split = ["backup", "split", "--onion", &onion, "--shares", "2", "--threshold", "2"];
    let mut room = Person::runs(&kit.command(&split));
    room.reads("press Enter: ");
    room.types("");
    room.reads("the screen is cleared.");
    room.interrupts();
    let (ran, seen) = room.leaves();
    ran.fails(130, "terminal");
    assert!(seen.ends_with("\x1b[?1049l"), "{seen:?}");
    kit.run(&["backup", "export", "--onion", &onion, "--to", dir.path().to_str().unwrap()])
        .fails(2, "there is no backup");
    // Without a terminal there is no split at all, and none beside the state directory.
    let mut alone = Command::new("setsid");
    let command = kit.command(&split);
    alone.arg("--wait").arg(command.get_program()).args(command.get_args());
    alone.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    Ran::of(alone.output().unwrap()).fails(2, "terminal");
    let mut beside = split.to_vec();
    beside.extend(["--to", dir.path().to_str().unwrap(), "--to", dir.path().to_str().unwrap()]);
    kit.run(&beside).fails(3, "no share may be beside it");
}
