//! tor's SOCKS port fails, so that probes tell nothing: that is an alarm, and after some time the descriptors of the backends decide alone.

use super::onions::Onion;
use super::stage::{Backends, SERVICES, SOCKS, Setup, Stage, Wrong, address};
use serde_json::Value;

/// The service whose backends are probed. It has `b1`, and a second one, `more`, which fails as the next service's own backend does.
const SERVICE: usize = 1;
/// What probes told lapses after so many **seconds**, ...
const LAPSE: u64 = 900;
/// ... which is seen with the next probe that tells nothing.
const NEXT: u64 = 15;

/// A publisher whose two backends answer probes.
async fn start() -> Stage {
    let more = Onion::new(b'b', SERVICE + 1).address();
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = format!(
            "probe_port = 80\nprobe_interval_seconds = 10\n[[service.backend]]\nname = \"more\"\naddress = \"{more}\"\n"
        );
        setups
    });
    stage.pass(120).await;
    assert_eq!(states(&mut stage).await, ["up", "up"]);
    stage
}

/// What the status says of `b1` and `more`, if any.
async fn backends(stage: &mut Stage, key: &str) -> [Value; 2] {
    let status: Value = serde_json::from_str(&stage.ask("status", "").await).unwrap();
    let all = status["services"][SERVICE]["backends"].as_array().unwrap();
    ["b1", "more"].map(|name| all.iter().find(|backend| backend["name"] == name).unwrap()[key].clone())
}

/// The states of `b1` and `more`.
async fn states(stage: &mut Stage) -> [String; 2] {
    backends(stage, "state").await.map(|state| state.as_str().unwrap().to_owned())
}

/// A backend of which the HSDirs have nothing, or not.
fn missing(stage: &Stage, service: usize, gone: bool) {
    let backends = if gone { Backends::Missing } else { Backends::Good };
    stage.fail(service, Wrong { backends, ..Wrong::default() });
}

/// Whether the alarm is raised.
fn is_raised(stage: &Stage) -> bool {
    let shown = address(SERVICE).redacted().to_string();
    stage.alarms().contains(&("probes-failing".to_owned(), shown))
}

#[tokio::test(start_paused = true)]
async fn what_probes_told_lapses_and_a_good_descriptor_keeps_its_backend_up() {
    let mut stage = start().await;
    missing(&stage, SERVICE, true);
    stage.pass(3 * 3600).await;
    assert_eq!(states(&mut stage).await, ["up", "up"], "it answers probes");
    stage.instead(SOCKS, Some(""));
    stage.pass(170).await;
    assert!(is_raised(&stage), "{:?}", stage.alarms());
    stage.pass(LAPSE - 170 - 10).await;
    assert_eq!(states(&mut stage).await, ["up", "up"], "it takes some time");
    stage.pass(10 + NEXT).await;
    assert_eq!(states(&mut stage).await, ["missing", "up"]);
    assert_eq!(backends(&mut stage, "listed").await[0], 0);
    let said = |what: &str| stage.log().iter().filter(|line| line.contains(what)).count();
    assert_eq!(said("warn probes-lapsed"), 1);
    assert_eq!(said("problem=no-socks"), 1, "one line, not one for each probe");
    let alarm = stage.log().iter().rfind(|line| line.contains("name=probes-failing")).unwrap();
    assert!(alarm.contains("compare socks in [tor] with tor's SocksPort"), "{alarm}");
    stage.instead(SOCKS, None);
    stage.pass(60).await;
    assert_eq!(states(&mut stage).await, ["up", "up"]);
    assert!(!is_raised(&stage));
}

