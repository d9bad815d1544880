//! The commands `backup` and `restore`.

use super::{answer, books, open_vault};
use crate::backup::store::{Backup, export, read_set};
use crate::backup::{BackupError, BackupSet, Custodians, Plan, Polynomial, Store, WrappedKey};
use crate::backup::{custodian, medium};
use crate::cli::BackupCommand;
use crate::config::{Config, Depth};
use crate::error::Failure;
use crate::harden;
use crate::ledger::{BackupMade, Custody, Event, Head};
use crate::log::{Level, line};
use crate::terminal::Terminal;
use crate::token::Token;
use crate::token::pkcs11::Access;
use crate::vault::{Vault, VaultError, scrub};
use onionkeep_common::OnionAddress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `backup ...`.
pub(super) fn backup(config: &Path, command: &BackupCommand) -> Result<ExitCode, Failure> {
    match command {
        BackupCommand::Split { onion, shares, threshold, to } => {
            super::told(split(config, *onion, Plan::new(*threshold, *shares)?, to))
        }
        BackupCommand::Check { verifier, shares_from_stdin } => check(verifier, *shares_from_stdin),
        BackupCommand::Export { onion, to } => export_backup(config, *onion, to),
    }
}

/// `backup split`: nothing is written before every share was read back; then the ledger first, so that no set is unknown to it.
pub(super) fn split(
    path: &Path,
    onion: OnionAddress,
    plan: Plan,
    dirs: &[PathBuf],
) -> Result<String, Failure> {
    let config = Config::load(path, Depth::Text)?;
    if dirs.is_empty() {
        // Before the token is asked: without a terminal no share can be shown.
        Terminal::open().map_err(BackupError::Terminal)?;
    } else {
        medium::check(&config.state_dir, dirs, plan.shares())?;
    }
    harden::harden(crate::config::MemoryLock::IfPossible)?;
    let store = Store(&config.state_dir);
    // Before anybody comes: a set of shares that is on no record must not be.
    let mut ledger = books::open(&config)?;
    let recorded = ledger.memory().backup(&onion).map_or(0, |made| made.generation);
    let generation = store.next_generation(&onion)?.max(recorded.saturating_add(1));
    let mut vault = open_vault(&config, Access::Read)?;
    let made = scrub::after(|| -> Result<Backup, BackupError> {
        let polynomial = Polynomial::random(plan)?;
        let backup = wrap(&mut vault, onion, generation, plan, &polynomial)?;
        // The token is not needed while custodians come and go.
        drop(vault);
        if dirs.is_empty() {
            custodian::hand_out(&Terminal::open().map_err(BackupError::Terminal)?, &backup.set, &polynomial)?;
        } else {
            medium::hand_out(dirs, &backup.set, &polynomial)?;
        }
        Ok(backup)
    })?;
    books::record(&mut ledger, Event::Backup(facts(&made.set)))?;
    let dead = store.keep(&made)?;
    Ok(split_done(&made.set, dead))
}

/// Wraps the key, and opens what was wrapped with a threshold of the shares, before anybody relies on it.
fn wrap<T: Token>(
    vault: &mut Vault<T>,
    onion: OnionAddress,
    generation: u16,
    plan: Plan,
    polynomial: &Polynomial,
) -> Result<Backup, BackupError> {
    let set = BackupSet::new(onion, generation, plan, polynomial.commitments())?;
    let wrapped = vault.lend(onion, |key| WrappedKey::wrap(key, &set, &polynomial.secret()))??;
    let last = plan.shares().saturating_sub(plan.threshold());
    let shares: Vec<_> = (1..=plan.threshold()).map(|at| polynomial.share(last.saturating_add(at))).collect();
    set.open(&wrapped, &shares)?;
    Ok(Backup { set, wrapped })
}

/// What the ledger says of a set.
const fn facts(set: &BackupSet) -> BackupMade {
    let (threshold, shares) = (set.plan().threshold(), set.plan().shares());
    BackupMade {
        onion: set.onion(),
        generation: set.generation(),
        set: Head(*set.digest()),
        threshold,
        shares,
    }
}

/// Says what there is now, and what must not be done with it.
fn split_done(set: &BackupSet, dead: usize) -> String {
    let (onion, name, generation) = (set.onion(), set.short_name(), set.generation());
    let (threshold, shares) = (set.plan().threshold(), set.plan().shares());
    line(
        Level::Info,
        "backup-split",
        &[("onion", &onion.redacted()), ("set", &name), ("generation", &generation), ("shares", &shares)],
    );
    let mut text = format!(
        "{onion}\nset {name}, generation {generation}: {shares} shares are handed out, any {threshold} restore the key.\n\
         Copy the wrapped key away from here: onionkeep-signer backup export --onion {onion} --to DIR\n"
    );
    if dead != 0 {
        text.push_str(
            "The earlier generation is removed here. Copies of it still open with its own shares: destroy both.\n",
        );
    }
    text
}

/// `backup check`.
fn check(verifier: &Path, pipe: bool) -> Result<ExitCode, Failure> {
    let set = read_set(verifier)?;
    let index = scrub::after(|| Custodians::new(pipe)?.one(&set, &[]).map(|share| share.index()))?;
    let (threshold, shares) = (set.plan().threshold(), set.plan().shares());
    answer(&format!(
        "share {index} of {shares} is good\n{}\nset {}, generation {}: any {threshold} shares restore the key\n",
        set.onion(),
        set.short_name(),
        set.generation()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// `backup export`.
fn export_backup(path: &Path, onion: OnionAddress, dir: &Path) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let paths = export(&Store(&config.state_dir).latest(&onion)?, dir)?;
    answer(&paths.iter().map(|path| format!("{}\n", path.display())).collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// `restore`: the token is looked at first, so that nobody types a share in vain.
pub(super) fn restore(path: &Path, wrapped: &Path, verifier: &Path, pipe: bool) -> Result<String, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let backup = Backup::read(wrapped, verifier)?;
    let onion = backup.set.onion();
    let custodians = Custodians::new(pipe)?;
    harden::harden(crate::config::MemoryLock::IfPossible)?;
    // The ledger may be lost with the token: a restore needs none.
    let mut ledger = books::open_if_there(&config)?;
    let mut vault = open_vault(&config, Access::Write)?;
    if vault.knows(onion) {
        return Err(VaultError::Known(onion).into());
    }
    scrub::after(|| -> Result<(), BackupError> {
        let shares = custodians.collect(&backup.set)?;
        let key = backup.set.open(&backup.wrapped, &shares)?;
        drop(shares);
        vault.keep(&key)?;
        Ok(())
    })?;
    // From the token again: what was sealed opens, and is the key of the address.
    vault.check(onion)?;
    if let Some(ledger) = &mut ledger {
        let BackupMade { onion, generation, set, .. } = facts(&backup.set);
        books::record(ledger, Event::Custody(Custody::Restored { onion, generation, set }))?;
    }
    // So that the new place can be backed up, and the generations go on counting.
    Store(&config.state_dir).keep(&backup)?;
    line(Level::Info, "key-restored", &[("onion", &onion.redacted()), ("set", &backup.set.short_name())]);
    Ok(format!(
        "{onion}\n\nThe key is sealed to the token {:?}; opened again it is the key of this address.\n",
        config.token.label
    ))
}
