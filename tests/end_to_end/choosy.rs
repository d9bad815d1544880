//! Backends that ask for a client key or for proof of work: left out with the reason, and listed when the configuration says so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{Stage, bare};
use onionkeep_tests::tornet::{Backend, ServiceKind};
use serde_json::Value;

/// Until something has been published, found or seen in the status.
const LIMIT: Duration = Duration::from_secs(90);

/// One backend of each kind behind the frontend, first refused, then taken.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let address = stage.address.clone();
    let kind = ServiceKind::BackendOf(&address);
    let mut locked = Backend::start(&stage.network, "locked", kind)?;
    let mut puzzle =
        Backend::start_with(&stage.network, "puzzle", kind, "HiddenServicePoWDefensesEnabled 1\n")?;
    let key = lock(stage, &mut locked)?;
    puzzle.wait_published(LIMIT)?;
    let named = [&locked, &puzzle].map(|backend| (backend.name().to_owned(), backend.address().to_owned()));
    let service = Service { backends: named.to_vec(), probe_interval: None, ..stage.service() };

    stage.publisher.stop()?;
    stage.publisher.serve(vec![service.clone()])?;
    stage.publisher.start()?;
    stage.publisher.wait_status("both backends to be refused", LIMIT, |status| {
        let problem = backend(status, "locked")?["problem"].as_str().unwrap_or_default();
        ensure!(problem.contains("client key"), "locked: {problem:?}");
        let warnings = status["warnings"].to_string();
        ensure!(warnings.contains("puzzle asks for proof of work"), "{warnings}");
        ensure!(backend(status, "puzzle")?["listed"] == 0, "puzzle is listed");
        Ok(())
    })?;
    stage.report.reached("a backend that wants a key and one that wants work are left out, with the reason");

    stage.publisher.stop()?;
    let text = stage.publisher.config_text();
    let text = text.replace("name = \"locked\"", &format!("name = \"locked\"\nclient_key = \"file:{key}\""));
    let text = text.replace("name = \"puzzle\"", "name = \"puzzle\"\npow = \"ignore\"");
    files::write(&stage.publisher.config(), text, User::Publisher, 0o644)?;
    stage.publisher.start()?;
    stage.publisher.wait_status("both backends to be listed", LIMIT, |status| {
        for name in ["locked", "puzzle"] {
            ensure!(backend(status, name)?["listed"].as_u64() > Some(0), "{name} is not listed");
        }
        Ok(())
    })?;
    stage.client.forget()?;
    stage.visit_until_all(&["locked".to_owned(), "puzzle".to_owned()], 2, LIMIT)?;
    stage.report.reached("both answer clients that have neither key nor solution");

    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()?;
    stage.client.forget()?;
    stage.client.get_patiently(&address, LIMIT).map(drop)
}

/// What the status says about a backend.
fn backend<'s>(status: &'s Value, name: &str) -> Result<&'s Value> {
    let all = status["services"][0]["backends"].as_array().context("no backends in the status")?;
    all.iter().find(|backend| backend["name"] == name).with_context(|| format!("no {name} in the status"))
}

/// Lets one client into a backend's descriptor, with a key that the publisher makes; the path of its secret half.
fn lock(stage: &mut Stage, locked: &mut Backend) -> Result<String> {
    let folder = locked.service_dir().join("authorized_clients");
    let text = format!(
        "authorized_clients = \"{}\"\n[[service.backend]]",
        stage.publisher.dir().join("keys").display()
    );
    let text = stage.publisher.config_text().replacen("[[service.backend]]", &text, 1);
    files::write(&stage.publisher.config(), text, User::Publisher, 0o644)?;
    let secret = stage.publisher.dir().join("locked.auth_private");
    let secret = secret.to_str().context("a path that is no text")?;
    let ran = stage.publisher.run(&["client", "add", "publisher", "--to", secret])?;
    ensure!(ran.code == 0 && !ran.stdout.contains(bare(&stage.address)), "client add --to: {ran:?}");
    let public = ran.stdout.lines().find(|line| line.starts_with("descriptor:x25519:"));
    let public = format!("{}\n", public.context("no public half on stdout")?);
    locked.kill()?;
    files::make_dir(&folder, User::Tor, 0o700)?;
    files::write(&folder.join("publisher.auth"), public, User::Tor, 0o600)?;
    locked.restart()?;
    locked.wait_published(LIMIT)?;
    Ok(secret.to_owned())
}
