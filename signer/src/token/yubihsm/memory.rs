//! The record of a device's log in memory, for tests: it can be full.

use super::log::{Link, LogSink, Record};
use crate::ledger::device_log::{DeviceLog, Reading};
use std::io;
use std::sync::{Arc, Mutex};

/// A record in memory that can be full.
#[derive(Clone, Default)]
pub(super) struct Memory(pub(super) Arc<Mutex<(Vec<Record>, bool)>>);

impl Memory {
    /// Everything on record, as text.
    pub(super) fn text(&self) -> Vec<String> {
        self.0.lock().unwrap().0.iter().map(ToString::to_string).collect()
    }

    /// The alarms on record.
    pub(super) fn alarms(&self) -> Vec<String> {
        let records = &self.0.lock().unwrap().0;
        records.iter().filter(|record| record.is_alarm()).map(ToString::to_string).collect()
    }

    /// Fills or empties the disk.
    pub(super) fn full(&self, full: bool) {
        self.0.lock().unwrap().1 = full;
    }
}

impl LogSink for Memory {
    fn head(&mut self) -> io::Result<DeviceLog> {
        let mut reading = Reading::default();
        for record in &self.0.lock().unwrap().0 {
            reading.feed(format!("{record}\n").as_bytes(), |_line| {});
        }
        Ok(reading.at())
    }

    fn last(&mut self) -> io::Result<Option<Link>> {
        let records = &self.0.lock().unwrap().0;
        Ok(records.iter().rev().find_map(|record| match record {
            Record::Entry(entry) => Some(entry.link()),
            Record::Gap { .. } | Record::Broken { .. } | Record::Unlogged { .. } => None,
        }))
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut inside = self.0.lock().unwrap();
        if inside.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inside.0.extend_from_slice(records);
        Ok(())
    }
}
