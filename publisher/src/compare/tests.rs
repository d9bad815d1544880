//! C tor's own descriptor passes every row, and each mistake is named by its row.
#![expect(clippy::string_slice, reason = "a test: a panic is a failed test")]

use super::*;
use onionkeep_common::{ExpirationHours, OnionAddress, PeriodLength, PeriodNumber, TimePeriod};
use serde_json::Value;

/// A descriptor that C tor made, opened, with a network and a time at which it was fresh.
fn golden() -> (Network, Look) {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/vectors/descriptors.json")).unwrap();
    let rows = vectors["descriptors"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "ctor_plain").unwrap();
    let number = |key: &str| row[key].as_u64().unwrap();
    let length = PeriodLength::new(u32::try_from(number("period_length_minutes")).unwrap()).unwrap();
    let period = TimePeriod { number: PeriodNumber(number("time_period")), length };
    let onion: OnionAddress = format!("{}.onion", row["address"].as_str().unwrap()).parse().unwrap();
    let at = UnixTime((number("signing_cert_expiration_hours") - 54) * 3600 - 600);
    let text = include_str!("../../../tests/vectors/ctor_plain.desc.txt");
    let layers = Layers::open(text.as_bytes(), &onion, period, at).unwrap();
    let run_start = at.minus(layers.revision * 2 / 65_537);
    let copies = (1..=3).map(|hsdir| {
        let salts = layers.salts.map(|salt| salt.map(|octet| octet.wrapping_add(hsdir)));
        (Fingerprint([hsdir; 20]), Layers { salts, ..layers.clone() })
    });
    let (copies, unreadable, without) = (copies.collect(), Vec::new(), Vec::new());
    let look = Look { at: at.plus(5), copies, unreadable, without, silent: 0 };
    (Network { run_start, sendme_inc: Some(31) }, look)
}

/// The same descriptor, uploaded again 90 minutes later.
fn later(look: &Look) -> Look {
    let mut later = look.clone();
    later.at = look.at.plus(5400);
    for (_hsdir, layers) in &mut later.copies {
        layers.revision += 5400 * 65_537 / 2;
        layers.cert_expires = ExpirationHours(layers.cert_expires.0 + 2);
        layers.inner = None;
    }
    later
}

/// The rows that differ.
fn different(network: &Network, first: &Look, second: Option<&Look>) -> Vec<u8> {
    let found = judge(network, first, second);
    assert_eq!(found.iter().map(|finding| finding.row).collect::<Vec<_>>(), (1..=35).collect::<Vec<_>>());
    found.iter().filter(|finding| finding.differs()).map(|finding| finding.row).collect()
}

/// The rows that differ when every copy is altered.
fn altered(alter: impl Fn(&mut Layers)) -> Vec<u8> {
    let (network, mut look) = golden();
    look.copies.iter_mut().for_each(|(_hsdir, layers)| alter(layers));
    different(&network, &look, None)
}

/// Replaces text in the inner layer.
fn inner(layers: &mut Layers, from: &str, to: &str) {
    let text = layers.inner_text().unwrap().replacen(from, to, 1);
    layers.inner = Some(text.into_bytes());
}

#[test]
fn c_tor_is_not_told_from_itself() {
    let (network, look) = golden();
    let found = judge(&network, &look, None);
    let differs: Vec<_> = found.iter().filter(|finding| finding.differs()).collect();
    assert!(differs.is_empty(), "{differs:?}");
    let same = found.iter().filter(|finding| finding.outcome == Outcome::Same).map(|finding| finding.row);
    assert_eq!(same.collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 19, 21, 24]);
    assert_eq!(different(&network, &look, Some(&later(&look))), Vec::<u8>::new());
}

#[test]
fn every_mistake_in_a_layer_is_named() {
    assert_eq!(altered(|layers| layers.middle.resize(11_000, 0)), [1, 2]);
    assert_eq!(altered(|layers| layers.middle.resize(20_000, 0)), [2]);
    // The points' certificates then fit no more either.
    assert_eq!(altered(|layers| layers.cert_expires = ExpirationHours(layers.cert_expires.0 - 1)), [3, 12]);
    assert_eq!(altered(|layers| layers.revision *= 3), [6]);
    assert_eq!(altered(|layers| layers.outer = layers.outer.replace("lifetime 180", "lifetime 60")), [7]);
    assert_eq!(altered(|layers| layers.outer.push('\n')), [7]);
    let swap = |layers: &mut Layers| {
        layers.outer = layers.outer.replacen("revision-counter", "proto x\nrevision-counter", 1);
    };
    assert_eq!(altered(swap), [7]);
    assert_eq!(
        altered(|layers| {
            let end = layers.middle_text().len();
            layers.middle[end] = b'\n';
        }),
        [8]
    );
    let fewer = |layers: &mut Layers| {
        let text: Vec<_> = layers.middle_text().lines().map(str::to_owned).collect();
        let dropped = text.iter().position(|line| line.starts_with("auth-client ")).unwrap();
        let kept =
            text.iter().enumerate().filter(|(at, _line)| *at != dropped).map(|(_at, line)| line.as_str());
        layers.middle = kept.collect::<Vec<_>>().join("\n").into_bytes();
        layers.middle.resize(10_000, 0);
    };
    assert_eq!(altered(fewer), [9]);
}

