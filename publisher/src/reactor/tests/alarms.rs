//! Every alarm: what raises it raises it, and its end clears it.

use super::super::alarms::stranger;
use super::super::frontend::Frontend;
use super::super::other::Seen;
use super::super::period::tests::{RUN, period};
use super::stage::{Backends, SERVICES, SOCKS, Setup, Signer, Stage, Uploads, Wrong, address};
use crate::alarm::{Finding, Name};
use crate::ceremony::status::BundleStatus;
use crate::ceremony::tests as ceremony;
use crate::consensus::{Role, Srv};
use crate::merge::{Choice, Merged};
use onionkeep_common::UnixTime;
use std::collections::BTreeSet;
use std::path::Path;

/// The service that fails.
const FAILS: usize = 1;

/// What is done to the world, or undone.
#[derive(Clone, Copy)]
enum Act {
    /// The service fails in another way.
    Fail(Wrong),
    /// tor answers commands with this beginning so; as it should with `None`.
    Instead(&'static str, Option<&'static str>),
    /// tor tells this unasked.
    Tell(&'static str),
    /// Something happens in the folder.
    Files(fn(&Path)),
    /// The configuration file becomes nonsense or good again, and is to be read.
    Reload(bool),
}

/// One alarm, or several that have one cause.
struct Row {
    names: &'static [&'static str],
    /// What the publisher starts with; [`Row::breaks`] at once without it.
    quiet: u64,
    lines: &'static str,
    breaks: Act,
    mends: Act,
    /// At most so many **seconds** after the one it is raised, and after the other it is gone.
    within: (u64, u64),
}

const WELL: Wrong = Wrong { signer: Signer::Good, uploads: Uploads::Kept, backends: Backends::Good };

/// A service with this signer.
const fn signer(signer: Signer) -> Act {
    Act::Fail(Wrong { signer, ..WELL })
}

/// A service with these backends.
const fn backends(backends: Backends) -> Act {
    Act::Fail(Wrong { backends, ..WELL })
}

/// Files of so many clients.
fn clients(folder: &Path, count: u8) {
    let folder = folder.join("clients");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir(&folder).unwrap();
    for number in 0..count {
        let key = data_encoding::BASE32_NOPAD.encode(&[number.wrapping_add(9); 32]);
        let file = folder.join(format!("c{number}.auth"));
        std::fs::write(file, format!("descriptor:x25519:{key}\n")).unwrap();
    }
}

/// Puts a file where the folder of clients is to be.
fn no_folder_of_clients(folder: &Path) {
    std::fs::remove_dir_all(folder.join("clients")).unwrap();
    std::fs::write(folder.join("clients"), "").unwrap();
}

/// Puts the folder there again.
fn folder_of_clients(folder: &Path) {
    std::fs::remove_file(folder.join("clients")).unwrap();
    clients(folder, 2);
}

/// Takes the service's state away, and puts a file in its place.
fn take_state(folder: &Path) {
    let own = folder.join("state").join(address(FAILS).bare().to_string());
    std::fs::rename(&own, folder.join("taken")).unwrap();
    std::fs::write(own, "").unwrap();
}

/// Gives it back.
fn give_state(folder: &Path) {
    let own = folder.join("state").join(address(FAILS).bare().to_string());
    std::fs::remove_file(&own).unwrap();
    std::fs::rename(folder.join("taken"), own).unwrap();
}

/// A row without more than this.
const fn row(names: &'static [&'static str], breaks: Act, mends: Act, within: (u64, u64)) -> Row {
    Row { names, quiet: 300, lines: "", breaks, mends, within }
}

/// The alarms whose conditions come from the world.
fn rows() -> Vec<Row> {
    let mut rows = of_publisher();
    rows.extend(of_service());
    rows
}

