//! A live address is taken over from a plain C tor service: at no moment is a client turned away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::clock::unix_now;
use onionkeep_tests::daemon::Service;
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Backend, Client, ServiceKind};
use onionkeep_tests::wait::{self, Seen};

/// Until something has been published, found or logged.
const LIMIT: Duration = Duration::from_secs(90);
/// Longest time for one visit.
const VISIT: Duration = Duration::from_secs(40);
/// Fewest visits that say something; if all is over sooner, the rest of them follows.
const VISITS: usize = 3;

/// Takes the address of a running service over; that service publishes no more when the publisher says so, answers those
/// who know its introduction points, and is stopped when nobody does.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    let mut old = Backend::start(&stage.network, "formerly", ServiceKind::Plain)?;
    old.wait_published(LIMIT)?;
    let address = old.address().to_owned();
    let mut client = Client::start(&stage.network, "neighbour")?;
    client.get_patiently(&address, LIMIT)?;
    let before = wait::until("the old descriptor at every HSDir", LIMIT, || {
        let held = stage.look_at(&address)?;
        Ok(if held.len() == HSDIRS { Seen::Ready(held) } else { Seen::NotYet(held.len().to_string()) })
    })?;
    let highest = before.values().map(|opened| opened.revision).max().context("no descriptor")?;

    let backends =
        ["t1", "t2"].map(|name| Backend::start(&stage.network, name, ServiceKind::BackendOf(&address)));
    let mut backends = backends.into_iter().collect::<Result<Vec<_>>>()?;
    backends.iter_mut().try_for_each(|backend| backend.wait_published(LIMIT))?;
    configure(stage, &old, &address, &backends)?;
    let during = visit_while(&client, &address, || take_over(stage, &mut old, &address))?;
    during.check(stage, "during the take-over")?;
    let now = stage.look_at(&address)?;
    replaced(now.values().map(|opened| opened.revision), highest)?;
    // What the end of the period does to a client: it asks for the descriptor anew. Then the old service may go.
    client.forget()?;
    let answer = client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from.starts_with('t'), "{} answered who asked anew", answer.from);
    let after = visit_while(&client, &address, || {
        old.kill()?;
        // Long enough for some visits, which begin and end while the old service is gone.
        thread::sleep(Duration::from_secs(8));
        Ok(())
    })?;
    after.check(stage, "while and after the old service stopped")?;
    ensure!(after.names.iter().all(|name| name.starts_with('t')), "answers by {:?}", after.names);
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}

/// That every HSDir has a descriptor whose counter is above the highest one of before.
fn replaced(now: impl Iterator<Item = u64>, highest: u64) -> Result<()> {
    let above: Vec<_> = now.map(|revision| revision > highest).collect();
    ensure!(
        above.len() == HSDIRS && above.iter().all(|above| *above),
        "an old descriptor is left: {above:?}"
    );
    Ok(())
}

/// The story is red if one visit was turned away, if too few came, or if one HSDir kept a counter of before or has none.
pub(crate) fn verdicts_can_tell() -> Result<()> {
    let visits = |good: usize, bad: usize| Visits {
        names: vec!["t1".to_owned(); good],
        bad: vec!["turned away".to_owned(); bad],
    };
    visits(VISITS, 0).verdict("of all")?;
    for (good, bad) in [(VISITS, 1), (VISITS - 1, 0), (0, 0)] {
        ensure!(visits(good, bad).verdict("").is_err(), "{good} good visits and {bad} bad ones pass");
    }
    let copies = |old: usize, new: usize| [vec![70_u64; old], vec![71; new]].concat().into_iter();
    replaced(copies(0, HSDIRS), 70)?;
    for (old, new) in [(1, HSDIRS - 1), (HSDIRS, 0), (0, HSDIRS - 1)] {
        ensure!(replaced(copies(old, new), 70).is_err(), "{old} old copies and {new} new ones pass");
    }
    Ok(())
}

