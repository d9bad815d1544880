//! Everything at once: the only place where network, token, signer, publisher, backends and client become one set-up.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use crate::descriptor::{Opened, auth_keys};
use crate::files::RunDir;
use crate::report::Report;
use crate::tornet::{Answer, Backend, Client, Control, Network, Pace, ServiceKind};

/// Number of relays besides the three authorities: 12 HSDirs, of which 8 are responsible for a descriptor.
pub const RELAYS: usize = 9;
/// HSDirs that store one descriptor: two replicas of four.
pub const HSDIRS: usize = 8;
/// Seconds between the publisher's probes of a backend, where a story wants probes.
pub const PROBE_INTERVAL: u64 = 10;
/// How long the publisher may take from its start to an acknowledged upload, its tor's bootstrap included.
const UPLOAD_LIMIT: Duration = Duration::from_secs(60);

/// A frontend at work. The fields are dropped in this order; the directory goes last.
pub struct Stage {
    /// The visitor.
    pub client: Client,
    /// Another client tor, which only looks at descriptors and so leaves the visitor's alone.
    pub inspector: Client,
    /// The publisher.
    pub publisher: Publisher,
    /// What the publisher's tor says about uploads.
    pub uploads: Control,
    /// The publisher's tor.
    pub publisher_tor: PublisherTor,
    /// The backends `b1`, `b2`, ...
    pub backends: Vec<Backend>,
    /// The signer with its token.
    pub signer: Signer,
    /// Authorities and relays.
    pub network: Network,
    /// Our programs.
    pub programs: Programs,
    /// The frontend's address, with `.onion`.
    pub address: String,
    /// When the publisher was started.
    pub published_from: Instant,
    /// Who is told.
    pub report: Report,
    /// Where all of it lives.
    pub run: RunDir,
}

impl Stage {
    /// Builds everything up to the start of the publisher. An error names the directory with the logs.
    pub fn build(pace: Pace, backends: usize, report: &Report) -> Result<Self> {
        let run = RunDir::new()?;
        let place = run.path().display().to_string();
        Self::build_in(run, pace, backends, report).with_context(|| format!("the logs are in {place}"))
    }

    /// Network and key at the same time, then all other tors at the same time, then the publisher.
    fn build_in(run: RunDir, pace: Pace, backends: usize, report: &Report) -> Result<Self> {
        let programs = Programs::install(run.path())?;
        let (network, custody) = thread::scope(|scope| {
            let custody = scope.spawn(|| make_frontend_key(&run, &programs, pace));
            let network = Network::start(run.path(), pace, RELAYS, report);
            (network, custody.join().expect("the task does not panic"))
        });
        let (network, (signer, address)) = (network?, custody?);
        report.waiting("client, publisher's tor and backends");
        let (client, inspector, mut publisher_tor, mut backends) = start_tors(&network, &address, backends)?;
        let mut uploads = publisher_tor.node.control()?;
        uploads.ask("SETEVENTS HS_DESC")?;
        report.waiting("the backends' own descriptors");
        backends.iter_mut().try_for_each(|backend| backend.wait_published(UPLOAD_LIMIT))?;
        let mut publisher = Publisher::new(run.path(), &programs, &publisher_tor)?;
        publisher.serve(vec![service(&address, &signer, &backends)])?;
        publisher.start()?;
        let (published_from, report) = (Instant::now(), report.clone());
        report.reached("client and backends are ready, the publisher is started");
        Ok(Self {
            client,
            inspector,
            publisher,
            uploads,
            publisher_tor,
            backends,
            signer,
            network,
            programs,
            address,
            published_from,
            report,
            run,
        })
    }

    /// Waits until an HSDir has accepted a descriptor of the frontend since the last look.
    pub fn wait_upload(&mut self, limit: Duration) -> Result<()> {
        let wanted = format!("HS_DESC UPLOADED {} ", bare(&self.address));
        self.uploads.event("an accepted upload", limit, |line| line.text.starts_with(&wanted)).map(drop)
    }

    /// Waits until every HSDir has accepted both descriptors; returns the time since the publisher's start.
    pub fn wait_all_uploads(&mut self) -> Result<Duration> {
        for _ in 0..2 * HSDIRS {
            let left = UPLOAD_LIMIT.saturating_sub(self.published_from.elapsed());
            self.wait_upload(left)?;
        }
        Ok(self.published_from.elapsed())
    }

