//! The same on a network with the real 24-hour periods and no test option in any configuration of ours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::clock;
use onionkeep_tests::stage::{Stage, count};

/// Seconds between consensuses on the public network.
const HOUR: u64 = 3600;

/// Every backend answers, nothing in our configuration says "test".
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    for text in [stage.signer.config_text(), stage.publisher.config_text()] {
        ensure!(!text.contains("[period]") && !text.contains("test_"), "a test option in:\n{text}");
    }
    let torrc = std::fs::read_to_string(stage.publisher_tor.node.dir().join("torrc"))?;
    ensure!(!torrc.contains("Testing"), "a test option in the publisher's tor:\n{torrc}");
    let control = stage.inspector.control();
    let from = clock::parse_tor_time(&control.info("consensus/valid-after")?)?;
    let until = clock::parse_tor_time(&control.info("consensus/fresh-until")?)?;
    ensure!(until - from == HOUR, "the consensus is fresh for {} s", until - from);

    stage.wait_all_uploads().context("a full set of uploads")?;
    let names = stage.backend_names();
    let answers = stage.visit_until_all(&names, names.len(), Duration::from_secs(60))?;
    stage.report.reached(&format!("24-hour periods, answers: {}", count(&answers)));
    Ok(())
}
