//! The change to a further file: what it repeats never stands between a checkpoint and its line, and makes no file grow by itself.

use super::*;
use crate::ledger::verify::{Checker, files_in};
use ed25519_dalek::Signer as _;
use onionkeep_common::paper::RequestId;

/// More denials than lines between a checkpoint and the line that it covers.
const MANY: u32 = 4200;

/// A ledger whose further files repeat more lines than a checkpoint reaches back.
fn heavy() -> (tempfile::TempDir, Ledger) {
    let (dir, mut ledger) = new();
    let denied = (0..MANY).map(|number| {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&number.to_be_bytes());
        Event::Deny(Denied::Request(RequestId(name)))
    });
    ledger.append_all(NOW, denied).unwrap();
    (dir, ledger)
}

fn signed(seq: u64, head: Head) -> AuditSignature {
    let key = SigningKey::from_bytes(&[250; 32]);
    AuditSignature(key.sign(event::checkpoint_text(seq, head).as_bytes()).to_bytes())
}

/// What an auditor finds.
fn audit(dir: &tempfile::TempDir) -> Result<verify::Report, LedgerError> {
    Checker::new(vec![audit_key()], None, &mut |_line| {}).files(&files_in(dir.path())?)
}

#[test]
fn a_checkpoint_begins_no_further_file() {
    let (dir, mut ledger) = heavy();
    ledger.append(NOW, asked(1, 100)).unwrap();
    let (seq, head) = ledger.head();
    ledger.rotate_after_for_test(1);
    ledger.checkpoint(NOW, seq, head, signed(seq, head)).unwrap();
    assert_eq!((ledger.segment, ledger.head().0), (1, seq + 1));
    ledger.append(NOW, asked(2, 100)).unwrap();
    assert_eq!(ledger.segment, 2, "the next line begins it");
    drop(ledger);
    assert!(open(&dir).unwrap().memory().place_of(&desc_key(2)).is_some());
    assert_eq!(audit(&dir).unwrap().covered, Some(seq));
}

#[test]
fn a_checkpoint_over_a_line_that_is_too_far_back_is_not_recorded_and_one_made_anew_is() {
    let (dir, mut ledger) = heavy();
    let (seq, head) = ledger.head();
    // Another peer's request comes between the signature and its record, and begins a further file.
    ledger.rotate_after_for_test(1);
    ledger.append(NOW, asked(1, 100)).unwrap();
    let after = ledger.head();
    let why = ledger.checkpoint(NOW, seq, head, signed(seq, head)).unwrap_err();
    assert!(why.contains(&format!("line {seq}")) && why.contains("sign"), "{why}");
    assert_eq!(ledger.head(), after);
    assert!(ledger.checkpoint(NOW, after.0 + 1, head, signed(after.0 + 1, head)).is_err());
    ledger.checkpoint(NOW, after.0, after.1, signed(after.0, after.1)).unwrap();
    drop(ledger);
    assert!(open(&dir).is_ok());
    assert_eq!(audit(&dir).unwrap().covered, Some(after.0));
}

/// A ledger with what programs up to this one wrote: the file changed between a checkpoint and its line.
fn broken_by_the_old_program(
    before: &[Event],
    between: &[Event],
    alter: impl FnOnce(&mut Head),
) -> tempfile::TempDir {
    let (dir, mut ledger) = heavy();
    for event in before {
        ledger.append(NOW, event.clone()).unwrap();
    }
    let (seq, mut head) = ledger.head();
    alter(&mut head);
    // What is repeated alone made the file full: each line had a file.
    for event in between {
        ledger.rotate(NOW.plus(4)).unwrap();
        ledger.append(NOW.plus(4), event.clone()).unwrap();
    }
    ledger.rotate(NOW.plus(5)).unwrap();
    ledger.append(NOW.plus(5), Event::Checkpoint { seq, head, signature: signed(seq, head) }).unwrap();
    dir
}

#[test]
fn a_ledger_whose_checkpoint_the_old_program_wrote_into_a_further_file_is_read() {
    let one = vec![asked(1, 100)];
    let deny = vec![Event::Deny(Denied::Key(desc_key(9))), asked(3, 100)];
    for (before, between) in [(vec![], vec![]), (one.clone(), vec![]), (vec![], one.clone()), (one, deny)] {
        let dir = broken_by_the_old_program(&before, &between, |_head| {});
        let seq = u64::from(MANY) + 1 + u64::try_from(before.len()).unwrap();
        assert_eq!(audit(&dir).unwrap().covered, Some(seq));
        let mut ledger = open(&dir).unwrap();
        ledger.append(NOW.plus(6), asked(2, 100)).unwrap();
        drop(ledger);
        assert!(open(&dir).is_ok());
    }
}

#[test]
fn a_checkpoint_after_repeated_lines_covers_what_it_says_or_is_refused() {
    let dir = broken_by_the_old_program(&[], &[], |head| head.0[3] ^= 1);
    let refused = |dir: &tempfile::TempDir| {
        let LedgerError::Broken { flaw, .. } = audit(dir).unwrap_err() else { panic!("not broken") };
        flaw
    };
    assert_eq!(refused(&dir), chain::Flaw::Covers(u64::from(MANY) + 1));
    // Lines that a file does not repeat count, wherever they stand and whatever they say.
    for (later, count) in [(0, 4096), (7, 4096), (0, 4095), (7, 4095)] {
        let (dir, mut ledger) = heavy();
        let (seq, head) = ledger.head();
        ledger.rotate(NOW).unwrap();
        let refusal = Event::Refused { uid: 1, rule: Rule::KeyFresh, count: 1 };
        ledger.append(NOW, refusal.clone()).unwrap();
        let more = if later == 0 { refusal } else { Event::Deny(Denied::Key(desc_key(1))) };
        let more = std::iter::repeat_n(more, count - 2);
        ledger.append_all(NOW.plus(later), more).unwrap();
        ledger.append(NOW, Event::Checkpoint { seq, head, signature: signed(seq, head) }).unwrap();
        if count == 4096 {
            assert_eq!(refused(&dir), chain::Flaw::Covers(seq));
        } else {
            assert_eq!(audit(&dir).unwrap().covered, Some(seq));
        }
    }
}

#[test]
fn what_a_file_repeats_does_not_make_it_full() {
    let (dir, mut ledger) = heavy();
    // Less than what is repeated: every append would begin a further file.
    ledger.rotate_after_for_test(2000);
    for seed in 1..5 {
        ledger.append(NOW, asked(seed, 100)).unwrap();
    }
    assert_eq!(ledger.segment, 2);
    for seed in 5..9 {
        drop(ledger);
        ledger = open(&dir).unwrap();
        ledger.rotate_after_for_test(2000);
        ledger.append(NOW, asked(seed, 100)).unwrap();
    }
    assert_eq!(ledger.segment, 2, "it is known after a start too");
    for seed in 9..13 {
        ledger.append(NOW, asked(seed, 100)).unwrap();
    }
    assert_eq!(ledger.segment, 3, "it grows by its own lines");
    drop(ledger);
    assert!((1..13).all(|seed| open(&dir).unwrap().memory().place_of(&desc_key(seed)).is_some()));
}
