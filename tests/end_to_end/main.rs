//! The stories, each told against a real private Tor network, and the only place where their order is set.
//!
//! Stories of one group share a network, a token and our two programs, and follow each other; the groups run side by
//! side with `--test-threads 2`. A story that fails leaves its directory with all logs, and the next one of its group
//! starts afresh.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test: a panic is a failed test"
)]

mod backend;
mod bundles;
mod choosy;
mod clients;
mod day;
mod distinct;
mod group;
mod import;
mod late;
mod look;
mod publisher;
mod reach;
mod reload;
mod rotation;
mod signer;
mod strangers;
mod takeover;
mod tor_restart;
mod twins;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use onionkeep_tests::Report;
use onionkeep_tests::tornet::Pace;

use group::Group;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let report = Report::plain();
    let short = Group::new("short", Pace::Short(10), 3, &report);
    let day = Group::new("day", Pace::Day, 3, &report);
    let crowd = Group::new("crowd", Pace::Day, 1, &report);
    let stories = vec![
        Trial::test("look_can_tell", || look::rows_can_tell().map_err(|error| format!("{error:#}").into())),
        Trial::test("bundles_can_tell", || {
            bundles::sightings_can_tell().map_err(|error| format!("{error:#}").into())
        }),
        Trial::test("takeover_can_tell", || {
            takeover::verdicts_can_tell().map_err(|error| format!("{error:#}").into())
        }),
        short.story("reach", reach::tell),
        day.story("day", day::tell),
        short.story("rotation", rotation::tell),
        day.story("look", look::tell),
        day.story("backend", backend::tell),
        day.story("publisher", publisher::tell),
        day.story("reload", reload::tell),
        day.story("signer", signer::tell),
        day.story("tor_restart", tor_restart::tell),
        day.story("import", import::tell),
        // Issue 5: it shows what C tor does, not what our programs do; for who doubts the operators' page (decision 0068).
        day.story("late", late::tell).with_ignored_flag(true),
        day.story("clients", clients::tell),
        day.story("choosy", choosy::tell),
        // The stories of one group wait for each other: this one comes when `rotation` is about to end.
        short.story("bundles", bundles::tell),
        // Issue 4: the full form takes a quarter of an hour, `tests/run bundles` asks for it; `bundles` is its short form.
        short.story("bundles_in_full", bundles::tell_in_full).with_ignored_flag(true),
        day.story("takeover", takeover::tell),
        day.story("twins", twins::tell),
        crowd.story("distinct", distinct::tell),
    ];
    let conclusion = libtest_mimic::run(&arguments, stories);
    short.finish();
    day.finish();
    crowd.finish();
    conclusion.exit_code()
}
