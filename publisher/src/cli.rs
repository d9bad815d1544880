//! The command line: the only place that knows its words, and that writes to stdout.

mod backend;
mod ceremony;
mod client;
mod compare;

use crate::clock;
use crate::config::{Config, Sockets};
use crate::control::Request;
use crate::descriptor;
use crate::error::Failure;
use crate::status::{self, Table};
use crate::{harden, import, reactor, torrc};
use backend::{BackendCommand, control, warn_of};
use clap::{CommandFactory, Parser, Subcommand};
use onionkeep_common::{Minutes, OnionAddress, PeriodLength, PeriodRule};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code of `status` when there is a warning.
const WARNING: u8 = 9;

/// Publishes the descriptors of balanced onion services through a local tor. It holds no long-term key.
#[derive(Debug, Parser)]
#[command(name = "onionkeep-publisher", version, disable_help_subcommand = true)]
struct Cli {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/onionkeep/publisher.toml", global = true)]
    config: PathBuf,
    /// What to do
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run: fetch the backends' descriptors, publish the frontends'
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml run")]
    Run,
    /// Show what a running publisher does; exit code 9 if something needs a look, 5 if none runs
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml status --json")]
    Status {
        /// Print the whole document for machines; it has the fields of Onionbalance's status too
        #[arg(long, conflicts_with = "watch")]
        json: bool,
        /// Show it on the terminal until q is typed, anew every 2 or so many seconds
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
    },
    /// Find everything that is wrong in the configuration
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml check-config")]
    CheckConfig,
    /// Tell row by row whether a live frontend looks as a plain C tor service does; exit code 4 if something differs
    Compare(compare::CompareArgs),
    /// Say who can read the descriptor of a service with `authorized_clients`
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Print the configuration for what served an address before; no key is read
    #[command(subcommand)]
    Import(ImportCommand),
    /// Make a running publisher read its configuration again, as SIGHUP does; exit code 2 if it is wrong and the old one stays
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml reload")]
    Reload,
    /// Change the backends of a running publisher, until the next reload
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Look at descriptors
    #[command(subcommand)]
    Descriptor(DescriptorCommand),
    /// Ask for certificates in advance: the ceremony's request
    #[command(subcommand)]
    Request(ceremony::RequestCommand),
    /// Take the certificates of a ceremony, and see how long they last
    #[command(subcommand)]
    Bundle(ceremony::BundleCommand),
    /// Wipe keys for ever, after a seizure or before a machine is given away; exit code 1 if a publisher runs
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml retire --onion ADDRESS --all"
    )]
    Retire(ceremony::RetireArgs),
    /// Print torrc lines to install
    #[command(subcommand)]
    Torrc(TorrcCommand),
}

/// What served the address before.
#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Onionbalance
    #[command(
        after_help = "Example:\n  onionkeep-publisher import onionbalance /etc/onionbalance/config.yaml > publisher.toml"
    )]
    Onionbalance {
        /// Its configuration
        file: PathBuf,
    },
    /// A tor with a plain onion service
    #[command(
        after_help = "Example:\n  onionkeep-publisher import tor /var/lib/tor/service > publisher.toml"
    )]
    Tor {
        /// Its `HiddenServiceDir`
        folder: PathBuf,
    },
}

/// What to do with a descriptor.
#[derive(Debug, Subcommand)]
enum DescriptorCommand {
    /// Decrypt and verify a v3 descriptor and print it as JSON; exit code 4 if it is broken
    #[command(
        after_help = "Example:\n  onionkeep-publisher descriptor show --onion 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion descriptor.txt"
    )]
    Show {
        /// The service's onion address
        #[arg(long, value_name = "ADDRESS")]
        onion: String,
        /// Length of a time period, for test networks
        #[arg(long, value_name = "MINUTES")]
        period_minutes: Option<u32>,
        /// The descriptor as an HSDir gives it
        file: PathBuf,
    },
}

/// Which tor the lines are for.
#[derive(Clone, Debug, Subcommand)]
enum TorrcCommand {
    /// The lines for the publisher's tor
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml torrc frontend")]
    Frontend,
    /// The lines and the `ob_config` file for the backends
    #[command(
        after_help = "Example:\n  onionkeep-publisher torrc backend --onion 25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkenl5sid.onion"
    )]
    Backend {
        /// The frontend, more than once if it has several; no configuration is read then
        #[arg(long, value_name = "ADDRESS")]
        onion: Vec<String>,
    },
}

/// The command line's words, for man page and completions.
#[must_use]
pub fn words() -> clap::Command {
    Cli::command()
}