    /// Visits the frontend until every one of `names` has answered and at least `least` answers are there.
    pub fn visit_until_all(
        &mut self,
        names: &[String],
        least: usize,
        limit: Duration,
    ) -> Result<Vec<Answer>> {
        let (start, mut answers) = (Instant::now(), Vec::new());
        loop {
            let missing: Vec<_> =
                names.iter().filter(|name| !answers.iter().any(|a: &Answer| a.from == **name)).collect();
            if missing.is_empty() && answers.len() >= least {
                return Ok(answers);
            }
            let left = limit.saturating_sub(start.elapsed());
            ensure!(
                !left.is_zero(),
                "no answer from {missing:?} within {} s, among {}",
                limit.as_secs(),
                count(&answers)
            );
            if self.client.until_forget().is_zero() {
                self.client.forget()?;
            }
            answers.push(self.client.get_patiently(&self.address, left)?);
        }
    }

    /// The descriptor of `address` that clients get now, as each HSDir holds it; none is an error. HSDirs that gave nothing are
    /// asked twice: a circuit may have broken.
    pub fn look_at(&mut self, address: &str) -> Result<BTreeMap<String, Opened>> {
        let limit = Duration::from_secs(20);
        let mut texts = self.inspector.fetch_descriptors(&self.network, address, limit)?;
        if texts.len() < HSDIRS {
            let again = self.inspector.fetch_descriptors(&self.network, address, limit)?;
            for (hsdir, text) in again {
                texts.entry(hsdir).or_insert(text);
            }
        }
        ensure!(!texts.is_empty(), "no HSDir has a descriptor of {address}");
        texts.into_iter().map(|(hsdir, text)| Ok((hsdir, Opened::new(address, &text)?))).collect()
    }

    /// The newest descriptor of `address` that clients can get now.
    pub fn newest(&mut self, address: &str) -> Result<Opened> {
        let all = self.look_at(address)?;
        all.into_values().max_by_key(|opened| opened.revision).context("no descriptor")
    }

    /// How many of the frontend's introduction points are points of this backend now.
    pub fn points_of(&mut self, backend: usize) -> Result<usize> {
        let (address, own) = (self.address.clone(), self.backends[backend].address().to_owned());
        self.points_shared(&address, &own)
    }

    /// How many introduction points of the frontend `address` are points of the service `own` now; both with `.onion`.
    pub fn points_shared(&mut self, address: &str, own: &str) -> Result<usize> {
        let theirs = auth_keys(&self.newest(own)?)?;
        Ok(auth_keys(&self.newest(address)?)?.intersection(&theirs).count())
    }

    /// Names of all backends.
    #[must_use]
    pub fn backend_names(&self) -> Vec<String> {
        self.backends.iter().map(|backend| backend.name().to_owned()).collect()
    }

    /// The service as the publisher should be configured for it.
    #[must_use]
    pub fn service(&self) -> Service {
        service(&self.address, &self.signer, &self.backends)
    }
}

/// How often each backend answered: `b1 3, b2 2`.
#[must_use]
pub fn count(answers: &[Answer]) -> String {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.from.as_str()).or_insert(0) += 1;
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// An address without `.onion`, as the control port wants it.
#[must_use]
pub fn bare(address: &str) -> &str {
    address.trim_end_matches(".onion")
}

/// A new token, a new frontend key on it, and a signer that serves.
fn make_frontend_key(run: &RunDir, programs: &Programs, pace: Pace) -> Result<(Signer, String)> {
    let mut signer = Signer::new(run.path(), programs, pace.test_period())?;
    signer.init_token()?;
    let address = signer.new_key()?;
    signer.allow(&address)?;
    signer.start()?;
    Ok((signer, address))
}

/// What [`start_tors`] starts: visitor, inspector, publisher's tor, backends.
type Tors = (Client, Client, PublisherTor, Vec<Backend>);

/// Clients, publisher's tor and backends, side by side.
fn start_tors(network: &Network, address: &str, backends: usize) -> Result<Tors> {
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::start(network, "client"));
        let inspector = scope.spawn(|| Client::start(network, "inspector"));
        let tor = scope.spawn(|| PublisherTor::start(network, "publisher"));
        let kind = ServiceKind::BackendOf(address);
        let backends: Vec<_> = (1..=backends)
            .map(|number| scope.spawn(move || Backend::start(network, &format!("b{number}"), kind)))
            .collect();
        let backends = backends.into_iter().map(|task| task.join().expect("the task does not panic"));
        let backends = backends.collect::<Result<Vec<_>>>();
        let join = "the task does not panic";
        Ok((client.join().expect(join)?, inspector.join().expect(join)?, tor.join().expect(join)?, backends?))
    })
}

/// The publisher's configuration for one frontend with these backends, probed.
fn service(address: &str, signer: &Signer, backends: &[Backend]) -> Service {
    Service {
        address: address.to_owned(),
        signer: Some(signer.socket()),
        bundles: false,
        backends: backends.iter().map(|b| (b.name().to_owned(), b.address().to_owned())).collect(),
        probe_interval: Some(PROBE_INTERVAL),
        mode: Some("wide"),
        max_points: None,
        check_uploads: None,
    }
}
