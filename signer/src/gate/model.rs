//! Check and record under every order of threads that shuttle tries: the real gate, books and ledger, a vault that yields.
//! Run by `tests/model` only. The books with a mistake (`books/spoiled.rs`) must be found.

use super::*;
use crate::ledger::verify::{Checker, Report, files_in};
use crate::ledger::{Event, Keep, Line};
use crate::policy::{Budget, Grant, KEYS_PER_PERIOD_MAX};
use crate::token::fake::FakeToken;
use crate::vault::Vault;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::wire::{Proof, Rule};
use onionkeep_common::{DescSigningKey, PeriodRule, Signature};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};

/// When the stories happen.
const NOW: UnixTime = UnixTime(1_795_344_000);
/// The peer.
const UID: u32 = 997;
/// Keys that are used.
const KEYS: u8 = 12;

/// What is the same in every order: made once, because it is slow.
struct World {
    onion: OnionAddress,
    audit: crate::audit_key::AuditKey,
    requests: Vec<CertifyRequest>,
    certs: BTreeMap<DescSigningKey, EncodedCert>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::open(FakeToken::new("1"), dir.path()).unwrap();
    let audit = vault.ensure_audit_key().unwrap();
    let onion = vault.generate().unwrap();
    let requests: Vec<_> = (0..KEYS).map(|seed| request(onion, seed)).collect();
    let certs = requests.iter().map(|request| {
        let slot = slot(onion, request.key);
        let terms = CertTerms { period: slot.period, key: slot.key, expires: slot.expires };
        (request.key, vault.certify(onion, &terms).unwrap())
    });
    let certs = certs.collect();
    World { onion, audit, requests, certs }
});

fn request(onion: OnionAddress, seed: u8) -> CertifyRequest {
    let secret = SigningKey::from_bytes(&[seed + 10; 32]);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
    let (onion, period) = (*onion.identity(), PeriodRule::PUBLIC.number_at(NOW));
    let proof = secret.sign(Proof::new(&onion, period, 1440, &key).as_bytes());
    CertifyRequest { onion, period, length: 1440, key, proof: Signature(proof.to_bytes()) }
}

fn slot(onion: OnionAddress, key: DescSigningKey) -> Slot {
    let expires = onionkeep_common::ExpirationHours::of_desc_signing_cert(NOW);
    Slot { onion, period: PeriodRule::PUBLIC.at(NOW), key, expires }
}

/// A clock that stands.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixTime {
        NOW
    }
}

/// What the vault does besides certifying.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// It is away when it is asked for the first time.
    AwayOnce,
    /// One write of the disk fails after the first question.
    DiskOnce,
    /// The disk fails for good after the first question.
    DiskForGood,
}

/// What was seen by the vault.
#[derive(Default)]
struct Seen {
    asks: usize,
    in_flight: BTreeSet<DescSigningKey>,
}

/// A vault that yields, and looks at the disk whenever it is asked.
struct Watcher {
    dir: PathBuf,
    trouble: Trouble,
    seen: Mutex<Seen>,
    /// The gate that it answers, whose disk it can break.
    gate: OnceLock<Weak<Gate>>,
}

impl Watcher {
    /// Notes a question; the count of those before it.
    fn begins(&self, key: DescSigningKey) -> usize {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.in_flight.insert(key), "two flights for one slot");
        seen.asks += 1;
        seen.asks - 1
    }

    fn break_disk(&self) {
        let gate = self.gate.get().and_then(Weak::upgrade).unwrap();
        gate.books.break_writing_for_test();
        if self.trouble == Trouble::DiskForGood {
            std::fs::rename(self.dir.join("ledger"), self.dir.join("gone")).unwrap();
        }
    }
}

impl Certifier for Watcher {
    fn ask(&self, ask: Ask) -> Answer {
        let Ask::Certify { onion: _, terms } = ask else { return Answer::Failed("not now".to_owned()) };
        let before = self.begins(terms.key);
        let broken = self.trouble == Trouble::DiskForGood && before > 0;
        assert!(broken || count(&self.dir, &terms.key, "asked") == 1, "asked is not on the disk");
        thread::yield_now();
        match self.trouble {
            Trouble::AwayOnce if before == 0 => {
                self.seen.lock().unwrap().in_flight.remove(&terms.key);
                return Answer::Away { why: "unplugged".to_owned(), retry_after: 9 };
            }
            Trouble::DiskOnce | Trouble::DiskForGood if before == 0 => self.break_disk(),
            Trouble::None | Trouble::AwayOnce | Trouble::DiskOnce | Trouble::DiskForGood => {}
        }
        thread::yield_now();
        self.seen.lock().unwrap().in_flight.remove(&terms.key);
        Answer::Certificate(WORLD.certs[&terms.key])
    }
}

/// The lines on the disk.
fn lines(dir: &std::path::Path) -> Vec<Line> {
    let text = std::fs::read_to_string(dir.join("ledger")).unwrap_or_default();
    text.lines().map(|line| Line::parse(line).unwrap()).collect()
}

