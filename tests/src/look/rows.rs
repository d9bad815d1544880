//! The rows themselves: each looks at a subject without knowing who made it, and says what it found odd.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::moment::Between;
use crate::clock;
use crate::descriptor::{Opened, object, value};
use anyhow::{Context, Result};
use data_encoding::{BASE64, BASE64_NOPAD};
use onionkeep_common::cert::{CertType, UncheckedCert};
use serde_json::Value;

/// An hour.
const HOUR: Duration = Duration::from_secs(3600);
/// Plaintext of the middle layer is padded to a multiple of this.
const BLOCK: usize = 10_000;

/// What all HSDirs hold of one service.
pub struct Subject {
    /// For messages.
    name: &'static str,
    /// HSDir to descriptor, all of one upload.
    held: BTreeMap<String, Opened>,
    /// When it was uploaded.
    uploaded: Between,
}

impl Subject {
    /// What was just fetched, and uploaded within the hour before.
    #[must_use]
    pub fn new(name: &'static str, held: BTreeMap<String, Opened>) -> Self {
        let now = clock::since_1970();
        let [earliest, latest] = [now.saturating_sub(HOUR), now].map(|at| at.as_secs_f64());
        Self::uploaded(name, held, Between { earliest, latest })
    }

    /// What was uploaded between these moments.
    #[must_use]
    pub fn uploaded(name: &'static str, held: BTreeMap<String, Opened>, uploaded: Between) -> Self {
        Self { name, held, uploaded }
    }

    /// One of the copies.
    #[must_use]
    pub fn any(&self) -> &Opened {
        self.held.values().next().expect("there is at least one")
    }
}

/// Collects findings under the subject's name.
struct Findings<'a> {
    /// The subject.
    subject: &'a str,
    /// What was odd.
    found: Vec<String>,
}

impl<'a> Findings<'a> {
    /// None yet.
    fn new(subject: &'a str) -> Self {
        Self { subject, found: Vec::new() }
    }

    /// A finding unless `good`.
    fn row(&mut self, row: u8, good: bool, what: &str) {
        if !good {
            self.found.push(format!("row {row}, {}: {what}", self.subject));
        }
    }
}

/// Rows that can be seen on one upload of one service.
pub fn one(subject: &Subject) -> Result<Vec<String>> {
    let mut findings = Findings::new(subject.name);
    copies(subject, &mut findings)?;
    for opened in subject.held.values() {
        outer(opened, subject.uploaded, &mut findings)?;
        middle(opened, &mut findings)?;
        inner(opened, &mut findings)?;
    }
    findings.found.dedup();
    Ok(findings.found)
}

/// Row 5: the copies at the HSDirs differ in both salts and in nothing else.
fn copies(subject: &Subject, findings: &mut Findings<'_>) -> Result<()> {
    let copies: Vec<_> = subject.held.values().collect();
    let different = |salts: BTreeSet<&[u8]>| salts.len() == copies.len();
    findings.row(
        5,
        different(copies.iter().map(|copy| &copy.middle_salt[..]).collect()),
        "HSDirs share a middle salt",
    );
    findings.row(
        5,
        different(copies.iter().map(|copy| &copy.inner_salt[..]).collect()),
        "HSDirs share an inner salt",
    );
    let first = subject.any();
    for copy in copies {
        findings.row(5, copy.inner == first.inner, "HSDirs hold different inner layers");
        findings.row(5, header(copy)? == header(first)?, "HSDirs hold different middle headers");
        findings.row(5, copy.revision == first.revision, "HSDirs hold different revisions");
        findings.row(5, copy.expires == first.expires, "HSDirs hold different certificates");
    }
    Ok(())
}

/// Rows 1, 3, 7: what an HSDir sees.
fn outer(opened: &Opened, uploaded: Between, findings: &mut Findings<'_>) -> Result<()> {
    let text = &opened.outer;
    findings.row(
        1,
        opened.middle.len().is_multiple_of(BLOCK),
        "the padded middle layer is no multiple of 10000",
    );
    let fits = uploaded.allows(opened.expires);
    findings.row(3, fits, "the type-08 certificate does not expire 54 hours after the next full hour");
    findings.row(7, value(text, "descriptor-lifetime")? == "180", "the lifetime is not 180");
    let keywords = keywords(text);
    let order = [
        "hs-descriptor",
        "descriptor-lifetime",
        "descriptor-signing-key-cert",
        "revision-counter",
        "superencrypted",
        "signature",
    ];
    findings.row(7, keywords == order, "the outer lines are not C tor's, or not in its order");
    findings.row(7, text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains('\r'), "odd line ends");
    findings.row(7, text.lines().all(|line| line.len() <= 128), "a line is too long");
    findings.row(7, value(text, "signature")?.len() == 86, "the signature is not unpadded base64");
    findings.row(
        7,
        object(text, "descriptor-signing-key-cert")?.len() == 140,
        "the certificate has not 140 octets",
    );
    Ok(())
}

