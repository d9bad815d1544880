//! The words of the ceremony's commands on the command line, and what they print.

use super::{WARNING, print};
use crate::ceremony::import::{self, ImportFault, Imported};
use crate::ceremony::request::{self, GivenUp, Made, Wish};
use crate::ceremony::retire::{self, Which};
use crate::ceremony::seal::Seal;
use crate::ceremony::standby::Standby;
use crate::ceremony::status::BundleStatus;
use crate::ceremony::store::Store;
use crate::ceremony::{CeremonyError, usage};
use crate::clock;
use crate::config::Config;
use crate::error::Failure;
use crate::state::StateDir;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::{Bundle, spoken};
use onionkeep_common::{OnionAddress, PeriodNumber, UnixTime};
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What to do about requests.
#[derive(Debug, Subcommand)]
pub(super) enum RequestCommand {
    /// Make one key for each period, and the file that asks for their certificates
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml request new --onion ADDRESS --periods 30 --standby /media/safe/S.standby -o R.request"
    )]
    New {
        /// The frontend
        #[arg(long, value_name = "ADDRESS")]
        onion: String,
        /// How many periods; as many as reach 30 periods from now if not given
        #[arg(long, value_name = "COUNT")]
        periods: Option<u64>,
        /// The first period; the one after the last bundle's, or the one in use, if not given
        #[arg(long, value_name = "PERIOD")]
        from: Option<u64>,
        /// Make standby keys too, and write their private halves to this file, which belongs into a safe
        #[arg(long, value_name = "FILE")]
        standby: Option<PathBuf>,
        /// What seals the private halves to this machine: plain (nothing), host, tpm2 or host+tpm2, by systemd-creds
        #[arg(long, value_name = "KIND", default_value_t)]
        seal: Seal,
        /// Give up the request that is open: its keys are wiped and its bundle will be worth nothing
        #[arg(long)]
        replace: bool,
        /// Where the request goes
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Print the key that signs this publisher's requests, and its words; it is made on first use
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml request key --onion ADDRESS"
    )]
    Key {
        /// The frontend
        #[arg(long, value_name = "ADDRESS")]
        onion: String,
    },
}

/// What to do about bundles.
#[derive(Debug, Subcommand)]
pub(super) enum BundleCommand {
    /// Take the certificates of a ceremony; exit code 4 if anything about them is wrong
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml bundle import B.bundle")]
    Import {
        /// The bundle
        file: PathBuf,
        /// The file of standby keys, for an emergency bundle
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
        /// What seals standby keys to this machine: plain (nothing), host, tpm2 or host+tpm2, by systemd-creds
        #[arg(long, value_name = "KIND", default_value_t, requires = "keys")]
        seal: Seal,
    },
    /// Show how long the bundles last; exit code 9 from half of their time on
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml bundle status --json")]
    Status {
        /// Print it for machines
        #[arg(long)]
        json: bool,
    },
}

/// Which keys to wipe.
#[derive(Debug, clap::Args)]
pub(super) struct RetireArgs {
    /// The frontend
    #[arg(long, value_name = "ADDRESS")]
    onion: String,
    /// The periods, the last one included
    #[arg(long, value_name = "FROM..TO", required_unless_present = "all", conflicts_with = "all")]
    slots: Option<String>,
    /// All keys, and their certificates
    #[arg(long)]
    all: bool,
}

/// The frontend that an address names.
fn frontend(config: &Config, text: &str) -> Result<Store, Failure> {
    let onion: OnionAddress = text.parse().map_err(|error| Failure::Usage(format!("--onion: {error}")))?;
    let service = config.services.iter().find(|service| service.address == onion);
    match service {
        Some(service) if service.bundles => Ok(Store::at(&config.state_dir, onion)),
        Some(_) => {
            Err(usage("this frontend does not use bundles", "write bundles = true into its [[service]]")
                .into())
        }
        None => Err(usage(
            "no [[service]] of the configuration has this address",
            "see the configuration, or name another one with --config",
        )
        .into()),
    }
}

/// `request`.
pub(super) fn request(config: &Config, command: &RequestCommand) -> Result<u8, Failure> {
    match command {
        RequestCommand::New { onion, periods, from, standby, seal, replace, output } => {
            let wish = Wish {
                periods: *periods,
                from: from.map(PeriodNumber),
                standby: standby.as_deref(),
                seal: *seal,
                output,
                replace: *replace,
                clockwork: config.clockwork,
                now: clock::now(),
            };
            let Made { request, digest, given_up } = request::new(&frontend(config, onion)?, &wish)?;
            match given_up {
                None => {}
                Some(GivenUp::Request(id)) => {
                    note(format_args!("request {id} is given up, its keys are wiped"));
                }
                Some(GivenUp::Damaged(path)) => {
                    let path = path.display();
                    note(format_args!("{path} was damaged: that request is given up, its keys are wiped"));
                }
            }
            let (first, last) = (request.slots.first(), request.slots.last());
            let period = |slot: Option<&onionkeep_common::paper::Slot>| slot.map_or(0, |slot| slot.period.0);
            print(format_args!(
                "request {} number {}\n  periods {} to {}: {} keys, {} standby keys\n  words: {}\n  file: {}\n",
                request.id,
                request.sequence,
                period(first),
                period(last),
                request.slots.len(),
                request.standby.len(),
                digest.words(),
                output.display()
            ))
        }
        RequestCommand::Key { onion } => {
            let store = frontend(config, onion)?;
            let _lock = store.lock()?;
            let key = store.request_key(true).map_err(CeremonyError::from)?;
            let key = key.map(|key| key.public().0).unwrap_or_default();
            print(format_args!("{}\n{}\n", HEXLOWER.encode(&key), spoken(&key)))
        }
    }
}

