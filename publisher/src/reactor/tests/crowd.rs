//! More probes than may be under way at the same time: they wait for their turn, and what never has one says nothing.

use super::SHORT_TURN;
use super::stage::{Backends, SERVICES, Setup, Signer, Stage, Uploads, Wrong};
use crate::reactor::rooms::{OWN_PROBES, PROBES};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Backends: a hundred for each service.
const MANY: usize = 300;
/// Connections of a probe that is not answered.
const CONNECTIONS: usize = 2;
/// tor never connects to the backends.
const HUNG: Wrong = Wrong { signer: Signer::Good, uploads: Uploads::Kept, backends: Backends::Hung };

/// A publisher with so many backends that are probed so often, in **seconds**. The dice are loaded: all first probes are due in the same second.
fn start(backends: usize, interval: u64) -> Stage {
    let lines = format!("probe_port = 80\nprobe_interval_seconds = {interval}\n");
    let owners = (0..backends).map(|backend| backend % SERVICES).collect();
    Stage::start_so(owners, 0, |_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups.iter_mut().for_each(|setup| setup.lines.clone_from(&lines));
        setups
    })
}

/// The names of the backends whose probes failed so far.
fn failed(stage: &Stage) -> BTreeSet<&str> {
    let lines = stage.log().iter().filter(|line| line.contains("up=false"));
    lines.filter_map(|line| line.split_once("info probe backend=")?.1.split(' ').next()).collect()
}

