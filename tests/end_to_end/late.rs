//! A backend that ran before it had its `ob_config`: what a reload and a restart of its tor make of it.

use std::time::Duration;

use anyhow::{Result, ensure};
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

/// Gives a plain service the lines of a backend, reloads, restarts.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let mut late = Backend::start(&stage.network, "late", ServiceKind::Plain)?;
    late.wait_published(LIMIT)?;
    let config = format!("MasterOnionAddress {}\n", stage.address);
    files::write(&late.service_dir().join("ob_config"), config, User::Tor, 0o600)?;
    late.node().add_to_torrc("HiddenServiceOnionBalanceInstance 1\n")?;
    late.node().reload()?;
    let named = vec![(late.name().to_owned(), late.address().to_owned())];
    stage.publisher.stop()?;
    stage.publisher.serve(vec![Service { backends: named, ..stage.service() }])?;
    stage.publisher.start()?;
    listed(stage, &late)?;
    stage.client.forget()?;
    let address = stage.address.clone();
    for address in [address.as_str(), late.address()] {
        let visit = stage.client.get(address, VISIT).map(|answer| answer.from);
        ensure!(visit.is_err(), "after a reload a visit to {address} was answered: tor has changed");
        stage.report.reached("after a reload it turns a visitor away");
    }
    late.kill()?;
    late.restart()?;
    late.wait_published(LIMIT)?;
    listed(stage, &late)?;
    stage.client.forget()?;
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from == late.name(), "{} answered", answer.from);
    stage.report.reached("after a restart it answers");
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}

/// Waits until the frontend lists this backend's points.
fn listed(stage: &mut Stage, late: &Backend) -> Result<()> {
    let address = stage.address.clone();
    wait::until("the backend to be listed", LIMIT, || {
        let points = stage.points_shared(&address, late.address())?;
        Ok(if points > 0 { Seen::Ready(()) } else { Seen::NotYet("no point of it is listed".into()) })
    })
}
