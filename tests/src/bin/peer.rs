//! Beside Onionbalance on one private network, and then in its place: its live address is taken over, and no client loses.
//!
//! Also what both cost and what a client gets: downloads, memory, time to the first upload, and how long a backend that was
//! killed is listed. What a publish costs is measured by the publisher's bench `publish`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::clock;
use onionkeep_tests::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use onionkeep_tests::descriptor::{self, Opened};
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::look::uploads::Watch;
use onionkeep_tests::onionbalance::{Frontend, Onionbalance};
use onionkeep_tests::process::User;
use onionkeep_tests::stage::RELAYS;
use onionkeep_tests::tornet::{Backend, Client, Crowd, Network, Node, Pace, ServiceKind};
use onionkeep_tests::wait::{self, Seen};

/// Backends of the address; one of them has a tor of its own and is killed.
const BACKENDS: usize = 8;
/// How often ours probes its backends, in seconds.
const PROBES: u64 = 10;
/// How long it is watched whether Onionbalance still lists a backend that was killed.
const WATCHED: Duration = Duration::from_secs(300);
/// Octets of one download.
const OCTETS: usize = 5_000_000;
/// Downloads with each descriptor.
const DOWNLOADS: usize = 5;
/// Until something has been published, found or logged.
const LIMIT: Duration = Duration::from_secs(150);

/// Network, address and both programs.
struct Scene {
    /// Visits all the time.
    visitor: Client,
    /// Downloads, and looks at descriptors.
    client: Client,
    /// Hears of Onionbalance's uploads.
    watch: Watch,
    /// Onionbalance.
    balance: Onionbalance,
    /// Its tor.
    _balance_tor: Node,
    /// Ours.
    publisher: Publisher,
    /// Its tor.
    publisher_tor: PublisherTor,
    /// The signer.
    signer: Signer,
    /// The backends.
    backends: Vec<(String, String)>,
    /// The tor of all but one of them.
    _crowd: Crowd,
    /// The one that is killed.
    victim: Backend,
    /// The network.
    network: Network,
    /// The address.
    frontend: Frontend,
    /// Who is told.
    report: Report,
}

/// What was measured with one of the two.
#[derive(Debug, Default)]
struct Figures {
    /// From the program's start to the first stored copy, in seconds.
    first_upload: f64,
    /// Resident memory in KiB.
    resident: u64,
    /// How long a backend that was killed was listed, in seconds; `None` if no look to the end of the watch showed that it was not.
    listed: Option<f64>,
    /// When it was last seen listed, in seconds after it was killed.
    seen: f64,
    /// Each download in seconds.
    downloads: Vec<f64>,
    /// Events about a circuit that carries the download, and those of them that show a congestion window.
    windows: (usize, usize),
}

fn main() -> Result<()> {
    let start = Instant::now();
    let mut run = RunDir::new()?;
    let place = run.path().display().to_string();
    let (theirs, ours) = tell(&run).with_context(|| format!("the logs are in {place}"))?;
    run.discard();
    print("Onionbalance 0.2.4", &theirs);
    print("ours", &ours);
    println!(
        "ours: first upload {:.1} times sooner (goal 10), {:.1} times less memory (goal 5)",
        theirs.first_upload / ours.first_upload,
        ratio(theirs.resident, ours.resident)
    );
    println!(
        "a download takes {:.2} times as long with Onionbalance's descriptor",
        median(&theirs) / median(&ours)
    );
    println!("{:.0} s in all", start.elapsed().as_secs_f64());
    Ok(())
}

