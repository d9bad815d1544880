//! The rows that are seen on one copy of a descriptor.

use super::Network;
use super::sheet::Sheet;
use crate::descriptor::Layers;
use crate::netdoc::date::Iso;
use crate::netdoc::{Item, Items, base64, base64_array};
use onionkeep_common::cert::{CertType, UncheckedCert};
use onionkeep_common::{ExpirationHours, UnixTime};
use std::collections::BTreeSet;

/// The middle layer is padded to a multiple of this.
///
/// Spec: rend-spec-v3, 2.5.1.1.
const BLOCK: usize = 10_000;
/// How long an HSDir keeps a descriptor, in **seconds**, with the half hour until it cleans up.
const KEPT: u64 = 3 * 3600 + 1800;
/// Numbers of points that C tor services have.
const POINTS: std::ops::RangeInclusive<usize> = 3..=8;
/// The outer lines in C tor's order.
const OUTER: [&str; 6] = [
    "hs-descriptor",
    "descriptor-lifetime",
    "descriptor-signing-key-cert",
    "revision-counter",
    "superencrypted",
    "signature",
];
/// The lines of a point in C tor's order.
const POINT: [&str; 5] = ["introduction-point", "onion-key", "auth-key", "enc-key", "enc-key-cert"];
/// Types of the link specifiers in C tor's order, without and with IPv6.
const SPECIFIERS: [&[u8]; 2] = [&[0, 2, 3], &[0, 2, 3, 1]];

/// Judges one copy that was fetched at `now`.
pub(super) fn judge(network: &Network, now: UnixTime, layers: &Layers, sheet: &mut Sheet) {
    times(network, now, layers, sheet);
    outer(&layers.outer, sheet);
    middle(layers, sheet);
    if let Some(text) = layers.inner_text() {
        inner(network, layers, text, sheet);
    }
}

/// When a descriptor was uploaded, by its counter.
///
/// Spec: rend-spec-v3, F.2.
pub(super) fn uploaded(network: &Network, revision: u64) -> UnixTime {
    network.run_start.plus(revision.saturating_mul(2) / 65_537)
}

/// How far that may be off, in **seconds**: four standard deviations of the counter's curve, and a minute.
pub(super) fn blur(network: &Network, revision: u64) -> u64 {
    let since = uploaded(network, revision).since(network.run_start);
    since.isqrt().saturating_mul(5).saturating_div(2).saturating_add(60)
}

/// Rows 3 and 6: the counter tells a time of upload that can be, and the certificate fits that time.
fn times(network: &Network, now: UnixTime, layers: &Layers, sheet: &mut Sheet) {
    let at = uploaded(network, layers.revision);
    let blur = blur(network, layers.revision);
    let earliest = now.minus(KEPT.saturating_add(blur));
    let believed = earliest <= at && at <= now.plus(blur);
    sheet.row(6, believed, format!("the counter would be that of an upload at {}", Iso(at)));
    let (from, to) =
        if believed { (at.minus(blur).max(earliest), at.plus(blur).min(now)) } else { (earliest, now) };
    let ends = [from.min(to), to].map(ExpirationHours::of_desc_signing_cert);
    let [first, last] = ends.map(|end| end.time());
    let end = layers.cert_expires.time();
    sheet.row(
        3,
        first <= end && end <= last,
        format!("it ends at {}, not between {} and {}", Iso(end), Iso(first), Iso(last)),
    );
}

/// Row 7: what an HSDir reads.
fn outer(text: &str, sheet: &mut Sheet) {
    let items = items(text);
    sheet.row(7, keywords(&items).eq(OUTER), "other lines, or in another order");
    let argument = |keyword: &str| items.iter().find(|item| item.keyword == keyword).map(|item| item.rest);
    sheet.row(7, argument("descriptor-lifetime") == Some("180"), "the lifetime is not 180");
    let signature = argument("signature").unwrap_or_default();
    sheet.row(7, signature.len() == 86 && !signature.contains('='), "the signature is not unpadded base64");
    let ends = text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains('\r');
    sheet.row(7, ends, "other line ends");
    sheet.row(7, objects_have_64(text), "objects are not in lines of 64 characters");
}

/// Rows 1, 2, 8, 9: the middle layer and its padding.
fn middle(layers: &Layers, sheet: &mut Sheet) {
    let (text, padded) = (layers.middle_text(), layers.middle.len());
    sheet.row(1, padded.is_multiple_of(BLOCK), format!("padded to {padded} octets, no multiple of {BLOCK}"));
    sheet.row(
        2,
        padded <= BLOCK,
        format!("{} octets: more than 8 points, or many clients", layers.outer.len()),
    );
    sheet.row(8, text.ends_with("-----END MESSAGE-----"), "something follows the end");
    let padding = layers.middle.get(text.len()..).unwrap_or_default();
    sheet.row(8, padding.iter().all(|octet| *octet == 0), "the padding is not zero");
    let items = items(text);
    let clients: Vec<_> = items.iter().filter(|item| item.keyword == "auth-client").collect();
    let right = !clients.is_empty() && clients.len().is_multiple_of(16);
    sheet.row(9, right, format!("{} auth-client lines, no multiple of 16", clients.len()));
    let different: BTreeSet<_> = clients.iter().map(|item| item.rest).collect();
    sheet.row(9, different.len() == clients.len(), "an auth-client line occurs twice");
    sheet.row(9, clients.iter().all(|item| is_client(item)), "an auth-client line of another form");
    let order = ["desc-auth-type", "desc-auth-ephemeral-key"].into_iter();
    let order = order.chain(clients.iter().map(|item| item.keyword)).chain(["encrypted"]);
    sheet.row(9, keywords(&items).eq(order), "other lines, or in another order");
    let key =
        items.iter().find(|item| item.keyword == "desc-auth-ephemeral-key").map_or("", |item| item.rest);
    sheet.row(9, is_padded_key(key), "the ephemeral key is not padded base64");
}

