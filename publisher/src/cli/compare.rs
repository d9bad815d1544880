//! `compare`: its words on the command line, and what it prints.

use super::{address, print};
use crate::compare::{Finding, Outcome, compare};
use crate::config::Config;
use crate::error::Failure;
use clap::Args;
use onionkeep_common::OnionAddress;
use std::fmt::Write;
use std::time::Duration;

/// Exit code when something differs.
const DIFFERS: u8 = 4;

/// What to look at.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml compare --again 7200")]
pub(super) struct CompareArgs {
    /// The service, if the configuration has several; any other v3 onion service can be looked at too
    #[arg(long, value_name = "ADDRESS")]
    onion: Option<String>,
    /// Look a second time after so many seconds: needed for all that must stay from upload to upload
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=172_800))]
    again: Option<u64>,
    /// Print the rows for machines
    #[arg(long)]
    json: bool,
}

/// `compare`.
pub(super) fn run(config: &Config, args: &CompareArgs) -> Result<u8, Failure> {
    let onion = meant(config, args.onion.as_deref())?;
    let tor = config.tor.connection()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::System { what: "start", source })?;
    let again = args.again.map(Duration::from_secs);
    let found = runtime.block_on(compare(&tor, &onion, again))?;
    let differs = found.iter().filter(|finding| finding.differs()).count();
    if args.json {
        let json = serde_json::json!({ "onion": onion.to_string(), "differs": differs, "rows": found });
        print(format_args!("{json:#}\n"))?;
    } else {
        print(table(&found, differs))?;
    }
    Ok(if differs == 0 { 0 } else { DIFFERS })
}

/// The service that is meant.
fn meant(config: &Config, onion: Option<&str>) -> Result<OnionAddress, Failure> {
    match (onion, &config.services[..]) {
        (Some(onion), _any) => address(onion),
        (None, [only]) => Ok(only.address),
        (None, all) => Err(Failure::Usage(format!("name one of {} services with --onion", all.len()))),
    }
}

/// The rows for people.
fn table(found: &[Finding], differs: usize) -> String {
    let mut text = String::new();
    for Finding { row, feature, outcome } in found {
        let _infallible = match outcome {
            Outcome::Same => writeln!(text, "{row:>2} {feature}: same"),
            Outcome::Differs(how) => writeln!(text, "{row:>2} {feature}: differs: {how}"),
            Outcome::Unseen(why) => writeln!(text, "{row:>2} {feature}: cannot be seen from here ({why})"),
        };
    }
    let same = found.iter().filter(|finding| finding.outcome == Outcome::Same).count();
    let _infallible = writeln!(text, "{same} rows as C tor, {differs} otherwise, of {}", found.len());
    text
}
