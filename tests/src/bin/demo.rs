//! The demonstration behind `tests/demo`: from nothing to a balanced onion service whose key is on a token.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::process::User;
use onionkeep_tests::stage::{PROBE_INTERVAL, Stage, bare, count};
use onionkeep_tests::tornet::Pace;

/// Answers shown before and after a backend is killed.
const VISITS: usize = 6;
/// Seconds between votes of the demonstration's network.
const VOTES: u64 = 10;

/// Moments of the run, for the summary.
#[derive(Default)]
struct Timings {
    /// What was reached, and when.
    lines: Vec<(String, Duration)>,
}

fn main() -> ExitCode {
    let keep = std::env::args().skip(1).any(|argument| argument == "--keep");
    let report = Report::new();
    match show(keep, &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.reached(&format!("the demonstration failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Builds the stage, plays on it, and takes it down or leaves it.
fn show(keep: bool, report: &Report) -> Result<()> {
    let mut stage = Stage::build(Pace::Short(VOTES), 3, report)?;
    let place = stage.run.path().display().to_string();
    play(&mut stage, report).with_context(|| format!("the logs are in {place}"))?;
    if keep {
        hold(&stage, report)?;
    }
    stage.run.discard();
    Ok(())
}

/// Reaches the frontend, loses a backend, carries on.
fn play(stage: &mut Stage, report: &Report) -> Result<()> {
    let mut timings = Timings::default();
    timings.note("network, token, key and tors are up, publisher started", report);
    report.answer(&format!("the frontend is http://{}", stage.address));
    report.waiting("the publisher's first uploads");
    let took = stage.wait_all_uploads()?;
    timings.note("both descriptors are at all HSDirs", report);
    report.answer(&format!(
        "first full set of uploads: {:.1} s after the publisher's start",
        took.as_secs_f64()
    ));
    visit(stage, report, &stage.backend_names())?;
    timings.note("every backend has answered", report);
    lose_a_backend(stage, report)?;
    timings.note("the others carry on", report);
    summarise(stage, report, &timings)
}

/// Visits until every one of `names` has answered, and shows each answer.
fn visit(stage: &mut Stage, report: &Report, names: &[String]) -> Result<()> {
    report.waiting("answers through the private Tor network");
    let answers = stage.visit_until_all(names, VISITS, Duration::from_secs(90))?;
    for (number, answer) in answers.iter().enumerate() {
        report.answer(&format!(
            "  visit {:2}: answered by {} in {:.2} s",
            number + 1,
            answer.from,
            answer.took.as_secs_f64()
        ));
    }
    Ok(())
}

/// Kills one backend, waits until the descriptor has lost it, and visits again.
fn lose_a_backend(stage: &mut Stage, report: &Report) -> Result<()> {
    let mut names = stage.backend_names();
    let lost = names.remove(0);
    stage.backends.first_mut().context("no backend")?.kill()?;
    report.answer(&format!("killed the tor of {lost}; the publisher probes every {PROBE_INTERVAL} s"));
    report.waiting(&format!("a new descriptor without {lost}"));
    stage.wait_upload(Duration::from_secs(120))?;
    stage.client.forget()?;
    let answers = stage.visit_until_all(&names, VISITS, Duration::from_secs(90))?;
    ensure!(answers.iter().all(|answer| answer.from != lost), "{lost} answers after it was killed");
    report.answer(&format!("{} visits, all answered: {}", answers.len(), count(&answers)));
    Ok(())
}

/// What it took.
fn summarise(stage: &mut Stage, report: &Report, timings: &Timings) -> Result<()> {
    report.answer("\nsummary");
    for (what, when) in &timings.lines {
        report.answer(&format!("  {:6.1} s  {what}", when.as_secs_f64()));
    }
    let publisher = stage.publisher.process()?.resident_kib()?;
    let signer = stage.signer.process()?.resident_kib()?;
    report.answer(&format!(
        "  resident memory: publisher {publisher} KiB, signer {signer} KiB with SoftHSM loaded"
    ));
    report.answer(&format!(
        "  signer: uid {}, holds the key; publisher: uid {}, talks to tor and has no key\n",
        User::Signer.uid(),
        User::Publisher.uid()
    ));
    Ok(())
}

/// Prints how to talk to what runs, and waits until it is told to end.
fn hold(stage: &Stage, report: &Report) -> Result<()> {
    let (socks, address) = (stage.client.socks_port(), &stage.address);
    let status = stage.publisher.command(&["status"]);
    let words: Vec<_> = status.get_args().map(|word| word.to_string_lossy()).collect();
    report.answer(&format!("everything is left running, in {}", stage.run.path().display()));
    report
        .answer(&format!("  visit:   curl --socks5-hostname someone:x@127.0.0.1:{socks} http://{address}/"));
    report.answer("           (another name than `someone` makes tor choose an introduction point anew)");
    report.answer(&format!("  status:  setpriv {}", words.join(" ")));
    report.answer(&format!("  service: {}", bare(address)));
    report.answer("  stop:    press Enter here, or Ctrl-C");
    report.finish();
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        std::thread::park();
    }
    Ok(())
}

impl Timings {
    /// Remembers this moment.
    fn note(&mut self, what: &str, report: &Report) {
        report.reached(what);
        self.lines.push((what.to_owned(), report.elapsed()));
    }
}
