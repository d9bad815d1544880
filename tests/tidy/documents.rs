//! Documents and code say the same: the map of files, the rules and their tests, vectors, citations.

use super::{expect_none, files, root, rust_files, text};
use std::collections::BTreeSet;

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
    let policy = text("docs/POLICY.md");
    let of_ceremony = |file: &String| file.starts_with("signer/src/ceremony/tests");
    let tests: String = rust_files().into_iter().filter(of_ceremony).map(|file| text(&file)).collect();
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

/// The terms that the specifications spell in more than one way, and how we write them; then every citation in the code.
#[test]
fn spec_map_lists_every_citation() {
    let mut rows = BTreeSet::new();
    for file in rust_files() {
        for line in text(&file).lines() {
            let Some((_before, cited)) = line.split_once(concat!("/// ", "Spec: ")) else { continue };
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
