//! Collects what HSDirs hold of plain C tor services and of frontends on one private network: the only place that builds that set-up.
//!
//! A few plain services share a tor, as many as frontends share one; every frontend has backends of its own, those of a few frontends in one tor. Nobody
//! visits: only descriptors and uploads are looked at. Periods, votes, uploads and the life of introduction points are those of the
//! public network; days pass in minutes because the clocks of all programs go faster (docs/decisions/0047-days-on-a-real-network.md).
//! Whenever something is looked at, they go as usual.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::moment::{self, Between};
use super::rows::{self, Subject};
use super::sample::{self, Held};
use super::setup::{
    AWAKE, BACKENDS, BEGIN, DAY, TOGETHER, add_line, backends_of, balance, frontend, keys, plain_services,
    set_clock,
};
use super::uploads::{Log, Watch};
use crate::clock;
use crate::daemon::{Programs, Publisher, PublisherTor, Signer};
use crate::descriptor::Opened;
use crate::files::{self, RunDir};
use crate::onionbalance::Onionbalance;
use crate::process::User;
use crate::report::Report;
use crate::stage::RELAYS;
use crate::tornet::{Client, Crowd, Network, Node, Pace};
use crate::wait::{self, Seen};

/// Seconds between two looks.
const BETWEEN: u64 = 21_600;
/// The first look is so many seconds later: at 21:00 of the next day. On the first one all points were made at once when the services
/// were started, so that they end in the same hours.
const FIRST: u64 = 115_200;
/// In the first seconds of a day all services make new descriptors at once; the clocks then go only a third as fast, or circuits time out that
/// the machine has no time to build.
const CROWDED: u64 = 3 * 3600;
/// How long all first uploads may take.
const LIMIT: Duration = Duration::from_secs(240);
/// Once the clocks go as usual, what is under way gets so long to end before anything is looked at.
const CALM: Duration = Duration::from_secs(5);
/// Addresses that are asked for at the same time.
const BATCH: usize = 4;
/// The longest sleep between two looks at whether everybody runs.
const NAP: Duration = Duration::from_secs(2);

/// Who made a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A plain service of C tor.
    CTor,
    /// A frontend of ours in ordinary mode.
    Ours,
    /// A frontend of Onionbalance.
    Onionbalance,
}

/// What was collected of one kind.
#[derive(Debug, Default)]
pub struct Collected {
    /// Every look at every service: itself, and the look before it if there was one.
    pub looks: Vec<(Held, Option<Held>)>,
    /// Its upload logs, a sample for each time between two looks.
    pub uploads: Vec<super::judge::Sample>,
    /// What the rows found odd.
    pub odd: Vec<String>,
}

impl Collected {
    /// The looks as samples.
    pub fn samples(&self) -> Result<Vec<super::judge::Sample>> {
        self.looks.iter().map(|(held, before)| sample::descriptor(held, before.as_ref())).collect()
    }

    /// Those looks before which the same descriptor was seen.
    pub fn seen_again(&self) -> Result<Self> {
        let mut looks = Vec::new();
        for (held, before) in &self.looks {
            if before.as_ref().map(|before| sample::is_same(held, before)).transpose()? == Some(true) {
                looks.push((held.clone(), before.clone()));
            }
        }
        Ok(Self { looks, ..Self::default() })
    }
}

/// What keeps the findings so far.
pub type Keep<'a> = &'a dyn Fn(&BTreeMap<Kind, Collected>) -> Result<()>;

/// The set-up. The fields are dropped in this order.
pub struct Collector {
    /// Looks at descriptors.
    inspector: Client,
    /// Onionbalance and its tor, if it takes part.
    onionbalance: Option<(Onionbalance, Node)>,
    /// Ours, some services each.
    publishers: Vec<(Publisher, PublisherTor)>,
    /// Hears of uploads.
    watches: Vec<(Kind, Watch)>,
    /// The frontends' backends.
    _backends: Vec<Crowd>,
    /// The plain services.
    _plain: Vec<Crowd>,
    /// The signer.
    _signer: Signer,
    /// The network.
    network: Network,
    /// Who is looked at.
    services: Vec<(Kind, String)>,
    /// Who is told.
    report: Report,
    /// Where all of it lives.
    run: RunDir,
}

