//! No secret stands where it must not: files, log, arguments, environment, and the memory of a signer that has served.

use crate::kit::serving::{HALF_DAY, Serving, clear_of, now};
use crate::kit::{Kit, PIN, in_child};
use curve25519_dalek::scalar::Scalar;
use data_encoding::{BASE64, HEXLOWER};
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::wire::Reply;
use onionkeep_common::{OnionAddress, PeriodRule};
use onionkeep_core::ExpandedKey;
use sha2::{Digest, Sha512};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The octets that must not be found: scalar, nonce prefix, seed.
fn secrets() -> Vec<(&'static str, Vec<u8>)> {
    let seed = *b"a seed that nobody else ever uses";
    let seed: [u8; 32] = seed[..32].try_into().unwrap();
    let expanded = ExpandedKey::from_seed(&seed).unwrap().with_octets(|octets| *octets);
    let scalar = Scalar::from_bytes_mod_order(expanded[..32].try_into().unwrap());
    let hash = Sha512::new().chain_update(b"Derive temporary signing key hash input");
    let hash = hash.chain_update(&expanded[32..]).finalize();
    vec![
        ("scalar", expanded[..32].to_vec()),
        ("prefix", expanded[32..].to_vec()),
        ("seed", seed.to_vec()),
        ("reduced scalar", scalar.to_bytes().to_vec()),
        ("blinded prefix", hash[..32].to_vec()),
    ]
}

/// The secrets in the forms in which they could stand in text.
fn forms(secret: &[u8]) -> [Vec<u8>; 3] {
    [secret.to_vec(), HEXLOWER.encode(secret).into_bytes(), BASE64.encode(secret).into_bytes()]
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A signer that serves the imported key of the known seed.
fn serving(kit: &Kit) -> (Serving, OnionAddress) {
    let name = kit.init();
    kit.run(&["init"]).good();
    let expanded = [secrets()[0].1.clone(), secrets()[1].1.clone()].concat();
    let file = kit.home.join("secret-key");
    std::fs::write(&file, [b"== ed25519v1-secret: type0 ==\0\0\0".as_slice(), &expanded].concat()).unwrap();
    let onion: OnionAddress =
        crate::kit::ran::first_word(&kit.run(&["key", "import", file.to_str().unwrap()]).good())
            .parse()
            .unwrap();
    std::fs::remove_file(&file).unwrap();
    kit.write_config(Some(&name.serial), &[onion], &kit.module);
    (kit.serve(), onion)
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn outside(kit: Kit) {
    let (serving, onion) = serving(&kit);
    assert!(matches!(serving.ask(onion, 10), Reply::Certificate(_)));
    let mut places: Vec<_> = files(&kit.state());
    places.extend(files(&kit.tokens()));
    places.push(kit.home.join("log"));
    for pid in serving.all() {
        places.extend(["cmdline", "environ"].map(|file| format!("/proc/{pid}/{file}").into()));
    }
    let mut canary = false;
    for place in places {
        let octets = match std::fs::read(&place) {
            Ok(octets) => octets,
            // Not even its own user may read these of a process that is not dumpable.
            Err(error) if place.starts_with("/proc") && error.kind() == ErrorKind::PermissionDenied => {
                continue;
            }
            Err(error) => panic!("{}: {error}", place.display()),
        };
        canary |= contains(&octets, b"listening");
        for (name, secret) in secrets() {
            for form in forms(&secret) {
                assert!(!contains(&octets, &form), "{name} in {}", place.display());
            }
        }
        assert!(!contains(&octets, PIN.as_bytes()), "PIN in {}", place.display());
    }
    assert!(canary, "the search finds nothing at all");
}

#[test]
fn no_secret_is_in_a_file_the_log_the_arguments_or_the_environment() {
    in_child("residue::no_secret_is_in_a_file_the_log_the_arguments_or_the_environment", outside);
}

/// Counts each needle in the writable memory of a process; `None` without the right to read it.
fn in_memory(pid: u32, needles: &[&[u8]]) -> Option<Vec<usize>> {
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = vec![0; needles.len()];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut octets).is_err() {
            continue;
        }
        for (count, needle) in found.iter_mut().zip(needles) {
            *count += octets.windows(needle.len()).filter(|window| window == needle).count();
        }
    }
    Some(found)
}

fn memory(kit: Kit) {
    clear_of(HALF_DAY);
    let (serving, onion) = serving(&kit);
    let mut last = None;
    for seed in 10..18 {
        let Reply::Certificate(cert) = serving.ask(onion, seed) else { panic!("none") };
        last = Some(cert);
    }
    let canary = last.unwrap().0;
    let mut secrets = secrets();
    let reduced: [u8; 32] = secrets[3].1.as_slice().try_into().unwrap();
    let factor = BlindingFactor::new(onion.identity(), PeriodRule::PUBLIC.at(now())).scalar();
    secrets.push(("blinded scalar", (Scalar::from_bytes_mod_order(reduced) * factor).to_bytes().to_vec()));
    // Each vault wipes it once it is logged in.
    secrets.push(("PIN", PIN.as_bytes().to_vec()));
    let mut needles: Vec<&[u8]> = secrets.iter().map(|(_name, secret)| secret.as_slice()).collect();
    needles.push(&canary[76..]);
    let mut found = vec![0; needles.len()];
    for pid in serving.all() {
        let Some(here) = in_memory(pid, &needles) else {
            println!("skipped: reading a signer's memory needs root");
            return;
        };
        found.iter_mut().zip(here).for_each(|(sum, count)| *sum += count);
    }
    assert!(found[secrets.len()] > 0, "the search does not even find the last certificate");
    let left: Vec<_> = secrets.iter().zip(&found).filter(|(_secret, count)| **count > 0).collect();
    let names: Vec<_> = left.iter().map(|((name, _secret), count)| format!("{name} {count} times")).collect();
    assert!(names.is_empty(), "in the memory of a signer that has nothing to do: {}", names.join(", "));
}

#[test]
fn no_secret_is_left_in_the_memory_of_a_signer_that_has_served() {
    in_child("residue::no_secret_is_left_in_the_memory_of_a_signer_that_has_served", memory);
}
