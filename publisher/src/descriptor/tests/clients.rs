//! Descriptors that only some clients can read: who can, who cannot, how they look, and how many clients fit.

use super::super::ClientPublicKey;
use super::super::auth::{Lock, line_for};
use super::*;
use std::collections::BTreeSet;

/// The secret of client number so and so.
fn secret(number: usize) -> ClientKey {
    let mut octets = [0x21; 32];
    octets[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    ClientKey::from_bytes(octets)
}

fn clients(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<ClientPublicKey> {
    numbers.into_iter().map(|number| secret(number).public()).collect()
}

/// The descriptor of the golden service for these clients.
fn made(frontend: &Frontend, points: &[IntroPoint], clients: &BTreeSet<ClientPublicKey>) -> String {
    let draft = Draft { clients: Some(clients), ..frontend.draft(points) };
    draft.prepare().unwrap().encode([[1; 16], [2; 16]]).unwrap()
}

fn read(frontend: &Frontend, text: &str, key: Option<&ClientKey>) -> Result<Decoded, DescriptorError> {
    decode(text.as_bytes(), &frontend.onion, frontend.period, key, frontend.now)
}

#[test]
fn clients_read_it_and_nobody_else_does() {
    let (frontend, points) = (Frontend::golden(), [point(1), point(2)]);
    let text = made(&frontend, &points, &clients(0..3));
    for number in 0..3 {
        let decoded = read(&frontend, &text, Some(&secret(number))).unwrap();
        assert!(decoded.client_authorization);
        assert_eq!((decoded.intro_points.len(), decoded.auth_client_lines), (2, 16));
    }
    assert_eq!(read(&frontend, &text, None).unwrap_err().fault, Fault::NeedsClientKey);
    assert_eq!(read(&frontend, &text, Some(&secret(3))).unwrap_err().fault, Fault::ClientKeyRefused);
}

#[test]
fn without_clients_nobody_reads_it_and_it_looks_like_any_other() {
    let (frontend, points) = (Frontend::golden(), [point(1)]);
    let text = made(&frontend, &points, &BTreeSet::new());
    assert_eq!(read(&frontend, &text, None).unwrap_err().fault, Fault::NeedsClientKey);
    assert_eq!(read(&frontend, &text, Some(&secret(0))).unwrap_err().fault, Fault::ClientKeyRefused);
    let open = frontend.draft(&points).prepare().unwrap().encode([[1; 16], [2; 16]]).unwrap();
    assert_eq!(text.len(), open.len());
}

#[test]
fn lines_come_in_sixteens_and_stay_until_the_set_changes() {
    let frontend = Frontend::golden();
    for (count, lines) in [(0, 16), (1, 16), (15, 16), (16, 16), (17, 32), (48, 48)] {
        let lock = Lock::new(&frontend.keys, &clients(0..count), &frontend.subcredential);
        assert_eq!(lock.lines.len(), lines, "{count} clients");
        let again = Lock::new(&frontend.keys, &clients((0..count).rev()), &frontend.subcredential);
        assert_eq!((&lock.lines, &lock.cookie), (&again.lines, &again.cookie));
        let other = Lock::new(&frontend.keys, &clients(1..=count + 1), &frontend.subcredential);
        assert_ne!(lock.cookie, other.cookie, "who is taken out must not read on with the cookie of before");
        assert!(lock.lines.iter().all(|line| !other.lines.iter().any(|other| line.iv == other.iv)));
    }
}

#[test]
fn true_lines_stand_anywhere() {
    let frontend = Frontend::golden();
    let mut places = BTreeSet::new();
    for number in 0..64 {
        let only = clients([number]);
        let lock = Lock::new(&frontend.keys, &only, &frontend.subcredential);
        let client = only.first().unwrap();
        let own = line_for(frontend.keys.ephemeral(), client, &frontend.subcredential, [0; 16], &lock.cookie);
        places.insert(lock.lines.iter().position(|line| line.id == own.id).unwrap());
    }
    assert!(places.len() >= 12, "{places:?}");
}

#[test]
fn as_many_clients_as_said_fit_with_any_number_of_points() {
    let frontend = Frontend::golden();
    let points: Vec<_> = (0..20).map(point).collect();
    for count in [1, 3, 8, 20] {
        let most = most_clients(count);
        assert_eq!(most % 16, 0);
        let points = &points[..count];
        let text = made(&frontend, points, &clients(0..most));
        assert!(read(&frontend, &text, Some(&secret(most - 1))).is_ok(), "{count} points, {most} clients");
    }
    assert_eq!([3, 8, 20].map(most_clients), [368, 288, 96]);
}

/// A point at a relay that has an IPv6 address too: none is longer.
fn long_point(number: u64) -> IntroPoint {
    let short = point(number);
    let [_count, rest @ ..] = short.link_specifiers() else { panic!("no links") };
    let links = [&[4][..], &rest[..8], &[1, 18], &[0x20; 16], &[1, 2], &rest[8..]].concat();
    IntroPoint::new(links, *short.onion_key(), *short.auth_key(), *short.enc_key()).unwrap()
}

#[test]
fn so_many_clients_leave_it_as_long_as_most_descriptors_are() {
    let frontend = Frontend::golden();
    let points: Vec<_> = (0..8).map(long_point).collect();
    let blocks =
        |count: usize, most: usize| size_class(made(&frontend, &points[..count], &clients(0..most)).len());
    let most =
        |count: usize| (1..30).map(|lines| 16 * lines).take_while(|most| blocks(count, *most) == 1).last();
    // As docs/operate/clients.md says.
    assert_eq!([3, 4, 5, 6, 7, 8].map(|count| most(count).unwrap()), [80, 64, 64, 48, 32, 16]);
}

#[test]
fn counter_is_read_without_a_key_but_not_from_a_forgery() {
    let frontend = Frontend::golden();
    let text = made(&frontend, &[point(1)], &clients(0..1));
    let read = |text: &str| revision(text.as_bytes(), &frontend.onion, frontend.period, frontend.now);
    assert_eq!(read(&text).unwrap(), 1_830_354_583);
    let forged = text.replace("revision-counter 1830354583", "revision-counter 1830354584");
    assert_eq!(read(&forged).unwrap_err().fault, Fault::Signature);
}
