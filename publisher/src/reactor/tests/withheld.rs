//! HSDirs that hold back a backend's new descriptor, or give none, while one of them is asked at a time.

use super::stage::{Backends, SERVICES, Setup, Stage, Wrong, address, passed};
use crate::clock;
use std::collections::BTreeMap;

/// The service whose backend it is about, and that backend's number.
const SERVICE: usize = 1;
/// HSDirs that clients ask for a descriptor.
const CLIENTS: usize = 6;
/// The longest time from one fetch to the next, in **seconds**: the dice of these tests show the middle.
const FETCH: u64 = 615;
/// How often a backend renews its descriptor, in **seconds**.
const RENEWED: u64 = 5400;

/// A publisher that has asked each HSDir of the period that has begun at noon, and HSDirs that fail from now on.
async fn stage(backends: Backends) -> Stage {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(5400).await;
    stage.forget_given(SERVICE);
    stage.pass(5400).await;
    assert_eq!(stage.givers(SERVICE), CLIENTS, "each has its turn");
    stage.fail(SERVICE, Wrong { backends, ..Wrong::default() });
    stage
}

/// The lines of the log about the service with this word.
fn lines<'a>(stage: &'a Stage, word: &str) -> Vec<&'a String> {
    let onion = address(SERVICE).redacted().to_string();
    stage.log().iter().filter(|line| line.contains(word) && line.contains(&onion)).collect()
}

/// How many new descriptors of its backend were taken.
fn news(stage: &Stage) -> usize {
    lines(stage, "info backend-descriptor").iter().filter(|line| !line.contains("refused=")).count()
}

/// The longest time from a renewal until the publisher has the new descriptor, in **seconds**, while so many HSDirs hold it
/// back.
async fn longest_wait(held: usize) -> u64 {
    let mut stage = stage(Backends::Held(held)).await;
    let end = passed() + 4 * RENEWED;
    let mut known = news(&stage);
    let mut waits = BTreeMap::new();
    while passed() < end {
        stage.pass(5).await;
        let count = news(&stage);
        if count > known {
            let made = super::onions::made(u64::try_from(SERVICE).unwrap(), clock::now().0);
            waits.insert(made, clock::now().since(made));
        }
        known = count;
    }
    assert!(waits.len() >= 3, "{held} hold it back: {waits:?}");
    assert!(held > 1 || lines(&stage, "backend-not-fetched").is_empty(), "the others are asked at once");
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
    assert_eq!(stage.held_back() > 0, held > 0, "they were asked");
    waits.into_values().max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_descriptor_is_held_back_for_no_more_fetches_than_hsdirs_do_it() {
    let all = longest_wait(0).await;
    assert!(all <= FETCH, "{all}");
    for held in [1, 3, 5] {
        let wait = longest_wait(held).await;
        assert!(wait <= FETCH * (u64::try_from(held).unwrap() + 1), "{held}: {wait}");
        // That it would be seen if they did it for longer.
        assert!(held < 5 || wait > FETCH, "{held}: {wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_hsdir_that_has_none_is_not_believed_alone() {
    let mut stage = stage(Backends::Lost(CLIENTS - 1)).await;
    stage.pass(2 * RENEWED).await;
    // Two others are asked at once; if these have none either, all are asked some seconds later.
    let missed = lines(&stage, "backend-not-fetched");
    assert!(missed.iter().all(|line| line.contains("asked=3")), "{missed:?}");
    assert!(lines(&stage, "info chosen").iter().all(|line| line.contains("backends=1")));
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}

#[tokio::test(start_paused = true)]
async fn if_one_hsdir_has_none_two_others_are_asked_at_once() {
    let mut stage = stage(Backends::Lost(1)).await;
    stage.pass(2 * RENEWED).await;
    assert_eq!(lines(&stage, "backend-not-fetched"), Vec::<&String>::new());
}

#[tokio::test(start_paused = true)]
async fn who_claims_the_known_counter_says_no_more_than_who_gives_the_known_descriptor_again() {
    let mut seen = Vec::new();
    for backends in [Backends::Old, Backends::Claimed(0)] {
        let mut stage = stage(backends).await;
        stage.pass(4 * 3600).await;
        let stale = lines(&stage, "alarm name=backend-stale state=raised").len();
        seen.push((news(&stage), lines(&stage, "info chosen").len(), stale));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].2, 1, "it is not renewed, whoever says so");
}

#[tokio::test(start_paused = true)]
async fn who_claims_another_counter_is_not_believed() {
    let mut stage = stage(Backends::Claimed(1)).await;
    let known = news(&stage);
    stage.pass(3600).await;
    assert_eq!(news(&stage), known);
    let refused = lines(&stage, "backend-not-fetched");
    assert!(!refused.is_empty() && refused.iter().all(|line| line.contains("problem=")), "{refused:?}");
}