/// Onionbalance first, then the take-over, then ours.
fn tell(run: &RunDir) -> Result<(Figures, Figures)> {
    let report = Report::plain();
    let mut scene = Scene::build(run, &report)?;
    let began = clock::since_1970().as_secs_f64();
    scene.balance.start()?;
    let first_upload = wait::until("Onionbalance's first upload", LIMIT, || {
        scene.balance.must_run()?;
        Ok(scene.watch.first_stored().map_or(Seen::NotYet("none".into()), |at| Seen::Ready(at - began)))
    })?;
    let mut theirs = Figures { first_upload, ..Figures::default() };
    let address = scene.frontend.address.clone();
    scene.visitor.get_patiently(&address, LIMIT)?;
    report.reached("Onionbalance serves the address");
    ensure!(
        !scene.newest()?.inner_text()?.contains("\nflow-control "),
        "Onionbalance has learnt to write flow-control"
    );
    theirs.resident = scene.balance.process()?.resident_kib()?;
    scene.download(&mut theirs)?;
    ensure!(
        theirs.windows.1 == 0,
        "a client has a congestion window although Onionbalance's descriptor does not offer it"
    );
    scene.lose_backend(WATCHED, &mut theirs)?;
    scene.victim.restart()?;
    scene.victim.wait_published(LIMIT)?;

    let mut ours = Figures::default();
    scene.prepare()?;
    let compared = scene.publisher.run(&["compare", "--onion", &address])?;
    ensure!(
        compared.code == 4,
        "compare ends with {}: {}{}",
        compared.code,
        compared.stdout,
        compared.stderr
    );
    for row in
        ["1 length: differs", "11 inner header: differs", "12 ends of the points' certificates: differs"]
    {
        ensure!(compared.stdout.contains(row), "compare does not say \"{row}\":\n{}", compared.stdout);
    }
    report.reached("`compare` names what gives Onionbalance away");
    scene.take_over(&mut ours)?;
    ours.resident = scene.publisher.process()?.resident_kib()?;
    scene.download(&mut ours)?;
    ensure!(
        ours.windows.1 == ours.windows.0,
        "a download goes without a congestion window: {:?}",
        ours.windows
    );
    scene.lose_backend(LIMIT, &mut ours)?;
    ensure!(ours.listed.is_some(), "ours still lists a backend that was killed");
    scene.network.must_run()?;
    Ok((theirs, ours))
}

impl Scene {
    /// Builds everything; nothing is published for the address yet.
    fn build(run: &RunDir, report: &Report) -> Result<Self> {
        let programs = Programs::install(run.path())?;
        let pace = Pace::Short(20);
        let mut signer = Signer::new(run.path(), &programs, pace.test_period())?;
        signer.init_token()?;
        let network = Network::start(run.path(), pace, RELAYS, report)?;
        let mut balance_tor = network.tor("balance", "SocksPort 0\n")?;
        network.wait_ready(&mut balance_tor)?;
        let balance = Onionbalance::new(run.path(), &balance_tor, true)?;
        let mut frontend = balance.new_frontend(Vec::new())?;
        let mut crowd = Crowd::start(&network, "b", BACKENDS - 1, std::slice::from_ref(&frontend.address))?;
        let mut victim = Backend::start(&network, "victim", ServiceKind::BackendOf(&frontend.address))?;
        let own = (victim.name().to_owned(), victim.address().to_owned());
        let backends: Vec<_> = crowd.members().iter().cloned().chain([own]).collect();
        frontend.backends.clone_from(&backends);
        balance.serve(std::slice::from_ref(&frontend))?;
        let (visitor, client) = (Client::start(&network, "visitor")?, Client::start(&network, "client")?);
        let publisher_tor = PublisherTor::start(&network, "publisher")?;
        let publisher = Publisher::new(run.path(), &programs, &publisher_tor)?;
        crowd.wait_published(LIMIT)?;
        victim.wait_published(LIMIT)?;
        let watch = Watch::start(balance_tor.control()?)?;
        Ok(Self {
            visitor,
            client,
            watch,
            balance,
            _balance_tor: balance_tor,
            publisher,
            publisher_tor,
            signer,
            backends,
            _crowd: crowd,
            victim,
            network,
            frontend,
            report: report.clone(),
        })
    }

    /// The newest descriptor that HSDirs give.
    fn newest(&mut self) -> Result<Opened> {
        let address = &self.frontend.address;
        let texts = self.client.fetch_descriptors(&self.network, address, Duration::from_secs(20))?;
        let opened = texts.values().map(|text| Opened::new(address, text)).collect::<Result<Vec<_>>>()?;
        opened.into_iter().max_by_key(|opened| opened.revision).context("no descriptor")
    }