impl Collector {
    /// Builds everything: `services` of C tor and as many of ours, and `others` of Onionbalance. The clock of the run must be
    /// one that can be moved.
    pub fn build(services: usize, others: usize, report: &Report) -> Result<Self> {
        let run = RunDir::new()?;
        let programs = Programs::install(run.path())?;
        set_clock(&programs)?;
        let pace = Pace::Day;
        let (network, custody) = thread::scope(|scope| {
            let custody = scope.spawn(|| keys(&run, &programs, pace, services));
            let network = Network::start(run.path(), pace, RELAYS, report);
            (network, custody.join().expect("the task does not panic"))
        });
        let (network, (signer, ours)) = (network?, custody?);
        report.waiting("the services");
        let mut plain = plain_services(&network, services)?;
        let mut backends = backends_of(&network, &ours)?;
        let mut inspector = Client::start(&network, "inspector")?;
        add_line(inspector.node(), AWAKE)?;
        let mut watches = Vec::new();
        for crowd in &mut plain {
            watches.push((Kind::CTor, Watch::start(crowd.node().control()?)?));
        }
        backends.iter_mut().chain(&mut plain).try_for_each(|crowd| crowd.wait_published(LIMIT))?;
        let mut publishers = Vec::new();
        for (number, (addresses, crowd)) in ours.chunks(TOGETHER).zip(&backends).enumerate() {
            let mut tor = PublisherTor::start(&network, &format!("publisher{number}"))?;
            watches.push((Kind::Ours, Watch::start(tor.node.control()?)?));
            let own = crowd.members().chunks(BACKENDS);
            let services = addresses.iter().zip(own).map(|(address, own)| frontend(address, &signer, own));
            let mut publisher = Publisher::new(&own_place(&run, number)?, &programs, &tor)?;
            publisher.serve(services.collect())?;
            publisher.start()?;
            publishers.push((publisher, tor));
        }
        let named =
            |kind: Kind, addresses: Vec<String>| addresses.into_iter().map(move |address| (kind, address));
        let plain_members = plain.iter().flat_map(Crowd::members);
        let plain_addresses = plain_members.map(|(_name, address)| address.clone()).collect();
        let mut all: Vec<_> = named(Kind::CTor, plain_addresses).chain(named(Kind::Ours, ours)).collect();
        let onionbalance = if others == 0 {
            None
        } else {
            let own = backends.first().and_then(|crowd| crowd.members().chunks(BACKENDS).next());
            let own = own.context("Onionbalance needs backends: at least one frontend of ours")?;
            let (program, mut node, addresses) = balance(&run, &network, others, own)?;
            watches.push((Kind::Onionbalance, Watch::start(node.control()?)?));
            all.extend(named(Kind::Onionbalance, addresses));
            Some((program, node))
        };
        report.reached(&format!("{} services are started", all.len()));
        Ok(Self {
            inspector,
            onionbalance,
            publishers,
            watches,
            _backends: backends,
            _plain: plain,
            _signer: signer,
            network,
            services: all,
            report: report.clone(),
            run,
        })
    }

    /// Looks at every service every six hours, `rounds` times; `speed` seconds pass in one second meanwhile. All that was
    /// found so far is given to `keep` after each round, so that an hour is not lost with the last one.
    pub fn collect(mut self, rounds: usize, speed: u32, keep: Keep<'_>) -> Result<BTreeMap<Kind, Collected>> {
        let place = self.run.path().display().to_string();
        let found = self.rounds(rounds, speed, keep).with_context(|| format!("the logs are in {place}"))?;
        self.run.discard();
        Ok(found)
    }

    /// The rounds.
    fn rounds(&mut self, rounds: usize, speed: u32, keep: Keep<'_>) -> Result<BTreeMap<Kind, Collected>> {
        let mut found: BTreeMap<Kind, Collected> = BTreeMap::new();
        let mut last: BTreeMap<String, Held> = BTreeMap::new();
        self.wait_published()?;
        let begun = clock::unix_now() - clock::unix_now() % DAY + BEGIN;
        let (mut at, mut before) = (begun + FIRST, None);
        for round in 1..=rounds {
            self.wait_for(at, speed)?;
            let held = self.look(speed)?;
            for (kind, address) in &self.services {
                let Some(now) = held.get(address) else { continue };
                found.entry(*kind).or_default().looks.push((now.clone(), last.get(address).cloned()));
            }
            let now = seconds(clock::unix_now());
            if let Some(before) = before.replace(now) {
                self.log_uploads(&(before..now), &mut found);
            }
            self.report.reached(&format!(
                "round {round} of {rounds}, {}: {} services seen",
                clock::tor_time(clock::unix_now()),
                held.len()
            ));
            last.extend(held);
            keep(&found)?;
            at += BETWEEN;
        }
        for (kind, collected) in &mut found {
            collected.odd = odd(*kind, collected)?;
        }
        Ok(found)
    }

    /// Waits until an HSDir has stored a descriptor of every service. Onionbalance may wait for another consensus: with a
    /// dozen relays it often finds too few HSDirs for one.
    fn wait_published(&self) -> Result<()> {
        wait::until("an upload of every service", LIMIT, || {
            let is_out = |address: &str| {
                self.watches.iter().any(|(_kind, watch)| !watch.log(address).stored.is_empty())
            };
            let needed = self.services.iter().filter(|(kind, _address)| *kind != Kind::Onionbalance);
            let missing = needed.filter(|(_kind, address)| !is_out(address)).count();
            Ok(if missing == 0 { Seen::Ready(()) } else { Seen::NotYet(format!("{missing} are not out")) })
        })
    }