/// How many lines of the disk ask for, or give, a certificate of this key.
fn count(dir: &std::path::Path, key: &DescSigningKey, word: &str) -> usize {
    let about = |line: &&Line| match &line.event {
        Event::Asked { slot, uid: _ } => slot.key == *key,
        Event::Issued { asked: _, cert } => *cert == WORLD.certs[key],
        _ => false,
    };
    lines(dir).iter().filter(|line| line.event.word() == word).filter(about).count()
}

/// How requests are answered; what is given to the second function leaves the signer.
type Way = fn(&Gate, &CertifyRequest, &dyn Fn(&Reply));

/// As in earnest.
fn right(gate: &Gate, request: &CertifyRequest, leaves: &dyn Fn(&Reply)) {
    leaves(&gate.answer(UID, request));
}

/// A gate and what is around it, for one order.
struct Stage {
    gate: Arc<Gate>,
    watcher: Arc<Watcher>,
    dir: tempfile::TempDir,
}

impl Stage {
    /// A gate whose ledger already has `known` keys.
    fn new(trouble: Trouble, known: usize) -> Self {
        let (world, dir) = (&*WORLD, tempfile::tempdir().unwrap());
        Ledger::create(dir.path(), world.audit, NOW).unwrap();
        let mut ledger = Ledger::open(dir.path(), Keep::for_periods(&PeriodRule::PUBLIC)).unwrap();
        for request in world.requests.iter().rev().take(known) {
            let slot = slot(world.onion, request.key);
            ledger.append(NOW, Event::Asked { slot, uid: UID }).unwrap();
        }
        let grant = Grant { onion: world.onion, uid: UID, budget: Budget::DEFAULT };
        let policy = Policy { grants: vec![grant], periods: PeriodRule::PUBLIC };
        let watcher = Arc::new(Watcher {
            dir: dir.path().to_owned(),
            trouble,
            seen: Mutex::default(),
            gate: OnceLock::new(),
        });
        let gate = Arc::new(Gate::new(policy, ledger, Box::new(Arc::clone(&watcher)), Box::new(Noon)));
        assert!(watcher.gate.set(Arc::downgrade(&gate)).is_ok());
        Self { gate, watcher, dir }
    }

