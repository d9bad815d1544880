//! Emptying the device's log: read, judge, put on record, and only then free it on the device.

use super::device::{Device, Trouble};
use super::log::{LogSink, Record, judge};
use crate::ledger::device_log::DeviceLog;
use crate::log::{Level, line};
use std::io;

/// Calls after which the log is emptied. A call may cost four entries (session, log-in, the call, freeing), and 62 fit.
const EVERY: u32 = 8;

/// Why the log was not emptied.
#[derive(Debug)]
pub(super) enum Undrained {
    /// The device.
    Device(Trouble),
    /// It could not be put on record.
    Record(io::Error),
}

/// The device's log on its way to the record.
pub(super) struct Drain {
    /// Where it goes.
    sink: Box<dyn LogSink>,
    /// The counters of unlogged events that are on record.
    unlogged: (u16, u16),
    /// Calls since it was empty.
    since: u32,
}

impl Drain {
    /// A log that was never emptied.
    pub(super) fn new(sink: Box<dyn LogSink>) -> Self {
        Self { sink, unlogged: (0, 0), since: 0 }
    }

    /// How much is on record.
    pub(super) fn head(&mut self) -> io::Result<DeviceLog> {
        self.sink.head()
    }

    /// Notes a call; whether it is time.
    pub(super) const fn is_due(&mut self) -> bool {
        self.since = self.since.saturating_add(1);
        self.since >= EVERY
    }

    /// Empties the log and returns what went on record.
    pub(super) fn run(&mut self, device: &mut dyn Device) -> Result<Vec<Record>, Undrained> {
        let page = device.log().map_err(Undrained::Device)?;
        let mut records = Vec::new();
        let unlogged = (page.unlogged_boots, page.unlogged_logins);
        if unlogged != self.unlogged && unlogged != (0, 0) {
            records.push(Record::Unlogged { boots: unlogged.0, logins: unlogged.1 });
        }
        records.extend(judge(self.sink.last().map_err(Undrained::Record)?, &page));
        for alarm in records.iter().filter(|record| record.is_alarm()) {
            line(Level::Error, "device-log-alarm", &[("what", alarm)]);
        }
        if !records.is_empty() {
            self.sink.append(&records).map_err(Undrained::Record)?;
        }
        self.unlogged = unlogged;
        // What is on the device is on record now, also if it was so before: a crash may have come before the freeing.
        if let Some(last) = page.entries.last() {
            device.free_log(last.number).map_err(Undrained::Device)?;
        }
        self.since = 0;
        Ok(records)
    }
}
