//! A frontend whose signer is switched off: its certificates were made in a ceremony, and nobody can tell.
//!
//! The real commands make them: `request new`, `request enrol`, `issue`, `bundle verify` and the other verifier, `bundle
//! import`. A plain C tor service in the same network goes through the same checks.

mod sightings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_common::paper::Bundle;
use onionkeep_common::{OnionAddress, TimePeriod};
use onionkeep_tests::clock;
use onionkeep_tests::daemon::{Service, ceremony};
use onionkeep_tests::descriptor::Opened;
use onionkeep_tests::look::rows::{self, Subject};
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Backend, ServiceKind};
use onionkeep_tests::wait::{self, Seen};

use sightings::{History, expiry, spoiled};

/// Until something has been published and found.
const LIMIT: Duration = Duration::from_secs(90);
/// What a C tor service has by default.
const POINTS: u8 = 3;
/// Time between two looks at the directories.
const PACE: Duration = Duration::from_secs(3);
/// Longest time for one visit.
const VISIT: Duration = Duration::from_secs(120);
/// Until every responsible HSDir has shown what it holds: on a busy machine fetches break off.
const SHOWN: Duration = Duration::from_secs(90);
/// Log lines of a publisher that had no certificate, or made no descriptor.
const MISSED: [&str; 5] =
    [" no-certificate ", " no-upload ", " bundle-refused ", " bundle-over ", " bundle-fallback "];

/// The form that is always run: one hand-over from second to first, the publisher restarted before and after it.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    serve(stage, 1)
}

/// The full form: three whole periods, the publisher restarted in each.
pub(crate) fn tell_in_full(stage: &mut Stage) -> Result<()> {
    serve(stage, 4)
}

/// Serves from bundles alone until so many rotations were seen, and goes back to the signer.
fn serve(stage: &mut Stage, rotations: usize) -> Result<()> {
    let keys = hold_ceremony(stage, rotations)?;
    let since = clock::unix_now();
    let mut plain = Backend::start(&stage.network, "beside", ServiceKind::Plain)?;
    plain.wait_published(LIMIT)?;
    let log_before = stage.publisher.log().len();
    crate::publisher::restart(stage)?;
    // What the signer's time has left at the directories is gone then.
    wait_stored(stage, log_before)?;
    let mut watched = Watched::new(since);
    let (start, mut restarts) = (Instant::now(), 1);
    let (minutes, _offset) = stage.network.pace().test_period().context("this story needs short periods")?;
    // A look can take long on a busy machine, and a rotation is seen by the next one.
    let limit = Duration::from_secs(minutes * 60) * u32::try_from(rotations + 2)?;
    while watched.ours.periods().len() <= rotations {
        ensure!(start.elapsed() < limit, "no rotation in {} s", limit.as_secs());
        watched.look(stage, &plain)?;
        watched.visit(stage)?;
        if watched.ours.periods().len() > restarts {
            restarts += 1;
            crate::publisher::restart(stage)?;
            stage.report.reached(&format!("period {restarts}: restarted, full set of uploads"));
        }
        std::thread::sleep(PACE);
    }
    watched.look(stage, &plain)?;
    wait_stored(stage, log_before)?;
    watched.judge(&keys, &stage.publisher.log()[log_before..])?;
    look_alike(stage, &plain)?;
    stage.report.reached(&format!(
        "{} s on bundles alone, {restarts} restarts, {} uploads of {} periods seen beside {} of a C tor service, {} visits answered: 0 missed uploads, 0 wrong certificates",
        start.elapsed().as_secs(), watched.ours.uploads.len(), watched.ours.periods().len(), watched.theirs.uploads.len(), watched.visits
    ));
    go_back(stage)
}

/// Periods with an upload that not every HSDir has stored. One that ended with its period or with a restart is left out only
/// if another followed; a period that is over without is missed for ever.
fn waiting(log: &str) -> BTreeSet<String> {
    let mut waiting = BTreeSet::new();
    for line in log.lines() {
        let event = line.split(' ').nth(2).unwrap_or_default();
        let period = line.split(' ').find_map(|word| word.strip_prefix("period="));
        match (event, period) {
            ("upload", Some(period)) => drop(waiting.insert(period.to_owned())),
            ("stored-everywhere", Some(period)) => drop(waiting.remove(period)),
            _ => {}
        }
    }
    waiting
}

/// Waits until every upload is stored at every responsible HSDir.
fn wait_stored(stage: &Stage, log_from: usize) -> Result<()> {
    wait::until("every upload to be stored everywhere", LIMIT, || {
        let waiting = waiting(&stage.publisher.log()[log_from..]);
        Ok(if waiting.is_empty() { Seen::Ready(()) } else { Seen::NotYet(format!("periods {waiting:?}")) })
    })
}

