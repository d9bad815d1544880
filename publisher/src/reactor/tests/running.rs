//! What operators do to a running publisher, and what becomes of its descriptors.

use super::onions::Onion;
use super::stage::{Backends, SERVICES, Setup, Stage, Wrong, address};
use serde_json::Value;

/// A service of which something is asked.
const SERVICE: usize = 1;

/// How many points of each backend are listed.
async fn listed(stage: &mut Stage) -> Vec<(String, i64)> {
    let status: Value = serde_json::from_str(&stage.ask("status", String::new()).await).unwrap();
    let backends = status["services"][SERVICE]["backends"].as_array().unwrap().iter();
    let listed =
        |backend: &Value| (backend["name"].as_str().unwrap().to_owned(), backend["listed"].as_i64().unwrap());
    backends.map(listed).collect()
}

#[tokio::test(start_paused = true)]
async fn the_last_backend_that_drains_stays_listed() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(60).await;
    let drain = |force: bool| {
        let end = address(SERVICE).bare().to_string().split_off(48);
        format!(
            "{{\"command\":\"drain\",\"service\":\"{end}\",\"backend\":\"b{SERVICE}\",\"force\":{force}}}\n"
        )
    };
    let refused = stage.ask("control", drain(false)).await;
    assert!(refused.contains("no other backend is up"), "{refused}");
    let done = stage.ask("control", drain(true)).await;
    assert!(done.contains("drains"), "{done}");
    // Until after the next regular upload.
    stage.pass(5400 + 60).await;
    let status: Value = serde_json::from_str(&stage.ask("status", String::new()).await).unwrap();
    let backend = &status["services"][SERVICE]["backends"][0];
    assert_eq!(
        (&backend["state"], &backend["listed"]),
        (&Value::from("draining"), &Value::from(3)),
        "{backend}"
    );
    assert!(stage.uploads(SERVICE).len() >= 32, "nothing is uploaded any more");
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}

#[tokio::test(start_paused = true)]
async fn after_a_start_what_clients_fetch_no_more_lists_all_backends_too() {
    let more = Onion::new(b'b', SERVICE + 1).address();
    // Two hours after noon: some clients have a consensus of before it.
    let mut stage = Stage::start_later(3 * 3600, |_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = format!("[[service.backend]]\nname = \"more\"\naddress = \"{more}\"\n");
        setups
    });
    stage.pass(60).await;
    let onion = address(SERVICE).redacted().to_string();
    let log = stage.log();
    let chosen = log.iter().filter(|line| line.contains("info chosen") && line.contains(&onion));
    let mut last = std::collections::BTreeMap::new();
    for line in chosen {
        let period = line.split(" period=").nth(1).unwrap().split(' ').next().unwrap();
        last.insert(period, line);
    }
    assert_eq!(last.len(), 2, "{last:?}");
    assert!(last.values().all(|line| line.contains(" backends=2 ")), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_backend_that_drains_and_is_up_is_listed_beside_the_dead() {
    let more = Onion::new(b'b', SERVICE + 1).address();
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = format!(
            "probe_port = 80\nprobe_interval_seconds = 10\n\
             [[service.backend]]\nname = \"more\"\naddress = \"{more}\"\ndrain = true\n"
        );
        setups
    });
    stage.pass(60).await;
    assert_eq!(
        listed(&mut stage).await,
        [("more", 0), ("b1", 3)].map(|(name, listed)| (name.to_owned(), listed))
    );
    let deaf = Wrong { backends: Backends::Deaf, ..Wrong::default() };
    (SERVICE..=SERVICE + 1).for_each(|service| stage.fail(service, deaf));
    stage.pass(60).await;
    assert!(stage.alarms().iter().any(|(name, _)| name == "backend-down"), "{:?}", stage.alarms());
    assert_eq!(listed(&mut stage).await[0].1, 0, "in an outage what was listed stays, and nothing else");
    stage.fail(SERVICE + 1, Wrong::default());
    stage.pass(30).await;
    let now = listed(&mut stage).await;
    assert!(now.iter().all(|(_name, listed)| *listed > 0), "{now:?}");
    stage.pass(150).await;
    let later = listed(&mut stage).await;
    assert_eq!((later[0].1, later[1].1), (3, 0), "the dead one's time is over: {later:?}");
}
