//! Shares as text: canonical, and no slip passes.

#![expect(clippy::string_slice, reason = "all of it is ASCII")]

use super::*;
use proptest::prelude::*;

const TAG: Tag = Tag { set: [1, 2, 3, 4, 31], generation: 7, threshold: 3, onion: [6, 30, 2, 0] };

fn share(index: u8, fill: u8) -> Share {
    let mut octets = [fill; 32];
    octets[31] &= 0x0f;
    Share::from_octets(index, &Zeroizing::new(octets)).unwrap()
}

fn text() -> String {
    write(&TAG, &share(5, 0xa7)).to_string()
}

#[test]
fn the_checksum_is_that_of_bip_350() {
    // "A1LQFN3A" and "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx" of BIP-350, without the prefix handling.
    let valid = |prefix: &str, data: &str| {
        let high = prefix.bytes().map(|octet| octet >> 5);
        let low = prefix.bytes().map(|octet| octet & 31);
        let values = data.bytes().map(|character| find(ALPHABET, character).unwrap());
        high.chain([0]).chain(low).chain(values).fold(1, step) == BECH32M
    };
    assert!(valid("a", "lqfn3a"));
    assert!(valid("abcdef", "l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"));
    assert!(!valid("a", "lqfn3c"));
}

#[test]
fn a_share_is_eighteen_groups_of_four_and_reads_back() {
    let text = text();
    assert_eq!(text.split(' ').count(), 18);
    assert!(text.split(' ').all(|group| group.len() == 4));
    let (tag, read) = read(&text).unwrap();
    assert_eq!(tag, TAG);
    assert_eq!(*write(&tag, &read), *text);
    assert_eq!(read.index(), 5);
}

#[test]
fn blanks_mean_nothing() {
    let whole = text().replace(' ', "");
    assert_eq!(*write(&TAG, &read(&whole).unwrap().1), *text());
    assert!(read(&format!("  {}  ", text().replace(' ', "   "))).is_ok());
}

#[test]
fn every_change_of_one_character_is_found() {
    let whole = text().replace(' ', "");
    for at in 0..whole.len() {
        for other in (0x21..0x7f_u8).map(char::from).filter(|other| !whole[at..].starts_with(*other)) {
            let changed = format!("{}{other}{}", &whole[..at], &whole[at + 1..]);
            assert!(read(&changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn every_swap_of_neighbours_is_found() {
    for fill in [0xa7, 0x13, 0xfe] {
        let whole = write(&TAG, &share(5, fill)).replace(' ', "").into_bytes();
        for at in 1..whole.len() {
            let mut swapped = whole.clone();
            swapped.swap(at - 1, at);
            let is_same = swapped == whole;
            assert_eq!(read(std::str::from_utf8(&swapped).unwrap()).is_ok(), is_same, "{at}");
        }
    }
}

#[test]
fn a_character_too_few_or_too_many_is_found() {
    let whole = text().replace(' ', "");
    for at in 0..whole.len() {
        let fewer = format!("{}{}", &whole[..at], &whole[at + 1..]);
        assert_eq!(read(&fewer).err(), Some(TextError::Length(71)));
        for more in ALPHABET {
            let more = format!("{}{}{}", &whole[..at], char::from(*more), &whole[at..]);
            assert_eq!(read(&more).err(), Some(TextError::Length(73)));
        }
    }
}

/// Texts with a right checksum that no share has.
#[test]
fn well_written_texts_that_are_no_share_are_refused() {
    let with = |at: usize, value: u8| {
        let whole = text().replace(' ', "");
        let mut values: Vec<u8> = whole.bytes().map(|character| find(ALPHABET, character).unwrap()).collect();
        values.truncate(66);
        values[at] = value;
        let sum = checksum(&values) ^ BECH32M;
        values.extend((0..6_u32).rev().map(|at| five32(sum >> (at * 5))));
        values.iter().map(|value| char::from(ALPHABET[usize::from(*value)])).collect::<String>()
    };
    assert!(read(&with(8, 6)).is_ok(), "another number is well written");
    // format, generation 0, number 0, threshold 1, padding bits, a number above the group order.
    for (at, value) in [(0, 2), (7, 0), (8, 0), (9, 1), (65, 1), (64, 31)] {
        assert_eq!(read(&with(at, value)).err(), Some(TextError::Format), "{at} {value}");
    }
}

#[test]
fn texts_of_other_kinds_are_refused() {
    for (text, error) in [
        ("", TextError::Length(0)),
        ("abc", TextError::Length(3)),
        (&*"q".repeat(72), TextError::Checksum),
        (&*"b".repeat(72), TextError::Character(1)),
        (&*text().to_uppercase(), TextError::Character(1)),
    ] {
        assert_eq!(read(text).err(), Some(error), "{text}");
    }
}

#[test]
fn the_onion_check_is_the_end_of_the_address_before_the_version() {
    let onion = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion".parse().unwrap();
    let expected = *b"bqea";
    let shown = Tag::onion_check(&onion).map(|value| ONION_ALPHABET[usize::from(value)]);
    assert_eq!(shown, expected);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,90}") {
        let _read_or_not = read(&text);
    }

    #[test]
    fn up_to_four_changed_characters_are_found(
        places in proptest::collection::btree_map(0_usize..72, 1_u8..32, 1..=4)
    ) {
        let whole = text().replace(' ', "");
        let changed: String = whole.bytes().enumerate().map(|(at, character)| {
            let value = find(ALPHABET, character).unwrap() ^ places.get(&at).copied().unwrap_or(0);
            char::from(ALPHABET[usize::from(value)])
        }).collect();
        prop_assert_eq!(read(&changed).err(), Some(TextError::Checksum));
    }

    #[test]
    fn any_share_reads_back(mut octets: [u8; 32], index in 1_u8..=31, generation in 1_u16..=1023) {
        octets[31] &= 0x0f;
        let share = Share::from_octets(index, &Zeroizing::new(octets)).unwrap();
        let tag = Tag { generation, ..TAG };
        let (read_tag, read) = read(&write(&tag, &share)).unwrap();
        prop_assert_eq!(read_tag, tag);
        prop_assert_eq!(read.index(), index);
        read.with_octets(|read| assert_eq!(*read, octets));
    }
}
