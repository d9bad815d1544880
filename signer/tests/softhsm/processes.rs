//! Keeper, gate and vault as processes: each one killed or stopped in turn, and what becomes of the others and the clients.

use crate::kit::ran::{Ran, output, wait};
use crate::kit::serving::{Serving, wait_gone};
use crate::kit::{Kit, PIN, in_child, slot};
use onionkeep_common::OnionAddress;
use onionkeep_common::wire::{AwayReason, Reply};
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

/// A signer that has served once.
fn served(kit: &Kit) -> (Serving, OnionAddress) {
    let (_name, onion) = kit.init_with_key();
    served_with(kit, onion)
}

/// The same with a token that is ready.
fn served_with(kit: &Kit, onion: OnionAddress) -> (Serving, OnionAddress) {
    let serving = kit.serve();
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)), "{}", kit.log());
    (serving, onion)
}

fn vault_killed(kit: Kit) {
    let (serving, onion) = served(&kit);
    let [keeper, gate, vault] = serving.all();
    for seed in 11..14 {
        wait_gone(serving.strike("vault", Signal::KILL));
        assert!(matches!(serving.ask(onion, seed), Reply::Certificate(_)), "{}", kit.log());
    }
    let now = serving.all();
    assert_eq!(now[..2], [keeper, gate], "the others were restarted too");
    assert_ne!(now[2], vault);
    assert!(kit.log().contains("vault-ended"), "{}", kit.log());
}

#[test]
fn a_killed_vault_is_replaced() {
    in_child("processes::a_killed_vault_is_replaced", vault_killed);
}

fn vault_hangs(kit: Kit) {
    let (serving, onion) = served(&kit);
    let vault = serving.strike("vault", Signal::STOP);
    let start = Instant::now();
    let reply = serving.ask_once(onion, 11);
    assert!(matches!(reply, Reply::Away { reason: AwayReason::TokenAway, .. }), "{reply:?}");
    assert!(start.elapsed() > Duration::from_secs(3), "it did not hang at all");
    wait_gone(vault);
    assert!(matches!(serving.ask(onion, 11), Reply::Certificate(_)), "{}", kit.log());
    assert!(kit.log().contains("vault-distrusted"), "{}", kit.log());
}

#[test]
fn a_hung_vault_is_killed_and_replaced() {
    in_child("processes::a_hung_vault_is_killed_and_replaced", vault_hangs);
}

fn keeper_killed(kit: Kit) {
    let (serving, _onion) = served(&kit);
    let [_keeper, gate, vault] = serving.all();
    assert_eq!(serving.signal(Signal::KILL), None);
    wait_gone(gate);
    wait_gone(vault);
}

#[test]
fn gate_and_vault_end_with_the_keeper() {
    in_child("processes::gate_and_vault_end_with_the_keeper", keeper_killed);
}

fn gate_killed(kit: Kit) {
    let (mut serving, _onion) = served(&kit);
    let vault = serving.role("vault");
    serving.strike("gate", Signal::KILL);
    let status = wait(&mut serving.child);
    assert_eq!(status.code(), Some(1), "{}", kit.log());
    wait_gone(vault);
}

#[test]
fn without_its_gate_the_signer_ends() {
    in_child("processes::without_its_gate_the_signer_ends", gate_killed);
}

fn refused_later(kit: Kit) {
    let (name, onion) = kit.init_with_key();
    let (serving, _onion) = served_with(&kit, onion);
    kit.write_pin("00000");
    wait_gone(serving.strike("vault", Signal::KILL));
    let deadline = Instant::now() + Duration::from_secs(10);
    while !kit.log().contains("vault-given-up") {
        assert!(Instant::now() < deadline, "{}", kit.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // A right log-in clears the token's mark; a second try of the wrong PIN would set it again.
    kit.write_pin(PIN);
    let token = kit.open(&name, onionkeep_signer::token::pkcs11::Access::Read).unwrap();
    kit.write_pin("00000");
    std::thread::sleep(Duration::from_secs(5));
    let library = kit.behind();
    assert!(!library.get_token_info(slot(&library, &name)).unwrap().user_pin_count_low());
    drop(token);
    assert!(matches!(
        serving.ask_once(onion, 11),
        Reply::Away { reason: AwayReason::TokenAway, retry_after: 200..=301 }
    ));
    assert_eq!(kit.log().matches("tried once").count(), 1, "{}", kit.log());
    assert_eq!(serving.children().len(), 1, "there is a vault again");
}

#[test]
fn a_pin_that_is_refused_later_is_tried_once_and_the_gate_goes_on() {
    in_child("processes::a_pin_that_is_refused_later_is_tried_once_and_the_gate_goes_on", refused_later);
}

fn inner(kit: Kit) {
    kit.init_with_key();
    kit.run(&["gate"]).fails(2, "started by serve alone");
    kit.run(&["vault", "--generation", "1"]).fails(2, "started by serve alone");
}

#[test]
fn nobody_starts_a_gate_or_a_vault_alone() {
    in_child("processes::nobody_starts_a_gate_or_a_vault_alone", inner);
}

fn left_open(kit: Kit) {
    let serve = kit.command(&["serve"]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec 7</dev/null; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    let ran = Ran::of(output(shell));
    ran.fails(2, "[[onion]]");
    let told = ran.stderr.lines().find(|line| line.contains(" warn descriptors-inherited ")).unwrap();
    let numbers = told.split_once("descriptors=").unwrap().1.split(' ').next().unwrap();
    assert!(numbers.trim_matches('"').split(',').any(|number| number == "7"), "{told}");
}

#[test]
fn descriptors_that_gate_and_vault_would_inherit_are_told() {
    in_child("processes::descriptors_that_gate_and_vault_would_inherit_are_told", left_open);
}
