//! The gate with a vault in memory, a clock to order, and a journal on disk.

use super::*;
use crate::policy::Grant;
use crate::token::fake::FakeToken;
use crate::vault::Vault;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::{Proof, Rule};
use onionkeep_common::{PeriodNumber, Signature};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The peer that may ask.
pub(super) const UID: u32 = 997;
/// When the tests begin.
const START: u64 = 1_795_344_000;

/// A clock that tests set.
#[derive(Clone)]
struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

/// How the vault behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Away,
    Failed,
    /// Certifies another key than was asked for.
    OtherKey,
    /// Chooses another expiration.
    OtherHour,
}

/// A vault that can misbehave.
struct Moody {
    vault: Mutex<Vault<FakeToken>>,
    mood: Arc<Mutex<Mood>>,
}

impl Certifier for Moody {
    fn ask(&self, ask: Ask) -> Answer {
        let Ask::Certify { onion, mut terms } = ask else { panic!("{ask:?}") };
        match *self.mood.lock().unwrap() {
            Mood::Good => {}
            Mood::Away => return Answer::Away { why: "unplugged".to_owned(), retry_after: 9 },
            Mood::Failed => return Answer::Failed("broken".to_owned()),
            Mood::OtherKey => terms.key = key(99).1,
            Mood::OtherHour => terms.expires = ExpirationHours(terms.expires.0 + 1),
        }
        self.vault.lock().unwrap().answer(&Ask::Certify { onion, terms })
    }
}

