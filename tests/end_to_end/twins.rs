//! Two publishers with tors and signers of their own serve one address at once; either is killed, and no client notices: whoever
//! is left follows the backends alone. Then one of them gets another secret.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Backend, Client, Pace, ServiceKind};
use onionkeep_tests::wait::{self, Seen};
use serde_json::Value;

use crate::strangers;
use crate::takeover::{configure, visit_while};

/// Until something has been published or found.
const LIMIT: Duration = Duration::from_secs(90);
/// Seconds after an upload within which its HSDirs are looked at.
const LOOKS: u64 = 60;
/// Seconds between probes of a backend: so many do not matter to the story, and it waits for some of them.
const PROBES: u64 = 3;

/// Brings up both, kills the first, brings it back, kills the second.
pub(crate) fn tell(stage: &mut Stage) -> Result<()> {
    // What earlier stories of this stage are told about is not about these two.
    let before = stage.publisher.log().len();
    // A tor makes the key that both signers import; its service is never heard of.
    let mut source =
        Backend::start_with(&stage.network, "source", ServiceKind::Plain, "PublishHidServDescriptors 0\n")?;
    let address = source.address().to_owned();
    source.kill()?;
    let backends =
        ["w1", "w2"].map(|name| Backend::start(&stage.network, name, ServiceKind::BackendOf(&address)));
    let mut backends = backends.into_iter().collect::<Result<Vec<_>>>()?;
    let tor = PublisherTor::start(&stage.network, "publisher-two")?;
    configure(stage, &source, &address, &backends)?;
    let service = stage.service();
    let named = backends.iter().map(|b| (b.name().to_owned(), b.address().to_owned())).collect();
    let service = Service {
        address: address.clone(),
        backends: named,
        probe_interval: Some(PROBES),
        check_uploads: Some(LOOKS),
        ..service
    };
    stage.publisher.serve(vec![service.clone()])?;
    backends.iter_mut().try_for_each(|backend| backend.wait_published(LIMIT))?;
    stage.publisher.start()?;
    stage.publisher.wait_status("the first publisher's uploads", LIMIT, everywhere)?;

    stage.publisher.wait_status("an HSDir to give what it took", LIMIT, held)?;
    let (second_signer, mut second) = second(stage, &source, &address, &tor, service)?;
    restart(&mut second, "the second")?;
    // Each looks at its HSDirs within a minute of its own uploads and sees what was uploaded meanwhile: so who is to be seen
    // uploads right after who is to see.
    restart(&mut stage.publisher, "the first")?;
    restart(&mut second, "the second")?;
    stage.publisher.wait_status("the first publisher to see the second", LIMIT, sees)?;
    let mut client = Client::start(&stage.network, "bystander")?;
    client.get_patiently(&address, LIMIT)?;
    let visits = visit_while(&client, &address, || {
        restart(&mut second, "the second")?;
        restart(&mut stage.publisher, "the first")?;
        second.wait_status("the second publisher to see the first", LIMIT, sees)?;
        second.kill()?;
        die_uploading(&mut second)
    })?;
    visits.check(stage, "while one publisher died and then the other")?;
    let changing = backends.first_mut().context("no backend")?;
    each_alone(stage, &address, &mut second, changing)?;
    restart(&mut stage.publisher, "the first")?;
    let first = stage.publisher.log();
    let logs = [first.get(before..).context("the log became shorter")?, &second.log()].concat();
    let (refused, sent) = copies(&logs)?;
    stage.report.reached(&format!("{refused} of {sent} copies refused"));
    // In one second both may have one counter; that is settled by one upload more.
    ensure!(refused <= 2 * HSDIRS, "{refused} of {sent} copies were refused: a war of uploads");
    ensure!(
        !logs.contains(" publishers-differ ") && !logs.contains(" address-in-use "),
        "taken for a stranger"
    );
    strangers::tell(stage, &address, second, &mut client)?;
    drop(second_signer);
    stage.publisher.stop()?;
    stage.publisher.serve(vec![stage.service()])?;
    stage.publisher.start()
}

/// Kills a publisher if it runs, starts it, and waits for all of its uploads.
fn restart(publisher: &mut Publisher, which: &str) -> Result<()> {
    // Two uploads of one second have counters that do not show whether the secret is the same.
    std::thread::sleep(Duration::from_secs(3));
    publisher.kill()?;
    publisher.start()?;
    publisher.wait_status(&format!("the uploads of {which} publisher"), LIMIT, everywhere)
}

/// Starts a publisher and kills it when the first HSDir has its copy: the others are under way.
fn die_uploading(publisher: &mut Publisher) -> Result<()> {
    publisher.start()?;
    publisher.wait_status("a first copy", LIMIT, |status| {
        let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
        let mut hsdirs = descriptors.iter().flat_map(|one| one["hsdirs"].as_array().into_iter().flatten());
        ensure!(hsdirs.any(|hsdir| !hsdir["stored_revision"].is_null()), "no HSDir has one");
        Ok(())
    })?;
    publisher.kill()
}

