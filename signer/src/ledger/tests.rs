//! The ledger across restarts, crashes, full disks and changes of files; what it remembers.

use super::*;
use crate::error::Explain;
use crate::error::Kind;
use ed25519_dalek::SigningKey;
use onionkeep_common::wire::Rule;
use onionkeep_common::{
    DescSigningKey, EncodedCert, ExpirationHours, OnionAddress, PeriodLength, PeriodNumber, PeriodRule,
    TimePeriod,
};

mod further_files;

/// When the tests begin.
pub(crate) const NOW: UnixTime = UnixTime(1_795_344_000);

fn public(seed: u8) -> [u8; 32] {
    SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
}

/// The audit key of the tests.
pub(crate) fn audit_key() -> AuditKey {
    AuditKey::Ed25519(public(250))
}

fn desc_key(seed: u8) -> DescSigningKey {
    DescSigningKey::from_bytes(public(seed)).unwrap()
}

fn slot(seed: u8, period: u64) -> Slot {
    let identity = onionkeep_common::IdentityKey::from_bytes(public(200)).unwrap();
    let period = TimePeriod { number: PeriodNumber(period), length: PeriodLength::DAY };
    Slot {
        onion: OnionAddress::new(identity),
        period,
        key: desc_key(seed),
        expires: ExpirationHours(500_000),
    }
}

pub(crate) fn asked(seed: u8, period: u64) -> Event {
    Event::Asked { slot: slot(seed, period), uid: 997 }
}

fn keep() -> Keep {
    Keep::for_periods(&PeriodRule::PUBLIC)
}

fn open(dir: &tempfile::TempDir) -> Result<Ledger, LedgerError> {
    Ledger::open(dir.path(), keep())
}

/// A ledger that was just made.
fn new() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    Ledger::create(dir.path(), audit_key(), NOW).unwrap();
    let ledger = open(&dir).unwrap();
    (dir, ledger)
}

fn text(dir: &tempfile::TempDir) -> String {
    std::fs::read_to_string(dir.path().join(FILE)).unwrap()
}

#[test]
fn what_was_recorded_is_known_after_a_restart() {
    let (dir, mut ledger) = new();
    let cert = EncodedCert([7; 140]);
    let line = ledger.append(NOW, asked(1, 100)).unwrap();
    ledger.append(NOW, Event::Issued { asked: line, cert }).unwrap();
    ledger.append(NOW.plus(1), asked(2, 100)).unwrap();
    ledger.append(NOW.plus(1), Event::Deny(Denied::Key(desc_key(9)))).unwrap();
    let head = ledger.head();
    drop(ledger);
    let ledger = open(&dir).unwrap();
    let memory = ledger.memory();
    assert_eq!((ledger.head(), ledger.key(), ledger.cut()), (head, audit_key(), 0));
    assert_eq!(memory.cert(&desc_key(1), ExpirationHours(500_000)), Some(cert));
    assert_eq!(memory.cert(&desc_key(2), ExpirationHours(500_000)), None);
    assert_eq!(memory.asked(&desc_key(2), ExpirationHours(500_000)), Some(4));
    assert_eq!(memory.keys_at(&memory::Place::of(&slot(1, 100))), 2);
    assert_eq!(memory.latest(), NOW.plus(1));
    assert!(memory.is_denied(&Denied::Key(desc_key(9))) && !memory.is_denied(&Denied::Key(desc_key(1))));
}

#[test]
fn the_first_certificate_on_record_is_the_one() {
    let (dir, mut ledger) = new();
    let line = ledger.append(NOW, asked(1, 100)).unwrap();
    for octet in [7, 8] {
        ledger.append(NOW, Event::Issued { asked: line, cert: EncodedCert([octet; 140]) }).unwrap();
    }
    drop(ledger);
    let cert = open(&dir).unwrap().memory().cert(&desc_key(1), ExpirationHours(500_000));
    assert_eq!(cert, Some(EncodedCert([7; 140])));
}

#[test]
fn a_missing_ledger_is_an_error_and_an_existing_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let missing = open(&dir).unwrap_err();
    assert!(matches!(missing, LedgerError::Missing(_)));
    assert_eq!(missing.kind(), Kind::Ledger);
    Ledger::create(dir.path(), audit_key(), NOW).unwrap();
    assert!(matches!(Ledger::create(dir.path(), audit_key(), NOW), Err(LedgerError::Exists(_))));
}