/// Says beside the answer what was done too.
fn note(what: fmt::Arguments<'_>) {
    // The answer says what matters; a stderr that cannot be written is no error.
    drop(writeln!(io::stderr(), "note: {what}"));
}

/// `bundle`.
pub(super) fn bundle(config: &Config, command: &BundleCommand) -> Result<u8, Failure> {
    match command {
        BundleCommand::Import { file, keys, seal } => import(config, file, keys.as_deref(), *seal),
        BundleCommand::Status { json } => status(config, *json),
    }
}

/// `bundle import`.
fn import(config: &Config, file: &Path, keys: Option<&Path>, seal: Seal) -> Result<u8, Failure> {
    let octets = import::read_file(file)?;
    let (read, _signed) = import::parse(&octets).map_err(CeremonyError::from)?;
    let onion = read.content.onion;
    let known = config.services.iter().any(|service| service.address == onion && service.bundles);
    if !known {
        return Err(CeremonyError::from(ImportFault::OtherOnion(onion)).into());
    }
    let standby = keys.map(Standby::read).transpose()?.map(|keys| Standby { seal, ..keys });
    let store = Store::at(&config.state_dir, onion);
    let imported = import::import(&store, &octets, standby, clock::now())?;
    print(Shown(&imported))?;
    Ok(if imported.missing.is_empty() { 0 } else { WARNING })
}

/// What an import has done, for people.
struct Shown<'a>(&'a Imported);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Imported { bundle, replaced, again, enrolled, missing } = self.0;
        writeln!(f, "{}", if *again { "imported before, nothing changed" } else { "imported" })?;
        line(f, "bundle", &bundle.content)?;
        writeln!(f, "  words: {}", bundle.digest.words())?;
        writeln!(f, "  ledger line {}", bundle.content.ledger.sequence)?;
        if let Some(replaced) = replaced {
            line(f, "replaces, and keeps as bundle.old,", &replaced.content)?;
        }
        if let Some(key) = enrolled {
            writeln!(f, "audit key enrolled: {key}\n  compare it with the one on the token's sheet")?;
        }
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            let count = missing.len();
            writeln!(
                f,
                "WARNING: no slot for {count} periods from {first} to {last}: nothing is published in them"
            )?;
        }
        Ok(())
    }
}

/// One bundle in a few words.
fn line(f: &mut fmt::Formatter<'_>, what: &str, bundle: &Bundle) -> fmt::Result {
    let (first, last) = (bundle.slots.first(), bundle.slots.last());
    let span = |slot: Option<&onionkeep_common::paper::BundleSlot>| {
        slot.map_or((0, (UnixTime(0), UnixTime(0))), |slot| {
            (slot.period.0, bundle.clockwork.span(slot.period))
        })
    };
    let ((first, (from, _)), (last, (_, to))) = (span(first), span(last));
    writeln!(f, "{what} {} number {}, made {}", bundle.kind, bundle.sequence, Iso(bundle.created))?;
    writeln!(f, "  periods {first} to {last}, uploaded from {} to {}", Iso(from), Iso(to))?;
    writeln!(f, "  {} slots, {} certificates", bundle.slots.len(), bundle.certificates())
}

/// `bundle status`.
fn status(config: &Config, json: bool) -> Result<u8, Failure> {
    let now = clock::now();
    let services = config.services.iter().filter(|service| service.bundles);
    let read = services.map(|service| BundleStatus::read(&config.state_dir, service.address, now));
    let found: Vec<BundleStatus> = read.collect::<Result<_, _>>()?;
    let warned = found.iter().any(|status| !status.warnings(now).is_empty());
    if json {
        let text = serde_json::to_string_pretty(&found).map_err(io::Error::from);
        let text = text.map_err(|source| Failure::System { what: "write the status", source })?;
        print(format_args!("{text}\n"))?;
    } else {
        for status in &found {
            print(format_args!("{}\n{status}", status.address))?;
            for warning in status.warnings(now) {
                print(format_args!("  warning: {warning}\n"))?;
            }
        }
    }
    Ok(if warned { WARNING } else { 0 })
}

/// `retire`.
pub(super) fn retire(config: &Config, args: &RetireArgs) -> Result<u8, Failure> {
    let store = frontend(config, &args.onion)?;
    let which = match &args.slots {
        Some(text) => periods(text)?,
        None => Which::All,
    };
    // A publisher that runs has the keys in its memory and would go on.
    let state = StateDir::open(&config.state_dir)?;
    let (note, path) = retire::retire(&store, &which, &config.clockwork, clock::now())?;
    drop(state);
    print(format_args!("{note}\nnote: {}\n", path.display()))
}

/// Reads `FROM..TO`.
fn periods(text: &str) -> Result<Which, Failure> {
    let wrong = || Failure::Usage(format!("--slots: {text:?} is not FROM..TO, such as 20780..20790"));
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.parse().map(PeriodNumber).map_err(|_not_one| wrong());
    let (from, to) = (number(from)?, number(to)?);
    if from > to { Err(wrong()) } else { Ok(Which::Periods(from..=to)) }
}
