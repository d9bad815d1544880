//! A backend that dies leaves the descriptor, and comes back when it is restarted; clients carry on. One that restarts between two probes is soon
//! listed with its new points. One whose web service fails behind a tor that is well leaves too, once the publisher asks for a page.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{PROBE_INTERVAL, Stage};
use onionkeep_tests::tornet::Client;
use onionkeep_tests::wait::{self, Seen};

/// Until the descriptor has lost or regained a backend: some probes or fetches, and the uploads.
const LIMIT: Duration = Duration::from_secs(150);
/// Until the new points of a backend that restarted are listed: a probe that finds the old ones dead, and the uploads. The next fetch
/// without a reason may be 15 minutes away.
const RESTART_LIMIT: Duration = Duration::from_secs(100);
/// Longest time for one visit.
const VISIT_LIMIT: Duration = Duration::from_secs(40);
/// Visits that must have been answered since the backend died. A client that knows the old descriptor may need most of a
/// minute for one of them: its tor asks the dead points first.
const VISITS: usize = 3;

/// Kills the last backend and restarts it.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let last = stage.backends.len() - 1;
    let name = stage.backends[last].name().to_owned();
    ensure!(stage.points_of(last)? > 0, "{name} is not in the descriptor to begin with");
    let before = alarm_lines(stage, &name);
    let left = lose(stage, last)?;
    stage
        .report
        .reached(&format!("{name} left the descriptor {:.1} s after its tor was killed", left.as_secs_f64()));

    wait_alarm(stage, &name, true)?;

    let start = Instant::now();
    stage.backends[last].restart()?;
    stage.backends[last].wait_published(Duration::from_secs(60))?;
    wait_points(stage, last, "back in the descriptor", |points| points > 0)?;
    stage.report.reached(&format!(
        "{name} came back {:.1} s after its tor was started",
        start.elapsed().as_secs_f64()
    ));
    stage.client.forget()?;
    let names = stage.backend_names();
    stage.visit_until_all(&names, names.len(), Duration::from_secs(60)).context("after it came back")?;
    wait_alarm(stage, &name, false)?;
    let after = alarm_lines(stage, &name);
    ensure!(after == (before.0 + 1, before.1 + 1), "alarms raised and cleared: {before:?}, then {after:?}");
    stage.report.reached("one alarm was raised and cleared, in log, status and metrics");
    restart_between_probes(stage, last)?;
    fail_behind_a_good_tor(stage)
}

