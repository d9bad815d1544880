//! Checks a whole ledger, or an export of one, with nothing but the public audit key: what an auditor runs elsewhere.

use super::chain::{Chain, Flaw};
use super::device_log::DeviceLog;
use super::error::LedgerError;
use super::event::{Event, Slot};
use super::line::{Head, LINE_MAX, Line};
use super::segments::{self, FILE};
use crate::audit_key::AuditKey;
use crate::gate::is_right;
use onionkeep_common::{EncodedCert, UnixTime};
use onionkeep_core::CertTerms;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The first line of an export.
pub const EXPORT: &str = "onionkeep ledger export v1";
/// A certificate stands at most this many requests after the line that asked for it, or after a restart meanwhile.
const REACH: usize = 65_536;

/// What was found in a ledger that is whole.
#[derive(Debug, Default)]
pub struct Report {
    /// The first line's number.
    pub from: u64,
    /// The last line's number.
    pub to: u64,
    /// The last line's hash.
    pub head: Option<Head>,
    /// When the last line was written.
    pub time: Option<UnixTime>,
    /// The audit key at the end.
    pub key: Option<AuditKey>,
    /// Good checkpoints.
    pub checkpoints: u64,
    /// The line up to which the last of them vouches.
    pub covered: Option<u64>,
    /// Certificates that were checked.
    pub certificates: u64,
    /// Whether a line has the hash that was asked about.
    pub expected: bool,
    /// What was said about the token's own log, each with its line's number.
    pub device_logs: Vec<(u64, DeviceLog)>,
}

/// Checks lines as they come.
pub struct Checker<'f> {
    /// The chain.
    chain: Chain,
    /// What was asked for of late, by line.
    asked: BTreeMap<u64, Slot>,
    /// The hash that is to be found.
    expected: Option<Head>,
    /// What was found.
    report: Report,
    /// Told of every line that is good.
    each: &'f mut dyn FnMut(&Line),
}

impl<'f> Checker<'f> {
    /// Checks signatures by `trusted` keys (none: not at all), looks for `expected`, and tells `each` of good lines.
    pub fn new(trusted: Vec<AuditKey>, expected: Option<Head>, each: &'f mut dyn FnMut(&Line)) -> Self {
        let chain = Chain::checking(trusted);
        Self { chain, asked: BTreeMap::new(), expected, report: Report::default(), each }
    }

    /// Checks a list of files in their order: the ledger's own, or one export.
    ///
    /// # Errors
    /// [`LedgerError::Broken`] at the first flaw.
    pub fn files(mut self, paths: &[PathBuf]) -> Result<Report, LedgerError> {
        for path in paths {
            if is_export(path)? {
                self.export(path)?;
                continue;
            }
            let segment = segments::first_segment(path)?;
            let Self { chain, asked, expected, report, each } = &mut self;
            let found = segments::walk(path, segment_after(chain, segment), chain, |line, _number| {
                note(asked, *expected, report, line)?;
                each(line);
                Ok(())
            })?;
            segments::refuse_torn(path, &found)?;
        }
        Ok(self.done())
    }

    /// Checks an export: its head, its lines, its end.
    fn export(&mut self, path: &Path) -> Result<(), LedgerError> {
        let mut reader = BufReader::new(File::open(path).map_err(|source| io_error(path, source))?);
        let mut number = 1_usize;
        let _head = text_line(&mut reader, path, number)?;
        loop {
            number = number.saturating_add(1);
            let broken = |flaw| LedgerError::Broken { path: path.to_owned(), line: number, flaw };
            let text = text_line(&mut reader, path, number)?;
            if let Some(end) = text.strip_prefix("end ") {
                let (seq, head) = (self.chain.last(), self.chain.head());
                let rest = reader.read(&mut [0]).map_err(|source| io_error(path, source))?;
                let whole = end == format!("{seq} {head}") && rest == 0;
                return if whole {
                    Ok(())
                } else {
                    Err(broken(Flaw::Words("the end does not fit the lines")))
                };
            }
            let word = text.split(' ').nth(2);
            let first = matches!(word, Some("init" | "rotate"));
            if first {
                let segment = Line::parse(&text).map_err(Flaw::Words).map_err(broken)?.segment();
                self.chain.enter(segment_after(&self.chain, segment.unwrap_or(1)));
            }
            let line = self.chain.take(&text, first).map_err(broken)?;
            note(&mut self.asked, self.expected, &mut self.report, &line).map_err(broken)?;
            (self.each)(&line);
        }
    }

