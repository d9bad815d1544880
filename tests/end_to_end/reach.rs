//! From nothing to an answer of every backend, on a network with short periods.

use std::time::Duration;

use anyhow::{Result, ensure};
use onionkeep_tests::stage::{Stage, count};

/// Far above the 30 s that a quiet machine needs: a loaded one is no failure.
const LIMIT: Duration = Duration::from_secs(300);

/// A client reaches the frontend and sees all backends.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let uploads = stage.wait_all_uploads()?;
    let names = stage.backend_names();
    let answers = stage.visit_until_all(&names, names.len(), Duration::from_secs(60))?;
    let total = stage.report.elapsed();
    stage.report.reached(&format!(
        "full set of uploads {:.1} s after the publisher's start; every backend answered ({}) {:.1} s after nothing",
        uploads.as_secs_f64(),
        count(&answers),
        total.as_secs_f64()
    ));
    ensure!(total < LIMIT, "it took {} s", total.as_secs());
    let unknown = answers.iter().find(|answer| !names.contains(&answer.from));
    ensure!(unknown.is_none(), "an answer from nobody we know: {unknown:?}");
    Ok(())
}
