//! The process that is the vault, step by step: PIN read, logged in, every onion checked, hardened, answering.

use super::child::prepare;
use super::inner;
use super::packet::{self, Heard};
use crate::config::{Config, Depth};
use crate::error::{Failure, Kind};
use crate::harden;
use crate::log::{Level, line};
use crate::policy::Grant;
use crate::token::pkcs11::Access;
use crate::token::{Token, open};
use crate::vault::message::{AskId, Generation, PACKET_MAX};
use crate::vault::{Answer, Ask, Vault};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;

/// Runs a vault until the gate is gone or the token is away; then the keeper starts the next one.
///
/// # Errors
/// [`Failure`] of whatever comes first.
pub(super) fn run(path: &Path, generation: Generation) -> Result<ExitCode, Failure> {
    let gate = inner(io::stdin())?;
    prepare(c"onionkeep-vault").map_err(cannot("end with the keeper"))?;
    let config = Config::load(path, Depth::Text)?;
    let pin = open::pin(&config, Access::Read)?;
    // After the prompt, which needs the terminal. A vault that leads a session already needs none.
    let _leads_one = rustix::process::setsid();
    forget_questions(&gate).map_err(cannot("hear the gate"))?;
    let step = || tell(&gate, AskId(0), &Answer::Starting(generation));
    step()?;
    let token = open::open(&config, pin, Access::Read)?;
    step()?;
    let mut vault = Vault::open(token, &config.state_dir)?;
    vault.check_root()?;
    step()?;
    let audit = Some(vault.audit_key()?);
    for Grant { onion, uid, budget: _ } in &config.grants {
        step()?;
        vault.check(*onion)?;
        line(Level::Info, "onion-ready", &[("onion", &onion.redacted()), ("uid", uid)]);
    }
    harden::vault(&config)?;
    tell(&gate, AskId(0), &Answer::Ready { generation, audit })?;
    serve(&gate, &mut vault)
}

/// Answers until the gate is gone, or the token is away.
fn serve<T: Token>(gate: &OwnedFd, vault: &mut Vault<T>) -> Result<ExitCode, Failure> {
    let mut buffer = [0; PACKET_MAX];
    loop {
        let length = match packet::hear(gate, &mut buffer, true).map_err(cannot("hear the gate"))? {
            Heard::Packet(length) => length,
            Heard::Nothing => continue,
            Heard::Gone => return Ok(ExitCode::SUCCESS),
        };
        let (id, ask) = Ask::parse(buffer.get(..length).unwrap_or_default())
            .map_err(|error| Failure::new(Kind::Internal, error.to_string(), ""))?;
        let answer = vault.answer(&ask);
        tell(gate, id, &answer)?;
        if matches!(answer, Answer::Away { .. }) {
            // Only a fresh process may enter the PIN again.
            return Ok(ExitCode::from(Kind::Away.code()));
        }
    }
}

/// Drops questions that were put to a vault before this one: nobody waits for their answers.
fn forget_questions(gate: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; PACKET_MAX];
    while let Heard::Packet(_length) = packet::hear(gate, &mut buffer, false)? {}
    Ok(())
}

/// Sends an answer.
fn tell(gate: &OwnedFd, id: AskId, answer: &Answer) -> Result<(), Failure> {
    packet::tell(gate, &answer.to_packet(id)).map_err(cannot("answer the gate"))
}

/// A failure of the system.
fn cannot(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(Kind::Internal, format!("the vault cannot {what}: {error}"), "")
}
