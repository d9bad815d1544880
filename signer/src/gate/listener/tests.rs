//! The socket with real peers: who is served, who is closed, who must wait, what is left behind.

use super::*;
use crate::gate::places::CONNECTIONS_OF_UID_MAX;
use crate::gate::tests::Stage;
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{HEADER_LEN, Rule};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::thread::JoinHandle;
use std::time::Instant;

/// A gate that serves until this is dropped.
struct Served {
    stage: Stage,
    path: PathBuf,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<io::Result<()>>>,
    _dir: tempfile::TempDir,
}

impl Served {
    fn for_uid(uid: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer.sock");
        let stage = Stage::for_uid(uid);
        let mut listener = Listener::bind(&path, 0o600, None).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let gate = Arc::clone(&stage.gate);
        let thread = std::thread::spawn(move || listener.serve(&gate, &stopped));
        Self { stage, path, stop: Some(stop), thread: Some(thread), _dir: dir }
    }

    fn new() -> Self {
        Self::for_uid(rustix::process::getuid().as_raw())
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One reply, or `None` at the end of the connection.
fn reply(stream: &mut UnixStream) -> Option<Reply> {
    let mut head = [0; HEADER_LEN];
    stream.read_exact(&mut head).ok()?;
    let header = Header::parse(head).unwrap();
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content).unwrap();
    Some(Reply::parse(header.kind, &content).unwrap())
}

/// Asks; `None` too if the connection was closed before the question was written.
fn ask(served: &Served, stream: &mut UnixStream, seed: u8) -> Option<Reply> {
    stream.write_all(served.stage.request(seed, 0).to_frame().as_bytes()).ok()?;
    reply(stream)
}

#[test]
fn well_formed_accepts_many_requests_on_one_connection() {
    let served = Served::new();
    let mut stream = served.connect();
    for seed in [10, 11, 10] {
        assert!(matches!(ask(&served, &mut stream, seed), Some(Reply::Certificate(_))));
    }
}

#[test]
fn a_frame_in_single_octets_is_served_if_it_is_in_time() {
    let served = Served::new();
    let mut stream = served.connect();
    for octet in served.stage.request(10, 0).to_frame().as_bytes() {
        stream.write_all(&[*octet]).unwrap();
    }
    assert!(matches!(reply(&mut stream), Some(Reply::Certificate(_))));
}

#[test]
fn a_stranger_is_closed_without_an_octet() {
    let served = Served::for_uid(rustix::process::getuid().as_raw() + 1);
    let mut stream = served.connect();
    let _may_be_closed_already = stream.write_all(served.stage.request(10, 0).to_frame().as_bytes());
    let mut all = Vec::new();
    let _reset = stream.read_to_end(&mut all);
    assert!(all.is_empty());
}

#[test]
fn well_formed_rejects_malformed_frames_and_ends_the_connection() {
    let served = Served::new();
    for octets in [&[0, 1, 1, 0x10][..], &[0xff, 0xff, 1, 0x10], &[0, 2, 2, 0x10], &[0, 2, 1, 0x77]] {
        let mut stream = served.connect();
        stream.write_all(octets).unwrap();
        let refused = Some(Reply::Refused { rule: Rule::WellFormed, retry_after: 0 });
        assert_eq!(reply(&mut stream), refused, "{octets:?}");
        assert_eq!(reply(&mut stream), None);
    }
}

#[test]
fn a_key_that_is_no_key_is_malformed() {
    let served = Served::new();
    let mut frame = served.stage.request(10, 0).to_frame().as_bytes().to_vec();
    frame[4..36].fill(0xff);
    let mut stream = served.connect();
    stream.write_all(&frame).unwrap();
    assert!(matches!(reply(&mut stream), Some(Reply::Refused { rule: Rule::WellFormed, .. })));
}

#[test]
fn a_slow_peer_is_dropped_and_others_are_served_meanwhile() {
    let served = Served::new();
    let mut slow = served.connect();
    let start = Instant::now();
    slow.write_all(&[0]).unwrap();
    assert!(matches!(ask(&served, &mut served.connect(), 10), Some(Reply::Certificate(_))));
    assert!(start.elapsed() < connection::FRAME_PATIENCE, "it waited for the slow peer's end");
    assert_eq!(reply(&mut slow), None);
    let took = start.elapsed();
    assert!(took >= connection::FRAME_PATIENCE && took < connection::FRAME_PATIENCE * 2, "{took:?}");
}

#[test]
fn beyond_the_limit_a_peer_is_told_busy() {
    let served = Served::new();
    let held: Vec<_> = (0..CONNECTIONS_OF_UID_MAX).map(|_| served.connect()).collect();
    let mut one_more = served.connect();
    assert_eq!(reply(&mut one_more), Some(Reply::Away { reason: AwayReason::Busy, retry_after: 1 }));
    drop(held);
    // The threads of the closed connections give their places back in their own time.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(ask(&served, &mut served.connect(), 10), Some(Reply::Certificate(_))) {
        assert!(Instant::now() < deadline, "no place became free");
    }
}

#[test]
fn stopping_does_not_wait_for_silent_connections() {
    let mut served = Served::new();
    let _silent = served.connect();
    let start = Instant::now();
    served.stop();
    assert!(start.elapsed() < connection::FRAME_PATIENCE);
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&path, 0o600, None).unwrap();
    assert!(matches!(Listener::bind(&path, 0o600, None), Err(ListenError::Taken(_))));
    drop(listener);
    assert!(path.exists());
    assert!(Listener::bind(&path, 0o600, None).is_ok());
}

#[test]
fn what_is_no_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(Listener::bind(&path, 0o600, None), Err(ListenError::InTheWay(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[test]
fn mode_is_as_configured() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _listener = Listener::bind(&path, 0o640, None).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_missing_directory_is_an_error() {
    let error = Listener::bind(Path::new("/nonexistent/s"), 0o600, None).err().unwrap();
    assert!(matches!(error, ListenError::Socket { .. }));
}
