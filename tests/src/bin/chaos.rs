//! The chaos run: `chaos [SECONDS] [SEED]`. Ends with 1 if a visit failed because of us.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use onionkeep_tests::Report;
use onionkeep_tests::chaos::judge::Fault;
use onionkeep_tests::chaos::run;

/// What can be asked for.
const USAGE: &str = "usage: chaos [SECONDS] [SEED]";

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let seconds = words.next().map_or(Ok(7200), |word| word.parse()).context(USAGE)?;
    let seed = words.next().map_or(Ok(1), |word| word.parse()).context(USAGE)?;
    let outcome = run(Duration::from_secs(seconds), seed, &Report::plain())?;
    println!("{seconds} s, seed {seed}: {:?}", outcome.troubles);
    println!("plain C tor service: {} visits, {} failed", outcome.plain, outcome.plain_failed);
    for (failure, fault, evidence) in &outcome.failures {
        let (began, ended) = (failure.began.as_secs(), failure.ended.as_secs());
        println!("{fault:?}: {began} s to {ended} s, {}: {evidence}", failure.error);
    }
    let [tor, killed, ours] = [Fault::Tor, Fault::JustKilled, Fault::Ours].map(|fault| outcome.count(fault));
    println!(
        "{} visits, {} failed: {ours} because of us, {killed} at a backend that had just been killed, {tor} while all \
         that was listed was alive",
        outcome.visits,
        outcome.failures.len(),
    );
    match (outcome.recovered, &outcome.not_recovered) {
        (Some(recovered), _none) => {
            println!("every backend answered {:.1} s after the end", recovered.as_secs_f64());
        }
        (None, problem) => println!("not every backend answered after the end: {problem:?}"),
    }
    ensure!(ours == 0, "{ours} visits failed because of us");
    ensure!(outcome.recovered.is_some(), "not every backend answered after the end");
    Ok(())
}
