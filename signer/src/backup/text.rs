//! The text of a share: what a custodian writes on paper and types back. The only place that knows its characters.
//!
//! 72 characters of bech32's alphabet in 18 groups of four: format (1), set (5), generation (2), number (1), threshold (1),
//! onion check (4), the number itself (52), checksum (6). The checksum is bech32m's over the prefix `okshare`, which finds
//! every change of up to four characters; so no single slip and no swap of neighbours passes.
//!
//! Spec: BIP-350, bech32m.

use super::shamir::{SHARES_MAX, Share};
use onionkeep_common::OnionAddress;
use zeroize::Zeroizing;

/// The alphabet, by value: no `1`, `b`, `i`, `o`.
const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// The alphabet of onion addresses, by value.
const ONION_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// What the checksum covers before the characters.
const PREFIX: &[u8] = b"okshare";
/// What the checksum comes out as (BIP-350).
const BECH32M: u32 = 0x2bc8_30a3;
/// The format's number.
const FORMAT: u8 = 1;
/// Characters of a share.
pub(super) const CHARACTERS: usize = 72;
/// Characters of the number.
const DATA: usize = 52;
/// Highest generation that a share can name.
pub(super) const GENERATION_MAX: u16 = 1023;

/// What a share says about itself, besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// First 25 bits of the set's digest.
    pub(super) set: [u8; 5],
    /// Which generation of the onion's backup.
    pub(super) generation: u16,
    /// How many shares restore.
    pub(super) threshold: u8,
    /// Four characters of the address, before the last.
    pub(super) onion: [u8; 4],
}

/// Why a text is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Too short or too long.
    #[error("it has {0} characters; a share has {CHARACTERS}, in 18 groups of four")]
    Length(usize),
    /// A character that no share has.
    #[error("group {0} has a character that no share has (there is no 1, b, i or o, and no capital letter)")]
    Character(usize),
    /// A slip.
    #[error("the checksum does not fit: at least one character is wrong")]
    Checksum,
    /// Well written, and no share of this format.
    #[error("it is well written, but no share of this version")]
    Format,
}

impl Tag {
    /// The four characters of an address, as values.
    pub(super) fn onion_check(onion: &OnionAddress) -> [u8; 4] {
        let text = onion.bare().to_string();
        let mut check = [0; 4];
        let characters = text.bytes().skip(51);
        check.iter_mut().zip(characters).for_each(|(to, from)| *to = value(ONION_ALPHABET, from));
        check
    }
}

/// The value of a character, 0 if it is not of the alphabet.
fn value(alphabet: &[u8; 32], character: u8) -> u8 {
    find(alphabet, character).unwrap_or(0)
}

/// The value of a character, looked for without leaving early.
fn find(alphabet: &[u8; 32], character: u8) -> Option<u8> {
    (0_u8..)
        .zip(alphabet)
        .fold(None, |found, (value, one)| if *one == character { Some(value) } else { found })
}

/// Writes a share: groups of four, a blank between them.
pub(super) fn write(tag: &Tag, share: &Share) -> Zeroizing<String> {
    let mut values = Zeroizing::new(Vec::with_capacity(CHARACTERS));
    values.push(FORMAT);
    values.extend_from_slice(&tag.set);
    values.extend([five(tag.generation >> 5), five(tag.generation), share.index(), tag.threshold]);
    values.extend_from_slice(&tag.onion);
    share.with_octets(|octets| push_octets(&mut values, octets));
    let sum = checksum(&values) ^ BECH32M;
    values.extend((0..6_u32).rev().map(|at| five32(sum >> at.saturating_mul(5))));
    let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / 4));
    for (at, value) in values.iter().enumerate() {
        if at != 0 && at % 4 == 0 {
            text.push(' ');
        }
        text.push(char::from(ALPHABET.get(usize::from(*value)).copied().unwrap_or(b'?')));
    }
    text
}

/// The lowest five bits.
fn five(number: u16) -> u8 {
    u8::try_from(number & 31).unwrap_or(0)
}

