//! The full rigs behind `docs/ASSURANCE.md`, one word each: `assurance RIG [COUNT]`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use data_encoding::HEXLOWER;
use onionkeep_common::wire::Reply;
use onionkeep_tests::assurance::subject::{SLOTS_PER_ONION, Subject};
use onionkeep_tests::assurance::{canary, ceremonies, hostile, kills, rounds, strangers};
use onionkeep_tests::peer;

/// What can be asked for.
const USAGE: &str = "usage: assurance scan [SIGNINGS] | canary | kills [COUNT] | ceremonies [COUNT] | hostile [SECONDS] | strangers [COUNT] | ask SOCKET ONION NUMBER";

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let rig = words.next().context(USAGE)?;
    let count = words.next().and_then(|word| word.parse::<usize>().ok());
    let start = Instant::now();
    match rig.as_str() {
        "scan" => scan(count.unwrap_or(10_000))?,
        "hostile" => attack(count.unwrap_or(3600))?,
        // What `hostile` starts under another uid.
        "honest" => {
            let words: Vec<String> = std::env::args().skip(2).collect();
            let [socket, onion, seconds] = words.as_slice() else { bail!(USAGE) };
            println!("{}", hostile::be_honest(Path::new(socket), onion, seconds.parse()?)?);
            return Ok(());
        }
        "canary" => {
            let missed = canary::run(&std::env::current_exe()?)?;
            println!("{} leaks, {} not found", canary::LEAKS.len(), missed.len());
            ensure!(missed.is_empty(), "{}", missed.join(", "));
        }
        // What `scan` and `canary` start as the signer's user.
        "keks" | "leak" => {
            let words: Vec<String> = std::env::args().skip(2).collect();
            match words.as_slice() {
                [config] => println!("{}", canary::print_keks(Path::new(config))?),
                [config, leak, ..] => canary::leak(Path::new(config), leak)?,
                [] => bail!(USAGE),
            }
            return Ok(());
        }
        // What `strangers` starts under another uid.
        "stranger" => {
            let words: Vec<String> = std::env::args().skip(2).collect();
            let [socket, onion, tries] = words.as_slice() else { bail!(USAGE) };
            println!("{}", strangers::be_a_stranger(Path::new(socket), onion, tries.parse()?)?);
            return Ok(());
        }
        // What `tests/tokens` asks a signer with.
        "ask" => {
            let words: Vec<String> = std::env::args().skip(2).collect();
            let [socket, onion, number] = words.as_slice() else { bail!(USAGE) };
            let reply = peer::ask(Path::new(socket), onion.parse()?, number.parse()?)?;
            let Reply::Certificate(cert) = reply else { bail!("no certificate: {reply:?}") };
            println!("{}", HEXLOWER.encode(&cert.0));
            return Ok(());
        }
        "strangers" => {
            let count = strangers::run(&std::env::current_exe()?, count.unwrap_or(1_000))?;
            println!("{} connections of an unknown uid, {} octets came", count.connected, count.received);
            ensure!(count.received == 0, "a stranger was answered");
        }
        "kills" => kill(count.unwrap_or(1_000))?,
        "ceremonies" => cut(count.unwrap_or(200))?,
        _ => bail!(USAGE),
    }
    println!("{:.1} s in all", start.elapsed().as_secs_f64());
    Ok(())
}

/// A subject with enough onions for `certificates`.
fn subject(certificates: usize) -> Result<Subject> {
    let onions = certificates.div_ceil(SLOTS_PER_ONION);
    println!("importing {onions} keys ...");
    Subject::new(onions)
}

/// Secrets after signing.
fn scan(signings: usize) -> Result<()> {
    let count = rounds::run(&mut subject(signings)?, signings, &std::env::current_exe()?)?;
    let (octets, hits) = (count.scanner.octets, count.scanner.hits.len());
    println!("{signings} signings, {} processes, {octets} octets looked at, {hits} hits", count.processes);
    ensure!(hits == 0, "{}", count.scanner.report());
    Ok(())
}

/// Kills in a row on one token and ledger; more keys than these need make every start and every copy of the token slow.
const KILLS_IN_A_ROW: usize = 100;

/// Kills at random moments.
fn kill(rounds: usize) -> Result<()> {
    let seed: usize = onionkeep_tests::clock::unix_now().try_into()?;
    let mut sum = kills::Count::default();
    while sum.rounds < rounds {
        let next = KILLS_IN_A_ROW.min(rounds - sum.rounds);
        let count = kills::run(&mut subject(next * kills::NEW_PER_ROUND)?, next, seed + sum.rounds)?;
        sum.add(count);
        println!("{} kills, {} of {} remembered", sum.rounds, sum.remembered, sum.released);
        ensure!(sum.forgotten.is_empty(), "{}", sum.forgotten.join("\n"));
    }
    println!(
        "{} kills, {} certificates released before them, {} remembered octet for octet, slowest start {:.3} s",
        sum.rounds,
        sum.released,
        sum.remembered,
        sum.slowest_start.as_secs_f64()
    );
    Ok(())
}

/// Ceremonies whose power is cut.
fn cut(rounds: usize) -> Result<()> {
    let seed = onionkeep_tests::clock::unix_now().try_into()?;
    let count = ceremonies::run(&subject(1)?, rounds, seed)?;
    println!(
        "{} ceremonies, {} kills ({} while it ran, {} with an answer on record that nobody had), by steps done: {:?}",
        count.ceremonies, count.kills, count.hits, count.recorded, count.after
    );
    println!("{} half or different bundles", count.wrong.len());
    ensure!(count.wrong.is_empty(), "{}", count.wrong.join("\n"));
    Ok(())
}

/// An attack from 64 connections.
fn attack(seconds: usize) -> Result<()> {
    let program = std::env::current_exe()?;
    let outcome =
        hostile::run(&program, 64, seconds.try_into()?, onionkeep_tests::clock::unix_now().try_into()?)?;
    let loot = outcome.loot;
    println!(
        "{} frames on {} connections, {} different keys certified",
        loot.sent.load(Ordering::Relaxed),
        loot.connections.load(Ordering::Relaxed),
        loot.certificates()
    );
    let lines = outcome.lines;
    println!(
        "{} lines in the log, at most {} are allowed, {} were not written",
        lines.written, lines.most, lines.suppressed
    );
    if let Some(honest) = outcome.honest {
        let [p50, p99] = [50, 99].map(|percent| honest.percentile_ms(percent));
        println!(
            "honest publisher: {} answers, told {} times to come back, {} failures, p50 {p50:.2} ms, p99 {p99:.2} ms",
            honest.times.len(),
            honest.away.len(),
            honest.failures.len()
        );
        honest.away.iter().chain(&honest.failures).for_each(|failure| println!("  {failure}"));
    }
    let broken = loot.broken.into_inner().map_err(|_poison| anyhow!("a thread panicked"))?;
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}
