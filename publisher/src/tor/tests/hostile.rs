//! Replies that are cut, endless, misplaced or mad: an error, bounded memory, and nothing that waits for ever.

use super::*;

/// A port that answers `GETINFO version` so.
fn answering(answer: Answer) -> ControlPort {
    ControlPort::unix(Auth::Null, move |command| match command.line.as_str() {
        "GETINFO version" => answer.clone(),
        _other => ordinary(command),
    })
}

/// What a question becomes when it is answered so.
async fn asked(answer: Answer) -> (Result<String, TorError>, Tor) {
    asked_within(SHORT, answer).await
}

/// The same with these limits.
async fn asked_within(limits: conn::Limits, answer: Answer) -> (Result<String, TorError>, Tor) {
    let port = answering(answer);
    let (tor, _news) = connected(&port, limits).await;
    let result = timeout(limits.reply + SOON, tor.version()).await.expect("every question ends");
    (result, tor)
}

#[tokio::test]
async fn a_cut_reply_is_a_lost_connection() {
    for cut in ["", "2", "250-", "250-version=0.4", "250-version=0.4.9.11\r\n", "250+version=\r\na\r\n.\r\n"]
    {
        let (result, tor) = asked(Answer::Close(cut.into())).await;
        assert!(matches!(result, Err(TorError::Lost { .. })), "{cut:?} {result:?}");
        assert!(tor.ended().is_some());
    }
}

#[tokio::test]
async fn endless_replies_hit_a_cap() {
    let megabyte = vec![b'x'; 1024 * 1024];
    let hundred = 100;
    let mut lines = b"250-a=b\r\n".repeat(100_000);
    lines.truncate(900_000);
    for (head, piece) in
        [(&b"250+version=\r\n"[..], b"line\r\n".repeat(150_000)), (b"250-version=", megabyte), (b"", lines)]
    {
        let answer = Answer::Repeat(head.to_vec(), piece, hundred);
        let (result, _tor) = asked_within(conn::Limits::USUAL, answer).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains("more than 1 MiB"), "{error}");
    }
}

