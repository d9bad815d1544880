//! The configuration is read again: a bad one changes nothing and says why, a good one loses nothing, and a service that
//! cannot work does not disturb the one that does.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::Stage;
use onionkeep_tests::tornet::Client;
use onionkeep_tests::wait::{self, Seen};

use crate::takeover::{visit_while, wait_line};

/// Until something has been published, found or logged.
const LIMIT: Duration = Duration::from_secs(90);

/// Reloads by SIGHUP and by the command, well and badly, while somebody visits all the time.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let address = stage.address.clone();
    let mut client = Client::start(&stage.network, "reader")?;
    client.get_patiently(&address, LIMIT)?;
    let before = stage.newest(&address)?;
    let pid = stage.publisher.process()?.id();
    let visits = visit_while(&client, &address, || {
        refuse(stage)?;
        take(stage)
    })?;
    visits.check(stage, "while the configuration changed")?;
    let after = stage.newest(&address)?;
    ensure!(after.signing_key == before.signing_key, "a reload changed the descriptor-signing key");
    ensure!(after.revision > before.revision, "a reload took the counter back");
    ensure!(stage.publisher.process()?.id() == pid, "the publisher is another process");
    Ok(())
}

/// A broken file: refused by both ways, with the line and the word, and everything goes on.
fn refuse(stage: &mut Stage) -> Result<()> {
    let good = stage.publisher.config_text();
    let bad = good.replacen("[[service]]", "[[service]]\nmoed = \"wide\"", 1);
    let line = bad.lines().position(|line| line.starts_with("moed")).context("no such line")? + 1;
    files::write(&stage.publisher.config(), bad, User::Publisher, 0o644)?;
    let from = stage.publisher.log().len();
    let ran = stage.publisher.run(&["reload"])?;
    ensure!(ran.code == 2, "exit code {} of a refused reload: {}", ran.code, ran.stderr);
    ensure!(
        ran.stderr.contains(&format!("line {line}")) && ran.stderr.contains("moed"),
        "a refused reload says only: {}",
        ran.stderr
    );
    stage.publisher.process()?.signal(rustix::process::Signal::HUP)?;
    wait::until("SIGHUP to be refused in the log", LIMIT, || {
        let log = stage.publisher.log();
        let new = log.get(from..).unwrap_or_default();
        let refused = new.lines().any(|line| line.contains(" command=reload ") && line.contains("moed"));
        Ok(if refused { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })?;
    let services = stage.publisher.status()?["services"].as_array().map(Vec::len);
    ensure!(services == Some(1), "{services:?} services after a refused reload");
    files::write(&stage.publisher.config(), good, User::Publisher, 0o644)
}

/// One backend less and one service more that cannot work; then all as before.
fn take(stage: &mut Stage) -> Result<()> {
    let usual = stage.service();
    let last = usual.backends.len() - 1;
    let fewer = Service { backends: usual.backends[..last].to_vec(), ..usual.clone() };
    // Its signer is not there, and its backends are nobody's addresses: here the backend that was let go, unpublished
    // for this address.
    let broken = Service {
        address: "25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion".to_owned(),
        signer: Some(stage.run.path().join("nobody.sock")),
        backends: vec![(
            "nobody".to_owned(),
            "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion".to_owned(),
        )],
        ..usual.clone()
    };
    stage.publisher.serve(vec![fewer, broken])?;
    let ran = stage.publisher.run(&["reload"])?;
    ensure!(ran.code == 0, "the reload failed: {}", ran.stderr);
    ensure!(ran.stdout.contains("1 services new, 0 gone, 1 changed"), "the reload says: {}", ran.stdout);
    crate::backend::wait_points(stage, last, "out of the descriptor", |points| points == 0)?;
    stage.publisher.wait_status("the broken service to be shown as such", LIMIT, |status| {
        let broken = &status["services"][1];
        ensure!(broken["signer"]["state"] == "away", "its signer is {}", broken["signer"]["state"]);
        let uploaded =
            broken["descriptors"].as_array().into_iter().flatten().any(|one| !one["uploaded"].is_null());
        ensure!(!uploaded, "something was uploaded for it");
        Ok(())
    })?;
    // It goes on failing for some seconds, and the other one with its uploads and visits.
    thread::sleep(Duration::from_secs(5));
    let from = stage.publisher.log().len();
    stage.publisher.serve(vec![usual])?;
    stage.publisher.process()?.signal(rustix::process::Signal::HUP)?;
    wait_line(stage, from, " command=reload done=\"0 services new, 1 gone, 1 changed")?;
    crate::backend::wait_points(stage, last, "back in the descriptor", |points| points > 0)
}