/// A backend's tor is killed and started at once: no probe need fail, but the points that are listed are dead.
fn restart_between_probes(stage: &mut Stage, index: usize) -> Result<()> {
    let start = Instant::now();
    stage.backends[index].kill()?;
    stage.backends[index].restart()?;
    stage.backends[index].wait_published(Duration::from_secs(60))?;
    let published = start.elapsed();
    wait_points_within(RESTART_LIMIT, stage, index, "listed with its new points", |points| points > 0)?;
    stage.report.reached(&format!(
        "{}, restarted at once, published after {:.1} s and was listed with its new points after {:.1} s",
        stage.backends[index].name(),
        published.as_secs_f64(),
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// The first backend's web service answers 500 for a while.
fn fail_behind_a_good_tor(stage: &mut Stage) -> Result<()> {
    let (name, start) = (stage.backends[0].name().to_owned(), Instant::now());
    let usual = stage.publisher.config_text();
    let asking = usual.replace(
        &format!("probe_port = 80\nprobe_interval_seconds = {PROBE_INTERVAL}\n"),
        "probe_port = 80\nprobe_interval_seconds = 2\nprobe_http = \"/\"\n",
    );
    ensure!(asking != usual, "the configuration has no probes");
    reload(stage, asking)?;
    stage.backends[0].set_web_ill(true);
    wait_points(stage, 0, "out of the descriptor", |points| points == 0)?;
    stage.publisher.wait_status("the reason to be told", LIMIT, |status| {
        let backends = status["services"][0]["backends"].as_array().context("no backends")?;
        let own = backends.iter().find(|backend| backend["name"] == *name).context("not there")?;
        let problem = own["problem"].as_str().unwrap_or_default();
        ensure!(own["state"] == "down" && problem.contains("answered 500 at /"), "{own}");
        Ok(())
    })?;
    stage.backends[0].set_web_ill(false);
    wait_points(stage, 0, "back in the descriptor", |points| points > 0)?;
    let took = start.elapsed().as_secs_f64();
    // The next story counts uploads: none of this one may be under way.
    let address = stage.address.clone();
    crate::look::collect(stage, &address)?;
    stage
        .report
        .reached(&format!("{name}, whose web service answered 500, left and came back within {took:.1} s"));
    reload(stage, usual)
}

/// Makes the publisher read this configuration.
fn reload(stage: &Stage, text: String) -> Result<()> {
    files::write(&stage.publisher.config(), text, User::Publisher, 0o644)?;
    stage.publisher.run(&["reload"])?.answer().map(drop)
}

/// Waits until the alarm about a backend that does not answer is raised, or not any more: in status and metrics.
fn wait_alarm(stage: &mut Stage, name: &str, raised: bool) -> Result<()> {
    let end = stage.address.trim_end_matches(".onion");
    let end = end.get(end.len().saturating_sub(8)..).context("an address")?;
    let sample = format!("onionkeep_alarms{{alarm=\"backend-down\",service=\"{end}\"}}");
    let what = format!("the alarm about {name} to be {}", if raised { "raised" } else { "cleared" });
    stage.publisher.wait_status(&what, LIMIT, |status| {
        let alarms = status["alarms"].as_array().context("no alarms in the status")?;
        let about = |alarm: &&serde_json::Value| alarm["name"] == "backend-down" && alarm["subject"] == name;
        ensure!(alarms.iter().any(|alarm| about(&alarm)) == raised, "{alarms:?}");
        Ok(())
    })?;
    let count = stage.publisher.metric(&sample)?;
    ensure!((count > 0.0) == raised, "{sample} is {count}");
    Ok(())
}

/// How often the log says that the alarm about a backend was raised and cleared.
fn alarm_lines(stage: &Stage, name: &str) -> (usize, usize) {
    let log = stage.publisher.log();
    let count = |state: &str| {
        let (start, end) = (format!(" alarm name=backend-down state={state} "), format!(" subject={name} "));
        log.lines().filter(|line| line.contains(&start) && line.contains(&end)).count()
    };
    (count("raised"), count("cleared"))
}

/// Kills a backend while somebody visits all the time; returns how long it stayed in the descriptor.
fn lose(stage: &mut Stage, index: usize) -> Result<Duration> {
    let (over, good) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = stage.address.clone();
    let mut client = Client::start(&stage.network, "regular")?;
    client.get_patiently(&address, Duration::from_secs(60))?;
    thread::scope(|scope| {
        stage.backends[index].kill()?;
        let start = Instant::now();
        let visits = scope.spawn(|| visit_all_the_time(&client, &address, &good, &over));
        let gone = wait_points(stage, index, "out of the descriptor", |points| points == 0);
        let took = start.elapsed();
        let carried_on = wait::until("visits that are answered", LIMIT, || {
            let answered = good.load(Ordering::Relaxed);
            Ok(if answered >= VISITS { Seen::Ready(()) } else { Seen::NotYet(format!("{answered} were")) })
        });
        over.store(true, Ordering::Relaxed);
        let bad = visits.join().expect("the visitor does not panic");
        let good = good.load(Ordering::Relaxed);
        stage.report.reached(&format!("meanwhile {good} visits answered, {} not: {bad:?}", bad.len()));
        gone?;
        carried_on?;
        ensure!(bad.len() <= 1, "clients did not carry on: {bad:?}");
        Ok(took)
    })
}

/// Counts answers, and collects failures that a second try at once did not mend.
fn visit_all_the_time(client: &Client, address: &str, good: &AtomicUsize, over: &AtomicBool) -> Vec<String> {
    let mut bad = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match client.get(address, VISIT_LIMIT).or_else(|_| client.get(address, VISIT_LIMIT)) {
            Ok(_) => drop(good.fetch_add(1, Ordering::Relaxed)),
            Err(error) => bad.push(format!("{error:#}")),
        }
    }
    bad
}

/// Waits until the number of this backend's points in the frontend's descriptor is as wanted.
pub(crate) fn wait_points(
    stage: &mut Stage,
    index: usize,
    what: &str,
    wanted: fn(usize) -> bool,
) -> Result<()> {
    wait_points_within(LIMIT, stage, index, what, wanted)
}

/// The same within so much time.
fn wait_points_within(
    limit: Duration,
    stage: &mut Stage,
    index: usize,
    what: &str,
    wanted: fn(usize) -> bool,
) -> Result<()> {
    let what = format!("{} to be {what}", stage.backends[index].name());
    wait::until(&what, limit, || {
        let points = stage.points_of(index)?;
        Ok(if wanted(points) {
            Seen::Ready(())
        } else {
            Seen::NotYet(format!("{points} points of it are listed"))
        })
    })
}
