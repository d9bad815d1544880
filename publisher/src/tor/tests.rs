//! The whole way to tor against a pretended control port, and against a real tor without a network.

use super::*;
use crate::clock;
use control_port::{Answer, Auth, COOKIE, Command, ControlPort, usual};
use data_encoding::HEXLOWER;
use std::time::Instant;
use tokio::time::timeout;
use zeroize::Zeroizing;

#[path = "../../tests/support/control_port.rs"]
pub(crate) mod control_port;
mod directory;
mod hostile;
mod looks;
mod network;
mod real;
mod turns;

const ONION: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid";
const SOON: Duration = Duration::from_secs(5);

/// Short deadlines, so that a test of one does not take long.
const SHORT: conn::Limits = conn::Limits {
    start: Duration::from_millis(1500),
    reply: Duration::from_millis(1000),
    progress: Duration::from_millis(1000),
    bulk: Duration::from_secs(5),
    bulk_octets: 1024 * 1024,
    fetches: (3, 3),
    turn: Duration::from_millis(700),
};

fn onion() -> OnionAddress {
    ONION.parse().unwrap()
}

fn config(address: &str) -> TorConfig {
    TorConfig { control: address.parse().unwrap(), password: None, allow_plain_cookie: false }
}

/// Answers of an ordinary tor, with 510 for what it does not know.
fn ordinary(command: &Command) -> Answer {
    usual(command).unwrap_or_else(|| Answer::text("510 Unrecognized command\n"))
}

/// A connection with these limits.
async fn connected(port: &ControlPort, limits: conn::Limits) -> (Tor, mpsc::Receiver<TorEvent>) {
    let (link, news) = conn::connect(&config(&port.address), limits).await.unwrap();
    (Tor { link: Arc::new(link) }, news)
}

#[tokio::test]
async fn both_socket_kinds_and_every_method_let_us_in() {
    let unix = ControlPort::unix(Auth::SafeCookie, ordinary);
    let tcp = ControlPort::tcp(Auth::SafeCookie, ordinary).await;
    for port in [&unix, &tcp] {
        let (tor, _news) = Tor::connect(&config(&port.address)).await.unwrap();
        assert_eq!(tor.version().await.unwrap(), "0.4.9.11");
        let lines = port.lines();
        assert_eq!(lines.iter().filter(|line| line.starts_with("PROTOCOLINFO")).count(), 1);
        assert!(lines.iter().all(|line| !line.contains(&HEXLOWER.encode(&COOKIE))), "the cookie was sent");
    }
    let port = ControlPort::unix(Auth::Password(b"pass \"word\"".to_vec()), ordinary);
    let password = Arc::new(Password::new(Zeroizing::new(b"pass \"word\"".to_vec())));
    let with_password = TorConfig { password: Some(password), ..config(&port.address) };
    assert!(Tor::connect(&with_password).await.is_ok());
    let port = ControlPort::unix(Auth::Null, ordinary);
    assert!(Tor::connect(&config(&port.address)).await.is_ok());
    let port = ControlPort::unix(Auth::PlainCookie, ordinary);
    assert!(matches!(Tor::connect(&config(&port.address)).await, Err(TorError::NoMethod { .. })));
    let allowed = TorConfig { allow_plain_cookie: true, ..config(&port.address) };
    assert!(Tor::connect(&allowed).await.is_ok());
}

#[tokio::test]
async fn wrong_cookie_and_wrong_password_are_told_apart() {
    let port = ControlPort::unix(Auth::SafeCookie, ordinary);
    std::fs::write(port.cookie_file(), [9; 32]).unwrap();
    // With another cookie the server's proof fails already.
    assert!(matches!(Tor::connect(&config(&port.address)).await, Err(TorError::Impostor { .. })));
    std::fs::write(port.cookie_file(), [9; 31]).unwrap();
    assert!(matches!(
        Tor::connect(&config(&port.address)).await,
        Err(TorError::CookieLength { found: 31, .. })
    ));
    std::fs::remove_file(port.cookie_file()).unwrap();
    let error = Tor::connect(&config(&port.address)).await.err().unwrap();
    assert!(error.to_string().contains("control.authcookie"), "{error}");
    let port = ControlPort::unix(Auth::Password(b"right".to_vec()), ordinary);
    let password = Some(Arc::new(Password::new(Zeroizing::new(b"wrong".to_vec()))));
    let error = Tor::connect(&TorConfig { password, ..config(&port.address) }).await.err().unwrap();
    assert!(
        matches!(&error, TorError::AuthRejected { method: "password", text } if text.starts_with("515 "))
    );
    assert!(!format!("{error} {error:?}").contains("wrong"));
}

#[tokio::test]
async fn a_server_that_does_not_know_the_cookie_gets_nothing() {
    let port = ControlPort::unix(Auth::Impostor, ordinary);
    let error = Tor::connect(&config(&port.address)).await.err().unwrap();
    assert!(matches!(error, TorError::Impostor { .. }));
    assert!(error.to_string().contains("nothing secret was sent"));
    let lines = port.lines();
    assert!(lines.iter().all(|line| !line.starts_with("AUTHENTICATE")), "{lines:?}");
}

