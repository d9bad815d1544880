//! The files of version 1, kept for ever: today's code writes them octet by octet, and both verifiers accept them.

use crate::made::{auditor, bundle, file, onion, request};
use crate::verifiers::Both;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{Kind, Purpose, Request};
use onionkeep_signer::ceremony::check::{self, Wanted};
use std::path::PathBuf;

/// The golden files' directory.
fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/ceremony")
}

/// Each file and what it must be.
fn files() -> [(&'static str, Vec<u8>); 3] {
    let request = request(Clockwork::PUBLIC, 2);
    let made = |kind| file(&bundle(&request, kind));
    [("v1.bundle", made(Kind::Main)), ("v1.emergency", made(Kind::Emergency)), ("v1.request", request)]
}

#[test]
fn files_of_version_1_are_written_and_read_as_ever() {
    let mut both = Both::start();
    let golden = |name: &str| std::fs::read(directory().join(name)).unwrap();
    for (name, today) in files() {
        assert!(golden(name) == today, "{name} would be written otherwise today");
    }
    let request = golden("v1.request");
    assert_eq!(Request::parse(&request).unwrap().content.slots.len(), 2);
    for name in ["v1.bundle", "v1.emergency"] {
        both.accept(&golden(name), name);
        let wanted = Wanted {
            onion: onion(),
            request: Some(&request),
            auditor: Some(auditor()),
            purpose: Purpose::Real,
        };
        check::bundle(&golden(name), &wanted).unwrap();
    }
    both.refuse(&request, "a request is no bundle");
}

#[test]
#[ignore = "writes the golden files; only when a version is added"]
fn write_golden_files() {
    std::fs::create_dir_all(directory()).unwrap();
    for (name, content) in files() {
        let path = directory().join(name);
        assert!(!path.exists(), "{} is kept for ever", path.display());
        std::fs::write(path, content).unwrap();
    }
}
