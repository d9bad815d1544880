//! Begins further files of the ledger, and mends a file in doubt; the only place where `ledger` becomes another file.

use super::chain::Chain;
use super::segments::{self, FILE};
use super::{Event, Ledger, LedgerError, Line, failed, octets, open_to_append};
use crate::state;
use onionkeep_common::UnixTime;

impl Ledger {
    /// Brings file and memory together again after a failure that left the file in doubt.
    pub(super) fn mend(&mut self) -> Result<(), LedgerError> {
        let path = self.dir.join(FILE);
        let segment = segments::first_segment(&path)?;
        if segment > self.segment {
            // The change to the next file was made, but not seen to be made.
            let mut chain = Chain::after(self.seq, self.head, self.key);
            let found = segments::adopt(&path, segment, &mut chain)?;
            (self.segment, self.len, self.repeated) = (segment, found.whole, found.repeated);
            (self.seq, self.head) = (chain.last(), chain.head());
            state::sync_directory(&self.dir).map_err(failed(&path, "made to last"))?;
        } else {
            let good = segments::good_part(&path, self.segment, self.len, self.head)?;
            state::replace(&self.dir, FILE, &good).map_err(failed(&path, "written anew"))?;
        }
        self.file = open_to_append(&path).map_err(failed(&path, "opened for writing"))?;
        self.doubtful = false;
        Ok(())
    }

    /// Begins the next file: the old one keeps its lines under another name, the new one repeats what holds on.
    ///
    /// There is a `ledger` at every moment: the old file gets its second name before the new one takes the first.
    pub(super) fn rotate(&mut self, now: UnixTime) -> Result<(), LedgerError> {
        let path = self.dir.join(FILE);
        let segment = self.segment.saturating_add(1);
        let first = Event::Rotate { segment, head: self.head, key: self.key };
        let mut lines = vec![Line::new(self.head, self.seq.saturating_add(1), now, first)];
        for event in self.memory.repeated() {
            let Some(before) = lines.last() else { break };
            lines.push(Line::new(before.head, before.seq.saturating_add(1), now, event));
        }
        let text: String = lines.iter().map(Line::to_text).collect();
        let old = segments::path(&self.dir, self.segment);
        // Until all of it is done, `mend` finds out how far it went.
        self.doubtful = true;
        let renamed = segments::link_anew(&path, &old)
            .and_then(|()| state::replace(&self.dir, FILE, text.as_bytes()))
            .and_then(|()| open_to_append(&path));
        self.file = renamed.map_err(failed(&path, "followed by the next file"))?;
        self.doubtful = false;
        self.segment = segment;
        (self.len, self.repeated) = (octets(&text), octets(&text));
        lines.iter().for_each(|line| self.went_on(line));
        Ok(())
    }
}
