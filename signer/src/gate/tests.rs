//! The gate with a vault in memory, a clock to order, and a ledger on disk.

use super::*;
use crate::ledger::device_log::DeviceLog;
use crate::ledger::verify::{Checker, Report, files_in};
use crate::ledger::{Denied, Event, Head, Keep};
use crate::policy::{Budget, Grant};
use crate::token::fake::FakeToken;
use crate::vault::Vault;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::{Proof, Rule};
use onionkeep_common::{DescSigningKey, ExpirationHours, PeriodNumber, Signature};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod record;

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
        let Ask::Certify { onion, mut terms } = ask else { return self.vault.lock().unwrap().answer(&ask) };
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
        let mut vault = Vault::open(token.clone(), dir.path()).unwrap();
        let key = vault.ensure_audit_key().unwrap();
        Ledger::create(dir.path(), key, UnixTime(START)).unwrap();
        let onion = vault.generate().unwrap();
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

    /// What an auditor finds in the ledger.
    fn audit(&self) -> Report {
        let files = files_in(self.dir.path()).unwrap();
        let key = Vault::open(self.token.clone(), self.dir.path()).unwrap().audit_key().unwrap();
        Checker::new(vec![key], None, &mut |_line| {}).files(&files).unwrap()
    }

    /// How many lines of the ledger are about an event.
    fn lines(&self, word: &str) -> usize {
        let files = files_in(self.dir.path()).unwrap();
        let mut count = 0;
        let mut each = |line: &crate::ledger::Line| count += usize::from(line.event.word() == word);
        Checker::new(Vec::new(), None, &mut each).files(&files).unwrap();
        count
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
    let policy =
        Policy { grants: vec![Grant { onion, uid, budget: Budget::DEFAULT }], periods: PeriodRule::PUBLIC };
    let ledger = Ledger::open(dir.path(), Keep::for_periods(&PeriodRule::PUBLIC)).unwrap();
    Gate::new(policy, ledger, Box::new(Moody { vault, mood: Arc::clone(mood) }), Box::new(clock.clone()))
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

#[test]
fn within_its_hour_the_stored_certificate_is_given_also_after_a_restart() {
    let stage = Stage::new();
    let first = cert(stage.ask(10, 0));
    let stage = stage.restarted();
    assert_eq!(cert(stage.ask(10, 0)), first);
    assert_eq!((stage.lines("asked"), stage.lines("issued")), (1, 1));
    stage.later(3600);
    assert_ne!(cert(stage.ask(10, 0)), first);
    assert_eq!(stage.audit().certificates, 2);
}

#[test]
fn simultaneous_requests_for_one_slot_get_one_certificate_from_one_question() {
    let stage = Stage::new();
    stage.token.inside.lock().unwrap().slow = Duration::from_millis(30);
    let before = stage.token.inside.lock().unwrap().macs;
    let certs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| cert(stage.ask(10, 0)).0)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(certs.windows(2).all(|two| two[0] == two[1]));
    assert_eq!(stage.token.inside.lock().unwrap().macs - before, 1);
    assert_eq!((stage.lines("asked"), stage.lines("issued")), (1, 1));
}

#[test]
fn a_flight_that_fails_is_told_to_all_and_the_next_request_starts_anew() {
    let stage = Stage::new();
    stage.feel(Mood::Failed);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| stage.ask(10, 0))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|reply| matches!(reply, Reply::Away { .. })), "{replies:?}");
    stage.feel(Mood::Good);
    let _again = cert(stage.ask(10, 0));
    // What was asked for stays asked for: one line, however often the vault failed.
    assert_eq!((stage.lines("asked"), stage.lines("issued")), (1, 1));
}

#[test]
fn a_denied_key_gets_nothing_not_even_what_is_stored() {
    let stage = Stage::new();
    let _first = cert(stage.ask(10, 0));
    let (dir, key) = (stage.dir.path().to_owned(), stage.request(10, 0).key);
    let Stage { gate: old, onion, clock, mood, dir: home, token } = stage;
    drop(old);
    let mut ledger = Ledger::open(&dir, Keep::for_periods(&PeriodRule::PUBLIC)).unwrap();
    ledger.append(clock.now(), Event::Deny(Denied::Key(key))).unwrap();
    drop(ledger);
    let gate = Arc::new(gate(&home, &token, onion, UID, &clock, &mood));
    let stage = Stage { gate, onion, clock, mood, dir: home, token };
    assert_eq!(rule(stage.ask(10, 0)), Rule::DeniedKey);
    let _other_key = cert(stage.ask(11, 0));
}
