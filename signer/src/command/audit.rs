//! `audit verify | show | checkpoint | export`: the ledger for those who check it. The only place that prints it.
//!
//! Verifying, showing and exporting need neither token nor PIN, and read a ledger that a signer is writing.

use super::{answer, books, open_vault};
use crate::audit_key::AuditKey;
use crate::clock::{Clock, Iso, SystemClock};
use crate::config::{Config, Depth};
use crate::error::{Explain as _, Failure, Kind};
use crate::ledger::device_log::contradicted;
use crate::ledger::verify::{Checker, EXPORT, Report, files_in};
use crate::ledger::{Event, Head, Keep, LedgerError, Line, Memory};
use crate::log::{Level, line};
use crate::token::pkcs11::Access;
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The files to be read: those that were named, or the configured ledger's.
fn files(config: &Path, named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if named.is_empty() {
        return Ok(files_in(&Config::load(config, Depth::Text)?.state_dir)?);
    }
    Ok(named.to_vec())
}

/// A flaw is what an auditor looks for: exit code 4. Everything else is as elsewhere.
fn found(error: LedgerError) -> Failure {
    if matches!(error, LedgerError::Broken { .. }) {
        return Failure::new(Kind::Verification, error.to_string(), error.hint());
    }
    error.into()
}

/// `audit verify`.
pub(super) fn verify(
    config: &Path,
    named: &[PathBuf],
    trusted: &[AuditKey],
    (expected, device_log): (Option<Head>, Option<&Path>),
    json: bool,
) -> Result<ExitCode, Failure> {
    let files = files(config, named)?;
    let mut nothing = |_line: &Line| {};
    let report = Checker::new(trusted.to_vec(), expected, &mut nothing).files(&files).map_err(found)?;
    if let Some(expected) = expected.filter(|_head| !report.expected) {
        let text =
            format!("no line has the hash {expected}: lines were cut off after it, or all were made anew");
        return Err(Failure::new(Kind::Verification, text, "compare with other copies of the ledger"));
    }
    if let Some(path) = device_log {
        fits_device_log(&report, path)?;
    }
    if trusted.is_empty() {
        line(Level::Warn, "no-audit-key-given", &[("why", &"checkpoints were not checked; --key KEY does")]);
    }
    answer(&if json { report_json(&report, !trusted.is_empty()) } else { report_text(&report, trusted) })?;
    Ok(ExitCode::SUCCESS)
}

/// Checks the token's own log against what the ledger says of it.
fn fits_device_log(report: &Report, path: &Path) -> Result<(), Failure> {
    let (shown, hint) = (path.display(), "compare with other copies of it and of the ledger");
    let said: Vec<_> = report.device_logs.iter().map(|(_line, log)| *log).collect();
    if said.is_empty() {
        let text = format!("the ledger says nothing about {shown}: there is no device-log line");
        return Err(Failure::new(Kind::Verification, text, hint));
    }
    let found = contradicted(path, &said)
        .map_err(|error| Failure::new(Kind::Usage, format!("cannot read {shown}: {error}"), ""))?;
    let Some((line, log)) = found.and_then(|at| report.device_logs.get(at)) else { return Ok(()) };
    let text = format!(
        "{shown} is not what line {line} of the ledger says: its first {} lines were changed or cut off",
        log.count
    );
    Err(Failure::new(Kind::Verification, text, hint))
}

/// What was found, for people.
fn report_text(report: &Report, trusted: &[AuditKey]) -> String {
    let Report { from, to, checkpoints, certificates, .. } = report;
    let signed = match (report.covered, trusted) {
        (None, _) => "no checkpoint: nothing vouches for the end of the ledger".to_owned(),
        (Some(line), []) => format!("{checkpoints} checkpoints up to line {line}, not checked without --key"),
        (Some(line), _) => format!("{checkpoints} checkpoints are good; the last vouches for line {line}"),
    };
    let time = report.time.map(|time| Iso(time).to_string()).unwrap_or_default();
    format!(
        "lines {from} to {to} are whole, the last of {time}\n{certificates} certificates are what was asked for\n\
         {signed}\naudit key: {}\nlast hash: {}\n",
        report.key.map(|key| key.to_string()).unwrap_or_default(),
        report.head.unwrap_or(Head::START),
    )
}

