//! Short forms of the rigs behind `docs/ASSURANCE.md`. The full ones: `cargo run --release -p onionkeep-tests --bin assurance`.

use onionkeep_tests::assurance::subject::{SLOTS_PER_ONION, Subject};
use onionkeep_tests::assurance::{hostile, kills, rounds};
use onionkeep_tests::process;
use std::path::Path;

/// Onions that are enough for `certificates`.
fn onions_for(certificates: usize) -> usize {
    certificates.div_ceil(SLOTS_PER_ONION)
}

#[test]
fn no_secret_is_left_anywhere_after_signing() {
    if !process::is_root() {
        println!("skipped: reading the memory of a signer needs root");
        return;
    }
    let mut subject = Subject::new(onions_for(500)).unwrap();
    let count = rounds::run(&mut subject, 500).unwrap();
    assert!(count.scanner.octets > 1_000_000, "only {} octets were looked at", count.scanner.octets);
    assert!(count.scanner.hits.is_empty(), "{}", count.scanner.report());
}

#[test]
fn what_was_released_is_never_forgotten_by_a_kill() {
    let mut subject = Subject::new(onions_for(30 * 4)).unwrap();
    let count = kills::run(&mut subject, 30, 4711).unwrap();
    assert_eq!((count.rounds, &count.forgotten), (30, &Vec::new()));
    assert!(count.released > 30 && count.remembered == count.released, "{count:?}");
}

#[test]
fn a_hostile_publisher_gets_only_what_is_its_own() {
    let program = Path::new(env!("CARGO_BIN_EXE_assurance"));
    let outcome = hostile::run(program, 64, 8, 4711).unwrap();
    let broken = outcome.loot.broken.lock().unwrap();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // The attack has bitten: it was served, and held back by the limits.
    let certificates = outcome.loot.certificates();
    assert!((1..=SLOTS_PER_ONION).contains(&certificates), "{certificates} certificates");
    if let Some(honest) = outcome.honest {
        assert!(honest.times.len() > 10 && honest.failed == 0, "{honest:?}");
    }
}
