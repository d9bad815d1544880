//! However much happens in a second, each frontend is looked at once in it; and what is due is done all the same.

use super::stage::{SERVICES, Setup, Stage, passed};
use crate::clock;
use onionkeep_common::UnixTime;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// How often each frontend was looked at in which second, if a test of this thread wants to know.
    static LOOKS: RefCell<Option<BTreeMap<(usize, UnixTime), usize>>> = const { RefCell::new(None) };
}

/// A frontend is looked at.
pub(in super::super) fn note(frontend: usize, now: UnixTime) {
    LOOKS.with_borrow_mut(|looks| {
        if let Some(looks) = looks {
            *looks.entry((frontend, now)).or_default() += 1;
        }
    });
}

/// When which service uploads how many descriptors next, by the status.
fn plan(status: &str) -> BTreeMap<(UnixTime, usize), usize> {
    let status: Value = serde_json::from_str(status).unwrap();
    let mut plan = BTreeMap::new();
    for service in 0..SERVICES {
        for descriptor in status["services"][service]["descriptors"].as_array().unwrap() {
            let due = UnixTime(descriptor["next_upload"].as_u64().unwrap());
            *plan.entry((due, service)).or_default() += 1;
        }
    }
    plan
}

#[tokio::test(start_paused = true)]
async fn a_frontend_is_looked_at_once_in_a_second_whatever_happens_in_it() {
    LOOKS.set(Some(BTreeMap::new()));
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(120).await;
    let looks = LOOKS.take().unwrap();
    let most = (0..SERVICES).map(|service| {
        let mut counts = BTreeMap::new();
        for (at, _hsdir) in stage.uploads(service) {
            *counts.entry(at).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap()
    });
    assert!(most.clone().all(|most| most >= 8), "many answers in one second: {:?}", most.collect::<Vec<_>>());
    assert!(looks.values().all(|count| *count == 1), "{looks:?}");
    assert!((0..SERVICES).all(|service| looks.keys().any(|(frontend, _at)| *frontend == service)));
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_within_a_second_also_if_much_else_happens() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(600).await;
    let plan = plan(&stage.ask("status", "").await);
    assert_eq!(plan.values().sum::<usize>(), 2 * SERVICES);
    for ((due, service), count) in plan {
        // Everybody was looked at in the second before when all these questions come.
        stage.pass(due.since(clock::now()).saturating_sub(1)).await;
        for _question in 0..10 {
            stage.ask("status", "").await;
        }
        stage.pass(due.since(clock::now())).await;
        let at = passed();
        let done = stage.uploads(service).into_iter().filter(|(second, _hsdir)| *second == at).count();
        assert!(done >= 8 * count, "service {service}, {at} s after the start: {done}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_tor_is_away_the_loop_sleeps_also_if_the_consensus_was_being_read() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(300).await;
    // tor hangs up at the next word, which is the question for this consensus, and at every one after that.
    stage.instead("", Some(""));
    stage.port.emit("650 STATUS_CLIENT NOTICE CONSENSUS_ARRIVED\n");
    stage.pass(120).await;
    assert!(stage.log().iter().any(|line| line.contains("name=tor-away")), "{:#?}", stage.log());
    LOOKS.set(Some(BTreeMap::new()));
    stage.pass(600).await;
    let awake = LOOKS.take().unwrap().len() / SERVICES;
    assert!(awake < 120, "it was awake in {awake} of 600 seconds");
    stage.instead("", None);
    stage.pass(120).await;
    let after = stage.log().iter().rposition(|line| line.contains("info tor ready")).unwrap();
    assert!(stage.log()[after..].iter().any(|line| line.contains("info consensus")), "it is read again");
}
