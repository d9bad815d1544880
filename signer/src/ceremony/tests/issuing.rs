//! Issuing as a whole: one answer for ever, what a token that fails leaves behind, and what the ledger keeps.

use super::*;

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

#[test]
fn what_was_denied_or_lost_its_publisher_since_is_not_handed_out_again() {
    let onion = Room::new().onions[0];
    let since = [
        ("req-denied", Event::Deny(Denied::Request(RequestId([4; 16])))),
        ("req-denied", Event::Deny(Denied::Onion(onion))),
        ("req-denied", Event::Deny(Denied::Key(desc_key(2, now_period() + 1)))),
        ("req-enrolled", Event::Enrol { onion, key: requester(7) }),
    ];
    for (rule, event) in since {
        let mut room = Room::new();
        let request = read(room.request());
        room.issue(&request).unwrap();
        room.note(event);
        room.reopen();
        let asked = room.order(&request, &room.onions).answered(room.memory());
        let issued = room.issue(&request);
        for refused in [asked.map(drop), issued.map(drop)] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), Exit::Refused);
            assert!(refused.to_string().starts_with(&format!("error: {rule}: ")), "{refused}");
        }
    }
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

#[test]
fn a_wrong_clock_makes_no_key_of_a_ceremony_forgotten() {
    let mut room = Room::new();
    let request = read(room.request());
    room.issue(&request).unwrap();
    let ledger = room.ledger.as_mut().unwrap();
    let deny = Event::Deny(Denied::Request(RequestId([77; 16])));
    ledger.append(NOW.plus(20 * 365 * 86_400), deny).unwrap();
    let repeated = ledger.memory().repeated();
    let named = |slot: &Slot| {
        repeated.iter().any(|event| matches!(event, Event::Key { key, .. } if *key == slot.key))
    };
    assert!(request.content.slots.iter().chain(&request.content.standby).all(named));
}

#[test]
fn keys_of_ceremonies_are_repeated_for_400_days() {
    let mut room = Room::new();
    let (onion, now) = (room.onions[0], now_period());
    let requested = crate::ledger::Requested {
        onion,
        id: RequestId([8; 16]),
        digest: FileDigest([8; 32]),
        sequence: 1,
        first: PeriodNumber(now - 401),
        count: 3,
        purpose: Purpose::Real,
    };
    room.note(Event::Request(requested));
    for number in [now - 401, now - 399, now + 30] {
        let period = TimePeriod { number: PeriodNumber(number), length: PeriodRule::PUBLIC.length };
        room.note(Event::Key { onion, period, key: desc_key(1, number), kind: Kind::Main });
    }
    let repeated = room.memory().repeated();
    let named = |number| {
        repeated.iter().any(|event| matches!(event, Event::Key { key, .. } if *key == desc_key(1, number)))
    };
    assert_eq!([now - 401, now - 399, now + 30].map(named), [false, true, true]);
}
