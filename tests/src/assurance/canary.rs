//! A vault that leaks on purpose: each leak must be found, or the search for secrets proves nothing.
//!
//! It is built from the signer's own library: it opens the token as the vault does, asks it for the key encryption key, opens the
//! sealed key, and then leaves something behind. Nothing of this is in the signer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use data_encoding::{BASE64, HEXLOWER};
use onionkeep_signer::config::{Config, Depth};
use onionkeep_signer::error::Failure;
use onionkeep_signer::seal::{Kek, SealKind, SealedKey};
use onionkeep_signer::token::Token;
use onionkeep_signer::token::open;
use onionkeep_signer::token::pkcs11::Access;

use super::rounds;
use super::scan::Scanner;
use super::secrets::Secret;
use super::subject::{Subject, pin};
use crate::process::{self, Process};
use crate::wait;

/// How long the canary may take to leak.
const LIMIT: Duration = Duration::from_secs(20);
/// The canary says so once it has leaked.
const SUNG: &str = "the canary has sung";
/// What it leaks, and where.
pub const LEAKS: [&str; 10] = [
    "scalar in memory",
    "prefix in memory",
    "kek in memory",
    "pin in memory",
    "scalar as hex in memory",
    "scalar as base64 in memory",
    "kek in a file",
    "scalar in the log",
    "pin in the environment",
    "scalar in the arguments",
];

/// Lets the canary make each leak in turn; the ones that were not found.
pub fn run(program: &Path) -> Result<Vec<String>> {
    let subject = Subject::new(1)?;
    let tool = subject.tool(program)?;
    let mut secrets = rounds::secrets(&subject);
    secrets.extend(keks(&subject, &tool)?);
    let mut missed = Vec::new();
    ensure!(
        look(&subject, &tool, "nothing", &secrets)?.hits.is_empty(),
        "the canary leaks without being told to"
    );
    for leak in LEAKS {
        if look(&subject, &tool, leak, &secrets)?.hits.is_empty() {
            missed.push(leak.to_owned());
        }
    }
    Ok(missed)
}

/// Starts the canary, waits for its leak, and looks for the secrets.
fn look(subject: &Subject, tool: &Path, leak: &str, secrets: &[Secret]) -> Result<Scanner> {
    let log = subject.run.path().join("canary-log");
    drop(std::fs::remove_file(&log));
    let mut command = subject.tool_command(tool, "leak");
    command.arg(leak);
    let mut canary = Process::start("the canary", command, &log)?;
    wait::until_true("the canary", LIMIT, || {
        canary.must_run()?;
        Ok(canary.log()?.contains(SUNG))
    })?;
    let mut scanner = Scanner::new(secrets)?;
    scanner.look_at_process(canary.id())?;
    scanner.look_at_files(&log)?;
    scanner.look_at_files(&subject.signer.dir().join("state"))?;
    canary.kill()?;
    drop(std::fs::remove_file(subject.signer.dir().join("state/leak")));
    Ok(scanner)
}

/// The key encryption keys of every sealed key of a subject that does not run.
pub fn keks(subject: &Subject, tool: &Path) -> Result<Vec<Secret>> {
    let output = process::run(&mut subject.tool_command(tool, "keks"), "asking the token for the keys")?;
    let text = String::from_utf8(output.stdout)?;
    let keks: Vec<_> = text
        .split_whitespace()
        .map(|hex| Ok(Secret::new("key encryption key", &HEXLOWER.decode(hex.as_bytes())?)))
        .collect::<Result<_>>()?;
    ensure!(keks.len() == subject.keys.len(), "{} key encryption keys", keks.len());
    Ok(keks)
}

/// A failure of the signer's as an error of ours.
fn failed(failure: Failure) -> anyhow::Error {
    anyhow!("{failure}")
}

/// The token of a configuration, open.
fn token(config: &Path) -> Result<Box<dyn Token>> {
    let config = Config::load(config, Depth::Text).map_err(|error| failed(error.into()))?;
    let pin = open::pin(&config, Access::Read).map_err(failed)?;
    open::open(&config, pin, Access::Read).map_err(failed)
}

/// Every sealed key on a token with its key encryption key.
fn sealed(token: &mut dyn Token) -> Result<Vec<(SealedKey, [u8; 32])>> {
    let mut all = Vec::new();
    for octets in token.sealed()? {
        let sealed = SealedKey::from_octets(&octets)?;
        ensure!(sealed.kind() == SealKind::HmacSha256, "sealed by {}", sealed.kind());
        let kek = *token.mac(&sealed.head().derivation())?;
        all.push((sealed, kek));
    }
    Ok(all)
}

/// What [`keks`] starts: prints the keys as hex.
pub fn print_keks(config: &Path) -> Result<String> {
    let keys = sealed(&mut *token(config)?)?;
    Ok(keys.iter().map(|(_sealed, kek)| HEXLOWER.encode(kek) + " ").collect())
}

/// What [`run`] starts: leaks, says so, and waits to be killed.
#[expect(clippy::print_stdout, reason = "the log of the canary is what it prints")]
pub fn leak(config: &Path, leak: &str) -> Result<()> {
    // A leak into the environment or the arguments is made before the program starts.
    let told = std::env::args().count() > 4 || std::env::var_os("LEAK").is_some();
    let mut kept: Vec<u8> = Vec::new();
    if !told && leak != "nothing" {
        let mut token = token(config)?;
        let (sealed, kek) = sealed(&mut *token)?.into_iter().next().context("no sealed key")?;
        let key = sealed.open(&Kek::new(kek.into()), token.name())?;
        let octets = key.with_octets(|octets| octets.to_vec());
        let (scalar, prefix) = octets.split_at(32);
        match leak {
            "scalar in memory" => kept.extend_from_slice(scalar),
            "prefix in memory" => kept.extend_from_slice(prefix),
            "kek in memory" => kept.extend_from_slice(&kek),
            "pin in memory" => kept.extend_from_slice(pin().as_bytes()),
            "scalar as hex in memory" => kept.extend_from_slice(HEXLOWER.encode(scalar).as_bytes()),
            "scalar as base64 in memory" => kept.extend_from_slice(BASE64.encode(&octets).as_bytes()),
            "kek in a file" => std::fs::write(state_dir(config)?.join("leak"), kek)?,
            "scalar in the log" => println!("{}", HEXLOWER.encode(scalar)),
            "pin in the environment" => return again(config, leak, Some(&pin()), None),
            "scalar in the arguments" => return again(config, leak, None, Some(HEXLOWER.encode(scalar))),
            other => bail!("no leak {other:?}"),
        }
    }
    println!("{SUNG}");
    std::hint::black_box(&mut kept);
    std::thread::sleep(LIMIT * 2);
    std::hint::black_box(&mut kept);
    Ok(())
}

/// Replaces the canary by itself, with something in its environment or arguments.
fn again(config: &Path, leak: &str, variable: Option<&str>, argument: Option<String>) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("leak").arg(config).arg(leak).args(argument);
    if let Some(value) = variable {
        command.env("LEAK", value);
    }
    Err(std::os::unix::process::CommandExt::exec(&mut command).into())
}

/// The state directory of a configuration.
fn state_dir(config: &Path) -> Result<std::path::PathBuf> {
    Ok(Config::load(config, Depth::Text).map_err(|error| failed(error.into()))?.state_dir)
}