/// Rows 8 and 9: the middle layer.
fn middle(opened: &Opened, findings: &mut Findings<'_>) -> Result<()> {
    let text = opened.middle_text()?;
    findings.row(8, text.ends_with("-----END MESSAGE-----"), "something follows the end of the middle layer");
    let padding = &opened.middle[text.len()..];
    findings.row(8, padding.iter().all(|octet| *octet == 0), "the padding is not zero");
    findings.row(9, value(text, "desc-auth-type")? == "x25519", "another client authorization");
    let key = value(text, "desc-auth-ephemeral-key")?;
    findings.row(
        9,
        key.len() == 44 && BASE64.decode(key.as_bytes()).is_ok(),
        "the ephemeral key is not padded base64",
    );
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("auth-client ")).collect();
    findings.row(9, lines.len() == 16, "not 16 auth-client lines");
    let distinct: BTreeSet<_> = lines.iter().collect();
    findings.row(9, distinct.len() == lines.len(), "an auth-client line occurs twice");
    findings.row(
        9,
        lines.iter().all(|line| is_auth_client(line)),
        "an auth-client line is not 11, 22 and 22 characters",
    );
    let mut expected = vec!["desc-auth-type", "desc-auth-ephemeral-key"];
    expected.extend(["auth-client"; 16]);
    expected.push("encrypted");
    findings.row(9, keywords(text) == expected, "the middle lines are not C tor's, or not in its order");
    Ok(())
}

/// Three unpadded base64 values of 8, 16 and 16 octets.
fn is_auth_client(line: &str) -> bool {
    let octets: Vec<_> =
        line.split(' ').map(|word| BASE64_NOPAD.decode(word.as_bytes()).map(|octets| octets.len())).collect();
    matches!(octets[..], [Ok(8), Ok(16), Ok(16)])
}

/// Rows 11, 12, 13, 19: the inner layer.
fn inner(opened: &Opened, findings: &mut Findings<'_>) -> Result<()> {
    let text = opened.inner_text()?;
    findings.row(
        11,
        text.starts_with("create2-formats 2\nflow-control 1-2 31\nintroduction-point "),
        "another inner header",
    );
    findings.row(11, text.ends_with("-----END ED25519 CERT-----\n"), "no line end after the inner layer");
    let mut identities = BTreeSet::new();
    for point in opened.points()? {
        let order = ["introduction-point", "onion-key", "auth-key", "enc-key", "enc-key-cert"];
        findings.row(
            13,
            keywords(point) == order,
            "the lines of a point are not C tor's, or not in its order",
        );
        for keyword in ["onion-key", "enc-key"] {
            let key = value(point, keyword)?.strip_prefix("ntor ").context("no ntor key")?;
            findings.row(
                13,
                key.len() == 44 && BASE64.decode(key.as_bytes()).is_ok(),
                "a key is not padded base64",
            );
        }
        certificates(opened, point, findings)?;
        let specifiers = BASE64.decode(value(point, "introduction-point")?.as_bytes())?;
        findings.row(13, specifier_types(&specifiers) == [0, 2, 3], "the link specifiers are not 00, 02, 03");
        findings.row(19, identities.insert(specifiers), "two points on one relay");
    }
    Ok(())
}

/// Row 12: both certificates of a point end one hour before the type-08 one; row 13: no sign bit in the enc-key's.
fn certificates(opened: &Opened, point: &str, findings: &mut Findings<'_>) -> Result<()> {
    for (kind, keyword) in [(CertType::IntroAuth, "auth-key"), (CertType::IntroEnc, "enc-key-cert")] {
        let octets = object(point, keyword)?;
        let cert = UncheckedCert::parse(kind, &octets)?.check_signature()?.dangerously_assume_timely();
        findings.row(
            12,
            cert.expires().0 + 1 == opened.expires,
            &format!("the certificate {keyword} ends at another time"),
        );
        findings.row(
            12,
            cert.signer() == &opened.signing_key,
            &format!("the certificate {keyword} has another signer"),
        );
        findings.row(12, octets.len() == 140, &format!("the certificate {keyword} has not 140 octets"));
        let sign_bit = cert.certified()[31] & 0x80 != 0;
        findings.row(
            13,
            !(sign_bit && kind == CertType::IntroEnc),
            "the enc-key's certificate has the sign bit set",
        );
    }
    Ok(())
}

/// Types of the link specifiers, in their order.
fn specifier_types(octets: &[u8]) -> Vec<u8> {
    let (mut types, mut at) = (Vec::new(), 1);
    while let [kind, length, ..] = octets[at.min(octets.len())..] {
        types.push(kind);
        at += 2 + usize::from(length);
    }
    types
}

