//! `request show | enrol`, `issue` and `bundle verify`: the commands of a ceremony, around `crate::ceremony`.

use super::{answer, books, open_vault};
use crate::ceremony::confirm::Given;
use crate::ceremony::issue::{self, Issued, Order};
use crate::ceremony::{check, files, policy, show};
use crate::cli::{BundleCommand, Look, RequestCommand, Said};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Depth, MemoryLock};
use crate::error::{Explain as _, Failure, Kind};
use crate::harden;
use crate::ledger::{Event, Keep, Ledger};
use crate::log;
use crate::room;
use crate::token::pkcs11::Access;
use onionkeep_common::OnionAddress;
use onionkeep_common::paper::{FileDigest, Purpose, Read, Request, RequestKey, lines};
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

mod first;
mod guided;

pub(super) use guided::guided;

/// Where the files of a ceremony are.
pub(super) struct Places<'a> {
    /// The request.
    pub(super) request: &'a Path,
    /// The bundle.
    pub(super) main: &'a Path,
    /// The emergency bundle.
    pub(super) emergency: Option<&'a Path>,
}

/// Whether what is done counts; from now on every line of a rehearsal says what it is.
pub(super) fn enter(rehearse: bool) -> Purpose {
    if !rehearse {
        return Purpose::Real;
    }
    room::rehearse();
    Purpose::Rehearsal
}

/// Reads a request.
fn read(path: &Path) -> Result<Read<Request>, Failure> {
    Request::parse(&files::read(path)?).map_err(|error| {
        let text = format!("{}: {error}. Nothing was signed", path.display());
        Failure::new(
            Kind::Verification,
            text,
            "copy the file again, in binary; or ask the publisher for a new request",
        )
    })
}

/// What the configuration and the command line say about a request.
fn order<'a>(
    config: &'a Config,
    onions: &'a [OnionAddress],
    request: &'a Read<Request>,
    look: &Look,
) -> Order<'a> {
    Order {
        request,
        onions,
        periods: config.periods,
        state_dir: &config.state_dir,
        now: SystemClock.now(),
        horizon: look.horizon,
        first: look.first,
        purpose: enter(look.rehearse),
    }
}

/// The configured onions.
fn onions(config: &Config) -> Vec<OnionAddress> {
    config.grants.iter().map(|grant| grant.onion).collect()
}

/// `request ...`.
pub(super) fn request(path: &Path, command: &RequestCommand) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    match command {
        RequestCommand::Show { file, look } => show_request(&config, file, look),
        RequestCommand::Enrol { onion, public, heard, rehearse } => {
            enter(*rehearse);
            super::told(enrol(&config, *onion, public, heard.as_deref()))
        }
    }
}

