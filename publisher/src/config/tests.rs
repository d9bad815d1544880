//! Tests of the configuration, and the sample that other tests change.

use super::*;
use crate::merge::Rotate;

/// A frontend.
pub(crate) const A: &str = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion";
/// A backend.
pub(crate) const B: &str = "paozpdhgz2okvc6kgbxvh2bnfsmt4xergrtcl4obkhopyvwxkpjzvoad.onion";
/// Another backend.
pub(crate) const C: &str = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion";
/// Another frontend.
pub(crate) const D: &str = "l3izvqplbgaftzbw6ufk2vwc7emlnrn6gysou7lmgmm55hxzjcu4xlid.onion";
/// A good configuration with one frontend and two backends.
pub(crate) const SAMPLE: &str = r#"state_dir = "/var/lib/onionkeep-publisher"
status_socket = "/run/onionkeep-publisher/status.sock"
[tor]
control = "unix:/run/tor/control"
socks = "127.0.0.1:9050"
[[service]]
address = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion"
signer = "/run/onionkeep-signer/signer.sock"
probe_port = 80
[[service.backend]]
name = "b1"
address = "paozpdhgz2okvc6kgbxvh2bnfsmt4xergrtcl4obkhopyvwxkpjzvoad.onion"
[[service.backend]]
name = "b2"
address = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion"
"#;

/// The problems of the sample after one replacement.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(SAMPLE.contains(from), "{from}");
    let problems = Config::parse(&SAMPLE.replacen(from, to, 1)).unwrap_err();
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn sample_means_what_it_says() {
    let config = Config::parse(SAMPLE).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/onionkeep-publisher"));
    assert_eq!(config.tor.control.to_string(), "unix:/run/tor/control");
    assert!(!config.tor.allow_plain_cookie);
    let [service] = config.services.as_slice() else { panic!("one service") };
    assert_eq!(service.address.to_string(), A);
    assert_eq!(service.mode, Mode::Ordinary { points: 3, rotate: Rotate::Daily });
    assert!(service.backends.iter().all(|backend| backend.weight == 1));
    assert_eq!(service.probing, Some(Probing { port: 80, interval: 60, http: None }));
    let names: Vec<_> =
        service.backends.iter().map(|backend| (backend.name.as_str(), backend.address.to_string())).collect();
    assert_eq!(names, [("b1", B.to_owned()), ("b2", C.to_owned())]);
}

#[test]
fn frontend_as_its_own_backend_is_refused_at_its_line() {
    assert_eq!(problems(B, A), ["line 12: address: this is a frontend, which cannot be a backend"]);
}

#[test]
fn same_backend_twice_is_refused() {
    assert_eq!(problems(C, B), ["line 15: address: the same as that of backend \"b1\""]);
    assert_eq!(
        problems("\"b2\"", "\"b1\""),
        ["line 14: name: another backend of this service has this name"]
    );
}

#[test]
fn same_frontend_twice_is_refused() {
    let second = SAMPLE.split_once("[[service]]").unwrap().1;
    let text = format!("{SAMPLE}[[service]]{second}");
    let problems = Config::parse(&text).unwrap_err();
    assert_eq!(problems.to_string(), "line 17: address: this frontend has a [[service]] already");
}

#[test]
fn mistyped_address_and_torsion_are_refused() {
    let mistyped = problems("paozp", "qaozp");
    assert!(mistyped[0].contains("line 12: address:") && mistyped[0].contains("checksum"), "{mistyped:?}");
    let torsion = problems(B, "aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaahmjqd.onion");
    assert!(torsion[0].contains("prime-order") || torsion[0].contains("not usable"), "{torsion:?}");
}

