//! Fetches and uploads: matched by onion and `HSDir`, each with its own end.

use super::*;

const FIRST: Fingerprint = Fingerprint([0xaa; 20]);
const SECOND: Fingerprint = Fingerprint([0xbb; 20]);
const BLINDED: &str = "wGPM33iysCjSRMZQ7cZAig/vi3/dJAo8jshyGEUJvAc";

/// An `HS_DESC` event about our onion.
fn event(action: &str, hsdir: Fingerprint, tail: &str) -> String {
    format!("650 HS_DESC {action} {ONION} NO_AUTH ${hsdir}~nick {tail}\n")
}

/// An `HS_DESC_CONTENT` event about our onion.
fn content(hsdir: Fingerprint, lines: &str) -> String {
    format!("650+HS_DESC_CONTENT {ONION} {BLINDED} ${hsdir}~nick\n{lines}\n.\n650 OK\n")
}

/// A port that accepts every fetch and upload.
fn accepting() -> ControlPort {
    ControlPort::unix(Auth::SafeCookie, |command| {
        let directory = command.line.starts_with("HSFETCH ") || command.line.starts_with("+HSPOST ");
        if directory { Answer::ok() } else { ordinary(command) }
    })
}

/// Waits until the port has so many commands that start with `word`.
async fn until(port: &ControlPort, word: &str, count: usize) {
    let seen = || port.lines().iter().filter(|line| line.starts_with(word)).count();
    let wait = async {
        while seen() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, wait).await.unwrap();
}

#[tokio::test]
async fn fetches_from_several_hsdirs_get_their_own_answers() {
    let port = accepting();
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let third = Fingerprint([0xcc; 20]);
    let hsdirs = [FIRST, SECOND, third, FIRST];
    let fetching = tokio::spawn(async move { tor.fetch(&onion(), &hsdirs, Duration::from_secs(3)).await });
    until(&port, "HSFETCH", 3).await;
    port.emit(&event("REQUESTED", FIRST, BLINDED));
    // Another onion, another relay, an upload's failure: none of them is ours.
    port.emit(&content(FIRST, "other").replace(ONION, &"a".repeat(56)));
    port.emit(&content(Fingerprint([0xdd; 20]), "other"));
    port.emit(&event("FAILED", FIRST, &format!("{BLINDED} REASON=UPLOAD_REJECTED")));
    port.emit(&event("FAILED", SECOND, &format!("{BLINDED} REASON=NOT_FOUND")));
    port.emit(&content(SECOND, ""));
    port.emit(&event("RECEIVED", FIRST, BLINDED));
    port.emit(&content(FIRST, "hs-descriptor 3\n..dot\nlast"));
    let answers = fetching.await.unwrap();
    let wanted = [
        (FIRST, Ok(b"hs-descriptor 3\n.dot\nlast\n".to_vec())),
        (SECOND, Err(FetchFailure::NotFound)),
        (third, Err(FetchFailure::Timeout)),
    ];
    assert_eq!(answers, wanted);
    let lines = port.lines();
    let commands: Vec<_> = lines.iter().filter(|line| line.starts_with("HSFETCH")).collect();
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().any(|line| **line == format!("HSFETCH {ONION} SERVER={FIRST}")));
}

#[tokio::test]
async fn refused_fetches_say_why() {
    for (answer, wanted) in [
        ("552 Server \"X\" not found\n", FetchFailure::UnknownServer(FIRST)),
        ("513 Invalid argument \"x\"\n", FetchFailure::Refused("513 Invalid argument \"x\"".into())),
    ] {
        let port = ControlPort::unix(Auth::Null, move |command| match command.line.starts_with("HSFETCH") {
            true => Answer::text(answer),
            false => ordinary(command),
        });
        let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
        assert_eq!(tor.fetch(&onion(), &[FIRST], SOON).await, [(FIRST, Err(wanted))]);
    }
}

#[tokio::test]
async fn every_reason_of_a_fetch_is_kept() {
    for (reason, wanted) in [
        ("BAD_DESC", FetchFailure::BadDescriptor),
        ("QUERY_REJECTED", FetchFailure::QueryRejected),
        ("UNEXPECTED", FetchFailure::Unexpected("UNEXPECTED".into())),
        ("SOMETHING_NEW", FetchFailure::Unexpected("SOMETHING_NEW".into())),
    ] {
        let port = accepting();
        let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
        let fetching = tokio::spawn(async move { tor.fetch(&onion(), &[FIRST], SOON).await });
        until(&port, "HSFETCH", 1).await;
        port.emit(&event("FAILED", FIRST, &format!("{BLINDED} REASON={reason}")));
        assert_eq!(fetching.await.unwrap(), [(FIRST, Err(wanted))]);
    }
}

#[tokio::test]
async fn an_upload_is_stuffed_addressed_and_confirmed() {
    let port = accepting();
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let posting =
        tokio::spawn(async move { tor.post(&onion(), FIRST, "hs-descriptor 3\n.dot\nend\n", SOON).await });
    until(&port, "+HSPOST", 1).await;
    port.emit(&event("UPLOADED", SECOND, ""));
    port.emit(&event("FAILED", FIRST, &format!("{BLINDED} REASON=NOT_FOUND")));
    port.emit(&event("UPLOADED", FIRST, "").replace("NO_AUTH", "UNKNOWN"));
    assert_eq!(posting.await.unwrap(), Ok(()));
    let commands = port.commands();
    let command = commands.iter().find(|command| command.line.starts_with("+HSPOST")).unwrap();
    assert_eq!(command.line, format!("+HSPOST SERVER={FIRST} HSADDRESS={ONION}"));
    assert_eq!(command.data, "hs-descriptor 3\r\n..dot\r\nend\r\n.\r\n");
}