/// `request show`: the rules in dry mode; neither token nor PIN nor lock.
fn show_request(config: &Config, file: &Path, look: &Look) -> Result<ExitCode, Failure> {
    let (request, onions) = (read(file)?, onions(config));
    let memory = Ledger::peek(&config.state_dir, Keep::for_periods(&config.periods))?;
    let order = order(config, &onions, &request, look);
    let (mut text, refusal) = show::request(&order.facts(&memory));
    let answered = memory.ceremonies().answer(&request.digest);
    if let (Some(_known), Err(refusal)) = (answered, policy::admit_again(&order.facts(&memory))) {
        answer(&text)?;
        return Err(refusal.into());
    }
    if let Some(known) = answered {
        text.push_str(&format!(
            "answered already by the bundle {}: issue writes the same again\n",
            known.main
        ));
        answer(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    answer(&text)?;
    refusal.map_or(Ok(ExitCode::SUCCESS), |refusal| Err(refusal.into()))
}

/// `request enrol`.
fn enrol(config: &Config, onion: OnionAddress, hex: &str, heard: Option<&str>) -> Result<String, Failure> {
    let wrong =
        || Failure::new(Kind::Usage, "--key: wanted are the 64 hex digits that request key prints", "");
    let key = RequestKey(lines::hex(hex).ok_or_else(wrong)?);
    if !onions(config).contains(&onion) {
        let text = format!("{onion} is not configured here. No publisher was enrolled");
        return Err(Failure::new(Kind::Refused, text, "[[onion]] in the configuration names what is served"));
    }
    let mut ledger = books::open(config)?;
    if ledger.memory().ceremonies().requester(&onion) == Some(key) {
        return Ok("enrolled already\n".to_owned());
    }
    Given { heard, watch: None }.words("the publisher's request key", &key.0)?;
    let seq = ledger.append(SystemClock.now(), Event::Enrol { onion, key })?;
    Ok(format!(
        "From now on requests for {onion} count if they are by this key, by line {seq} of the ledger.\n\
         The next one is the first of its chain: issue --first\n"
    ))
}

/// `issue`.
pub(super) fn issue(path: &Path, places: &Places<'_>, look: &Look, said: &Said) -> Result<ExitCode, Failure> {
    let config = Config::load(path, Depth::Text)?;
    let (request, onions) = (read(places.request)?, onions(&config));
    standby_fits(&request.content, places)?;
    let order = order(&config, &onions, &request, look);
    let mut ledger = books::open(&config)?;
    if let Some(issued) = order.answered(ledger.memory())? {
        return hand_out(&issued, places, "This request was answered before; the same files again:\n");
    }
    let (table, refusal) = show::request(&order.facts(ledger.memory()));
    log::raw(&table);
    refusal.map_or(Ok(()), |refusal| Err(Failure::from(refusal)))?;
    files::check_places(places.main, places.emergency)?;
    let given = Given { heard: said.heard.as_deref(), watch: said.watch.as_deref() };
    let watch = given.watch()?;
    policy::clock_confirmed(order.now, watch)?;
    given.words("the request", &request.digest.0)?;
    let sequence = request.content.sequence;
    let question = format!("Sign {} certificates?", order.certificates());
    given.sentence(&question, &format!("Issue {sequence}"))?;
    harden::harden(MemoryLock::IfPossible)?;
    let mut vault = open_vault(&config, Access::Read)?;
    let issued = issue::issue(&order, &mut vault, &mut ledger, watch, &mut progress(&order))?;
    let checkpoint = issue::checkpoint(&mut vault, &mut ledger, order.now);
    drop(vault);
    let (seq, head) = ledger.head();
    let note = format!(
        "Signed, verified and recorded. The ledger's last line is {seq}, its hash, for the sheet:\n{head}\n"
    );
    let code = hand_out(&issued, places, &note)?;
    checkpoint.map(|()| code)
}

/// Whether there is a place for the emergency bundle exactly if there will be one.
fn standby_fits(request: &Request, places: &Places<'_>) -> Result<(), Failure> {
    match (request.standby.is_empty(), places.emergency) {
        (true, None) | (false, Some(_)) => Ok(()),
        (true, Some(_)) => Err(Failure::new(
            Kind::Usage,
            "the request has no standby keys, so there is no emergency bundle. Nothing was signed",
            "leave --emergency away, or ask the publisher for a request with --standby",
        )),
        (false, None) => Err(Failure::new(
            Kind::Usage,
            "the request has standby keys, whose bundle needs a place. Nothing was signed",
            "add --emergency FILE",
        )),
    }
}

/// A bar on a terminal, and nothing elsewhere.
fn progress(order: &Order<'_>) -> impl FnMut(usize) {
    let (all, seen) = (order.certificates().max(1), std::io::stderr().is_terminal());
    move |made| {
        if seen {
            let filled = made.saturating_mul(40) / all;
            let (bar, rest) = ("#".repeat(filled), ".".repeat(40_usize.saturating_sub(filled)));
            let end = if made >= all { "\n" } else { "" };
            log::fleeting(&format!("\r[{bar}{rest}] {made} of {all}{end}"));
        }
    }
}

/// Writes the files and says what they are.
fn hand_out(issued: &Issued, places: &Places<'_>, note: &str) -> Result<ExitCode, Failure> {
    answer(&(note.to_owned() + &write_out(issued, places)?))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the files.
fn write_out(issued: &Issued, places: &Places<'_>) -> Result<String, Failure> {
    let Issued { main, emergency } = issued;
    let kept = |error: files::MediumError| Failure::from(error).because("what was signed is kept");
    files::apart(places.main, places.emergency).map_err(kept)?;
    let mut text = String::new();
    let spare = emergency.as_ref().zip(places.emergency).map(|(file, place)| (place, file));
    for (place, file) in [(places.main, main)].into_iter().chain(spare) {
        files::put(place, file).map_err(kept)?;
        let digest = FileDigest::of(file);
        text.push_str(&format!("{}\n  digest  {digest}\n  words   {}\n", place.display(), digest.words()));
    }
    Ok(text)
}

/// `bundle verify`: whatever is wrong ends with exit code 4.
pub(super) fn verify(command: &BundleCommand) -> Result<ExitCode, Failure> {
    let BundleCommand::Verify { file, onion, request, auditor, rehearse } = command;
    let (onion, auditor, purpose) = (*onion, *auditor, enter(*rehearse));
    let failed = |what: &str| {
        let text = format!("{}: {what}", file.display());
        Failure::new(
            Kind::Verification,
            text,
            "do not import it; copy it again, or run the ceremony's issue again",
        )
    };
    let unreadable = |error: files::MediumError| failed(&error.in_full());
    let request = request.as_deref().map(files::read).transpose().map_err(unreadable)?;
    let octets = files::read(file).map_err(unreadable)?;
    let wanted = check::Wanted { onion, request: request.as_deref(), auditor, purpose };
    let read = check::bundle(&octets, &wanted).map_err(|what| failed(&what))?;
    answer(&check::report(&read, &wanted))?;
    Ok(ExitCode::SUCCESS)
}