/// Rows that need both: lengths, size class and shape are the same.
pub fn pair(ordinary: &Subject, frontend: &Subject) -> Result<Vec<String>> {
    let mut findings = Findings::new("frontend beside C tor");
    let (theirs, ours) = (ordinary.any(), frontend.any());
    let length = |opened: &Opened| opened.outer.len() - opened.revision.to_string().len();
    findings.row(
        1,
        length(theirs) == length(ours),
        &format!("{} octets beside {}", ours.outer.len(), theirs.outer.len()),
    );
    findings.row(2, ours.points()?.len() == theirs.points()?.len(), "another number of points");
    findings.row(13, ours.inner.len() == theirs.inner.len(), "another inner length");
    findings.row(7, shape(&ours.outer) == shape(&theirs.outer), "another shape of the outer layer");
    findings.row(
        9,
        shape(ours.middle_text()?) == shape(theirs.middle_text()?),
        "another shape of the middle layer",
    );
    findings.row(
        13,
        shape(ours.inner_text()?) == shape(theirs.inner_text()?),
        "another shape of the inner layer",
    );
    let digits = |opened: &Opened| opened.revision.to_string().len();
    findings.row(6, digits(ours).abs_diff(digits(theirs)) <= 1, "a revision counter of another size");
    Ok(findings.found)
}

/// Rows that need two uploads of one service in one period.
pub fn over_time(first: &Subject, second: &Subject) -> Result<Vec<String>> {
    let mut findings = Findings::new("frontend over time");
    let (old, new) = (first.any(), second.any());
    findings.row(4, old.signing_key == new.signing_key, "a new descriptor-signing key");
    findings.row(10, header(old)? == header(new)?, "another middle header");
    findings.row(5, old.middle_salt != new.middle_salt, "the same salt again");
    let relays = |opened: &Opened| -> Result<Vec<String>> {
        opened.points()?.iter().map(|point| Ok(value(point, "introduction-point")?.to_owned())).collect()
    };
    let (before, after) = (relays(old)?, relays(new)?);
    let kept = |from: &[String], other: &[String]| {
        from.iter().filter(|r| other.contains(r)).cloned().collect::<Vec<_>>()
    };
    findings.row(15, kept(&before, &after) == kept(&after, &before), "the points changed their order");
    Ok(findings.found)
}

/// Row 22, as the publisher plans it: each descriptor on its own clock, 60 to 120 minutes after the upload before. From the statuses after
/// two starts: once in 3,601 starts both clocks show the same.
pub fn intervals(before: &Value, after: &Value) -> Result<Vec<String>> {
    let mut findings = Findings::new("frontend's plan");
    let (earlier, waits) = (planned(before)?, planned(after)?);
    findings.row(22, waits.len() == 2, "there are not two descriptors");
    // The upload is noted when it is sent, some seconds after it was planned.
    findings.row(
        22,
        waits.iter().all(|wait| (HOUR.as_secs() - 60..=2 * HOUR.as_secs()).contains(wait)),
        "not in 60 to 120 minutes",
    );
    let together = |waits: &[u64]| waits.first() == waits.last();
    findings.row(22, !together(&earlier) || !together(&waits), "both descriptors at the same time");
    Ok(findings.found)
}

/// The **seconds** from the last upload of each descriptor to its next one.
fn planned(status: &Value) -> Result<Vec<u64>> {
    let descriptors =
        status["services"][0]["descriptors"].as_array().context("no descriptors in the status")?;
    let wait = |descriptor: &Value| {
        let time = |key: &str| descriptor[key].as_u64().with_context(|| format!("no {key} in the status"));
        Ok(time("next_upload")? - time("uploaded")?)
    };
    descriptors.iter().map(wait).collect()
}

/// The middle layer before its message.
fn header(opened: &Opened) -> Result<String> {
    let text = opened.middle_text()?;
    Ok(text.split_once("\nencrypted\n").context("no message")?.0.to_owned())
}

/// Keywords of a document, objects left out.
fn keywords(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        inside |= line.starts_with("-----BEGIN ");
        if !inside {
            found.push(line.split(' ').next().unwrap_or_default());
        }
        inside &= !line.starts_with("-----END ");
    }
    found
}

/// A document with every value replaced by the lengths of its words; numbers by nothing, for they may differ in length.
fn shape(text: &str) -> Vec<String> {
    let shape_of = |line: &str| {
        let words: Vec<_> = line.split(' ').skip(1).map(|word| word.len().to_string()).collect();
        if line.starts_with("-----") || !line.contains(' ') {
            format!("{} characters", line.len())
        } else if line.starts_with("revision-counter ") {
            "revision-counter".to_owned()
        } else {
            format!("{} {}", line.split(' ').next().unwrap_or_default(), words.join(" "))
        }
    };
    text.lines().map(shape_of).collect()
}
