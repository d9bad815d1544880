//! The distinguisher: collects descriptors and upload logs on a private network, and tries to tell who made them.
//!
//! `look [SERVICES] [LOOKS] [ONIONBALANCE'S SERVICES] [SPEED]`, as root: it starts itself again where the clocks can be moved.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::assurance::disk::can_mount;
use onionkeep_tests::clock;
use onionkeep_tests::clock_step::{self, ClockStep, Moved};
use onionkeep_tests::files::{self, RunDir};
use onionkeep_tests::look::collect::{Collected, Collector, Kind};
use onionkeep_tests::look::judge::{Sample, Verdict, tell_apart};
use onionkeep_tests::look::spoil::{MISTAKES, Sight, spoil};
use onionkeep_tests::process::{self, User};

/// Deals the services into folds and draws them again.
const SEED: u64 = 20_261_126;
/// What must be found is found from here on.
const FOUND: f64 = 0.95;
/// Chance, with the room that the goal gives.
const CHANCE: f64 = 0.55;

/// Names the directory for the samples, if they should be kept.
const SAVE: &str = "ONIONKEEP_LOOK_SAVE";
/// Tells the program that its clocks can be moved, and by which file.
const INSIDE: &str = "ONIONKEEP_LOOK_CLOCK";

fn main() -> Result<ExitCode> {
    match std::env::var_os(INSIDE) {
        None => outside(),
        Some(path) => {
            clock::follow(Moved::open(path.as_ref())?);
            inside().map(|()| ExitCode::SUCCESS)
        }
    }
}

/// Starts the same program with the library before all that it starts.
fn outside() -> Result<ExitCode> {
    ensure!(can_mount(), "no file system can be mounted here: run it as root");
    let mut run = RunDir::new()?;
    let programs = run.path().join("bin");
    files::make_dir(&programs, User::Harness, 0o755)?;
    let step = ClockStep::install(&run.path().join("step"), &programs)?;
    let mut inner = process::command(std::env::current_exe()?, User::Harness);
    inner.args(std::env::args_os().skip(1)).env(INSIDE, programs.join(clock_step::FILE));
    let mut moved = process::wrapped(step.outer(), &inner);
    if let Some(urgent) = urgent() {
        moved = process::wrapped(urgent, &moved);
    } else {
        println!("no real-time scheduling here: what else this machine does can show in the upload logs");
    }
    let status = moved.status()?;
    run.discard();
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What runs a program before everything else on the machine, if that may be asked for: at 60 times the speed a tenth of a second is six, after
/// which programs that wait for each other give up.
fn urgent() -> Option<Command> {
    let urgent = || {
        let mut command = Command::new("chrt");
        command.args(["--rr", "1"]);
        command
    };
    let tried = urgent().arg("true").stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success()).then(urgent)
}

/// Collects and judges.
fn inside() -> Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u32>());
    let usage = "usage: look [SERVICES] [LOOKS] [ONIONBALANCE'S SERVICES] [SPEED]";
    let mut number = |usual| words.next().transpose().context(usage).map(|word| word.unwrap_or(usual));
    let (services, looks, others, speed) = (number(16)?, number(8)?, number(5)?, number(60)?);
    ensure!((1..=1000).contains(&speed), "SPEED is a number from 1 to 1000; 60 is what has been tried");
    let start = Instant::now();
    let found = Collector::build(usize::try_from(services)?, usize::try_from(others)?, &Report::plain())?
        .collect(usize::try_from(looks)?, speed, &|found| {
            std::env::var_os(SAVE).map_or(Ok(()), |dir| save(Path::new(&dir), found))
        })?;
    let none = Collected::default();
    let of = |kind| found.get(&kind).unwrap_or(&none);
    let (ctor, ours, balance) = (of(Kind::CTor), of(Kind::Ours), of(Kind::Onionbalance));

    println!("rows, C tor: {}", list(&ctor.odd));
    println!("rows, frontends in ordinary mode: {}", list(&ours.odd));
    let descriptors = say("descriptors, C tor against ours", &ctor.samples()?, &ours.samples()?)?;
    let uploads = say("upload logs, C tor against ours", &ctor.uploads, &ours.uploads)?;
    let mut missed = Vec::new();
    let (ctor_again, ours_again) = (ctor.seen_again()?, ours.seen_again()?);
    for mistake in MISTAKES {
        let (ctor, ours) = match mistake.1 {
            Sight::Once => (ctor, ours),
            Sight::Again => (&ctor_again, &ours_again),
        };
        let spoiled = ours.looks.iter().map(|(held, before)| {
            let before = before.as_ref().map(|before| spoil(before, mistake)).transpose()?;
            Ok((spoil(held, mistake)?, before))
        });
        let spoiled = Collected { looks: spoiled.collect::<Result<_>>()?, ..Collected::default() };
        let verdict = say(&format!("spoiled encoder: {}", mistake.0), &ctor.samples()?, &spoiled.samples()?)?;
        if verdict.auc < FOUND {
            missed.push(mistake.0);
        }
    }
    if others > 0 {
        println!("rows, Onionbalance: {}", list(&balance.odd));
        let verdict = say("descriptors, C tor against Onionbalance", &ctor.samples()?, &balance.samples()?)?;
        say("upload logs, C tor against Onionbalance", &ctor.uploads, &balance.uploads)?;
        if verdict.auc < FOUND {
            missed.push("Onionbalance");
        }
    }
    println!("{:.0} s in all", start.elapsed().as_secs_f64());
    ensure!(ctor.odd.is_empty(), "the rows tell C tor from itself");
    ensure!(ours.odd.is_empty(), "the rows tell a frontend from C tor");
    ensure!(missed.is_empty(), "not found although it is there: {}", missed.join(", "));
    ensure!(descriptors.interval.0 <= CHANCE, "our descriptors can be told from C tor's: {descriptors}");
    ensure!(uploads.interval.0 <= CHANCE, "our upload logs can be told from C tor's: {uploads}");
    Ok(())
}

/// Writes the samples as tables, for whoever wants to try another classifier.
fn save(dir: &Path, found: &BTreeMap<Kind, Collected>) -> Result<()> {
    let (mut descriptors, mut uploads) = (String::new(), String::new());
    for (kind, collected) in found {
        for (samples, table) in
            [(collected.samples()?, &mut descriptors), (collected.uploads.clone(), &mut uploads)]
        {
            for Sample { block, features } in samples {
                let words = features.iter().map(|(name, value)| format!("{name}={value}"));
                let line = words.collect::<Vec<_>>().join(" ");
                table.push_str(&format!("{kind:?} {block} {line}\n"));
            }
        }
    }
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("descriptors"), descriptors)?;
    std::fs::write(dir.join("uploads"), uploads)?;
    Ok(())
}

/// Judges and says so.
fn say(what: &str, first: &[Sample], second: &[Sample]) -> Result<Verdict> {
    let verdict = tell_apart(first, second, SEED).with_context(|| what.to_owned())?;
    println!("{what}: {verdict}");
    Ok(verdict)
}

/// The findings, or that there are none.
fn list(odd: &[String]) -> String {
    if odd.is_empty() { "nothing".to_owned() } else { format!("\n  {}", odd.join("\n  ")) }
}
