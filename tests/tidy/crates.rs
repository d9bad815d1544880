//! What is linked into each program and under which licence: crates, their number, their manifests.

use super::{expect_none, files, root, text};
use std::collections::BTreeSet;
use std::process::Command;

/// What an auditor must read of others: third-party crates linked into the signer.
const SIGNER_CRATES_MAX: usize = 60;
/// The same with the feature `yubihsm`.
const SIGNER_YUBIHSM_CRATES_MAX: usize = 110;

/// `cargo tree` of a package's normal dependencies, one `name version` a line, each once.
fn tree(package: &str) -> BTreeSet<String> {
    tree_with(package, "")
}

/// The same with features.
fn tree_with(package: &str, features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}", "-p", package])
        .args(["--features", features])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let word = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| !line.trim().is_empty()).map(word).collect()
}

#[test]
fn signer_tree_is_small_and_has_no_network_library() {
    let tree = tree("onionkeep-signer");
    let others: Vec<_> = tree.iter().filter(|name| !name.starts_with("onionkeep-")).collect();
    println!("third-party crates linked into the signer: {} (at most {SIGNER_CRATES_MAX})", others.len());
    assert!(others.len() <= SIGNER_CRATES_MAX, "{} crates: {others:#?}", others.len());
    let banned = ["tokio ", "torut ", "onionkeep-publisher ", "aes ", "x25519-dalek ", "serde_json "];
    let broken: Vec<_> =
        tree.iter().filter(|name| banned.iter().any(|word| name.starts_with(word))).cloned().collect();
    expect_none("crates that must not be in the signer", &broken);
}

#[test]
fn signer_tree_with_yubihsm_is_known_and_off_by_default() {
    let tree = tree_with("onionkeep-signer", "yubihsm");
    let others: Vec<_> = tree.iter().filter(|name| !name.starts_with("onionkeep-")).collect();
    println!("third-party crates with yubihsm: {} (at most {SIGNER_YUBIHSM_CRATES_MAX})", others.len());
    assert!(others.len() <= SIGNER_YUBIHSM_CRATES_MAX, "{} crates: {others:#?}", others.len());
    assert!(others.iter().any(|name| name.starts_with("yubihsm ")));
    assert!(!self::tree("onionkeep-signer").iter().any(|name| name.starts_with("yubihsm ")));
}

#[test]
fn publisher_tree_has_no_token_and_no_core() {
    let tree = tree("onionkeep-publisher");
    println!("crates linked into the publisher: {}", tree.len());
    let banned = ["onionkeep-signer ", "onionkeep-core ", "cryptoki", "yubihsm ", "tor-netdoc "];
    let broken: Vec<_> =
        tree.iter().filter(|name| banned.iter().any(|word| name.starts_with(word))).cloned().collect();
    expect_none("crates that must not be in the publisher", &broken);
}

#[test]
fn nothing_depends_on_what_makes_tests_go_wrong() {
    let manifests: Vec<_> = files().into_iter().filter(|file| file.ends_with("Cargo.toml")).collect();
    for (name, own) in [
        ("onionkeep-fault-token", "tests/fault_token/Cargo.toml"),
        ("onionkeep-clock-step", "tests/clock_step/Cargo.toml"),
    ] {
        let others = manifests.iter().filter(|file| file.as_str() != own && text(file).contains(name));
        expect_none(&format!("manifests that name {name}"), &others.cloned().collect::<Vec<_>>());
        assert!(text(own).contains("\npublish = false\n"));
    }
}

#[test]
fn licences_are_on_the_list() {
    let allowed = [
        "MIT",
        "Apache-2.0",
        "BSD-3-Clause",
        "BSD-2-Clause",
        "ISC",
        "Unicode-3.0",
        "Zlib",
        "Unlicense",
        "0BSD",
    ];
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p};{l}"])
        .args(["-p", "onionkeep-signer", "-p", "onionkeep-publisher"])
        .args(["--features", "onionkeep-signer/yubihsm-http"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let fine = |line: &&str| {
        let licence = line.rsplit(';').next().unwrap_or_default().trim_end_matches(" (*)");
        licence.split([' ', '/', '(', ')']).any(|word| allowed.contains(&word))
    };
    let broken: Vec<_> =
        text.lines().filter(|line| !line.is_empty() && !fine(line)).map(str::to_owned).collect();
    expect_none("licences that are not on the list", &broken);
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let manifests =
        ["common", "signer", "signer/core", "publisher", "tests"].map(|dir| format!("{dir}/Cargo.toml"));
    let mut broken = Vec::new();
    for manifest in manifests {
        let text = text(&manifest);
        assert!(text.contains("[lints]\nworkspace = true"), "{manifest} does not take the workspace's lints");
        let own = text.lines().filter(|line| line.contains("version = \"") || line.contains("= \"^"));
        broken.extend(own.map(|line| format!("{manifest}: {line}")));
    }
    expect_none("versions outside [workspace.dependencies]", &broken);
}
