//! Transcripts of `client` and `import`: the examples in their help run, secrets go where they should, errors say what to try.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at anything unexpected")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A frontend.
const FRONTEND: &str = "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid";
/// A backend.
const BACKEND: &str = "paozpdhgz2okvc6kgbxvh2bnfsmt4xergrtcl4obkhopyvwxkpjzvoad";

/// Runs the program in a folder: exit code, stdout, stderr.
fn run(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_onionkeep-publisher");
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A folder with a `publisher.toml` whose service lets some clients in.
fn restricted() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/publisher.example.toml");
    let text = fs::read_to_string(example).unwrap();
    let line = format!("authorized_clients = \"{}/clients\"", dir.path().display());
    let text = text.replace("# authorized_clients = \"/etc/onionkeep/clients\"", &line);
    assert!(text.contains(&line), "the example explains authorized_clients");
    fs::write(dir.path().join("publisher.toml"), text).unwrap();
    dir
}

/// The example in a command's help, without the program's name; `from` is replaced.
fn example(dir: &Path, command: &[&str], from: &str, to: &str) -> Vec<String> {
    let (code, help, _stderr) = run(dir, &[command, &["--help"]].concat());
    assert_eq!(code, 0);
    let example = help.split("Example:\n").nth(1).unwrap_or_else(|| panic!("{command:?} has no example"));
    let example = example.split(" > ").next().unwrap().replace(from, to);
    example.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn examples_of_client_run_in_their_order() {
    let dir = restricted();
    for command in [&["client", "add"], &["client", "list"], &["client", "remove"]] {
        let words = example(dir.path(), command, "", "");
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (code, stdout, stderr) = run(dir.path(), &words);
        assert_eq!((code, stderr.as_str()), (0, ""), "{words:?}");
        assert!(stdout.contains("alice"), "{words:?}: {stdout}");
    }
    let secret = dir.path().join("alice.auth_private");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(secret).unwrap().starts_with(&format!("{FRONTEND}:descriptor:x25519:")));
    assert_eq!(fs::read_dir(dir.path().join("clients")).unwrap().count(), 0);
}

