//! Tests of the status socket and its table.

use super::{
    AlarmStatus, BackendStatus, DescriptorStatus, Document, HsDirStatus, Legacy, OtherStatus, ServiceStatus,
    SignerStatus, StatusError, StatusServer, Table, TorStatus, ask,
};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A document in which something of everything is said.
pub(crate) fn document() -> Document {
    let mut document = document_without_legacy();
    document.services.iter_mut().for_each(|service| service.legacy = Legacy::of(service));
    document
}

fn document_without_legacy() -> Document {
    Document {
        version: "0.1.0".to_owned(),
        now: 1_800_000_000,
        started: 1_799_990_000,
        tor: TorStatus {
            state: "ready".to_owned(),
            version: Some("0.4.9.11".to_owned()),
            testing: false,
            problem: None,
            consensus_valid_after: Some(1_799_996_400),
            hsdirs: 12,
            hsdirs_without_microdescriptor: 1,
            offline: false,
            clock_skew: Some(-180),
        },
        services: vec![service()],
        warnings: vec!["look at this".to_owned()],
        alarms: vec![AlarmStatus {
            name: "clock-skew".to_owned(),
            level: "warn".to_owned(),
            service: None,
            subject: None,
            since: 1_799_999_700,
            text: "our clock is 180 s behind".to_owned(),
        }],
    }
}

/// Its only service.
fn service() -> ServiceStatus {
    ServiceStatus {
        address: crate::config::tests::A.to_owned(),
        mode: "ordinary".to_owned(),
        bundles: None,
        signer: SignerStatus {
            state: "away".to_owned(),
            last_certificate: None,
            problem: Some("gone".to_owned()),
        },
        backends: vec![BackendStatus {
            name: "b1".to_owned(),
            address: crate::config::tests::B.to_owned(),
            state: "up".to_owned(),
            problem: None,
            uploaded: Some(1_799_999_000),
            fetched: Some(1_799_999_990),
            revision: Some(5),
            points: 3,
            points_changed: Some(1_799_998_000),
            listed: 2,
            weight: 1,
            draining: false,
            changed: Some("weight 2 in the file".to_owned()),
            share: 666_666,
        }],
        removed: vec!["b9".to_owned()],
        former_until: Some(1_800_003_600),
        descriptors: vec![DescriptorStatus {
            role: "first".to_owned(),
            period: 20_833,
            period_minutes: 1440,
            fetched_now: true,
            blinded: String::new(),
            revision: Some(77),
            certificate_expires: Some(1_800_180_000),
            points: 2,
            octets: 14_200,
            blocks: 1,
            uploaded: Some(1_799_999_900),
            next_upload: Some(1_800_003_600),
            other: Some(OtherStatus {
                revision: 70,
                seen: 1_799_999_000,
                uploaded: Some(1_799_998_000),
                same_secret: Some(true),
                clock_ahead: None,
            }),
            hsdirs: vec![HsDirStatus {
                fingerprint: "A".repeat(40),
                result: "stored".to_owned(),
                at: Some(1_799_999_903),
                stored_revision: Some(77),
                stored_at: Some(1_799_999_903),
                copy: "held".to_owned(),
                given_revision: Some(77),
                looked_at: Some(1_799_999_990),
            }],
        }],
        legacy: Legacy::default(),
    }
}

