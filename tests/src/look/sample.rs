//! What is seen of one service at one time, as numbers: whatever could give a frontend away, without a thought of who made it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result};
use data_encoding::BASE64;
use onionkeep_common::cert::{CertType, UncheckedCert};

use super::judge::Sample;
use super::moment::{BURST, Between};
use crate::descriptor::{Opened, auth_keys, object, value};

/// Seconds in an hour.
const HOUR: f64 = 3600.0;

/// What all HSDirs hold of one service at one time.
#[derive(Clone, Debug)]
pub struct Held {
    /// The service's address.
    pub service: String,
    /// When it was uploaded, as the uploading tor heard it.
    pub uploaded: Between,
    /// HSDir to descriptor, those of the newest revision.
    pub copies: BTreeMap<String, Opened>,
    /// `true` for those HSDirs' texts that are the same octets as another's.
    pub twins: usize,
}

impl Held {
    /// Keeps the copies of the newest revision.
    #[must_use]
    pub fn new(service: &str, uploaded: Between, held: BTreeMap<String, Opened>) -> Self {
        let newest = held.values().map(|opened| opened.revision).max();
        let copies: BTreeMap<_, _> =
            held.into_iter().filter(|(_hsdir, opened)| Some(opened.revision) == newest).collect();
        let texts: BTreeSet<_> = copies.values().map(|opened| &opened.outer).collect();
        let twins = copies.len() - texts.len();
        Self { service: service.to_owned(), uploaded, copies, twins }
    }

    /// One of the copies.
    pub fn any(&self) -> Result<&Opened> {
        self.copies.values().next().context("no copies")
    }
}

/// One service at one time, beside what was seen of it before.
pub fn descriptor(held: &Held, before: Option<&Held>) -> Result<Sample> {
    let opened = held.any()?;
    let mut features = outer(held, opened);
    features.extend(inner(opened)?);
    features.extend(relation(opened, before)?);
    Ok(Sample { block: held.service.clone(), features })
}

/// What an HSDir sees that does not know the address, and several of them together.
///
/// Not by how much the counter misses the time of the upload: that time is only known to the nearest upload that was heard of.
fn outer(held: &Held, opened: &Opened) -> Vec<(&'static str, f64)> {
    let digits = opened.revision.to_string().len();
    let hours = (held.uploaded.latest / HOUR).ceil() + 54.0;
    let salts: BTreeSet<_> = held.copies.values().map(|copy| (&copy.middle_salt, &copy.inner_salt)).collect();
    vec![
        ("length", number(opened.outer.len() - digits)),
        ("lines", number(opened.outer.lines().count())),
        ("digits", number(digits)),
        ("expires", f64::from(opened.expires) - hours),
        ("padded", number(opened.middle.len())),
        ("salts", number(held.copies.len() - salts.len())),
        ("twins", number(held.twins)),
    ]
}

/// What somebody sees who knows the address.
fn inner(opened: &Opened) -> Result<Vec<(&'static str, f64)>> {
    let (middle, inner) = (opened.middle_text()?, opened.inner_text()?);
    let points = opened.points()?;
    let clients: Vec<_> = middle.lines().filter(|line| line.starts_with("auth-client ")).collect();
    let (mut ends, mut sign_bits, mut relays, mut keys) = (Vec::new(), 0, Vec::new(), Vec::new());
    for point in &points {
        for (kind, keyword) in [(CertType::IntroAuth, "auth-key"), (CertType::IntroEnc, "enc-key-cert")] {
            let octets = object(point, keyword)?;
            let cert = UncheckedCert::parse(kind, &octets)?.check_signature()?.dangerously_assume_timely();
            ends.push(f64::from(opened.expires) - f64::from(cert.expires().0));
            if kind == CertType::IntroAuth {
                keys.push(*cert.certified());
            } else {
                sign_bits += usize::from(cert.certified()[31] & 0x80 != 0);
            }
        }
        relays.push(BASE64.decode(value(point, "introduction-point")?.as_bytes())?);
    }
    let different: BTreeSet<_> = relays.iter().collect();
    let least = ends.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(vec![
        ("middle", number(middle.len())),
        ("middle-end", number(usize::from(middle.ends_with('\n')))),
        ("clients", number(clients.len())),
        ("client-order", descents(&clients)),
        ("inner", number(inner.len())),
        ("inner-end", number(usize::from(inner.ends_with('\n')))),
        ("header", number(inner.find("introduction-point ").unwrap_or(inner.len()))),
        ("points", number(points.len())),
        ("relay-twice", number(relays.len() - different.len())),
        ("specifiers", number(relays.iter().map(Vec::len).sum())),
        ("relay-order", descents(&relays)),
        ("key-order", descents(&keys)),
        ("least-end", if least.is_finite() { least } else { -1.0 }),
        ("most-end", if most.is_finite() { most } else { -1.0 }),
        ("sign-bits", number(sign_bits)),
    ])
}

