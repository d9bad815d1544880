//! The file `device-log` in the state directory: one line for each record, appended and fsynced.
//!
//! It is opened before the process gives up the right to open files, and only appended to. The entries carry the device's
//! own chain of digests, so that a line that is changed or missing shows. A line that was cut short by a crash is ended by
//! the next one: its entry is still on the device.

use super::{Link, LogSink, Record};
use crate::ledger::device_log::{DeviceLog, Reading};
use crate::{careful, state};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// The file's name in the state directory.
pub const NAME: &str = "device-log";
/// The last entry is looked for in so many octets at the end; between two of them stands at most one page's alarms.
const TAIL: u64 = 1 << 16;

/// So many octets are read at once.
const BLOCK: usize = 1 << 16;

/// The file.
pub struct LogFile {
    /// Open for appending.
    file: File,
    /// What ended the file when it was looked at last, and how long it was.
    seen: (u64, Tail),
    /// What was read of it for its hash, and how many octets that were.
    read: (u64, Reading),
}

/// What ends the file.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    /// The last entry.
    last: Option<Link>,
    /// Whether the last line has no end.
    torn: bool,
}

impl LogFile {
    /// Opens the file or makes it. A new file for a device that is in use starts with a gap, which is an alarm.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        let fresh = !path.exists();
        let file = careful::open_or_make(&path, File::options().read(true).append(true))?;
        if fresh {
            file.set_permissions(Permissions::from_mode(0o600))?;
            state::give_to_owner(directory, &file)?;
            file.sync_all()?;
            state::sync_directory(directory)?;
        }
        let mut log = Self { file, seen: (0, Tail::default()), read: (0, Reading::default()) };
        // All of it now: later there are deadlines, and only what is new is left to be read.
        let _head = log.head()?;
        Ok(log)
    }

    /// What ends the file now: a command that makes keys writes to it too.
    fn tail(&mut self) -> io::Result<Tail> {
        let length = self.file.metadata()?.len();
        if length != self.seen.0 {
            let from = length.saturating_sub(TAIL);
            let mut octets = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or_default()];
            self.file.read_exact_at(&mut octets, from)?;
            self.seen = (length, tail_of(&String::from_utf8_lossy(&octets)));
        }
        Ok(self.seen.1)
    }
}

/// What ends a text.
fn tail_of(text: &str) -> Tail {
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    Tail { last: whole.lines().rev().find_map(link), torn: !text.is_empty() && !text.ends_with('\n') }
}

impl LogSink for LogFile {
    fn head(&mut self) -> io::Result<DeviceLog> {
        let length = self.file.metadata()?.len();
        if length < self.read.0 {
            self.read = (0, Reading::default());
        }
        let (at, reading) = &mut self.read;
        let mut buffer = vec![0; BLOCK];
        while *at < length {
            let octets = self.file.read_at(&mut buffer, *at)?;
            let Some(read @ [_, ..]) = buffer.get(..octets) else { break };
            reading.feed(read, |_line| {});
            *at = at.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
        }
        Ok(reading.at())
    }

    fn last(&mut self) -> io::Result<Option<Link>> {
        Ok(self.tail()?.last)
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut text = if self.tail()?.torn { "\n".to_owned() } else { String::new() };
        for record in records {
            text.push_str(&format!("{record}\n"));
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }
}

/// Number and digest in a line, if it is one of an entry.
fn link(line: &str) -> Option<Link> {
    let words = line.strip_prefix("entry ")?;
    let value = |key: &str| words.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let number = value("number")?.parse().ok()?;
    let digest = data_encoding::HEXLOWER.decode(value("digest")?.as_bytes()).ok()?;
    Some(Link { number, digest: digest.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{entry, genuine};
    use super::*;
    use crate::ledger::device_log::contradicted;

    #[test]
    fn the_chain_goes_on_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let entries = genuine();
        let records: Vec<_> = entries.iter().cloned().map(Record::Entry).collect();
        let mut log = LogFile::open(dir.path()).unwrap();
        assert_eq!(log.last().unwrap(), None);
        log.append(&records).unwrap();
        log.append(&[Record::Unlogged { boots: 1, logins: 0 }]).unwrap();
        let mode = std::fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            LogFile::open(dir.path()).unwrap().last().unwrap(),
            entries.last().map(|entry| entry.link())
        );
    }

    #[test]
    fn what_another_process_appends_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let entries = genuine();
        let (mut one, mut other) = (LogFile::open(dir.path()).unwrap(), LogFile::open(dir.path()).unwrap());
        one.append(&[Record::Entry(entries[0].clone())]).unwrap();
        assert_eq!(other.last().unwrap(), Some(entries[0].link()));
        other.append(&[Record::Entry(entries[1].clone())]).unwrap();
        assert_eq!(one.last().unwrap(), Some(entries[1].link()));
    }

    #[test]
    fn the_head_is_that_of_all_whole_lines_and_grows_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let entries = genuine();
        let mut log = LogFile::open(dir.path()).unwrap();
        let empty = log.head().unwrap();
        assert_eq!(empty.count, 0);
        log.append(&[Record::Entry(entries[0].clone())]).unwrap();
        let one = log.head().unwrap();
        assert_eq!(one.count, 1);
        LogFile::open(dir.path()).unwrap().append(&[Record::Entry(entries[1].clone())]).unwrap();
        let two = log.head().unwrap();
        assert_eq!((two.count, two == LogFile::open(dir.path()).unwrap().head().unwrap()), (2, true));
        // What was said is borne out by the file for ever, and no longer when a line is changed.
        let path = dir.path().join(NAME);
        assert_eq!(contradicted(&path, &[one, two]).unwrap(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("tick=", "tick=1", 1)).unwrap();
        assert_eq!(contradicted(&path, &[two]).unwrap(), Some(0));
        std::fs::write(&path, "").unwrap();
        assert_eq!(log.head().unwrap(), empty, "a file that was emptied is read anew");
    }

    #[test]
    fn a_torn_line_is_no_entry_and_does_not_swallow_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let entries = genuine();
        let mut text = format!("{}\n{}", entries[0], entries[1]);
        text.truncate(text.len() - 3);
        std::fs::write(dir.path().join(NAME), text).unwrap();
        let mut log = LogFile::open(dir.path()).unwrap();
        assert_eq!(log.last().unwrap(), Some(entries[0].link()));
        log.append(&[Record::Entry(entries[1].clone())]).unwrap();
        assert_eq!(LogFile::open(dir.path()).unwrap().last().unwrap(), Some(entries[1].link()));
    }

    #[test]
    fn a_line_of_an_entry_reads_back_and_others_do_not() {
        let entry = entry(7, 0x53, &[9; 16]);
        assert_eq!(link(&entry.to_string()), Some(entry.link()));
        for bad in ["gap last=1 next=3", "entry number=7", "entry number=x digest=00", ""] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }
}