#[test]
fn table_shows_everything_and_no_whole_address() {
    let text = Table(&document()).to_string();
    for wanted in [
        "tor 0.4.9.11: ready",
        "12 HSDirs (1 more without microdescriptor)",
        "service [...]kenl5sid.onion, ordinary",
        "signer: away (gone)",
        "  taken over: a tor service that had the address before must publish no more, and may stop after 2027-01-15T09:00:00Z",
        "b1               up        16 min ago    10 s ago       3       2      1  66.6 %",
        "first descriptor, period 20833, asked for by clients now",
        "revision 77, 2 points, uploaded 100 s ago, next in 60 min, certificate ends in 50 h",
        "AAAA 97 s ago stored",
        "  look at this",
    ] {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
    assert!(!text.contains(crate::config::tests::A));
}

/// What a monitoring script that was written for Onionbalance makes of a status document: one line a service and instance.
///
/// It knows the fields of Onionbalance 0.2.4 and nothing of ours.
fn script(text: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let stamp = |value: &serde_json::Value| {
        let text = value.as_str().unwrap().to_owned();
        assert!(crate::netdoc::date::parse(&text, ' ').is_some(), "%Y-%m-%d %H:%M:%S: {text}");
        text
    };
    let mut lines = Vec::new();
    for service in document["services"].as_array().unwrap() {
        let address = service["onionAddress"].as_str().unwrap();
        let attempt = |name: &str| {
            let value = service.get(name).unwrap();
            if value.is_null() { "never".to_owned() } else { stamp(value) }
        };
        let (first, second) =
            (attempt("publishAttemptFirstDescriptor"), attempt("publishAttemptSecondDescriptor"));
        lines.push(format!("{address} {first} / {second}"));
        for instance in service["instances"].as_array().unwrap() {
            let address = instance["onionAddress"].as_str().unwrap();
            if instance.get("received").is_some_and(serde_json::Value::is_null) {
                lines.push(format!("  {address} nothing"));
                continue;
            }
            let points = instance["introPointsNum"].as_u64().unwrap();
            let (changed, received) =
                (stamp(&instance["introSetModified"]), stamp(&instance["descriptorReceived"]));
            lines.push(format!("  {address} {points} {changed} / {received}"));
        }
    }
    lines
}

#[test]
fn a_script_for_onionbalance_goes_on_working() {
    use crate::config::tests::{A, B};
    let mut document = document_without_legacy();
    let mut unknown = document.services[0].backends[0].clone();
    (unknown.points_changed, unknown.fetched) = (None, None);
    document.services[0].backends.push(unknown);
    document.services[0].legacy = Legacy::of(&document.services[0]);
    let text = serde_json::to_string(&document).unwrap();
    assert_eq!(
        script(&text),
        [
            format!("{A} 2027-01-15 07:58:20 / never"),
            format!("  {B} 3 2027-01-15 07:26:40 / 2027-01-15 07:59:50"),
            format!("  {B} nothing"),
        ]
    );
}

#[test]
fn document_is_read_as_it_was_written() {
    let text = serde_json::to_string(&document()).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document());
}

#[tokio::test]
async fn every_client_gets_the_document_and_the_socket_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let server = StatusServer::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    assert!(StatusServer::open(&path).is_err(), "somebody listens there");
    drop(server.next().await);
    for _client in 0..3 {
        let asked = path.clone();
        let client = tokio::task::spawn_blocking(move || ask(&asked));
        server.next().await.write(serde_json::to_vec(&document()).unwrap()).await;
        assert_eq!(client.await.unwrap().unwrap(), document());
    }
    drop(server);
    assert!(!path.exists());
}

#[tokio::test]
async fn ninth_client_waits_and_slow_ones_do_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let server = StatusServer::open(&path).unwrap();
    let clients: Vec<_> = (0..9).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut served = Vec::new();
    for _client in 0..8 {
        served.push(server.next().await);
    }
    let ninth = tokio::time::timeout(Duration::from_millis(100), server.next()).await;
    assert!(ninth.is_err(), "eight at most");
    // A client that reads nothing: 8 MiB do not fit into a socket's buffers.
    tokio::time::pause();
    served.pop().unwrap().write(vec![b' '; 8 << 20]).await;
    tokio::time::resume();
    tokio::time::timeout(Duration::from_secs(5), server.next()).await.unwrap();
    drop(clients);
}

#[tokio::test]
async fn what_a_client_says_is_never_read() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let server = StatusServer::open(&path).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"{\"command\":\"reload\"}\n").unwrap();
    server.next().await.write(b"the document".to_vec()).await;
    let answer = tokio::task::spawn_blocking(move || {
        let mut text = [0; 12];
        client.read_exact(&mut text).unwrap();
        (text, client.read(&mut [0; 1]).map_err(|error| error.kind()))
    });
    let (text, end) = answer.await.unwrap();
    assert_eq!(&text, b"the document");
    // The system's own word that what we sent was still there, unread, when the socket was closed.
    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_left_over_socket_is_replaced_and_a_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(StatusServer::open(&path).unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(StatusServer::open(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn nobody_and_nonsense_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    assert!(matches!(ask(&path), Err(StatusError::Unreachable { .. })));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write;
        listener.accept().unwrap().0.write_all(b"250 OK\r\n").unwrap();
    });
    assert!(matches!(ask(&path), Err(StatusError::NotUnderstood { .. })));
    server.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_drop_by_drop_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _client) = listener.accept().await.unwrap();
        loop {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b" ").await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let began = tokio::time::Instant::now();
    let asked = super::ask_async(&path).await;
    assert!(matches!(asked, Err(StatusError::Unreachable { .. })));
    assert!(began.elapsed() < Duration::from_secs(6), "one deadline for all of it");
    server.abort();
}