#[tokio::test]
async fn every_end_of_an_upload_has_its_name() {
    for (reason, wanted) in [
        ("UPLOAD_REJECTED", PostFailure::Rejected),
        ("UNEXPECTED", PostFailure::Unexpected("UNEXPECTED".into())),
    ] {
        let port = accepting();
        let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
        let posting = tokio::spawn(async move { tor.post(&onion(), FIRST, "x\n", SOON).await });
        until(&port, "+HSPOST", 1).await;
        port.emit(&event("FAILED", FIRST, &format!("{BLINDED} REASON={reason}")));
        assert_eq!(posting.await.unwrap(), Err(wanted));
    }
    for (answer, wanted) in [
        ("554 Invalid descriptor\n", PostFailure::InvalidDescriptor),
        ("552 Server \"X\" not found\n", PostFailure::UnknownServer(FIRST)),
        ("512 Malformed onion address\n", PostFailure::Refused("512 Malformed onion address".into())),
    ] {
        let port = ControlPort::unix(Auth::Null, move |command| match command.line.starts_with("+HSPOST") {
            true => Answer::text(answer),
            false => ordinary(command),
        });
        let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
        assert_eq!(tor.post(&onion(), FIRST, "x\n", SOON).await, Err(wanted));
    }
    let port = accepting();
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let nothing = tor.post(&onion(), FIRST, "x\n", Duration::from_millis(50)).await;
    assert_eq!(nothing, Err(PostFailure::Timeout));
    assert!(tor.version().await.is_ok(), "an upload without an answer leaves the connection in use");
}

#[tokio::test]
async fn two_uploads_to_one_hsdir_wait_for_each_other() {
    let port = accepting();
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let post = |tor: &Tor, hsdir, text: &'static str| {
        let tor = tor.clone();
        tokio::spawn(async move { tor.post(&onion(), hsdir, text, SOON).await })
    };
    let (one, two) = (post(&tor, FIRST, "one\n"), post(&tor, FIRST, "two\n"));
    let other = post(&tor, SECOND, "other\n");
    until(&port, "+HSPOST", 2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let count = || port.lines().iter().filter(|line| line.starts_with("+HSPOST")).count();
    assert_eq!(count(), 2, "the second to the same HSDir is held back");
    port.emit(&event("UPLOADED", FIRST, ""));
    until(&port, "+HSPOST", 3).await;
    port.emit(&event("UPLOADED", FIRST, ""));
    port.emit(&event("UPLOADED", SECOND, ""));
    for posting in [one, two, other] {
        assert_eq!(posting.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn a_given_up_request_leaves_its_place_and_its_late_event_is_dropped() {
    let port = accepting();
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    assert_eq!(tor.post(&onion(), FIRST, "x\n", Duration::from_millis(50)).await, Err(PostFailure::Timeout));
    port.emit(&event("UPLOADED", FIRST, ""));
    // The reply to this question comes after the event: the event has been dropped by then.
    assert!(tor.version().await.is_ok());
    assert_eq!(tor.post(&onion(), FIRST, "x\n", Duration::from_millis(50)).await, Err(PostFailure::Timeout));
}

#[tokio::test]
async fn the_end_of_the_connection_ends_fetches_and_uploads() {
    let port = accepting();
    let (tor, mut news) = connected(&port, conn::Limits::USUAL).await;
    let (other, third) = (tor.clone(), tor.clone());
    let fetching = tokio::spawn(async move { tor.fetch(&onion(), &[FIRST], SOON).await });
    let posting = tokio::spawn(async move { other.post(&onion(), SECOND, "x\n", SOON).await });
    until(&port, "HSFETCH", 1).await;
    until(&port, "+HSPOST", 1).await;
    port.emit_raw(b"this is no reply\r\n".to_vec());
    assert_eq!(fetching.await.unwrap(), [(FIRST, Err(FetchFailure::ConnectionLost))]);
    assert_eq!(posting.await.unwrap(), Err(PostFailure::ConnectionLost));
    assert_eq!(timeout(SOON, news.recv()).await.unwrap(), None);
    assert!(matches!(third.ended(), Some(TorError::Lost { .. })));
    assert!(matches!(third.version().await, Err(TorError::Lost { .. })));
    assert_eq!(third.post(&onion(), SECOND, "x\n", SOON).await, Err(PostFailure::ConnectionLost));
}

#[tokio::test]
async fn a_descriptor_that_nobody_waits_for_is_news() {
    let port = accepting();
    let (tor, mut news) = connected(&port, conn::Limits::USUAL).await;
    // Nothing came, and nobody's.
    port.emit(&content(FIRST, ""));
    port.emit(&content(FIRST, "hs-descriptor 3").replace(ONION, &"a".repeat(56)));
    port.emit(&content(FIRST, "hs-descriptor 3"));
    let wanted = TorEvent::Descriptor(onion(), b"hs-descriptor 3\n".to_vec());
    assert_eq!(timeout(SOON, news.recv()).await.unwrap(), Some(wanted));
    // However many come, the connection lives, and other news have room.
    for _event in 0..1000 {
        port.emit(&content(FIRST, "hs-descriptor 3"));
    }
    port.emit("650 NETWORK_LIVENESS DOWN\n");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(tor.version().await.unwrap(), "0.4.9.11");
    let mut taken = 0;
    while timeout(SOON, news.recv()).await.unwrap() != Some(TorEvent::Network(false)) {
        taken += 1;
    }
    assert!((64..256).contains(&taken), "{taken}");
}
