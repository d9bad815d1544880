//! Twenty-four small backends behind one address in distinct mode: each HSDir has other points, clients reach every backend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::descriptor::auth_keys;
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Client, Crowd};
use serde_json::Value;

/// Tor processes.
const TORS: usize = 3;
/// Backends in each of them.
const EACH: usize = 8;
/// Points in each descriptor: the network has 12 relays, and none is listed twice. 6 times 8 places are 2 for each backend.
const POINTS: u8 = 8;
/// Until all is published.
const LIMIT: Duration = Duration::from_secs(90);
/// Clients that visit side by side.
const CLIENTS: usize = 4;
/// For so long they may visit.
const VISITS: Duration = Duration::from_secs(150);
/// So many visits are made at least: five of each backend in the mean.
const LEAST: usize = 120;

/// Puts the crowd behind the frontend, looks at the descriptors and visits.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let (network, address) = (&stage.network, stage.address.clone());
    let mut crowds = thread::scope(|scope| {
        let start = |name: &'static str| {
            scope.spawn(|| Crowd::start(network, name, EACH, std::slice::from_ref(&address)))
        };
        let tasks: Vec<_> = ["x", "y", "z"].into_iter().take(TORS).map(start).collect();
        tasks
            .into_iter()
            .map(|task| task.join().expect("the task does not panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    crowds.iter_mut().try_for_each(|crowd| crowd.wait_published(LIMIT))?;
    let backends: Vec<_> = crowds.iter().flat_map(|crowd| crowd.members().to_vec()).collect();
    let names: Vec<_> = backends.iter().map(|(name, _address)| name.clone()).collect();
    stage.report.reached(&format!("{} backends have published", names.len()));
    let service = Service {
        mode: Some("distinct"),
        max_points: Some(POINTS),
        probe_interval: None,
        backends,
        ..stage.service()
    };
    stage.publisher.stop()?;
    stage.publisher.serve(vec![service])?;
    stage.publisher.start()?;
    stage.publisher.wait_status("every HSDir to have every backend's share", LIMIT, all_there)?;
    look(stage)?;
    visit(stage, &names)?;
    let usual = stage.service();
    stage.publisher.stop()?;
    stage.publisher.serve(vec![usual])?;
    stage.publisher.start()
}

/// All backends are listed, each with its share, and the fetched descriptor is stored everywhere.
fn all_there(status: &Value) -> Result<()> {
    let service = &status["services"][0];
    let backends = service["backends"].as_array().context("no backends")?;
    let shares: Vec<_> = backends.iter().filter_map(|backend| backend["share"].as_u64()).collect();
    ensure!(shares.len() == TORS * EACH, "{} backends", shares.len());
    // A 24th is 41,666 millionths.
    ensure!(shares.iter().all(|share| (41_000..42_000).contains(share)), "shares: {shares:?}");
    let descriptors = service["descriptors"].as_array().context("no descriptors")?;
    let fetched = descriptors.iter().find(|one| one["fetched_now"] == true).context("none is fetched")?;
    let stored = fetched["hsdirs"].as_array().context("no HSDirs")?.iter();
    let stored = stored.filter(|hsdir| hsdir["stored_revision"] == fetched["revision"]).count();
    ensure!(stored == HSDIRS, "{stored} HSDirs have the last upload");
    // What was uploaded is what is to be listed: no change is on its way.
    let listed: u64 = backends.iter().filter_map(|backend| backend["listed"].as_u64()).sum();
    ensure!(fetched["points"] == listed, "{listed} points are to be listed, {} are", fetched["points"]);
    Ok(())
}

/// Each HSDir has its own set, under one counter.
fn look(stage: &mut Stage) -> Result<()> {
    let address = stage.address.clone();
    let held = stage.look_at(&address)?;
    let counters: BTreeSet<_> = held.values().map(|opened| opened.revision).collect();
    let sets = held.values().map(auth_keys).collect::<Result<BTreeSet<_>>>()?;
    ensure!(held.len() == HSDIRS && counters.len() == 1, "{} copies, counters {counters:?}", held.len());
    ensure!(sets.len() == 6, "{} different sets", sets.len());
    ensure!(sets.iter().all(|set| set.len() == usize::from(POINTS)), "sets of other sizes");
    stage.report.reached("8 HSDirs hold 6 different descriptors of one counter");
    Ok(())
}

/// Visits by clients that forget everything every ten seconds, until all backends have answered often enough.
fn visit(stage: &mut Stage, names: &[String]) -> Result<()> {
    let (network, address) = (&stage.network, stage.address.as_str());
    let answers = Mutex::new(BTreeMap::<String, usize>::new());
    let answers_now = || answers.lock().unwrap_or_else(PoisonError::into_inner);
    let visit_for_long = |number: usize| -> Result<usize> {
        let mut client = Client::start(network, &format!("fresh{number}"))?;
        let (start, mut failed) = (Instant::now(), 0);
        while start.elapsed() < VISITS && {
            let answers = answers_now();
            answers.len() < names.len() || answers.values().sum::<usize>() < LEAST
        } {
            match client.get(address, Duration::from_secs(20)) {
                Ok(answer) => *answers_now().entry(answer.from).or_insert(0) += 1,
                Err(_) => failed += 1,
            }
            if client.until_forget().is_zero() {
                client.forget()?;
            }
        }
        Ok(failed)
    };
    let failed = thread::scope(|scope| {
        let visit = &visit_for_long;
        let tasks: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || visit(number))).collect();
        let ends = tasks.into_iter().map(|task| task.join().expect("the task does not panic"));
        ends.sum::<Result<usize>>()
    })?;
    let answers = answers_now().clone();
    let all: usize = answers.values().sum();
    let missing: Vec<_> = names.iter().filter(|name| !answers.contains_key(*name)).collect();
    stage.report.reached(&format!("{all} visits, {failed} failed: {answers:?}"));
    ensure!(all >= LEAST, "only {all} visits, {failed} failed");
    ensure!(missing.is_empty(), "of {all} visits none reached {missing:?}");
    // Nobody has six times its share. Visits of one client within 10 s use one descriptor, so they are no throws of a die each: four times
    // would come now and then.
    let most = answers.values().max().copied().unwrap_or_default();
    ensure!(most * names.len() < 6 * all, "one backend got {most} of {all} visits: {answers:?}");
    Ok(())
}
