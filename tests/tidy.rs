//! Rules about this tree, as ordinary tests: heads, lengths, dangerous words, imports, crates, documents.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at anything unexpected")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an auditor must read of others: third-party crates linked into the signer.
const SIGNER_CRATES_MAX: usize = 60;
/// The same with the feature `yubihsm`.
const SIGNER_YUBIHSM_CRATES_MAX: usize = 110;
/// Lines before a file's tests.
const LINES_MAX: usize = 400;

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files that git knows and files that it would add, relative to the root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files failed");
    let list = String::from_utf8(output.stdout).unwrap();
    let files: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    files.into_iter().filter(|file| root().join(file).is_file()).collect()
}

/// The Rust files.
fn rust_files() -> Vec<String> {
    let files: Vec<_> = files().into_iter().filter(|file| file.ends_with(".rs")).collect();
    assert!(files.len() > 20, "found only {} Rust files", files.len());
    files
}

/// A file's text.
fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The part of a Rust file that is not its tests, without comment lines.
fn code(file: &str) -> String {
    let text = text(file);
    let end = text.find("\n#[cfg(test)]").unwrap_or(text.len());
    let code = text.get(..end).unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether a file holds only tests or benchmarks.
fn is_test(file: &str) -> bool {
    file.starts_with("tests/")
        || file.ends_with("/tests.rs")
        || ["/tests/", "/benches/"].iter().any(|part| file.contains(part))
}

/// Fails with every broken place named.
fn expect_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

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
fn every_file_says_what_it_is_the_place_for() {
    let broken: Vec<_> = rust_files().into_iter().filter(|file| !text(file).starts_with("//! ")).collect();
    expect_none("files without a //! head", &broken);
}

#[test]
fn no_file_is_too_long() {
    let long = |file: &String| {
        let text = text(file);
        let end = text.find("\n#[cfg(test)]").unwrap_or(text.len());
        let lines = text.get(..end).unwrap().lines().count();
        lines > if is_test(file) { LINES_MAX + 200 } else { LINES_MAX }
    };
    let broken: Vec<_> = rust_files().into_iter().filter(long).collect();
    expect_none("files over the budget of lines before their tests", &broken);
}

#[test]
fn modules_are_files_with_their_own_name() {
    let broken: Vec<_> = rust_files().into_iter().filter(|file| file.ends_with("/mod.rs")).collect();
    expect_none("mod.rs files", &broken);
}

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

#[test]
fn architecture_names_every_source_file() {
    let map = text("docs/ARCHITECTURE.md");
    let missing: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| !file.ends_with("/tests.rs") && !map.contains(&format!("`{file}`")))
        .collect();
    expect_none("files that docs/ARCHITECTURE.md does not name", &missing);
    let named = map.split('`').filter(|word| word.ends_with(".rs") && word.contains('/'));
    let gone: Vec<_> = named.filter(|file| !root().join(file).is_file()).map(str::to_owned).collect();
    expect_none("files that docs/ARCHITECTURE.md names but are gone", &gone);
}

#[test]
fn documents_name_only_tests_that_are_there() {
    let of_people = |file: &String| file.starts_with("docs/") || !file.contains('/');
    let mut broken = Vec::new();
    for file in files().into_iter().filter(|file| file.ends_with(".md") && of_people(file)) {
        let text = text(&file);
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"_./-".contains(letter));
        let words = words.map(|word| word.trim_end_matches(['.', '/', '-']));
        let gone = words.filter(|word| word.starts_with("tests/") && !root().join(word).exists());
        broken.extend(gone.map(|word| format!("{file}: {word}")));
    }
    expect_none("tests that a document names but are gone", &broken);
}

