//! The change to a further file: what it repeats never stands between a checkpoint and its line, and makes no file grow by itself.

use super::*;
use crate::ledger::verify::{Checker, files_in};
use ed25519_dalek::Signer as _;
use onionkeep_common::paper::{self, FileDigest, Purpose, RequestId, RequestKey};

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

#[test]
fn every_line_that_a_file_repeats_is_known_as_such_and_no_other() {
    let (dir, mut ledger) = new();
    let Slot { onion, period, key, .. } = slot(1, 100);
    let digest = FileDigest([3; 32]);
    let requested = Requested {
        onion,
        id: RequestId([4; 16]),
        digest,
        sequence: 1,
        first: period.number,
        count: 1,
        purpose: Purpose::Real,
    };
    let holds_on = [
        Event::Deny(Denied::Key(desc_key(9))),
        Event::Backup(made(1)),
        Event::DeviceLog { count: 1, head: Head([8; 32]) },
        Event::Enrol { onion, key: RequestKey(public(7)) },
        Event::Request(requested),
        Event::Key { onion, period, key, kind: paper::Kind::Main },
        Event::Bundle { request: digest, main: digest, emergency: None },
    ];
    ledger.append_all(NOW, holds_on.clone()).unwrap();
    assert_eq!(ledger.repeated, 0, "the first file repeats nothing");
    // The period is long over by then, seen from the line, but it is the newest that has a key.
    ledger.rotate(NOW.plus(5)).unwrap();
    let repeated = ledger.len;
    assert_eq!(text(&dir).lines().count(), 1 + holds_on.len());
    // The same again, some seconds later, are lines of the file itself.
    ledger.append_all(NOW.plus(9), holds_on).unwrap();
    drop(ledger);
    assert_eq!(open(&dir).unwrap().repeated, repeated);
}

/// A ledger in whose first file eight keys were asked for, and which has gone on with these lines at these times.
fn after_requests(later: &[(UnixTime, Event)]) -> (tempfile::TempDir, Ledger) {
    let (dir, mut ledger) = new();
    for seed in 1..9 {
        ledger.append(NOW.plus(u64::from(seed)), asked(seed, 100)).unwrap();
    }
    ledger.rotate_after_for_test(1);
    for (time, event) in later {
        ledger.append(*time, event.clone()).unwrap();
        ledger.rotate_after_for_test(1 << 20);
    }
    assert_eq!(ledger.segment, 2);
    drop(ledger);
    let ledger = open(&dir).unwrap();
    (dir, ledger)
}

fn start() -> Event {
    Event::Start { version: "0.1.0".to_owned(), cut: 0 }
}

#[test]
fn a_wrong_clock_makes_no_key_forgotten() {
    let (old, far) = (UnixTime(1_150_000_000), UnixTime(2_400_000_000));
    let deny = Event::Deny(Denied::Key(desc_key(99)));
    for later in [
        // A start in 2006 began the file, then the clock was set.
        vec![(old, start()), (NOW.plus(60), start())],
        // A denial in 2046, and nothing or much after it.
        vec![(NOW.plus(60), start()), (far, deny.clone())],
        vec![(far, start()), (NOW.plus(60), start())],
        vec![(old, start()), (far, deny), (NOW.plus(3600), asked(20, 100))],
        // A request in 2006, which a signer could let pass that had forgotten those before.
        vec![(old, asked(20, 100)), (NOW.plus(3600), asked(21, 100))],
    ] {
        let (_dir, ledger) = after_requests(&later);
        let place = memory::Place::of(&slot(1, 100));
        assert!((1..9).all(|seed| ledger.memory().place_of(&desc_key(seed)) == Some(place)), "{later:?}");
        assert!(ledger.memory().keys_at(&place) >= 8);
        assert!(ledger.memory().latest() >= NOW.plus(8));
    }
}

