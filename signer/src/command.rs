//! What each command does, from the configuration to the answer on standard output; the only place that writes there.

use crate::cli::{AuditCommand, Cli, Command, KeyCommand, PinCommand, TokenCommand};
use crate::config::{self, Config, ConfigError, Depth, MemoryLock};
use crate::error::{Failure, Kind};
use crate::harden;
use crate::import;
use crate::log::{Level, line};
use crate::room;
use crate::seal::TokenName;
use crate::serve;
use crate::token::pkcs11::{Access, Initialised};
use crate::token::{Token, TokenError, open};
use crate::vault::{Shown, Vault};
use onionkeep_common::OnionAddress;
use onionkeep_common::paper::Purpose;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

mod audit;
mod backup;
mod books;
mod ceremony;
mod copy;
mod doctor;
mod pin;

/// Runs a command line.
///
/// # Errors
/// [`Failure`] with its exit code.
pub fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    harden::no_dumps()?;
    match &cli.command {
        Command::CheckConfig => check_config(&cli.config),
        Command::Token(TokenCommand::Init { erase }) => told(token_init(&cli.config, erase.as_deref())),
        Command::Key(KeyCommand::New { rehearse }) => {
            told(key_new(&cli.config, ceremony::enter(*rehearse)).map(kept))
        }
        Command::Key(KeyCommand::Import { file, hostname }) => {
            told(key_import(&cli.config, file, hostname.as_deref()).map(kept))
        }
        Command::Key(KeyCommand::Show) => key_show(&cli.config),
        Command::Key(KeyCommand::Copy { onion, to }) => copy::key_copy(&cli.config, *onion, to),
        Command::Backup(command) => backup::backup(&cli.config, command),
        Command::Restore { wrapped, verifier, shares_from_stdin } => {
            told(backup::restore(&cli.config, wrapped, verifier, *shares_from_stdin))
        }
        Command::Doctor { login, json } => doctor::doctor(&cli.config, *login, *json),
        Command::Pin(PinCommand::Change { new }) => pin::change(&cli.config, new),
        Command::Init { new_audit_key } => told(books::init(&cli.config, *new_audit_key)),
        Command::Deny { public, onion, request } => {
            told(books::deny(&cli.config, public.as_deref(), *onion, request.as_deref()))
        }
        Command::Request(command) => ceremony::request(&cli.config, command),
        Command::Issue { file, out, emergency, look, said } => {
            let places = ceremony::Places { request: file, main: out, emergency: emergency.as_deref() };
            ceremony::issue(&cli.config, &places, look, said)
        }
        Command::Bundle(command) => ceremony::verify(command),
        Command::Ceremony(command) => ceremony::guided(&cli.config, command),
        Command::Audit(AuditCommand::Verify { files, trusted, expect_head, device_log, json }) => {
            let expected = (*expect_head, device_log.as_deref());
            audit::verify(&cli.config, files, trusted, expected, *json)
        }
        Command::Audit(AuditCommand::Show { files, last, json }) => {
            audit::show(&cli.config, files, *last, *json)
        }
        Command::Audit(AuditCommand::Checkpoint) => told(audit::checkpoint(&cli.config)),
        Command::Audit(AuditCommand::Export { out }) => audit::export(&cli.config, out.as_deref()),
        Command::Serve => serve::keeper(&cli.config),
        Command::Gate { self_test } => serve::gate(&cli.config, *self_test),
        Command::Vault { generation } => serve::vault(&cli.config, *generation),
    }
}

/// Writes the answer.
fn answer(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(room::shown(text).as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(Kind::Internal, format!("cannot write the answer: {error}"), ""))
}

/// The answer of a command that either does all of what it is for or nothing.
fn told(done: Result<String, Failure>) -> Result<ExitCode, Failure> {
    answer(&done?)?;
    Ok(ExitCode::SUCCESS)
}

