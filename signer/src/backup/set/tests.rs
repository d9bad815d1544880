//! The verifier file: one text for each set, and every share checked alone.

#![expect(clippy::string_slice, reason = "all of it is ASCII")]

use super::*;
use crate::backup::shamir::Polynomial;

fn onion(first: bool) -> OnionAddress {
    let text = if first {
        "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion"
    } else {
        "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion"
    };
    text.parse().unwrap()
}

fn made(onion: OnionAddress, generation: u16) -> (BackupSet, Polynomial) {
    let plan = Plan::new(3, 5).unwrap();
    let polynomial = Polynomial::random(plan).unwrap();
    (BackupSet::new(onion, generation, plan, polynomial.commitments()).unwrap(), polynomial)
}

#[test]
fn a_verifier_reads_back() {
    let (set, _polynomial) = made(onion(true), 4);
    assert_eq!(BackupSet::from_text(&set.to_text()).unwrap(), set);
}

#[test]
fn every_change_of_the_verifier_is_found() {
    let text = made(onion(true), 1).0.to_text();
    for at in 0..text.len() {
        for flip in [1_u8, 2, 16, 32] {
            let mut octets = text.clone().into_bytes();
            octets[at] ^= flip;
            let changed = String::from_utf8_lossy(&octets);
            assert!(BackupSet::from_text(&changed).is_err(), "octet {at} ^ {flip}");
        }
        assert!(BackupSet::from_text(&text[..at]).is_err(), "cut at {at}");
    }
    for more in ["\n", " ", "set x\n"] {
        assert!(BackupSet::from_text(&format!("{text}{more}")).is_err());
    }
    assert!(BackupSet::from_text(&text.replace("generation 1", "generation 01")).is_err());
    assert!(BackupSet::from_text(&text.replace('\n', "\r\n")).is_err());
}

#[test]
fn each_share_is_checked_alone() {
    let (set, polynomial) = made(onion(true), 1);
    for index in 1..=5 {
        let text = set.write_share(&polynomial.share(index));
        assert_eq!(set.read_share(&text).unwrap().index(), index);
    }
}

#[test]
fn foreign_shares_are_told_apart() {
    let (set, polynomial) = made(onion(true), 1);
    let say = |text: &str| set.read_share(text).err();
    let (other, theirs) = made(onion(false), 1);
    assert_eq!(say(&other.write_share(&theirs.share(1))), Some(ShareError::OtherOnion));
    let (later, later_shares) = made(onion(true), 2);
    let text = later.write_share(&later_shares.share(1));
    assert_eq!(say(&text), Some(ShareError::OtherGeneration { share: 2, set: 1 }));
    let (twin, twin_shares) = made(onion(true), 1);
    assert_eq!(say(&twin.write_share(&twin_shares.share(1))), Some(ShareError::OtherSet));
    // Ours by its words, with another number: only the commitments can tell.
    assert_eq!(say(&set.write_share(&theirs.share(2))), Some(ShareError::Wrong(2)));
    // A sixth share of five.
    assert_eq!(say(&set.write_share(&polynomial.share(6))), Some(ShareError::OtherSet));
}

#[test]
fn generations_that_a_share_cannot_name_are_refused() {
    let plan = Plan::new(2, 2).unwrap();
    let commitments = || Polynomial::random(plan).unwrap().commitments();
    for (generation, good) in [(0, false), (1, true), (1023, true), (1024, false)] {
        let set = BackupSet::new(onion(true), generation, plan, commitments());
        assert_eq!(set.is_ok(), good, "{generation}");
    }
}