#[tokio::test]
async fn octets_that_are_no_reply_end_the_connection() {
    for mad in ["HTTP/1.1 200 OK\r\n", "25\r\n", "250*x\r\n", "\r\n", "250-a\r\n251 OK\r\n", "999999\r\n"] {
        let (result, _tor) = asked(Answer::Raw(mad.into())).await;
        assert!(matches!(result, Err(TorError::Lost { .. })), "{mad:?} {result:?}");
    }
    let (result, _tor) = asked(Answer::Raw(vec![5, 0, 0xff])).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn silence_ends_by_the_deadline_and_ends_the_connection() {
    let start = Instant::now();
    let (result, tor) = asked(Answer::Silence).await;
    let error = result.unwrap_err();
    assert!(error.to_string().contains("did not answer GETINFO version"), "{error}");
    assert!(start.elapsed() >= SHORT.reply);
    assert!(tor.ended().is_some(), "a later reply could belong to either command");
}

#[tokio::test]
async fn a_reply_nobody_asked_for_ends_the_connection() {
    let port = ControlPort::unix(Auth::Null, ordinary);
    let (tor, mut news) = connected(&port, SHORT).await;
    port.emit("250 OK\n");
    assert_eq!(timeout(SOON, news.recv()).await.unwrap(), None);
    assert!(tor.ended().unwrap().to_string().contains("without being asked"));
}

#[tokio::test]
async fn refusals_and_unfitting_answers_keep_the_connection() {
    for answer in [
        "552 Unrecognized key \"version\"\n",
        "250-other=1\n250 OK\n",
        "250 OK\n",
        "250+version=\n.\n250 OK\n",
    ] {
        let (result, tor) = asked(Answer::text(answer)).await;
        if answer.starts_with("250+") {
            assert_eq!(result.unwrap(), "");
        } else {
            assert!(
                matches!(result, Err(TorError::Rejected { code: 552, .. } | TorError::Malformed { .. })),
                "{result:?}"
            );
        }
        assert!(tor.ended().is_none(), "{answer}");
    }
}

#[tokio::test]
async fn events_between_replies_and_unknown_events_disturb_nothing() {
    let events = "650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\n650-FUTURE a\n650 OK\n";
    let content = format!("650+HS_DESC_CONTENT {ONION} b $AA\n\n.\n650 OK\n");
    let port = ControlPort::unix(Auth::Null, move |command| match command.line.as_str() {
        "GETINFO version" => Answer::text(&format!("{events}250-version=0.4.9.11\n250 OK\n{content}")),
        "GETINFO dormant" => Answer::text(&format!("{events}250-dormant=0\n250 OK\n{events}")),
        _other => ordinary(command),
    });
    let (tor, mut news) = connected(&port, conn::Limits::USUAL).await;
    for _round in 0..20 {
        let (version, dormant, enough) = tokio::join!(tor.version(), tor.is_dormant(), tor.enough_dir_info());
        assert_eq!((version.unwrap().as_str(), dormant.unwrap(), enough.unwrap()), ("0.4.9.11", false, true));
        for _event in 0..3 {
            assert_eq!(timeout(SOON, news.recv()).await.unwrap(), Some(TorEvent::NewConsensus));
        }
    }
}

#[tokio::test]
async fn octets_outside_ascii_in_an_event_do_not_end_the_connection() {
    let port = ControlPort::unix(Auth::Null, ordinary);
    let (tor, _news) = connected(&port, SHORT).await;
    let mut event = format!("650+HS_DESC_CONTENT {ONION} b $AA\r\n").into_bytes();
    event.extend_from_slice(b"\xff\xfe\r\n.\r\n650 OK\r\n");
    port.emit_raw(event);
    assert_eq!(tor.version().await.unwrap(), "0.4.9.11");
}

#[tokio::test]
async fn a_reactor_that_does_not_listen_ends_the_connection_instead_of_growing() {
    let port = ControlPort::unix(Auth::Null, ordinary);
    let (tor, _unread) = connected(&port, conn::Limits::USUAL).await;
    for _event in 0..300 {
        port.emit("650 NETWORK_LIVENESS UP\n");
    }
    let wait = async {
        while tor.ended().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, wait).await.unwrap();
    assert!(tor.ended().unwrap().to_string().contains("does not read"));
}

#[tokio::test]
async fn a_dropped_news_receiver_is_no_fault() {
    let port = ControlPort::unix(Auth::Null, ordinary);
    let (tor, news) = connected(&port, SHORT).await;
    drop(news);
    port.emit("650 NETWORK_LIVENESS UP\n");
    assert!(tor.version().await.is_ok());
}

#[tokio::test]
async fn what_listens_but_is_no_tor_is_told() {
    for strange in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"",
        b"\x05\xff",
        b"514 Authentication required.\r\n",
        b"250 OK\r\n",
    ] {
        let port = ControlPort::unix(Auth::Strange(strange.to_vec()), ordinary);
        let error = Tor::connect(&config(&port.address)).await.err().unwrap();
        assert!(matches!(error, TorError::NotTor { .. }), "{error}");
    }
    let mute = ControlPort::unix(Auth::Mute, ordinary);
    let error = conn::connect(&config(&mute.address), SHORT).await.err().unwrap();
    assert!(matches!(error, TorError::SlowStart { .. }), "{error}");
}

#[test]
fn no_octets_panic_the_framing() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let piece = prop_oneof![
        "(250|650|551|25)?[-+ ]?[A-Z_=a-z\" .]{0,12}(\r\n|\n|\r)?".prop_map(String::into_bytes),
        Just(b".\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest!(|(pieces in proptest::collection::vec(piece, 0..12))| {
        let octets = pieces.concat();
        runtime.block_on(async {
            let filtered = tokio::io::BufReader::new(stream::AsciiOnly(octets.as_slice()));
            let mut framed = framing::Lines::over(filtered);
            while let Ok(reply) = framed.receive().await {
                prop_assert!(!reply.lines.is_empty());
                let _event = events::Event::of(reply.clone());
                let _data = reply.into_data();
            }
            Ok(())
        })?;
    });
}
