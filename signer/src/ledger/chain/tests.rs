//! Tampering with a ledger of 1,000 lines: every flip, deletion, swap, repetition and truncation is found, and where it is.

use super::*;
use crate::audit_key::AuditSignature;
use crate::ledger::verify::Checker;
use crate::ledger::{Denied, LedgerError, Slot};
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::Rule;
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, PeriodLength, PeriodNumber, TimePeriod,
    UnixTime,
};

/// How many lines.
const LINES: u64 = 1000;

fn auditor() -> SigningKey {
    SigningKey::from_bytes(&[77; 32])
}

fn key() -> AuditKey {
    AuditKey::Ed25519(auditor().verifying_key().to_bytes())
}

/// What stands in a line, with a checkpoint every 64; `certs` says whether certificates (that fit nothing) may stand there.
fn event(seq: u64, head: Head, certs: bool) -> Event {
    let public = |seed| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let desc_key = DescSigningKey::from_bytes(public(u8::try_from(seq % 200).unwrap())).unwrap();
    let onion = OnionAddress::new(onionkeep_common::IdentityKey::from_bytes(public(201)).unwrap());
    let period = TimePeriod { number: PeriodNumber(20_000 + seq / 48), length: PeriodLength::DAY };
    let slot = Slot { onion, period, key: desc_key, expires: ExpirationHours(500_000) };
    match seq {
        1 => Event::Init { key: key() },
        2 => Event::Start { version: "0.1.0".to_owned(), cut: 0 },
        3 => Event::Deny(Denied::Onion(onion)),
        _ if seq.is_multiple_of(64) => checkpoint(seq - 1, head),
        _ if seq.is_multiple_of(7) => Event::Refused { uid: 997, rule: Rule::KeyFresh, count: seq },
        _ if certs && seq.is_multiple_of(2) => Event::Issued { asked: seq - 1, cert: EncodedCert([9; 140]) },
        _ => Event::Asked { slot, uid: 997 },
    }
}

fn checkpoint(seq: u64, head: Head) -> Event {
    let signature = AuditSignature(auditor().sign(checkpoint_text(seq, head).as_bytes()).to_bytes());
    Event::Checkpoint { seq, head, signature }
}

/// The lines of a good ledger.
fn ledger(certs: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for seq in 1..=LINES {
        let head = lines.last().map_or(Head::START, |line| line.head);
        lines.push(Line::new(head, seq, UnixTime(1_795_344_000 + seq * 60), event(seq, head, certs)));
    }
    lines
}

fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.to_text().trim_end().to_owned()).collect()
}

/// A chain at the start of the first file.
fn start() -> Chain {
    let mut chain = Chain::checking(vec![key()]);
    chain.enter(1);
    chain
}

/// Each line with the chain before it.
fn each_line(texts: &[String], mut act: impl FnMut(usize, &Chain)) {
    let mut chain = start();
    for (at, text) in texts.iter().enumerate() {
        act(at, &chain);
        chain.take(text, at == 0).unwrap();
    }
    assert_eq!(chain.last(), LINES);
}

/// Whether the chain refuses this text as its next line.
fn refuses(chain: &Chain, text: &str, at: usize) -> bool {
    chain.clone().take(text, at == 0).is_err()
}

/// Whether to try everything: `tests/tamper` asks for it, ordinary runs try a part of it.
fn everything() -> bool {
    std::env::var_os("ONIONKEEP_TAMPER_ALL").is_some()
}

/// Which flips are tried in a line: octet and bit.
fn flips(at: usize, text: &[u8]) -> Vec<(usize, u8)> {
    // Every octet of every 100th line; in every line the first octet of each word and the blank before it.
    let starts = |octet: &usize| *octet == 0 || text[octet - 1] == b' ' || text[*octet] == b' ';
    let bits: &[u8] = match (everything(), at.is_multiple_of(100)) {
        (true, _) => &[1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80],
        (false, true) => &[1, 4, 0x20],
        (false, false) => &[1],
    };
    let all = everything() || at.is_multiple_of(100);
    let octets = (0..text.len()).filter(|octet| all || starts(octet));
    octets.flat_map(|octet| bits.iter().map(move |bit| (octet, *bit))).collect()
}

/// Tries the flips of one line; how many. One that leaves no text is refused where the file is read.
fn flip(at: usize, text: &str, chain: &Chain) -> usize {
    let flips = flips(at, text.as_bytes());
    for (octet, bit) in &flips {
        let mut flipped = text.as_bytes().to_vec();
        flipped[*octet] ^= bit;
        let Ok(flipped) = String::from_utf8(flipped) else { continue };
        // Two lines out of one: the first must be refused.
        let flipped = flipped.split('\n').next().unwrap();
        assert!(refuses(chain, flipped, at), "line {}, octet {octet}, bit {bit}", at + 1);
    }
    flips.len()
}

