//! A backend of which nothing is listed stands by: it is fetched less often, until its points are listed.

use super::onions::Onion;
use super::stage::{SERVICES, Setup, Stage, address};

/// The first service's backend that stands by is the second service's own, too: the third one's shows how often that is fetched there.
const SPARE: usize = 1;
/// The backend of a service that has no other.
const LONE: usize = 2;

/// How often tor was asked for the spare backend, beyond how often for one of which all is listed.
fn asked(stage: &Stage) -> (usize, usize) {
    let count = |backend| {
        let start = format!("HSFETCH {}", Onion::new(b'b', backend).address().bare());
        stage.port.lines().iter().filter(|line| line.starts_with(&start)).count()
    };
    (count(SPARE) - count(LONE), count(LONE))
}

/// The same for some hours.
async fn asked_in(stage: &mut Stage, hours: u64) -> (usize, usize) {
    let before = asked(stage);
    stage.pass(hours * 3600).await;
    let after = asked(stage);
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test(start_paused = true)]
async fn a_backend_of_which_nothing_is_listed_is_fetched_less_often_until_it_is_listed() {
    let spare = Onion::new(b'b', SPARE).address();
    let mut stage = Stage::start(|_folder| {
        let lines = "[[service.backend]]\nname = \"spare\"\ndrain = true\n";
        let mut setups = <[Setup; SERVICES]>::default();
        setups[0].lines = format!("{lines}address = \"{spare}\"\n");
        setups
    });
    stage.pass(3600).await;
    let (more, usual) = asked_in(&mut stage, 4).await;
    assert!(usual >= 20 && (usual / 6..=usual / 3).contains(&more), "{more} beside {usual}");

    let service = address(0);
    let before = asked(&stage);
    for (command, backend) in [("undrain", "\"spare\""), ("drain", "\"b0\",\"force\":false")] {
        let text = format!("{{\"command\":\"{command}\",\"service\":\"{service}\",\"backend\":{backend}}}\n");
        stage.ask("control", text).await;
    }
    stage.pass(5).await;
    let chosen = stage.log().iter().rfind(|line| line.contains("info chosen")).unwrap();
    assert!(chosen.contains("shares=spare:3"), "{chosen}");
    assert!(asked(&stage).0 >= before.0 + 3, "its points are listed now: it is asked about at once");
    let (more, usual) = asked_in(&mut stage, 4).await;
    assert!(usual >= 20 && more.abs_diff(usual) <= 3, "as often as any other: {more} beside {usual}");
}