    /// Asks from one thread for each of these keys; the replies, each of which was on the disk when it left.
    fn ask(&self, keys: &[usize], way: Way) -> Vec<Reply> {
        let threads: Vec<_> = keys
            .iter()
            .map(|key| {
                let (gate, request) = (Arc::clone(&self.gate), WORLD.requests[*key]);
                let dir = self.dir.path().to_owned();
                thread::spawn(move || {
                    let kept = Mutex::new(None);
                    way(&gate, &request, &|reply| {
                        let given = matches!(reply, Reply::Certificate(_));
                        let issued = count(&dir, &request.key, "issued");
                        assert!(!given || issued > 0, "issued is not on the disk");
                        assert!(issued < 2, "two flights for one slot");
                        *kept.lock().unwrap() = Some(reply.clone());
                    });
                    kept.into_inner().unwrap().unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }

    fn asks(&self) -> usize {
        self.watcher.seen.lock().unwrap().asks
    }

    /// What an auditor finds.
    fn audit(&self) -> Report {
        let files = files_in(self.dir.path()).unwrap();
        Checker::new(Vec::new(), None, &mut |_line| {}).files(&files).unwrap()
    }
}

fn certificates(replies: &[Reply]) -> usize {
    replies.iter().filter(|reply| matches!(reply, Reply::Certificate(_))).count()
}

/// Tells a story in many orders: at random, and with few changes at bad moments (PCT).
fn in_many_orders(story: impl Fn() + Send + Sync + Copy + 'static) {
    LazyLock::force(&WORLD);
    let orders = std::env::var("MODEL_ORDERS").map_or(200, |orders| orders.parse().unwrap());
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    shuttle::Runner::new(RandomScheduler::new(orders), config.clone()).run(story);
    shuttle::Runner::new(PctScheduler::new(3, orders), config).run(story);
}

/// Three ask for one certificate: the vault is asked once, all get the same octets, both lines stand there once.
fn one_slot(way: Way) {
    let stage = Stage::new(Trouble::None, 0);
    let replies = stage.ask(&[0, 0, 0], way);
    let key = WORLD.requests[0].key;
    assert!(replies.iter().all(|reply| *reply == Reply::Certificate(WORLD.certs[&key])), "{replies:?}");
    assert_eq!((stage.asks(), stage.audit().certificates, stage.audit().to), (1, 1, 3));
}

/// Two ask with a new key each when there is room for one.
fn last_place(way: Way) {
    let stage = Stage::new(Trouble::None, KEYS_PER_PERIOD_MAX - 1);
    let replies = stage.ask(&[0, 1], way);
    let full = Reply::Refused { rule: Rule::KeysPerPeriod, retry_after: 0 };
    assert!(certificates(&replies) == 1 && replies.contains(&full), "more keys than a period may have");
}

#[test]
fn of_three_requests_for_one_certificate_one_asks_the_vault_and_all_get_the_same() {
    in_many_orders(|| one_slot(right));
}

#[test]
fn the_last_free_place_of_a_period_is_given_once() {
    in_many_orders(|| last_place(right));
}

#[test]
fn when_the_vault_is_away_nobody_waits_for_ever_and_the_next_one_is_served() {
    in_many_orders(|| {
        let stage = Stage::new(Trouble::AwayOnce, 0);
        let replies = stage.ask(&[0, 0, 1], right);
        assert!(certificates(&replies) < 3 && stage.asks() >= 2);
        assert_eq!(certificates(&stage.ask(&[0, 1], right)), 2);
        assert_eq!(stage.audit().certificates, 2);
    });
}

#[test]
fn what_leaves_around_a_failed_write_is_on_the_disk() {
    in_many_orders(|| {
        let stage = Stage::new(Trouble::DiskOnce, 0);
        let replies = stage.ask(&[0, 0, 1], right);
        assert!(certificates(&replies) < 3, "the write did not fail");
        let given: BTreeSet<_> = replies
            .iter()
            .filter_map(|reply| match reply {
                Reply::Certificate(cert) => Some(cert.0),
                _ => None,
            })
            .collect();
        let report = stage.audit();
        assert!(usize::try_from(report.certificates).unwrap() >= given.len());
        assert_eq!(certificates(&stage.ask(&[0, 1], right)), 2, "it does not go on");
    });
}

#[test]
fn nothing_leaves_after_the_disk_has_failed_for_good() {
    in_many_orders(|| {
        let stage = Stage::new(Trouble::DiskForGood, 0);
        assert_eq!(certificates(&stage.ask(&[0, 0], right)), 0);
        assert_eq!(certificates(&stage.ask(&[0], right)), 0);
    });
}

/// The order of [`Gate::decide`] with a mistake.
fn spoiled(gate: &Gate, request: &CertifyRequest, leaves: &dyn Fn(&Reply), mistake: Mistake) {
    let question = Question { request, uid: UID, now: NOW };
    let admitted = match mistake {
        Mistake::CheckWithoutLock => gate.books.admit_by_halves(&gate.policy, &question),
        Mistake::AnswerFirst | Mistake::Silence => gate.books.admit(&gate.policy, &question),
    };
    let (slot, asked) = match admitted {
        Ok(Admitted::New(slot, asked)) => (slot, asked),
        Ok(Admitted::Issued(cert)) => return leaves(&Reply::Certificate(cert)),
        Err(Denial::Refused(Refusal { rule, retry_after })) => {
            return leaves(&Reply::Refused { rule, retry_after });
        }
        Err(Denial::Away { reason, retry_after, why: _ }) => {
            return leaves(&Reply::Away { reason, retry_after });
        }
    };
    let Ok(cert) = gate.certify(&slot, NOW) else { panic!("the vault was away") };
    let reply = Reply::Certificate(cert);
    if mistake == Mistake::AnswerFirst {
        leaves(&reply);
    }
    let landed = match mistake {
        Mistake::Silence => gate.books.land_in_silence(&slot, asked, NOW, Some(cert)),
        Mistake::AnswerFirst | Mistake::CheckWithoutLock => gate.books.land(&slot, asked, NOW, Some(cert)),
    };
    assert!(landed.is_ok());
    if mistake != Mistake::AnswerFirst {
        leaves(&reply);
    }
}

/// What the books do wrong.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    /// The answer leaves before it is recorded.
    AnswerFirst,
    /// Between check and record others can come in.
    CheckWithoutLock,
    /// Who waits is not told.
    Silence,
}

fn answer_first(gate: &Gate, request: &CertifyRequest, leaves: &dyn Fn(&Reply)) {
    spoiled(gate, request, leaves, Mistake::AnswerFirst);
}

fn by_halves(gate: &Gate, request: &CertifyRequest, leaves: &dyn Fn(&Reply)) {
    spoiled(gate, request, leaves, Mistake::CheckWithoutLock);
}

fn in_silence(gate: &Gate, request: &CertifyRequest, leaves: &dyn Fn(&Reply)) {
    spoiled(gate, request, leaves, Mistake::Silence);
}

#[test]
#[should_panic(expected = "issued is not on the disk")]
fn an_answer_before_its_record_is_found() {
    in_many_orders(|| one_slot(answer_first));
}

#[test]
#[should_panic(expected = "two flights for one slot")]
fn a_check_without_the_lock_is_found_by_the_second_flight() {
    in_many_orders(|| one_slot(by_halves));
}

#[test]
#[should_panic(expected = "more keys than a period may have")]
fn a_check_without_the_lock_is_found_by_the_limit_that_is_passed() {
    in_many_orders(|| last_place(by_halves));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_flight_that_ends_in_silence_is_found() {
    in_many_orders(|| one_slot(in_silence));
}