    /// What was found.
    fn done(self) -> Report {
        let Self { chain, mut report, .. } = self;
        report.to = chain.last();
        report.head = Some(chain.head());
        report.key = chain.key();
        report.covered = chain.covered();
        report
    }
}

/// The number that the next file must have: the one after the last, or whatever the first file says.
fn segment_after(chain: &Chain, found: u64) -> u64 {
    if chain.last() == 0 { found } else { chain.segment().saturating_add(1) }
}

/// Notes a good line, and checks a certificate in it.
fn note(
    asked: &mut BTreeMap<u64, Slot>,
    expected: Option<Head>,
    report: &mut Report,
    line: &Line,
) -> Result<(), Flaw> {
    if report.from == 0 {
        report.from = line.seq;
    }
    report.expected |= expected == Some(line.head);
    report.time = Some(line.time);
    match &line.event {
        Event::Asked { slot, uid: _ } => {
            asked.insert(line.seq, *slot);
            if asked.len() > REACH {
                asked.pop_first();
            }
        }
        Event::Issued { asked: seq, cert } => match asked.get(seq) {
            Some(slot) if fits(cert, slot, line.time) => {
                report.certificates = report.certificates.saturating_add(1);
            }
            None if *seq < report.from => {}
            Some(_) | None => return Err(Flaw::Cert(*seq)),
        },
        Event::Checkpoint { .. } => report.checkpoints = report.checkpoints.saturating_add(1),
        Event::Init { .. }
        | Event::Rotate { .. }
        | Event::Rekey { .. }
        | Event::Start { .. }
        | Event::Refused { .. }
        | Event::Enrol { .. }
        | Event::Request(_)
        | Event::Key { .. }
        | Event::Bundle { .. }
        | Event::Deny(_)
        | Event::Backup(_)
        | Event::Custody(_) => {}
        Event::DeviceLog { count, head } => {
            report.device_logs.push((line.seq, DeviceLog { count: *count, head: *head }));
        }
    }
    Ok(())
}

/// Whether a certificate is the one that was asked for, checked as if it came from a stranger.
fn fits(cert: &EncodedCert, slot: &Slot, time: UnixTime) -> bool {
    let terms = CertTerms { period: slot.period, key: slot.key, expires: slot.expires };
    is_right(cert, slot.onion, &terms, time)
}

/// The ledger's files in a state directory, oldest first.
///
/// # Errors
/// [`LedgerError`] if there is none, or one between is missing.
pub fn files_in(state_dir: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let newest = state_dir.join(FILE);
    let segment = segments::first_segment(&newest)?;
    let older = (1..segment).map(|segment| segments::path(state_dir, segment));
    // Those that were moved away are missing at the front only; a gap is found when it is read.
    let mut files: Vec<_> = older.skip_while(|path| !path.exists()).collect();
    files.push(newest);
    Ok(files)
}

/// Whether a file is an export.
fn is_export(path: &Path) -> Result<bool, LedgerError> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let limit = u64::try_from(EXPORT.len()).unwrap_or(0).saturating_add(1);
    file.take(limit).read_to_end(&mut start).map_err(|source| io_error(path, source))?;
    Ok(start == format!("{EXPORT}\n").as_bytes())
}

/// The next line of an export, which must have a line end.
fn text_line(reader: &mut impl BufRead, path: &Path, number: usize) -> Result<String, LedgerError> {
    let broken = |why| LedgerError::Broken { path: path.to_owned(), line: number, flaw: Flaw::Words(why) };
    let mut octets = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    reader.by_ref().take(limit).read_until(b'\n', &mut octets).map_err(|source| io_error(path, source))?;
    let line = octets.strip_suffix(b"\n").ok_or_else(|| broken("the export ends before its end"))?;
    str::from_utf8(line).map(str::to_owned).map_err(|_octets| broken("it is not text"))
}

/// A failed read.
fn io_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { path: path.to_owned(), what: "read", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{NOW, asked};

    #[test]
    fn what_was_asked_for_is_known_however_many_lines_a_further_file_repeats_after_it() {
        let (mut known, mut report) = (BTreeMap::new(), Report::default());
        for seq in [1, 100_000] {
            let line = Line::new(Head::START, seq, NOW, asked(1, 100));
            note(&mut known, None, &mut report, &line).unwrap();
        }
        assert!(known.contains_key(&1));
    }
}