#[test]
fn every_flip_is_found_in_its_line() {
    let texts = texts(&ledger(true));
    let mut before = Vec::new();
    each_line(&texts, |at, chain| {
        before.push((at, chain.clone()));
        // The line end: two lines become one.
        if let Some(next) = texts.get(at + 1) {
            for bit in [1, 2, 4, 8, 0x10, 0x20, 0x40_u8] {
                let end = char::from(b'\n' ^ bit);
                assert!(refuses(chain, &format!("{}{end}{next}", texts[at]), at), "end of line {}", at + 1);
            }
        }
    });
    let try_some = |part: &[(usize, Chain)]| -> usize {
        part.iter().map(|(at, chain)| flip(*at, &texts[*at], chain)).sum()
    };
    let tried: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = before.chunks(500).map(|part| scope.spawn(move || try_some(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{tried} flips in {LINES} lines, each found in its line");
    assert!(tried > 10_000);
}

/// The line that an auditor names in a file with these lines; `None` if he finds nothing wrong.
fn named(path: &std::path::Path, octets: &[u8]) -> Option<usize> {
    std::fs::write(path, octets).unwrap();
    let checked = Checker::new(vec![key()], None, &mut |_line| {}).files(&[path.to_owned()]);
    checked.err().map(|error| {
        let LedgerError::Broken { line, .. } = error else { panic!("{error}") };
        line
    })
}

#[test]
fn in_a_file_every_change_of_lines_is_found_and_its_line_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let good = texts(&ledger(false));
    let file = |lines: &[String]| format!("{}\n", lines.join("\n"));
    assert_eq!(named(&path, file(&good).as_bytes()), None);
    let count = good.len();
    let mut tried = 0;
    for at in (0..count).step_by(if everything() { 1 } else { 97 }) {
        let (mut without, mut swapped, mut twice, mut flipped) =
            (good.clone(), good.clone(), good.clone(), good.clone());
        without.remove(at);
        // Without its last line a ledger is shorter, not broken: only a hash that was noted shows it.
        let wanted = (at + 1 < count).then_some(at + 1);
        assert_eq!(named(&path, file(&without).as_bytes()), wanted, "without line {}", at + 1);
        if at + 1 < count {
            swapped.swap(at, at + 1);
            assert_eq!(named(&path, file(&swapped).as_bytes()), Some(at + 1), "swapped");
        }
        twice.insert(at, good[at].clone());
        assert_eq!(named(&path, file(&twice).as_bytes()), Some(at + 2), "twice");
        flipped[at].replace_range(0..1, "x");
        assert_eq!(named(&path, file(&flipped).as_bytes()), Some(at + 1), "flipped");
        let mut octets = file(&good).into_bytes();
        let start: usize = good[..at].iter().map(|line| line.len() + 1).sum();
        octets[start] ^= 0x80;
        assert_eq!(named(&path, &octets), Some(at + 1), "no text");
        tried += 5;
    }
    println!("{tried} files with a line gone, swapped, twice or changed, each named");
}

#[test]
fn every_deletion_swap_and_repetition_is_found_in_its_line() {
    let texts = texts(&ledger(true));
    each_line(&texts, |at, chain| {
        for later in [at + 1, at + 2, at + 64] {
            if let Some(later) = texts.get(later) {
                assert!(refuses(chain, later, at), "line {} instead of a later one", at + 1);
            }
        }
        if let Some(before) = at.checked_sub(1) {
            assert!(refuses(chain, &texts[before], at), "line {} twice", at);
        }
    });
}

#[test]
fn a_ledger_made_anew_from_any_line_on_fails_at_its_next_checkpoint() {
    let good = ledger(true);
    for from in (4..930).step_by(37) {
        let mut chain = start();
        let mut head = Head::START;
        let mut broken = None;
        for line in &good {
            // The forger changes one event and makes every hash after it anew, but cannot sign.
            let event = if let Event::Checkpoint { seq, signature, .. } = &line.event
                && line.seq > from
            {
                Event::Checkpoint { seq: *seq, head, signature: *signature }
            } else if line.seq == from {
                Event::Refused { uid: 1, rule: Rule::KeyFresh, count: 1 }
            } else {
                line.event.clone()
            };
            let forged = Line::new(head, line.seq, line.time, event);
            head = forged.head;
            if let Err(flaw) = chain.take(forged.to_text().trim_end(), line.seq == 1) {
                broken = Some((line.seq, flaw));
                break;
            }
        }
        let wanted = (from + 1).next_multiple_of(64);
        assert_eq!(broken, Some((wanted, Flaw::Signature(AuditKeyError::Signature))), "from line {from}");
    }
}

#[test]
fn a_truncation_is_found_by_the_expected_hash_and_a_cut_line_by_itself() {
    let lines = ledger(false);
    let whole: String = lines.iter().map(Line::to_text).collect();
    let last = lines.last().unwrap().head;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Checker::new(vec![key()], Some(last), &mut |_line| {}).files(std::slice::from_ref(&path))
    };
    let report = check(&whole).unwrap();
    assert!(report.expected);
    assert_eq!((report.to, report.checkpoints, report.covered), (LINES, 15, Some(959)));
    let ends: Vec<_> = whole.match_indices('\n').map(|(at, _end)| at + 1).collect();
    for (line, end) in ends.iter().enumerate().step_by(if everything() { 1 } else { 41 }) {
        let cut = check(whole.get(..*end).unwrap()).unwrap();
        assert!(cut.expected == (*end == whole.len()), "cut after line {}", line + 1);
        assert_eq!(cut.to, u64::try_from(line + 1).unwrap());
        let torn = check(whole.get(..*end - 5).unwrap()).unwrap_err();
        let LedgerError::Broken { line: named, .. } = torn else { panic!("{torn}") };
        assert_eq!(named, line + 1);
    }
}

#[test]
fn another_audit_key_is_not_trusted() {
    let texts = texts(&ledger(true));
    let other = AuditKey::Ed25519(SigningKey::from_bytes(&[78; 32]).verifying_key().to_bytes());
    let mut chain = Chain::checking(vec![other]);
    chain.enter(1);
    assert_eq!(chain.take(&texts[0], true), Err(Flaw::Key("was given")));
}
