//! Words that stand in one place only, or nowhere: dangerous calls, paths of one machine, secrets that could be printed.

use super::{code, expect_none, files, is_test, root, rust_files};
use std::collections::BTreeSet;

#[test]
fn dangerous_words_stand_in_their_own_file_only() {
    let rules: &[(&str, &[&str])] = &[
        ("cryptoki::", &["signer/src/token/pkcs11"]),
        ("use ::yubihsm", &["signer/src/token/yubihsm/client"]),
        ("yubihsm::Client", &["signer/src/token/yubihsm/client"]),
        ("yubihsm::Connector", &["signer/src/token/yubihsm/client"]),
        ("torut::", &["publisher/src/tor"]),
        ("SystemTime::now", &["signer/src/clock.rs", "publisher/src/clock.rs"]),
        (
            "ExpandedKey::",
            &[
                "signer/core/",
                "signer/src/seal",
                "signer/src/vault",
                "signer/src/import",
                "signer/src/backup/wrapped",
            ],
        ),
        ("Scalar::", &["signer/core/", "signer/src/backup/shamir", "common/src/"]),
        ("/dev/tty", &["signer/src/terminal"]),
        ("UnixListener::bind", &["signer/src/", "publisher/src/socket.rs"]),
        ("x25519_dalek", &["publisher/src/descriptor"]),
        ("prometheus_client", &["publisher/src/metrics"]),
        ("TcpListener", &["publisher/src/socket.rs"]),
        ("tcsetattr", &["signer/src/terminal", "publisher/src/status/terminal.rs"]),
    ];
    let mut broken = Vec::new();
    for file in rust_files().into_iter().filter(|file| !is_test(file)) {
        let code = code(&file);
        for (word, places) in rules {
            if code.contains(word) && !places.iter().any(|place| file.starts_with(place)) {
                broken.push(format!("{file}: {word} belongs in {places:?}"));
            }
        }
    }
    expect_none("dangerous words in the wrong place", &broken);
}

#[test]
fn common_and_core_touch_neither_files_nor_net_nor_clock() {
    let mut broken = Vec::new();
    for file in rust_files() {
        let pure = file.starts_with("common/src/") || file.starts_with("signer/core/src/");
        if pure && !is_test(&file) {
            let words = ["std::fs", "std::net", "std::os", "std::process", "std::time", "std::env"];
            let code = code(&file);
            broken.extend(
                words.iter().filter(|word| code.contains(**word)).map(|word| format!("{file}: {word}")),
            );
        }
    }
    expect_none("pure crates that touch the world", &broken);
}

#[test]
fn no_machine_path_and_no_loose_end() {
    // The folders of whoever runs this, and words that are put together here so that this file may be looked at too.
    let mut paths = vec![format!("{}/", root().display()), format!("/{}/", "home")];
    paths.extend(std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/")));
    let loose = [("todo", "!("), ("unimplemented", "!("), ("TO", "DO"), ("FIX", "ME"), ("#[ignore", "]")];
    let loose = loose.map(|(start, end)| format!("{start}{end}"));
    let mut broken = Vec::new();
    for file in files().into_iter().filter(|file| !file.ends_with(".lock")) {
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let path = paths.iter().any(|word| line.contains(word));
            if path || file.ends_with(".rs") && loose.iter().any(|word| line.contains(word)) {
                broken.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    expect_none("paths of one machine, or loose ends", &broken);
}

#[test]
fn no_secret_is_printable_by_derive() {
    let secret = [
        "Polynomial",
        "WrappingSecret",
        "Share",
        "ExpandedKey",
        "Hedge",
        "Kek",
        "Pin",
        "PeriodKeys",
        "CounterKey",
        "ClientKey",
        "Cookie",
        "Password",
    ];
    let (mut broken, mut seen) = (Vec::new(), BTreeSet::new());
    for file in rust_files().into_iter().filter(|file| !is_test(file)) {
        let code = code(&file);
        let mut derive = "";
        for line in code.lines().map(str::trim) {
            if line.starts_with("#[derive(") {
                derive = line;
            } else if line.contains("enum ") {
                derive = "";
            } else if let Some(name) = line.split("struct ").nth(1) {
                let name = name.split(['(', ' ', '<', ';', '{']).next().unwrap_or_default();
                let shown =
                    ["Debug", "Clone", "Serialize", "PartialEq"].iter().any(|word| derive.contains(word));
                if secret.contains(&name) {
                    seen.insert(name.to_owned());
                }
                if secret.contains(&name) && shown {
                    broken.push(format!("{file}: {name} has {derive}"));
                }
                derive = "";
            }
        }
    }
    expect_none("secret types with a derive that shows or copies them", &broken);
    let unseen = secret.iter().filter(|name| !seen.contains(**name));
    expect_none(
        "secret types that are no longer there",
        &unseen.map(|name| (*name).to_owned()).collect::<Vec<_>>(),
    );
}
