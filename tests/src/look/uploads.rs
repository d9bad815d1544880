//! Upload logs: which HSDir stored or refused what, and when, as the uploading tor hears it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::clock;
use crate::tornet::Control;

/// How often a watch looks whether it should end.
const PATIENCE: Duration = Duration::from_secs(1);

/// One answer of an HSDir.
#[derive(Clone, Debug)]
struct Entry {
    /// When, in seconds since 1970.
    at: f64,
    /// The service, without `.onion`.
    service: String,
    /// The HSDir's fingerprint.
    hsdir: String,
    /// Whether it stored it.
    stored: bool,
}

/// A copy that was stored.
#[derive(Clone, Debug)]
pub struct Ack {
    /// The HSDir's fingerprint.
    pub hsdir: String,
    /// When it was heard, in seconds since 1970.
    pub at: f64,
}

/// The answers about one service.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// When an HSDir stored a copy, in seconds since 1970.
    pub stored: Vec<f64>,
    /// When one refused a copy, alike.
    pub refused: Vec<f64>,
}

/// Listens to one tor until it is dropped.
pub struct Watch {
    /// What it heard.
    entries: Arc<Mutex<Vec<Entry>>>,
    /// Set when it should end.
    over: Arc<AtomicBool>,
    /// Its thread.
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to listen.
    pub fn start(mut control: Control) -> Result<Self> {
        control.ask("SETEVENTS HS_DESC")?;
        let (entries, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (list, flag) = (Arc::clone(&entries), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                if let Ok(line) = control.event("an upload", PATIENCE, |_line| true)
                    && let Some(entry) = read(&line.text)
                {
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                }
            }
        });
        Ok(Self { entries, over, thread: Some(thread) })
    }

    /// When an HSDir first stored a copy of any service.
    #[must_use]
    pub fn first_stored(&self) -> Option<f64> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().find(|entry| entry.stored).map(|entry| entry.at)
    }

    /// The copies of a service (with `.onion`) that were stored.
    #[must_use]
    pub fn acks(&self, address: &str) -> Vec<Ack> {
        let bare = address.trim_end_matches(".onion");
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let own = entries.iter().filter(|entry| entry.stored && entry.service == bare);
        own.map(|entry| Ack { hsdir: entry.hsdir.clone(), at: entry.at }).collect()
    }

    /// What was heard of a service (with `.onion`).
    #[must_use]
    pub fn log(&self, address: &str) -> Log {
        let bare = address.trim_end_matches(".onion");
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = Log::default();
        for entry in entries.iter().filter(|entry| entry.service == bare) {
            if entry.stored {
                log.stored.push(entry.at);
            } else {
                log.refused.push(entry.at);
            }
        }
        log
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// An event about an upload.
fn read(event: &str) -> Option<Entry> {
    let mut words = event.split(' ');
    let stored = match (words.next()?, words.next()?) {
        ("HS_DESC", "UPLOADED") => true,
        ("HS_DESC", "FAILED") if event.contains("REASON=UPLOAD_REJECTED") => false,
        _ => return None,
    };
    let service = words.next()?.to_owned();
    // `$` before the fingerprint, a name after it.
    let hsdir = words.nth(1)?.chars().skip(1).take(40).collect();
    Some(Entry { at: clock::since_1970().as_secs_f64(), service, hsdir, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_to_uploads_are_noted() {
        let stored = read(&format!("HS_DESC UPLOADED abc UNKNOWN ${}~x", "A".repeat(40))).unwrap();
        assert!(stored.stored && stored.hsdir == "A".repeat(40));
        let refused = read("HS_DESC FAILED abc UNKNOWN $AA~x REASON=UPLOAD_REJECTED").unwrap();
        assert!(!refused.stored && refused.service == "abc");
        assert!(read("HS_DESC FAILED abc UNKNOWN $AA~x REASON=NOT_FOUND").is_none());
        assert!(read("HS_DESC UPLOAD abc UNKNOWN $AA~x desc").is_none());
    }
}
