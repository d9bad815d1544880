//! The rows that need several copies: those of one upload beside each other, and those of two looks after each other.

use super::copy::{blur, items, uploaded};
use super::sheet::Sheet;
use super::{Look, Network};
use crate::descriptor::Layers;
use std::collections::BTreeSet;

/// The shortest time between two uploads without a reason, in **seconds**.
///
/// Spec: C tor, `HS_SERVICE_NEXT_UPLOAD_TIME_MIN`.
const INTERVAL: u64 = 3600;

/// Rows 5, 7, 18, 24: the copies of one look.
pub(super) fn together(look: &Look, sheet: &mut Sheet) {
    for (hsdir, problem) in &look.unreadable {
        sheet.row(7, false, format!("clients cannot use the copy of {hsdir}: {problem}"));
    }
    if !look.copies.is_empty() {
        let count = look.without.len();
        sheet.row(24, count == 0, format!("{count} responsible HSDirs have no copy"));
    }
    let copies: Vec<_> = look.newest().collect();
    let [first, rest @ ..] = &copies[..] else { return };
    if rest.is_empty() {
        return;
    }
    for layer in [0, 1] {
        let salts: BTreeSet<_> = copies.iter().filter_map(|copy| copy.salts.get(layer)).collect();
        sheet.row(5, salts.len() == copies.len(), "HSDirs have copies with one salt");
    }
    for copy in rest {
        sheet.row(5, header(copy) == header(first), "HSDirs have different middle headers");
        sheet.row(5, copy.cert_expires == first.cert_expires, "HSDirs have different certificates");
        sheet.row(5, copy.signing_key == first.signing_key, "HSDirs have different signing keys");
        if let (Some(one), Some(other)) = (&copy.inner, &first.inner) {
            sheet.row(18, one == other, "HSDirs have different introduction points");
        }
    }
}

/// Rows 4, 10, 15, 17, 22: one descriptor at two times. Nothing is seen if there was no upload in between.
pub(super) fn over_time(network: &Network, first: &Look, second: &Look, sheet: &mut Sheet) {
    let (Some(old), Some(new)) = (first.newest().next(), second.newest().next()) else { return };
    if old.revision >= new.revision {
        return;
    }
    sheet.row(4, old.signing_key == new.signing_key, "the signing key has changed");
    sheet.row(10, header(old) == header(new), "the middle header has changed");
    let (Some(before), Some(after)) = (points(old), points(new)) else { return };
    let kept = |from: &[String], other: &[String]| -> Vec<String> {
        from.iter().filter(|point| other.contains(point)).cloned().collect()
    };
    let same = kept(&before, &after);
    sheet.row(15, same == kept(&after, &before), "the points that stayed have changed their order");
    let gone = before.len().saturating_sub(same.len());
    sheet.row(17, gone <= 1, format!("{gone} of {} points were replaced at once", before.len()));
    let gap = uploaded(network, new.revision).since(uploaded(network, old.revision));
    let changed = before != after;
    sheet.row(
        22,
        changed || gap.saturating_add(blur(network, new.revision)) >= INTERVAL,
        format!("uploaded again after {} minutes without a change", gap / 60),
    );
}

/// The middle layer before its message.
fn header(layers: &Layers) -> &str {
    layers.middle_text().split("\nencrypted\n").next().unwrap_or_default()
}

/// The points' authentication keys do not show their relay; the enc-key is as good a name.
fn points(layers: &Layers) -> Option<Vec<String>> {
    let items = items(layers.inner_text()?);
    Some(items.iter().filter(|item| item.keyword == "enc-key").map(|item| item.rest.to_owned()).collect())
}
