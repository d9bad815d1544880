//! Values of the configuration that several sections or other programs have too: absolute paths, and the network's clockwork.

use onionkeep_common::config::Section;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::{Minutes, PeriodLength, PeriodRule};
use std::path::PathBuf;

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

/// An absolute path.
pub(super) fn absolute(section: &Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(section.required_text(key)?);
    if !path.is_absolute() {
        section.report(key, format!("{key}: wanted is an absolute path, it starts with /"));
    }
    Some(path)
}
