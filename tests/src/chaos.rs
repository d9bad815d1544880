//! A run in which everything of ours dies at random while somebody visits: every failed visit is judged by evidence.
//!
//! The whole run is `tests/run chaos SECONDS`. Two clients try every ten seconds and forget everything before: one visits the
//! frontend, one a plain C tor service in the same network, which shows how often Tor itself fails here.

pub mod judge;
pub mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::assurance::dice::Dice;
use crate::descriptor::{Opened, auth_keys};
use crate::report::Report;
use crate::stage::{Stage, bare};
use crate::tornet::{Backend, Client, Pace, ServiceKind, wait_for_steady_values};
use judge::{Book, Failure, Fault, Held, Key, Life};
use troubles::{Tools, Trouble};

/// Backends; at most half of them are down at a time.
const BACKENDS: usize = 4;
/// A client tries so often.
const EVERY: Duration = Duration::from_secs(10);
/// And waits so long for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The points of all living backends are looked at so often.
const LOOK: Duration = Duration::from_secs(30);
/// How soon everything must be well after the last trouble.
const RECOVERY: Duration = Duration::from_secs(180);

/// What a run has shown.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Visits to the frontend.
    pub visits: usize,
    /// Those that failed, with whose fault it was and the evidence.
    pub failures: Vec<(Failure, Fault, String)>,
    /// Visits to the plain service.
    pub plain: usize,
    /// Those that failed.
    pub plain_failed: usize,
    /// How often each trouble was made.
    pub troubles: BTreeMap<&'static str, usize>,
    /// Until every backend answered again after the end; `None` if not every one did.
    pub recovered: Option<Duration>,
    /// What kept them from it.
    pub not_recovered: Option<String>,
}

impl Outcome {
    /// How many failures have this fault.
    #[must_use]
    pub fn count(&self, fault: Fault) -> usize {
        self.failures.iter().filter(|(_failure, own, _evidence)| *own == fault).count()
    }
}

/// Runs for so long. The seed gives the same troubles in the same order.
pub fn run(length: Duration, seed: usize, report: &Report) -> Result<Outcome> {
    wait_for_steady_values(report);
    let mut stage = Stage::build(Pace::Day, BACKENDS, report)?;
    let mut plain = Backend::start(&stage.network, "plain", ServiceKind::Plain)?;
    plain.wait_published(PATIENCE)?;
    let tools = Tools::new(&mut stage)?;
    let (mut ours, mut theirs) =
        (Client::start(&stage.network, "visitor")?, Client::start(&stage.network, "other")?);
    let names = stage.backend_names();
    stage.visit_until_all(&names, names.len(), RECOVERY)?;
    let start = Instant::now();
    let (over, plain_count, count) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (tell, told) = channel();
    let (tell_plain, told_plain) = channel();
    let (address, hsdirs) = (stage.address.clone(), stage.network.fingerprints().to_vec());
    let mut play = Play::new(&mut stage, tools, start, seed);
    thread::scope(|scope| {
        scope.spawn(|| visit(&mut ours, &hsdirs, &address, start, &over, &count, &tell));
        scope.spawn(|| visit(&mut theirs, &hsdirs, plain.address(), start, &over, &plain_count, &tell_plain));
        let played = play.run(length, &told);
        over.store(true, Ordering::Relaxed);
        played
    })?;
    drop((tell, tell_plain));
    let mut outcome = play.finish(&told)?;
    outcome.visits = count.into_inner();
    outcome.plain = plain_count.into_inner();
    outcome.plain_failed = told_plain.iter().count();
    Ok(outcome)
}

/// Visits until it is over.
fn visit(
    client: &mut Client,
    hsdirs: &[String],
    address: &str,
    start: Instant,
    over: &AtomicBool,
    count: &AtomicUsize,
    tell: &Sender<Failure>,
) {
    while !over.load(Ordering::Relaxed) {
        let forgot = client.forget();
        let began = start.elapsed();
        let answer = forgot.and_then(|()| client.get(address, PATIENCE));
        let ended = start.elapsed();
        count.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = answer {
            let held = held(client, hsdirs, address);
            drop(tell.send(Failure { began, ended, error: format!("{error:#}"), held }));
        }
        thread::sleep((began + EVERY).saturating_sub(start.elapsed()));
    }
}

/// What the client has of this service, out of its own tor.
fn held(client: &mut Client, hsdirs: &[String], address: &str) -> Held {
    let text = client.control().info(&format!("hs/client/desc/id/{}", bare(address)));
    let opened = text.and_then(|text| auth_keys(&Opened::new(address, &text)?));
    opened.map(Held::Points).unwrap_or_else(|_none| {
        let found = client.fetch_from(hsdirs, &[address.to_owned()], Duration::from_secs(20));
        let all: usize = found.unwrap_or_default().values().map(BTreeMap::len).sum();
        Held::Nothing { hsdirs: all }
    })
}

/// A run at work.
struct Play<'a> {
    /// Everything.
    stage: &'a mut Stage,
    /// To break it with.
    tools: Tools,
    /// Since when.
    start: Instant,
    /// What comes next.
    dice: Dice,
    /// What is broken, until when.
    broken: Vec<(Duration, Trouble)>,
    /// What is known of the backends' points.
    book: Book,
    /// The life of each backend now, or its last one.
    now: Vec<usize>,
    /// Failures so far.
    failures: Vec<Failure>,
    /// What was done so far.
    troubles: BTreeMap<&'static str, usize>,
}

