//! Tests of moving in: what is carried over, what is not, and files made to do harm.

use super::onionbalance::read;
use super::*;
use crate::config::Config;
use crate::config::tests::{A, B, C};
use std::fs;

/// An address without its ending.
fn bare(address: &str) -> &str {
    address.strip_suffix(".onion").unwrap()
}

/// A file such as `onionbalance-config` writes.
fn sample() -> String {
    format!(
        "services:\n- instances:\n  - address: {}\n    name: node1\n  - address: {C}\n    name: node2\n  key: {}.key\n\
         status-socket-location: /run/ob/status.sock\n",
        bare(B),
        bare(A)
    )
}

/// The problems of a text.
fn problems(text: &str) -> Vec<String> {
    let problems = read(text, Path::new("/etc/onionbalance")).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn what_onionbalance_writes_becomes_a_good_configuration() {
    let imported = read(&sample(), Path::new("/etc/onionbalance")).unwrap();
    let notes: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
    assert!(
        matches!(notes.as_slice(), [note] if note.starts_with("line 8: status-socket-location: \"/run/ob/status.sock\" stays Onionbalance's")),
        "{notes:?}"
    );
    let text = imported.to_string();
    let config = Config::parse(&text).unwrap();
    // Onionbalance still runs: at its socket we could not listen.
    assert_eq!(config.status_socket, Path::new(STATUS_SOCKET));
    assert!(text.contains("# Onionbalance listens at /run/ob/status.sock until it is stopped.\n"), "{text}");
    let [service] = config.services.as_slice() else { panic!("one service") };
    assert_eq!(service.address.to_string(), A);
    let backends: Vec<_> =
        service.backends.iter().map(|backend| (backend.name.as_str(), backend.address.to_string())).collect();
    assert_eq!(backends, [("node1", B.to_owned()), ("node2", C.to_owned())]);
    assert!(text.contains(&format!("key import /etc/onionbalance/{}.key", bare(A))), "{text}");
    assert!(imported.steps[0].contains("key import /etc/onionbalance/"));
}

#[test]
fn an_address_that_only_the_key_tells_must_be_filled_in() {
    let text = sample().replace(&format!("{}.key", bare(A)), "/keys/my.pem");
    let imported = read(&text, Path::new("/etc/onionbalance")).unwrap();
    assert_eq!(imported.services[0].address, None);
    assert_eq!(imported.services[0].key, Path::new("/keys/my.pem"));
    let written = imported.to_string();
    assert!(Config::parse(&written).is_err(), "a file with a gap must not pass");
    assert!(Config::parse(&written.replace(UNKNOWN_FRONTEND, A)).is_ok());
    assert!(imported.steps[1].contains("write the address"), "{:?}", imported.steps);
}

#[test]
fn what_is_not_carried_over_is_named_with_its_line() {
    let text = format!("log-level: debug\n{}", sample().replace("name: node2", "name: node1\n    weight: 3"));
    let imported = read(&text, Path::new("/")).unwrap();
    let notes: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(notes[0].starts_with("line 1: \"log-level\" is not carried over"));
    assert!(notes[1].starts_with("line 6: name: \"node1\""), "{notes:?}");
    assert!(notes[2].starts_with("line 8: \"weight\""), "{notes:?}");
    assert!(Config::parse(&imported.to_string()).is_ok());
}

#[test]
fn a_name_of_ours_never_collides() {
    let text = sample().replace("node2", "\"nö\"").replace("node1", "node2");
    let imported = read(&text, Path::new("/")).unwrap();
    let names: Vec<_> = imported.services[0].backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["node2", "node3"]);
}

#[test]
fn broken_parts_are_all_named_at_once() {
    let text = "services:\n- key: 5\n  instances: []\n- instances:\n  - name: x\n  - address: expyuzz4wqqyqhjn.onion\n  \
                - address: nonsense\n- 7\nstatus-socket-location: here\n";
    let found = problems(text);
    for wanted in [
        "line 3: instances: wanted is a list that is not empty",
        "line 4: key is missing",
        "line 5: address is missing",
        "line 6: address: this is a version 2 address",
        "line 7: address: ",
        "line 8: a service: wanted is a mapping",
        "line 9: status-socket-location: \"here\" is not an absolute path",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(wanted)), "{wanted} in {found:#?}");
    }
    let own = sample().replace(C, A);
    assert!(problems(&own)[0].contains("cannot be its own backend"));
}

#[test]
fn nothing_is_no_text() {
    for (from, to, wanted) in [
        (format!("{}.key", bare(A)), "", "line 7: key: wanted is a text"),
        (format!("{}.key", bare(A)), "~", "line 7: key: wanted is a text"),
        (format!("{}.key", bare(A)), "\"\"", "line 7: key: wanted is a text"),
        ("node1".to_owned(), "null", "line 4: name: wanted is a text"),
        (bare(B).to_owned(), "NULL", "line 3: address: wanted is a text"),
    ] {
        let found = problems(&sample().replace(&from, to));
        assert!(found.iter().any(|problem| problem.starts_with(wanted)), "{to:?}: {found:?}");
    }
    let quoted = read(&sample().replace("node1", "\"null\""), Path::new("/")).unwrap();
    assert_eq!(quoted.services[0].backends[0].name, "null");
}

#[test]
fn what_one_service_has_no_other_can_have() {
    let instances = format!("- instances:\n  - address: {C}\n");
    let twice =
        sample().replace("status-socket", &format!("{instances}  key: {}.key\nstatus-socket", bare(A)));
    assert_eq!(problems(&twice), ["line 8: key: the service of line 2 has it already"]);
    let other =
        sample().replace("status-socket", &format!("{instances}  key: {}.key\nstatus-socket", bare(B)));
    assert_eq!(
        problems(&other),
        ["line 2: instance \"node1\": its address is a frontend here, which cannot be a backend"]
    );
}

