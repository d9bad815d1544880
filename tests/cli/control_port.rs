//! A control port that is refused, or a server behind it that lies, breaks off, floods or says nothing.

use std::process::Command;
use std::time::Duration;

use onionkeep_tests::daemon::{Programs, Publisher, Service};
use onionkeep_tests::fake_tor::{FakeTor, Fault};
use onionkeep_tests::files::RunDir;
use onionkeep_tests::wait;

use crate::kit::{assert_fails, code};

/// How long the publisher may take to say what is wrong.
const LIMIT: Duration = Duration::from_secs(45);
/// Two addresses that are right.
const FRONTEND: &str = "qxfglaltc4ph3pbmw3pdo3vdeye4p4ac64hh7ptnycjvhr2iy6z7igid.onion";
/// See [`FRONTEND`].
const BACKEND: &str = "lgq376thcuwwb6zplgzk7dlbfilcr3us36ws22oofej6dsfiizmsqfad.onion";

/// A publisher that runs against a server with a fault.
struct Scene {
    /// Says what it makes of it.
    publisher: Publisher,
    /// The server.
    fake: FakeTor,
    /// Their directory.
    _run: RunDir,
}

impl Scene {
    /// Starts both.
    fn new(fault: Fault) -> Self {
        let mut run = RunDir::new().unwrap();
        run.discard();
        let programs = Programs::install(run.path()).unwrap();
        let fake = FakeTor::start(run.path(), fault).unwrap();
        let mut publisher = Publisher::with_control(run.path(), &programs, fake.socket(), 9).unwrap();
        let service = Service {
            address: FRONTEND.into(),
            signer: Some(run.path().join("nowhere")),
            bundles: false,
            backends: vec![("b1".into(), BACKEND.into())],
            probe_interval: None,
            mode: None,
            max_points: None,
            check_uploads: None,
        };
        publisher.serve(vec![service]).unwrap();
        publisher.start().unwrap();
        Self { publisher, fake, _run: run }
    }

    /// Waits until the log has one of these words, the publisher running all the time.
    #[track_caller]
    fn wait_log(&mut self, words: &[&str]) {
        let result = wait::until_true(&format!("one of {words:?} in the log"), LIMIT, || {
            let log = self.publisher.log();
            Ok(words.iter().any(|word| log.contains(word)))
        });
        assert!(result.is_ok(), "{result:?}; the log:\n{}", self.publisher.log());
        self.publisher.process().unwrap().must_run().unwrap();
    }

    /// Waits until it has connected again.
    #[track_caller]
    fn wait_second_visit(&self) {
        wait::until_true("a second connection", LIMIT, || Ok(self.fake.visits() >= 2)).unwrap();
    }
}

#[test]
fn a_publisher_asks_for_more_open_files_than_systems_begin_with() {
    let mut scene = Scene::new(Fault::Silent);
    scene.publisher.stop().unwrap();
    let mut few = Command::new("prlimit");
    few.arg("--nofile=1024:4096");
    scene.publisher.start_under(few).unwrap();
    scene.publisher.wait_status("a status", LIMIT, |_status| Ok(Some(()))).unwrap();
    let limits = format!("/proc/{}/limits", scene.publisher.process().unwrap().id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let open = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = open.split_whitespace().collect();
    assert_eq!(words[3..5], ["4096", "4096"], "{open}");
}

#[test]
fn a_control_port_that_nobody_listens_at_is_said_and_the_status_goes_on() {
    let mut scene = Scene::new(Fault::Silent);
    scene.publisher.stop().unwrap();
    let ran = scene.publisher.run(&["status"]).unwrap();
    assert_fails(&ran, code::AWAY, &["status.sock"]);
    std::fs::remove_file(scene.fake.socket()).unwrap();
    scene.publisher.start().unwrap();
    scene.wait_log(&["no connection to tor's control port"]);
    let status = scene.publisher.wait_status("a status", LIMIT, |status| Ok(status.clone())).unwrap();
    assert_eq!(status["tor"]["state"], "connecting", "{status}");
}

#[test]
fn a_server_that_does_not_know_the_cookie_learns_nothing() {
    let mut scene = Scene::new(Fault::Impostor);
    scene.wait_log(&["could not prove"]);
    let heard = scene.fake.heard();
    assert!(heard.iter().any(|line| line.starts_with("AUTHCHALLENGE SAFECOOKIE ")), "{heard:?}");
    assert!(!heard.iter().any(|line| line.starts_with("AUTHENTICATE")), "it was sent an answer: {heard:?}");
}

#[test]
fn a_refused_cookie_is_said_and_not_tried_in_a_storm() {
    let mut scene = Scene::new(Fault::WrongCookie);
    scene.wait_log(&["refused our SAFECOOKIE"]);
    assert!(scene.fake.visits() <= 5, "{} connections", scene.fake.visits());
}

#[test]
fn a_reply_cut_in_the_middle_is_survived() {
    let mut scene = Scene::new(Fault::CutReply);
    scene.wait_second_visit();
    scene.wait_log(&["tor"]);
}

#[test]
fn a_reply_of_100_mb_is_refused_in_little_memory() {
    let mut scene = Scene::new(Fault::Flood);
    scene.wait_second_visit();
    let peak = scene.publisher.process().unwrap().peak_kib().unwrap();
    assert!(peak < 32 << 10, "the publisher took {peak} KiB for it");
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let mut scene = Scene::new(Fault::Silent);
    scene.wait_log(&["did not let us in", "did not answer"]);
}