#[tokio::test]
async fn nobody_there_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("none").display());
    let error = Tor::connect(&config(&address)).await.err().unwrap();
    assert!(matches!(error, TorError::Unreachable { .. }));
    assert!(error.to_string().contains(&address) && error.advice().contains("ControlSocket"));
}

#[tokio::test]
async fn short_questions_are_answered() {
    let port = ControlPort::unix(Auth::SafeCookie, |command| match command.line.as_str() {
        "GETCONF TestingTorNetwork" => Answer::text("250 TestingTorNetwork=1\n"),
        "GETINFO dormant" => Answer::text("250-dormant=1\n250 OK\n"),
        _other => ordinary(command),
    });
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    assert!(tor.is_testing_network().await.unwrap());
    assert!(tor.is_dormant().await.unwrap());
    tor.signal_active().await.unwrap();
    let valid_after = tor.consensus_valid_after().await.unwrap().unwrap();
    assert_eq!(valid_after, UnixTime(1_795_363_200));
    assert!(tor.has_live_consensus(valid_after).await.unwrap());
    assert!(!tor.has_live_consensus(valid_after.minus(1)).await.unwrap());
    assert!(!tor.has_live_consensus(valid_after.plus(3 * 3600 + 1)).await.unwrap());
}

#[tokio::test]
async fn a_tor_without_consensus_says_so_without_an_error() {
    for answer in ["552 Unrecognized key\n", "551 Not available\n", "250-consensus/valid-after=\n250 OK\n"] {
        let port = ControlPort::unix(Auth::Null, move |command| match command.line.as_str() {
            "GETINFO consensus/valid-after" => Answer::text(answer),
            _other => ordinary(command),
        });
        let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
        assert_eq!(tor.consensus_valid_after().await.unwrap(), None);
        assert!(!tor.has_live_consensus(clock::now()).await.unwrap());
    }
}

#[tokio::test]
async fn bootstrap_is_awaited_by_events() {
    let percent = Arc::new(std::sync::atomic::AtomicU8::new(50));
    let shown = Arc::clone(&percent);
    let port = ControlPort::unix(Auth::Null, move |command| match command.line.as_str() {
        "GETINFO status/bootstrap-phase" => {
            let percent = shown.load(std::sync::atomic::Ordering::SeqCst);
            let phase = format!("NOTICE BOOTSTRAP PROGRESS={percent} TAG=x SUMMARY=\"Loading\"");
            Answer::text(&format!("250-status/bootstrap-phase={phase}\n250 OK\n"))
        }
        _other => ordinary(command),
    });
    let (tor, mut news) = connected(&port, conn::Limits::USUAL).await;
    let early = tor.wait_bootstrapped(Duration::from_millis(100)).await.unwrap_err();
    assert!(early.to_string().contains("bootstrapped 50 %, Loading"), "{early}");
    let waiting = tokio::spawn({
        let tor = tor.clone();
        async move { tor.wait_bootstrapped(SOON).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = port.lines().len();
    assert!(!waiting.is_finished());
    percent.store(100, std::sync::atomic::Ordering::SeqCst);
    port.emit("650 STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"\n");
    waiting.await.unwrap().unwrap();
    assert!(port.lines().len() <= asked + 2, "it asks once for each event");
    assert!(matches!(news.recv().await, Some(TorEvent::Bootstrap(state)) if state.percent == 100));
}

#[tokio::test]
async fn a_tor_that_does_not_know_sleep_is_no_problem() {
    let port = ControlPort::unix(Auth::Null, |command| match command.line.as_str() {
        "SIGNAL ACTIVE" => Answer::text("552 Unrecognized signal code \"ACTIVE\"\n"),
        _other => ordinary(command),
    });
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    tor.wait_bootstrapped(SOON).await.unwrap();
    assert_eq!(tor.signal_active().await.unwrap_err().code(), Some(552));
}

#[tokio::test]
async fn a_disabled_network_is_named() {
    let port = ControlPort::unix(Auth::Null, |command| match command.line.as_str() {
        "GETINFO status/enough-dir-info" => Answer::text("250-status/enough-dir-info=0\n250 OK\n"),
        "GETCONF DisableNetwork" => Answer::text("250 DisableNetwork=1\n"),
        _other => ordinary(command),
    });
    let (tor, _news) = connected(&port, conn::Limits::USUAL).await;
    let error = tor.wait_bootstrapped(Duration::from_millis(100)).await.unwrap_err();
    assert!(error.to_string().contains("DisableNetwork"), "{error}");
}

#[tokio::test]
async fn the_connection_closes_with_the_last_handle() {
    let port = ControlPort::unix(Auth::Null, ordinary);
    let (tor, mut news) = connected(&port, conn::Limits::USUAL).await;
    let second = tor.clone();
    drop(tor);
    assert!(second.version().await.is_ok());
    drop(second);
    assert_eq!(timeout(SOON, news.recv()).await.unwrap(), None);
}