/// The states of all backends, by their names.
async fn states(stage: &mut Stage) -> BTreeMap<String, String> {
    let status: Value = serde_json::from_str(&stage.ask("status", "").await).unwrap();
    let services = status["services"].as_array().unwrap().iter();
    let backends = services.flat_map(|service| service["backends"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    backends.map(|backend| (text(&backend["name"]), text(&backend["state"]))).collect()
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_made_than_probes_have_turns() {
    let mut stage = start(MANY, 10);
    (0..SERVICES).for_each(|service| stage.fail(service, HUNG));
    stage.pass(60).await;
    assert_eq!(stage.most_connections(), PROBES * CONNECTIONS);
}

#[tokio::test(start_paused = true)]
async fn a_service_of_which_no_backend_answers_leaves_the_others_their_probes() {
    let mut stage = start(MANY, 10);
    stage.fail(1, HUNG);
    stage.pass(300).await;
    assert!(stage.most_connections() >= OWN_PROBES * CONNECTIONS, "it has as many as it may have");
    let mut often = BTreeMap::new();
    for (at, backend) in stage.asked() {
        if at >= 30 && backend % SERVICES != 1 {
            *often.entry(backend).or_insert(0) += 1;
        }
    }
    // Every 7 or 8 s.
    assert_eq!(often.len(), MANY / SERVICES * 2);
    assert!(often.values().all(|often| *often >= 30), "{often:?}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_probe_begins_with_its_turn() {
    let mut stage = start(MANY, 10);
    stage.fail(1, HUNG);
    while stage.asked().iter().all(|(_at, backend)| backend % SERVICES != 1) {
        stage.pass(1).await;
    }
    // Their second connections were made, and they wait for the deadline, which would be over for all that wait for a turn.
    stage.pass(5).await;
    stage.fail(1, Wrong::default());
    stage.pass(15).await;
    assert_eq!(failed(&stage).len(), OWN_PROBES, "{:?}", failed(&stage));
    assert!(!stage.log().iter().any(|line| line.contains("no-socks")));
    let own: BTreeSet<_> =
        stage.asked().into_iter().map(|(_at, backend)| backend).filter(|at| at % SERVICES == 1).collect();
    assert_eq!(own.len(), MANY / SERVICES, "the others had their turn after that");
}

#[tokio::test(start_paused = true)]
async fn probes_that_wait_when_the_way_of_probing_changes_are_given_up() {
    let mut stage = start(MANY, 60);
    stage.fail(1, HUNG);
    stage.pass(40).await;
    let asked = |stage: &Stage| stage.asked().iter().filter(|(_at, backend)| backend % SERVICES == 1).count();
    let before = asked(&stage);
    assert_eq!(before, OWN_PROBES * CONNECTIONS, "the others wait");
    stage.fail(1, Wrong::default());
    stage.reload(|setups| setups[1].lines = setups[1].lines.replace("80", "81")).await;
    // Those that were under way end, and the new ones are yet to come.
    stage.pass(25).await;
    assert_eq!(asked(&stage), before);
    stage.pass(15).await;
    assert_eq!(asked(&stage), before + MANY / SERVICES);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_never_had_its_turn_says_nothing() {
    // Each takes 30 s, and the last of those that never had a turn gave up after 240 s.
    SHORT_TURN.set(Some(Duration::from_secs(240)));
    let mut stage = start(MANY, 60);
    (0..SERVICES).for_each(|service| stage.fail(service, HUNG));
    stage.pass(30 + 240).await;
    let asked: BTreeSet<_> = stage.asked().into_iter().map(|(_at, backend)| format!("b{backend}")).collect();
    assert!(asked.len() < MANY, "some had no turn");
    let metrics = stage.ask("metrics", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let no_turn: Vec<_> = metrics.lines().filter(|line| line.contains("result=\"no_turn\"")).collect();
    assert!(no_turn.iter().any(|line| !line.ends_with(" 0.0")), "{no_turn:?}");
    for (name, state) in states(&mut stage).await {
        let wanted = if failed(&stage).contains(name.as_str()) { "down" } else { "up" };
        assert_eq!(state, wanted, "{name}");
        assert!(asked.contains(&name) || state == "up", "{name}");
    }
    // Those whose turn comes first after that use the circuits of a first probe.
    stage.probes();
    (0..SERVICES).for_each(|service| stage.fail(service, Wrong::default()));
    stage.pass(120).await;
    let names: BTreeSet<_> = stage.probes().into_iter().filter(|name| name.starts_with("1.")).collect();
    assert!(names.contains("1.0") && names.contains("1.1"), "{names:?}");
    stage.pass(600).await;
    assert!(states(&mut stage).await.values().all(|state| state == "up"));
}

#[tokio::test(start_paused = true)]
async fn probes_that_wait_too_long_for_their_turn_are_an_alarm() {
    let mut stage = start(MANY, 60);
    (0..SERVICES).for_each(|service| stage.fail(service, HUNG));
    stage.pass(480).await;
    let late = alarms(&mut stage).await;
    let late: Vec<_> = late.iter().filter(|alarm| alarm["name"] == "probes-failing").collect();
    assert_eq!(late.len(), SERVICES, "{late:?}");
    assert!(late.iter().all(|alarm| alarm["service"] != Value::Null), "{late:?}");
    let said = late[0]["text"].as_str().unwrap();
    assert!(said.contains("probe_interval_seconds = 60; make it longer"), "{said}");
    (0..SERVICES).for_each(|service| stage.fail(service, Wrong::default()));
    stage.pass(600).await;
    assert!(alarms(&mut stage).await.is_empty(), "{:?}", alarms(&mut stage).await);
}

/// The alarms in the status.
async fn alarms(stage: &mut Stage) -> Vec<Value> {
    let status: Value = serde_json::from_str(&stage.ask("status", "").await).unwrap();
    status["alarms"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn few_backends_are_probed_within_an_interval_and_a_dead_one_is_down_within_two() {
    for wrong in [Backends::Deaf, Backends::Hung] {
        let mut stage = start(SERVICES, 10);
        stage.pass(12).await;
        let first: BTreeSet<_> = stage.asked().into_iter().map(|(_at, backend)| backend).collect();
        assert_eq!(first.len(), SERVICES);
        stage.pass(50).await;
        stage.fail(1, Wrong { backends: wrong, ..Wrong::default() });
        stage.pass(20).await;
        assert_eq!(states(&mut stage).await["b1"], "down");
    }
}

#[tokio::test(start_paused = true)]
async fn while_tor_reaches_nobody_nearly_all_stay_listed_however_long_a_round_of_probes_takes() {
    let mut stage = start(MANY, 60);
    stage.pass(300).await;
    assert!(states(&mut stage).await.values().all(|state| state == "up"));
    let chosen = |stage: &Stage| stage.log().iter().filter(|line| line.contains("info chosen")).count();
    let before = chosen(&stage);
    (0..SERVICES).for_each(|service| stage.fail(service, HUNG));
    stage.instead("HSFETCH", Some("250 OK\n"));
    stage.pass(1500).await;
    let down = states(&mut stage).await.into_values().filter(|state| state == "down").count();
    assert_eq!(down, MANY, "a round of all takes some five minutes");
    // Three of each service are believed, and each may be listed in two descriptors.
    assert!(chosen(&stage) - before <= SERVICES * 3 * 2, "{} choices", chosen(&stage) - before);
    let alarms = alarms(&mut stage).await;
    let without = alarms.iter().filter(|alarm| alarm["name"] == "no-backend").count();
    assert_eq!(without, SERVICES, "{alarms:?}");
    (0..SERVICES).for_each(|service| stage.fail(service, Wrong::default()));
    stage.instead("HSFETCH", None);
    stage.pass(400).await;
    assert!(states(&mut stage).await.values().all(|state| state == "up"));
}
