//! What operators do to a running publisher, and what becomes of its descriptors.

use super::stage::{SERVICES, Setup, Stage, address};
use serde_json::Value;

/// A service of which something is asked.
const SERVICE: usize = 1;

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
