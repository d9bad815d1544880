//! The signer goes away, is replaced by one that lies, and comes back: the publisher goes on with what it has, says so in its status, and recovers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::Service;
use onionkeep_tests::liar::{Liar, Lie};
use onionkeep_tests::stage::{Stage, bare};
use serde_json::Value;

use crate::backend::wait_points;
use crate::publisher;

/// How long the status and the publisher's next question may take.
const LIMIT: Duration = Duration::from_secs(90);
/// Exit code of `status` when something needs a look.
const WARNING: i32 = 9;

/// Stops the signer; a backend leaves, the publisher is restarted, and a second frontend has to wait.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let last = stage.backends.len() - 1;
    stage.signer.stop()?;
    stage.backends[last].kill()?;
    wait_points(stage, last, "out of the descriptor, while the signer is away", |points| points == 0)?;
    stage.report.reached("published without the signer, with the certificate at hand");

    let second = second_frontend(stage)?;
    publisher::restart(stage).context("the publisher restarted without the signer")?;
    stage
        .publisher
        .wait_status("the status to say that the signer is away", LIMIT, |status| expect(status, "away"))?;
    let table = stage.publisher.run(&["status"])?;
    ensure!(table.code == WARNING && table.stdout.contains("away"), "the status does not warn: {table:?}");
    stage.client.get_patiently(&stage.address.clone(), LIMIT).context("a visit without the signer")?;
    stage.report.reached(
        "a restarted publisher serves the frontend it has a certificate for, and says what is missing",
    );

    for (lie, state, word) in [
        (Lie::Garbage, "refused", "does not speak the signer's protocol"),
        (Lie::Certificate, "refused", "the certificate is not usable"),
        (Lie::Silence, "away", "did not answer within"),
    ] {
        lied_to(stage, lie, state, word).with_context(|| format!("a signer that lies: {lie:?}"))?;
    }
    stage
        .report
        .reached("lied to by a signer: garbage, a wrong certificate, silence; each is an alarm and no more");

    stage.signer.start()?;
    let start = Instant::now();
    stage
        .publisher
        .wait_status("the status to say that the signer is back", LIMIT, |status| expect(status, "ok"))?;
    let wanted = format!("HS_DESC UPLOADED {} ", bare(&second));
    stage.uploads.event("an upload of the second frontend", LIMIT, |line| line.text.starts_with(&wanted))?;
    stage.report.reached(&format!(
        "the second frontend was published {:.1} s after the signer came back",
        start.elapsed().as_secs_f64()
    ));
    stage.publisher.serve(vec![stage.service()])?;
    stage.backends[last].restart()?;
    stage.backends[last].wait_published(LIMIT)?;
    publisher::restart(stage)?;
    wait_points(stage, last, "back in the descriptor", |points| points > 0)
}

/// A liar takes the signer's place: the publisher, started anew so that it asks at once, says so and serves what it has.
fn lied_to(stage: &mut Stage, lie: Lie, state: &str, word: &str) -> Result<()> {
    let liar = Liar::sits_at(&stage.signer.socket(), lie)?;
    publisher::restart(stage)?;
    liar.has_lied(LIMIT)?;
    stage.publisher.wait_status("the status to tell the lie", LIMIT, |status| {
        expect(status, state)?;
        let signer = &status["services"][1]["signer"];
        ensure!(signer["problem"].as_str().is_some_and(|problem| problem.contains(word)), "it says {signer}");
        Ok(())
    })?;
    let table = stage.publisher.run(&["status"])?;
    ensure!(table.code == WARNING && table.stdout.contains(word), "the status does not warn: {table:?}");
    stage.client.get_patiently(&stage.address.clone(), LIMIT).context("a visit meanwhile")?;
    stage.publisher.process()?.must_run()
}

/// A new key on the token, for which the publisher has no certificate yet.
fn second_frontend(stage: &mut Stage) -> Result<String> {
    let address = stage.signer.new_key()?;
    stage.signer.allow(&address)?;
    let second = Service { address: address.clone(), ..stage.service() };
    stage.publisher.serve(vec![stage.service(), second])?;
    Ok(address)
}

/// Whether the status says this of the second frontend's signer.
fn expect(status: &Value, wanted: &str) -> Result<()> {
    let said = status["services"][1]["signer"]["state"].as_str().context("no word about the signer")?;
    ensure!(said == wanted, "the signer is {said}");
    Ok(())
}
