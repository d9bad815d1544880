//! Tests of the control socket's words, of what requests change, and of the socket against strangers.

use super::*;
use crate::config::tests::{A, B, C, D};
use crate::config::{BackendConfig, Config};
use onionkeep_common::OnionAddress;
use std::os::unix::fs::PermissionsExt;

fn backends() -> Vec<BackendConfig> {
    Config::parse(crate::config::tests::SAMPLE).unwrap().services.remove(0).backends
}

/// What a request makes of the sample's backends `b1` and `b2`, of which these are up.
fn try_change(
    backends: &[BackendConfig],
    up: &[&str],
    request: &str,
) -> Result<Vec<BackendConfig>, Objection> {
    let up: Vec<_> = up.iter().map(ToString::to_string).collect();
    let frontends: Vec<OnionAddress> = [A, D].iter().map(|address| address.parse().unwrap()).collect();
    let request: Request = serde_json::from_str(request).unwrap();
    let scene = Scene { backends, up: &up, frontends: &frontends };
    changed(&scene, &request).map(|(backends, _say)| backends)
}

#[test]
fn weight_drain_and_undrain_change_one_backend() {
    let before = backends();
    let weight = r#"{"command":"weight","service":"sid","backend":"b2","weight":7}"#;
    let after = try_change(&before, &[], weight).unwrap();
    assert_eq!((after[0].weight, after[1].weight), (1, 7));
    let drain = r#"{"command":"drain","service":"sid","backend":"b1","force":false}"#;
    let after = try_change(&before, &["b1", "b2"], drain).unwrap();
    assert_eq!((after[0].drain, after[1].drain), (true, false));
    let undrain = r#"{"command":"undrain","service":"sid","backend":"b1"}"#;
    assert_eq!(try_change(&after, &["b1", "b2"], undrain).unwrap(), before);
}

#[test]
fn weights_that_are_zero_negative_or_huge_are_wrong() {
    for weight in ["0", "-1", "1001", "9223372036854775807"] {
        let request = format!(r#"{{"command":"weight","service":"s","backend":"b1","weight":{weight}}}"#);
        let objection = try_change(&backends(), &["b1", "b2"], &request).unwrap_err();
        assert_eq!((objection.kind, objection.exit_code()), (Kind::Wrong, 2), "{weight}");
        assert!(objection.why.contains("1 to 1000"), "{}", objection.why);
    }
}

#[test]
fn the_last_backend_that_can_serve_is_drained_or_removed_only_by_force() {
    let drain = |name: &str, force: bool| {
        format!(r#"{{"command":"drain","service":"s","backend":"{name}","force":{force}}}"#)
    };
    let objection = try_change(&backends(), &["b1"], &drain("b1", false)).unwrap_err();
    assert_eq!((objection.kind, objection.exit_code()), (Kind::Refused, 3));
    assert!(objection.hint.contains("--force"));
    assert!(try_change(&backends(), &["b1"], &drain("b1", true)).unwrap()[0].drain);
    assert!(try_change(&backends(), &["b1"], &drain("b2", false)).is_ok(), "b1 is up");
    let drained = try_change(&backends(), &["b1", "b2"], &drain("b1", false)).unwrap();
    assert!(try_change(&drained, &["b1", "b2"], &drain("b2", false)).is_err(), "b1 drains already");
    let remove = r#"{"command":"remove","service":"s","backend":"b1","force":true}"#;
    let left = try_change(&backends(), &[], remove).unwrap();
    assert_eq!(left.len(), 1);
    let last = remove.replace("b1", "b2");
    assert_eq!(try_change(&left, &["b2"], &last).unwrap_err().kind, Kind::Refused, "the only one");
}

#[test]
fn a_new_backend_needs_a_name_an_address_and_a_weight_of_its_own() {
    let add = |name: &str, address: &str, weight: i64| {
        format!(
            r#"{{"command":"add","service":"s","backend":"{name}","address":"{address}","weight":{weight}}}"#
        )
    };
    let one = vec![backends().remove(0)];
    let after = try_change(&one, &[], &add("new", C, 3)).unwrap();
    assert_eq!((after[1].name.as_str(), after[1].weight, after[1].drain), ("new", 3, false));
    for (name, address, weight, why) in [
        ("b1", C, 1, "has the name b1"),
        ("two words", C, 1, "name: wanted"),
        ("new", B, 1, "that of backend b1"),
        ("new", D, 1, "is a frontend"),
        ("new", "abc", 1, "address:"),
        ("new", C, 0, "no weight"),
    ] {
        let objection = try_change(&one, &[], &add(name, address, weight)).unwrap_err();
        assert!(objection.why.contains(why), "{}", objection.why);
    }
}

#[test]
fn a_backend_that_is_not_there_is_named_with_those_that_are() {
    let undrain = r#"{"command":"undrain","service":"s","backend":"b9"}"#;
    let objection = try_change(&backends(), &[], undrain).unwrap_err();
    assert_eq!(objection.hint, "its backends are b1, b2");
}

#[test]
fn strange_words_are_no_requests() {
    for text in [
        "",
        "{}",
        "reload",
        r#"{"command":"stop"}"#,
        r#"{"command":"reload","x":1}"#,
        r#"{"command":"drain","service":"s","backend":"b","force":false,"more":1}"#,
        r#"{"command":"weight","service":"s","backend":"b","weight":1.5}"#,
        r#"{"command":"weight","service":"s","backend":"b","weight":99999999999999999999}"#,
    ] {
        assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
    }
}

/// Runs a server that drains whatever is asked, and gives what a client got for these octets.
async fn answered(octets: Vec<u8>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    let mut server = ControlServer::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let client = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        // A server that has heard enough closes; the rest is lost.
        drop(stream.write_all(&octets));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut text = String::new();
        drop(stream.read_to_string(&mut text));
        text
    });
    tokio::select! {
        text = client => text.unwrap(),
        (request, caller) = server.next() => {
            caller.answer(Answer::Done(request.name().to_owned())).await;
            "passed on".to_owned()
        }
    }
}

#[tokio::test]
async fn a_request_is_passed_on_and_noise_is_answered_without_it() {
    assert_eq!(answered(b"{\"command\":\"reload\"}\n".to_vec()).await, "passed on");
    for octets in [b"drop everything\n".to_vec(), b"{\"command\":\"reload\"}".to_vec(), vec![0xff, b'\n']] {
        let answer: Answer = serde_json::from_str(&answered(octets).await).unwrap();
        assert!(matches!(answer, Answer::Not(Objection { kind: Kind::Wrong, .. })), "{answer:?}");
    }
    // Too long a line: an answer or a closed connection, but nothing is passed on.
    assert_ne!(answered(vec![b'x'; 100_000]).await, "passed on");
}

#[tokio::test]
async fn the_client_gets_the_answer_and_says_when_nobody_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    let mut server = ControlServer::open(&path).unwrap();
    let asked = path.clone();
    let client = tokio::task::spawn_blocking(move || ask(&asked, &Request::Reload {}));
    let (request, caller) = server.next().await;
    assert_eq!(request, Request::Reload {});
    caller.answer(Answer::Done("done".to_owned())).await;
    assert_eq!(client.await.unwrap().unwrap(), Answer::Done("done".to_owned()));
    let nobody = ask(&dir.path().join("none"), &Request::Reload {}).unwrap_err();
    assert_eq!(nobody.exit_code(), 5);
}