/// Blinded key to the key of its slot.
type Keys = BTreeMap<[u8; 32], [u8; 32]>;

/// The signer ends, a ceremony is held for it, and the publisher is configured without it.
fn hold_ceremony(stage: &mut Stage, rotations: usize) -> Result<Keys> {
    stage.signer.stop()?;
    stage.publisher.stop()?;
    let service = Service {
        signer: None,
        bundles: true,
        mode: Some("ordinary"),
        max_points: Some(POINTS),
        ..stage.service()
    };
    stage.publisher.set_clockwork(stage.network.pace().clockwork());
    stage.publisher.serve(vec![service])?;
    ensure!(!stage.publisher.config_text().contains("signer"), "a signer in the configuration");
    let periods = u64::try_from(rotations)? + 6;
    let (seal, why) = ceremony::sealing(&stage.publisher)?;
    let held = ceremony::hold(&stage.signer, &stage.publisher, (&stage.address, periods), seal)?;
    let file = held.bundle.to_str().context("odd path")?;
    let imported = stage.publisher.run(&["bundle", "import", file])?.answer()?;
    let line = imported.lines().nth(1).unwrap_or_default();
    stage.report.reached(&format!("{periods} periods, keys sealed: {seal} {why}; {line}"));
    let (read, _signed) = Bundle::parse(&std::fs::read(&held.bundle)?)?;
    let onion: OnionAddress = stage.address.parse()?;
    let length = read.content.clockwork.rule.length;
    let slots = read.content.slots.iter().map(|slot| {
        let period = TimePeriod { number: slot.period, length };
        Ok((*onion.identity().blinded(period)?.as_bytes(), *slot.key.as_bytes()))
    });
    slots.collect()
}

/// What was seen of both services, and by visitors.
struct Watched {
    /// The frontend.
    ours: History,
    /// The plain service.
    theirs: History,
    /// Looks at which not all responsible HSDirs had the frontend's descriptor.
    gaps: Vec<String>,
    /// The same of the C tor service, which says something about the network only.
    their_gaps: Vec<String>,
    /// Visits that were answered.
    visits: usize,
}

impl Watched {
    /// Nothing yet.
    fn new(since: u64) -> Self {
        // The plain service was started some moments earlier, and the hour may have turned since.
        let (ours, theirs) =
            (History::new("frontend", since), History::new("C tor", since.saturating_sub(90)));
        Self { ours, theirs, gaps: Vec::new(), their_gaps: Vec::new(), visits: 0 }
    }

    /// Looks at both, as every HSDir holds them.
    fn look(&mut self, stage: &mut Stage, plain: &Backend) -> Result<()> {
        let address = stage.address.clone();
        for (history, address) in [(&mut self.ours, address.as_str()), (&mut self.theirs, plain.address())] {
            let (from, start) = (clock::unix_now(), Instant::now());
            let mut held = BTreeMap::new();
            while held.len() < HSDIRS && start.elapsed() < SHOWN {
                // A fetch that broke off says nothing about the HSDir.
                held.append(&mut stage.look_at(address).unwrap_or_default());
            }
            history.look(held.values(), (from, clock::unix_now()));
            if held.len() < HSDIRS {
                let gaps = if address == stage.address { &mut self.gaps } else { &mut self.their_gaps };
                gaps.push(format!("{} of {HSDIRS} HSDirs have one of {address}", held.len()));
            }
        }
        Ok(())
    }

    /// A client that has forgotten everything comes.
    fn visit(&mut self, stage: &mut Stage) -> Result<()> {
        if stage.client.until_forget().is_zero() {
            stage.client.forget()?;
            let address = stage.address.clone();
            stage.client.get_patiently(&address, VISIT).context("a visitor of the frontend on bundles")?;
            self.visits += 1;
        }
        Ok(())
    }