#[test]
fn counts_and_ranges_are_checked() {
    let backends = SAMPLE.split_once("[[service.backend]]").unwrap().1;
    assert!(problems(&format!("[[service.backend]]{backends}"), "")[0].contains("wanted are 1 to 3000"));
    assert!(problems("probe_port = 80", "probe_port = 65536")[0].contains("65535"));
    assert!(problems("probe_port = 80", "probe_interval_seconds = 9")[0].contains("without probe_port"));
    assert!(problems("probe_port = 80", "probe_http = \"/\"")[0].contains("without probe_port"));
    assert!(problems("probe_port = 80", "probe_port = 80\nprobe_http = \"up\"")[0].contains("starts with /"));
    assert!(
        problems("probe_port = 80", "probe_port = 80\nprobe_http_status = 200")[0]
            .contains("without probe_http")
    );
    assert!(problems("probe_port = 80", "check_uploads_seconds = 7201")[0].contains("7200"));
    let lines = "probe_port = 80\nprobe_http = \"/\"\nprobe_http_status = 600";
    assert!(problems("probe_port = 80", lines)[0].contains("599"));
    assert!(problems("socks = \"127.0.0.1:9050\"", "")[0].contains("set socks in [tor]"));
    assert!(problems("\"b1\"", "\"b 1\"")[0].contains("name: wanted are"));
}

/// The mode after one replacement.
fn mode_of(lines: &str) -> Mode {
    Config::parse(&SAMPLE.replacen("probe_port = 80", lines, 1)).unwrap().services[0].mode
}

#[test]
fn modes_have_their_number_of_points() {
    let ordinary = |points, rotate| Mode::Ordinary { points, rotate };
    assert_eq!(mode_of("intro_points = 8"), ordinary(8, Rotate::Daily));
    assert_eq!(mode_of("mode = \"ordinary\"\nrotate = \"daily\""), ordinary(3, Rotate::Daily));
    assert_eq!(mode_of("rotate = \"hourly\""), ordinary(3, Rotate::Hourly));
    assert_eq!(mode_of("mode = \"wide\""), Mode::Wide { points: 20 });
    assert_eq!(mode_of("mode = \"distinct\"\nintro_points = 10"), Mode::Distinct { points: 10 });
    for (lines, wanted) in [
        ("intro_points = 9", "line 9: intro_points: wanted is a whole number from 3 to 8"),
        ("intro_points = 2", "line 9: intro_points: wanted is a whole number from 3 to 8"),
        (
            "mode = \"wide\"\nintro_points = 21",
            "line 10: intro_points: wanted is a whole number from 1 to 20",
        ),
        ("rotate = \"weekly\"", "line 9: rotate: wanted is \"daily\" or \"hourly\""),
        (
            "mode = \"wide\"\nrotate = \"hourly\"",
            "line 10: rotate: only for mode = \"ordinary\"; wide evens out over an hour",
        ),
        ("mode = \"many\"", "line 9: mode: wanted is \"ordinary\", \"wide\" or \"distinct\""),
        ("max_intro_points = 20", "line 9: max_intro_points: replaced by mode and intro_points"),
    ] {
        let found = problems("probe_port = 80", lines);
        assert!(found[0].starts_with(wanted), "{lines}: {found:?}");
    }
}

#[test]
fn weights_are_whole_numbers_from_one_to_a_thousand() {
    let with = |weight: &str| format!("name = \"b1\"\nweight = {weight}");
    let heavy = Config::parse(&SAMPLE.replacen("name = \"b1\"", &with("1000"), 1)).unwrap();
    assert_eq!(heavy.services[0].backends[0].weight, 1000);
    for bad in ["0", "-1", "1001", "99999999999999999999", "1.5", "\"1\""] {
        let found = problems("name = \"b1\"", &with(bad));
        assert!(found[0].contains("weight: wanted is a whole number from 1 to 1000"), "{bad}: {found:?}");
    }
}

#[test]
fn more_services_and_backends_than_one_publisher_serves_are_refused_with_a_way_out() {
    use curve25519_dalek::{Scalar, constants::ED25519_BASEPOINT_POINT};
    use std::fmt::Write as _;
    // Different keys, cheaply: each is the one before plus the base point.
    let keys = std::iter::successors(Some(ED25519_BASEPOINT_POINT * Scalar::from(9_u8)), |key| {
        Some(key + ED25519_BASEPOINT_POINT)
    });
    let keys = keys.map(|key| onionkeep_common::IdentityKey::from_bytes(key.compress().to_bytes()).unwrap());
    let mut addresses = keys.map(|key| OnionAddress::new(key).to_string());
    let head = SAMPLE.split_once("[[service]]").unwrap().0;
    let mut text = |services: usize, backends: usize| {
        let mut text = head.to_owned();
        for _service in 0..services {
            let address = addresses.next().unwrap();
            write!(text, "[[service]]\naddress = \"{address}\"\nsigner = \"/run/s\"\n").unwrap();
            for number in 0..backends {
                let address = addresses.next().unwrap();
                write!(text, "[[service.backend]]\nname = \"b{number}\"\naddress = \"{address}\"\n").unwrap();
            }
        }
        text
    };
    for (services, backends, wanted) in [
        (
            SERVICES_MAX + 1,
            1,
            "1001 [[service]]: wanted are 1 to 1000; share them out among several publishers",
        ),
        (21, 500, "10500 [[service.backend]] in all: at most 10000 are wanted; share them out"),
    ] {
        let found = Config::parse(&text(services, backends)).unwrap_err();
        assert!(found.0.iter().any(|problem| problem.to_string().contains(wanted)), "{:?}", found.0.first());
    }
    assert_eq!(Config::parse(&text(SERVICES_MAX, 1)).unwrap().services.len(), SERVICES_MAX);
}