#[test]
fn files_that_were_moved_away_are_missed_only_if_the_rules_could_need_them() {
    let first = |dir: &tempfile::TempDir| segments::path(dir.path(), 1);
    // The file before may be full of requests.
    let (dir, ledger) = after_requests(&[(NOW.plus(40 * 86_400), start())]);
    drop(ledger);
    std::fs::rename(first(&dir), dir.path().join("away")).unwrap();
    assert!(matches!(open(&dir), Err(LedgerError::Missing(path)) if path == first(&dir)));
    // Twelve periods of requests lie in the newest file: the one before it is not read.
    for (days, enough) in [(11, false), (12, false), (13, true)] {
        let last = NOW.plus(days * 86_400);
        let (dir, ledger) = after_requests(&[(NOW.plus(60), asked(20, 100)), (last, asked(21, 112))]);
        drop(ledger);
        std::fs::remove_file(first(&dir)).unwrap();
        assert_eq!(open(&dir).is_ok(), enough, "{days}");
    }
    // On a signer for ceremonies alone nobody asks: the newest two files are enough, a gap is not.
    let (dir, mut ledger) = new();
    ledger.rotate_after_for_test(1);
    for _file in 2..6 {
        ledger.append(NOW, start()).unwrap();
    }
    assert_eq!(ledger.segment, 5);
    drop(ledger);
    std::fs::remove_file(segments::path(dir.path(), 2)).unwrap();
    assert!(matches!(open(&dir), Err(LedgerError::Missing(path)) if path == segments::path(dir.path(), 2)));
    std::fs::remove_file(first(&dir)).unwrap();
    assert!(open(&dir).is_ok());
    std::fs::remove_file(segments::path(dir.path(), 3)).unwrap();
    assert!(open(&dir).is_ok());
    std::fs::remove_file(segments::path(dir.path(), 4)).unwrap();
    assert!(matches!(open(&dir), Err(LedgerError::Missing(_))));
}

#[test]
fn no_ledger_is_made_beside_older_files_of_one() {
    let (dir, mut ledger) = new();
    ledger.rotate_after_for_test(1);
    ledger.append(NOW, Event::Deny(Denied::Key(desc_key(99)))).unwrap();
    ledger.append(NOW, start()).unwrap();
    assert_eq!(ledger.segment, 3);
    drop(ledger);
    // The newest file is lost, and the first one was moved away before.
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    std::fs::remove_file(segments::path(dir.path(), 1)).unwrap();
    let older = segments::path(dir.path(), 2);
    let error = Ledger::create(dir.path(), audit_key(), NOW).unwrap_err();
    assert!(error.to_string().contains(older.to_str().unwrap()), "{error}");
    assert_eq!(error.kind(), Kind::Ledger);
    assert!(error.hint().contains("put") && error.hint().contains("move"), "{}", error.hint());
    assert!(older.exists() && !Ledger::exists(dir.path()));
    std::fs::rename(older, dir.path().join("moved")).unwrap();
    // Other names are no files of the ledger.
    for name in ["ledger.new", "ledger.", "ledger.0000x", "ledger-00001"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    Ledger::create(dir.path(), audit_key(), NOW).unwrap();
}

#[test]
fn a_foreign_file_in_the_place_of_an_older_one_is_never_removed() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    ledger.rotate_after_for_test(1);
    let place = segments::path(dir.path(), 1);
    std::fs::write(&place, "of another ledger").unwrap();
    for _again in 0..2 {
        let error = ledger.append(NOW, asked(2, 100)).unwrap_err();
        assert!(error.in_full().contains(place.to_str().unwrap()), "{}", error.in_full());
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "of another ledger");
    }
    // A copy of the file, as a backup made at the wrong moment has it, or the beginning of one, loses nothing.
    std::fs::write(&place, text(&dir)).unwrap();
    ledger.append(NOW, asked(2, 100)).unwrap();
    std::fs::write(segments::path(dir.path(), 2), &text(&dir).as_bytes()[..70]).unwrap();
    ledger.append(NOW, asked(3, 100)).unwrap();
    assert_eq!(ledger.segment, 3);
    drop(ledger);
    assert!(open(&dir).unwrap().memory().place_of(&desc_key(1)).is_some());
}

#[test]
fn a_further_file_that_could_not_be_begun_is_begun_later() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    ledger.rotate_after_for_test(1);
    // The old file has its second name already when the new one cannot be written.
    std::fs::create_dir(dir.path().join("ledger.new")).unwrap();
    assert!(ledger.append(NOW, asked(2, 100)).is_err());
    std::fs::remove_dir(dir.path().join("ledger.new")).unwrap();
    ledger.append(NOW, asked(2, 100)).unwrap();
    assert_eq!(ledger.segment, 2);
    drop(ledger);
    assert!((1..3).all(|seed| open(&dir).unwrap().memory().place_of(&desc_key(seed)).is_some()));
}