#[tokio::test(start_paused = true)]
async fn that_it_lapses_never_empties_the_descriptor() {
    let mut stage = start().await;
    let before = backends(&mut stage, "listed").await;
    assert!(before.iter().all(|listed| listed.as_u64() > Some(0)), "{before:?}");
    [SERVICE, SERVICE + 1].iter().for_each(|service| missing(&stage, *service, true));
    stage.pass(3 * 3600).await;
    stage.instead(SOCKS, Some(""));
    stage.pass(LAPSE + NEXT).await;
    assert_eq!(states(&mut stage).await, ["missing", "missing"], "in the same moment");
    stage.pass(3600).await;
    let after = backends(&mut stage, "listed").await;
    assert!(after.iter().all(|listed| listed.as_u64() > Some(0)), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn all_lapse_in_one_moment_however_far_apart_they_were_probed() {
    let more = Onion::new(b'b', SERVICE + 1).address();
    let lines = "probe_port = 80\nprobe_interval_seconds = 3600\n";
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = lines.to_owned();
        setups
    });
    stage.pass(1200).await;
    let backend = format!("[[service.backend]]\nname = \"more\"\naddress = \"{more}\"\n");
    stage.reload(|setups| setups[SERVICE].lines.push_str(&backend)).await;
    [SERVICE, SERVICE + 1].iter().for_each(|service| missing(&stage, *service, false));
    stage.pass(120).await;
    [SERVICE, SERVICE + 1].iter().for_each(|service| missing(&stage, *service, true));
    stage.pass(3600).await;
    stage.instead(SOCKS, Some(""));
    stage.pass(3 * 3600 - 3000).await;
    while states(&mut stage).await == ["up", "up"] {
        stage.pass(1).await;
    }
    assert_eq!(states(&mut stage).await, ["missing", "missing"]);
    let listed = backends(&mut stage, "listed").await;
    assert!(listed.iter().all(|listed| listed.as_u64() > Some(0)), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn one_of_which_alone_nothing_is_told_lapses_later() {
    let mut stage = start().await;
    stage.fail(SERVICE, Wrong { backends: Backends::Cut, ..Wrong::default() });
    stage.pass(2 * LAPSE - 30).await;
    assert_eq!(states(&mut stage).await, ["up", "up"]);
    stage.pass(30 + NEXT).await;
    assert_eq!(states(&mut stage).await, ["missing", "up"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_lapses_while_tor_is_away() {
    let mut stage = start().await;
    missing(&stage, SERVICE, true);
    stage.pass(3 * 3600).await;
    // tor hangs up at the next word.
    stage.instead("", Some(""));
    stage.pass(LAPSE).await;
    assert!(stage.alarms().iter().any(|(name, _onion)| name == "tor-away"), "{:?}", stage.alarms());
    stage.instead(SOCKS, Some(""));
    stage.pass(2 * LAPSE).await;
    assert_eq!(states(&mut stage).await, ["up", "up"]);
    let before = failed(&mut stage).await;
    stage.instead("", None);
    // The first probe after that fails, too.
    while failed(&mut stage).await == before {
        stage.pass(1).await;
    }
    stage.instead(SOCKS, None);
    for _look in 0..20 {
        stage.pass(10).await;
        assert_eq!(states(&mut stage).await, ["up", "up"]);
    }
    assert!(!stage.log().iter().any(|line| line.contains("probes-")), "no alarm about probes");
}

/// How many probes failed at the SOCKS port, as the metrics tell it.
async fn failed(stage: &mut Stage) -> Vec<String> {
    let metrics = stage.ask("metrics", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    metrics.lines().filter(|line| line.contains("result=\"no_socks\"")).map(ToOwned::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn a_socks_port_that_never_worked_is_an_alarm_and_takes_nobody_out() {
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        // An interval of an hour: that nothing is told is found out all the same.
        setups[SERVICE].lines = "probe_port = 80\nprobe_interval_seconds = 3600\n".to_owned();
        setups
    });
    stage.instead(SOCKS, Some(""));
    stage.pass(360).await;
    let shown = address(SERVICE).redacted().to_string();
    assert_eq!(stage.alarms(), [("probes-failing".to_owned(), shown)].into());
}
