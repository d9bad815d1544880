//! What the tests of the ceremony stand on: a vault with one onion, a ledger, and requests that are good until a test alters them.

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
mod issuing;
mod making;
mod request;

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

/// The token's audit key.
fn audit(room: &mut Room) -> AuditKey {
    room.token.audit_key().unwrap()
}

/// A bundle that was issued.
fn bundle() -> (Bundle, Vec<u8>, AuditKey) {
    let mut room = Room::new();
    let request = read(room.request());
    let file = room.issue(&request).unwrap().main;
    (Bundle::parse(&file).unwrap().0.content, file, audit(&mut room))
}
