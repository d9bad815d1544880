//! The rules one by one, each with an accept and a reject test, and issuing as a whole.

use super::check;
use super::issue::{Issued, Order, checkpoint, issue};
use super::policy::{self, Facts, Refusal, judge};
use crate::error::{Failure, Kind as Exit};
use crate::ledger::memory::Keep;
use crate::ledger::{Denied, Event, Ledger, Memory, Slot as CertSlot};
use crate::token::fake::FakeToken;
use crate::token::{AuditKey, Token as _};
use crate::vault::Vault;
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{
    Bundle, FileDigest, Kind, Previous, Purpose, Read, Request, RequestId, RequestKey, Slot,
};
use onionkeep_common::wire::Proof;
use onionkeep_common::{
    DescSigningKey, ExpirationHours, OnionAddress, PeriodNumber, PeriodRule, Signature, TimePeriod, UnixTime,
};
use tempfile::TempDir;

mod bounds;
mod cut;

/// A quarter to five in the afternoon of a period that began at noon.
const NOW: UnixTime = UnixTime(1_795_365_900);
/// The publisher.
const PUBLISHER: u8 = 200;

fn secret(seed: u8, number: u64) -> SigningKey {
    let mut octets = [seed; 32];
    octets[..8].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(&octets)
}

fn desc_key(seed: u8, number: u64) -> DescSigningKey {
    DescSigningKey::from_bytes(secret(seed, number).verifying_key().to_bytes()).unwrap()
}

fn requester(seed: u8) -> RequestKey {
    RequestKey(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes())
}

fn now_period() -> u64 {
    PeriodRule::PUBLIC.number_at(NOW).0
}

/// A slot with a good proof.
fn slot(onion: &OnionAddress, seed: u8, period: u64) -> Slot {
    let (number, key) = (PeriodNumber(period), desc_key(seed, period));
    let text = Proof::new(onion.identity(), number, 1440, &key);
    Slot { period: number, key, proof: Signature(secret(seed, period).sign(text.as_bytes()).to_bytes()) }
}

/// A vault with one onion, and a ledger in which the publisher is enrolled.
struct Room {
    dir: TempDir,
    token: FakeToken,
    vault: Vault<FakeToken>,
    ledger: Option<Ledger>,
    onions: Vec<OnionAddress>,
}

impl Room {
    fn new() -> Self {
        let key = onionkeep_core::ExpandedKey::from_seed(&[9; 32]).unwrap();
        Self::with(|vault| vault.keep(&key).unwrap())
    }

    /// A room to practise in.
    fn rehearsal() -> Self {
        // A seed that was searched for once: making one takes many tries.
        let seed = std::array::from_fn(|at| [0, 0, 0xab, 0x24][at % 4]);
        let key = onionkeep_core::ExpandedKey::from_seed(&seed).unwrap();
        Self::with(|vault| vault.keep(&key).unwrap())
    }

