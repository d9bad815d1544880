//! Two publishers of one address with different counter secrets: log, status and metrics say so, and no client notices.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::assurance::disk::can_mount;
use onionkeep_tests::clock_step::ClockStep;
use onionkeep_tests::daemon::Publisher;
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{HSDIRS, Stage, bare};
use onionkeep_tests::tornet::Client;
use onionkeep_tests::wait::{self, Seen};
use serde_json::Value;

use crate::takeover::{visit_while, wait_line};
use crate::twins::{copies, everywhere};

/// Until something has been published, found or logged.
const LIMIT: Duration = Duration::from_secs(90);
/// **Seconds** by which the clocks of both go on before a round: what a publisher sees must be half an hour apart to count.
const ROUND: i64 = 2100;
/// Rounds until a stranger is told.
const ROUNDS: i64 = 3;
/// By how many **seconds** the second one's clock is ahead, so that its counters are above the first one's whatever the secrets are.
const AHEAD: i64 = 2400;
/// How often an HSDir may refuse a publisher whose counters are below, before it takes an upload of both descriptors: once where it
/// can be asked for its counter, and three times, which are tried in a row, where it cannot.
const REFUSED: usize = 4;

/// Gives the second publisher a new state, which has another secret, and lets both upload in turn while hours pass for them.
///
/// The first is left with a clock that can be moved; it is to be started anew.
pub(crate) fn tell(
    stage: &mut Stage,
    address: &str,
    mut second: Publisher,
    client: &mut Client,
) -> Result<()> {
    if !can_mount() {
        stage.report.reached("different secrets are not told: no file system can be mounted here");
        return Ok(());
    }
    let run = stage.run.path().to_owned();
    let clock = ClockStep::install(&run.join("step"), &run.join("bin"))?;
    let place = second.dir().parent().context("no parent")?.to_owned();
    let second_clock = ClockStep::install(&place.join("step"), &place.join("bin"))?;
    second.kill()?;
    let state = second.dir().join("state");
    std::fs::remove_dir_all(&state)?;
    files::make_dir(&state, User::Publisher, 0o700)?;
    let second_from = second.log().len();
    second.start_under(second_clock.outer())?;
    wait::until("the second publisher to say that the address is in use", LIMIT, || {
        let said = second.log().get(second_from..).is_some_and(|new| new.contains(" address-in-use "));
        Ok(if said { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })?;
    second.wait_status("the uploads of the second publisher", LIMIT, everywhere)?;
    let from = stage.publisher.log().len();
    stage.publisher.kill()?;
    stage.publisher.start_under(clock.outer())?;
    stage.publisher.wait_status("the uploads of the first publisher", LIMIT, everywhere)?;
    client.get_patiently(address, LIMIT)?;
    let visits = visit_while(client, address, || {
        for round in 1..=ROUNDS {
            clock.set(ROUND * round)?;
            second_clock.set(ROUND * round + AHEAD)?;
            upload_in_turn(&mut stage.publisher, &mut second, address, round)?;
        }
        wait_line(stage, from, " publishers-differ ")?;
        wait_line(stage, from, " alarm name=publishers-differ state=raised ")
    })?;
    visits.check(stage, "while two publishers had different secrets")?;
    let first = stage.publisher.log();
    let logs = [first.get(from..), second.log().get(second_from..)].map(Option::unwrap_or_default).concat();
    let (refused, sent) = copies(&logs)?;
    stage.report.reached(&format!("{refused} of {sent} copies refused"));
    // None: nobody counts, since the first one's counters are below the second's.
    let most = REFUSED * HSDIRS * usize::try_from(ROUNDS + 1)?;
    ensure!((1..=most).contains(&refused), "{refused} of {sent} copies were refused: a war of uploads");
    let alarms = stage.publisher.status()?["alarms"].to_string();
    ensure!(alarms.contains("\"publishers-differ\""), "alarms in the status: {alarms}");
    let label: String = bare(address).chars().skip(48).collect();
    let sample = format!("onionkeep_alarms{{alarm=\"publishers-differ\",service=\"{label}\"}}");
    ensure!(stage.publisher.metric(&sample)? >= 1.0, "the metric says that there is no such alarm");
    clock.set(0)?;
    stage.publisher.kill()?;
    second.kill()
}

/// One round: both upload, and the first sees what the second uploaded.
fn upload_in_turn(first: &mut Publisher, second: &mut Publisher, address: &str, round: i64) -> Result<()> {
    upload(first, address, round).context("the first")?;
    upload(second, address, round).context("the second")?;
    // The points may go one by one: then the second uploads once more, and that may be what is seen.
    let uploaded = revision(&second.status()?)?;
    first.wait_status("the first publisher to see what the second uploaded", LIMIT, |status| {
        let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
        let seen: Vec<_> = descriptors.iter().filter_map(|one| one["other"]["revision"].as_u64()).collect();
        ensure!(seen.iter().any(|seen| *seen >= uploaded), "{seen:?} seen, not {uploaded}");
        Ok(())
    })
}

/// Drains a backend in an odd round and undoes it in an even one: the points change, and the publisher uploads.
fn upload(publisher: &mut Publisher, address: &str, round: i64) -> Result<()> {
    let before = revision(&publisher.status()?)?;
    let word = if round % 2 == 1 { "drain" } else { "undrain" };
    publisher.run(&["backend", word, bare(address), "w2"])?.answer()?;
    publisher.wait_status("an upload of other points", LIMIT, |status| {
        for hsdir in fetched(status)?["hsdirs"].as_array().context("no HSDirs")? {
            let stored = hsdir["stored_revision"].as_u64();
            ensure!(stored.is_some_and(|stored| stored > before), "an HSDir says: {}", hsdir["result"]);
        }
        Ok(())
    })
}

/// The counter of the descriptor that clients fetch now.
fn revision(status: &Value) -> Result<u64> {
    fetched(status)?["revision"].as_u64().context("no counter")
}

/// The descriptor that clients fetch now.
fn fetched(status: &Value) -> Result<&Value> {
    let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
    descriptors.iter().find(|one| one["fetched_now"] == true).context("none is fetched")
}