    /// No missed upload, no wrong certificate, nothing that C tor would not show; and each spoiled frontend is caught.
    fn judge(&self, keys: &Keys, log: &str) -> Result<()> {
        ensure!(
            self.gaps.is_empty(),
            "missed uploads: {:?}; of the C tor service: {:?}",
            self.gaps,
            self.their_gaps
        );
        let missed: Vec<_> =
            log.lines().filter(|line| MISSED.iter().any(|word| line.contains(word))).collect();
        ensure!(missed.is_empty(), "missed uploads:\n{}", missed.join("\n"));
        for seen in &self.ours.uploads {
            let slot = keys.get(&seen.blinded).context("a descriptor of a period without a slot")?;
            ensure!(*slot == seen.key, "a descriptor is signed by another key than its slot's");
        }
        for history in [&self.theirs, &self.ours] {
            let odd = history.odd();
            ensure!(odd.is_empty(), "not as C tor does it:\n  {}", odd.join("\n  "));
            let periods = history.periods().len();
            ensure!(periods > 1, "{}: {periods} period was seen", history.name);
        }
        must_be_caught(&self.ours)
    }
}

/// Every spoiled form of a history that is good must be noticed.
fn must_be_caught(good: &History) -> Result<()> {
    for (what, word, history) in spoiled(good) {
        let odd = history.odd();
        ensure!(odd.iter().any(|line| line.contains(word)), "nobody notices {what}: {odd:?}");
    }
    Ok(())
}

/// The rows of the story `look` for this frontend and this service.
fn look_alike(stage: &mut Stage, plain: &Backend) -> Result<()> {
    let address = stage.address.clone();
    let theirs = Subject::new("C tor", crate::look::collect(stage, plain.address())?);
    let ours = Subject::new("frontend on bundles", crate::look::collect(stage, &address)?);
    let mut found = Vec::new();
    for subject in [&theirs, &ours] {
        // They were uploaded some time ago: the hour is judged by the history.
        found.extend(rows::one(subject)?.into_iter().filter(|row| !row.starts_with("row 3,")));
    }
    found.extend(rows::pair(&theirs, &ours)?);
    ensure!(
        found.is_empty(),
        "a frontend on bundles can be told from a C tor service:\n  {}",
        found.join("\n  ")
    );
    Ok(())
}

/// The signer serves again, and the publisher asks it.
fn go_back(stage: &mut Stage) -> Result<()> {
    stage.signer.start()?;
    stage.publisher.set_clockwork(None);
    stage.publisher.serve(vec![stage.service()])?;
    crate::publisher::restart(stage).map(drop)
}

/// The log can tell: an upload that is not stored everywhere is waited for, in this run of the publisher or the next.
fn log_can_tell() -> Result<()> {
    let upload = "2026-11-26T11:16:10Z info upload onion=[...]x period=7 why=first revision=3 hsdirs=8\n";
    let stored = "2026-11-26T11:16:11Z info stored-everywhere period=7 revision=3 hsdirs=8 onion=[...]x\n";
    let start = "2026-11-26T11:16:12Z info start version=0.1.0\n";
    for (log, count) in [
        (vec![upload], 1),
        (vec![upload, stored], 0),
        (vec![upload, start], 1),
        (vec![upload, start, upload, stored], 0),
    ] {
        ensure!(waiting(&log.concat()).len() == count, "{log:?}");
    }
    Ok(())
}

/// The checks can tell: two days of a C tor service pass, and each spoiled one is found.
pub(crate) fn sightings_can_tell() -> Result<()> {
    log_can_tell()?;
    let start = 1_795_363_200;
    let mut good = History::new("made up", start);
    for (period, hour) in (0..2_u8).flat_map(|period| (0..48).map(move |hour| (period, hour))) {
        let at = start + u64::from(period) * 86_400 + hour * 3600 + 1800;
        let opened = Opened {
            blinded: [period; 32],
            signing_key: [period + 10; 32],
            expires: expiry(at),
            revision: hour + 1,
            ..vector()?
        };
        // Once a minute, as the story looks often.
        good.look([].iter(), (at - 60, at - 59));
        good.look([opened].iter(), (at, at + 1));
    }
    let odd = good.odd();
    ensure!(odd.is_empty() && good.uploads.len() == 96, "C tor is told from itself: {odd:?}");
    must_be_caught(&good)?;
    let mut fixed = good.clone();
    fixed
        .uploads
        .iter_mut()
        .for_each(|seen| seen.expires = expiry(start + u64::from(seen.blinded[0]) * 86_400));
    ensure!(!fixed.odd().is_empty(), "nobody notices one certificate of the first hour for a whole period");
    Ok(())
}

/// Some descriptor.
fn vector() -> Result<Opened> {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/descriptors.json"))?;
    let entries = vectors["descriptors"].as_array().context("no list of descriptors")?;
    let entry = entries.iter().find(|entry| entry["name"] == "ctor_plain").context("no such descriptor")?;
    let address = format!("{}.onion", entry["address"].as_str().context("no address")?);
    Opened::new(&address, include_str!("../vectors/ctor_plain.desc.txt"))
}