/// Rows 11 to 14, 19, 21: the inner layer.
fn inner(network: &Network, layers: &Layers, text: &str, sheet: &mut Sheet) {
    let items = items(text);
    let starts = items.iter().position(|item| item.keyword == "introduction-point").unwrap_or(items.len());
    let (header, points) = items.split_at_checked(starts).unwrap_or((&items, &[]));
    let flow = network.sendme_inc.map(|inc| format!("1-2 {inc}"));
    let wanted = [Some(("create2-formats", "2")), flow.as_deref().map(|flow| ("flow-control", flow))];
    let lines: Vec<_> = header.iter().map(|item| (item.keyword, item.rest)).collect();
    let (pow, lines): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|(keyword, _rest)| *keyword == "pow-params");
    let wanted: Vec<_> = wanted.into_iter().flatten().collect();
    sheet.row(11, lines == wanted, format!("it says {}", words(&lines)));
    sheet.row(21, pow.is_empty(), "it asks for proof of work");
    sheet.row(11, text.ends_with("-----END ED25519 CERT-----\n"), "no line end after the last line");
    let points: Vec<_> = points.chunk_by(|_item, next| next.keyword != "introduction-point").collect();
    sheet.row(14, POINTS.contains(&points.len()), format!("{} points", points.len()));
    sheet.row(13, objects_have_64(text), "objects are not in lines of 64 characters");
    let mut relays = BTreeSet::new();
    for point in points {
        let identity = one_point(layers, point, sheet);
        sheet.row(19, identity.is_none_or(|identity| relays.insert(identity)), "two points on one relay");
    }
}

/// Rows 12 and 13 of one point; its relay's Ed25519 identity.
fn one_point(layers: &Layers, point: &[Item<'_>], sheet: &mut Sheet) -> Option<Vec<u8>> {
    sheet.row(13, keywords(point).eq(POINT), "a point has other lines, or in another order");
    for (kind, keyword) in [(CertType::IntroAuth, "auth-key"), (CertType::IntroEnc, "enc-key-cert")] {
        let object = point.iter().find(|item| item.keyword == keyword).and_then(|item| item.object?.decode());
        let cert = object.as_deref().and_then(|octets| UncheckedCert::parse(kind, octets).ok());
        let Some(cert) = cert.and_then(|cert| cert.check_signature().ok()) else {
            sheet.row(13, false, "a point's certificate cannot be read");
            continue;
        };
        let cert = cert.dangerously_assume_timely();
        let fits = cert.expires().0.checked_add(1) == Some(layers.cert_expires.0);
        let [.., sign] = *cert.certified();
        sheet.row(12, fits, format!("{keyword} does not end one hour before the signing key's certificate"));
        sheet.row(12, cert.signer() == &layers.signing_key, format!("{keyword} is signed by another key"));
        let signless = kind == CertType::IntroAuth || sign & 0x80 == 0;
        sheet.row(13, signless, "a sign bit in the certificate of an enc-key");
    }
    for keyword in ["onion-key", "enc-key"] {
        let key = point
            .iter()
            .find(|item| item.keyword == keyword)
            .and_then(|item| item.rest.strip_prefix("ntor "));
        sheet.row(13, key.is_some_and(is_padded_key), format!("{keyword} is not padded base64"));
    }
    let links = point.first().and_then(|item| base64(item.rest)).unwrap_or_default();
    let links = specifiers(&links);
    let types: Vec<u8> = links.iter().map(|(kind, _data)| *kind).collect();
    sheet.row(13, SPECIFIERS.contains(&&types[..]), format!("link specifiers {types:?}"));
    links.into_iter().find(|(kind, _data)| *kind == 3).map(|(_kind, data)| data.to_vec())
}

/// Types and contents of link specifiers.
fn specifiers(octets: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let mut rest = octets.get(1..).unwrap_or_default();
    while let [kind, length, tail @ ..] = rest {
        let Some((data, next)) = tail.split_at_checked(usize::from(*length)) else { break };
        found.push((*kind, data));
        rest = next;
    }
    found
}

/// The items of a layer, as far as they can be read.
pub(super) fn items(text: &str) -> Vec<Item<'_>> {
    Items::new(text).map_while(Result::ok).collect()
}

/// Their keywords.
fn keywords<'a>(items: &'a [Item<'a>]) -> impl Iterator<Item = &'a str> {
    items.iter().map(|item| item.keyword)
}

/// Three unpadded base64 values of 8, 16 and 16 octets.
fn is_client(item: &Item<'_>) -> bool {
    let octets = |at: usize| item.arg(at).and_then(base64).map(|octets| octets.len());
    !item.rest.contains('=') && [octets(0), octets(1), octets(2)] == [Some(8), Some(16), Some(16)]
}

/// A key in padded base64.
fn is_padded_key(text: &str) -> bool {
    text.len() == 44 && base64_array::<32>(text).is_some()
}

/// Whether each object's lines have 64 characters but for the last.
fn objects_have_64(text: &str) -> bool {
    let mut lines = text.lines();
    let mut good = true;
    while lines.any(|line| line.starts_with("-----BEGIN ")) {
        let body: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("-----END ")).collect();
        let full = body.len().saturating_sub(1);
        good &= body.iter().take(full).all(|line| line.len() == 64);
        good &= body.last().is_some_and(|line| (1..=64).contains(&line.len()));
    }
    good
}

/// Lines as words for people.
fn words(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(keyword, rest)| format!("\"{keyword} {rest}\"")).collect::<Vec<_>>().join(", ")
}
