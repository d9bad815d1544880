//! What the rig starts beside the network, and how it is set up.

use anyhow::{Context, Result};

use crate::daemon::{Programs, Service, Signer};
use crate::files::RunDir;
use crate::onionbalance::{self, Onionbalance};
use crate::tornet::{Crowd, Network, Node, Pace};
use crate::{clock, clock_step};

/// Seconds of a day: a protocol run and a period.
pub(super) const DAY: u64 = 86_400;
/// The clock begins at this second of a day, one hour after a period has begun: points are then 23 hours old when the next
/// one does.
pub(super) const BEGIN: u64 = 46_800;
/// Backends of every frontend.
pub(super) const BACKENDS: usize = 4;
/// Frontends of one publisher.
pub(super) const TOGETHER: usize = 4;
/// A tor that is asked by its controller only falls asleep after a day, and then has no consensus.
pub(super) const AWAKE: &str = "DormantTimeoutEnabled 0\n";
/// A tor that fetches for many services while hours pass in a minute has many circuits under way.
const BUSY: &str = "MaxClientCircuitsPending 1024\n";

/// Puts the clock of the run to where it begins, and lets the signer's children find it: its keeper clears their environment,
/// so that they look beside their program.
pub(super) fn set_clock(programs: &Programs) -> Result<()> {
    let moved = clock::followed().context("the clock cannot be moved")?;
    let into = clock::unix_now() % DAY;
    moved.step(i64::try_from((DAY + BEGIN - into) % DAY)?)?;
    Ok(std::os::unix::fs::symlink(moved.path(), programs.path(clock_step::FILE))?)
}

/// The backends of all frontends, those of one publisher's frontends in one tor.
pub(super) fn backends_of(network: &Network, frontends: &[String]) -> Result<Vec<Crowd>> {
    let crowd = |(number, addresses): (usize, &[String])| {
        Crowd::start(network, &format!("backends{number}"), BACKENDS * addresses.len(), addresses)
    };
    frontends.chunks(TOGETHER).enumerate().map(crowd).collect()
}

/// As many plain services, spread over tors as frontends are over publishers: how long an upload takes also depends on how many services
/// share a tor.
pub(super) fn plain_services(network: &Network, count: usize) -> Result<Vec<Crowd>> {
    let crowd = |number: usize| {
        let members = TOGETHER.min(count - number * TOGETHER);
        Crowd::start(network, &format!("plain{number}"), members, &[])
    };
    (0..count.div_ceil(TOGETHER)).map(crowd).collect()
}

/// Adds a line to a running tor's torrc.
pub(super) fn add_line(node: &mut Node, line: &str) -> Result<()> {
    node.add_to_torrc(line)?;
    node.reload()
}

/// One of our frontends over these backends (names and addresses), in ordinary mode.
pub(super) fn frontend(address: &str, signer: &Signer, backends: &[(String, String)]) -> Service {
    Service {
        address: address.to_owned(),
        signer: Some(signer.socket()),
        bundles: false,
        backends: backends.to_vec(),
        probe_interval: None,
        mode: Some("ordinary"),
        max_points: Some(3),
        check_uploads: None,
    }
}

/// A token with a key for each frontend, and a signer that serves them.
pub(super) fn keys(
    run: &RunDir,
    programs: &Programs,
    pace: Pace,
    count: usize,
) -> Result<(Signer, Vec<String>)> {
    let mut signer = Signer::new(run.path(), programs, pace.test_period())?;
    signer.init_token()?;
    let addresses = (0..count).map(|_| signer.new_key()).collect::<Result<Vec<_>>>()?;
    addresses.iter().try_for_each(|address| signer.allow(address))?;
    signer.start()?;
    Ok((signer, addresses))
}

/// Onionbalance with `count` addresses over the same backends, and its tor.
pub(super) fn balance(
    run: &RunDir,
    network: &Network,
    count: usize,
    backends: &[(String, String)],
) -> Result<(Onionbalance, Node, Vec<String>)> {
    let mut node = network.tor("balance", &format!("SocksPort 0\n{BUSY}{AWAKE}"))?;
    network.wait_ready(&mut node)?;
    let mut program = Onionbalance::new(run.path(), &node, false)?;
    let frontends = (0..count).map(|_| program.new_frontend(backends.to_vec()));
    let frontends = frontends.collect::<Result<Vec<onionbalance::Frontend>>>()?;
    program.serve(&frontends)?;
    program.start()?;
    Ok((program, node, frontends.into_iter().map(|frontend| frontend.address).collect()))
}