#[test]
fn relative_paths_and_inline_passwords_are_refused() {
    assert!(problems("\"/var/lib", "\"var/lib")[0].contains("state_dir: wanted is an absolute path"));
    assert!(problems("[tor]", "[tor]\npassword = \"secret\"")[0].contains("file:/absolute/path"));
    assert!(problems("unix:/run/tor/control", "localhost:9051")[0].contains("line 4: control:"));
}

#[test]
fn places_where_no_socket_could_be_are_refused() {
    let status = "status_socket = \"/run/onionkeep-publisher/status.sock\"";
    let with = |line: &str| problems(status, &format!("{status}\n{line}"));
    for same in [
        "/run/onionkeep-publisher/status.sock",
        "/x/../run//onionkeep-publisher/./status.sock",
        "/../run/onionkeep-publisher/status.sock",
    ] {
        let wanted = ": the status socket is there already; give each a path of its own";
        assert_eq!(
            with(&format!("control_socket = \"{same}\"")),
            [format!("line 3: control_socket{wanted}")],
            "{same}"
        );
        let metrics = problems("[tor]", &format!("[metrics]\nlisten = \"unix:{same}\"\n[tor]"));
        assert_eq!(metrics, [format!("line 4: listen{wanted}")], "{same}");
    }
    let text = "control_socket = \"/c\"\n[metrics]\nlisten = \"unix:/x/../c\"\n[tor]";
    assert_eq!(
        problems("[tor]", text),
        ["line 5: listen: the control socket is there already; give each a path of its own"]
    );
    let long = |length: usize| format!("/{}", "s".repeat(length - 1));
    let listen = |length| format!("[metrics]\nlisten = \"unix:{}\"\n[tor]", long(length));
    for (from, to) in [
        ("/run/onionkeep-publisher/status.sock", long(108)),
        ("[tor]", format!("control_socket = \"{}\"\n[tor]", long(108))),
        ("[tor]", listen(108)),
        ("/run/tor/control", long(108)),
        ("127.0.0.1:9050", format!("unix:{}", long(108))),
        ("/run/onionkeep-signer/signer.sock", long(108)),
    ] {
        let found = problems(from, &to);
        assert!(found.len() == 1 && found[0].contains("at most 107 octets, this one has 108"), "{found:?}");
    }
    assert!(Config::parse(&SAMPLE.replacen("[tor]", &listen(107), 1)).is_ok());
}

#[test]
fn a_path_with_nul_is_refused_whatever_it_is_for() {
    let nul = "/a\\u0000b";
    for (from, to) in [
        ("/var/lib/onionkeep-publisher", nul.to_owned()),
        ("/run/onionkeep-publisher/status.sock", nul.to_owned()),
        ("/run/tor/control", nul.to_owned()),
        ("probe_port = 80", format!("probe_port = 80\nauthorized_clients = \"{nul}\"")),
        ("name = \"b1\"", format!("client_key = \"file:{nul}\"\nname = \"b1\"")),
        ("[tor]", format!("[metrics]\nlisten = \"unix:{nul}\"\n[tor]")),
    ] {
        let found = problems(from, &to);
        assert!(found.len() == 1 && found[0].contains("NUL"), "{found:?}");
    }
}

