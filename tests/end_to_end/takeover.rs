//! A live address is taken over from a plain C tor service: at no moment is a client turned away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
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

/// Takes the address of a running service over, and stops that service when the publisher says so.
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
    let over = AtomicBool::new(false);
    let (good, bad) = thread::scope(|scope| {
        let visits = scope.spawn(|| visit_all_the_time(&mut client, &address, &over));
        let told = take_over(stage, &mut old, &address);
        over.store(true, Ordering::Relaxed);
        let visits = visits.join().expect("the visitor does not panic");
        told.map(|()| visits)
    })?;
    let now = stage.look_at(&address)?;
    ensure!(
        now.len() == HSDIRS && now.values().all(|opened| opened.revision > highest),
        "an old descriptor is left"
    );
    stage.report.reached(&format!("{good} visits answered during the take-over, {} not: {bad:?}", bad.len()));
    ensure!(good >= 3 && bad.is_empty(), "{good} visits answered, these not: {bad:?}");
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}

/// Starts the publisher, stops the old service when told to, and waits until clients come to the new backends.
fn take_over(stage: &mut Stage, old: &mut Backend, address: &str) -> Result<()> {
    let from = stage.publisher.log().len();
    let start = Instant::now();
    stage.publisher.start()?;
    wait_line(stage, from, " address-in-use ")?;
    wait_line(stage, from, " taken-over ")?;
    old.kill()?;
    stage
        .report
        .reached(&format!("taken over {:.1} s after the publisher's start", start.elapsed().as_secs_f64()));
    wait_line(stage, from, " take-over-verified ")?;
    stage.client.forget()?;
    let answer = stage.client.get_patiently(address, LIMIT)?;
    ensure!(answer.from.starts_with('t'), "{} answered after the take-over", answer.from);
    // The neighbour, who knows the old descriptor, has to find the way too.
    thread::sleep(Duration::from_secs(15));
    Ok(())
}

/// Waits for a line in what the publisher logged after its first `from` octets.
fn wait_line(stage: &Stage, from: usize, word: &str) -> Result<()> {
    wait::until(&format!("the publisher to log{word}"), LIMIT, || {
        let log = stage.publisher.log();
        let found = log.get(from..).is_some_and(|new| new.contains(word));
        Ok(if found { Seen::Ready(()) } else { Seen::NotYet("no such line".into()) })
    })
}

/// Imports the key and writes the configuration; the publisher is not started.
fn configure(stage: &mut Stage, old: &Backend, address: &str, backends: &[Backend]) -> Result<()> {
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
fn visit_all_the_time(client: &mut Client, address: &str, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut good, mut bad) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        match client.get(address, VISIT).or_else(|_| client.get(address, VISIT)) {
            Ok(_) => good += 1,
            Err(error) => bad.push(format!("{error:#}")),
        }
        thread::sleep(Duration::from_millis(500));
    }
    (good, bad)
}
