//! `ceremony start | status | resume`: the steps of a ceremony that answers a request, in their order. The only place with it.
//!
//! A step that is done stays done. What holds only while somebody is in the room is done anew after every interruption until the
//! bundles are on record: doctor, clock, unlock. Whatever happens, one request has one answer.

use super::{
    Places, answer, books, enter, first, harden, open_vault, progress, read, show, standby_fits, write_out,
};
use crate::ceremony::confirm::Given;
use crate::ceremony::dates::Due;
use crate::ceremony::folder::{Folder, Plan};
use crate::ceremony::issue::{self, Issued, Order};
use crate::ceremony::{files, policy};
use crate::cli::{CeremonyCommand, CeremonyStart, Said};
use crate::clock::{Clock, Iso, SystemClock};
use crate::config::{Config, Depth, MemoryLock};
use crate::doctor::{Mark, WARNED, checks, gather};
use crate::error::{Failure, Kind};
use crate::ledger::{Keep, Ledger};
use crate::token::Token;
use crate::token::pkcs11::Access;
use crate::vault::Vault;
use onionkeep_common::paper::{FileDigest, Read, Request, spoken};
use std::path::Path;
use std::process::ExitCode;

/// The steps of a ceremony that answers a request.
const STEPS: [&str; 8] = ["doctor", "clock", "request", "unlock", "issue", "write", "checkpoint", "close"];
/// The name of the request's copy.
const REQUEST: &str = "request";

/// An open vault.
type Open = Vault<Box<dyn Token>>;

/// `ceremony ...`.
pub(in crate::command) fn guided(path: &Path, command: &CeremonyCommand) -> Result<ExitCode, Failure> {
    match command {
        CeremonyCommand::Start(start) => {
            enter(start.look.rehearse);
            let plan = plan(start)?;
            let copy = start.request.as_deref().map(files::read).transpose()?;
            let folder = Folder::begin(&start.dir, plan)?;
            if let Some(copy) = copy {
                files::put(&folder.file(REQUEST), &copy)?;
            }
            go_on(path, folder, &start.said, &start.told)
        }
        CeremonyCommand::Resume { dir, said, told } => {
            let folder = Folder::resume(dir)?;
            enter(folder.plan.rehearses());
            go_on(path, folder, said, told)
        }
        CeremonyCommand::Status { dir } => status(&Folder::read(dir)?),
    }
}

/// What was agreed, from the command line.
fn plan(start: &CeremonyStart) -> Result<Plan, Failure> {
    let yes = |is| if is { "yes" } else { "no" };
    let Some(request) = &start.request else { return first::plan(start) };
    // A request that cannot be read begins no ceremony.
    let Read { digest, .. } = read(request)?;
    let mut plan = Plan::default()
        .with("kind", "issue")?
        .with("rehearsal", yes(start.look.rehearse))?
        .with("first", yes(start.look.first))?
        .with("horizon", &start.look.horizon.to_string())?
        .with("request", &digest.to_string())?
        .with_path("request-file", request)?;
    for (name, path) in [("bundle", &start.out), ("emergency", &start.emergency)] {
        if let Some(path) = path {
            plan = plan.with_path(name, path)?;
        }
    }
    Ok(plan)
}

/// The steps of a ceremony's kind.
fn steps(plan: &Plan) -> &'static [&'static str] {
    if plan.get("kind") == Some("first") { &first::STEPS } else { &STEPS }
}

/// Goes on until the end, or a pause.
fn go_on(path: &Path, folder: Folder, said: &Said, told: &crate::cli::Told) -> Result<ExitCode, Failure> {
    folder.record(SystemClock.now())?;
    match folder.plan.get("kind") {
        Some("first") => first::go_on(path, folder, said, told),
        _ => answer_request(path, folder, said),
    }
}

