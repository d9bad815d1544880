//! What the directory authorities need before they start: the only place where their keys, the seeded shared random
//! values and the bandwidth file are made.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::node::Node;
use crate::clock;
use crate::files;
use crate::process::{self, User};

/// Makes the voting keys with tor-gencert and returns the v3 identity fingerprint.
pub(super) fn make_voting_keys(node: &Node, dir_port: u16) -> Result<String> {
    let keys = node.data_dir().join("keys");
    files::make_dir(&keys, User::Tor, 0o700)?;
    let mut command = process::command("tor-gencert", User::Tor);
    command.current_dir(&keys).args(["--create-identity-key", "--passphrase-fd", "0", "-m", "12"]);
    command.arg("-a").arg(format!("127.0.0.1:{dir_port}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start tor-gencert (package tor)")?;
    child.stdin.take().context("no stdin")?.write_all(b"throw-away\n")?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "tor-gencert: {}", String::from_utf8_lossy(&output.stderr));
    let certificate = fs::read_to_string(keys.join("authority_certificate"))?;
    let line = certificate.lines().find_map(|line| line.strip_prefix("fingerprint "));
    Ok(line.context("no fingerprint in the authority certificate")?.trim().to_owned())
}

/// The same `sr-state` for every authority, or the network would have no shared random values for 24 votes.
///
/// Spec: srv-spec, 3 (the values), and tor's own state file format.
pub(super) fn seed_shared_random(authorities: &[Node]) -> Result<()> {
    let now = clock::unix_now();
    let state = format!(
        "Version 1\nTorVersion Tor\nValidAfter {}\nValidUntil {}\n\
         SharedRandPreviousValue 3 {}\nSharedRandCurrentValue 3 {}\n",
        clock::tor_time(now - 3600),
        clock::tor_time(now + 86_400),
        data_encoding::BASE64.encode(&[0x11; 32]),
        data_encoding::BASE64.encode(&[0x22; 32]),
    );
    authorities
        .iter()
        .try_for_each(|node| files::write(&node.data_dir().join("sr-state"), &state, User::Tor, 0o600))
}

/// Equal bandwidths for all, or tor picks the same two relays again and again and its circuits are refused.
pub(super) fn write_bandwidths(authorities: &[Node], relays: &[(String, String)]) -> Result<()> {
    let mut text = format!("{}\n", clock::unix_now());
    for (name, fingerprint) in relays {
        text.push_str(&format!("node_id=${fingerprint} nick={name} bw=10000\n"));
    }
    authorities
        .iter()
        .try_for_each(|node| files::write(&node.dir().join("bandwidths"), &text, User::Tor, 0o644))
}
