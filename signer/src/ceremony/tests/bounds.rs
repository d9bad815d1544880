//! The rules at their very bounds: to the second, to the period, and each half of each condition alone.

use super::*;
use crate::error::Explain as _;
use crate::ledger::Requested;
use onionkeep_common::PeriodLength;

#[test]
fn a_refusal_says_what_to_do_and_where_it_broke() {
    let room = Room::new();
    let refusal = room.says("req-onion", &|request, _| request.onion = other_onion()).unwrap();
    assert_eq!(refusal.hint(), refusal.fix);
    assert_eq!(refusal.kind(), Exit::Refused);
    let refusal = room.says("clock-forward", &|request, _| request.created = NOW.plus(3601)).unwrap();
    assert_eq!(refusal.kind(), Exit::Clock);
    let mut bundle = bundle().0;
    bundle.slots[0].certs.swap(1, 2);
    assert_eq!(policy::cert_expiry(&bundle).unwrap_err().kind(), Exit::Verification);
}

#[test]
fn clock_forward_allows_a_minute_behind_the_ledger_and_an_hour_behind_the_request() {
    let room = Room::new();
    // The ledger's last line was written 50 seconds before now.
    room.keeps("clock-forward", &|request, facts| {
        facts.now = NOW.minus(50 + 60);
        request.created = facts.now.plus(3600);
    });
    room.breaks("clock-forward", "the ledger was", &|_, facts| facts.now = NOW.minus(50 + 61));
}

#[test]
fn req_chain_goes_on_with_the_next_period_or_the_current_one() {
    let mut room = Room::new();
    let first = read(room.request());
    let issued = room.issue(&first).unwrap();
    room.reopen();
    let second = room.second(&issued);
    room.keeps("req-chain", &|request, facts| {
        (*request, facts.first) = (second.clone(), false);
        request.slots.iter_mut().for_each(|slot| slot.period.0 += 1);
    });
    room.keeps("req-chain", &|request, facts| {
        (*request, facts.first) = (second.clone(), false);
        facts.now = NOW.plus(40 * 86_400);
        request.slots.iter_mut().for_each(|slot| slot.period.0 = now_period() + 40);
    });
}

/// Periods of two days, of which fewer than the horizon lie within 90 days.
#[test]
fn req_window_ends_after_ninety_days_to_the_second() {
    let room = Room::new();
    let periods = PeriodRule { length: PeriodLength::new(2880).unwrap(), ..PeriodRule::PUBLIC };
    let number = PeriodNumber(periods.number_at(NOW).0 + 60);
    let alter = |request: &mut Request, facts: &mut Facts<'_>, days: u64, seconds: u64| {
        facts.periods = periods;
        facts.now = periods.start(number).minus(days * 86_400 + seconds);
        facts.horizon = 90;
        request.slots.truncate(1);
        request.slots[0].period = number;
    };
    room.keeps("req-window", &|request, facts| alter(request, facts, 89, 0));
    room.keeps("req-window", &|request, facts| alter(request, facts, 90, 0));
    room.breaks("req-window", "more than 90", &|request, facts| alter(request, facts, 90, 1));
}

#[test]
fn req_fresh_asks_whether_a_key_was_named_for_this_place_and_answered() {
    let mut room = Room::new();
    let (onion, number) = (room.onions[0], now_period() + 1);
    let period = TimePeriod { number: PeriodNumber(number), length: PeriodRule::PUBLIC.length };
    // A request that was only asked for: its key is free for the same place, and for no other.
    let requested = Requested {
        onion,
        id: RequestId([8; 16]),
        digest: FileDigest([8; 32]),
        sequence: 1,
        first: period.number,
        count: 1,
        purpose: Purpose::Real,
    };
    room.note(Event::Request(requested));
    room.note(Event::Key { onion, period, key: desc_key(1, number), kind: Kind::Main });
    room.keeps("req-fresh", &|_, _| {});
    room.breaks("req-fresh", "was used before", &|request, _| {
        request.slots[1].key = request.slots[0].key;
        request.slots.remove(0);
    });
    // One that was answered: its keys are used, for the same place too, but by itself.
    let mut room = Room::new();
    let first = read(room.request());
    room.issue(&first).unwrap();
    room.keeps("req-fresh", &|_, _| {});
    room.breaks("req-fresh", "was used before", &|request, _| request.id = RequestId([9; 16]));
}

#[test]
fn req_fresh_rejects_the_blinded_key_of_the_period() {
    Room::new().breaks("req-fresh", "a key of the onion", &|request, _| {
        let period = TimePeriod { number: request.slots[1].period, length: PeriodRule::PUBLIC.length };
        let blinded = request.onion.identity().blinded(period).unwrap();
        request.slots[1].key = DescSigningKey::from_bytes(*blinded.as_bytes()).unwrap();
    });
}

/// An alteration that breaks a rule.
type Break = (&'static str, fn(&mut Request));

#[test]
fn nothing_is_asked_of_the_token_or_recorded_against_a_rule() {
    let breaks: [Break; 9] = [
        ("req-onion", |request| request.onion = other_onion()),
        ("req-enrolled", |request| request.requester = requester(7)),
        ("req-clockwork", |request| request.clockwork.run = 43_200),
        ("clock-forward", |request| request.created = NOW.plus(3601)),
        ("req-chain", |request| request.previous = Previous::Bundle(FileDigest([1; 32]))),
        ("req-sequence", |request| request.sequence = 0),
        ("req-window", |request| request.slots.iter_mut().for_each(|slot| slot.period.0 += 60)),
        ("req-fresh", |request| request.slots[2].key = request.slots[0].key),
        ("req-proof", |request| request.slots[1].proof = request.slots[0].proof),
    ];
    let mut room = Room::new();
    let state = |room: &Room| (room.token.inside.lock().unwrap().macs, room.ledger.as_ref().unwrap().head());
    let before = state(&room);
    for (rule, alter) in breaks {
        let mut request = room.request();
        alter(&mut request);
        let refused = room.issue(&read(request)).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("error: {rule}: ")), "{rule}: {refused}");
        assert_eq!(state(&room), before, "{rule}");
    }
    room.note(Event::Deny(Denied::Request(RequestId([4; 16]))));
    let request = read(room.request());
    assert!(room.issue(&request).unwrap_err().to_string().starts_with("error: req-denied: "));
}
