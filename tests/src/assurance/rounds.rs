//! Real signing rounds, and then the search: what is left of a key after the signer has used it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use onionkeep_common::wire::Reply;
use onionkeep_common::{PeriodNumber, PeriodRule, TimePeriod};

use super::canary;
use super::scan::Scanner;
use super::secrets::Secret;
use super::subject::{Subject, pin};
use crate::peer::{self, Peer};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What was counted.
pub struct Count {
    /// Certificates that were made and checked.
    pub signings: usize,
    /// Processes that were looked at.
    pub processes: usize,
    /// The scanner, with its hits.
    pub scanner: Scanner,
}

/// Has the signer make `signings` different certificates, and then looks for every secret in the memory, arguments and
/// environment of each of its processes, in all its files, and in everything that came over the socket. `program` is the
/// program `assurance`, which asks the token for the key encryption keys beforehand.
pub fn run(subject: &mut Subject, signings: usize, program: &Path) -> Result<Count> {
    ensure!(subject.slots() >= signings, "too few keys for so many signings");
    let tool = subject.tool(program)?;
    let mut secrets = secrets(subject);
    secrets.extend(canary::keks(subject, &tool)?);
    subject.start()?;
    let traffic = sign(subject, signings)?;
    let mut scanner = Scanner::new(&secrets)?;
    let processes = subject.processes()?;
    for pid in &processes {
        scanner.look_at_process(*pid)?;
    }
    scanner.look("what came over the socket", &traffic);
    for place in [subject.signer.dir().join("state"), subject.signer.dir().join("log")] {
        scanner.look_at_files(&place)?;
    }
    scanner.look_at_files(&subject.signer.token().tokens())?;
    subject.signer.stop()?;
    Ok(Count { signings, processes: processes.len(), scanner })
}

/// Everything that must not be found: what follows from the known keys, and the PIN.
#[must_use]
pub fn secrets(subject: &Subject) -> Vec<Secret> {
    let now = peer::period_now();
    let length = PeriodRule::PUBLIC.length;
    let period = |number| TimePeriod { number: PeriodNumber(number), length };
    let periods = [period(now.0 - 1), period(now.0), period(now.0 + 1)];
    let mut secrets: Vec<_> = subject.keys.iter().flat_map(|key| key.secrets(&periods)).collect();
    secrets.push(Secret::new("PIN", pin().as_bytes()));
    secrets
}

/// Asks for the first `signings` slots; everything that came back.
fn sign(subject: &Subject, signings: usize) -> Result<Vec<u8>> {
    let mut peer = Peer::connect(&subject.signer.socket(), LIMIT)?;
    for slot in 0..signings {
        let request = subject.request(slot);
        match peer.answered(&request)? {
            Reply::Certificate(cert) => peer::check(&request, &cert)?,
            other @ (Reply::Refused { .. } | Reply::Away { .. }) => bail!("slot {slot}: {other:?}"),
        }
    }
    Ok(peer.received)
}
