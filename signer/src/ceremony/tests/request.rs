//! The rules about a request, one by one, each with an accept and a reject test.

use super::*;

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