#[test]
fn a_line_cut_by_a_crash_is_dropped_at_every_length() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    let whole = text(&dir);
    ledger.append(NOW, asked(2, 100)).unwrap();
    drop(ledger);
    let last = text(&dir).strip_prefix(&whole).unwrap().to_owned();
    for len in (0..last.len()).step_by(7).chain([last.len() - 1]) {
        std::fs::write(dir.path().join(FILE), format!("{whole}{}", last.get(..len).unwrap())).unwrap();
        let mut ledger = open(&dir).unwrap();
        assert_eq!(ledger.cut(), u64::try_from(len).unwrap());
        assert!(ledger.memory().place_of(&desc_key(2)).is_none());
        ledger.append(NOW, asked(3, 100)).unwrap();
        drop(ledger);
        let ledger = open(&dir).unwrap();
        assert!(ledger.memory().place_of(&desc_key(3)).is_some());
    }
}

#[test]
fn a_broken_line_stops_the_signer_and_is_named() {
    let (dir, mut ledger) = new();
    for seed in 1..9 {
        ledger.append(NOW, asked(seed, 100)).unwrap();
    }
    drop(ledger);
    let good = text(&dir);
    let third = good.lines().nth(2).unwrap();
    let broken = |text: &str| {
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let error = open(&dir).unwrap_err();
        assert_eq!(error.kind(), Kind::Ledger);
        let LedgerError::Broken { line, .. } = error else { panic!("{error}") };
        line
    };
    assert_eq!(broken(&good.replace(third, &third.replace(" 997 ", " 998 "))), 3);
    assert_eq!(broken(&good.replace(&format!("{third}\n"), "")), 3);
    assert_eq!(broken(&good.replace(third, &third.replace(" 100 ", " 0100 "))), 3);
    assert_eq!(broken(&good.replace(third, "\u{ff}")), 3);
    assert_eq!(broken("something else\n"), 1);
    assert_eq!(broken(""), 1);
    std::fs::write(dir.path().join(FILE), &good).unwrap();
    assert!(open(&dir).is_ok());
}

#[test]
fn a_full_disk_records_nothing_and_the_ledger_goes_on_when_there_is_space() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    ledger.break_writing_for_test();
    let error = ledger.append(NOW, asked(2, 100)).unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }));
    assert!(ledger.memory().place_of(&desc_key(2)).is_none());
    ledger.append(NOW, asked(3, 100)).unwrap();
    drop(ledger);
    let ledger = open(&dir).unwrap();
    let known = |seed| ledger.memory().place_of(&desc_key(seed)).is_some();
    assert_eq!([known(1), known(2), known(3)], [true, false, true]);
}

#[test]
fn after_a_write_in_doubt_the_good_part_is_written_anew() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    // What a failed fsync may have left behind.
    std::fs::write(dir.path().join(FILE), format!("{}half of a li", text(&dir))).unwrap();
    ledger.doubtful = true;
    ledger.append(NOW, asked(2, 100)).unwrap();
    assert_eq!(text(&dir).lines().count(), 3);
    // A file that lost a line which was on the disk is not gone on with.
    ledger.doubtful = true;
    let all = text(&dir);
    std::fs::write(dir.path().join(FILE), all.lines().next().unwrap()).unwrap();
    assert!(ledger.append(NOW, asked(3, 100)).is_err());
    std::fs::write(dir.path().join(FILE), all).unwrap();
    ledger.append(NOW, asked(3, 100)).unwrap();
    drop(ledger);
    assert!(open(&dir).is_ok());
}

#[test]
fn a_second_signer_is_kept_out() {
    let (dir, first) = new();
    assert!(matches!(open(&dir), Err(LedgerError::InUse(_))));
    drop(first);
    assert!(open(&dir).is_ok());
}

