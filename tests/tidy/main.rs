//! Rules about this tree, as ordinary tests: heads and lengths here, the rest by what it is about.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at anything unexpected")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

mod crates;
mod documents;
mod words;
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
