//! A whole time period passes: both descriptors hand over, and a client that knows nothing can connect at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64_NOPAD;
use onionkeep_tests::stage::Stage;
use onionkeep_tests::tornet::{Answer, Client, Network};
use serde_json::Value;

/// Clients that take turns, because tor lets one forget everything every 10 s at most.
const CLIENTS: usize = 10;
/// Time between two visits.
const PACE: Duration = Duration::from_secs(1);
/// Longest time for one visit.
const VISIT_LIMIT: Duration = Duration::from_secs(30);
/// So many lines of a client's log are shown of a visit that failed.
const LAST_WORDS: usize = 40;

/// What the visitors saw.
#[derive(Default)]
struct Seen {
    /// How long each answered visit took.
    took: Vec<Duration>,
    /// When a visit failed, why, and how the second try at once went.
    failures: Vec<(Duration, String, Result<Duration, String>)>,
    /// What the client's tor told after a first try had failed.
    told: Vec<String>,
}

/// Visits once a second through a period and a minute more.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let (minutes, _) = stage.network.pace().test_period().context("this story needs short periods")?;
    // Clients take a new consensus some time after it is there, each time another one.
    let span = Duration::from_secs(minutes * 60 + 60);
    stage.report.waiting(&format!("{CLIENTS} clients that take turns for {} s", span.as_secs()));
    let clients = start_clients(&stage.network)?;
    let address = stage.address.clone();
    let (seen, keys) = thread::scope(|scope| {
        let tasks: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(turn, client)| {
                scope.spawn({
                    let address = &address;
                    move || visit_in_turn(client, address, turn, span)
                })
            })
            .collect();
        let keys = watch_keys(stage, span);
        let seen: Vec<_> = tasks.into_iter().map(|task| task.join().expect("no visitor panics")).collect();
        (seen, keys)
    });
    let keys = keys?;
    ensure!(keys >= 2, "{keys} blinded key in a whole period: no rotation took place");
    judge(stage, &seen.into_iter().collect::<Result<Vec<_>>>()?, keys)
}

/// Starts all of them side by side.
fn start_clients(network: &Network) -> Result<Vec<Client>> {
    thread::scope(|scope| {
        let start = |number| {
            scope.spawn(move || {
                Client::start_with(network, &format!("turn{number}"), "Log [rend]info stdout\n")
            })
        };
        let tasks: Vec<_> = (0..CLIENTS).map(start).collect();
        tasks.into_iter().map(|task| task.join().expect("the task does not panic")).collect()
    })
}

/// One client's visits: each [`CLIENTS`] seconds, everything forgotten before each.
fn visit_in_turn(mut client: Client, address: &str, turn: usize, span: Duration) -> Result<Seen> {
    let start = Instant::now();
    let mut seen = Seen::default();
    let mut next = PACE * u32::try_from(turn)?;
    while next < span {
        thread::sleep(next.saturating_sub(start.elapsed()));
        client.forget()?;
        match client.get(address, VISIT_LIMIT) {
            Ok(Answer { took, .. }) => seen.took.push(took),
            Err(error) => {
                let at = next.as_secs();
                seen.told.push(format!("client {turn}, {at} s: {error:#}\n{}", last_words(&mut client)));
                let again = client.get(address, VISIT_LIMIT).map(|answer| answer.took);
                seen.failures.push((next, format!("{error:#}"), again.map_err(|error| format!("{error:#}"))));
            }
        }
        next = (next + PACE * u32::try_from(CLIENTS)?).max(start.elapsed());
    }
    Ok(seen)
}

/// The end of what a client's tor says of onion services.
fn last_words(client: &mut Client) -> String {
    let log = std::fs::read_to_string(client.node().dir().join("stdout")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// Number of blinded keys under which the frontend's descriptor was found while the visits went on, each of which must
/// be one of the two that the publisher says it has; and one of them must have been handed over from second to first.
fn watch_keys(stage: &mut Stage, span: Duration) -> Result<usize> {
    let (start, mut keys, mut roles) =
        (Instant::now(), BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    let address = stage.address.clone();
    while start.elapsed() < span {
        for (blinded, role) in roles_now(stage)? {
            let known = roles.entry(blinded).or_default();
            if known.last() != Some(&role) {
                known.push(role);
            }
        }
        if let Ok(opened) = stage.newest(&address) {
            let blinded = BASE64_NOPAD.encode(&opened.blinded);
            ensure!(
                roles.contains_key(&blinded),
                "clients find a descriptor under {blinded}, the status has {roles:?}"
            );
            if keys.insert(blinded) {
                let (number, when) = (keys.len(), start.elapsed().as_secs());
                stage.report.reached(&format!("blinded key number {number} after {when} s"));
            }
        }
        thread::sleep(PACE * 5);
    }
    let handed_over = roles.values().filter(|roles| **roles == ["second", "first"]).count();
    ensure!(handed_over > 0, "no descriptor was handed over from second to first: {roles:?}");
    Ok(keys.len())
}

/// Blinded key and role of both descriptors, as the publisher's status has them.
fn roles_now(stage: &Stage) -> Result<Vec<(String, String)>> {
    let status = stage.publisher.status()?;
    let descriptors =
        status["services"][0]["descriptors"].as_array().context("no descriptors in the status")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text in the status");
    descriptors.iter().map(|one| Ok((text(&one["blinded"])?, text(&one["role"])?))).collect()
}

/// Every visit must have been answered, at the first try or, where a circuit broke, at the second.
fn judge(stage: &Stage, seen: &[Seen], keys: usize) -> Result<()> {
    let mut took: Vec<_> = seen.iter().flat_map(|seen| seen.took.iter().copied()).collect();
    took.sort();
    let failures: Vec<_> = seen.iter().flat_map(|seen| &seen.failures).collect();
    ensure!(!took.is_empty(), "no visit was answered: {failures:?}");
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64();
    stage.report.reached(&format!(
        "{keys} keys; {} visits answered at the first try (median {:.2} s, p95 {:.2} s, max {:.2} s), {} at the second: {failures:?}",
        took.len(), at(50), at(95), at(100), failures.len()
    ));
    let total = took.len() + failures.len();
    let told: Vec<_> = seen.iter().flat_map(|seen| &seen.told).map(String::as_str).collect();
    ensure!(
        failures.iter().all(|(_, _, again)| again.is_ok()),
        "a client could not connect: {failures:?}\n{}",
        told.join("\n")
    );
    ensure!(
        failures.iter().all(|(_, why, _)| !why.contains("descriptor")),
        "a descriptor was missing: {failures:?}"
    );
    ensure!(failures.len() * 50 <= total, "more than 2 % of the first tries failed: {failures:?}");
    Ok(())
}
