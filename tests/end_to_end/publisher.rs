//! The publisher is killed and restarted in the middle of a period: counters rise, keys stay, no upload is refused.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use onionkeep_tests::stage::{HSDIRS, Stage, bare};

use crate::twins::everywhere;

/// How often it is killed.
const TIMES: usize = 3;

/// Kills it with SIGKILL, several times.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let address = stage.address.clone();
    let mut before = stage.newest(&address)?;
    for time in 1..=TIMES {
        // An upload that is under way would be counted with those that come after the restart.
        stage.publisher.wait_status("uploads under way to end", Duration::from_secs(60), everywhere)?;
        let took = restart(stage)?;
        let held = stage.look_at(&address)?;
        ensure!(held.len() == HSDIRS, "{} HSDirs hold the descriptor, not {HSDIRS}", held.len());
        for (hsdir, now) in &held {
            let (new, old) = (now.revision, before.revision);
            ensure!(new > old, "HSDir {hsdir}: revision {new} after {old}");
            ensure!(
                now.signing_key == before.signing_key,
                "a new descriptor-signing key in the middle of a period"
            );
        }
        before = stage.newest(&address)?;
        stage
            .report
            .reached(&format!("restart {time}: full set of uploads after {:.1} s", took.as_secs_f64()));
    }
    Ok(())
}

/// Kills and starts the publisher, and waits for a full set of uploads, none of them refused.
pub(crate) fn restart(stage: &mut Stage) -> Result<Duration> {
    stage.publisher.kill()?;
    stage.uploads.drain_events(Duration::from_millis(100));
    stage.publisher.start()?;
    stage.published_from = Instant::now();
    let (done, failed) = (
        format!("HS_DESC UPLOADED {} ", bare(&stage.address)),
        format!("HS_DESC FAILED {} ", bare(&stage.address)),
    );
    for _ in 0..2 * HSDIRS {
        let event = stage.uploads.event("an upload", Duration::from_secs(40), |line| {
            line.text.starts_with(&done)
                || (line.text.starts_with(&failed) && line.text.contains("UPLOAD_REJECTED"))
        })?;
        ensure!(event.text.starts_with(&done), "an HSDir refused an upload: {}", event.text);
    }
    Ok(stage.published_from.elapsed())
}
