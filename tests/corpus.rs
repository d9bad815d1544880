//! Replays every seed and every past finding of the fuzz targets; also makes the seeds that need our own keys.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: a panic is a finding"
)]

#[path = "fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "there it is a library")]
mod targets;

use ed25519_dalek::SigningKey;
use onionkeep_common::{IntroAuthKey, IntroEncKey};
use onionkeep_publisher::descriptor::{FlowControl, IntroPoint};
use onionkeep_tests::descriptor::Opened;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All seeds together may have this many octets.
const MOST: u64 = 300 * 1024;

/// The folder of the seeds.
fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// The names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Every file of every target goes through the target's own function; a failure names the file.
#[test]
fn every_seed_and_finding_is_replayed() {
    for (name, target) in targets::ALL {
        let folder = seeds().join(name);
        let files: Vec<_> = names(&folder).into_iter().filter(|file| file != "README.md").collect();
        let mut accepted = BTreeSet::new();
        for file in files {
            let octets = fs::read(folder.join(&file)).unwrap();
            let replayed = std::panic::catch_unwind(|| target(&octets));
            accepted.insert(replayed.unwrap_or_else(|_panic| panic!("tests/fuzz/seeds/{name}/{file}")));
        }
        assert_eq!(accepted.len(), 2, "{name} needs seeds that are accepted and seeds that are refused");
    }
}

/// A target that is not listed is neither fuzzed nor replayed.
#[test]
fn targets_programs_and_seeds_have_the_same_names() {
    let listed: BTreeSet<_> = targets::ALL.iter().map(|(name, _target)| (*name).to_owned()).collect();
    let programs = names(&seeds().join("../fuzz_targets"));
    assert_eq!(programs, listed.iter().map(|name| format!("{name}.rs")).collect());
    let folders = names(&seeds()).into_iter().filter(|name| name != "README.md").collect::<BTreeSet<_>>();
    assert_eq!(folders, listed);
    let origins = fs::read_to_string(seeds().join("README.md")).unwrap();
    for name in &listed {
        assert!(
            origins.contains(&format!("| `{name}` |")),
            "seeds/README.md does not say where {name} is from"
        );
    }
}

/// The seeds stay small.
#[test]
fn seeds_are_few_octets() {
    let folders = targets::ALL.iter().map(|(name, _target)| seeds().join(name));
    let files = folders.flat_map(|folder| names(&folder).into_iter().map(move |file| folder.join(file)));
    let total: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(total <= MOST, "{total} octets");
}

/// Three introduction points as the publisher writes them for the targets' service.
fn own_inner() -> String {
    let service = &targets::descriptor::SERVICE;
    let point = |number: u8| {
        let key = SigningKey::from_bytes(&[20 + number; 32]).verifying_key();
        let links =
            [&[3, 0, 6, 192, 0, 2, number, 0x23, 0x29, 2, 20][..], &[number; 20], &[3, 32], &[number; 32]];
        let auth = IntroAuthKey::from_bytes(key.to_bytes()).unwrap();
        let enc = IntroEncKey(key.to_montgomery().to_bytes());
        IntroPoint::new(links.concat(), [number; 32], auth, enc).unwrap()
    };
    let points: Vec<_> = (1..=3).map(point).collect();
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    let text = service.draft(&points, Some(&flow)).prepare().unwrap().encode([[1; 16], [2; 16]]).unwrap();
    let opened = Opened::new(&service.onion.to_string(), &text).unwrap();
    opened.inner_text().unwrap().to_owned()
}

/// The layers around the octets are those of a real descriptor: else the targets would never get past them.
#[test]
fn layers_that_are_made_for_the_targets_are_read() {
    let service = &targets::descriptor::SERVICE;
    let inner = own_inner();
    let middle = service.middle(inner.as_bytes());
    let outer = service.outer(middle.as_bytes());
    let decoded = service.decode(&service.signed(outer.as_bytes())).unwrap();
    assert_eq!((decoded.intro_points.len(), decoded.skipped_points.len()), (3, 0));
    for (layer, text) in [("inner", inner), ("middle", middle), ("outer", outer)] {
        let path = seeds().join(format!("descriptor_{layer}/own"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{layer}: made with UPDATE=1");
    }
}