/// Runs a command line and gives its exit code.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // If neither stdout nor stderr can be written there is nobody to tell.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            drop(writeln!(io::stderr(), "error: {failure}\ntry: {}", failure.advice()));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Does what the command line says.
fn run(cli: &Cli) -> Result<u8, Failure> {
    match &cli.command {
        Command::Run => {
            harden::harden()?;
            harden::open_more_files();
            let config = Config::load(&cli.config)?;
            Ok(match reactor::run(&cli.config, config)? {
                reactor::Stopped::Asked => 0,
                reactor::Stopped::Interrupted => 130,
            })
        }
        Command::Status { watch: Some(every), .. } => {
            let socket = Sockets::load(&cli.config)?.status;
            Ok(status::watch(&socket, Duration::from_secs(*every))?)
        }
        Command::Status { json, watch: None } => status(&cli.config, *json),
        Command::Reload => control(&cli.config, &Request::Reload {}),
        Command::Backend(command) => control(&cli.config, &command.request()),
        Command::CheckConfig => check_config(&cli.config),
        Command::Compare(args) => compare::run(&Config::load(&cli.config)?, args),
        Command::Client(command) => client::run(&Config::load(&cli.config)?, command),
        Command::Import(ImportCommand::Onionbalance { file }) => imported(&import::onionbalance(file)?),
        Command::Import(ImportCommand::Tor { folder }) => imported(&import::tor(folder)?),
        Command::Descriptor(DescriptorCommand::Show { onion, period_minutes, file }) => {
            show(onion, *period_minutes, file)
        }
        Command::Request(command) => ceremony::request(&Config::load(&cli.config)?, command),
        Command::Bundle(command) => ceremony::bundle(&Config::load(&cli.config)?, command),
        Command::Retire(args) => ceremony::retire(&Config::load(&cli.config)?, args),
        Command::Torrc(TorrcCommand::Frontend) => print(torrc::Frontend(&Config::load(&cli.config)?)),
        Command::Torrc(TorrcCommand::Backend { onion }) if onion.is_empty() => {
            print(torrc::Backend(&Config::load(&cli.config)?))
        }
        Command::Torrc(TorrcCommand::Backend { onion }) => {
            let frontends = onion.iter().map(|onion| address(onion)).collect::<Result<Vec<_>, _>>()?;
            print(torrc::BackendOf(&frontends))
        }
    }
}

/// Writes the answer.
fn print(answer: impl Display) -> Result<u8, Failure> {
    written(answer).map_err(|source| Failure::System { what: "write to stdout", source })?;
    Ok(0)
}

/// Writes to stdout, all of it.
fn written(answer: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{answer}")?;
    stdout.flush()
}

/// `status`.
fn status(path: &Path, json: bool) -> Result<u8, Failure> {
    let Sockets { status, problem, .. } = Sockets::load(path)?;
    warn_of(problem.as_ref());
    let document = status::ask(&status)?;
    if json {
        let text = serde_json::to_string_pretty(&document).map_err(io::Error::from);
        let text = text.map_err(|source| Failure::System { what: "write the status", source })?;
        print(format_args!("{text}\n"))?;
    } else {
        print(Table(&document))?;
    }
    Ok(if document.warnings.is_empty() { 0 } else { WARNING })
}

/// `check-config`: what is good to know to stderr.
fn check_config(path: &Path) -> Result<u8, Failure> {
    let config = Config::load_whole(path)?;
    for note in config.notes() {
        drop(writeln!(io::stderr(), "note: {note}"));
    }
    let backends: usize = config.services.iter().map(|service| service.backends.len()).sum();
    print(format_args!("ok: {} services, {backends} backends\n", config.services.len()))
}

/// `import`: the configuration to stdout, what to know and to do to stderr.
fn imported(imported: &import::Imported) -> Result<u8, Failure> {
    let mut stderr = io::stderr();
    for note in &imported.notes {
        drop(writeln!(stderr, "note: {note}"));
    }
    for (number, step) in imported.steps.iter().enumerate() {
        drop(writeln!(stderr, "next {}: {step}", number.saturating_add(1)));
    }
    print(imported)
}

/// An address on the command line.
fn address(onion: &str) -> Result<OnionAddress, Failure> {
    onion.parse().map_err(|error| Failure::Usage(format!("--onion: {error}")))
}

/// `descriptor show`.
fn show(onion: &str, period_minutes: Option<u32>, path: &Path) -> Result<u8, Failure> {
    let onion = address(onion)?;
    let now = clock::now();
    let mut candidates = Vec::new();
    if let Some(minutes) = period_minutes {
        let wrong = || Failure::Usage(format!("--period-minutes: {minutes} is not 1 to 14400"));
        let length = PeriodLength::new(minutes).ok_or_else(wrong)?;
        candidates.push(PeriodRule { length, offset: Minutes(minutes / 2) }.at(now));
    }
    let text = std::fs::read(path).map_err(|source| Failure::File { path: path.to_path_buf(), source })?;
    let json = descriptor::show(&text, &onion, now, &candidates, None)
        .map_err(|source| Failure::Descriptor { path: path.to_path_buf(), source })?;
    print(format_args!("{json:#}\n"))
}