/// The first alone takes a dead backend out of the descriptor, the second alone does, and takes it in again.
fn each_alone(
    stage: &mut Stage,
    address: &str,
    second: &mut Publisher,
    changing: &mut Backend,
) -> Result<()> {
    changing.kill()?;
    follow(stage, address, changing, false).context("the first publisher alone")?;
    restart(second, "the second")?;
    stage.publisher.kill()?;
    // It has just been started and has yet to find out: whoever comes back sooner has never been away, and waits for a fetch.
    follow(stage, address, changing, false).context("the second publisher alone")?;
    changing.restart()?;
    changing.wait_published(LIMIT)?;
    follow(stage, address, changing, true).context("the second publisher alone")
}

/// Waits until a backend's points are in the descriptor of `address`, or out of it; then a client that asks anew is served.
fn follow(stage: &mut Stage, address: &str, backend: &Backend, listed: bool) -> Result<()> {
    let (start, state) = (Instant::now(), if listed { "in" } else { "out of" });
    wait::until(&format!("{} to be {state} the descriptor", backend.name()), LIMIT, || {
        let points = stage.points_shared(address, backend.address())?;
        let reached = (points > 0) == listed;
        Ok(if reached { Seen::Ready(()) } else { Seen::NotYet(format!("{points} points of it are listed")) })
    })?;
    let took = start.elapsed().as_secs_f64();
    stage.client.forget()?;
    let from = stage.client.get_patiently(address, LIMIT)?.from;
    ensure!(from.starts_with('w') && (listed || from != backend.name()), "{from} answered");
    stage.report.reached(&format!("{} {state} the descriptor after {took:.1} s", backend.name()));
    Ok(())
}

/// How many copies of descriptors HSDirs refused, and how many were sent, by what publishers logged.
pub(crate) fn copies(logs: &str) -> Result<(usize, usize)> {
    let refused = logs.matches("revision counter not higher").count();
    let uploads = logs.lines().filter(|line| line.contains(" info upload "));
    let sent = uploads.map(|line| {
        let number = line.rsplit_once(" hsdirs=").context("an upload to how many?")?.1;
        number.parse::<usize>().with_context(|| format!("a line {line}"))
    });
    Ok((refused, sent.sum::<Result<usize>>()?))
}

/// Another signer with the same key, and another publisher with the same counter secret.
fn second(
    stage: &mut Stage,
    source: &Backend,
    address: &str,
    tor: &PublisherTor,
    service: Service,
) -> Result<(Signer, Publisher)> {
    let place = stage.run.path().join("second");
    files::make_dir(&place, User::Signer, 0o755)?;
    let mut signer = Signer::new(&place, &stage.programs, Pace::Day.test_period())?;
    signer.init_token()?;
    let copy = signer.dir().join("second_secret_key");
    let key = std::fs::read(source.service_dir().join("hs_ed25519_secret_key"))?;
    files::write(&copy, key, User::Signer, 0o600)?;
    let printed = signer.import_key(&copy).context("key import")?;
    std::fs::remove_file(&copy)?;
    ensure!(printed == address, "key import printed {printed} for the key of {address}");
    signer.allow(address)?;
    signer.start()?;
    let place = stage.run.path().join("second-publisher");
    files::make_dir(&place, User::Publisher, 0o755)?;
    let mut publisher = Publisher::new(&place, &Programs::install(&place)?, tor)?;
    let secret = std::fs::read(stage.publisher.dir().join("state/counter-secret"))?;
    files::write(&publisher.dir().join("state/counter-secret"), secret, User::Publisher, 0o600)?;
    publisher.serve(vec![Service { signer: Some(signer.socket()), ..service }])?;
    Ok((signer, publisher))
}

/// Whether every HSDir of both descriptors has confirmed its copy.
pub(crate) fn everywhere(status: &Value) -> Result<()> {
    let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
    ensure!(descriptors.len() == 2, "{} descriptors", descriptors.len());
    for hsdir in descriptors.iter().flat_map(|one| one["hsdirs"].as_array().into_iter().flatten()) {
        ensure!(!hsdir["stored_revision"].is_null(), "an HSDir says: {}", hsdir["result"]);
    }
    Ok(())
}

/// Whether an HSDir gave exactly what it took, and none anything else.
fn held(status: &Value) -> Result<()> {
    let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
    let hsdirs = descriptors.iter().flat_map(|one| one["hsdirs"].as_array().into_iter().flatten());
    let copies: Vec<_> = hsdirs.map(|hsdir| hsdir["copy"].as_str().unwrap_or_default()).collect();
    ensure!(copies.contains(&"held"), "copies are {copies:?}");
    ensure!(copies.iter().all(|copy| ["held", "acknowledged"].contains(copy)), "copies are {copies:?}");
    Ok(())
}

/// Whether the status shows another publisher with the same counter secret.
fn sees(status: &Value) -> Result<()> {
    let descriptors = status["services"][0]["descriptors"].as_array().context("no descriptors")?;
    let peer = descriptors.iter().any(|one| one["other"]["same_secret"] == true);
    ensure!(peer, "no other publisher is shown");
    Ok(())
}
