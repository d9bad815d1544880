//! Key files that are truncated, of another kind, or do not fit their `hostname` file.

use std::path::PathBuf;

use onionkeep_tests::files;
use onionkeep_tests::process::User;

use crate::kit::Kit;

/// C tor's header of an expanded secret key.
const HEADER: &[u8; 32] = b"== ed25519v1-secret: type0 ==\0\0\0";

/// A key file as C tor writes it.
fn tor_key() -> Vec<u8> {
    let mut expanded = [0x5A; 64];
    expanded[0] &= 0xF8;
    expanded[31] = (expanded[31] & 0x7F) | 0x40;
    [&HEADER[..], &expanded].concat()
}

/// Writes a file that the signer may read.
fn file(kit: &Kit, name: &str, content: &[u8]) -> PathBuf {
    let path = kit.signer.dir().join(name);
    files::write(&path, content, User::Signer, 0o600).unwrap();
    path
}

#[test]
fn a_key_file_of_c_tor_is_imported_once_and_its_address_stays() {
    let kit = Kit::new();
    let path = file(&kit, "key", &tor_key());
    let address = kit.signer.import_key(&path).unwrap();
    assert_eq!(address.len(), 62, "{address}");
    let shown = kit.signer.run(&["key", "show"]).unwrap().answer().unwrap();
    assert!(shown.contains(&address) && shown.contains(&kit.address), "{shown}");
}

#[test]
fn a_bad_key_file_is_refused_and_nothing_is_stored() {
    let kit = Kit::new();
    let good = tor_key();
    let mut tag = good.clone();
    tag[5] ^= 1;
    let mut unclamped = good.clone();
    unclamped[32] |= 1;
    let cases: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("truncated", &good[..95]),
        ("longer", &[&good[..], b"x"].concat()),
        ("tag", &tag),
        ("unclamped", &unclamped),
        ("pem", b"-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"),
    ];
    let before = kit.signer.run(&["key", "show"]).unwrap().answer().unwrap();
    for (name, content) in cases {
        let path = file(&kit, name, content);
        let ran = kit.signer.run(&["key", "import", path.to_str().unwrap()]).unwrap();
        assert!([2, 3, 4].contains(&ran.code), "{name}: {ran:?}");
        assert!(ran.stderr.contains(path.to_str().unwrap()), "{name}: the file is not named: {}", ran.stderr);
        assert!(!ran.stdout.contains(".onion"), "{name}: {ran:?}");
    }
    assert_eq!(kit.signer.run(&["key", "show"]).unwrap().answer().unwrap(), before);
}

#[test]
fn a_hostname_file_of_another_key_is_refused() {
    let kit = Kit::new();
    let (key, hostname) =
        (file(&kit, "key", &tor_key()), file(&kit, "hostname", format!("{}\n", kit.address).as_bytes()));
    let arguments = ["key", "import", key.to_str().unwrap(), "--hostname", hostname.to_str().unwrap()];
    let ran = kit.signer.run(&arguments).unwrap();
    assert!([3, 4].contains(&ran.code), "{ran:?}");
}
