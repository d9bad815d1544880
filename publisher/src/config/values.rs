//! Values of the configuration that are more than a word or a number: the network's clockwork, the mode, where metrics are given out.

use super::MetricsConfig;
use super::paths::{self, Place};
use crate::descriptor::MAX_INTRO_POINTS;
use crate::merge::{Mode, Rotate};
use crate::metrics::MetricsAddr;
use onionkeep_common::config::Section;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::{Minutes, PeriodLength, PeriodRule};
use std::ops::RangeInclusive;

/// How many points are listed in ordinary mode without `intro_points`: what a C tor service has by default.
///
/// Spec: C tor, `NUM_INTRO_POINTS_DEFAULT`.
const ORDINARY_POINTS: u64 = 3;
/// Most points in ordinary mode: more make the descriptor longer than most services' are.
pub(super) const ORDINARY_MOST: u64 = 8;
/// A key of the first release that `mode` and `intro_points` replace.
pub(super) const OLD_POINTS: &str = "max_intro_points";
/// Keys of `[metrics]`.
const METRICS: &[&str] = &["listen", "full_addresses"];

/// Keys of `[period]`.
const PERIOD: &[&str] = &["length_minutes", "offset_minutes", "run_seconds"];
/// Longest shared random run in **seconds**.
const RUN_MOST: u64 = 31 * 86_400;

/// Reads `[period]`; the public network's without it.
pub(super) fn clockwork(top: &Section<'_, '_>) -> Option<Clockwork> {
    let public = Clockwork::PUBLIC;
    let Some(section) = top.section("period", PERIOD) else { return Some(public) };
    let longest = u64::from(PeriodLength::MAX.minutes());
    let minutes = |key: &str, range| section.number(key, range).and_then(|number| u32::try_from(number).ok());
    let length = minutes("length_minutes", 1..=longest).and_then(PeriodLength::new);
    let offset = minutes("offset_minutes", 0..=longest).map(Minutes);
    let run = section.number("run_seconds", 1..=RUN_MOST);
    let rule = PeriodRule {
        length: length.unwrap_or(public.rule.length),
        offset: offset.unwrap_or(public.rule.offset),
    };
    Some(Clockwork { rule, run: run.unwrap_or(public.run) })
}

/// Reads `mode`, `intro_points` and `rotate`.
pub(super) fn mode(section: &Section<'_, '_>) -> Option<Mode> {
    if section.has(OLD_POINTS) {
        section.report(
            OLD_POINTS,
            "max_intro_points: replaced by mode and intro_points; for up to 20 points write mode = \"wide\"",
        );
    }
    let most = u64::try_from(MAX_INTRO_POINTS).unwrap_or_default();
    let points = |range: RangeInclusive<u64>, usual: u64| {
        let points = section.number("intro_points", range).unwrap_or(usual);
        usize::try_from(points).unwrap_or(MAX_INTRO_POINTS)
    };
    match section.text("mode") {
        None | Some("ordinary") => {
            let points = points(ORDINARY_POINTS..=ORDINARY_MOST, ORDINARY_POINTS);
            Some(Mode::Ordinary { points, rotate: rotate(section)? })
        }
        Some(word @ ("wide" | "distinct")) => {
            if section.has("rotate") {
                section.report(
                    "rotate",
                    format!("rotate: only for mode = \"ordinary\"; {word} evens out over an hour"),
                );
            }
            let points = points(1..=most, most);
            Some(if word == "wide" { Mode::Wide { points } } else { Mode::Distinct { points } })
        }
        Some(_other) => {
            section.report("mode", "mode: wanted is \"ordinary\", \"wide\" or \"distinct\"");
            None
        }
    }
}

/// Reads `rotate`.
fn rotate(section: &Section<'_, '_>) -> Option<Rotate> {
    match section.text("rotate") {
        None | Some("daily") => Some(Rotate::Daily),
        Some("hourly") => Some(Rotate::Hourly),
        Some(_other) => {
            section.report("rotate", "rotate: wanted is \"daily\" or \"hourly\"");
            None
        }
    }
}

/// Reads `[metrics]`; `None` if it is there and wrong. `others`: our other sockets.
pub(super) fn metrics(top: &Section<'_, '_>, others: &[Option<Place<'_>>]) -> Option<Option<MetricsConfig>> {
    if !top.has("metrics") {
        return Some(None);
    }
    let section = top.section("metrics", METRICS)?;
    let listen = section.required_parsed("listen");
    if let Some(MetricsAddr::Unix(path)) = &listen {
        paths::check_socket(&section, "listen", path);
        paths::check_apart(&section, Some(("listen", path)), others);
    }
    let full_addresses = section.truth("full_addresses").unwrap_or(false);
    Some(Some(MetricsConfig { listen: listen?, full_addresses }))
}

/// Reads `pow`.
pub(super) fn ignore_pow(section: &Section<'_, '_>) -> bool {
    match section.text("pow") {
        None | Some("refuse") => false,
        Some("ignore") => true,
        Some(_other) => {
            section.report("pow", "pow: wanted is \"refuse\" or \"ignore\"");
            false
        }
    }
}
