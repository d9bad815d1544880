//! Restricted discovery: C tor clients with a key reach the frontend, others do not, and who is taken out loses it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{Stage, bare};
use onionkeep_tests::tornet::Client;
use onionkeep_tests::wait::{self, Seen};

use crate::publisher::restart;

/// Until a client is let in, or is not any more.
const LIMIT: Duration = Duration::from_secs(90);
/// Longest time for one visit.
const VISIT: Duration = Duration::from_secs(30);
/// tor's SOCKS replies for "needs a client key" and "this client key is not good".
///
/// Spec: tor's manual page, `ExtendedErrors`.
const REFUSED: [&str; 2] = ["0xf4", "0xf5"];

/// Lets two clients in and takes one out, while the publisher runs.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let folder = stage.publisher.dir().join("clients");
    restrict(stage, &folder)?;
    let alice = add(stage, "alice")?;
    let address = stage.address.clone();
    restart(stage)?;
    let mut alice = visitor(stage, "alice", &alice)?;
    alice.get_patiently(&address, LIMIT).context("the client with the key")?;
    stage.client.forget()?;
    must_be_refused(&stage.client, &address).context("the client without a key")?;
    stage.report.reached("a client with the key got in, one without did not");

    let bob = add(stage, "bob")?;
    let (start, mut bob) = (Instant::now(), visitor(stage, "bob", &bob)?);
    bob.get_patiently(&address, LIMIT).context("the client that was added to a running publisher")?;
    stage
        .report
        .reached(&format!("a client that was added got in {:.1} s later", start.elapsed().as_secs_f64()));

    let start = Instant::now();
    let ran = stage.publisher.run(&["client", "remove", "bob"])?;
    ensure!(ran.code == 0, "client remove: {ran:?}");
    wait::until("bob to be refused", LIMIT, || {
        bob.forget()?;
        Ok(match must_be_refused(&bob, &address) {
            Ok(()) => Seen::Ready(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })?;
    stage.report.reached(&format!(
        "a client that was removed was refused {:.1} s later",
        start.elapsed().as_secs_f64()
    ));
    alice.forget()?;
    alice.get_patiently(&address, LIMIT).context("the client that stays")?;

    files::write(&folder.join("alice.auth"), "nonsense\n", User::Publisher, 0o644)?;
    wait::until("alice to be refused too", LIMIT, || {
        alice.forget()?;
        Ok(match must_be_refused(&alice, &address) {
            Ok(()) => Seen::Ready(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })?;
    stage.client.forget()?;
    must_be_refused(&stage.client, &address).context("a folder without a good client is not open to all")?;
    open(stage)
}

/// A configuration with `authorized_clients`.
fn restrict(stage: &mut Stage, folder: &Path) -> Result<()> {
    let line = format!("authorized_clients = \"{}\"\n[[service.backend]]", folder.display());
    let text = stage.publisher.config_text().replacen("[[service.backend]]", &line, 1);
    files::write(&stage.publisher.config(), text, User::Publisher, 0o644)
}

/// Back to a frontend for everybody.
fn open(stage: &mut Stage) -> Result<()> {
    stage.publisher.serve(vec![stage.service()])?;
    restart(stage)?;
    stage.client.forget()?;
    let address = stage.address.clone();
    stage.client.get_patiently(&address, LIMIT).context("open to everybody again").map(drop)
}

/// `client add`: the line of the client's own file.
fn add(stage: &Stage, name: &str) -> Result<String> {
    let ran = stage.publisher.run(&["client", "add", name])?;
    ensure!(ran.code == 0, "client add: {ran:?}");
    let own = format!("{}:descriptor:x25519:", bare(&stage.address));
    let line = ran.stdout.lines().find(|line| line.starts_with(&own));
    Ok(line.context("no secret half on stdout")?.to_owned())
}

/// A client tor with this line in its `ClientOnionAuthDir`.
fn visitor(stage: &Stage, name: &str, line: &str) -> Result<Client> {
    let folder: PathBuf = stage.run.path().join(format!("{name}-auth"));
    files::make_dir(&folder, User::Tor, 0o700)?;
    files::write(&folder.join(format!("{name}.auth_private")), format!("{line}\n"), User::Tor, 0o600)?;
    Client::start_with(&stage.network, name, &format!("ClientOnionAuthDir {}\n", folder.display()))
}

/// An error unless tor says that a key is wanting.
fn must_be_refused(client: &Client, address: &str) -> Result<()> {
    match client.get(address, VISIT) {
        Ok(answer) => anyhow::bail!("{} answered", answer.from),
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(REFUSED.iter().any(|code| text.contains(code)), "failed for another reason: {text}");
            Ok(())
        }
    }
}