/// Those about the publisher as a whole.
fn of_publisher() -> Vec<Row> {
    let consensus = "GETINFO dir/status-vote/current/consensus-microdesc";
    vec![
        // tor hangs up at the next word, and at every one after that.
        row(&["tor-away"], Act::Instead("", Some("")), Act::Instead("", None), (900, 200)),
        row(
            &["tor-offline"],
            Act::Tell("650 NETWORK_LIVENESS DOWN\n"),
            Act::Tell("650 NETWORK_LIVENESS UP\n"),
            (80, 50),
        ),
        row(
            &["no-consensus"],
            Act::Instead(consensus, Some("551 there is none\n")),
            Act::Instead(consensus, None),
            (2 * 3600, 600),
        ),
        row(
            &["clock-skew"],
            Act::Tell("650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=OR:192.0.2.1:443\n"),
            // A consensus that fits comes by itself.
            Act::Files(|_folder| {}),
            (15, 2 * 3600),
        ),
        row(&["reload-refused"], Act::Reload(false), Act::Reload(true), (2, 40)),
    ]
}

/// Those about one service.
fn of_service() -> Vec<Row> {
    let good = Act::Fail(WELL);
    vec![
        row(&["uploads-failing"], Act::Fail(Wrong { uploads: Uploads::Refused, ..WELL }), good, (6000, 3600)),
        Row {
            quiet: 0,
            ..row(
                &["certificate-ends", "signer-away", "upload-late"],
                signer(Signer::Silent),
                good,
                (200, 600),
            )
        },
        Row { quiet: 0, ..row(&["signer-away"], signer(Signer::Away), good, (30, 300)) },
        Row { quiet: 0, ..row(&["signer-refuses"], signer(Signer::Refuses), good, (30, 600)) },
        Row { quiet: 0, ..row(&["backend-unknown"], backends(Backends::Mute), good, (200, 3600)) },
        row(&["backend-missing", "no-backend"], backends(Backends::Missing), good, (4000, 3600)),
        // After the change of the time period at noon, and the consensus after it.
        Row { quiet: 5400, ..row(&["backend-stale"], backends(Backends::Old), good, (3 * 3600, 4000)) },
        Row {
            lines: "probe_port = 80\nprobe_interval_seconds = 10\n",
            ..row(&["backend-down"], backends(Backends::Deaf), good, (60, 120))
        },
        Row {
            lines: "probe_port = 80\nprobe_interval_seconds = 10\n",
            ..row(&["probes-failing"], Act::Instead(SOCKS, Some("")), Act::Instead(SOCKS, None), (170, 60))
        },
        Row {
            lines: "authorized_clients = \"FOLDER/clients\"\n",
            ..row(
                &["size-class-left"],
                Act::Files(|folder| clients(folder, 100)),
                Act::Files(|folder| clients(folder, 2)),
                (120, 120),
            )
        },
        Row {
            lines: "authorized_clients = \"FOLDER/clients\"\n",
            ..row(
                &["no-clients"],
                Act::Files(|folder| clients(folder, 0)),
                Act::Files(|folder| clients(folder, 2)),
                (30, 60),
            )
        },
        Row {
            lines: "authorized_clients = \"FOLDER/clients\"\n",
            ..row(&["no-clients"], Act::Files(no_folder_of_clients), Act::Files(folder_of_clients), (30, 60))
        },
        row(&["state-fault"], Act::Files(take_state), Act::Files(give_state), (6000, 7200)),
    ]
}

impl Stage {
    /// Does something to the world.
    async fn act(&mut self, act: Act) {
        match act {
            Act::Fail(wrong) => self.fail(FAILS, wrong),
            Act::Instead(start, answer) => self.instead(start, answer),
            Act::Tell(text) => self.port.emit(text),
            Act::Files(act) => act(self.folder.path()),
            Act::Reload(good) => {
                self.write();
                if !good {
                    std::fs::write(self.config(), "nonsense = 1\n").unwrap();
                }
                let answer = self.ask("control", b"{\"command\":\"reload\"}\n").await;
                assert_eq!(answer.contains("services new"), good, "{answer}");
            }
        }
    }

