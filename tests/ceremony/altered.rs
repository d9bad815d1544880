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

/// Flips one octet in every `step`, each by one of three masks in turn, or by all of them.
fn flip(step: usize, masks: &dyn Fn(usize) -> Vec<u8>) {
    let (good, mut both) = (small(), Both::start());
    for at in (0..good.len()).step_by(step) {
        for mask in masks(at) {
            let mut bad = good.clone();
            bad[at] ^= mask;
            both.refuse(&bad, &format!("octet {at} ^ {mask:02x}"));
        }
    }
}

#[test]
fn flipped_octets_are_refused() {
    flip(7, &|at| vec![[1, 0x20, 0x80][at % 3]]);
}

#[test]
#[ignore = "the full run: every octet of a bundle by three masks; a minute or more"]
fn every_flipped_octet_is_refused() {
    flip(1, &|_at| vec![1, 0x20, 0x80]);
}

/// Random mutations from a fixed seed: octets replaced, inserted or removed; parts copied, moved or doubled.
fn mutate(cases: u32) {
    let (good, mut both) = (small(), Both::start());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config { cases, ..Config::default() }, rng);
    let both = std::cell::RefCell::new(&mut both);
    let part = (any::<prop::sample::Index>(), 0..300_usize);
    let strategy = (part, any::<prop::sample::Index>(), prop::collection::vec(32_u8..127, 0..40), 0..4_u8);
    let tried = runner.run(&strategy, |((at, length), other, octets, how)| {
        let (at, other) = (at.index(good.len()), other.index(good.len()));
        let end = (at + length).min(good.len());
        let mut bad = good.clone();
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
}

#[test]
fn random_mutations_are_refused() {
    mutate(1000);
}

#[test]
#[ignore = "the full run: 10,000 random mutations; a minute or more"]
fn ten_thousand_random_mutations_are_refused() {
    mutate(10_000);
}
