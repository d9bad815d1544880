//! An onion service that C tor has served gets a frontend: same address, and the old descriptor is superseded.

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

/// Imports the key file of a running service, stops the service, and serves its address.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let mut old = Backend::start(&stage.network, "old", ServiceKind::Plain)?;
    old.wait_published(LIMIT)?;
    let address = old.address().to_owned();
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from == "old", "{} answered for the old service", answer.from);
    let before = wait::until("the old descriptor at every HSDir", LIMIT, || {
        let held = stage.look_at(&address)?;
        let count = held.len();
        Ok(if count == onionkeep_tests::stage::HSDIRS {
            Seen::Ready(held)
        } else {
            Seen::NotYet(format!("{count}"))
        })
    })?;

    import(stage, &old, &address)?;
    old.kill()?;
    let new = ["i1", "i2"].map(|name| Backend::start(&stage.network, name, ServiceKind::BackendOf(&address)));
    let new = new.into_iter().collect::<Result<Vec<_>>>()?;
    serve_both(stage, &address, &new)?;

    wait::until("the old descriptor to be superseded at every HSDir", LIMIT, || {
        let now = stage.look_at(&address)?;
        let stale = before
            .iter()
            .filter(|(hsdir, old)| now.get(*hsdir).is_none_or(|new| new.revision <= old.revision));
        let stale = stale.count();
        Ok(if stale == 0 {
            Seen::Ready(())
        } else {
            Seen::NotYet(format!("{stale} HSDirs have the old one"))
        })
    })?;
    stage.client.forget()?;
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from.starts_with('i'), "{} answered after the import", answer.from);
    stage.report.reached(&format!("{} now answers for the imported address", answer.from));
    serve_one(stage)
}

/// `key import` on a copy of C tor's file, and the address that it prints.
fn import(stage: &mut Stage, old: &Backend, address: &str) -> Result<()> {
    let copy = stage.signer.dir().join("imported_secret_key");
    let key = std::fs::read(old.service_dir().join("hs_ed25519_secret_key"))?;
    files::write(&copy, key, User::Signer, 0o600)?;
    stage.signer.stop()?;
    let printed = stage.signer.import_key(&copy).context("key import")?;
    std::fs::remove_file(&copy)?;
    ensure!(printed == address, "key import printed {printed} for the key of {address}");
    stage.signer.allow(address)?;
    stage.signer.start()
}

/// Lets the publisher serve the frontend and the imported address.
fn serve_both(stage: &mut Stage, address: &str, backends: &[Backend]) -> Result<()> {
    let imported = Service {
        address: address.to_owned(),
        backends: backends.iter().map(|b| (b.name().to_owned(), b.address().to_owned())).collect(),
        ..stage.service()
    };
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service(), imported])?;
    stage.publisher.start()
}

/// Back to the frontend alone.
fn serve_one(stage: &mut Stage) -> Result<()> {
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}
