//! The only place where an onion address is read from or written to text.

use crate::keys::{IdentityKey, KeyError};
use core::fmt;
use core::str::FromStr;
use data_encoding::BASE32;
use sha3::{Digest, Sha3_256};

/// Length of an address without `.onion`, in characters.
pub const ADDRESS_LEN: usize = 56;
/// The only version there is.
const VERSION: u8 = 3;

/// Why a text is not a v3 onion address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not 56 characters before the optional `.onion`.
    #[error("an onion address has 56 characters before .onion, this has {0}")]
    Length(usize),
    /// A character outside a-z and 2-7.
    #[error("an onion address has only the characters a-z and 2-7")]
    Alphabet,
    /// The two checksum octets are wrong.
    #[error("the checksum of the onion address is wrong: a character is mistyped or missing")]
    Checksum,
    /// The version octet is not 3.
    #[error("the onion address is of version {0}, only version 3 is known")]
    Version(u8),
    /// The key in the address is not usable.
    #[error("the key in the onion address is not usable: {0}")]
    Key(#[from] KeyError),
}

/// The address of a v3 onion service: `KP_hs_id`, checksum and version in base32.
///
/// `Display` writes all 56 characters and `.onion`; `Debug` and [`OnionAddress::redacted`] only the end.
///
/// Spec: rend-spec-v3, 6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnionAddress {
    /// The identity key.
    key: IdentityKey,
}

impl OnionAddress {
    /// The address of `key`.
    #[must_use]
    pub const fn new(key: IdentityKey) -> Self {
        Self { key }
    }

    /// The identity key in the address.
    #[must_use]
    pub const fn identity(&self) -> &IdentityKey {
        &self.key
    }

    /// The 56 characters, lower case, without `.onion`, as the control port wants them.
    #[must_use]
    pub const fn bare(&self) -> Bare {
        Bare(*self)
    }

    /// The end of the address, the form that may stand in a log.
    #[must_use]
    pub const fn redacted(&self) -> Redacted {
        Redacted(*self)
    }

    /// The 56 ASCII characters.
    fn text(&self) -> [u8; ADDRESS_LEN] {
        let mut raw = [0; 35];
        let [c0, c1] = checksum(self.key.as_bytes(), VERSION);
        let tail = [c0, c1, VERSION];
        for (to, from) in raw.iter_mut().zip(self.key.as_bytes().iter().chain(tail.iter())) {
            *to = *from;
        }
        let mut text = [0; ADDRESS_LEN];
        BASE32.encode_mut(&raw, &mut text);
        text.make_ascii_lowercase();
        text
    }

    /// Writes the characters from number `skip` on.
    fn write_from(&self, skip: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(text.get(skip..).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default())
    }
}

/// `first 2 octets of H(".onion checksum" | KP_hs_id | version)`.
///
/// Spec: rend-spec-v3, 6.
fn checksum(key: &[u8; 32], version: u8) -> [u8; 2] {
    let hash = Sha3_256::new().chain_update(b".onion checksum").chain_update(key).chain_update([version]);
    let [a, b, ..]: [u8; 32] = hash.finalize().into();
    [a, b]
}

impl FromStr for OnionAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bare = text.strip_suffix(".onion").unwrap_or(text).as_bytes();
        let mut upper: [u8; ADDRESS_LEN] =
            bare.try_into().map_err(|_length| AddressError::Length(bare.len()))?;
        upper.make_ascii_uppercase();
        let mut raw = [0; 35];
        BASE32.decode_mut(&upper, &mut raw).map_err(|_position| AddressError::Alphabet)?;
        let [key @ .., c0, c1, version] = raw;
        if [c0, c1] != checksum(&key, version) {
            return Err(AddressError::Checksum);
        }
        if version != VERSION {
            return Err(AddressError::Version(version));
        }
        Ok(Self { key: IdentityKey::from_bytes(key)? })
    }
}

impl fmt::Display for OnionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_from(0, f)?;
        f.write_str(".onion")
    }
}

impl fmt::Debug for OnionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.redacted(), f)
    }
}

/// An address that is written without `.onion`.
#[derive(Clone, Copy)]
pub struct Bare(OnionAddress);

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_from(0, f)
    }
}

/// An address of which only the last 8 characters and `.onion` are written.
///
/// The end is shown because the start may be a vanity name, known to many.
#[derive(Clone, Copy)]
pub struct Redacted(OnionAddress);

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[...]")?;
        self.0.write_from(ADDRESS_LEN - 8, f)?;
        f.write_str(".onion")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::{format, vec::Vec};

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/vectors/onion_address.json")).unwrap()
    }

    #[test]
    fn valid_vectors_are_read_and_written() {
        for row in vectors()["valid"].as_array().unwrap() {
            let text = row["address"].as_str().unwrap();
            let address: OnionAddress = text.parse().unwrap();
            let public = data_encoding::HEXLOWER.encode(address.identity().as_bytes());
            assert_eq!(public, row["public"].as_str().unwrap());
            assert_eq!(address.bare().to_string(), text);
            assert_eq!(format!("{text}.onion"), address.to_string());
            assert_eq!(text.to_uppercase().parse::<OnionAddress>(), Ok(address));
        }
    }

    #[test]
    fn invalid_vectors_are_refused() {
        let vectors = vectors();
        let rows: Vec<_> = vectors["invalid"].as_array().unwrap().iter().collect();
        assert!(rows.len() >= 8);
        for row in rows {
            let text = row["address"].as_str().unwrap();
            assert!(text.parse::<OnionAddress>().is_err(), "{row}");
        }
    }

    #[test]
    fn log_form_shows_only_the_end() {
        let rows = vectors();
        let text = rows["valid"][0]["address"].as_str().unwrap();
        let address: OnionAddress = text.parse().unwrap();
        assert_eq!(address.redacted().to_string(), format!("[...]{}.onion", text.get(48..).unwrap()));
        assert_eq!(format!("{address:?}"), address.redacted().to_string());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _unused = text.parse::<OnionAddress>();
        }

        #[test]
        fn one_changed_character_is_noticed(at in 0usize..56, to in "[a-z2-7]") {
            let rows = vectors();
            let good = rows["valid"][0]["address"].as_str().unwrap();
            let mut bad = good.to_string();
            bad.replace_range(at..=at, &to);
            proptest::prop_assert_eq!(bad.parse::<OnionAddress>().is_ok(), bad == good);
        }
    }
}
