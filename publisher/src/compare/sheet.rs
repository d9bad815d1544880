//! The rows with their names, and what was found for each; the only place that lists them.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A row, what it looks at, and why it may not be seen.
type Row = (u8, &'static str, &'static str);

/// Needs a second look.
const TIME: &str = "look again with --again SECONDS";
/// Needs the inner layer.
const CLIENT: &str = "only clients with a key can read the introduction points";
/// Needs somebody at an HSDir.
const HSDIR: &str = "only HSDirs see the times of uploads";
/// Needs a backend's address.
const BACKEND: &str = "only somebody who knows a backend's address sees it";

/// All rows.
const ROWS: [Row; 35] = [
    (1, "length", "no copy could be read"),
    (2, "number of blocks", "no copy could be read"),
    (3, "end of the signing key's certificate", "no copy could be read"),
    (4, "signing key stays", TIME),
    (5, "copies of one upload", "fewer than two copies could be read"),
    (6, "revision counter", "no copy could be read"),
    (7, "outer lines", "no copy could be read"),
    (8, "end of the middle layer", "no copy could be read"),
    (9, "auth-client lines", "no copy could be read"),
    (10, "middle header stays", TIME),
    (11, "inner header", CLIENT),
    (12, "ends of the points' certificates", CLIENT),
    (13, "form of the points", CLIENT),
    (14, "number of points", CLIENT),
    (15, "order of points stays", TIME),
    (16, "two descriptors share no points", "clients are given only one of the two at a time"),
    (17, "points stay", TIME),
    (18, "one set of points", "fewer than two copies could be read"),
    (19, "no relay twice", CLIENT),
    (20, "choice of relays", "it is the backends' own, by C tor's rule"),
    (21, "no proof of work", CLIENT),
    (22, "time between uploads", TIME),
    (23, "extra uploads", HSDIR),
    (24, "set of HSDirs", "no HSDir answered"),
    (25, "requests and circuits", HSDIR),
    (26, "uploads to others than the responsible HSDirs", HSDIR),
    (27, "refused uploads", HSDIR),
    (28, "pattern of a start", HSDIR),
    (29, "introduction circuits of the publishing tor", "only that tor's guard sees it"),
    (30, "points that are a backend's too", BACKEND),
    (31, "rhythm of fetches", "only HSDirs of a backend see it"),
    (32, "uploads that follow a backend's", "only HSDirs of both see it"),
    (33, "a backend's own address answers", BACKEND),
    (34, "a dead backend's points", "connect to the frontend to see it"),
    (35, "introduction in neighbouring periods", "it stays with unmodified C tor backends"),
];

/// What was found for a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As a C tor service has it.
    Same,
    /// Otherwise, and how.
    Differs(String),
    /// Not to be seen from here, and why.
    Unseen(&'static str),
}

/// One row and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its number.
    pub row: u8,
    /// What it looks at.
    pub feature: &'static str,
    /// What was found.
    pub outcome: Outcome,
}

/// A finding in the answer for machines.
#[derive(Serialize)]
struct Words<'a> {
    /// Its number.
    row: u8,
    /// What it looks at.
    feature: &'a str,
    /// `same`, `differs` or `unseen`.
    result: &'a str,
    /// How it differs, or why it cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (result, detail) = match &self.outcome {
            Outcome::Same => ("same", None),
            Outcome::Differs(how) => ("differs", Some(how.as_str())),
            Outcome::Unseen(why) => ("unseen", Some(*why)),
        };
        Words { row: self.row, feature: self.feature, result, detail }.serialize(serializer)
    }
}

impl Finding {
    /// Whether a C tor service would look otherwise.
    #[must_use]
    pub const fn differs(&self) -> bool {
        matches!(self.outcome, Outcome::Differs(_))
    }
}

/// What was found so far: the rows that were looked at, each with what differs.
#[derive(Debug, Default)]
pub(super) struct Sheet(BTreeMap<u8, BTreeSet<String>>);

impl Sheet {
    /// A row was looked at; `what` differs unless it is `good`.
    pub(super) fn row(&mut self, row: u8, good: bool, what: impl Into<String>) {
        let found = self.0.entry(row).or_default();
        if !good {
            found.insert(what.into());
        }
    }

    /// All rows in order.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let outcome = |row: u8, why: &'static str| match self.0.get(&row) {
            None => Outcome::Unseen(why),
            Some(found) if found.is_empty() => Outcome::Same,
            Some(found) => Outcome::Differs(found.iter().cloned().collect::<Vec<_>>().join("; ")),
        };
        ROWS.iter()
            .map(|(row, feature, why)| Finding { row: *row, feature, outcome: outcome(*row, why) })
            .collect()
    }
}
