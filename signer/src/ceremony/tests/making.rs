//! The rules that are looked at while certificates are made, each with an accept and a reject test.

use super::*;

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