/// The lowest five bits.
fn five32(number: u32) -> u8 {
    u8::try_from(number & 31).unwrap_or(0)
}

/// Appends 256 bits as 52 values, the last with four zero bits.
fn push_octets(values: &mut Vec<u8>, octets: &[u8; 32]) {
    let (mut bits, mut have) = (0_u16, 0_u32);
    for octet in octets {
        bits = ((bits << 8) | u16::from(*octet)) & 0x1fff;
        have = have.saturating_add(8);
        while have >= 5 {
            have = have.saturating_sub(5);
            values.push(five(bits >> have));
        }
    }
    values.push(five(bits << 5_u32.saturating_sub(have)));
}

/// The 256 bits of 52 values, if the last four are zero.
fn read_octets(values: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut octets = Zeroizing::new([0; 32]);
    let mut to = octets.iter_mut();
    let (mut bits, mut have) = (0_u16, 0_u32);
    for value in values {
        bits = ((bits << 5) | u16::from(*value)) & 0x1fff;
        have = have.saturating_add(5);
        if have >= 8 {
            have = have.saturating_sub(8);
            *to.next()? = u8::try_from((bits >> have) & 0xff).ok()?;
        }
    }
    (have == 4 && bits & 15 == 0 && to.next().is_none()).then_some(octets)
}

/// Reads a share; blanks between the characters mean nothing.
pub(super) fn read(text: &str) -> Result<(Tag, Share), TextError> {
    let mut values = Zeroizing::new(Vec::with_capacity(CHARACTERS));
    let characters = || text.bytes().filter(|octet| *octet != b' ');
    let length = characters().count();
    if length != CHARACTERS {
        return Err(TextError::Length(length));
    }
    for (at, character) in characters().enumerate() {
        values.push(find(ALPHABET, character).ok_or(TextError::Character(at / 4 + 1))?);
    }
    if checksum_of_all(&values) != BECH32M {
        return Err(TextError::Checksum);
    }
    parts(&values).ok_or(TextError::Format)
}

/// Takes checked values apart.
fn parts(values: &[u8]) -> Option<(Tag, Share)> {
    let ([format, s0, s1, s2, s3, s4, high, low, index, threshold], rest) =
        values.split_first_chunk::<10>()?;
    let (onion, rest) = rest.split_first_chunk::<4>()?;
    let octets = read_octets(rest.get(..DATA)?)?;
    let generation = (u16::from(*high) << 5) | u16::from(*low);
    let sound = *format == FORMAT && generation >= 1 && (1..=SHARES_MAX).contains(index) && *threshold >= 2;
    let tag = Tag { set: [*s0, *s1, *s2, *s3, *s4], generation, threshold: *threshold, onion: *onion };
    let share = Share::from_octets(*index, &octets)?;
    sound.then_some((tag, share))
}

/// The checksum's state after the prefix, the values and six zeros.
fn checksum(values: &[u8]) -> u32 {
    let zeros = [0_u8; 6];
    expanded_prefix().chain(values.iter().chain(&zeros).copied()).fold(1, step)
}

/// The checksum's state after the prefix and all values.
fn checksum_of_all(values: &[u8]) -> u32 {
    expanded_prefix().chain(values.iter().copied()).fold(1, step)
}

/// The prefix as the checksum takes it.
fn expanded_prefix() -> impl Iterator<Item = u8> {
    let high = PREFIX.iter().map(|octet| octet >> 5);
    high.chain([0]).chain(PREFIX.iter().map(|octet| octet & 31))
}

/// One step of the checksum.
fn step(state: u32, value: u8) -> u32 {
    let generators = [0x3b6a_57b2_u32, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = state >> 25;
    let shifted = ((state & 0x01ff_ffff) << 5) ^ u32::from(value);
    (0_u32..).zip(generators).fold(
        shifted,
        |sum, (bit, generator)| {
            if (top >> bit) & 1 == 1 { sum ^ generator } else { sum }
        },
    )
}

#[cfg(test)]
mod tests;