#[test]
fn files_follow_each_other_and_nothing_is_forgotten() {
    let (dir, mut ledger) = new();
    ledger.rotate_after_for_test(1500);
    ledger.append(NOW, Event::Deny(Denied::Key(desc_key(99)))).unwrap();
    for seed in 1..60 {
        ledger.append(NOW.plus(u64::from(seed)), asked(seed, 100)).unwrap();
    }
    let head = ledger.head();
    assert!(ledger.segment > 5, "{}", ledger.segment);
    drop(ledger);
    let mut ledger = open(&dir).unwrap();
    assert_eq!(ledger.head(), head);
    assert!((1..60).all(|seed| ledger.memory().place_of(&desc_key(seed)).is_some()));
    assert!(ledger.memory().is_denied(&Denied::Key(desc_key(99))));
    // Days later only the newest file is needed, and the denial is in it.
    ledger.rotate_after_for_test(1);
    for day in [20, 40] {
        ledger.append(NOW.plus(day * 86_400), asked(100, 120)).unwrap();
    }
    drop(ledger);
    for old in 1..6 {
        std::fs::remove_file(segments::path(dir.path(), old)).unwrap();
    }
    let ledger = open(&dir).unwrap();
    assert!(ledger.memory().is_denied(&Denied::Key(desc_key(99))));
    assert!(ledger.memory().place_of(&desc_key(1)).is_none());
}

#[test]
fn a_file_that_is_still_needed_is_missed() {
    let (dir, mut ledger) = new();
    ledger.rotate_after_for_test(1500);
    for seed in 1..30 {
        ledger.append(NOW, asked(seed, 100)).unwrap();
    }
    drop(ledger);
    std::fs::remove_file(segments::path(dir.path(), 2)).unwrap();
    assert!(matches!(open(&dir), Err(LedgerError::Missing(_))));
}

