//! Two publishers with tors and signers of their own serve one address at once; either is killed, and no client notices. Then
//! one of them gets another secret.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::daemon::{Programs, Publisher, PublisherTor, Service, Signer};
use onionkeep_tests::files;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{HSDIRS, Stage};
use onionkeep_tests::tornet::{Backend, Client, Pace, ServiceKind};
use serde_json::Value;

use crate::strangers;
use crate::takeover::{configure, visit_while};

/// Until something has been published or found.
const LIMIT: Duration = Duration::from_secs(90);
/// Seconds after an upload within which its HSDirs are looked at.
const LOOKS: u64 = 60;

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
    let service =
        Service { address: address.clone(), backends: named, check_uploads: Some(LOOKS), ..service };
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
        second.kill()
    })?;
    visits.check(stage, "while one publisher died and then the other")?;
    stage.client.forget()?;
    let answer = stage.client.get_patiently(&address, LIMIT)?;
    ensure!(answer.from.starts_with('w'), "{} answered", answer.from);
    let first = stage.publisher.log();
    let logs = [first.get(before..).context("the log became shorter")?, &second.log()].concat();
    let refused = logs.matches("revision counter not higher").count();
    stage.report.reached(&format!("{refused} copies refused"));
    // In one second both may have one counter; that is settled by one upload more.
    ensure!(refused <= 2 * HSDIRS, "{refused} copies were refused: a war of uploads");
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