/// `ceremony status`.
fn status(folder: &Folder) -> Result<ExitCode, Failure> {
    enter(folder.plan.rehearses());
    let steps = steps(&folder.plan);
    let mut text = String::new();
    for (number, step) in (1_usize..).zip(steps) {
        let state = folder.noted(step).map_or_else(|| "to do".to_owned(), |time| format!("done {time}"));
        text.push_str(&format!("step {number:>2} of {}  {step:<11} {state}\n", steps.len()));
    }
    let left = steps.iter().find(|step| folder.noted(step).is_none());
    match left {
        None => text.push_str("The ceremony is over.\n"),
        Some(_) => {
            text.push_str(&format!("next: onionkeep-signer ceremony resume {}\n", folder.dir().display()));
        }
    }
    answer(&text)?;
    Ok(ExitCode::from(if left.is_none() { 0 } else { WARNED }))
}

/// Says which step comes.
pub(super) fn head(steps: &[&str], step: &str, state: &str) -> Result<(), Failure> {
    let number = steps.iter().position(|known| *known == step).map_or(0, |at| at.saturating_add(1));
    let line = format!("step {number} of {}  {step:<11} {state}", steps.len());
    answer(&format!("{}\n", line.trim_end()))
}

/// A ceremony that answers a request.
fn answer_request(path: &Path, mut folder: Folder, said: &Said) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let request = copied(&folder)?;
    let onions = super::onions(&config);
    let plan = &folder.plan;
    let (first, horizon) = (plan.get("first") == Some("yes"), plan.get("horizon"));
    let order = Order {
        request: &request,
        onions: &onions,
        periods: config.periods,
        state_dir: &config.state_dir,
        now: SystemClock.now(),
        horizon: horizon.and_then(|text| text.parse().ok()).unwrap_or(policy::HORIZON),
        first,
        purpose: enter(plan.rehearses()),
    };
    let number = request.content.sequence;
    let main = plan.path("bundle").unwrap_or_else(|| folder.file(&format!("{number}.bundle")));
    let spare = plan.path("emergency").unwrap_or_else(|| folder.file(&format!("{number}.emergency")));
    let spare = (!request.content.standby.is_empty() || plan.get("emergency").is_some()).then_some(spare);
    let places = Places { request: Path::new(""), main: &main, emergency: spare.as_deref() };
    standby_fits(&request.content, &places)?;
    answer(&format!("ceremony in {} for {}\n", folder.dir().display(), request.content.onion))?;
    let known = order.answered(&Ledger::peek(&config.state_dir, Keep::for_periods(&config.periods))?)?;
    let (issued, mut vault, mut ledger) = match known {
        Some(issued) => {
            for step in ["doctor", "clock", "request", "unlock", "issue"] {
                let when = folder.noted(step).map_or("the request was answered before", |time| time);
                head(&STEPS, step, &format!("done: {when}"))?;
            }
            (issued, None, books::open(&config)?)
        }
        None => {
            let (issued, vault, ledger) = sign(path, &config, &mut folder, &order, &places, said)?;
            (issued, Some(vault), ledger)
        }
    };
    head(&STEPS, "write", "")?;
    answer(&write_out(&issued, &places)?)?;
    folder.finish("write", order.now)?;
    sign_ledger(&config, &mut folder, &order, &mut vault, &mut ledger)?;
    drop(vault);
    close(&mut folder, &order)
}

/// The request as it was copied at the start.
fn copied(folder: &Folder) -> Result<Read<Request>, Failure> {
    let copy = folder.file(REQUEST);
    if !copy.exists() {
        // A power cut came between plan and copy.
        let original = folder.plan.path("request-file").unwrap_or_default();
        let octets = files::read(&original)?;
        if folder.plan.get("request") == Some(FileDigest::of(&octets).to_string().as_str()) {
            files::put(&copy, &octets)?;
        }
    }
    let request = read(&copy)?;
    if folder.plan.get("request") != Some(request.digest.to_string().as_str()) {
        let text = format!("{} is not the request of this ceremony. Nothing was signed", copy.display());
        return Err(Failure::new(Kind::Verification, text, "start again in another directory"));
    }
    Ok(request)
}

