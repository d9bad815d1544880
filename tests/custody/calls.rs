//! The published list of PKCS#11 calls, held against what a whole life of the signer calls.

use std::collections::BTreeSet;
use std::path::Path;

use onionkeep_tests::files;
use onionkeep_tests::process::User;

use crate::kit::Kit;

/// The list, from the root of the workspace.
const LIST: &str = "docs/pkcs11-calls.txt";

/// What the list says: a call and its mechanism in each line that is no comment.
fn listed() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join(LIST)).unwrap();
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A key file as C tor writes it.
fn tor_key(kit: &Kit) -> std::path::PathBuf {
    let mut expanded = [0x5A; 64];
    expanded[0] &= 0xF8;
    expanded[31] = (expanded[31] & 0x7F) | 0x40;
    let path = kit.signer.dir().join("key");
    let content = [&b"== ed25519v1-secret: type0 ==\0\0\0"[..], &expanded].concat();
    files::write(&path, content, User::Signer, 0o600).unwrap();
    path
}

/// Token made, keys made and brought, served, certified, lost and found again, looked at, ended.
fn live() -> Kit {
    let mut kit = Kit::new(1);
    let imported = kit.signer.import_key(&tor_key(&kit)).unwrap();
    kit.signer.allow_uid(&imported, rustix::process::getuid().as_raw()).unwrap();
    kit.onions.push(imported.parse().unwrap());
    kit.signer.start().unwrap();
    for (onion, seed) in [(0, 1), (1, 2)] {
        kit.serves_again(onion, seed);
    }
    kit.faults(&["sessions-lost on C_SignInit at 1", "error CKR_GENERAL_ERROR on C_FindObjectsInit times 1"]);
    kit.serves_again(0, 3);
    kit.signer.stop().unwrap();
    assert_eq!(kit.run(&["key", "show"]).code, 0);
    // A sealed key that reads back differently is taken away again.
    kit.faults(&["lie data:CKA_PRIVATE 00"]);
    assert_ne!(kit.run(&["key", "new"]).code, 0);
    kit.token().heal().unwrap();
    let new_pin = kit.signer.dir().join("new-pin");
    files::write(&new_pin, "another PIN", User::Signer, 0o400).unwrap();
    kit.run(&["pin", "change", "--new", &format!("file:{}", new_pin.display())]).answer().unwrap();
    kit
}

#[test]
fn every_call_is_on_the_published_list_and_every_listed_one_is_made() {
    let seen = live().token().names().unwrap();
    let listed = listed();
    let unlisted: Vec<_> = seen.difference(&listed).collect();
    let unseen: Vec<_> = listed.difference(&seen).collect();
    assert!(unlisted.is_empty() && unseen.is_empty(), "{LIST}: not listed {unlisted:?}; not made {unseen:?}");
}
