//! Bundles that were altered: nothing is accepted by either verifier. What an attacker signs anew with the stolen audit key, too.

use crate::made::{SHORT, audit_signature, bundle, file, request};
use crate::verifiers::Both;
use onionkeep_common::paper::{Kind, Purpose};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A bundle with three short slots, which has everything that a long one has.
fn small() -> Vec<u8> {
    file(&bundle(&request(SHORT, 3), Kind::Main))
}

/// The lines with their ends.
fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()
}

/// The same lines with a good signature, as somebody with the audit key but without the identity key would make it.
fn signed_anew(lines: &[Vec<u8>]) -> Vec<u8> {
    let text = lines[..lines.len() - 1].concat();
    let signature = data_encoding::BASE64.encode(&audit_signature(&text));
    [text, format!("signature {signature}\n").into_bytes()].concat()
}

#[test]
fn every_dropped_doubled_or_swapped_line_is_refused() {
    let (good, mut both) = (small(), Both::start());
    both.accept(&good, "as made");
    let lines = lines(&good);
    assert_eq!(signed_anew(&lines), good);
    for at in 0..lines.len() {
        let mut less = lines.clone();
        less.remove(at);
        both.refuse(&less.concat(), &format!("without line {}", at + 1));
        let mut more = lines.clone();
        more.insert(at, lines[at].clone());
        both.refuse(&more.concat(), &format!("line {} twice", at + 1));
        if at + 2 < lines.len() {
            both.refuse(&signed_anew(&less), &format!("without line {}, signed anew", at + 1));
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            both.refuse(&swapped.concat(), &format!("line {} swapped", at + 1));
            both.refuse(&signed_anew(&swapped), &format!("line {} swapped, signed anew", at + 1));
        }
    }
}

#[test]
fn what_a_medium_does_to_a_file_is_refused() {
    let (good, mut both) = (small(), Both::start());
    let text = String::from_utf8(good.clone()).unwrap();
    let other = file(&bundle(&request(SHORT, 2), Kind::Main));
    for (what, bad) in [
        ("empty", Vec::new()),
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("without its last line end", good[..good.len() - 1].to_vec()),
        ("CR LF", text.replace('\n', "\r\n").into_bytes()),
        ("byte order mark", [b"\xef\xbb\xbf".as_slice(), &good].concat()),
        ("twice", [good.clone(), good.clone()].concat()),
        ("merged with another", [&good[..good.len() / 2], &other[other.len() / 2..]].concat()),
        ("an octet above ASCII", text.replace("kind main", "kind\u{a0}main").into_bytes()),
    ] {
        both.refuse(&bad, what);
    }
    let mut rehearsal = bundle(&request(SHORT, 1), Kind::Main);
    rehearsal.purpose = Purpose::Rehearsal;
    both.refuse(&file(&rehearsal), "made to practise");
}

#[test]
fn lines_of_later_versions_are_passed_over_only_if_they_say_so() {
    let (good, mut both) = (small(), Both::start());
    let with = |line: &str| {
        let mut lines = lines(&good);
        lines.insert(4, line.as_bytes().to_vec());
        signed_anew(&lines)
    };
    both.accept(&with("may-be-useful later\n"), "may");
    both.refuse(&with("must-be-known 1\n"), "must");
    both.refuse(&with("colour blue\n"), "unknown");
}

/// Flips one octet in every `step`, by each of these masks; how many files that made.
fn flip(good: &[u8], step: usize, masks: &dyn Fn(usize) -> Vec<u8>) -> usize {
    let mut both = Both::start();
    for at in (0..good.len()).step_by(step) {
        for mask in masks(at) {
            let mut bad = good.to_vec();
            bad[at] ^= mask;
            both.refuse(&bad, &format!("octet {at} ^ {mask:02x}"));
        }
    }
    both.refused
}

#[test]
fn flipped_octets_are_refused() {
    flip(&small(), 7, &|at| vec![[1, 0x20, 0x80][at % 3]]);
}

/// Swaps any two lines whose distance is one of `distances`, as it is and signed anew; how many files that made.
fn swap(good: &[u8], distances: impl Fn(usize) -> bool) -> usize {
    let (lines, mut both) = (lines(good), Both::start());
    for (one, other) in (0..lines.len()).flat_map(|one| (one + 1..lines.len()).map(move |other| (one, other)))
    {
        if !distances(other - one) || lines[one] == lines[other] {
            continue;
        }
        let mut swapped = lines.clone();
        swapped.swap(one, other);
        both.refuse(&swapped.concat(), &format!("lines {one} and {other} swapped"));
        if other + 1 < lines.len() {
            both.refuse(&signed_anew(&swapped), &format!("lines {one} and {other} swapped, signed anew"));
        }
    }
    both.refused
}

#[test]
fn lines_swapped_over_some_distance_are_refused() {
    swap(&small(), |distance| distance % 8 == 3);
}

/// Random mutations from a fixed seed: octets replaced, inserted or removed; parts copied, moved or doubled. How many files
/// that made.
fn mutate(good: &[u8], cases: u32) -> usize {
    let both = std::cell::RefCell::new(Both::start());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner =
        TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let part = (any::<prop::sample::Index>(), 0..300_usize);
    let strategy = (part, any::<prop::sample::Index>(), prop::collection::vec(32_u8..127, 0..40), 0..4_u8);
    let tried = runner.run(&strategy, |((at, length), other, octets, how)| {
        let (at, other) = (at.index(good.len()), other.index(good.len()));
        let end = (at + length).min(good.len());
        let mut bad = good.to_vec();
        match how {
            0 => drop(bad.splice(at..(at + octets.len()).min(good.len()), octets)),
            1 => drop(bad.splice(at..at, octets)),
            2 => drop(bad.splice(other..other, good[at..end].iter().copied())),
            _ => drop(bad.drain(at..end)),
        }
        if bad != good {
            both.borrow_mut().refuse(&bad, &format!("{at} {length} {other} {how}"));
        }
        Ok(())
    });
    tried.unwrap();
    both.into_inner().refused
}

#[test]
fn random_mutations_are_refused() {
    mutate(&small(), 1000);
}

/// The figure of docs/ASSURANCE.md, on a bundle for the public network's days and on one for short periods.
#[test]
#[ignore = "issue 4: the full figure takes minutes, tests/run altered asks for it; the tests above are its short form"]
fn in_full() {
    let day = file(&bundle(&request(onionkeep_common::ladder::Clockwork::PUBLIC, 1), Kind::Main));
    let one = |at: usize| vec![[1, 0x20, 0x80][at % 3]];
    let all = |_at: usize| vec![1, 0x20, 0x80];
    let bundles: [(_, _, &dyn Fn(usize) -> Vec<u8>); 2] =
        [("short periods", small(), &all), ("a day's period", day, &one)];
    for (name, good, masks) in bundles {
        let lines = lines(&good).len();
        let flipped = flip(&good, 1, masks);
        let swapped = swap(&good, |_any| true);
        let random = mutate(&good, 10_000);
        println!(
            "{name}, {} octets, {lines} lines: {flipped} flipped, {swapped} with two lines swapped, {random} mutated at random: 0 accepted, both verifiers agree on all",
            good.len()
        );
    }
}
