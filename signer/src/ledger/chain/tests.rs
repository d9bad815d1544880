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

#[test]
fn every_flip_is_found_in_its_line() {
    let texts = texts(&ledger(true));
    each_line(&texts, |at, chain| {
        let text = texts[at].as_bytes();
        // Every octet of every 100th line; in every line the first octet of each word and the blank before it.
        let starts =
            (0..text.len()).filter(|octet| *octet == 0 || text[octet - 1] == b' ' || text[*octet] == b' ');
        let all = at % 100 == 0;
        let octets: Vec<_> = if all { (0..text.len()).collect() } else { starts.collect() };
        for octet in octets {
            for bit in [1, 4, 0x20].into_iter().take(if all { 3 } else { 1 }) {
                let mut flipped = text.to_vec();
                flipped[octet] ^= bit;
                let Ok(flipped) = String::from_utf8(flipped) else { continue };
                assert!(refuses(chain, &flipped, at), "line {}, octet {octet}, bit {bit}", at + 1);
            }
        }
        // The line end: two lines become one.
        if let Some(next) = texts.get(at + 1) {
            assert!(refuses(chain, &format!("{}\u{b}{next}", texts[at]), at));
        }
    });
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
    for (line, end) in ends.iter().enumerate().step_by(41) {
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
