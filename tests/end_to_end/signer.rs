//! The signer goes away and comes back: the publisher goes on with what it has, says so in its status, and recovers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::stage::Stage;
use serde_json::Value;

use crate::backend::wait_points;
use crate::publisher;

/// How long the status may lag behind.
const LIMIT: Duration = Duration::from_secs(60);

/// Stops the signer, makes the publisher publish all the same, restarts the publisher, starts the signer.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let last = stage.backends.len() - 1;
    stage.signer.stop()?;
    stage.backends[last].kill()?;
    wait_points(stage, last, "out of the descriptor, while the signer is away", |points| points == 0)?;
    stage.report.reached("published without the signer, with the certificate at hand");

    publisher::restart(stage).context("the publisher restarted without the signer")?;
    stage.report.reached("a restarted publisher published without the signer");
    let table = stage.publisher.run(&["status"])?.answer()?;
    ensure!(table.contains("away"), "the status does not say that the signer is away:\n{table}");
    stage
        .publisher
        .wait_status("the status to say that the signer is away", LIMIT, |status| expect(status, "away"))?;

    stage.signer.start()?;
    let start = Instant::now();
    stage.backends[last].restart()?;
    stage.backends[last].wait_published(LIMIT)?;
    wait_points(stage, last, "back in the descriptor", |points| points > 0)?;
    stage
        .publisher
        .wait_status("the status to say that the signer is back", LIMIT, |status| expect(status, "ok"))?;
    stage
        .report
        .reached(&format!("all is well {:.1} s after the signer came back", start.elapsed().as_secs_f64()));
    Ok(())
}

/// Whether the status says this of the frontend's signer.
fn expect(status: &Value, wanted: &str) -> Result<()> {
    let said = status["services"][0]["signer"].as_str().context("no word about the signer")?;
    ensure!(said == wanted, "the signer is {said}");
    Ok(())
}
