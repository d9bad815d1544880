//! A state folder that cannot be written, as on a full disk: clients get new introduction points all the same.

use super::stage::{SERVICES, Setup, Stage, address, passed};

/// The service whose state it is about.
const SERVICE: usize = 1;
/// The first uploads, and time for some regular ones, in **seconds**.
const LENGTH: u64 = 3 * 7200;

/// The service's folder below the state folder.
fn own(stage: &Stage) -> std::path::PathBuf {
    stage.folder.path().join("state").join(address(SERVICE).bare().to_string())
}

/// The alarms that are raised.
fn raised(stage: &Stage) -> Vec<String> {
    stage.alarms().into_iter().map(|(name, _subject)| name).collect()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_keeps_no_client_waiting() {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(60).await;
    let own = own(&stage);
    let taken = stage.folder.path().join("taken");
    std::fs::rename(&own, &taken).unwrap();
    std::fs::write(&own, "").unwrap();
    let from = passed();
    stage.pass(LENGTH).await;
    let later = |service| -> Vec<u64> {
        let all = stage.uploads(service).into_iter().map(|(at, _hsdir)| at);
        all.filter(|at| *at > from).collect()
    };
    assert!(later(SERVICE).len() >= 2 * 8 * 2, "{:?}", later(SERVICE));
    assert_eq!(later(SERVICE), later(0), "as where it can be written");
    assert!(stage.log().iter().any(|line| line.contains("error state-not-written ")));
    assert_eq!(raised(&stage), ["state-fault"]);

    std::fs::remove_file(&own).unwrap();
    std::fs::rename(&taken, &own).unwrap();
    stage.pass(LENGTH).await;
    assert_eq!(raised(&stage), <[String; 0]>::default(), "what can be written is well again");
}

/// A publisher that is started with a state folder that it cannot use for one service; some minutes later.
async fn started_without() -> Stage {
    let mut stage = Stage::start(|folder| {
        let own = folder.join("state").join(address(SERVICE).bare().to_string());
        std::fs::write(own, "").unwrap();
        <[Setup; SERVICES]>::default()
    });
    // A question to the signer that nobody answers would be waited for until 600 s after the start.
    stage.pass(400).await;
    assert!(stage.uploads(SERVICE).is_empty() && !stage.uploads(0).is_empty());
    assert_eq!(raised(&stage), ["state-fault"]);
    stage
}

#[tokio::test(start_paused = true)]
async fn a_state_folder_that_is_well_again_is_used_within_seconds() {
    let mut stage = started_without().await;
    std::fs::remove_file(own(&stage)).unwrap();
    stage.pass(30).await;
    assert!(stage.uploads(SERVICE).len() >= 16, "{} copies", stage.uploads(SERVICE).len());
    stage.pass(120).await;
    assert_eq!(raised(&stage), <[String; 0]>::default());
}

#[tokio::test(start_paused = true)]
async fn the_same_trouble_with_the_state_is_said_once_in_a_while() {
    let mut stage = started_without().await;
    stage.pass(1800).await;
    let said = |line: &&String| line.starts_with("error state ") && line.contains(" try=");
    assert_eq!(stage.log().iter().filter(said).count(), 2, "once for each descriptor: {:#?}", stage.log());
}