    /// Lets the clocks go faster until they show this time, and as usual again.
    fn wait_for(&mut self, at: u64, speed: u32) -> Result<()> {
        let moved = clock::followed().context("the clock cannot be moved")?;
        self.report.waiting(&format!("{} at {speed} times the usual speed", clock::tor_time(at)));
        let mut waited = Ok(());
        while waited.is_ok() && clock::unix_now() < at {
            let now = clock::unix_now();
            let (speed, end) = match now % DAY {
                into if into < CROWDED => ((speed / 3).max(1), now - into + CROWDED),
                into => (speed, now - into + DAY),
            };
            moved.hurry(speed)?;
            waited = self.sleep_until(end.min(at), speed);
        }
        moved.hurry(1)?;
        waited?;
        thread::sleep(CALM);
        Ok(())
    }

    /// Sleeps until the clocks show this time. Everything must run meanwhile.
    fn sleep_until(&mut self, at: u64, speed: u32) -> Result<()> {
        loop {
            let left = Duration::from_secs(at).saturating_sub(clock::since_1970());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep((left / speed).clamp(Duration::from_millis(1), NAP));
            self.network.must_run()?;
            self.publishers.iter_mut().try_for_each(|(publisher, _tor)| publisher.process()?.must_run())?;
            if let Some((program, _node)) = &mut self.onionbalance {
                program.must_run()?;
            }
        }
    }

    /// What all HSDirs hold of every service; `speed`: how fast the clocks went before.
    fn look(&mut self, speed: u32) -> Result<BTreeMap<String, Held>> {
        let mut held = BTreeMap::new();
        let addresses: Vec<_> = self.services.iter().map(|(_kind, address)| address.clone()).collect();
        for batch in addresses.chunks(BATCH) {
            let texts = self.inspector.fetch_many(&self.network, batch, Duration::from_secs(60))?;
            for (address, copies) in texts {
                let opened =
                    copies.into_iter().map(|(hsdir, text)| Ok((hsdir, Opened::new(&address, &text)?)));
                let opened = opened.collect::<Result<BTreeMap<_, _>>>()?;
                if opened.is_empty() {
                    continue;
                }
                let uploaded = self.upload_of(&address, &opened, speed);
                held.insert(address.clone(), Held::new(&address, uploaded, opened));
            }
        }
        let missing =
            |(kind, address): &&(Kind, String)| *kind != Kind::Onionbalance && !held.contains_key(address);
        let missing = self.services.iter().filter(missing).count();
        ensure!(
            missing * 10 <= self.services.len(),
            "{missing} of {} services not seen",
            self.services.len()
        );
        Ok(held)
    }

    /// When the newest of these descriptors, by HSDir, was uploaded.
    fn upload_of(&self, address: &str, held: &BTreeMap<String, Opened>, speed: u32) -> Between {
        let acks: Vec<_> = self.watches.iter().flat_map(|(_kind, watch)| watch.acks(address)).collect();
        let newest = held.values().map(|opened| opened.revision).max().unwrap_or_default();
        let holders = held.iter().filter(|(_hsdir, opened)| opened.revision == newest);
        let holders = holders.map(|(hsdir, _opened)| &**hsdir).collect();
        moment::of(&acks, &holders, newest, clock::since_1970().as_secs_f64(), speed)
    }

    /// The upload logs between two looks.
    fn log_uploads(&self, during: &Range<f64>, found: &mut BTreeMap<Kind, Collected>) {
        for (kind, watch) in &self.watches {
            for (_kind, address) in self.services.iter().filter(|(other, _address)| other == kind) {
                let Log { stored, refused } = watch.log(address);
                if stored.is_empty() && refused.is_empty() {
                    continue;
                }
                let sample = sample::uploads(address, during, &stored, &refused);
                found.entry(*kind).or_default().uploads.push(sample);
            }
        }
    }
}

/// A folder for the publisher with this number.
fn own_place(run: &RunDir, number: usize) -> Result<PathBuf> {
    let place = run.path().join(format!("p{number}"));
    files::make_dir(&place, User::Harness, 0o755)?;
    Ok(place)
}

/// What the rows that look at one upload of one service find odd, each once with the number of services.
fn odd(kind: Kind, collected: &Collected) -> Result<Vec<String>> {
    let name = match kind {
        Kind::CTor => "C tor",
        Kind::Ours => "frontend",
        Kind::Onionbalance => "Onionbalance",
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (held, before) in &collected.looks {
        if sample::shared_points(held, before.as_ref())? > 0 {
            *counts
                .entry(format!("row 16, {name}: two descriptors of one time share points"))
                .or_default() += 1;
        }
        for finding in rows::one(&Subject::uploaded(name, held.copies.clone(), held.uploaded))? {
            *counts.entry(finding).or_default() += 1;
        }
    }
    Ok(counts.into_iter().map(|(finding, count)| format!("{finding} ({count} times)")).collect())
}

/// Whole seconds as a number.
fn seconds(whole: u64) -> f64 {
    Duration::from_secs(whole).as_secs_f64()
}
