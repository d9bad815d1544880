//! Tests of the state folder.

use super::*;
use onionkeep_common::{EncodedCert, IntroAuthKey, PeriodLength, PeriodNumber};

fn onion() -> OnionAddress {
    crate::config::tests::A.parse().unwrap()
}

fn period(number: u64) -> TimePeriod {
    TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY }
}

#[test]
fn second_publisher_is_kept_out_until_the_first_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let first = StateDir::open(&path).unwrap();
    assert!(matches!(StateDir::open(&path), Err(StateError::Locked { .. })));
    drop(first);
    StateDir::open(&path).unwrap();
}

#[test]
fn counter_secret_is_made_once_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let secret = state.counter_secret().unwrap();
    assert_ne!(*secret, [0; 32]);
    assert_eq!(state.counter_secret().unwrap(), secret);
    let path = dir.path().join("counter-secret");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen('a', "b", 1).replacen('1', "2", 1)).unwrap();
    assert!(matches!(state.counter_secret(), Err(StateError::File(FileError::Damaged { .. }))));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(state.counter_secret(), Err(StateError::File(FileError::Damaged { .. }))));
}

#[test]
fn a_period_is_read_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (mut made, damage) = state.load_or_make(&onion(), period(7)).unwrap();
    assert!(damage.is_none());
    made.revision = 4_019_087_497;
    made.cert = Some(EncodedCert([7; 140]));
    let key = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED.to_bytes();
    made.listed = vec![IntroAuthKey::from_bytes(key).unwrap()];
    made.former_until = Some(onionkeep_common::UnixTime(1_800_000_000));
    state.save(&onion(), &made).unwrap();
    let (read, damage) = state.load_or_make(&onion(), period(7)).unwrap();
    assert!(damage.is_none());
    assert_eq!(*read.keys.to_bytes(), *made.keys.to_bytes());
    assert_eq!((read.revision, read.cert, read.listed), (made.revision, made.cert, made.listed));
    assert_eq!(read.former_until, made.former_until);
    assert!(state.load(&onion(), period(8)).unwrap().is_none());
}

#[test]
fn a_damaged_period_is_set_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (made, _damage) = state.load_or_make(&onion(), period(7)).unwrap();
    let path = state.period_path(&onion(), period(7));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("revision 0", "revision 9")).unwrap();
    let (new, damage) = state.load_or_make(&onion(), period(7)).unwrap();
    assert!(matches!(damage, Some(StateError::File(FileError::Damaged { .. }))));
    assert_ne!(*new.keys.to_bytes(), *made.keys.to_bytes());
    assert!(path.with_extension("damaged").exists());
    let (again, damage) = state.load_or_make(&onion(), period(7)).unwrap();
    assert!(damage.is_none());
    assert_eq!(*again.keys.to_bytes(), *new.keys.to_bytes());
}

#[test]
fn a_file_of_another_period_or_onion_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    state.load_or_make(&onion(), period(7)).unwrap();
    std::fs::copy(state.period_path(&onion(), period(7)), state.period_path(&onion(), period(8))).unwrap();
    assert!(
        matches!(state.load(&onion(), period(8)), Err(StateError::File(FileError::Damaged { what, .. })) if what.contains("another period"))
    );
    let other: OnionAddress = crate::config::tests::D.parse().unwrap();
    make_folder(&state.service_path(&other)).unwrap();
    std::fs::copy(state.period_path(&onion(), period(7)), state.period_path(&other, period(7))).unwrap();
    assert!(
        matches!(state.load(&other, period(7)), Err(StateError::File(FileError::Damaged { what, .. })) if what.contains("another onion"))
    );
}

#[test]
fn old_periods_and_interrupted_writes_go() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    state.remove_before(&onion(), period(5)).unwrap();
    for number in 5..9 {
        state.load_or_make(&onion(), period(number)).unwrap();
    }
    std::fs::write(state.service_path(&onion()).join("8-1440.new"), "half").unwrap();
    state.remove_before(&onion(), period(7)).unwrap();
    let mut left: Vec<_> = std::fs::read_dir(state.service_path(&onion()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["7-1440", "8-1440"]);
}

#[test]
fn next_counter_is_the_curve_or_one_above_the_highest() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (mut period, _damage) = state.load_or_make(&onion(), period(7)).unwrap();
    assert_eq!(period.next_revision(100), 100);
    period.revision = 100;
    assert_eq!(period.next_revision(100), 101);
    assert_eq!(period.next_revision(99), 101);
    assert_eq!(period.next_revision(150), 150);
    period.revision = u64::MAX;
    assert_eq!(period.next_revision(1), u64::MAX);
}

#[test]
fn a_full_disk_is_an_error_and_the_old_state_stays() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    let (mut made, _damage) = state.load_or_make(&onion(), period(7)).unwrap();
    // A folder in the place of the temporary file stands for a write that fails.
    std::fs::create_dir(state.service_path(&onion()).join("7-1440.new")).unwrap();
    made.revision = 5;
    assert!(matches!(state.save(&onion(), &made), Err(StateError::File(FileError::Io { .. }))));
    assert_eq!(state.load(&onion(), period(7)).unwrap().unwrap().revision, 0);
}
