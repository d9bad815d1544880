//! Descriptors that tor fetched by itself, as it does for a probe when a backend has restarted since the one before; and by which circuits it
//! is asked for the next probe.

use super::onions::{BEGIN, Onion, fetched, make, points};
use super::stage::{Backends, SERVICES, Setup, Stage, Wrong, address};
use crate::clock;
use onionkeep_common::UnixTime;

/// The service whose backend restarts, and that backend's number.
const SERVICE: usize = 1;

/// The descriptor that this backend would upload now, with points that it had or with others.
fn descriptor(restarted: bool) -> String {
    let (number, now) = (u64::try_from(SERVICE).unwrap(), clock::now());
    let born = UnixTime(BEGIN + if restarted { 30 * 3600 } else { 0 });
    let role = fetched(now.0 / 3600 * 3600);
    make(number, &Onion::new(b'b', SERVICE), &role, now, &points(number, born), "any")
}

/// tor tells that it has fetched a descriptor of a service.
async fn hear(stage: &mut Stage, onion: &Onion, text: &str) {
    let (onion, hsdir) = (onion.address().bare(), "A".repeat(40));
    let event = "650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n";
    stage.port.emit(&format!("{event}650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"));
    stage.pass(8).await;
}

/// Whose points changed, by the uploads that say so.
fn changed(stage: &Stage) -> Vec<bool> {
    let told = |service| {
        let (why, onion) = (" why=points-changed ", address(service).redacted().to_string());
        stage
            .log()
            .iter()
            .any(|line| line.contains("info upload") && line.contains(why) && line.contains(&onion))
    };
    (0..SERVICES).map(told).collect()
}

/// A publisher whose services were uploaded, without anything new since.
async fn stage() -> Stage {
    let mut stage = Stage::start(|_folder| <[Setup; SERVICES]>::default());
    stage.pass(200).await;
    assert!((0..SERVICES).all(|service| !stage.uploads(service).is_empty()), "all are published");
    assert_eq!(changed(&stage), [false; SERVICES]);
    stage
}

#[tokio::test(start_paused = true)]
async fn new_points_of_a_backend_are_listed_though_nobody_asked_for_them() {
    let (mut stage, own) = (stage().await, Onion::new(b'b', SERVICE));
    hear(&mut stage, &own, &descriptor(false)).await;
    assert_eq!(changed(&stage), [false; SERVICES], "it tells nothing new");
    let new = descriptor(true);
    hear(&mut stage, &own, &new).await;
    assert_eq!(changed(&stage), [false, true, false], "{:#?}", stage.log());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_is_checked_like_every_answer() {
    let (mut stage, own) = (stage().await, Onion::new(b'b', SERVICE));
    let older = descriptor(true);
    stage.pass(20).await;
    hear(&mut stage, &own, &descriptor(false)).await;
    let forged = descriptor(true).replacen("revision-counter ", "revision-counter 9", 1);
    for (what, onion, text) in [
        ("an older one", &own, older.as_str()),
        ("a forged one", &own, &forged),
        ("nonsense", &own, "hs-descriptor 3\n"),
        ("of another backend", &Onion::new(b'b', 0), &forged),
        ("of a stranger", &Onion::new(b'x', 0), &forged),
        ("of our own frontend", &Onion::new(b's', SERVICE), &forged),
    ] {
        hear(&mut stage, onion, text).await;
        assert_eq!(changed(&stage), [false; SERVICES], "{what}: {:#?}", stage.log());
    }
    let refused = |word: &str| {
        stage.log().iter().any(|line| line.contains("backend-descriptor") && line.contains(word))
    };
    assert!(refused("refused=older-than-known") && refused("not-asked-for="), "{:#?}", stage.log());
    assert!(stage.alarms().is_empty(), "{:?}", stage.alarms());
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_probe_the_next_one_waits_with_no_old_circuit() {
    let mut stage = Stage::start(|_folder| {
        let mut setups = <[Setup; SERVICES]>::default();
        setups[SERVICE].lines = "probe_port = 80\nprobe_interval_seconds = 10\n".to_owned();
        setups
    });
    stage.pass(60).await;
    let good = stage.probes();
    assert!(
        good.len() > 3 && good.iter().all(|name| name == "1.0"),
        "circuits that are good are used again: {good:?}"
    );
    stage.fail(SERVICE, Wrong { backends: Backends::Deaf, ..Wrong::default() });
    stage.pass(60).await;
    let failed = stage.probes();
    assert!(failed.len() >= 6 && failed[..4] == ["1.0", "2.0", "1.1", "2.1"], "{failed:?}");
    stage.fail(SERVICE, Wrong::default());
    stage.pass(60).await;
    let again: std::collections::BTreeSet<_> = stage.probes().into_iter().skip(2).collect();
    assert_eq!(again.len(), 1, "{again:?}");
}
