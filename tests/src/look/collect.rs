//! Collects what HSDirs hold of plain C tor services and of frontends on one private network: the only place that builds that set-up.
//!
//! All plain services live in one tor, and all backends in another; every frontend has all of those backends. Nobody
//! visits: only descriptors and uploads are looked at. The network's periods have eight minutes, so that the first and
//! the second descriptor of each service are both seen, on either side of the moment when clients change over.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::rows::{self, Subject};
use super::sample::{self, Held};
use super::uploads::{Log, Watch};
use crate::clock;
use crate::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use crate::descriptor::Opened;
use crate::files::RunDir;
use crate::onionbalance::{self, Onionbalance};
use crate::report::Report;
use crate::stage::RELAYS;
use crate::tornet::{Client, Crowd, Network, Node, Pace};
use crate::wait::{self, Seen};

/// Seconds between votes: the only interval that Onionbalance's test mode knows.
const VOTES: u64 = 20;
/// Seconds of a protocol run, and of a period.
const RUN: u64 = 24 * VOTES;
/// Backends of every frontend.
const BACKENDS: usize = 6;
/// After a change of descriptors every tor has the new consensus and has uploaded after so many seconds.
const SETTLED: u64 = 90;
/// A look is begun no later than this before the next change, in seconds.
const LOOK: u64 = 80;
/// How long all first uploads may take.
const LIMIT: Duration = Duration::from_secs(240);
/// Addresses that are asked for at the same time.
const BATCH: usize = 4;

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
    /// Its upload logs, a sample for each change of descriptors.
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

/// The set-up. The fields are dropped in this order.
pub struct Collector {
    /// Looks at descriptors.
    inspector: Client,
    /// Onionbalance and its tor, if it takes part.
    onionbalance: Option<(Onionbalance, Node)>,
    /// Ours.
    publisher: Publisher,
    /// Hears of uploads.
    watches: Vec<(Kind, Watch)>,
    /// Its tor.
    _publisher_tor: PublisherTor,
    /// The frontends' backends.
    _backends: Crowd,
    /// The plain services.
    _plain: Crowd,
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
    /// Builds everything: `services` of C tor and as many of ours, and `others` of Onionbalance.
    pub fn build(services: usize, others: usize, report: &Report) -> Result<Self> {
        let run = RunDir::new()?;
        let programs = Programs::install(run.path())?;
        let pace = Pace::Short(VOTES);
        let (network, custody) = thread::scope(|scope| {
            let custody = scope.spawn(|| keys(&run, &programs, pace, services));
            let network = Network::start(run.path(), pace, RELAYS, report);
            (network, custody.join().expect("the task does not panic"))
        });
        let (network, (signer, ours)) = (network?, custody?);
        report.waiting("the services");
        let mut plain = Crowd::start(&network, "plain", services, &[])?;
        let mut backends = Crowd::start(&network, "backends", BACKENDS, &ours)?;
        let inspector = Client::start(&network, "inspector")?;
        let mut publisher_tor = PublisherTor::start(&network, "publisher")?;
        let mut watches = vec![
            (Kind::CTor, Watch::start(plain.node().control()?)?),
            (Kind::Ours, Watch::start(publisher_tor.node.control()?)?),
        ];
        backends.wait_published(LIMIT)?;
        plain.wait_published(LIMIT)?;
        let mut publisher = Publisher::new(run.path(), &programs, &publisher_tor)?;
        let service = |address: &String| Service {
            address: address.clone(),
            signer: Some(signer.socket()),
            bundles: false,
            backends: backends.members().to_vec(),
            probe_interval: None,
            mode: Some("ordinary"),
            max_points: Some(3),
            check_uploads: None,
        };
        publisher.serve(ours.iter().map(service).collect())?;
        publisher.start()?;
        let named =
            |kind: Kind, addresses: Vec<String>| addresses.into_iter().map(move |address| (kind, address));
        let plain_addresses = plain.members().iter().map(|(_name, address)| address.clone()).collect();
        let mut all: Vec<_> = named(Kind::CTor, plain_addresses).chain(named(Kind::Ours, ours)).collect();
        let onionbalance = if others == 0 {
            None
        } else {
            let (program, mut node, addresses) = balance(&run, &network, others, backends.members())?;
            watches.push((Kind::Onionbalance, Watch::start(node.control()?)?));
            all.extend(named(Kind::Onionbalance, addresses));
            Some((program, node))
        };
        report.reached(&format!("{} services are started", all.len()));
        Ok(Self {
            inspector,
            onionbalance,
            publisher,
            watches,
            _publisher_tor: publisher_tor,
            _backends: backends,
            _plain: plain,
            _signer: signer,
            network,
            services: all,
            report: report.clone(),
            run,
        })
    }

    /// Looks at every service once in each half period, `rounds` times.
    pub fn collect(mut self, rounds: usize) -> Result<BTreeMap<Kind, Collected>> {
        let place = self.run.path().display().to_string();
        let found = self.rounds(rounds).with_context(|| format!("the logs are in {place}"))?;
        self.run.discard();
        Ok(found)
    }

