//! Targets for a backup's texts: verifier, wrapped key, share. A share's own checksum is repaired, for random octets have none.

use onionkeep_signer::backup::{BackupSet, WrappedKey};
use std::sync::LazyLock;

/// The characters of a share, in the order of their values.
const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// The set of the seeds.
static SET: LazyLock<BackupSet> =
    LazyLock::new(|| BackupSet::from_text(include_str!("../seeds/backup/verifier")).unwrap());

/// Whatever is read is written the same; a share that is read is one of the set.
pub fn backup(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let verifier = BackupSet::from_text(text);
    if let Ok(set) = &verifier {
        assert_eq!(set.to_text(), text);
        assert!(set.plan().threshold() <= set.plan().shares());
    }
    let blob = WrappedKey::from_text(text);
    if let Ok(blob) = &blob {
        assert_eq!(blob.to_text(), text);
        assert!(blob.belongs_to(&SET).is_err() || text.contains(&SET.name()));
    }
    let shares =
        [Some(text.to_owned()), repaired(text)].into_iter().flatten().filter(|text| share(text)).count();
    verifier.is_ok() || blob.is_ok() || shares > 0
}

/// A share; blanks mean nothing.
fn share(text: &str) -> bool {
    let Ok(share) = SET.read_share(text) else { return false };
    assert!((1..=SET.plan().shares()).contains(&share.index()));
    assert_eq!(SET.write_share(&share).replace(' ', ""), text.replace(' ', ""));
    true
}

/// The text with a good checksum, if it has the length and the characters of a share.
///
/// Spec: BIP-350.
fn repaired(text: &str) -> Option<String> {
    let value = |octet| ALPHABET.iter().position(|one| *one == octet).and_then(|at| u8::try_from(at).ok());
    let values: Vec<u8> = text.bytes().filter(|octet| *octet != b' ').map(value).collect::<Option<_>>()?;
    let (content, _sum) = values.split_last_chunk::<6>()?;
    let prefix = b"okshare";
    let expanded =
        prefix.iter().map(|octet| octet >> 5).chain([0]).chain(prefix.iter().map(|octet| octet & 31));
    let sum = expanded.chain(content.iter().copied()).chain([0; 6]).fold(1_u32, |state, value| {
        let shifted = ((state & 0x01ff_ffff) << 5) ^ u32::from(value);
        let generators = [0x3b6a_57b2_u32, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let add = |sum, (bit, generator)| if (state >> (25 + bit)) & 1 == 1 { sum ^ generator } else { sum };
        (0_u32..).zip(generators).fold(shifted, add)
    }) ^ 0x2bc8_30a3;
    let end = (0..6_u32).rev().map(|at| u8::try_from((sum >> (5 * at)) & 31).unwrap());
    let all = content.iter().copied().chain(end);
    Some(all.map(|value| char::from(ALPHABET[usize::from(value)])).collect())
}