    fn with(key: impl FnOnce(&mut Vault<FakeToken>) -> OnionAddress) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = FakeToken::new("1");
        let mut vault = Vault::open(token.clone(), dir.path()).unwrap();
        let onion = key(&mut vault);
        let audit = vault.ensure_audit_key().unwrap();
        Ledger::create(dir.path(), audit, NOW.minus(100)).unwrap();
        let mut room = Self { dir, token, vault, ledger: None, onions: vec![onion] };
        room.reopen();
        room.note(Event::Enrol { onion, key: requester(PUBLISHER) });
        room
    }

    fn reopen(&mut self) {
        self.ledger = None;
        self.ledger = Some(Ledger::open(self.dir.path(), Keep::for_periods(&PeriodRule::PUBLIC)).unwrap());
    }

    fn note(&mut self, event: Event) {
        self.ledger.as_mut().unwrap().append(NOW.minus(50), event).unwrap();
    }

    fn memory(&self) -> &Memory {
        self.ledger.as_ref().unwrap().memory()
    }

    /// The first request: three periods from the next one on, with standby keys.
    fn request(&self) -> Request {
        let first = now_period() + 1;
        let slots = |seed| (first..first + 3).map(|period| slot(&self.onions[0], seed, period)).collect();
        Request {
            purpose: Purpose::Real,
            onion: self.onions[0],
            id: RequestId([4; 16]),
            sequence: 1,
            previous: Previous::First,
            created: NOW.minus(600),
            clockwork: Clockwork::PUBLIC,
            requester: requester(PUBLISHER),
            slots: slots(1),
            standby: slots(2),
        }
    }

    fn order<'a>(&'a self, request: &'a Read<Request>, onions: &'a [OnionAddress]) -> Order<'a> {
        let (periods, state_dir) = (PeriodRule::PUBLIC, self.dir.path());
        let first = request.content.previous == Previous::First;
        Order { request, onions, periods, state_dir, now: NOW, horizon: 30, first, purpose: Purpose::Real }
    }

    /// What a rule says about an altered request and altered circumstances.
    fn says(&self, rule: &str, alter: &dyn Fn(&mut Request, &mut Facts<'_>)) -> Option<Refusal> {
        let mut content = self.request();
        let good = read(content.clone());
        let mut facts = self.order(&good, &self.onions).facts(self.memory());
        alter(&mut content, &mut facts);
        let read = read(content);
        let facts = Facts { request: &read, ..facts };
        judge(&facts).into_iter().find(|(name, _)| *name == rule).unwrap().1
    }

    fn keeps(&self, rule: &str, alter: &dyn Fn(&mut Request, &mut Facts<'_>)) {
        assert_eq!(self.says(rule, alter), None);
    }

    fn breaks(&self, rule: &str, words: &str, alter: &dyn Fn(&mut Request, &mut Facts<'_>)) {
        let refusal = self.says(rule, alter).unwrap();
        let text = refusal.to_string();
        assert!(text.starts_with(&format!("{rule}: ")) && text.ends_with(". Nothing was signed"), "{text}");
        assert!(text.contains(words) && !refusal.fix.is_empty(), "{words}: {text}");
    }

    fn issue(&mut self, request: &Read<Request>) -> Result<Issued, Failure> {
        let (mut ledger, onions) = (self.ledger.take().unwrap(), self.onions.clone());
        let (periods, state_dir) = (PeriodRule::PUBLIC, self.dir.path());
        let first = request.content.previous == Previous::First;
        let purpose = request.content.purpose;
        let order =
            Order { request, onions: &onions, periods, state_dir, now: NOW, horizon: 30, first, purpose };
        let issued = issue(&order, &mut self.vault, &mut ledger, NOW, &mut |_made| {});
        if issued.is_ok() {
            checkpoint(&mut self.vault, &mut ledger, NOW).unwrap();
        }
        self.ledger = Some(ledger);
        issued
    }

    /// The second request, which goes on after a bundle.
    fn second(&self, after: &Issued) -> Request {
        let first = now_period() + 3;
        let slots = |seed| (first..first + 3).map(|period| slot(&self.onions[0], seed, period)).collect();
        let previous = Previous::Bundle(FileDigest::of(&after.main));
        let (id, slots, standby) = (RequestId([5; 16]), slots(3), Vec::new());
        Request { id, sequence: 2, previous, slots, standby, ..self.request() }
    }
}

/// A request as it is read from its file.
fn read(content: Request) -> Read<Request> {
    let key = SigningKey::from_bytes(&[PUBLISHER; 32]);
    let file = content.to_file(|text| Signature(key.sign(text).to_bytes()));
    Read { content, digest: FileDigest::of(file.as_bytes()) }
}

fn other_onion() -> OnionAddress {
    OnionAddress::new(*onionkeep_core::ExpandedKey::from_seed(&[10; 32]).unwrap().public())
}

#[test]
fn req_onion_accepts() {
    Room::new().keeps("req-onion", &|_, _| {});
}

#[test]
fn req_onion_rejects() {
    Room::new().breaks("req-onion", "not configured", &|request, _| request.onion = other_onion());
}

#[test]
fn req_purpose_accepts() {
    let room = Room::new();
    room.keeps("req-purpose", &|_, _| {});
    let room = Room::rehearsal();
    room.keeps("req-purpose", &|request, facts| {
        (request.purpose, facts.purpose) = (Purpose::Rehearsal, Purpose::Rehearsal);
    });
    room.keeps("req-purpose", &|_, facts| facts.purpose = Purpose::Rehearsal);
}

#[test]
fn req_purpose_rejects() {
    let mut room = Room::new();
    room.breaks("req-purpose", "to practise", &|request, _| request.purpose = Purpose::Rehearsal);
    let request = read(room.request());
    room.issue(&request).unwrap();
    room.breaks("req-purpose", "that count", &|_, facts| facts.purpose = Purpose::Rehearsal);
    let fresh = Room::new();
    fresh.breaks("req-purpose", "no address of a rehearsal", &|request, facts| {
        (request.purpose, facts.purpose) = (Purpose::Rehearsal, Purpose::Rehearsal);
    });
    let mut other = Room::rehearsal();
    let rehearsal = read(Request { purpose: Purpose::Rehearsal, ..other.request() });
    other.issue(&rehearsal).unwrap();
    other.breaks("req-purpose", "used to practise", &|_, _| {});
}

#[test]
fn req_enrolled_accepts() {
    Room::new().keeps("req-enrolled", &|_, _| {});
}

#[test]
fn req_enrolled_rejects() {
    let mut room = Room::new();
    room.breaks("req-enrolled", "another publisher", &|request, _| request.requester = requester(7));
    let (onion, key) = (room.onions[0], requester(7));
    room.note(Event::Enrol { onion, key });
    room.breaks("req-enrolled", "another publisher", &|_, _| {});
    room.breaks("req-enrolled", "no publisher", &|request, _| request.onion = other_onion());
}

#[test]
fn req_denied_accepts() {
    let mut room = Room::new();
    room.note(Event::Deny(Denied::Request(RequestId([5; 16]))));
    room.note(Event::Deny(Denied::Key(desc_key(9, 9))));
    room.keeps("req-denied", &|_, _| {});
}

#[test]
fn req_denied_rejects() {
    let key = desc_key(2, now_period() + 2);
    let onion = Room::new().onions[0];
    for denied in [Denied::Request(RequestId([4; 16])), Denied::Key(key), Denied::Onion(onion)] {
        let mut room = Room::new();
        room.note(Event::Deny(denied));
        room.reopen();
        room.breaks("req-denied", "for ever", &|_, _| {});
    }
}

#[test]
fn req_clockwork_accepts() {
    Room::new().keeps("req-clockwork", &|_, _| {});
}

#[test]
fn req_clockwork_rejects() {
    let room = Room::new();
    room.breaks("req-clockwork", "runs of 43200 s", &|request, _| request.clockwork.run = 43_200);
    room.breaks("req-clockwork", "offset 0", &|request, _| request.clockwork.rule.offset.0 = 0);
}

#[test]
fn clock_forward_accepts() {
    Room::new().keeps("clock-forward", &|_, _| {});
}

#[test]
fn clock_forward_rejects() {
    let room = Room::new();
    room.breaks("clock-forward", "the ledger was", &|_, facts| facts.now = NOW.minus(365 * 86_400));
    room.breaks("clock-forward", "the request was", &|request, _| request.created = NOW.plus(3601));
}

#[test]
fn req_chain_accepts() {
    let mut room = Room::new();
    room.keeps("req-chain", &|_, _| {});
    let first = read(room.request());
    let issued = room.issue(&first).unwrap();
    room.reopen();
    let second = room.second(&issued);
    room.keeps("req-chain", &|request, facts| {
        (*request, facts.first) = (second.clone(), false);
    });
    // A publisher that was enrolled anew begins anew.
    let (onion, key) = (room.onions[0], requester(7));
    room.note(Event::Enrol { onion, key });
    room.keeps("req-chain", &|_, _| {});
}

#[test]
fn req_chain_rejects() {
    let mut room = Room::new();
    room.breaks("req-chain", "knows no bundle", &|_, facts| facts.first = false);
    room.breaks("req-chain", "knows no bundle", &|request, _| {
        request.previous = Previous::Bundle(FileDigest([1; 32]));
    });
    let first = read(room.request());
    let issued = room.issue(&first).unwrap();
    let second = room.second(&issued);
    room.breaks("req-chain", "the last bundle", &|_, _| {});
    room.breaks("req-chain", "the last bundle", &|request, _| *request = second.clone());
    room.breaks("req-chain", "there is a gap", &|request, facts| {
        (*request, facts.first) = (second.clone(), false);
        request.slots.iter_mut().for_each(|slot| slot.period.0 += 2);
    });
}

#[test]
fn req_sequence_accepts() {
    Room::new().keeps("req-sequence", &|_, _| {});
}

#[test]
fn req_sequence_rejects() {
    let mut room = Room::new();
    room.breaks("req-sequence", "number 0", &|request, _| request.sequence = 0);
    let first = read(room.request());
    room.issue(&first).unwrap();
    room.breaks("req-sequence", "answered already", &|_, _| {});
}

#[test]
fn req_window_accepts() {
    let room = Room::new();
    room.keeps("req-window", &|_, _| {});
    room.keeps("req-window", &|request, _| request.slots.iter_mut().for_each(|slot| slot.period.0 -= 2));
    room.keeps("req-window", &|request, _| request.slots.iter_mut().for_each(|slot| slot.period.0 += 27));
}

#[test]
fn req_window_rejects() {
    let room = Room::new();
    room.breaks("req-window", "is over", &|request, _| {
        request.slots.iter_mut().for_each(|slot| slot.period.0 -= 3);
    });
    room.breaks("req-window", "more than 30", &|request, _| request.slots[2].period.0 += 28);
    room.breaks("req-window", "more than 90", &|request, facts| {
        facts.horizon = 1000;
        request.slots[2].period.0 += 90;
    });
    room.breaks("req-window", "nothing", &|request, _| request.slots.clear());
    // The clock is a year ahead, or behind.
    room.breaks("req-window", "is over", &|_, facts| facts.now = NOW.plus(365 * 86_400));
    room.breaks("req-window", "more than", &|_, facts| facts.now = NOW.minus(365 * 86_400));
}

#[test]
fn req_fresh_accepts() {
    let mut room = Room::new();
    let onion = room.onions[0];
    room.keeps("req-fresh", &|_, _| {});
    // The same key for the same period over the socket, and in a request that was never answered.
    let period = TimePeriod { number: PeriodNumber(now_period() + 1), length: PeriodRule::PUBLIC.length };
    let key = desc_key(1, now_period() + 1);
    room.note(Event::Asked {
        slot: CertSlot { onion, period, key, expires: ExpirationHours(498_713) },
        uid: 1,
    });
    room.keeps("req-fresh", &|_, _| {});
}

#[test]
fn req_fresh_rejects() {
    let mut room = Room::new();
    room.breaks("req-fresh", "has the key of slot", &|request, _| {
        request.slots[2].key = request.slots[0].key;
    });
    room.breaks("req-fresh", "has the key of slot", &|request, _| {
        request.standby[2].key = request.slots[2].key;
    });
    let identity = *room.onions[0].identity().as_bytes();
    let identity = DescSigningKey::from_bytes(identity).unwrap();
    room.breaks("req-fresh", "a key of the onion", &|request, _| request.slots[1].key = identity);
    let first = read(room.request());
    let issued = room.issue(&first).unwrap();
    room.reopen();
    let second = room.second(&issued);
    room.breaks("req-fresh", "was used before", &|request, _| {
        *request = second.clone();
        request.slots[0].key = first.content.standby[0].key;
    });
    // And by the socket for another period.
    let mut room = Room::new();
    let (onion, key) = (room.onions[0], desc_key(1, now_period() + 1));
    let period = TimePeriod { number: PeriodNumber(now_period()), length: PeriodRule::PUBLIC.length };
    room.note(Event::Asked {
        slot: CertSlot { onion, period, key, expires: ExpirationHours(498_713) },
        uid: 1,
    });
    room.breaks("req-fresh", "was used before", &|_, _| {});
}

#[test]
fn req_proof_accepts() {
    Room::new().keeps("req-proof", &|_, _| {});
}

#[test]
fn req_proof_rejects() {
    let room = Room::new();
    room.breaks("req-proof", "no proof", &|request, _| request.slots[1].proof = request.slots[0].proof);
    room.breaks("req-proof", "no proof", &|request, _| request.standby[1].proof.0[0] ^= 1);
}

#[test]
fn clock_confirmed_accepts() {
    for watch in [NOW, NOW.plus(3600), NOW.minus(3600)] {
        assert_eq!(policy::clock_confirmed(NOW, watch), Ok(()));
    }
}

#[test]
fn clock_confirmed_rejects() {
    for watch in [NOW.plus(7200), NOW.minus(7200), UnixTime(0), NOW.plus(365 * 86_400)] {
        let refusal = policy::clock_confirmed(NOW, watch).unwrap_err();
        assert_eq!(Failure::from(refusal).kind(), Exit::Clock);
    }
}

/// The token's audit key.
fn audit(room: &mut Room) -> AuditKey {
    room.token.audit_key().unwrap()
}

#[test]
fn audit_first_accepts() {
    let mut room = Room::new();
    let (request, key) = (read(room.request()), audit(&mut room));
    room.issue(&request).unwrap();
    assert_eq!(policy::audit_first(room.memory(), &request, key, key), Ok(()));
}

#[test]
fn audit_first_rejects() {
    let mut room = Room::new();
    let (request, key) = (read(room.request()), audit(&mut room));
    assert!(policy::audit_first(room.memory(), &request, key, key).is_err());
    room.issue(&request).unwrap();
    let other = AuditKey::Ed25519(requester(1).0);
    assert!(policy::audit_first(room.memory(), &request, key, other).is_err());
    // A full disk: nothing is asked of the token, so nothing is signed.
    let mut full = Room::new();
    full.ledger.as_mut().unwrap().break_writing_for_test();
    let before = full.token.inside.lock().unwrap().macs;
    assert_eq!(full.issue(&request).unwrap_err().kind(), Exit::Usage);
    assert_eq!(full.token.inside.lock().unwrap().macs, before);
}

/// A bundle that was issued.
fn bundle() -> (Bundle, Vec<u8>, AuditKey) {
    let mut room = Room::new();
    let request = read(room.request());
    let file = room.issue(&request).unwrap().main;
    (Bundle::parse(&file).unwrap().0.content, file, audit(&mut room))
}

#[test]
fn cert_expiry_accepts() {
    assert_eq!(policy::cert_expiry(&bundle().0), Ok(()));
}

#[test]
fn cert_expiry_rejects() {
    let (good, _file, _key) = bundle();
    let alter = |alter: &dyn Fn(&mut Bundle)| {
        let mut bad = good.clone();
        alter(&mut bad);
        policy::cert_expiry(&bad).is_err()
    };
    assert!(alter(&|bad| bad.slots[0].certs.swap(1, 2)));
    assert!(alter(&|bad| bad.slots[1].certs[52].0[5] ^= 1));
    assert!(alter(&|bad| bad.slots[2].certs.truncate(52)));
}

#[test]
fn cert_verify_accepts() {
    let (bundle, file, key) = bundle();
    assert_eq!(policy::cert_verify(&file, &bundle, key), Ok(()));
}

#[test]
fn cert_verify_rejects() {
    let (good, file, key) = bundle();
    let mut cert = good.clone();
    cert.slots[1].certs[7].0[100] ^= 1;
    assert!(policy::cert_verify(cert.to_file(&[1; 64]).as_bytes(), &cert, key).is_err());
    assert!(policy::cert_verify(&file, &cert, key).is_err());
    assert!(policy::cert_verify(good.to_file(&[1; 64]).as_bytes(), &good, key).is_err());
    assert!(policy::cert_verify(&file, &good, AuditKey::Ed25519(requester(1).0)).is_err());
}

#[test]
fn a_request_is_answered_once_and_then_by_the_same_octets() {
    let mut room = Room::new();
    let content = room.request();
    let request = read(content.clone());
    let issued = room.issue(&request).unwrap();
    let key = SigningKey::from_bytes(&[PUBLISHER; 32]);
    let file = content.to_file(|text| Signature(key.sign(text).to_bytes()));
    for (octets, kind) in [(&issued.main, Kind::Main), (issued.emergency.as_ref().unwrap(), Kind::Emergency)]
    {
        let (onion, auditor) = (room.onions[0], Some(audit(&mut room)));
        let wanted = check::Wanted { onion, request: Some(file.as_bytes()), auditor, purpose: Purpose::Real };
        let good = check::bundle(octets, &wanted).unwrap();
        assert_eq!((good.content.kind, good.content.certificates()), (kind, 3 * 53));
        assert!(check::report(&good, &wanted).ends_with("VALID\n"));
        let other = check::Wanted { onion: other_onion(), ..wanted };
        assert!(check::bundle(octets, &other).unwrap_err().contains("it is for"));
        let practice = check::Wanted { purpose: Purpose::Rehearsal, ..wanted };
        assert!(check::bundle(octets, &practice).is_err());
        let auditor = Some(AuditKey::Ed25519(requester(1).0));
        assert!(
            check::bundle(octets, &check::Wanted { auditor, ..wanted }).unwrap_err().contains("known is")
        );
    }
    // Without the token, after a restart, and after the ledger has begun a further file.
    room.token.inside.lock().unwrap().away = true;
    for _again in 0..2 {
        room.reopen();
        assert_eq!(room.issue_again(&request), issued);
        room.ledger.as_mut().unwrap().rotate_after_for_test(0);
        room.note(Event::Deny(Denied::Request(RequestId([77; 16]))));
        room.ledger.as_mut().unwrap().rotate_after_for_test(u64::MAX);
    }
    let path = room.dir.path().join("ceremony").join(FileDigest::of(&issued.main).to_string());
    std::fs::write(path, b"altered").unwrap();
    assert!(room.issue(&request).unwrap_err().to_string().contains("not usable"));
}

impl Room {
    /// Asks again while the token is away.
    fn issue_again(&self, request: &Read<Request>) -> Issued {
        self.order(request, &self.onions).answered(self.memory()).unwrap().unwrap()
    }
}

#[test]
fn a_token_that_goes_away_leaves_nothing_and_the_next_try_ends_it() {
    let mut room = Room::new();
    let request = read(room.request());
    room.token.inside.lock().unwrap().away = true;
    let failure = room.issue(&request).unwrap_err();
    assert_eq!(failure.kind(), Exit::Away);
    assert!(failure.to_string().contains("no bundle was issued"), "{failure}");
    assert!(!room.dir.path().join("ceremony").exists());
    room.token.inside.lock().unwrap().away = false;
    // Wrong signatures of the token are noticed before anything leaves.
    room.token.inside.lock().unwrap().wrong_signatures = true;
    assert!(room.issue(&request).is_err());
    room.token.inside.lock().unwrap().wrong_signatures = false;
    room.reopen();
    let issued = room.issue(&request).unwrap();
    let second = read(room.second(&issued));
    let after = room.issue(&second).unwrap();
    assert_eq!(after.emergency, None);
    let (one, two) = (Bundle::parse(&issued.main).unwrap().0, Bundle::parse(&after.main).unwrap().0);
    assert!(two.content.ledger.sequence > one.content.ledger.sequence);
    assert_eq!(two.content.previous, Previous::Bundle(one.digest));
}

#[test]
fn what_holds_for_ever_is_in_every_further_file_of_the_ledger() {
    let mut room = Room::new();
    let first = read(room.request());
    let issued = room.issue(&first).unwrap();
    let second = read(room.second(&issued));
    let last = room.issue(&second).unwrap();
    let mut fresh = Memory::new(Keep::for_periods(&PeriodRule::PUBLIC));
    let mut head = crate::ledger::Head::START;
    for (seq, event) in (1..).zip(room.memory().repeated()) {
        let line = crate::ledger::Line::new(head, seq, NOW, event);
        head = line.head;
        fresh.learn(&line);
    }
    let (onion, ceremonies) = (room.onions[0], fresh.ceremonies());
    assert_eq!(ceremonies.requester(&onion), Some(requester(PUBLISHER)));
    assert_eq!(ceremonies.last(&onion).unwrap().main, FileDigest::of(&last.main));
    assert!(ceremonies.is_real() && !ceremonies.is_rehearsed());
    for slot in first.content.slots.iter().chain(&second.content.slots) {
        assert!(ceremonies.used(&slot.key).is_some());
    }
    assert_eq!(fresh.repeated().len(), room.memory().repeated().len());
}