#[test]
fn secret_half_is_printed_only_without_a_file() {
    let dir = restricted();
    let add = ["--config", "publisher.toml", "client", "add"];
    let (code, stdout, stderr) = run(dir.path(), &[&add[..], &["bob"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains(&format!("{FRONTEND}:descriptor:x25519:")), "{stdout}");
    let (code, stdout, _stderr) = run(dir.path(), &[&add[..], &["carol", "--to", "c"]].concat());
    assert_eq!((code, stdout.contains(FRONTEND)), (0, false), "{stdout}");
    assert_eq!(stdout.lines().count(), 2);
}

/// The same behind a line of the shell, with the program as `"$@"`.
fn shell(dir: &Path, line: &str, arguments: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_onionkeep-publisher");
    let words = [&["-c", line, "sh", program], arguments].concat();
    let output = Command::new("sh").args(words).current_dir(dir).output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn whatever_the_umask_the_publisher_reads_public_halves_and_nobody_else_secret_ones() {
    for umask in ["077", "000", "0377"] {
        let dir = restricted();
        let add = ["--config", "publisher.toml", "client", "add", "alice", "--to", "a"];
        let (code, _stdout, stderr) = shell(dir.path(), &format!("umask {umask}; exec \"$@\""), &add);
        assert_eq!(code, 0, "{stderr}");
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [mode("clients"), mode("clients/alice.auth"), mode("a")],
            [0o755, 0o644, 0o600],
            "{umask}"
        );
    }
}

#[test]
fn a_client_whose_secret_half_reaches_nobody_is_taken_out_again() {
    let dir = restricted();
    let add = ["--config", "publisher.toml", "client", "add", "alice"];
    let (code, _stdout, stderr) = shell(dir.path(), "exec \"$@\" > /dev/full", &add);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("alice.auth was taken out again") && stderr.contains("\ntry: "), "{stderr}");
    assert_eq!(fs::read_dir(dir.path().join("clients")).unwrap().count(), 0);
    // With a file for it nothing is lost.
    let (code, _stdout, stderr) =
        shell(dir.path(), "exec \"$@\" > /dev/full", &[&add[..], &["--to", "a"]].concat());
    assert!(code == 1 && stderr.contains("the client is in"), "{stderr}");
    assert!(dir.path().join("clients/alice.auth").exists() && dir.path().join("a").exists());
    assert_eq!(run(dir.path(), &add).0, 2, "alice is there");
}

#[test]
fn bad_client_files_are_listed_with_exit_code_nine() {
    let dir = restricted();
    fs::create_dir(dir.path().join("clients")).unwrap();
    fs::write(dir.path().join("clients/bad.auth"), "nonsense\n").unwrap();
    let (code, stdout, stderr) = run(dir.path(), &["--config", "publisher.toml", "client", "list"]);
    assert_eq!((code, stdout.as_str()), (9, ""));
    assert!(stderr.starts_with("skipped: bad.auth: line 1: "), "{stderr}");
}

#[test]
fn wrong_clients_are_usage_errors_that_say_what_to_try() {
    let dir = restricted();
    for words in [
        &["add", "../x"][..],
        &["remove", "nobody"],
        &["add", "x", "--onion", "nonsense"],
        &["add", "x", "--onion", &format!("{BACKEND}.onion")],
    ] {
        let (code, stdout, stderr) =
            run(dir.path(), &[&["--config", "publisher.toml", "client"], words].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{words:?}");
        assert!(stderr.starts_with("error: ") && stderr.contains("\ntry: "), "{stderr}");
    }
}

#[test]
fn examples_of_import_run_and_their_result_passes_check_config() {
    let dir = tempfile::tempdir().unwrap();
    let yaml =
        format!("services:\n- key: {FRONTEND}.key\n  instances:\n  - address: {BACKEND}\n    odd: 1\n");
    fs::write(dir.path().join("config.yaml"), yaml).unwrap();
    let words = example(dir.path(), &["import", "onionbalance"], "/etc/onionbalance/", "");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = run(dir.path(), &words);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.starts_with("note: line 5: \"odd\"") && stderr.contains("next 1: "), "{stderr}");
    fs::write(dir.path().join("p.toml"), stdout).unwrap();
    let (code, stdout, stderr) = run(dir.path(), &["--config", "p.toml", "check-config"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok: 1 services, 1 backends\n", ""));

    fs::create_dir(dir.path().join("service")).unwrap();
    fs::write(dir.path().join("service/hostname"), format!("{FRONTEND}.onion\n")).unwrap();
    let words = example(dir.path(), &["import", "tor"], "/var/lib/tor/", "");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = run(dir.path(), &words);
    assert_eq!(code, 0);
    assert!(stdout.contains(&format!("# MasterOnionAddress {FRONTEND}.onion")), "{stdout}");
    let key = dir.path().canonicalize().unwrap().join("service/hs_ed25519_secret_key");
    assert!(stderr.contains(&format!("key import {}\n", key.display())), "not a whole path: {stderr}");
    assert!(stdout.contains(&format!("key import {}\n", key.display())), "{stdout}");
    for told in ["all of its onion services", "second tor", "tor-instance-create"] {
        assert!(stderr.contains(told), "{told} in {stderr}");
    }
}

#[test]
fn what_cannot_be_imported_ends_with_exit_code_two_and_advice() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bomb.yaml"), "a: &a [x]\nservices: [*a, *a]\n").unwrap();
    for words in [["onionbalance", "bomb.yaml"], ["onionbalance", "none.yaml"], ["tor", "."]] {
        let (code, stdout, stderr) = run(dir.path(), &[&["import"][..], &words].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{words:?}");
        assert!(stderr.starts_with("error: ") && stderr.contains("\ntry: "), "{stderr}");
    }
}