    /// The rounds.
    fn rounds(&mut self, rounds: usize) -> Result<BTreeMap<Kind, Collected>> {
        let mut found: BTreeMap<Kind, Collected> = BTreeMap::new();
        let mut last: BTreeMap<String, Held> = BTreeMap::new();
        let mut change = 0;
        self.wait_published()?;
        for round in 0..rounds {
            change = self.wait_settled(change)?;
            let held = self.look()?;
            for (kind, address) in &self.services {
                let Some(now) = held.get(address) else { continue };
                found.entry(*kind).or_default().looks.push((now.clone(), last.get(address).cloned()));
            }
            if round > 0 {
                self.log_uploads(change, &mut found);
            }
            self.report.reached(&format!("round {} of {rounds}: {} services seen", round + 1, held.len()));
            last.extend(held);
        }
        for (kind, collected) in &mut found {
            collected.odd = odd(*kind, collected)?;
        }
        Ok(found)
    }

    /// Waits until an HSDir has stored a descriptor of every service.
    fn wait_published(&self) -> Result<()> {
        wait::until("an upload of every service", LIMIT, || {
            let is_out = |address: &str| {
                self.watches.iter().any(|(_kind, watch)| !watch.log(address).stored.is_empty())
            };
            let missing = self.services.iter().filter(|(_kind, address)| !is_out(address)).count();
            Ok(if missing == 0 { Seen::Ready(()) } else { Seen::NotYet(format!("{missing} are not out")) })
        })
    }

    /// Waits for a change of descriptors after the one at `before`, and until everybody has uploaded after it; returns its time.
    fn wait_settled(&mut self, before: u64) -> Result<u64> {
        self.report.waiting("the next change of descriptors and the uploads after it");
        let half = RUN / 2;
        wait::until("a time to look", Duration::from_secs(2 * half), || {
            let (now, into) = (clock::unix_now(), clock::unix_now() % half);
            Ok(if now - into > before && (SETTLED..half - LOOK).contains(&into) {
                Seen::Ready(())
            } else {
                Seen::NotYet(format!("{into} s after it"))
            })
        })?;
        self.publisher.process()?.must_run()?;
        if let Some((program, _node)) = &mut self.onionbalance {
            program.must_run()?;
        }
        let now = clock::unix_now();
        Ok(now - now % half)
    }

    /// What all HSDirs hold of every service.
    fn look(&mut self) -> Result<BTreeMap<String, Held>> {
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
                let newest = opened.values().map(|opened| opened.revision).max().unwrap_or_default();
                let uploaded = self.upload_of(&address, newest);
                held.insert(address.clone(), Held::new(&address, uploaded, opened));
            }
        }
        ensure!(
            held.len() * 10 >= self.services.len() * 9,
            "{} of {} services seen",
            held.len(),
            self.services.len()
        );
        Ok(held)
    }

    /// When HSDirs acknowledged the upload with this revision: of all uploads of a service, the one that its counter fits
    /// best, because tor does not say which of the two descriptors was stored. Now if none is known.
    fn upload_of(&self, address: &str, revision: u64) -> f64 {
        let logs = self.watches.iter().map(|(_kind, watch)| watch.log(address));
        let off = |at: f64| sample::counter_off(at, revision, seconds(RUN)).abs();
        let best = logs.flat_map(|log| log.stored).min_by(|a, b| off(*a).total_cmp(&off(*b)));
        best.unwrap_or_else(|| clock::since_1970().as_secs_f64())
    }

    /// The upload logs since the last change.
    fn log_uploads(&self, change: u64, found: &mut BTreeMap<Kind, Collected>) {
        let (since, until) = (seconds(change), seconds(change + SETTLED));
        for (kind, watch) in &self.watches {
            for (_kind, address) in self.services.iter().filter(|(other, _address)| other == kind) {
                let Log { stored, refused } = watch.log(address);
                let sample = sample::uploads(address, since, until, &stored, refused);
                found.entry(*kind).or_default().uploads.push(sample);
            }
        }
    }
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
        let seen = held.uploaded.to_string().split('.').next().unwrap_or_default().parse()?;
        for finding in rows::one(&Subject::seen_at(name, held.copies.clone(), seen))? {
            *counts.entry(finding).or_default() += 1;
        }
    }
    Ok(counts.into_iter().map(|(finding, count)| format!("{finding} ({count} times)")).collect())
}

/// A token with a key for each frontend, and a signer that serves them.
fn keys(run: &RunDir, programs: &Programs, pace: Pace, count: usize) -> Result<(Signer, Vec<String>)> {
    let mut signer = Signer::new(run.path(), programs, pace.test_period())?;
    signer.init_token()?;
    let addresses = (0..count).map(|_| signer.new_key()).collect::<Result<Vec<_>>>()?;
    addresses.iter().try_for_each(|address| signer.allow(address))?;
    signer.start()?;
    Ok((signer, addresses))
}

/// Onionbalance with `count` addresses over the same backends, and its tor.
fn balance(
    run: &RunDir,
    network: &Network,
    count: usize,
    backends: &[(String, String)],
) -> Result<(Onionbalance, Node, Vec<String>)> {
    let mut node = network.tor("balance", "SocksPort 0\n")?;
    network.wait_ready(&mut node)?;
    let mut program = Onionbalance::new(run.path(), &node, true)?;
    let frontends = (0..count).map(|_| program.new_frontend(backends.to_vec()));
    let frontends = frontends.collect::<Result<Vec<onionbalance::Frontend>>>()?;
    program.serve(&frontends)?;
    program.start()?;
    Ok((program, node, frontends.into_iter().map(|frontend| frontend.address).collect()))
}

/// Whole seconds as a number.
fn seconds(whole: u64) -> f64 {
    Duration::from_secs(whole).as_secs_f64()
}