#[test]
fn a_change_of_files_that_was_cut_short_is_finished() {
    let (dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    // Before the rename: the old file has two names. After a restart, and without one.
    std::fs::hard_link(dir.path().join(FILE), segments::path(dir.path(), 1)).unwrap();
    ledger.append(NOW, asked(2, 100)).unwrap();
    drop(ledger);
    let mut ledger = open(&dir).unwrap();
    ledger.rotate_after_for_test(1);
    ledger.append(NOW, asked(3, 100)).unwrap();
    assert_eq!(ledger.segment, 2);
    // After the rename, but not seen to be done.
    let old = text(&dir);
    let (seq, head, len) = (ledger.seq, ledger.head, ledger.len);
    let rotate = Line::new(head, seq + 1, NOW, Event::Rotate { segment: 3, head, key: audit_key() });
    std::fs::rename(dir.path().join(FILE), segments::path(dir.path(), 2)).unwrap();
    std::fs::write(dir.path().join(FILE), rotate.to_text()).unwrap();
    ledger.doubtful = true;
    ledger.rotate_after_for_test(1 << 20);
    ledger.append(NOW, asked(4, 100)).unwrap();
    assert_eq!((ledger.segment, ledger.seq), (3, seq + 2));
    assert_eq!(std::fs::read_to_string(segments::path(dir.path(), 2)).unwrap(), old);
    assert_eq!(u64::try_from(old.len()).unwrap(), len);
    drop(ledger);
    let ledger = open(&dir).unwrap();
    assert!((1..5).all(|seed| ledger.memory().place_of(&desc_key(seed)).is_some()));
}

#[test]
fn old_keys_are_forgotten_and_recent_ones_kept() {
    let (_dir, mut ledger) = new();
    ledger.append(NOW, asked(1, 100)).unwrap();
    ledger.append(NOW.plus(3 * 86_400), asked(2, 103)).unwrap();
    ledger.append(NOW.plus(14 * 86_400), asked(3, 114)).unwrap();
    let known = |seed| ledger.memory().place_of(&desc_key(seed)).is_some();
    assert_eq!([known(1), known(2), known(3)], [false, true, true]);
    assert_eq!(ledger.memory().asked_since(&slot(1, 1).onion, UnixTime(0)).count(), 1);
}

fn made(generation: u16) -> BackupMade {
    let set = Head([u8::try_from(generation).unwrap(); 32]);
    BackupMade { onion: slot(1, 1).onion, generation, set, threshold: 3, shares: 5 }
}

#[test]
fn the_latest_backup_is_known_after_a_restart_and_in_a_further_file() {
    let (dir, mut ledger) = new();
    for generation in [1, 3, 2] {
        ledger.append(NOW, Event::Backup(made(generation))).unwrap();
    }
    ledger.append(NOW, Event::DeviceLog { count: 9, head: Head([8; 32]) }).unwrap();
    ledger.rotate_after_for_test(1);
    ledger.append(NOW, Event::Custody(Custody::Pin { serial: Serial::new("7") })).unwrap();
    drop(ledger);
    let newest = text(&dir);
    assert!(newest.contains(&format!(" backup {} ", made(3))), "{newest}");
    assert!(!newest.contains(&format!(" backup {} ", made(1))), "{newest}");
    let ledger = open(&dir).unwrap();
    assert_eq!(ledger.memory().backup(&slot(1, 1).onion), Some(made(3)));
    assert_eq!(ledger.memory().device_log(), Some((9, Head([8; 32]))));
}

#[test]
fn no_line_tells_of_a_backup_that_cannot_be() {
    for event in [
        Event::Backup(made(0)),
        Event::Backup(BackupMade { threshold: 1, ..made(1) }),
        Event::Backup(BackupMade { threshold: 6, ..made(1) }),
    ] {
        let text = Line::new(Head::START, 7, NOW, event).to_text();
        assert_eq!(Line::parse(text.trim_end()), Err("there can be no such backup"));
    }
    let good = Line::new(Head::START, 7, NOW, Event::Custody(Custody::Pin { serial: Serial::new("12") }));
    for (from, to) in [("pin 12", "pin 1/2"), ("pin 12", "pin"), ("pin 12", "lost 12"), ("pin 12", "pin 1 2")]
    {
        assert!(Line::parse(good.to_text().replace(from, to).trim_end()).is_err(), "{to}");
    }
}

#[test]
fn a_checkpoint_with_another_signature_is_not_recorded() {
    let (_dir, mut ledger) = new();
    let (seq, head) = ledger.head();
    assert!(ledger.checkpoint(NOW, seq, head, AuditSignature([1; 64])).is_err());
    assert_eq!(ledger.head(), (seq, head));
}

#[test]
fn every_event_reads_back_and_only_in_its_canonical_spelling() {
    let events = [
        Event::Init { key: audit_key() },
        Event::Rotate { segment: 2, head: Head([3; 32]), key: audit_key() },
        Event::Rekey { key: audit_key() },
        Event::Start { version: "0.1.0".to_owned(), cut: 12 },
        asked(1, 20_780),
        Event::Issued { asked: 5, cert: EncodedCert([9; 140]) },
        Event::Refused { uid: 0, rule: Rule::RateBudget, count: u64::MAX },
        Event::Deny(Denied::Key(desc_key(1))),
        Event::Deny(Denied::Onion(slot(1, 1).onion)),
        Event::Backup(made(3)),
        Event::Custody(Custody::Restored { onion: slot(1, 1).onion, generation: 2, set: Head([4; 32]) }),
        Event::Custody(Custody::Copied { onion: slot(1, 1).onion, serial: Serial::new("b c/1") }),
        Event::Custody(Custody::Pin { serial: Serial::new("") }),
        Event::DeviceLog { count: 62, head: Head([8; 32]) },
        Event::Checkpoint { seq: 64, head: Head([5; 32]), signature: AuditSignature([6; 64]) },
    ];
    for event in events {
        let line = Line::new(Head::START, 7, NOW, event);
        let text = line.to_text();
        let text = text.strip_suffix('\n').unwrap();
        assert!(text.len() < line::LINE_MAX / 2, "{text}");
        assert_eq!(Line::parse(text), Ok(line.clone()));
        assert!(line.follows(Head::START) && !line.follows(Head([1; 32])));
        let (start, last) = text.split_once(' ').unwrap();
        for bad in [
            format!(" {text}"),
            format!("{text} "),
            format!("0{text}"),
            format!("+{text}"),
            format!("{start}  {last}"),
            text.to_uppercase(),
            text.replace(" 1795344000 ", " 01795344000 "),
        ] {
            assert!(Line::parse(&bad).is_err(), "{bad}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,120}") {
        let _unused = Line::parse(&text);
        let _unused = Line::parse(&format!("1 2 {text} {}", Head::START));
    }

    #[test]
    fn no_file_panics(octets: Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), octets).unwrap();
        let _unused = open(&dir);
        let _unused = verify::files_in(dir.path());
    }
}
