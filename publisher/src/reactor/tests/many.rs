//! More backends than tor has room for fetches: each is asked about once before any is asked about again.

use super::onions::Onion;
use super::stage::{SERVICES, Setup, Stage, address};
use std::collections::{BTreeMap, BTreeSet};

/// Backends.
const MANY: usize = 300;
/// Fetches in the queue from which on it is a long one: four for each of the 20 that are under way at the same time for a service.
const LONG: usize = 80;
/// How many HSDirs are asked about a backend of which nothing is known, when the queue is not long.
const ASKED: usize = 3;
/// How long a fetch waits for its turn, in **seconds**.
const TURN: u64 = 240;

/// A tor that takes fetches and says no more about them, so many **seconds** from the start on; then it is quick.
async fn stage(slow: u64) -> Stage {
    // All but two belong to the first service.
    let owners = (0..MANY).map(|backend| if backend < SERVICES { backend } else { 0 }).collect();
    let mut stage = Stage::start_so(owners, 0, |_folder| <[Setup; SERVICES]>::default());
    stage.instead("HSFETCH", Some("250 OK\n"));
    stage.pass(slow).await;
    stage.instead("HSFETCH", None);
    stage
}

/// How often each backend was asked about.
fn asked(stage: &Stage) -> BTreeMap<String, usize> {
    let own = [0, 1, 2].map(|service| address(service).bare().to_string());
    let mut asked = BTreeMap::new();
    for line in stage.port.lines() {
        if let Some(rest) = line.strip_prefix("HSFETCH ") {
            *asked.entry(rest.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    asked.retain(|onion, _times| !own.contains(onion));
    asked
}

/// The backends of which a descriptor was taken.
fn known(stage: &Stage) -> BTreeSet<&str> {
    let lines = stage.log().iter().filter_map(|line| line.split_once("backend-descriptor backend="));
    lines.filter_map(|(_before, rest)| rest.split(' ').next()).collect()
}

#[tokio::test(start_paused = true)]
async fn while_tor_is_slow_no_backend_is_asked_about_again_before_all_others_were() {
    let mut stage = stage(20).await;
    stage.pass(30).await;
    let (asked, known) = (asked(&stage), known(&stage));
    assert!(known.len() >= MANY - LONG.div_ceil(ASKED), "{}", known.len());
    let often = asked.values().filter(|times| **times > 1).count();
    assert!(often < LONG.div_ceil(ASKED) + SERVICES, "{often} of {}: {asked:?}", asked.len());
}

#[tokio::test(start_paused = true)]
async fn that_its_turn_did_not_come_lets_nobody_ask_others_as_well() {
    let mut stage = stage(TURN + 20).await;
    let busy = stage.log().iter().filter(|line| line.contains("tor is busy")).collect::<Vec<_>>();
    assert!(!busy.is_empty(), "so many that some never had their turn");
    let one = busy.iter().filter(|line| line.contains("asked=1 ")).count();
    assert!(one > 0, "{busy:?}");
    // They are known soon after tor is quicker.
    stage.pass(150).await;
    assert_eq!(known(&stage).len(), MANY);
}

#[tokio::test(start_paused = true)]
async fn a_service_with_many_backends_does_not_keep_others_from_theirs() {
    let stage = stage(20).await;
    let asked = asked(&stage);
    for backend in 1..SERVICES {
        let onion = Onion::new(b'b', backend).address().bare().to_string();
        assert!(asked.contains_key(&onion), "b{backend}: {}", asked.len());
    }
}
