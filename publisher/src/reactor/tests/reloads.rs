//! Reloads that meet a disk which does not do what it should.

use super::control_port::Auth;
use super::stage::{SERVICES, Setup, Stage, address};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The service whose state folder fails.
const FAILS: usize = 1;

/// The state folder of a service.
fn own(stage: &Stage, service: usize) -> PathBuf {
    stage.folder.path().join("state").join(address(service).bare().to_string())
}

/// How the backends of each service differ from the file.
async fn changes(stage: &mut Stage) -> Vec<Value> {
    let status: Value = serde_json::from_str(&stage.ask("status", "").await).unwrap();
    let of = |service: usize| status["services"][service]["backends"][0]["changed"].clone();
    (0..SERVICES).map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn run_time_changes_that_cannot_be_removed_do_not_stop_a_reload() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(60).await;
    for service in 0..SERVICES {
        let end = address(service).bare().to_string().split_off(48);
        let weight = format!(
            "{{\"command\":\"weight\",\"service\":\"{end}\",\"backend\":\"b{service}\",\"weight\":7}}\n"
        );
        let done = stage.ask("control", weight).await;
        assert!(done.contains("weight"), "{done}");
    }
    assert!(changes(&mut stage).await.iter().all(|change| change == "weight 1 in the file"));
    let (folder, aside) = (own(&stage, FAILS), stage.folder.path().join("aside"));
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "").unwrap();
    let answer = stage.reload(|_setups| {}).await;
    assert!(answer.contains("3 changed") && answer.contains("stay on the disk"), "{answer}");
    assert!(changes(&mut stage).await.iter().all(Value::is_null), "all are as the file says");
    for service in (0..SERVICES).filter(|service| *service != FAILS) {
        assert!(!own(&stage, service).join("backends").exists(), "service {service}");
    }
    stage.pass(60).await;
    let raised = stage.alarms().into_iter().map(|(name, _onion)| name).collect::<Vec<_>>();
    assert_eq!(raised, ["state-fault"]);
    // Another reload removes what is left.
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    assert!(folder.join("backends").exists());
    let answer = stage.reload(|_setups| {}).await;
    assert!(answer.contains("3 as before") && !answer.contains("on the disk"), "{answer}");
    assert!(!folder.join("backends").exists());
    stage.pass(60).await;
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}

#[tokio::test(start_paused = true)]
async fn what_a_reload_says_of_the_control_port_s_password_counts_for_the_next_consensus() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(60).await;
    let read =
        |stage: &Stage| stage.log().iter().filter(|line| line.contains("consensus valid-after")).count();
    let before = read(&stage);
    let file = stage.folder.path().join("password");
    std::fs::write(&file, "another\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    stage.port.want(Auth::Password(b"another".to_vec()));
    stage.pass(2 * 3600).await;
    assert_eq!(read(&stage), before, "tor wants a password now");
    stage.tor = format!("password = \"file:{}\"\n", file.display());
    let answer = stage.reload(|_setups| {}).await;
    assert!(answer.contains("3 as before"), "{answer}");
    stage.pass(3600).await;
    assert!(read(&stage) > before);
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}
