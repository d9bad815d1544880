//! The consensus and the microdescriptors as bulk answers.

use super::*;
use crate::consensus::ConsensusError;

const CONSENSUS: &str = include_str!("../../../../tests/vectors/ring_srv_to_tp_consensus.txt");
const MICRODESCS: &str = include_str!("../../../../tests/vectors/ring_srv_to_tp_mds.txt");
const CONSENSUS_KEY: &str = "dir/status-vote/current/consensus-microdesc";

/// A port with a consensus and these microdescriptors.
fn serving(consensus: Answer, microdescs: Answer) -> ControlPort {
    ControlPort::unix(Auth::SafeCookie, move |command| match command.line.as_str() {
        "GETINFO dir/status-vote/current/consensus-microdesc" => consensus.clone(),
        "GETINFO md/all" => microdescs.clone(),
        _other => ordinary(command),
    })
}

/// What is read from such a port, with short limits.
async fn read(consensus: Answer, microdescs: Answer) -> Result<Consensus, TorError> {
    let port = serving(consensus, microdescs);
    timeout(SOON, bulk::network(&config(&port.address), &SHORT)).await.expect("every read ends")
}

fn good() -> Answer {
    Answer::block(CONSENSUS_KEY, CONSENSUS)
}

#[tokio::test]
async fn both_texts_are_read_on_a_connection_of_their_own() {
    let port = serving(good(), Answer::block("md/all", MICRODESCS));
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let expected = Consensus::parse(CONSENSUS.as_bytes(), MICRODESCS.as_bytes()).unwrap();
    assert!(expected.hsdirs.len() >= 8);
    assert_eq!(tor.network().await.unwrap(), expected);
    assert_eq!(port.lines().iter().filter(|line| line.starts_with("PROTOCOLINFO")).count(), 2);
    assert!(tor.ended().is_none());
    assert_eq!(tor.network().await.unwrap(), expected);
}

#[tokio::test]
async fn five_megabytes_are_read() {
    let filler = format!("onion-key\nntor-onion-key {}\np accept 1-65535\n", "A".repeat(43)).repeat(60_000);
    assert!(filler.len() > 5_000_000);
    let port = serving(good(), Answer::block("md/all", &format!("{filler}{MICRODESCS}")));
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    assert_eq!(
        tor.network().await.unwrap(),
        Consensus::parse(CONSENSUS.as_bytes(), MICRODESCS.as_bytes()).unwrap()
    );
}

#[tokio::test]
async fn no_microdescriptors_yet_is_no_error() {
    for empty in
        ["250+md/all=\r\n\r\n.\r\n250 OK\r\n", "250+md/all=\r\n.\r\n250 OK\r\n", "250-md/all=\r\n250 OK\r\n"]
    {
        let consensus = read(good(), Answer::Raw(empty.into())).await.unwrap();
        assert_eq!((consensus.hsdirs.len(), consensus.hsdirs_without_microdesc > 0), (0, true), "{empty:?}");
    }
}

#[tokio::test]
async fn refusals_keep_tors_code() {
    for (answer, code) in [
        ("551 Could not open cached consensus.\r\n", 551),
        ("552 Unrecognized key \"x\"\r\n", 552),
        ("510 Unrecognized command\r\n", 510),
    ] {
        let error = read(Answer::Raw(answer.into()), Answer::ok()).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{error}");
    }
}

#[tokio::test]
async fn cut_endless_and_mad_answers_end_in_their_errors() {
    let Answer::Raw(mut cut) = good() else { panic!("not octets") };
    cut.truncate(5000);
    let error = read(Answer::Close(cut.clone()), Answer::ok()).await.unwrap_err();
    assert!(error.to_string().contains("ended in the middle"), "{error}");
    let error = read(Answer::Raw(cut), Answer::ok()).await.unwrap_err();
    assert!(error.to_string().contains("nothing came"), "{error}");
    let head = format!("250+{CONSENSUS_KEY}=\r\n").into_bytes();
    let start = CONSENSUS.split_once("\nr ").unwrap().0.replace('\n', "\r\n");
    let endless = Answer::Repeat([&head, start.as_bytes()].concat(), b"\r\nx y".repeat(200_000), 100);
    let error = read(endless, Answer::ok()).await.unwrap_err();
    assert!(matches!(error, TorError::TooLarge { .. }), "{error}");
    let line = Answer::Repeat(head.clone(), vec![b'x'; 100_000], 1000);
    let error = read(line, Answer::ok()).await.unwrap_err();
    assert!(matches!(error, TorError::Malformed { .. }), "{error}");
    for mad in ["HTTP/1.1 200 OK\r\n\r\n", "\r\n", "250 OK\r\n", "250+md/all=\r\n"] {
        let error = read(Answer::Raw(mad.into()), Answer::ok()).await.unwrap_err();
        assert!(matches!(error, TorError::Malformed { .. }), "{error}");
    }
    let error = read(Answer::Raw([&head, &b"hello\r\n.\r\n250 OK\r\n"[..]].concat()), Answer::ok())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TorError::Consensus(inner) if matches!(**inner, ConsensusError::NotAConsensus { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_dribbles_is_ended_by_the_deadline_of_the_whole() {
    let port = serving(good(), Answer::Silence);
    let dribble = async {
        loop {
            port.emit_raw(b"x".to_vec());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limits = conn::Limits { bulk: Duration::from_secs(3), ..SHORT };
    let config = config(&port.address);
    let error = tokio::select! {
        () = dribble => unreachable!(),
        result = bulk::network(&config, &limits) => result.unwrap_err(),
    };
    assert!(error.to_string().contains("whole answer"), "{error}");
}
