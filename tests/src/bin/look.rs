//! The distinguisher: collects descriptors and upload logs on a private network, and tries to tell who made them.
//!
//! `look [SERVICES] [ROUNDS] [ONIONBALANCE'S SERVICES]`
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::look::collect::{Collected, Collector, Kind};
use onionkeep_tests::look::judge::{Sample, Verdict, tell_apart};
use onionkeep_tests::look::spoil::{MISTAKES, Sight, spoil};

/// Deals the services into folds and draws them again.
const SEED: u64 = 20_261_126;
/// What must be found is found from here on.
const FOUND: f64 = 0.95;
/// Chance, with the room that the goal gives.
const CHANCE: f64 = 0.55;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let usage = "usage: look [SERVICES] [ROUNDS] [ONIONBALANCE'S SERVICES]";
    let mut number = |usual| words.next().transpose().context(usage).map(|word| word.unwrap_or(usual));
    let (services, rounds, others) = (number(32)?, number(4)?, number(6)?);
    let start = Instant::now();
    let found = Collector::build(services, others, &Report::plain())?.collect(rounds)?;
    let none = Collected::default();
    let of = |kind| found.get(&kind).unwrap_or(&none);
    let (ctor, ours, balance) = (of(Kind::CTor), of(Kind::Ours), of(Kind::Onionbalance));

    println!("rows, C tor: {}", list(&ctor.odd));
    println!("rows, frontends in ordinary mode: {}", list(&ours.odd));
    let descriptors = say("descriptors, C tor against ours", &ctor.samples()?, &ours.samples()?)?;
    // Only said: periods of minutes have no regular uploads, and nothing is carried over their start (docs/LOOK.md).
    say("upload logs, C tor against ours", &ctor.uploads, &ours.uploads)?;
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
