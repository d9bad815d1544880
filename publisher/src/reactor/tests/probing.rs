//! Probes that are under way when probing is switched off or changed: what they find says nothing any more.

use super::onions::Onion;
use super::stage::{Backends, SERVICES, Setup, Stage, Wrong};
use serde_json::Value;

/// The service whose backends are probed, and the number of the first of them.
const SERVICE: usize = 1;
/// How they are probed.
const PROBED: &str = "probe_port = 80\nprobe_interval_seconds = 10\n";

/// What the status says of the first backend.
async fn state(stage: &mut Stage) -> String {
    let status: Value = serde_json::from_str(&stage.ask("status", "").await).unwrap();
    let backends = status["services"][SERVICE]["backends"].as_array().unwrap();
    let own = backends.iter().find(|backend| backend["name"] == format!("b{SERVICE}")).unwrap();
    own["state"].as_str().unwrap().to_owned()
}

/// How many probes failed so far.
fn failed(stage: &Stage) -> usize {
    stage.log().iter().filter(|line| line.contains("info probe") && line.contains("up=false")).count()
}

/// A publisher whose backends do not take connections; a second after the last try of one more probe has begun.
///
/// The next probe begins 7 s after the last one has ended. It tries again after 3 s.
async fn amid_a_probe(lines: &str) -> Stage {
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = format!("{PROBED}{lines}");
        setups
    });
    stage.pass(60).await;
    assert_eq!(state(&mut stage).await, "up");
    stage.fail(SERVICE, Wrong { backends: Backends::Deaf, ..Wrong::default() });
    while failed(&stage) < 2 {
        stage.pass(1).await;
    }
    stage.pass(8).await;
    assert_eq!(state(&mut stage).await, "down");
    stage
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_after_probing_was_switched_off_takes_nobody_out() {
    let mut stage = amid_a_probe("").await;
    stage.reload(|setups| setups[SERVICE].lines.clear()).await;
    assert_eq!(state(&mut stage).await, "up", "probes are forgotten");
    let before = failed(&stage);
    for _look in 0..20 {
        stage.pass(1).await;
        assert_eq!(state(&mut stage).await, "up");
    }
    assert_eq!(failed(&stage), before, "there is no more word of it");
    stage.pass(3600).await;
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_succeeds_after_probing_was_switched_off_keeps_nobody_listed() {
    let more = Onion::new(b'b', SERVICE + 1).address();
    let backend = format!("[[service.backend]]\nname = \"more\"\naddress = \"{more}\"\n");
    let mut stage = amid_a_probe(&backend).await;
    stage.reload(|setups| setups[SERVICE].lines.clone_from(&backend)).await;
    // The second try of that probe is taken, ...
    stage.fail(SERVICE, Wrong::default());
    stage.pass(120).await;
    // ... and then the backend goes for good.
    stage.fail(SERVICE, Wrong { backends: Backends::Missing, ..Wrong::default() });
    stage.pass(2 * 3600).await;
    assert_eq!(state(&mut stage).await, "missing");
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_probe_of_before_another_port_was_set() {
    let mut stage = amid_a_probe("").await;
    stage.reload(|setups| setups[SERVICE].lines = PROBED.replace("80", "81")).await;
    let before = failed(&stage);
    stage.pass(10).await;
    assert!(failed(&stage) > before, "the new port is probed at once");
    assert_eq!(state(&mut stage).await, "down");
}
