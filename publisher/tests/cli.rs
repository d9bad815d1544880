//! Transcripts of the command line: what an operator types, and what comes back with which exit code.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at anything unexpected"
)]

#[path = "cli/torrc.rs"]
mod torrc;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A frontend.
const FRONTEND: &str = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid";

/// The shipped example.
fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/publisher.example.toml")
}

/// What a command line gave.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the program in a folder.
fn run_in(dir: &Path, arguments: &[&str]) -> Ran {
    let program = env!("CARGO_BIN_EXE_onionkeep-publisher");
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs the program on a configuration with this text.
fn run_on(text: &str, arguments: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.toml"), text).unwrap();
    run_in(dir.path(), &[&["--config", "p.toml"], arguments].concat())
}

fn example_text() -> String {
    std::fs::read_to_string(example()).unwrap()
}

/// A descriptor that C tor made, with its address and period.
fn recorded() -> (String, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let vectors = std::fs::read_to_string(folder.join("descriptors.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let entries = vectors["descriptors"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["name"] == "ctor_plain").unwrap();
    let text = std::fs::read_to_string(folder.join("ctor_plain.desc.txt")).unwrap();
    (entry["address"].as_str().unwrap().to_owned(), text)
}

#[test]
fn the_program_says_its_version() {
    let ran = run_in(Path::new("/"), &["--version"]);
    let wanted = format!("onionkeep-publisher {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, wanted.as_str()));
}

#[test]
fn shipped_example_is_right() {
    let ran = run_on(&example_text(), &["check-config"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "ok: 1 services, 2 backends\n", ""));
}

#[test]
fn shipped_example_explains_every_key() {
    let text = example_text();
    for key in [
        "state_dir",
        "status_socket",
        "control_socket",
        "alarm_hsdirs_percent",
        "listen",
        "full_addresses",
        "control",
        "password",
        "allow_plain_cookie",
        "socks",
        "address",
        "signer",
        "mode",
        "intro_points",
        "weight",
        "drain",
        "probe_port",
        "probe_interval_seconds",
        "name",
    ] {
        let line =
            text.lines().position(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        let line = line.unwrap_or_else(|| panic!("{key} is not in the example"));
        let before = text.lines().nth(line - 1).unwrap();
        assert!(
            before.starts_with('#') || text.lines().nth(line - 2).unwrap().starts_with('#'),
            "{key}: {before}"
        );
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = example_text().replace("probe_port", "probe_prot").replace("state_dir =", "state_dri =");
    let text = text
        .replace("aoqqpp7", "aoqqpp6")
        .replace("paozpdhgz2okvc6kgbxvh2bnfsmt4xergrtcl4obkhopyvwxkpjzvoad", FRONTEND);
    let ran = run_on(&text, &["check-config"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    for wanted in [
        "error: p.toml has 5 problems:",
        "line 5: unknown key `state_dri` in the top level; did you mean `state_dir`?",
        "unknown key `probe_prot` in [[service]]; did you mean `probe_port`?",
        "address: this is a frontend, which cannot be a backend",
        "address: the checksum of the onion address is wrong",
        "\ntry: correct these lines",
    ] {
        assert!(ran.stderr.contains(wanted), "{wanted} in\n{}", ran.stderr);
    }
}

#[test]
fn every_bad_file_with_a_secret_is_told_with_all_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        format!("\"file:{}\"", path.display())
    };
    let key = |path: String, name: &str| {
        (format!("name = \"{name}\""), format!("client_key = {path}\nname = \"{name}\""))
    };
    let replaced = |text: String, (from, to): (String, String)| {
        assert!(text.contains(&from), "{from}");
        text.replacen(&from, &to, 1)
    };
    let password = ("[tor]".to_owned(), format!("[tor]\npassword = {}", file("p", "secret\n", 0o644)));
    let text = replaced(example_text(), password);
    let text = replaced(text, key(file("k1", "nonsense\n", 0o600), "b1"));
    let text = replaced(text, key("\"file:/nonexistent/k2\"".to_owned(), "b2"));
    let text = text.replace("probe_port", "probe_prot");
    let ran = run_on(&text, &["check-config"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    for wanted in [
        "error: p.toml has 4 problems:",
        "/p: every user may read it; chmod o= it",
        "/k1: ",
        "client_key: cannot use the file /nonexistent/k2: No such file",
        "did you mean `probe_port`?",
    ] {
        assert!(ran.stderr.contains(wanted), "{wanted} in\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("nonsense"), "{}", ran.stderr);
}

#[test]
fn a_missing_configuration_is_a_configuration_error() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["check-config", "run", "status"] {
        let ran = run_in(dir.path(), &["--config", "none.toml", command]);
        assert_eq!(ran.code, 2, "{command}");
        assert!(ran.stderr.starts_with("error: cannot read none.toml: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("\ntry: "), "{}", ran.stderr);
    }
}

#[test]
fn unknown_words_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    for words in [&["chek-config"][..], &[], &["torrc"], &["descriptor", "show"], &["status", "--xml"]] {
        assert_eq!(run_in(dir.path(), words).code, 2, "{words:?}");
    }
    assert!(
        run_in(dir.path(), &["chek-config"]).stderr.contains("check-config"),
        "the nearest word is named"
    );
}

#[test]
fn every_example_in_the_help_runs() {
    let dir = tempfile::tempdir().unwrap();
    let text = example_text().replace("# control_socket = \"/run", "control_socket = \"/nonexistent");
    std::fs::write(dir.path().join("publisher.toml"), text).unwrap();
    let (_address, descriptor) = recorded();
    std::fs::write(dir.path().join("descriptor.txt"), descriptor).unwrap();
    let commands: [(&[&str], i32); 12] = [
        (&["check-config"], 0),
        (&["torrc", "frontend"], 0),
        (&["torrc", "backend"], 0),
        // Nobody runs: that is what it says.
        (&["status"], 5),
        (&["reload"], 5),
        // No tor is where the example says.
        (&["compare"], 5),
        (&["backend", "weight"], 5),
        (&["backend", "drain"], 5),
        (&["backend", "undrain"], 5),
        (&["backend", "add"], 5),
        (&["backend", "remove"], 5),
        // The recorded descriptor is of another address than the example's.
        (&["descriptor", "show"], 4),
    ];
    for (command, code) in commands {
        let help = run_in(dir.path(), &[command, &["--help"]].concat());
        assert_eq!(help.code, 0);
        let example =
            help.stdout.split("Example:\n").nth(1).unwrap_or_else(|| panic!("{command:?} has no example"));
        let words: Vec<_> = example.split_whitespace().collect();
        assert_eq!(words[0], "onionkeep-publisher");
        assert!(!words.contains(&"run"), "it would not end");
        let ran = run_in(dir.path(), &words[1..]);
        assert_eq!(ran.code, code, "{example}\n{}", ran.stderr);
    }
}

#[test]
fn run_says_why_it_cannot_start() {
    let text = example_text().replace("/var/lib/onionkeep-publisher", "/nonexistent/folder/state");
    let ran = run_on(&text, &["run"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: cannot make the folder /nonexistent/folder/state"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\ntry: see that the folder exists"), "{}", ran.stderr);
}

#[test]
fn status_without_a_publisher_is_5() {
    let ran =
        run_on(&example_text().replace("/run/onionkeep-publisher", "/nonexistent"), &["status", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
    assert!(
        ran.stderr.starts_with("error: cannot reach the publisher at /nonexistent/status.sock"),
        "{}",
        ran.stderr
    );
}

#[test]
fn compare_needs_one_address_and_a_tor() {
    let text = example_text().replace("unix:/run/tor/control", "unix:/nonexistent/control");
    let ran = run_on(&text, &["compare", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("/nonexistent/control") && ran.stderr.contains("\ntry: see that tor runs"),
        "{}",
        ran.stderr
    );
    let ran = run_on(&text, &["compare", "--onion", "nonsense"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("error: --onion: "), "{}", ran.stderr);
    assert_eq!(run_on(&text, &["compare", "--again", "0"]).code, 2);
}

#[test]
fn check_config_tells_what_a_mode_with_long_descriptors_means() {
    let ran =
        run_on(&example_text().replacen("# mode = \"ordinary\"", "mode = \"wide\"", 1), &["check-config"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "ok: 1 services, 2 backends\n"));
    assert!(ran.stderr.starts_with("note: [...]") && ran.stderr.contains("vanguards"), "{}", ran.stderr);
}

#[test]
fn a_descriptor_of_c_tor_is_shown_as_json() {
    let (address, descriptor) = recorded();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("d"), descriptor).unwrap();
    let base: &[&str] = &["descriptor", "show", "--onion", &address];
    // Recorded in a test network with periods of its own.
    let ran = run_in(dir.path(), &[base, &["--period-minutes", "8", "d"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(json.to_string().contains("7742403"), "the revision counter: {json}");
    assert_eq!(run_in(dir.path(), &[base, &["d"]].concat()).code, 4, "no period of 24 hours fits");
    assert_eq!(run_in(dir.path(), &[base, &["--period-minutes", "0", "d"]].concat()).code, 2);
}

#[test]
fn a_broken_descriptor_is_4_and_the_place_is_named() {
    let (address, descriptor) = recorded();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("d"), descriptor.replacen("revision-counter ", "revision-counter 1", 1))
        .unwrap();
    let ran = run_in(dir.path(), &["descriptor", "show", "--onion", &address, "d"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.starts_with("error: d: ") && ran.stderr.contains("\ntry: "), "{}", ran.stderr);
    std::fs::write(dir.path().join("d"), "").unwrap();
    assert_eq!(run_in(dir.path(), &["descriptor", "show", "--onion", &address, "d"]).code, 4);
    assert_eq!(run_in(dir.path(), &["descriptor", "show", "--onion", &address, "none"]).code, 2);
    assert_eq!(run_in(dir.path(), &["descriptor", "show", "--onion", "abc", "d"]).code, 2);
}

/// Starts `run` without a tor, sends it a signal once its status socket is there, and gives its exit code.
fn code_after(signal: &str) -> i32 {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let own = [("state_dir", path("state")), ("status_socket", path("status.sock"))];
    let mut text: String = own.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    text.push_str(&format!(
        "[tor]\ncontrol = \"unix:{}\"\n[[service]]\naddress = \"{FRONTEND}\"\n",
        path("tor")
    ));
    text.push_str(&format!("signer = \"{}\"\n[[service.backend]]\nname = \"b\"\n", path("signer")));
    let (backend, _text) = recorded();
    text.push_str(&format!("address = \"{backend}\"\n"));
    std::fs::create_dir(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("p.toml"), text).unwrap();
    let program = env!("CARGO_BIN_EXE_onionkeep-publisher");
    let mut child = Command::new(program)
        .args(["--config", "p.toml", "run"])
        .current_dir(dir.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _step in 0..500 {
        if dir.path().join("status.sock").exists() {
            break;
        }
        assert_eq!(child.try_wait().unwrap(), None, "run ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    ended(&mut child)
}

/// Waits some seconds for the exit code; a program that does not end is killed.
fn ended(child: &mut std::process::Child) -> i32 {
    for _step in 0..500 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("the program did not end within 10 s of its signal");
}

#[test]
fn sigterm_ends_with_0_and_sigint_with_130() {
    assert_eq!(code_after("-TERM"), 0);
    assert_eq!(code_after("-INT"), 130);
}

#[test]
fn watching_wants_a_terminal_and_says_what_does_without() {
    let ran = run_on(&example_text(), &["status", "--watch"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with(
        "error: --watch draws on a terminal: standard output is no terminal\ntry: use `status`"
    ));
    assert_eq!(run_on(&example_text(), &["status", "--watch", "0"]).code, 2);
    assert_eq!(run_on(&example_text(), &["status", "--watch", "--json"]).code, 2);
}

#[test]
fn metrics_that_others_could_reach_are_refused() {
    let with = |listen: &str| {
        let text = example_text();
        let (top, rest) = text.split_once("\n[tor]\n").unwrap();
        run_on(&format!("{top}\n[metrics]\nlisten = \"{listen}\"\n[tor]\n{rest}"), &["check-config"])
    };
    let ran = with("0.0.0.0:9180");
    assert_eq!(ran.code, 2);
    for wanted in ["listen", "0.0.0.0:9180 can be reached from outside this machine", "127.0.0.1:9180"] {
        assert!(ran.stderr.contains(wanted), "{wanted} in {}", ran.stderr);
    }
    assert_eq!(with("127.0.0.1:9180").code, 0);
    assert_eq!(with("unix:/run/x.sock").code, 0);
    let unknown = run_on(&format!("metrics = true\n{}", example_text()), &["check-config"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("a table: [metrics]"), "{}", unknown.stderr);
}
