//! The commands `backup` and `restore`.

use super::{answer, books, open_vault};
use crate::backup::store::{Backup, export, read_set};
use crate::backup::{BackupError, BackupSet, Custodians, Plan, Polynomial, Store, WrappedKey};
use crate::backup::{custodian, medium};
use crate::cli::BackupCommand;
use crate::config::{Config, Depth};
use crate::error::Failure;
use crate::harden;
use crate::ledger::{BackupMade, Custody, Event, Head, Ledger};
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
    let worthless = |failure: Failure| {
        failure.after(
            "the shares that were just handed out are worthless: their backup is not kept",
            "have them destroyed, make state_dir and the ledger writable (owner, free space), and split again",
        )
    };
    books::record(&mut ledger, Event::Backup(facts(&made.set))).map_err(worthless)?;
    let dead = store.keep(&made).map_err(|error| worthless(error.into()))?;
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

/// `restore`.
pub(super) fn restore(path: &Path, wrapped: &Path, verifier: &Path, pipe: bool) -> Result<String, Failure> {
    bring_back(path, wrapped, verifier, pipe, Shares::IfNeeded).map(|restored| restored.text)
}

/// When shares are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shares {
    /// Unless the key is on the token already, and on record as restored by shares of the same set.
    IfNeeded,
    /// In any case: somebody wants to see that they open the key.
    Always,
}

/// What a restore came to.
pub(super) struct Restored {
    /// What is to be said.
    pub(super) text: String,
    /// Whether the key came to the token just now; if not it was there before.
    pub(super) sealed: bool,
}

/// Restores: the token is looked at first, so that nobody types a share in vain. A key that is there already is not sealed
/// again; the line and the files that are missing are written, once the shares have opened the key.
pub(super) fn bring_back(
    path: &Path,
    wrapped: &Path,
    verifier: &Path,
    pipe: bool,
    shares: Shares,
) -> Result<Restored, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let backup = Backup::read(wrapped, verifier)?;
    let onion = backup.set.onion();
    let custodians = Custodians::new(pipe)?;
    harden::harden(crate::config::MemoryLock::IfPossible)?;
    // The ledger may be lost with the token: a restore needs none.
    let mut ledger = books::open_if_there(&config)?;
    let mut vault = open_vault(&config, Access::Write)?;
    let BackupMade { generation, set, .. } = facts(&backup.set);
    let custody = Custody::Restored { onion, generation, set };
    let before = vault.knows(onion);
    let recorded = ledger.is_some() && books::is_on_record(&config, &custody)?;
    // A backup that is dead is of no use to anybody, on record or not.
    let dead =
        |ledger: &Ledger| ledger.memory().backup(&onion).is_some_and(|made| made.generation > generation);
    let wanting = ledger.as_ref().is_some_and(|ledger| !recorded && !dead(ledger));
    let store = Store(&config.state_dir);
    if before && !wanting && store.has(&backup.set)? && shares == Shares::IfNeeded {
        return Err(VaultError::Known(onion).into());
    }
    if !(before && recorded && shares == Shares::IfNeeded) {
        scrub::after(|| -> Result<(), BackupError> {
            let shares = custodians.collect(&backup.set)?;
            let key = backup.set.open(&backup.wrapped, &shares)?;
            drop(shares);
            if !before {
                vault.keep(&key)?;
            }
            Ok(())
        })?;
    }
    // From the token again: what was sealed opens, and is the key of the address.
    vault.check(onion)?;
    let name = backup.set.short_name();
    line(Level::Info, "key-restored", &[("onion", &onion.redacted()), ("set", &name), ("before", &before)]);
    let undone = |failure: Failure| unfinished(failure, &config.token.label);
    // A line about another token, in a ledger that came from there, is none about this one.
    if let Some(ledger) = ledger.as_mut().filter(|_open| !(before && recorded)) {
        books::record(ledger, Event::Custody(custody)).map_err(undone)?;
    }
    // So that the new place can be backed up, and the generations go on counting.
    store.keep(&backup).map_err(|error| undone(error.into()))?;
    Ok(Restored { text: restore_done(onion, &config.token.label, before), sealed: !before })
}

/// The key is on the token, and the ledger or the files of the backup are not as they should be.
fn unfinished(failure: Failure, label: &str) -> Failure {
    failure.after(
        &format!("the key IS sealed to the token {label:?}, and not all of that is on record"),
        "make state_dir and the ledger writable (owner, free space) and run the same restore again: it writes the line and \
         the files that are missing, and seals nothing twice",
    )
}

/// Says what there is now.
fn restore_done(onion: OnionAddress, label: &str, before: bool) -> String {
    let earlier = if before {
        "It was there before this command; what was missing beside it is there now.\n"
    } else {
        ""
    };
    format!(
        "{onion}\n\nThe key is sealed to the token {label:?}; opened again it is the key of this address.\n{earlier}"
    )
}