#[test]
fn a_tor_that_cannot_be_ours_is_refused_at_its_line() {
    let found = |control| problems("unix:/run/tor/control", control);
    assert!(
        found("8.8.8.8:9051")[0]
            .starts_with("line 4: control: 8.8.8.8:9051 is not an address of this machine")
    );
    assert!(found("127.0.0.1:0")[0].starts_with("line 4: control: port 0 is no port"));
}

#[test]
fn every_problem_is_found_in_one_run() {
    let text = SAMPLE
        .replace("state_dir", "statedir")
        .replace("probe_port = 80", "probe_prot = 80")
        .replace(B, A)
        .replace("\"b2\"", "\"\"");
    let problems = Config::parse(&text).unwrap_err().to_string();
    for wanted in [
        "line 1: unknown key `statedir` in the top level; did you mean `state_dir`?",
        "line 1: state_dir is missing",
        "line 9: unknown key `probe_prot` in [[service]]; did you mean `probe_port`?",
        "line 12: address: this is a frontend",
        "line 14: name: wanted are",
    ] {
        assert!(problems.contains(wanted), "{wanted} in {problems}");
    }
}

#[test]
fn password_file_is_one_line_that_others_cannot_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let with = |content: &str, mode: u32| {
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read_password(&path)
    };
    assert!(with("secret\n", 0o640).is_ok());
    assert!(with("secret\n", 0o644).is_err());
    assert!(with("\n", 0o600).is_err());
    assert!(with("a\nb\n", 0o600).is_err());
    assert!(read_password(&dir.path().join("none")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(at in 0..SAMPLE.len(), with in "[\\[\\]=\"a-z0-9\\n]{0,6}") {
        let mut text = SAMPLE.to_owned();
        text.replace_range(at..(at + with.len() / 2).min(text.len()), &with);
        drop(Config::parse(&text));
    }
}

#[test]
fn clients_and_backends_keys_are_files() {
    let with = |from: &str, to: &str| Config::parse(&SAMPLE.replacen(from, to, 1));
    let config = with("probe_port", "authorized_clients = \"/etc/c\"\nprobe_port").unwrap();
    assert_eq!(config.services[0].authorized_clients.as_deref(), Some(Path::new("/etc/c")));
    let problem = problems("probe_port", "authorized_clients = \"c\"\nprobe_port");
    assert!(problem[0].contains("wanted is an absolute path"), "{problem:?}");
    let key = "client_key = \"file:/etc/k\"\npow = \"ignore\"\nname = \"b1\"";
    let config = with("name = \"b1\"", key).unwrap();
    let [b1, b2] = config.services[0].backends.as_slice() else { panic!("two") };
    assert_eq!(b1.client_key.as_deref(), Some(Path::new("/etc/k")));
    assert_eq!((b1.ignore_pow, b2.ignore_pow, &b2.client_key), (true, false, &None));
    let secret = problems("name = \"b1\"", "client_key = \"AAAASECRET\"\nname = \"b1\"");
    assert!(
        secret[0].contains("wanted is \"file:/absolute/path\"") && !secret[0].contains("AAAASECRET"),
        "{secret:?}"
    );
    let pow = problems("name = \"b1\"", "pow = \"yes\"\nname = \"b1\"");
    assert!(pow[0].contains("\"refuse\" or \"ignore\""), "{pow:?}");
}

#[test]
fn a_backends_key_is_read_from_a_file_that_only_we_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = ClientKey::from_bytes([5; 32]);
    let line = format!("client_key = \"file:{}\"\nname = \"b1\"", path.display());
    let config = Config::parse(&SAMPLE.replacen("name = \"b1\"", &line, 1)).unwrap();
    let backend = &config.services[0].backends[0];
    let read = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        backend.read_client_key().map(|key| key.map(|key| key.public()))
    };
    assert_eq!(read(&key.to_base32(), 0o600).unwrap(), Some(key.public()));
    let private = format!("abc:descriptor:x25519:{}\n", *key.to_base32());
    assert_eq!(read(&private, 0o640).unwrap(), Some(key.public()));
    for (text, mode) in [(&*private, 0o644), ("", 0o600), ("AAAA", 0o600), ("a\nb\n", 0o600)] {
        let error = read(text, mode).unwrap_err().to_string();
        assert!(error.contains("\"b1\"") && !error.contains("AAAA"), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(backend.read_client_key().is_err());
    assert_eq!(config.services[0].backends[1].read_client_key().unwrap().map(|key| key.public()), None);
}
