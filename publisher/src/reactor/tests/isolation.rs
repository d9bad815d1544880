//! Of three services one fails, in every way that is known: the others upload in the same seconds as without it, and log,
//! alarms, status and metrics name the failing one only.

use super::stage::{Backends, SERVICES, SLOW, Setup, Signer, Stage, Uploads, Wrong, address, passed};
use std::collections::BTreeSet;
use std::path::Path;

/// The service that fails.
const FAILS: usize = 1;
/// So long a run is, in **seconds**: the first uploads, and the regular ones after them.
const LENGTH: u64 = 5400 + 600;

/// A way to fail.
struct Case {
    what: &'static str,
    wrong: Wrong,
    /// Lines of the failing service; without a signer if there are any of bundles.
    lines: &'static str,
    /// What is put into the folder.
    prepare: fn(&Path),
    /// The alarms that are raised in the end.
    alarms: &'static [&'static str],
}

/// Nothing fails.
const WELL: Case = Case {
    what: "nothing",
    wrong: Wrong { signer: Signer::Good, uploads: Uploads::Kept, backends: Backends::Good },
    lines: "",
    prepare: |_folder| {},
    alarms: &[],
};

/// What a run has shown.
struct Shown {
    uploads: Vec<Vec<(u64, String)>>,
    alarms: BTreeSet<(String, String)>,
}

/// How an address is written in the log.
fn shown(service: usize) -> String {
    address(service).redacted().to_string()
}

/// The folder of a service below the state folder.
fn below(folder: &Path, what: &str) -> std::path::PathBuf {
    folder.join("state").join(what).join(address(FAILS).bare().to_string())
}

fn broken_bundle(folder: &Path) {
    std::fs::create_dir_all(below(folder, "ceremony")).unwrap();
    std::fs::write(below(folder, "ceremony").join("bundle"), "onionkeep-bundle 1\nnonsense\n").unwrap();
}

fn broken_clients(folder: &Path) {
    std::fs::create_dir(folder.join("clients")).unwrap();
    std::fs::write(folder.join("clients/alice.auth"), "descriptor:x25519:NONSENSE\n").unwrap();
}

fn clients_that_are_no_folder(folder: &Path) {
    std::fs::write(folder.join("clients"), "").unwrap();
}

fn state_that_is_no_folder(folder: &Path) {
    std::fs::write(below(folder, ""), "").unwrap();
}

/// Every way to fail.
fn cases() -> Vec<Case> {
    let signer = |what, signer, alarms| Case { what, wrong: Wrong { signer, ..WELL.wrong }, alarms, ..WELL };
    let backends =
        |what, backends, alarms| Case { what, wrong: Wrong { backends, ..WELL.wrong }, alarms, ..WELL };
    let uploads =
        |what, uploads, alarms| Case { what, wrong: Wrong { uploads, ..WELL.wrong }, alarms, ..WELL };
    let clients = "authorized_clients = \"FOLDER/clients\"\n";
    vec![
        signer("a silent signer", Signer::Silent, &["certificate-ends", "signer-away", "upload-late"]),
        signer(
            "garbage of a signer",
            Signer::Garbage,
            &["certificate-ends", "signer-refuses", "upload-late"],
        ),
        signer("a token that is away", Signer::Away, &["certificate-ends", "signer-away", "upload-late"]),
        signer(
            "a signer that refuses",
            Signer::Refuses,
            &["certificate-ends", "signer-refuses", "upload-late"],
        ),
        backends("no backend", Backends::Missing, &["backend-missing", "upload-late"]),
        backends("no word of backends", Backends::Mute, &["backend-unknown", "upload-late"]),
        uploads("HSDirs that refuse", Uploads::Refused, &["uploads-failing"]),
        uploads("uploads that are swallowed", Uploads::Swallowed, &["uploads-failing"]),
        Case {
            what: "a broken bundle",
            lines: "bundles = true\n",
            prepare: broken_bundle,
            alarms: &["bundle-fault", "bundle-over", "certificate-ends", "upload-late"],
            ..WELL
        },
        Case {
            what: "a broken client",
            lines: clients,
            prepare: broken_clients,
            alarms: &["no-clients"],
            ..WELL
        },
        Case {
            what: "clients that are no folder",
            lines: clients,
            prepare: clients_that_are_no_folder,
            alarms: &["no-clients"],
            ..WELL
        },
        Case {
            what: "state that is no folder",
            prepare: state_that_is_no_folder,
            alarms: &["state-fault"],
            ..WELL
        },
    ]
}

/// Three services, of which one fails.
fn start(case: &Case) -> Stage {
    let stage = Stage::start(|folder| {
        (case.prepare)(folder);
        let mut setups: [Setup; SERVICES] = Default::default();
        setups[FAILS].signer = !case.lines.contains("bundles");
        setups[FAILS].lines = case.lines.replace("FOLDER", &folder.display().to_string());
        setups
    });
    stage.fail(FAILS, case.wrong);
    stage
}