    /// Passes time until these alarms are raised, or until no alarm is; the seconds that it took.
    async fn until(&mut self, names: &[&str], within: u64, what: &str) -> u64 {
        for second in 0..=within {
            let raised: BTreeSet<_> = self.alarms().into_iter().map(|(name, _onion)| name).collect();
            if names.iter().all(|name| raised.contains(*name)) && (!names.is_empty() || raised.is_empty()) {
                return second;
            }
            self.pass(1).await;
        }
        panic!(
            "{what}: wanted {names:?} within {within} s, there are {:?}\n{:#?}",
            self.alarms(),
            self.log()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_raises_its_alarm_and_its_end_clears_it() {
    for row in rows() {
        let mut stage = Stage::start(|folder| {
            clients(folder, 2);
            let mut setups: [Setup; SERVICES] = Default::default();
            setups[FAILS].lines = row.lines.replace("FOLDER", &folder.display().to_string());
            setups
        });
        let what = format!("{:?}", row.names);
        if row.quiet > 0 {
            stage.pass(row.quiet).await;
            assert!(stage.alarms().is_empty(), "{what} before its cause: {:?}", stage.alarms());
        }
        stage.act(row.breaks).await;
        let raised = stage.until(row.names, row.within.0, &what).await;
        stage.act(row.mends).await;
        let cleared = stage.until(&[], row.within.1, &what).await;
        println!("{what}: raised after {raised} s, cleared after {cleared} s");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_cannot_be_looked_at_are_one_line_and_stay() {
    let mut stage = Stage::start(|folder| {
        clients(folder, 2);
        let mut setups: [Setup; SERVICES] = Default::default();
        setups[FAILS].lines = format!("authorized_clients = \"{}/clients\"\n", folder.display());
        setups
    });
    stage.pass(60).await;
    stage.act(Act::Files(no_folder_of_clients)).await;
    stage.pass(600).await;
    let said = |stage: &Stage| {
        let lines = stage.log().iter().filter(|line| line.starts_with("error clients ")).cloned();
        lines.collect::<Vec<_>>()
    };
    assert!(matches!(&said(&stage)[..], [line] if line.contains("kept=2")), "{:#?}", said(&stage));
    stage.act(Act::Files(folder_of_clients)).await;
    stage.pass(60).await;
    stage.act(Act::Files(no_folder_of_clients)).await;
    stage.pass(60).await;
    assert_eq!(said(&stage).len(), 2, "it was well in between: {:#?}", said(&stage));
}

/// The names in findings.
fn names(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.name.word()).collect()
}

/// Alarms about bundles.
const OF_BUNDLES: [&str; 3] = ["bundle-horizon", "bundle-over", "bundle-fault"];

#[test]
fn bundles_that_run_out_and_another_ceremony() {
    let (stage, day) = (ceremony::Stage::new(), |days: u64| ceremony::NOW.plus(days * 86_400));
    let found =
        |now: UnixTime| names(&BundleStatus::of(&stage.store.onion, &stage.bundles(), now).findings(now));
    assert_eq!(found(day(0)), ["bundle-over"], "there is none");
    stage.ceremony(30, day(0));
    assert_eq!(found(day(1)), [""; 0]);
    assert_eq!(found(day(20)), ["bundle-horizon"]);
    assert_eq!(found(day(40)), ["bundle-over"]);
    stage.ceremony(30, day(20));
    assert_eq!(found(day(20)), [""; 0], "the next ceremony ends it");
    // A file that is damaged, and one key that is gone.
    let good = std::fs::read(stage.store.file("bundle")).unwrap();
    std::fs::write(stage.store.file("bundle"), &good[..good.len() / 2]).unwrap();
    assert!(found(day(20)).contains(&"bundle-fault"), "{:?}", found(day(20)));
    std::fs::write(stage.store.file("bundle"), good).unwrap();
    assert_eq!(found(day(20)), [""; 0]);
    let mut keys: Vec<_> =
        std::fs::read_dir(stage.store.slots()).unwrap().map(|entry| entry.unwrap().path()).collect();
    keys.sort();
    let (key, moved) = (&keys[keys.len() - 4], stage.dir.path().join("moved"));
    std::fs::rename(key, &moved).unwrap();
    assert!(found(day(20)).contains(&"bundle-fault"), "{key:?}: {:?}", found(day(20)));
    std::fs::rename(moved, key).unwrap();
    assert_eq!(found(day(20)), [""; 0]);
}

#[test]
fn what_a_tor_service_of_before_has_to_do_is_no_warning() {
    let sample = crate::config::Config::parse(crate::config::tests::SAMPLE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut frontend = Frontend::new(0, (&sample.services[0], folder.path()), &[1; 32], RUN);
    let mut own = period(1);
    own.state.former_until = Some(RUN.plus(3600));
    frontend.periods = vec![own];
    assert_eq!(frontend.notes(RUN, 75), [""; 0]);
    // It is shown all the same, until it has passed.
    assert_eq!(frontend.former_until(RUN), Some(RUN.plus(3600)));
    assert_eq!(frontend.former_until(RUN.plus(3600)), None);
}

/// Alarms about what descriptors of backends or of another publisher say.
const OF_DESCRIPTORS: [&str; 4] =
    ["backend-pow", "backends-share-keys", "backends-differ", "publishers-differ"];

#[test]
fn backends_that_cannot_be_listed_together_and_a_stranger_who_publishes() {
    let sample = crate::config::Config::parse(crate::config::tests::SAMPLE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut frontend = Frontend::new(0, (&sample.services[0], folder.path()), &[1; 32], RUN);
    let own = period(1);
    let role = Role { period: own.state.period, srv: Srv([1; 32]), run_start: RUN };
    (frontend.fetch_role, frontend.periods) = (Some(role), vec![own]);
    let merged = |frontend: &mut Frontend, merged| {
        frontend.periods[0].merged = merged;
        names(&frontend.findings(RUN, 75))
    };
    // Nothing is known of its two backends.
    let usual = ["backend-unknown"; 2];
    assert_eq!(merged(&mut frontend, Merged::default()), usual);
    let pow = Merged { pow: vec![0], ..Merged::default() };
    assert_eq!(merged(&mut frontend, pow), [&usual[..], &["backend-pow"]].concat());
    let shared = Merged { shared: vec![0, 1], ..Merged::default() };
    assert_eq!(merged(&mut frontend, shared), [&usual[..], &["backends-share-keys"; 2]].concat());
    let choice = Choice { mixed_flow_control: true, ..Choice::default() };
    let differ = Merged { sets: vec![choice], ..Merged::default() };
    assert_eq!(merged(&mut frontend, differ), [&usual[..], &["backends-differ"]].concat());
    assert_eq!(merged(&mut frontend, Merged::default()), usual);
    // Three uploads of somebody with another secret, then one of somebody with ours.
    let (ours, theirs) = (period(1), period(2));
    for upload in 1..=3 {
        let at = RUN.plus(upload * 5000);
        let revision = theirs.counter_key().counter_at(upload * 5000).unwrap();
        frontend.periods[0].see_other(&Seen { revision, own: 5, now: at, run_start: RUN });
    }
    assert!(frontend.periods[0].other.is_stranger());
    let desc =
        |frontend: &Frontend| stranger(&frontend.periods[0], "first").map(|finding| finding.name.word());
    assert_eq!(desc(&frontend), Some("publishers-differ"));
    let revision = ours.counter_key().counter_at(20_000).unwrap();
    frontend.periods[0].see_other(&Seen { revision, own: 5, now: RUN.plus(20_000), run_start: RUN });
    assert_eq!(desc(&frontend), None);
}

#[test]
fn a_service_with_which_nothing_was_wrong_is_looked_at_once_a_minute() {
    let sample = crate::config::Config::parse(crate::config::tests::SAMPLE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut frontend = Frontend::new(0, (&sample.services[0], folder.path()), &[1; 32], RUN);
    assert!(!frontend.is_quiet(RUN), "it was not looked at");
    frontend.quiet = Some(RUN);
    assert!(frontend.is_quiet(RUN) && frontend.is_quiet(RUN.plus(59)));
    assert!(!frontend.is_quiet(RUN.plus(60)) && !frontend.is_quiet(RUN.minus(1)), "also if time went back");
}

#[test]
fn every_alarm_is_here() {
    let tested = rows().into_iter().flat_map(|row| row.names.iter().copied());
    let tested: BTreeSet<_> = tested.chain(OF_BUNDLES).chain(OF_DESCRIPTORS).collect();
    let all: BTreeSet<_> = Name::ALL.iter().map(|name| name.word()).collect();
    assert_eq!(tested, all);
}