#[test]
fn every_policy_rule_is_documented_and_tested_both_ways() {
    let (table, policy) = (text("docs/PROTOCOL.md"), text("docs/POLICY.md"));
    // Rows of the ceremony's table have no code.
    let numbered = |line: &&str| line.starts_with("| ") && !line.starts_with("| `") && line.contains("| `");
    let rows = policy.lines().filter(numbered).count();
    let sources: String = rust_files().iter().filter(|f| f.starts_with("signer/")).map(|f| text(f)).collect();
    let mut broken = Vec::new();
    for rule in onionkeep_common::wire::Rule::ALL {
        let name = rule.name();
        if !table.contains(&format!("| {} | `{name}` |", rule.code())) {
            broken.push(format!("{name}: docs/PROTOCOL.md has no row with code {}", rule.code()));
        }
        let stem = name.replace('-', "_");
        let row = policy.lines().find(|line| line.starts_with(&format!("| {} | `{name}` |", rule.code())));
        if !row.is_some_and(|row| row.contains(&format!("`{stem}_accepts`, `{stem}_rejects` |"))) {
            broken.push(format!("{name}: docs/POLICY.md has no row with code {} and its tests", rule.code()));
        }
        for way in ["accepts", "rejects"] {
            if !sources.contains(&format!("fn {stem}_{way}")) {
                broken.push(format!("{name}: no test named {stem}_{way}..."));
            }
        }
    }
    assert_eq!(
        rows,
        onionkeep_common::wire::Rule::ALL.len(),
        "docs/POLICY.md has rows of rules that are gone"
    );
    expect_none("policy rules", &broken);
}

#[test]
fn every_rule_of_the_ceremony_is_documented_and_tested_both_ways() {
    use onionkeep_signer::ceremony::policy::{ISSUE_RULES, REQUEST_RULES};
    let (policy, tests) = (text("docs/POLICY.md"), text("signer/src/ceremony/tests.rs"));
    let rules: Vec<&str> = REQUEST_RULES.iter().map(|(name, _)| *name).chain(ISSUE_RULES).collect();
    let rows = policy.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, rules.len(), "docs/POLICY.md has rows of rules that are gone");
    let mut broken = Vec::new();
    for name in rules {
        let stem = name.replace('-', "_");
        let row = policy.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        if !row.is_some_and(|row| row.ends_with(&format!("`{stem}_accepts`, `{stem}_rejects` |"))) {
            broken.push(format!("{name}: docs/POLICY.md has no row with its tests"));
        }
        for way in ["accepts", "rejects"] {
            if !tests.contains(&format!("fn {stem}_{way}()")) {
                broken.push(format!("{name}: no test named {stem}_{way}"));
            }
        }
    }
    expect_none("rules of the ceremony", &broken);
}

#[test]
fn every_vector_file_is_used() {
    // The descriptors' texts are named by the lists of vectors, which the tests walk.
    let lists = ["descriptors.json", "golden_descriptors.json"].map(|list| format!("tests/vectors/{list}"));
    let mut sources: String = rust_files().iter().map(|file| text(file)).collect();
    for list in lists {
        assert!(sources.contains(list.rsplit('/').next().unwrap_or_default()), "{list} is not read");
        sources.push_str(&text(&list));
    }
    let unused: Vec<_> = files()
        .into_iter()
        .filter(|file| file.starts_with("tests/vectors/") && !file.ends_with("README.md"))
        .filter(|file| {
            let name = file.rsplit('/').next().unwrap_or_default();
            let stem = name.split('.').next().unwrap_or_default();
            let kind = ["_consensus.txt", "_mds.txt"].iter().find_map(|end| name.strip_suffix(end));
            !sources.contains(name)
                && !sources.contains(stem)
                && !kind.is_some_and(|stem| sources.contains(stem))
        })
        .collect();
    expect_none("vector files that no test reads", &unused);
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

/// The terms that the specifications spell in more than one way, and how we write them; then every citation in the code.
#[test]
fn spec_map_lists_every_citation() {
    let mut rows = BTreeSet::new();
    for file in rust_files() {
        for line in text(&file).lines() {
            let Some((_before, cited)) = line.split_once("/// Spec: ") else { continue };
            rows.insert(format!("| {} | `{file}` |", cited.trim_end_matches('.')));
        }
    }
    assert!(rows.len() > 50, "found only {} citations", rows.len());
    let (path, mark) = (root().join("docs/spec-map.md"), "| clause | cited in |\n| --- | --- |\n");
    let old = text("docs/spec-map.md");
    let (head, _rows) = old.split_once(mark).expect("docs/spec-map.md has the table's head");
    let new = format!("{head}{mark}{}\n", rows.into_iter().collect::<Vec<_>>().join("\n"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &new).unwrap();
    } else {
        assert!(old == new, "docs/spec-map.md is not what the code cites; UPDATE=1 rewrites it");
    }
}