/// Runs a case to its end, and checks that nothing is said about the others.
async fn run(case: &Case) -> Shown {
    let mut stage = start(case);
    stage.pass(LENGTH).await;
    let failing = shown(FAILS);
    for line in stage.log().iter().filter(|line| !line.starts_with("info ")) {
        assert!(line.contains(&failing), "{}: {line}", case.what);
    }
    let status: serde_json::Value = serde_json::from_str(&stage.ask("status", b"").await).unwrap();
    for alarm in status["alarms"].as_array().unwrap() {
        assert_eq!(alarm["service"], address(FAILS).to_string(), "{}: {alarm}", case.what);
    }
    for warning in status["warnings"].as_array().unwrap() {
        assert!(warning.as_str().unwrap().starts_with(&failing), "{}: {warning}", case.what);
    }
    let metrics = stage.ask("metrics", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let label = address(FAILS).bare().to_string().split_off(48);
    let raised =
        metrics.lines().filter(|line| line.starts_with("onionkeep_alarms{") && !line.ends_with(" 0.0"));
    let raised: Vec<_> = raised.collect();
    assert_eq!(raised.is_empty(), case.alarms.is_empty(), "{}: {raised:?}", case.what);
    assert!(
        raised.iter().all(|line| line.contains(&format!("service=\"{label}\""))),
        "{}: {raised:?}",
        case.what
    );
    Shown { uploads: (0..SERVICES).map(|service| stage.uploads(service)).collect(), alarms: stage.alarms() }
}

#[tokio::test(start_paused = true)]
async fn one_failing_service_never_disturbs_the_others() {
    let usual = run(&WELL).await;
    for own in &usual.uploads {
        assert!(own.len() >= 32, "{} uploads", own.len());
        assert!(own.last().unwrap().0 > 5000, "regular uploads are seen: {:?}", own.last());
    }
    for case in cases() {
        let told = run(&case).await;
        for other in (0..SERVICES).filter(|other| *other != FAILS) {
            assert_eq!(told.uploads[other], usual.uploads[other], "{} moves service {other}", case.what);
        }
        let wanted: BTreeSet<_> = case.alarms.iter().map(|name| ((*name).to_owned(), shown(FAILS))).collect();
        assert_eq!(told.alarms, wanted, "{}", case.what);
    }
    signers_that_take_their_time(&usual).await;
}

/// A loop that waited for one signer would delay the other services, and this comparison would see it.
async fn signers_that_take_their_time(usual: &Shown) {
    let slow = Wrong { signer: Signer::Slow, ..WELL.wrong };
    let first = |uploads: &[(u64, String)]| uploads.first().unwrap().0;
    for all in [false, true] {
        let mut stage = start(&WELL);
        (0..SERVICES).filter(|at| all || *at == FAILS).for_each(|service| stage.fail(service, slow));
        stage.pass(600).await;
        for (service, usual) in usual.uploads.iter().enumerate() {
            let now = stage.uploads(service);
            if all || service == FAILS {
                assert!(first(&now) >= first(usual) + SLOW - 1, "service {service} does not wait");
            } else {
                assert_eq!(now, usual[..now.len()], "service {service} waits for another's signer");
            }
        }
    }
}

/// How long it takes until all HSDirs have both descriptors of a service whose configuration changes, in **seconds**, while nobody
/// hears again of the uploads of some others, for which it has changed just before; `spread` HSDirs store each of two replicas.
async fn waits_beside(swallowed: &[usize], spread: u64) -> u64 {
    let mut stage = start(&WELL);
    stage.spread(spread);
    stage.pass(600).await;
    for service in swallowed {
        stage.fail(*service, Wrong { uploads: Uploads::Swallowed, ..WELL.wrong });
    }
    let lists = "mode = \"wide\"\nintro_points = 2\n";
    stage.reload(|setups| swallowed.iter().for_each(|at| setups[*at].lines = lists.to_owned())).await;
    stage.pass(5).await;
    let (before, from) = (stage.uploads(0).len(), passed());
    stage.reload(|setups| setups[0].lines = lists.to_owned()).await;
    stage.pass(100).await;
    let (now, copies) = (stage.uploads(0), usize::try_from(4 * spread).unwrap());
    assert!(now.len() >= before + copies, "{before} uploads before, {} now: {:#?}", now.len(), stage.log());
    now[before + copies - 1].0 - from
}

/// The publisher makes at most 32 uploads at a time, and each waits for an answer for a minute.
#[tokio::test(start_paused = true)]
async fn swallowed_uploads_leave_room_for_the_others() {
    // One service never has all the room, although it has as many copies to upload.
    assert_eq!(waits_beside(&[FAILS], 8).await, waits_beside(&[], 8).await);
    // Two have it, for some seconds only.
    let (alone, beside_two) = (waits_beside(&[], 4).await, waits_beside(&[FAILS, FAILS + 1], 4).await);
    assert!(beside_two <= alone + 10, "{beside_two} s, alone {alone} s");
}
