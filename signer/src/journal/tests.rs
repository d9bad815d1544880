//! The journal across restarts, crashes and tampering.

use super::*;

/// An entry with a key made from `seed`.
fn entry(seed: u8, period: u64) -> Entry {
    let public = |seed: u8| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let identity = onionkeep_common::IdentityKey::from_bytes(public(200)).unwrap();
    Entry {
        onion: OnionAddress::new(identity),
        period: TimePeriod { number: PeriodNumber(period), length: PeriodLength::DAY },
        key: DescSigningKey::from_bytes(public(seed)).unwrap(),
        time: UnixTime(1_700_000_000 + u64::from(seed)),
    }
}

fn open(dir: &tempfile::TempDir) -> Result<Journal, JournalError> {
    Journal::open(dir.path(), PeriodNumber(100))
}

#[test]
fn entries_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    let mut journal = open(&dir).unwrap();
    journal.record(entry(1, 100)).unwrap();
    journal.record(entry(2, 101)).unwrap();
    drop(journal);
    let journal = open(&dir).unwrap();
    assert_eq!(journal.entries(), [entry(1, 100), entry(2, 101)]);
    assert_eq!(journal.latest(), entry(2, 101).time);
}

#[test]
fn a_missing_journal_is_an_error_and_an_existing_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(&dir), Err(JournalError::Missing(_))));
    Journal::create(dir.path()).unwrap();
    assert!(matches!(Journal::create(dir.path()), Err(JournalError::Exists(_))));
}

#[test]
fn a_line_cut_by_a_crash_is_dropped_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let whole = format!("{HEAD}\n{}", entry(1, 100).to_line());
    let last = entry(2, 100).to_line();
    for len in 0..last.len() {
        std::fs::write(dir.path().join(FILE), format!("{whole}{}", last.get(..len).unwrap())).unwrap();
        let mut journal = open(&dir).unwrap();
        assert_eq!(journal.entries(), [entry(1, 100)], "{len} octets");
        journal.record(entry(3, 100)).unwrap();
        drop(journal);
        assert_eq!(open(&dir).unwrap().entries(), [entry(1, 100), entry(3, 100)]);
    }
}

#[test]
fn a_broken_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = entry(1, 100).to_line();
    for bad in ["v2 x\n", "\n", &good.replace("v1 ", "v1  "), &good.replace(" 1440 ", " 0 ")] {
        std::fs::write(dir.path().join(FILE), format!("{HEAD}\n{good}{bad}{good}")).unwrap();
        assert!(matches!(open(&dir), Err(JournalError::Broken { line: 3, .. })), "{bad:?}");
    }
    std::fs::write(dir.path().join(FILE), "something else\n").unwrap();
    assert!(matches!(open(&dir), Err(JournalError::Broken { line: 1, .. })));
}

#[test]
fn old_periods_are_pruned_and_recent_ones_kept() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    let mut journal = open(&dir).unwrap();
    journal.record(entry(1, 89)).unwrap();
    journal.record(entry(2, 100)).unwrap();
    drop(journal);
    assert_eq!(open(&dir).unwrap().entries(), [entry(2, 100)]);
    let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_clock_that_runs_ahead_does_not_empty_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    open(&dir).unwrap().record(entry(1, 100)).unwrap();
    let ahead = Journal::open(dir.path(), PeriodNumber(100_000)).unwrap();
    assert_eq!(ahead.entries(), [entry(1, 100)]);
}

#[test]
fn a_full_disk_releases_nothing_and_the_journal_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    let mut journal = open(&dir).unwrap();
    journal.record(entry(1, 100)).unwrap();
    journal.break_writing_for_test();
    assert!(matches!(journal.record(entry(2, 100)), Err(JournalError::Io { .. })));
    assert_eq!(journal.entries(), [entry(1, 100)]);
    journal.record(entry(3, 100)).unwrap();
    drop(journal);
    assert_eq!(open(&dir).unwrap().entries(), [entry(1, 100), entry(3, 100)]);
}

#[test]
fn after_a_write_in_doubt_the_file_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    let mut journal = open(&dir).unwrap();
    journal.record(entry(1, 100)).unwrap();
    // What a failed fsync may have left behind.
    std::fs::write(dir.path().join(FILE), format!("{HEAD}\nhalf of a li")).unwrap();
    journal.doubtful = true;
    journal.record(entry(2, 100)).unwrap();
    drop(journal);
    assert_eq!(open(&dir).unwrap().entries(), [entry(1, 100), entry(2, 100)]);
}

#[test]
fn a_second_signer_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    Journal::create(dir.path()).unwrap();
    let first = open(&dir).unwrap();
    assert!(matches!(open(&dir), Err(JournalError::InUse(_))));
    drop(first);
    assert!(open(&dir).is_ok());
}

#[test]
fn octets_that_are_no_text_are_named_by_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut octets = format!("{HEAD}\n{}", entry(1, 100).to_line()).into_bytes();
    octets.extend(b"\xff\n");
    std::fs::write(dir.path().join(FILE), octets).unwrap();
    assert!(matches!(open(&dir), Err(JournalError::Broken { line: 3, .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}(\n\\PC{0,80}){0,4}") {
        let _unused = parse(Path::new("journal"), &text);
        let _unused = parse(Path::new("journal"), &format!("{HEAD}\n{text}\n"));
    }

    #[test]
    fn a_line_reads_back(seed: u8, period in 0u64..1 << 40) {
        let entry = entry(seed, period);
        proptest::prop_assert_eq!(Entry::parse(entry.to_line().trim_end()), Ok(entry));
    }
}
