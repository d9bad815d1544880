//! Peers of the signer's socket: an honest one, and ones that are unknown, malformed, oversized or slow.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use onionkeep_common::PeriodNumber;
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{AwayReason, CertifyRequest, HEADER_LEN, Reply, Rule};
use onionkeep_tests::peer::{self, Peer};
use onionkeep_tests::wait::{self, HALF_DAY};

use crate::kit::Kit;

/// Far above the 5 s in which a frame must be complete.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection with a deadline.
fn connect(kit: &Kit) -> UnixStream {
    let stream = UnixStream::connect(kit.signer.socket()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A request for `period` with a proof that verifies.
fn request(kit: &Kit, period: PeriodNumber) -> CertifyRequest {
    peer::request(kit.address.parse().unwrap(), period, [3; 32])
}

/// One reply.
fn reply(stream: &mut UnixStream) -> std::io::Result<Reply> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header)?;
    let header = Header::parse(header).unwrap();
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content)?;
    Ok(Reply::parse(header.kind, &content).unwrap())
}

/// Asks an honest question on a new connection and checks the answer.
#[track_caller]
fn assert_serves(kit: &Kit) {
    let asked = request(kit, peer::period_now());
    let answer = Peer::connect(&kit.signer.socket(), LIMIT).unwrap().answered(&asked).unwrap();
    let Reply::Certificate(cert) = answer else { panic!("no certificate") };
    peer::check(&asked, &cert).unwrap();
}

/// The signer closed the connection, perhaps after saying that the frame is not well-formed.
#[track_caller]
fn assert_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it was not closed: {error}"),
    }
    if !rest.is_empty() {
        let content = &rest[HEADER_LEN..];
        let header = Header::parse(rest[..HEADER_LEN].try_into().unwrap()).unwrap();
        let said = Reply::parse(header.kind, content).unwrap();
        assert!(matches!(said, Reply::Refused { rule: Rule::WellFormed, .. }), "{said:?}");
    }
}

#[test]
fn an_honest_peer_gets_a_certificate_that_verifies() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    assert_serves(&kit);
}

#[test]
fn the_socket_has_the_configured_mode_and_is_replaced_by_the_next_start() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    let mode = std::fs::metadata(kit.signer.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    kit.signer.stop().unwrap();
    // The file may stay, but nobody answers, and the next start replaces it.
    assert!(UnixStream::connect(kit.signer.socket()).is_err());
    kit.signer.start().unwrap();
    assert!(UnixStream::connect(kit.signer.socket()).is_ok());
}

#[test]
fn a_period_far_away_is_refused_by_its_rule() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    wait::clear_of(HALF_DAY, 30);
    let mut stream = connect(&kit);
    let far = PeriodNumber(peer::period_now().0 + 2);
    stream.write_all(request(&kit, far).to_frame().as_bytes()).unwrap();
    assert!(matches!(reply(&mut stream).unwrap(), Reply::Refused { rule: Rule::PeriodWindow, .. }));
}

#[test]
fn an_unknown_uid_is_closed_without_an_octet() {
    let mut kit = Kit::new();
    kit.signer.allow_uid(&kit.address.clone(), 64_999).unwrap();
    kit.signer.start().unwrap();
    let mut stream = connect(&kit);
    drop(stream.write_all(request(&kit, peer::period_now()).to_frame().as_bytes()));
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest));
    assert!(rest.is_empty(), "an unknown uid was sent {} octets", rest.len());
}

#[test]
fn malformed_and_oversized_frames_end_the_connection_and_nothing_else() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    let mut long = vec![0xFF, 0xFF, 1, 0x10];
    long.resize(70_000, 0);
    let cases: [&[u8]; 5] =
        [&long, &[0, 1, 1, 0x10], &[0, 2, 9, 0x10], &[0, 2, 1, 0x77], &[0, 3, 1, 0x10, 0]];
    for octets in cases {
        let mut stream = connect(&kit);
        drop(stream.write_all(octets));
        assert_closed(&mut stream);
    }
    assert_serves(&kit);
}

#[test]
fn a_slow_peer_is_cut_off_and_does_not_hold_up_another() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    let mut slow = connect(&kit);
    slow.write_all(&[0]).unwrap();
    let start = Instant::now();
    assert_serves(&kit);
    assert!(start.elapsed() < LIMIT / 2, "another peer waited {} s", start.elapsed().as_secs());
    assert_closed(&mut slow);
    assert!(start.elapsed() < LIMIT, "the slow peer stayed for {} s", start.elapsed().as_secs());
}

#[test]
fn a_peer_beyond_its_places_is_told_busy_until_one_is_free() {
    let mut kit = Kit::open_to_us();
    kit.signer.start().unwrap();
    let silent: Vec<_> = (0..8).map(|_| connect(&kit)).collect();
    // All eight were accepted before this one.
    let mut late = connect(&kit);
    assert!(matches!(reply(&mut late), Ok(Reply::Away { reason: AwayReason::Busy, .. })));
    drop(silent);
    wait::until_true("a free place", LIMIT, || {
        let mut late = connect(&kit);
        late.write_all(request(&kit, peer::period_now()).to_frame().as_bytes())?;
        Ok(matches!(reply(&mut late)?, Reply::Certificate(_)))
    })
    .unwrap();
}