impl<'a> Play<'a> {
    /// Nothing is broken yet.
    fn new(stage: &'a mut Stage, tools: Tools, start: Instant, seed: usize) -> Self {
        let life = |name| Life { backend: name, keys: BTreeSet::new(), died: None };
        let book = Book { lives: stage.backend_names().into_iter().map(life).collect(), outages: Vec::new() };
        Self {
            now: (0..stage.backends.len()).collect(),
            stage,
            tools,
            start,
            dice: Dice::new(seed),
            broken: Vec::new(),
            book,
            failures: Vec::new(),
            troubles: BTreeMap::new(),
        }
    }

    /// Breaks and mends until the time is over, and mends everything then.
    fn run(&mut self, length: Duration, told: &Receiver<Failure>) -> Result<()> {
        self.learn_all()?;
        let (mut next, mut look) = (Duration::ZERO, LOOK);
        while self.start.elapsed() < length {
            self.mend(false)?;
            if self.start.elapsed() >= next {
                self.break_one()?;
                next = self.start.elapsed() + Duration::from_secs(5 + u64::try_from(self.dice.below(20))?);
            }
            let heard = self.failures.len();
            self.failures.extend(told.try_iter());
            let unknown = self.now.iter().any(|life| self.book.lives[*life].keys.is_empty());
            if self.failures.len() > heard || unknown || self.start.elapsed() >= look {
                self.learn_all()?;
                look = self.start.elapsed() + LOOK;
            }
            thread::sleep(Duration::from_millis(500));
        }
        self.mend(true)
    }

    /// Breaks one thing, unless too much is broken already.
    fn break_one(&mut self) -> Result<()> {
        let (trouble, long) = Trouble::throw(&mut self.dice, self.stage.backends.len());
        if self.broken.iter().any(|(_until, other)| trouble.excludes(*other)) {
            return Ok(());
        }
        let at = self.start.elapsed();
        if let Trouble::Backend(number) = trouble {
            let well = |life: &&usize| {
                let life = &self.book.lives[**life];
                life.died.is_none() && !life.keys.is_empty()
            };
            let is_well = well(&&self.now[number]);
            if !is_well || self.now.iter().filter(well).count() * 2 <= self.now.len() {
                return Ok(());
            }
            self.book.lives[self.now[number]].died = Some(at);
        }
        self.tools.begin(self.stage, trouble)?;
        self.book.outages.extend(trouble.outage(at));
        self.broken.push((at + long, trouble));
        *self.troubles.entry(trouble.name()).or_default() += 1;
        self.stage.report.reached(&format!("{} for {} s: {trouble:?}", trouble.name(), long.as_secs()));
        Ok(())
    }

    /// Mends what is due, or everything.
    fn mend(&mut self, all: bool) -> Result<()> {
        let at = self.start.elapsed();
        let (due, rest) =
            std::mem::take(&mut self.broken).into_iter().partition(|(until, _)| all || *until <= at);
        self.broken = rest;
        let due: Vec<(Duration, Trouble)> = due;
        for (_until, trouble) in due {
            self.tools.end(self.stage, trouble)?;
            let outages = self.book.outages.iter_mut().rev();
            if let Some(outage) =
                outages.filter(|outage| outage.to.is_none()).find(|o| o.what == trouble.name())
            {
                outage.to = Some(self.start.elapsed());
            }
            if let Trouble::Backend(number) = trouble {
                self.now[number] = self.book.lives.len();
                let backend = self.stage.backends[number].name().to_owned();
                self.book.lives.push(Life { backend, keys: BTreeSet::new(), died: None });
            }
        }
        Ok(())
    }

    /// Looks which points the living backends have; what was not known before belongs to their present life.
    fn learn_all(&mut self) -> Result<()> {
        for (number, life) in self.now.clone().into_iter().enumerate() {
            if self.book.lives[life].died.is_some() {
                continue;
            }
            let address = self.stage.backends[number].address().to_owned();
            let Ok(newest) = self.stage.newest(&address) else { continue };
            let known: BTreeSet<Key> = self.book.lives.iter().flat_map(|life| life.keys.clone()).collect();
            let fresh: Vec<Key> = auth_keys(&newest)?.difference(&known).copied().collect();
            self.book.lives[life].keys.extend(fresh);
        }
        Ok(())
    }

    /// Waits until all is well, and judges.
    fn finish(mut self, told: &Receiver<Failure>) -> Result<Outcome> {
        let mended = Instant::now();
        let names = self.stage.backend_names();
        let answered = self.stage.visit_until_all(&names, names.len(), RECOVERY).and_then(|_counts| {
            let what = "the publisher to be there at the end";
            self.stage.publisher.wait_status(what, RECOVERY, |_status| Ok(()))
        });
        // What was seen before is told all the same.
        let (recovered, not_recovered) = match answered {
            Ok(()) => (Some(mended.elapsed()), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.learn_all()?;
        self.failures.extend(told.iter());
        let judged = self.failures.iter().map(|failure| {
            let (fault, evidence) = self.book.judge(failure);
            (failure.clone(), fault, evidence)
        });
        let (failures, troubles) = (judged.collect(), self.troubles);
        Ok(Outcome { failures, troubles, recovered, not_recovered, ..Outcome::default() })
    }
}