#[test]
fn every_mistake_in_the_inner_layer_is_named() {
    assert_eq!(altered(|layers| inner(layers, "flow-control 1-2 31\n", "")), [11]);
    assert_eq!(
        altered(|layers| {
            layers.inner.as_mut().unwrap().pop();
        }),
        [11]
    );
    assert_eq!(altered(|layers| inner(layers, "onion-key ntor", "proto x\nonion-key ntor")), [13]);
    assert_eq!(altered(|layers| inner(layers, "flow-control", "pow-params v1 x 0 y\nflow-control")), [21]);
    assert_eq!(altered(|layers| layers.signing_key[0] ^= 1), [12]);
    let twice = |layers: &mut Layers| {
        let text = layers.inner_text().unwrap();
        let point = text.find("introduction-point ").unwrap();
        let end = text[point + 1..].find("introduction-point ").unwrap() + point + 1;
        let more = text[point..end].repeat(6);
        inner(layers, "introduction-point ", &format!("{more}introduction-point "));
    };
    assert_eq!(altered(twice), [14, 19]);
    assert_eq!(altered(|layers| layers.inner = None), Vec::<u8>::new(), "clients with a key only");
}

#[test]
fn every_mistake_between_copies_is_named() {
    let with = |change: &dyn Fn(&mut Look)| {
        let (network, mut look) = golden();
        change(&mut look);
        different(&network, &look, None)
    };
    assert_eq!(with(&|look| look.copies[1].1.salts = look.copies[0].1.salts), [5]);
    assert_eq!(with(&|look| look.copies[1].1.inner = Some(b"create2-formats 2\n".to_vec())), [11, 14, 18]);
    assert_eq!(with(&|look| look.without.push(Fingerprint([9; 20]))), [24]);
    assert_eq!(with(&|look| look.unreadable.push((Fingerprint([9; 20]), "broken".into()))), [7]);
}

#[test]
fn every_mistake_over_time_is_named() {
    let with = |change: &dyn Fn(&mut Layers)| {
        let (network, look) = golden();
        let mut second = later(&look);
        for ((_hsdir, layers), (_other, old)) in second.copies.iter_mut().zip(&look.copies) {
            // The certificates stay those of before, which row 12 notices and nobody asks here.
            layers.inner.clone_from(&old.inner);
            change(layers);
        }
        let mut rows = different(&network, &look, Some(&second));
        rows.retain(|row| *row != 12);
        rows
    };
    assert_eq!(with(&|_same| {}), Vec::<u8>::new());
    assert_eq!(with(&|layers| layers.signing_key[0] ^= 1), [4]);
    assert_eq!(
        with(&|layers| {
            let other = layers.middle_text().replacen("auth-client ", "auth-client A", 1);
            layers.middle = other.into_bytes();
            layers.middle.resize(10_000, 0);
        }),
        [9, 10]
    );
    assert_eq!(with(&|layers| inner(layers, "create2-formats 2\n", "create2-formats 2\n")), Vec::<u8>::new());
    let turned = |layers: &mut Layers| {
        let text = layers.inner_text().unwrap();
        let first = text.find("introduction-point ").unwrap();
        let second = text[first + 1..].find("introduction-point ").unwrap() + first + 1;
        let turned = [&text[..first], &text[second..], &text[first..second]].concat();
        layers.inner = Some(turned.into_bytes());
    };
    assert_eq!(with(&turned), [15]);
    let soon = |layers: &mut Layers| layers.revision -= 4800 * 65_537 / 2;
    let rows = with(&soon);
    assert!(rows.contains(&22), "{rows:?}");
}

#[test]
fn nothing_is_said_about_what_was_not_seen() {
    let network = Network { run_start: UnixTime(0), sendme_inc: None };
    let look =
        Look { at: UnixTime(0), copies: Vec::new(), unreadable: Vec::new(), without: Vec::new(), silent: 8 };
    let found = judge(&network, &look, None);
    assert!(found.iter().all(|finding| matches!(finding.outcome, Outcome::Unseen(_))));
}