/// `check-config`: the problems are the answer.
fn check_config(path: &Path) -> Result<ExitCode, Failure> {
    match Config::load(path, Depth::World) {
        Ok(config) => {
            let (onions, token) = (config.grants.len(), &config.token.label);
            answer(&format!("{}: good; token {token:?}, {onions} onion(s)\n", path.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(ConfigError::Problems { path, problems }) => {
            answer(&config::listed(&path, &problems.0))?;
            Ok(ExitCode::from(Kind::Usage.code()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `token init`.
fn token_init(path: &Path, erase: Option<&str>) -> Result<String, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let token = &config.token;
    let so_source = token.so_pin.as_ref().ok_or(ConfigError::Missing("so_pin in [token]"))?;
    let so_pin = so_source.read_new("new PIN of the security officer").map_err(TokenError::Pin)?;
    let pin = token.pin.read_new("new PIN of the token").map_err(TokenError::Pin)?;
    let made = open::initialise(&config, erase, &so_pin, &pin)?;
    let Initialised { name: TokenName { label, serial }, manufacturer, model } = &made;
    line(Level::Info, "token-initialised", &[("label", label), ("serial", serial)]);
    if token.yubihsm.is_some() {
        return Ok(format!(
            "The YubiHSM {serial} is ready: two authentication keys, forced auditing, no factory key.\n"
        ));
    }
    Ok(format!(
        "The token {label:?} is ready. What is to be added to [token] in {}:\n\nserial = \"{serial}\"\n\
         manufacturer = {manufacturer:?}\nmodel = {model:?}\n",
        path.display()
    ))
}

/// Opens the configured token and reads what is sealed to it.
fn open_vault(config: &Config, access: Access) -> Result<Vault<Box<dyn Token>>, Failure> {
    let pin = open::pin(config, access)?;
    let token = open::open(config, pin, access)?;
    Ok(Vault::open(token, &config.state_dir)?.sealing_by(config.token.seal))
}

/// `key new`; in a rehearsal an address that everybody sees to be one.
fn key_new(path: &Path, purpose: Purpose) -> Result<OnionAddress, Failure> {
    let config = Config::load(path, Depth::Text)?;
    // A command that a person runs once has the limits of a login: what cannot be locked there is said, not refused.
    harden::harden(MemoryLock::IfPossible)?;
    let mut vault = open_vault(&config, Access::Write)?;
    let onion = vault.generate_for(purpose)?;
    line(Level::Info, "key-made", &[("onion", &onion.redacted())]);
    Ok(onion)
}

/// `key import`.
fn key_import(path: &Path, file: &Path, hostname: Option<&Path>) -> Result<OnionAddress, Failure> {
    let config = Config::load(path, Depth::Text)?;
    harden::harden(MemoryLock::IfPossible)?;
    let mut vault = open_vault(&config, Access::Write)?;
    let key = import::read(file, hostname)?;
    let onion = vault.keep(&key)?;
    drop(key);
    line(Level::Info, "key-imported", &[("onion", &onion.redacted())]);
    Ok(onion)
}

/// Says which onion is on the token now, and what to configure.
fn kept(onion: OnionAddress) -> String {
    format!(
        "{onion}\n\nFor the signer's configuration:\n\n[[onion]]\naddress = \"{onion}\"\n\
         user    = \"onionkeep-publisher\"\n"
    )
}

/// `key show`: exit code 4 if anything does not verify.
fn key_show(path: &Path) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let mut vault = open_vault(&config, Access::Read)?;
    if vault.is_empty() {
        answer("no onions on this token\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let root = vault.check_root();
    let (shown, mut good) = (vault.show(), root.is_ok() && vault.unreadable().is_empty());
    let mut text = match &root {
        Ok(()) => {
            "root key: sensitive, not extractable, made on the token; its value is refused\n".to_owned()
        }
        Err(error) => format!("root key: NOT GOOD: {error}\n"),
    };
    for key in &shown {
        good &= key.opens.is_ok();
        text.push_str(&row(key));
    }
    for (place, why) in vault.unreadable() {
        text.push_str(&format!("an object on {place}: NOT GOOD: {why}\n"));
    }
    answer(&text)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(Kind::Verification.code()) })
}

/// One line of the table: address, seal kind, place, whether it opens.
fn row(key: &Shown) -> String {
    let Shown { onion, kind, place, opens } = key;
    match opens {
        Ok(()) => format!("{onion}  {kind}  on {place}  opens, key is that of the address\n"),
        Err(error) => format!("{onion}  {kind}  on {place}  NOT GOOD: {error}\n"),
    }
}