/// Starts the publisher, stops the old service when told to, and waits until clients come to the new backends.
fn take_over(stage: &mut Stage, old: &mut Backend, address: &str) -> Result<()> {
    let from = stage.publisher.log().len();
    let start = Instant::now();
    stage.publisher.start()?;
    wait_line(stage, from, " address-in-use ")?;
    wait_line(stage, from, " taken-over ")?;
    old.publish_no_more()?;
    stage
        .report
        .reached(&format!("taken over {:.1} s after the publisher's start", start.elapsed().as_secs_f64()));
    wait_line(stage, from, " take-over-verified ")?;
    let until = stage.publisher.status()?["services"][0]["former_until"].as_u64();
    ensure!(
        until.is_some_and(|until| until > unix_now()),
        "the status names no time for the old service: {until:?}"
    );
    stage.client.forget()?;
    let answer = stage.client.get_patiently(address, LIMIT)?;
    ensure!(answer.from.starts_with('t'), "{} answered after the take-over", answer.from);
    // The neighbour, who knows the old descriptor, goes on with it.
    thread::sleep(Duration::from_secs(10));
    Ok(())
}

/// What somebody met who visited all the time.
pub(crate) struct Visits {
    /// Who answered.
    names: Vec<String>,
    /// Failures that a second try at once did not mend.
    bad: Vec<String>,
}

impl Visits {
    /// At no moment was the visitor turned away.
    pub(crate) fn check(&self, stage: &Stage, when: &str) -> Result<()> {
        let (good, bad) = (self.names.len(), &self.bad);
        stage.report.reached(&format!("{good} visits answered {when}, {} not: {bad:?}", bad.len()));
        self.verdict(when)
    }

    /// An error if somebody was turned away, or if too few came to say anything.
    fn verdict(&self, when: &str) -> Result<()> {
        let (good, bad) = (self.names.len(), &self.bad);
        ensure!(good >= VISITS && bad.is_empty(), "{good} visits answered {when}, these not: {bad:?}");
        Ok(())
    }
}

/// Visits all the time while something is done.
pub(crate) fn visit_while(
    client: &Client,
    address: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<Visits> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let visits = scope.spawn(|| visit_all_the_time(client, address, &over));
        let done = act();
        over.store(true, Ordering::Relaxed);
        let visits = visits.join().expect("the visitor does not panic");
        done.map(|()| visits)
    })
}

/// Waits for a line in what the publisher logged after its first `from` octets.
pub(crate) fn wait_line(stage: &Stage, from: usize, word: &str) -> Result<()> {
    wait::until(&format!("the publisher to log{word}"), LIMIT, || {
        let log = stage.publisher.log();
        let found = log.get(from..).is_some_and(|new| new.contains(word));
        Ok(if found { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })
}

/// Imports the key and writes the configuration; the publisher is not started.
pub(crate) fn configure(stage: &mut Stage, old: &Backend, address: &str, backends: &[Backend]) -> Result<()> {
    let copy = stage.signer.dir().join("taken_secret_key");
    files::write(
        &copy,
        std::fs::read(old.service_dir().join("hs_ed25519_secret_key"))?,
        User::Signer,
        0o600,
    )?;
    stage.publisher.stop()?;
    stage.signer.stop()?;
    let printed = stage.signer.import_key(&copy).context("key import")?;
    std::fs::remove_file(&copy)?;
    ensure!(printed == address, "key import printed {printed} for the key of {address}");
    stage.signer.allow(address)?;
    stage.signer.start()?;
    let taken = Service {
        address: address.to_owned(),
        backends: backends.iter().map(|b| (b.name().to_owned(), b.address().to_owned())).collect(),
        ..stage.service()
    };
    stage.publisher.serve(vec![taken])
}

/// Counts answers, and collects failures that a second try at once did not mend.
fn visit_all_the_time(client: &Client, address: &str, over: &AtomicBool) -> Visits {
    let mut visits = Visits { names: Vec::new(), bad: Vec::new() };
    while !over.load(Ordering::Relaxed) || visits.names.len() + visits.bad.len() < VISITS {
        match client.get(address, VISIT).or_else(|_| client.get(address, VISIT)) {
            Ok(answer) => visits.names.push(answer.from),
            Err(error) => visits.bad.push(format!("{error:#}")),
        }
        thread::sleep(Duration::from_millis(500));
    }
    visits
}