/// What was found, for machines.
fn report_json(report: &Report, checked: bool) -> String {
    let Report { from, to, checkpoints, certificates, .. } = report;
    let covered = report.covered.map_or("null".to_owned(), |line| line.to_string());
    format!(
        "{{\"whole\":true,\"from\":{from},\"to\":{to},\"time\":{},\"certificates\":{certificates},\
         \"checkpoints\":{checkpoints},\"signatures_checked\":{checked},\"covered\":{covered},\
         \"audit_key\":\"{}\",\"head\":\"{}\"}}\n",
        report.time.map_or(0, |time| time.0),
        report.key.map(|key| key.to_string()).unwrap_or_default(),
        report.head.unwrap_or(Head::START),
    )
}

/// `audit show`: lines that are whole, up to the first that is not.
pub(super) fn show(
    config: &Path,
    named: &[PathBuf],
    last: Option<usize>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let files = files(config, named)?;
    let (mut rows, mut backups) = (VecDeque::new(), Memory::new(Keep(0)));
    let mut keep = |line: &Line| {
        if let Event::Backup(_) = line.event {
            backups.learn(line);
        }
        if last.is_some_and(|last| rows.len() >= last) {
            rows.pop_front();
        }
        rows.push_back(line.clone());
    };
    let checked = Checker::new(Vec::new(), None, &mut keep).files(&files);
    // Which backup is dead is known only at the end.
    let dead =
        |line: &Line| matches!(line.event, Event::Backup(made) if backups.backup(&made.onion) != Some(made));
    let show = |line: &Line| if json { row_json(line, dead(line)) } else { row(line, dead(line)) };
    if last != Some(0) {
        answer(&rows.iter().map(show).collect::<String>())?;
    }
    checked.map_err(found)?;
    Ok(ExitCode::SUCCESS)
}

/// One line of the table. Long hex is cut: the line's number leads to the whole of it.
fn row(line: &Line, dead: bool) -> String {
    let text = line.event.to_string();
    let (word, details) = text.split_once(' ').unwrap_or((&text, ""));
    let short = |word: &str| match word.get(..16) {
        Some(start) if word.len() > 72 || word.len() == 64 => format!("{start}..."),
        Some(_) | None => word.to_owned(),
    };
    let details: Vec<_> = details.split(' ').map(short).collect();
    let dead = if dead { "  (dead: there is a later backup)" } else { "" };
    format!("{:>8}  {}  {word:<10}  {}{dead}\n", line.seq, Iso(line.time), details.join(" "))
}

/// One line as a JSON object. No word of a line needs escaping.
fn row_json(line: &Line, dead: bool) -> String {
    let text = line.event.to_string();
    let (word, details) = text.split_once(' ').unwrap_or((&text, ""));
    format!(
        "{{\"line\":{},\"time\":{},\"event\":\"{word}\",\"details\":\"{details}\",{}\"hash\":\"{}\"}}\n",
        line.seq,
        line.time.0,
        if dead { "\"dead\":true," } else { "" },
        line.head
    )
}

/// `audit checkpoint`.
pub(super) fn checkpoint(config: &Path) -> Result<String, Failure> {
    let config = Config::load(config, Depth::Text)?;
    let mut ledger = books::open(&config)?;
    let mut vault = open_vault(&config, Access::Read)?;
    ledger.must_name(vault.audit_key()?)?;
    if let Some(log) = vault.device_log()? {
        ledger.note_device_log(SystemClock.now(), log)?;
    }
    let (seq, head) = ledger.head();
    let signature = vault.sign_head(seq, head.0)?;
    ledger
        .checkpoint(SystemClock.now(), seq, head, signature)
        .map_err(|why| Failure::new(Kind::Usage, format!("the checkpoint is not recorded: {why}"), ""))?;
    let (seq, head) = ledger.head();
    Ok(format!("signed up to line {}; note the last hash elsewhere:\n\n{head}\n", seq.saturating_sub(1)))
}

/// `audit export`.
pub(super) fn export(config: &Path, out: Option<&Path>) -> Result<ExitCode, Failure> {
    let files = files(config, &[])?;
    let mut text = format!("{EXPORT}\n");
    let mut collect = |line: &Line| text.push_str(&line.to_text());
    let report = Checker::new(Vec::new(), None, &mut collect).files(&files).map_err(found)?;
    text.push_str(&format!("end {} {}\n", report.to, report.head.unwrap_or(Head::START)));
    let Some(out) = out else {
        answer(&text)?;
        return Ok(ExitCode::SUCCESS);
    };
    let written = std::fs::File::create_new(out)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written
        .map_err(|error| Failure::new(Kind::Usage, format!("cannot write {}: {error}", out.display()), ""))?;
    answer(&format!("lines {} to {} are in {}\n", report.from, report.to, out.display()))?;
    Ok(ExitCode::SUCCESS)
}