/// What somebody sees who knows the address and looked before: the same descriptor, or the service's other one.
fn relation(opened: &Opened, before: Option<&Held>) -> Result<Vec<(&'static str, f64)>> {
    let other = before.map(Held::any).transpose()?;
    let same = other.filter(|other| other.blinded == opened.blinded);
    let else_one = other.filter(|other| other.blinded != opened.blinded);
    let kept = |other: &Opened| -> Result<f64> {
        Ok(number(auth_keys(opened)?.intersection(&auth_keys(other)?).count()))
    };
    let header = |opened: &Opened| -> Result<String> {
        Ok(opened.middle_text()?.split("\nencrypted\n").next().unwrap_or_default().to_owned())
    };
    let unknown = -1.0;
    Ok(vec![
        ("key-kept", same.map_or(unknown, |other| yes(other.signing_key == opened.signing_key))),
        (
            "header-kept",
            same.map_or(Ok(unknown), |other| Ok::<_, anyhow::Error>(yes(header(other)? == header(opened)?)))?,
        ),
        ("points-kept", same.map_or(Ok(unknown), kept)?),
        ("points-shared", else_one.map_or(Ok(unknown), kept)?),
        ("key-shared", else_one.map_or(unknown, |other| yes(other.signing_key == opened.signing_key))),
    ])
}

/// Whether two looks at a service were at the same descriptor.
pub fn is_same(held: &Held, before: &Held) -> Result<bool> {
    Ok(held.any()?.blinded == before.any()?.blinded)
}

/// How many points a service's descriptor shares with its other one, seen before.
pub fn shared_points(held: &Held, before: Option<&Held>) -> Result<usize> {
    let (opened, other) = (held.any()?, before.map(Held::any).transpose()?);
    let Some(other) = other.filter(|other| other.blinded != opened.blinded) else { return Ok(0) };
    Ok(auth_keys(opened)?.intersection(&auth_keys(other)?).count())
}

/// What an upload log shows of some hours: how many copies HSDirs stored and refused, in how many bursts, and how far apart
/// those begin.
///
/// Times are in seconds since 1970; those outside of `during` do not count.
#[must_use]
pub fn uploads(service: &str, during: &Range<f64>, stored: &[f64], refused: &[f64]) -> Sample {
    let mut times: Vec<_> = stored.iter().copied().filter(|at| during.contains(at)).collect();
    times.sort_by(f64::total_cmp);
    let bursts: Vec<_> = times.chunk_by(|one, next| next - one < BURST).collect();
    let begins: Vec<_> = bursts.iter().filter_map(|burst| burst.first().copied()).collect();
    let gaps: Vec<_> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let width = |burst: &&[f64]| {
        burst.last().copied().unwrap_or_default() - burst.first().copied().unwrap_or_default()
    };
    let least = gaps.iter().copied().fold(during.end - during.start, f64::min);
    let most = gaps.iter().copied().fold(0.0, f64::max);
    let features = vec![
        ("stored", number(times.len())),
        ("refused", number(refused.iter().filter(|at| during.contains(at)).count())),
        ("bursts", number(bursts.len())),
        ("first", begins.first().map_or(during.end - during.start, |at| at - during.start)),
        ("least-gap", least),
        ("most-gap", most),
        ("width", bursts.iter().map(width).fold(0.0, f64::max)),
    ];
    Sample { block: service.to_owned(), features }
}

/// Which share of neighbours stands in falling order: 0 if all is sorted, a half if nothing is.
fn descents<T: Ord>(list: &[T]) -> f64 {
    let falls = list.windows(2).filter(|pair| pair[0] > pair[1]).count();
    number(falls) / number(list.len().saturating_sub(1).max(1))
}

/// A small number.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// 1 for yes.
fn yes(answer: bool) -> f64 {
    f64::from(u8::from(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_are_stored_together_are_one_burst() {
        let stored = [90.0, 4000.0, 100.0, 130.0, 4010.0, 9000.0, 99_999.0];
        let sample = uploads("a", &(95.0..10_000.0), &stored, &[50.0, 5000.0]);
        let wanted = [
            ("stored", 5.0),
            ("refused", 1.0),
            ("bursts", 3.0),
            ("first", 5.0),
            ("least-gap", 3900.0),
            ("most-gap", 5000.0),
            ("width", 30.0),
        ];
        assert_eq!(sample.features, wanted);
        let none = uploads("a", &(95.0..10_000.0), &[], &[]);
        assert!(none.features.contains(&("first", 9905.0)) && none.features.contains(&("bursts", 0.0)));
    }
}
