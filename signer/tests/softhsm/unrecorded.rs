//! What becomes of a key or a PIN while the ledger takes no line: the command says what it did, and ends it when it is run again.

use crate::drill::{export, machine, on_record, second, split, types_in};
use crate::kit::Kit;
use crate::kit::ran::{Ran, output};
use onionkeep_common::paper::RequestId;
use onionkeep_common::{OnionAddress, UnixTime};
use onionkeep_signer::ledger::{Denied, Event, Keep, Ledger};
use std::path::Path;
use std::process::Command;

/// Makes a ledger longer than any other file that a command writes.
fn lengthen(kit: &Kit) {
    let mut ledger = Ledger::open(&kit.state(), Keep(0)).unwrap();
    let lines = (0..=255).map(|number| Event::Deny(Denied::Request(RequestId([number; 16]))));
    ledger.append_all(UnixTime(1_795_365_900), lines).unwrap();
}

/// A command that can make no file as long as the ledger is: as with a full disk, no line is written.
fn without_room(kit: &Kit, arguments: &[&str]) -> Command {
    let length = std::fs::metadata(kit.state().join("ledger")).unwrap().len();
    // Shells count in 512 or in 1024 octets.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", length / 1024);
    let command = kit.command(arguments);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// Lines of the ledger about keys and PINs.
fn custody(kit: &Kit) -> usize {
    kit.run(&["audit", "show"]).good().matches("  custody ").count()
}

#[test]
fn a_restore_without_its_line_and_files_is_ended_by_the_same_restore() {
    let dir = tempfile::tempdir().unwrap();
    let Some(old) = machine(dir.path(), "old") else { return };
    let (_name, onion) = old.init_with_key();
    let paper = split(&old, onion);
    let shares = [0, 1, 2].map(|at: usize| paper[at].as_str());
    let (wrapped, verifier) = export(&old, onion, dir.path());
    let new = machine(dir.path(), "new").unwrap();
    new.init();
    new.run(&["init"]).good();
    lengthen(&new);
    let restore =
        ["restore", "--wrapped", wrapped.to_str().unwrap(), "--verifier", verifier.to_str().unwrap()];
    let again = |shares: &[&str]| types_in(new.command(&restore), shares);
    let ran = types_in(without_room(&new, &restore), &shares);
    ran.fails(2, "the key IS sealed to the token");
    assert!(ran.stderr.contains("run the same restore again"), "{ran:?}");
    assert_eq!((custody(&new), kept(&new, onion)), (0, false));
    // What the line says is seen anew: without the shares it is not written.
    again(&[]).fails(4, "only 0 of 3 shares");
    assert!(again(&shares).good().contains("was there before"));
    on_record(&new, &format!("custody     restored {} 1 ", onion.bare()));
    assert!(kept(&new, onion));
    again(&[]).fails(3, "already on this token");
    // Files alone need no shares: the ledger says that those of this set have opened the key.
    std::fs::remove_file(new.state().join(format!("{}.g1.wrapped", onion.bare()))).unwrap();
    again(&[]).good();
    assert_eq!((custody(&new), kept(&new, onion)), (1, true));
}

/// Whether both files of the backup are in the state directory.
fn kept(kit: &Kit, onion: OnionAddress) -> bool {
    let is = |ending: &str| Path::exists(&kit.state().join(format!("{}.g1.{ending}", onion.bare())));
    is("wrapped") && is("verifier")
}

#[test]
fn a_copy_without_its_line_gets_it_from_the_same_copy() {
    let dir = tempfile::tempdir().unwrap();
    let Some(kit) = machine(dir.path(), "one") else { return };
    let (_name, onion) = kit.init_with_key();
    lengthen(&kit);
    let (to, text) = (second(&kit), onion.to_string());
    let copy = ["key", "copy", "--onion", &text, "--to", to.to_str().unwrap()];
    let ran = Ran::of(output(without_room(&kit, &copy)));
    ran.fails(2, "the key IS sealed to the token");
    assert!(ran.stderr.contains("run the same key copy again"), "{ran:?}");
    assert_eq!(custody(&kit), 0);
    assert!(kit.run(&copy).good().contains("was there before"));
    on_record(&kit, &format!("custody     copied {} ", onion.bare()));
    kit.run(&copy).fails(3, "already on this token");
    assert_eq!(custody(&kit), 1);
}

#[test]
fn a_pin_that_is_changed_without_its_line_is_said_to_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(kit) = machine(dir.path(), "one") else { return };
    kit.init_with_key();
    lengthen(&kit);
    let source = format!("file:{}/pin.new", kit.home.display());
    std::fs::copy(kit.home.join("pin"), kit.home.join("pin.new")).unwrap();
    std::fs::write(kit.home.join("pin.new"), "another-PIN-17").unwrap();
    let ran = Ran::of(output(without_room(&kit, &["pin", "change", "--new", &source])));
    ran.fails(2, "IS changed");
    assert!(ran.stderr.contains("put the new PIN into file:"), "{ran:?}");
    assert_eq!(custody(&kit), 0);
    kit.run(&["key", "show"]).fails(6, "refuses the user PIN");
    kit.write_pin("another-PIN-17");
    std::fs::write(kit.home.join("pin.new"), "yet-another-18").unwrap();
    kit.run(&["pin", "change", "--new", &source]).good();
    on_record(&kit, "custody     pin ");
}