/// A gate and what is around it.
pub(super) struct Stage {
    pub(super) gate: Arc<Gate>,
    pub(super) onion: OnionAddress,
    clock: TestClock,
    mood: Arc<Mutex<Mood>>,
    dir: tempfile::TempDir,
    token: FakeToken,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::for_uid(UID)
    }

    pub(super) fn for_uid(uid: u32) -> Self {
        let (dir, token) = (tempfile::tempdir().unwrap(), FakeToken::new("1"));
        Journal::create(dir.path()).unwrap();
        let onion = Vault::open(token.clone(), dir.path()).unwrap().generate().unwrap();
        let clock = TestClock(Arc::new(AtomicU64::new(START)));
        let mood = Arc::new(Mutex::new(Mood::Good));
        let gate = Arc::new(gate(&dir, &token, onion, uid, &clock, &mood));
        Self { gate, onion, clock, mood, dir, token }
    }

    /// The same after a restart of the signer.
    fn restarted(self) -> Self {
        let Self { gate: old, onion, clock, mood, dir, token } = self;
        drop(old);
        let gate = Arc::new(gate(&dir, &token, onion, UID, &clock, &mood));
        Self { gate, onion, clock, mood, dir, token }
    }

    /// A request for the period `ahead` of the current one, with the key of `seed`.
    pub(super) fn request(&self, seed: u8, ahead: u64) -> CertifyRequest {
        let period = PeriodNumber(PeriodRule::PUBLIC.number_at(self.clock.now()).0 + ahead);
        request(self.onion, period, seed)
    }

    fn ask(&self, seed: u8, ahead: u64) -> Reply {
        self.gate.answer(UID, &self.request(seed, ahead))
    }

    fn later(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn feel(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

use onionkeep_common::PeriodRule;

fn gate(
    dir: &tempfile::TempDir,
    token: &FakeToken,
    onion: OnionAddress,
    uid: u32,
    clock: &TestClock,
    mood: &Arc<Mutex<Mood>>,
) -> Gate {
    let vault = Mutex::new(Vault::open(token.clone(), dir.path()).unwrap());
    let policy = Policy { grants: vec![Grant { onion, uid }], periods: PeriodRule::PUBLIC };
    let journal = Journal::open(dir.path(), PeriodRule::PUBLIC.number_at(clock.now())).unwrap();
    Gate::new(policy, journal, Box::new(Moody { vault, mood: Arc::clone(mood) }), Box::new(clock.clone()))
}

fn key(seed: u8) -> (SigningKey, DescSigningKey) {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let public = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    (secret, public)
}

fn request(onion: OnionAddress, period: PeriodNumber, seed: u8) -> CertifyRequest {
    let (secret, key) = key(seed);
    let onion = *onion.identity();
    let proof = secret.sign(Proof::new(&onion, period, 1440, &key).as_bytes());
    CertifyRequest { onion, period, length: 1440, key, proof: Signature(proof.to_bytes()) }
}

fn cert(reply: Reply) -> EncodedCert {
    let Reply::Certificate(cert) = reply else { panic!("{reply:?}") };
    cert
}

fn rule(reply: Reply) -> Rule {
    let Reply::Refused { rule, .. } = reply else { panic!("{reply:?}") };
    rule
}

fn reason(reply: Reply) -> AwayReason {
    let Reply::Away { reason, .. } = reply else { panic!("{reply:?}") };
    reason
}

#[test]
fn a_good_request_gets_a_certificate_that_verifies() {
    let stage = Stage::new();
    let request = stage.request(10, 0);
    let cert = cert(stage.gate.answer(UID, &request));
    let read = UncheckedCert::parse(CertType::DescSigning, &cert.0).unwrap().check_signature().unwrap();
    let good = read.check_time(stage.clock.now()).unwrap();
    assert_eq!(good.certified(), request.key.as_bytes());
    assert_eq!(good.expires(), ExpirationHours::of_desc_signing_cert(stage.clock.now()));
    let period = PeriodRule::PUBLIC.at(stage.clock.now());
    assert_eq!(good.signer(), stage.onion.identity().blinded(period).unwrap().as_bytes());
}

#[test]
fn within_its_hour_the_same_certificate_is_given_and_then_a_new_one() {
    let stage = Stage::new();
    stage.later(1);
    let first = cert(stage.ask(10, 0));
    stage.later(600);
    assert_eq!(cert(stage.ask(10, 0)), first);
    stage.later(3600);
    let later = cert(stage.ask(10, 0));
    assert_ne!(later, first);
    assert_ne!(later.0[2..6], first.0[2..6]);
}

#[test]
fn a_key_of_another_period_is_refused_also_after_a_restart() {
    let stage = Stage::new();
    let _certified = cert(stage.ask(10, 0));
    assert_eq!(rule(stage.ask(10, 1)), Rule::KeyFresh);
    let stage = stage.restarted();
    assert_eq!(rule(stage.ask(10, 1)), Rule::KeyFresh);
    let _same_place = cert(stage.ask(10, 0));
}

#[test]
fn another_uid_and_an_unknown_onion_are_refused() {
    let stage = Stage::new();
    assert_eq!(rule(stage.gate.answer(UID + 1, &stage.request(10, 0))), Rule::KnownOnion);
    let stranger =
        OnionAddress::new(onionkeep_common::IdentityKey::from_bytes(*key(77).1.as_bytes()).unwrap());
    let period = PeriodRule::PUBLIC.number_at(stage.clock.now());
    assert_eq!(rule(stage.gate.answer(UID, &request(stranger, period, 10))), Rule::KnownOnion);
}

#[test]
fn nothing_is_recorded_for_a_refused_request() {
    let stage = Stage::new();
    assert_eq!(rule(stage.ask(10, 2)), Rule::PeriodWindow);
    let _fresh = cert(stage.ask(10, 1));
}

#[test]
fn a_clock_that_jumps_back_stops_and_one_that_jumps_far_ahead_finds_no_period() {
    let stage = Stage::new();
    let _now = cert(stage.ask(10, 0));
    stage.clock.0.store(START - 86_400, Ordering::SeqCst);
    assert_eq!(rule(stage.ask(11, 0)), Rule::ClockForward);
    stage.clock.0.store(START + 365 * 86_400, Ordering::SeqCst);
    let today = PeriodRule::PUBLIC.number_at(UnixTime(START));
    assert_eq!(rule(stage.gate.answer(UID, &request(stage.onion, today, 10))), Rule::PeriodWindow);
    stage.clock.0.store(START + 60, Ordering::SeqCst);
    let _again = cert(stage.ask(10, 0));
}

#[test]
fn an_away_vault_and_a_failing_one_are_told_apart() {
    let stage = Stage::new();
    stage.feel(Mood::Away);
    assert_eq!(stage.ask(10, 0), Reply::Away { reason: AwayReason::TokenAway, retry_after: 9 });
    stage.feel(Mood::Failed);
    assert_eq!(reason(stage.ask(10, 0)), AwayReason::Internal);
    stage.feel(Mood::Good);
    let _again = cert(stage.ask(10, 0));
}

#[test]
fn a_wrong_certificate_never_leaves() {
    let stage = Stage::new();
    for mood in [Mood::OtherKey, Mood::OtherHour] {
        stage.feel(mood);
        assert_eq!(reason(stage.ask(10, 0)), AwayReason::Internal);
    }
}

#[test]
fn a_full_disk_releases_nothing_and_goes_on_when_there_is_room() {
    let stage = Stage::new();
    let _first = cert(stage.ask(10, 0));
    stage.gate.books().journal.break_writing_for_test();
    // The journal cannot be written anew either: a directory is in the way.
    let obstacle = stage.dir.path().join("journal.new");
    std::fs::create_dir(&obstacle).unwrap();
    assert_eq!(reason(stage.ask(11, 0)), AwayReason::Storage);
    assert_eq!(reason(stage.ask(11, 0)), AwayReason::Storage);
    let _known_key_needs_no_line = cert(stage.ask(10, 0));
    std::fs::remove_dir(&obstacle).unwrap();
    let _room_again = cert(stage.ask(11, 0));
    let stage = stage.restarted();
    assert_eq!(rule(stage.ask(11, 1)), Rule::KeyFresh);
}

#[test]
fn check_and_record_are_one_step_for_many_threads() {
    let stage = Stage::new();
    let granted: usize = std::thread::scope(|scope| {
        let ask = |seed| {
            let stage = &stage;
            scope.spawn(move || usize::from(matches!(stage.ask(seed, 0), Reply::Certificate(_))))
        };
        let threads: Vec<_> = (10..34).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, crate::policy::KEYS_PER_PERIOD_MAX);
}
