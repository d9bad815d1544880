//! Beside Onionbalance on one private network, and then in its place: its live address is taken over, and no client loses.
//!
//! Also what both cost and what a client gets: downloads, memory, processor time, time to the first upload.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::clock;
use onionkeep_tests::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use onionkeep_tests::descriptor::Opened;
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::look::uploads::Watch;
use onionkeep_tests::onionbalance::{Frontend, Onionbalance};
use onionkeep_tests::process::User;
use onionkeep_tests::stage::RELAYS;
use onionkeep_tests::tornet::{Client, Crowd, Network, Node, Pace};
use onionkeep_tests::wait::{self, Seen};

/// Backends of the address.
const BACKENDS: usize = 8;
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
    backends: Crowd,
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
    /// Processor time in hundredths of a second from the start until clients are served, and the copies stored by then: reading
    /// the network and the backends counts too.
    work: (u64, usize),
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
    theirs.work = (scene.balance.process()?.cpu_ticks()?, scene.watch.log(&address).stored.len());
    theirs.resident = scene.balance.process()?.resident_kib()?;
    scene.download(&mut theirs)?;
    ensure!(
        theirs.windows.1 == 0,
        "a client has a congestion window although Onionbalance's descriptor does not offer it"
    );

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
        let mut backends = Crowd::start(&network, "b", BACKENDS, std::slice::from_ref(&frontend.address))?;
        frontend.backends = backends.members().to_vec();
        balance.serve(std::slice::from_ref(&frontend))?;
        let (visitor, client) = (Client::start(&network, "visitor")?, Client::start(&network, "client")?);
        let publisher_tor = PublisherTor::start(&network, "publisher")?;
        let publisher = Publisher::new(run.path(), &programs, &publisher_tor)?;
        backends.wait_published(LIMIT)?;
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
        let missing = self.backends.members().iter().find(|(_name, address)| !named(address));
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
            backends: self.backends.members().to_vec(),
            probe_interval: None,
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
            let told = change_over(publisher, publisher_tor, (balance, &address), report, ours);
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
    (balance, address): (&mut Onionbalance, &str),
    report: &Report,
    ours: &mut Figures,
) -> Result<()> {
    let watch = Watch::start(tor.node.control()?)?;
    let began = clock::since_1970().as_secs_f64();
    publisher.start()?;
    wait_line(publisher, " address-in-use ")?;
    wait_line(publisher, " taken-over ")?;
    ours.work = (publisher.process()?.cpu_ticks()?, watch.log(address).stored.len());
    ours.first_upload = watch.first_stored().context("no upload was heard of")? - began;
    balance.stop()?;
    report.reached("ours said \"taken-over\", and Onionbalance is stopped");
    // Onionbalance may have uploaded once more in the last second: then ours says so, and what the operator is to do.
    wait::until("the take-over to be verified or not", LIMIT, || {
        let log = publisher.log();
        let said = log.contains(" take-over-verified ") || log.contains(" take-over-not-verified ");
        Ok(if said { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })?;
    if !publisher.log().contains(" take-over-verified ") {
        report.reached("Onionbalance uploaded once more: ours is restarted, as its log says");
        publisher.stop()?;
        publisher.start()?;
        let stored = |log: &str| log.matches(" stored-everywhere ").count();
        let before = stored(&publisher.log());
        wait::until_true("an upload above it", LIMIT, || Ok(stored(&publisher.log()) > before + 1))?;
    }
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

/// The middle one of the downloads.
fn median(figures: &Figures) -> f64 {
    let mut times = figures.downloads.clone();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Says what was measured.
fn print(name: &str, figures: &Figures) {
    let Figures { first_upload, resident, work: (ticks, copies), downloads, windows } = figures;
    let cpu = f64::from(u32::try_from(*ticks).unwrap_or(u32::MAX)) / 100.0;
    println!(
        "{name}: first upload after {first_upload:.1} s, {resident} KiB resident with {BACKENDS} backends"
    );
    println!(
        "{name}: {cpu:.2} s of processor time, {copies} copies stored in that time (16 are one full publish)"
    );
    let times: Vec<_> = downloads.iter().map(|time| format!("{time:.2}")).collect();
    let (events, with_window) = windows;
    println!(
        "{name}: {OCTETS} octets in {} s, {with_window} of {events} events of that circuit with a congestion window",
        times.join(" ")
    );
}