    /// The operator's steps before ours starts: import of the configuration and of the key.
    fn prepare(&mut self) -> Result<()> {
        let yaml = self.balance.config();
        let imported =
            self.publisher.run(&["import", "onionbalance", yaml.to_str().context("odd path")?])?.answer()?;
        let named = |address: &String| imported.contains(&format!("address = \"{address}\""));
        ensure!(named(&self.frontend.address), "the import does not name the address:\n{imported}");
        let missing = self.backends.iter().find(|(_name, address)| !named(address));
        ensure!(missing.is_none(), "the import misses {missing:?}:\n{imported}");
        let copy = self.signer.dir().join("taken.key");
        files::write(&copy, std::fs::read(&self.frontend.key)?, User::Signer, 0o600)?;
        let printed = self.signer.import_key(&copy).context("key import")?;
        std::fs::remove_file(&copy)?;
        ensure!(printed == self.frontend.address, "key import printed {printed}");
        self.signer.allow(&printed)?;
        self.signer.start()?;
        self.publisher.serve(vec![Service {
            address: printed,
            signer: Some(self.signer.socket()),
            bundles: false,
            backends: self.backends.clone(),
            probe_interval: Some(PROBES),
            mode: Some("wide"),
            max_points: None,
            check_uploads: None,
        }])
    }

    /// Starts ours, stops Onionbalance when told to, and sees that HSDirs give ours; a visitor comes all the time.
    fn take_over(&mut self, ours: &mut Figures) -> Result<()> {
        let theirs = self.newest()?.revision;
        let (over, address) = (AtomicBool::new(false), self.frontend.address.clone());
        let Self { visitor, publisher, publisher_tor, balance, report, .. } = self;
        let (good, bad) = thread::scope(|scope| {
            let visits = scope.spawn(|| visit_all_the_time(visitor, &address, &over));
            let told = change_over(publisher, publisher_tor, balance, report, ours);
            over.store(true, Ordering::Relaxed);
            let visits = visits.join().expect("the visitor does not panic");
            told.map(|()| visits)
        })?;
        let now = self.newest()?;
        ensure!(now.revision > theirs, "HSDirs give a descriptor with a lower counter than Onionbalance's");
        ensure!(now.inner_text()?.contains("\nflow-control "), "HSDirs still give Onionbalance's descriptor");
        self.report.reached(&format!("{good} visits during the take-over, not answered: {bad:?}"));
        ensure!(good >= 3 && bad.is_empty(), "{good} visits answered, these not: {bad:?}");
        Ok(())
    }

    /// How many points of the backend that is killed the HSDirs' copies list; `None` if no HSDir gave one in time.
    fn points_of(&mut self, keys: &BTreeSet<[u8; 32]>) -> Result<Option<usize>> {
        let address = &self.frontend.address;
        let texts = self.client.fetch_descriptors(&self.network, address, Duration::from_secs(5))?;
        let count = texts.values().try_fold(0, |count, text| {
            let listed = descriptor::auth_keys(&Opened::new(address, text)?)?;
            Ok::<_, anyhow::Error>(count + listed.intersection(keys).count())
        });
        Ok(Some(count?).filter(|_count| !texts.is_empty()))
    }

    /// Kills a backend and waits until no HSDir gives a descriptor that lists it.
    fn lose_backend(&mut self, limit: Duration, figures: &mut Figures) -> Result<()> {
        let address = self.victim.address().to_owned();
        let texts = self.client.fetch_descriptors(&self.network, &address, Duration::from_secs(20))?;
        let mut keys = BTreeSet::new();
        for text in texts.values() {
            keys.extend(descriptor::auth_keys(&Opened::new(&address, text)?)?);
        }
        wait::until_true("the backend to be listed", LIMIT, || Ok(self.points_of(&keys)? > Some(0)))?;
        self.victim.kill()?;
        let killed = Instant::now();
        while figures.listed.is_none() && killed.elapsed() < limit {
            let (count, after) = (self.points_of(&keys)?, killed.elapsed().as_secs_f64());
            match count {
                Some(0) => figures.listed = Some(after),
                Some(_points) => figures.seen = after,
                None => {}
            }
            thread::sleep(Duration::from_millis(200));
        }
        self.report.reached(&format!("a backend that was killed was listed for {:?} s", figures.listed));
        Ok(())
    }