#[test]
fn hostile_yaml_is_refused_with_a_line() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deeper = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nservices: [*b, *b]\n";
    for (name, text, wanted) in [
        ("empty", "", "nothing is in it"),
        ("comment", "# nothing\n", "nothing is in it"),
        ("scalar", "hello", "wanted is a mapping"),
        ("list", "- a\n- b\n", "wanted is a mapping"),
        ("no-services", "a: b\n", "services is missing"),
        ("services-null", "services:\n", "wanted is a list"),
        ("services-map", "services: {a: b}\n", "wanted is a list"),
        ("twice", "services: [a]\nservices: [b]\n", "is there twice"),
        ("alias-bomb", bomb, "YAML alias"),
        ("alias-unknown", "services: *nobody\n", "not YAML"),
        ("tag", "services: !!python/object/apply:os.system [\"id\"]\n", "YAML tag"),
        ("merge-key", "a: &a {b: c}\nservices:\n- <<: *a\n", "YAML alias"),
        ("two-documents", "---\na: b\n---\nc: d\n", "a second document"),
        ("deep-flow", &deep, "nested too deeply"),
        ("very-deep-flow", &deeper, "line "),
        ("deep-block", &nested, "nested too deeply"),
        ("unclosed", "services: [a, b\n", "not YAML"),
        ("unclosed-quote", "services: \"a\n", "not YAML"),
        ("tab", "services:\n\t- a\n", "not YAML"),
        ("list-as-key", "[a, b]: c\n", "a key that is not a word"),
        ("directive", "%YAML 9.9\n---\na: b\n", ""),
        ("nul", "services: \0\n", ""),
        ("bom", "\u{feff}services: 1\n", "wanted is a list"),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|problem| problem.contains(wanted)), "{name}: {wanted} in {found:?}");
        assert!(found.iter().all(|problem| problem.starts_with("line ")), "{name}: {found:?}");
    }
}

#[test]
fn a_path_cannot_break_out_of_its_comment() {
    let text = sample().replace(&format!("{}.key", bare(A)), "\"/k\\nevil = 1\"");
    let imported = read(&text, Path::new("/")).unwrap();
    assert!(imported.to_string().contains("key import /k?evil = 1\n"), "{imported}");
    let socket = sample().replace("/run/ob/status.sock", "\"/run/x\\u0085y\\ncontrol_socket = 1\"");
    let written = read(&socket, Path::new("/")).unwrap().to_string();
    assert_eq!(Config::parse(&written).unwrap().status_socket, Path::new(STATUS_SOCKET));
}

#[test]
fn files_that_are_no_text_or_too_long_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, [0xff; 10]).unwrap();
    assert!(matches!(onionbalance(&path), Err(ImportError::NotText(_))));
    fs::write(&path, "#".repeat(2 * 1024 * 1024)).unwrap();
    assert!(matches!(onionbalance(&path), Err(ImportError::NotText(_))));
    assert!(matches!(onionbalance(&folder.path().join("missing")), Err(ImportError::Unreadable { .. })));
    fs::write(&path, sample()).unwrap();
    let imported = onionbalance(&path).unwrap();
    assert_eq!(imported.services[0].key, folder.path().join(format!("{}.key", bare(A))));
}

#[test]
fn a_tor_service_moves_in_without_its_key_being_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("hostname"), format!("{A}\n")).unwrap();
    // A folder in the key's place: whoever opened it as a file would fail.
    fs::create_dir(path.join("hs_ed25519_secret_key")).unwrap();
    let imported = tor(path).unwrap();
    let text = imported.to_string();
    assert!(text.contains(&format!("# MasterOnionAddress {A}\n")), "{text}");
    assert!(text.contains("# HiddenServiceOnionBalanceInstance 1\n"), "{text}");
    assert!(!text.contains("authorized_clients"));
    assert!(Config::parse(&text).is_err(), "the backends' addresses are wanting");
    let filled = text.replace("THE ADDRESS OF b1", B).replace("THE ADDRESS OF b2", C);
    assert_eq!(Config::parse(&filled).unwrap().services[0].address.to_string(), A);
}

#[test]
fn a_restricted_tor_service_stays_restricted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("hostname"), format!("{A}\n")).unwrap();
    fs::create_dir(path.join("authorized_clients")).unwrap();
    assert!(!tor(path).unwrap().services[0].restricted, "as with C tor, an empty folder restricts nothing");
    fs::write(path.join("authorized_clients/x.auth"), "nonsense").unwrap();
    let imported = tor(path).unwrap();
    let text = imported.to_string();
    let filled = text.replace("THE ADDRESS OF b1", B).replace("THE ADDRESS OF b2", C);
    assert_eq!(
        Config::parse(&filled).unwrap().services[0].authorized_clients.as_deref(),
        Some(Path::new(&format!("/etc/onionkeep/clients/{}", bare(A))))
    );
    assert!(imported.steps[1].contains("nobody can read"), "{:?}", imported.steps);
}

#[test]
fn a_tor_folder_that_is_none_or_a_backend_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(tor(path), Err(ImportError::Unreadable { .. })));
    fs::write(path.join("hostname"), "nonsense\n").unwrap();
    assert!(matches!(tor(path), Err(ImportError::Problems { .. })));
    fs::write(path.join("hostname"), format!("{A}\n")).unwrap();
    fs::write(path.join("ob_config"), format!("MasterOnionAddress {B}\n")).unwrap();
    assert!(matches!(tor(path), Err(ImportError::Unfit { .. })));
}