/// From the doctor to the bundles on record.
fn sign(
    path: &Path,
    config: &Config,
    folder: &mut Folder,
    order: &Order<'_>,
    places: &Places<'_>,
    said: &Said,
) -> Result<(Issued, Open, Ledger), Failure> {
    head(&STEPS, "doctor", "")?;
    doctor(path, false)?;
    folder.finish("doctor", order.now)?;
    let mut ledger = books::open(config)?;
    let given = Given { heard: said.heard.as_deref(), watch: said.watch.as_deref() };
    head(&STEPS, "clock", "")?;
    let watch = given.watch()?;
    policy::clock_confirmed(order.now, watch)?;
    let period = order.periods.number_at(order.now);
    answer(&format!("the watch agrees with the clock, {}; the period is {period}\n", Iso(order.now)))?;
    folder.finish("clock", order.now)?;

    head(&STEPS, "request", "")?;
    let (table, refusal) = show::request(&order.facts(ledger.memory()));
    answer(&table)?;
    refusal.map_or(Ok(()), |refusal| Err(Failure::from(refusal)))?;
    files::check_places(places.main, places.emergency)?;
    match folder.noted("request") {
        Some(time) => answer(&format!("its words were confirmed: {time}\n"))?,
        None => given.words("the request", &order.request.digest.0)?,
    }
    folder.finish("request", order.now)?;

    head(&STEPS, "unlock", "")?;
    harden::harden(MemoryLock::IfPossible)?;
    let mut vault = unlock(config, order)?;
    folder.finish("unlock", order.now)?;

    head(&STEPS, "issue", "")?;
    let question = format!("Sign {} certificates?", order.certificates());
    given.sentence(&question, &format!("Issue {}", order.request.content.sequence))?;
    let issued = issue::issue(order, &mut vault, &mut ledger, watch, &mut progress(order))?;
    answer(&format!("{} certificates made, verified in software, on record\n", order.certificates()))?;
    folder.finish("issue", order.now)?;
    Ok((issued, vault, ledger))
}

/// Opens the token, and sees that the key opens.
fn unlock(config: &Config, order: &Order<'_>) -> Result<Open, Failure> {
    let mut vault = open_vault(config, Access::Read)?;
    vault.check(order.request.content.onion)?;
    let (label, serial) = (&config.token.label, config.serial()?);
    answer(&format!("token {label:?} {serial} is open, the sealed key is that of the address\n"))?;
    Ok(vault)
}

/// The token signs the ledger as it is now.
fn sign_ledger(
    config: &Config,
    folder: &mut Folder,
    order: &Order<'_>,
    vault: &mut Option<Open>,
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    if let Some(time) = folder.noted("checkpoint") {
        return head(&STEPS, "checkpoint", &format!("done: {time}"));
    }
    head(&STEPS, "checkpoint", "")?;
    let vault = match vault {
        Some(vault) => vault,
        None => {
            harden::harden(MemoryLock::IfPossible)?;
            vault.insert(unlock(config, order)?)
        }
    };
    issue::checkpoint(vault, ledger, order.now)?;
    let (seq, head) = ledger.head();
    answer(&format!(
        "the ledger ends with line {seq}; write on the sheet, and both sign:\n  hash   {head}\n  words  {}\n",
        spoken(&head.0)
    ))?;
    folder.finish("checkpoint", order.now)
}

/// What is to be done now, and until when.
fn close(folder: &mut Folder, order: &Order<'_>) -> Result<ExitCode, Failure> {
    head(&STEPS, "close", "")?;
    let Due { by, must, over } = Due::after(&order.request.content, order.now);
    answer(&format!(
        "The token is locked: unplug it and put it back into its safe.\n\
         Next ceremony by {}, at the latest {}; after {} nothing is published.\n",
        Iso(by),
        Iso(must),
        Iso(over)
    ))?;
    folder.finish("close", order.now)?;
    Ok(ExitCode::SUCCESS)
}

/// `doctor` as a step: what is broken ends the ceremony before anything is signed.
pub(super) fn doctor(path: &Path, login: bool) -> Result<(), Failure> {
    let report = checks::all(&gather::facts(path, login));
    answer(&report.to_string())?;
    let broken = report.0.iter().find_map(|finding| match finding.mark {
        Mark::Fail(kind) => Some((finding.check, kind)),
        Mark::Ok | Mark::Warn => None,
    });
    broken.map_or(Ok(()), |(check, kind)| {
        let text = format!("the doctor finds {check:?} broken. Nothing was signed");
        Err(Failure::new(
            kind,
            text,
            "mend it as the table says, then go on: onionkeep-signer ceremony resume DIR",
        ))
    })
}