    /// Downloads through the descriptor that is out now, and looks whether a circuit has a congestion window.
    fn download(&mut self, figures: &mut Figures) -> Result<()> {
        let address = self.frontend.address.clone();
        self.client.forget()?;
        self.client.get_patiently(&address, LIMIT)?;
        let mut events = self.client.node().control()?;
        events.ask("SETEVENTS CIRC_BW")?;
        for _ in 0..DOWNLOADS {
            let took = self.client.download(&address, OCTETS, LIMIT)?;
            figures.downloads.push(took.as_secs_f64());
        }
        let lines = events.drain_events(Duration::from_secs(2));
        let lines: Vec<_> = lines.iter().filter(|line| carries(&line.text)).collect();
        figures.windows = (lines.len(), lines.iter().filter(|line| line.text.contains(" CWND=")).count());
        ensure!(figures.windows.0 > 0, "the client's tor says nothing about the circuit of the download");
        Ok(())
    }
}

/// From the start of ours to its verified descriptor.
fn change_over(
    publisher: &mut Publisher,
    tor: &mut PublisherTor,
    balance: &mut Onionbalance,
    report: &Report,
    ours: &mut Figures,
) -> Result<()> {
    let watch = Watch::start(tor.node.control()?)?;
    let began = clock::since_1970().as_secs_f64();
    publisher.start()?;
    wait_line(publisher, " address-in-use ")?;
    wait_line(publisher, " taken-over ")?;
    ours.first_upload = watch.first_stored().context("no upload was heard of")? - began;
    balance.stop()?;
    report.reached("ours said \"taken-over\", and Onionbalance is stopped");
    // Onionbalance may have uploaded once more in the last second: then ours goes above it again.
    wait_line(publisher, " take-over-verified ")?;
    let again = publisher.log().matches(" take-over-not-verified ").count();
    report.reached(&format!("ours said \"take-over-verified\", and {again} times before that it is not"));
    // A visitor who knows the old descriptor has to find the way too.
    thread::sleep(Duration::from_secs(15));
    Ok(())
}

/// Waits for a word in the publisher's log.
fn wait_line(publisher: &Publisher, word: &str) -> Result<()> {
    wait::until(&format!("the publisher to log{word}"), LIMIT, || {
        let found = publisher.log().contains(word);
        Ok(if found { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })
}

/// Counts answers, and collects failures that a second try at once did not mend.
fn visit_all_the_time(visitor: &Client, address: &str, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut good, mut bad, visit) = (0, Vec::new(), Duration::from_secs(60));
    while !over.load(Ordering::Relaxed) {
        match visitor.get(address, visit).or_else(|_| visitor.get(address, visit)) {
            Ok(_) => good += 1,
            Err(error) => bad.push(format!("{error:#}")),
        }
        thread::sleep(Duration::from_millis(500));
    }
    (good, bad)
}

/// Whether a `CIRC_BW` event is about a circuit that carries much: other circuits of a client carry a few cells.
fn carries(event: &str) -> bool {
    let delivered = event.split(' ').find_map(|word| word.strip_prefix("DELIVERED_READ="));
    delivered.and_then(|count| count.parse::<usize>().ok()).is_some_and(|count| count >= OCTETS / 100)
}

/// How many times one is the other.
fn ratio(one: u64, other: u64) -> f64 {
    let float = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX));
    float(one) / float(other)
}

/// The middle one of the downloads.
fn median(figures: &Figures) -> f64 {
    let mut times = figures.downloads.clone();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Says what was measured.
fn print(name: &str, figures: &Figures) {
    let Figures { first_upload, resident, listed, seen, downloads, windows } = figures;
    println!(
        "{name}: first upload after {first_upload:.1} s, {resident} KiB resident with {BACKENDS} backends"
    );
    match listed {
        Some(seconds) => println!("{name}: a backend that was killed was listed for {seconds:.1} s"),
        None => println!("{name}: a backend that was killed was still listed after {seen:.1} s"),
    }
    let times: Vec<_> = downloads.iter().map(|time| format!("{time:.2}")).collect();
    let (events, with_window) = windows;
    println!(
        "{name}: {OCTETS} octets in {} s, {with_window} of {events} events of that circuit with a congestion window",
        times.join(" ")
    );
}
