//! Backends whose tor runs before they get their `ob_config`: what a reload and a restart of it make of an old and of a new folder.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::Stage;
use onionkeep_tests::tornet::{Backend, ServiceKind};
use onionkeep_tests::wait::{self, Seen};

/// Until something has been published and found.
const LIMIT: Duration = Duration::from_secs(90);
/// Longest time for a visit that is to fail.
const VISIT: Duration = Duration::from_secs(30);
/// The torrc line that makes a service a backend; in the folder there must be an `ob_config` by then.
const INSTANCE: &str = "HiddenServiceOnionBalanceInstance 1\n";

/// Gives a plain service the lines of a backend, reloads, restarts; then gives its tor a second one, and reloads.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let address = stage.address.clone();
    let mut late = Backend::start(&stage.network, "late", ServiceKind::Plain)?;
    late.wait_published(LIMIT)?;
    let config = format!("MasterOnionAddress {address}\n");
    files::write(&late.service_dir().join("ob_config"), &config, User::Tor, 0o600)?;
    late.node().add_to_torrc(INSTANCE)?;
    late.node().reload()?;
    let own = late.address().to_owned();
    serve(stage, &own)?;
    for address in [&address, &own] {
        let visit = stage.client.get(address, VISIT).map(|answer| answer.from);
        ensure!(visit.is_err(), "after a reload a visit to {address} was answered: tor has changed");
        stage.report.reached("after a reload it turns a visitor away");
    }
    late.kill()?;
    late.restart()?;
    late.wait_published(LIMIT)?;
    serve(stage, &own)?;
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from == late.name(), "{} answered", answer.from);
    stage.report.reached("after a restart it answers");

    let second = late.node().dir().join("second");
    files::make_dir(&second, User::Tor, 0o700)?;
    files::write(&second.join("ob_config"), &config, User::Tor, 0o600)?;
    let torrc = std::fs::read_to_string(late.node().dir().join("torrc"))?;
    let port = torrc.lines().find(|line| line.starts_with("HiddenServicePort")).context("no port")?;
    let dir = second.display();
    late.node()
        .add_to_torrc(&format!("HiddenServiceDir {dir}\nHiddenServiceVersion 3\n{port}\n{INSTANCE}"))?;
    late.node().reload()?;
    let hostname = wait::until("the address of the second service", LIMIT, || {
        let text = std::fs::read_to_string(second.join("hostname")).unwrap_or_default();
        let address = text.strip_suffix('\n').map(str::to_owned);
        Ok(address.map_or_else(|| Seen::NotYet(text), Seen::Ready))
    })?;
    serve(stage, &hostname)?;
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from == late.name(), "{} answered", answer.from);
    stage.report.reached("one with a new folder answers after a reload");
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}

/// Lets the frontend have this backend only, and waits until its points are listed; the client knows no descriptor then.
fn serve(stage: &mut Stage, backend: &str) -> Result<()> {
    let address = stage.address.clone();
    stage.publisher.stop()?;
    let backends = vec![("late".to_owned(), backend.to_owned())];
    stage.publisher.serve(vec![Service { backends, ..stage.service() }])?;
    stage.publisher.start()?;
    wait::until("the backend to be listed", LIMIT, || {
        let listed = stage.points_shared(&address, backend).unwrap_or_default();
        Ok(if listed > 0 { Seen::Ready(()) } else { Seen::NotYet("no point of it is listed".into()) })
    })?;
    stage.client.forget()
}
