//! The publisher's tor dies and comes back: the publisher connects again and publishes what changed meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;
use onionkeep_tests::stage::Stage;

use crate::backend::wait_points;

/// Kills the tor, lets a backend die meanwhile, and starts the tor again.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let last = stage.backends.len() - 1;
    stage.publisher_tor.node.kill()?;
    stage.backends[last].kill()?;
    stage.publisher_tor.node.start()?;
    let start = Instant::now();
    stage.uploads = stage.publisher_tor.node.control()?;
    stage.uploads.ask("SETEVENTS HS_DESC")?;
    stage.wait_upload(Duration::from_secs(150))?;
    stage
        .report
        .reached(&format!("published {:.1} s after its tor came back", start.elapsed().as_secs_f64()));
    wait_points(stage, last, "out of the descriptor", |points| points == 0)?;
    stage.backends[last].restart()?;
    stage.backends[last].wait_published(Duration::from_secs(60))?;
    wait_points(stage, last, "back in the descriptor", |points| points > 0)
}
