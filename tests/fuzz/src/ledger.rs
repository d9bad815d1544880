//! Target for the ledger: its lines, their chain, the file and the export that an auditor reads.

use super::scratch::Scratch;
use onionkeep_signer::ledger::chain::Chain;
use onionkeep_signer::ledger::verify::{Checker, EXPORT};
use onionkeep_signer::ledger::{Event, Head, Line};

/// Each line as it stands: what is read is written the same. Then all lines with good hashes, as a file and as an export.
pub fn ledger(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    for line in text.split('\n') {
        assert!(!Line::parse(line).is_ok_and(|read| read.to_text() != format!("{line}\n")));
    }
    let Some(lines) = chained(text) else { return false };
    let Some(last) = lines.last() else { return false };
    let whole: String = lines.iter().map(Line::to_text).collect();
    let export = format!("{EXPORT}\n{whole}end {} {}\n", last.seq, last.head);
    thread_local! { static FOLDER: Scratch = Scratch::new(); }
    FOLDER.with(|folder| {
        let check = |content: &str| {
            let path = folder.write("ledger", content.as_bytes());
            let mut count = 0;
            let report = Checker::new(Vec::new(), Some(last.head), &mut |_line| count += 1).files(&[path]);
            report.ok().map(|report| {
                assert!(report.expected && report.head == Some(last.head) && count == lines.len());
                (report.from, report.to, report.covered, report.certificates)
            })
        };
        let as_file = check(&whole);
        assert_eq!(check(&export), as_file, "the export says something else");
        assert!(check(whole.trim_end_matches('\n')).is_none(), "a cut line is whole");
        assert!(check(&format!("{export}\n")).is_none(), "an export goes on after its end");
        as_file.is_some()
    })
}

/// The lines with the hashes that belong there, also in checkpoints; `None` if the chain refuses one.
fn chained(text: &str) -> Option<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut chain = Chain::default();
    for (at, words) in text.lines().enumerate() {
        let start = words.rsplit_once(' ')?.0;
        let mut read = Line::parse(&format!("{start} {}", Head::START)).ok()?;
        if let Event::Checkpoint { seq, head, .. } = &mut read.event
            && let Some(covered) = lines.iter().find(|line| line.seq == *seq)
        {
            *head = covered.head;
        }
        let after = lines.last().map_or(Head::START, |line| line.head);
        let rotated = if let Event::Rotate { head, .. } = &read.event { Some(*head) } else { None };
        let before = rotated.filter(|_head| at == 0).unwrap_or(after);
        if at == 0 {
            chain.enter(read.segment()?);
        }
        let line = Line::new(before, read.seq, read.time, read.event);
        let taken = chain.take(line.to_text().trim_end_matches('\n'), at == 0).ok()?;
        assert_eq!(taken, line);
        // The same words with another hash are never taken.
        let forged = Line { head: Head([0x5a; 32]), ..line.clone() };
        assert!(chain.clone().take(forged.to_text().trim_end_matches('\n'), false).is_err());
        lines.push(line);
    }
    Some(lines)
}
