//! The words that change a running publisher: `reload` and `backend`.

use super::print;
use crate::config::{ConfigError, Sockets};
use crate::control::{self, Answer, ControlError, Request};
use crate::error::Failure;
use clap::Subcommand;
use std::io::{self, Write};
use std::path::Path;

/// Which backend is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The frontend's address, or the end of it
    service: String,
    /// The backend's name
    backend: String,
}

/// What to change about a backend.
#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// Change a backend's weight
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml backend weight l5sid b1 3"
    )]
    Weight {
        /// Which backend
        #[command(flatten)]
        which: Which,
        /// 1 to 1000
        #[arg(allow_negative_numbers = true)]
        weight: i64,
    },
    /// Send no new clients to a backend; refused if no other one could take them
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml backend drain l5sid b1")]
    Drain {
        /// Which backend
        #[command(flatten)]
        which: Which,
        /// Even if no other backend is up; it then stays listed until one is
        #[arg(long)]
        force: bool,
    },
    /// Send new clients to a drained backend again
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml backend undrain l5sid b1"
    )]
    Undrain {
        /// Which backend
        #[command(flatten)]
        which: Which,
    },
    /// Take in a new backend
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml backend add l5sid b3 l3izvqplbgaftzbw6ufk2vwc7emlnrn6gysou7lmgmm55hxzjcu4xlid.onion"
    )]
    Add {
        /// Which backend
        #[command(flatten)]
        which: Which,
        /// Its onion address
        address: String,
        /// Its share of new clients against the sum of all weights, 1 to 1000
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        weight: i64,
    },
    /// Forget a backend; refused if no other one could take its clients
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml backend remove l5sid b1")]
    Remove {
        /// Which backend
        #[command(flatten)]
        which: Which,
        /// Even if no other backend is up
        #[arg(long)]
        force: bool,
    },
}

impl BackendCommand {
    /// What the running publisher is asked.
    pub(super) fn request(&self) -> Request {
        let words = |Which { service, backend }: &Which| (service.clone(), backend.clone());
        match self {
            Self::Weight { which, weight } => {
                let (service, backend) = words(which);
                Request::Weight { service, backend, weight: *weight }
            }
            Self::Drain { which, force } => {
                let (service, backend) = words(which);
                Request::Drain { service, backend, force: *force }
            }
            Self::Undrain { which } => {
                let (service, backend) = words(which);
                Request::Undrain { service, backend }
            }
            Self::Add { which, address, weight } => {
                let (service, backend) = words(which);
                Request::Add { service, backend, address: address.clone(), weight: *weight }
            }
            Self::Remove { which, force } => {
                let (service, backend) = words(which);
                Request::Remove { service, backend, force: *force }
            }
        }
    }
}

/// Asks the running publisher to change something, also while the configuration is wrong: it goes on with the one before, and is to hear of a
/// reload that it refuses.
pub(super) fn control(path: &Path, request: &Request) -> Result<u8, Failure> {
    let Sockets { control, problem, .. } = Sockets::load(path)?;
    let answer = control.ok_or(ControlError::Off).and_then(|socket| control::ask(&socket, request));
    match (answer, problem) {
        (Ok(Answer::Not(objection)), _) => Err(objection.into()),
        (Ok(Answer::Done(what)), problem) => {
            warn_of(problem.as_ref());
            print(format_args!("{what}\n"))
        }
        (Err(_nobody), Some(problem)) => Err(problem.into()),
        (Err(error), None) => Err(error.into()),
    }
}

/// Says that a restart would fail, if it would.
pub(super) fn warn_of(problem: Option<&ConfigError>) {
    if let Some(problem) = problem {
        // If stderr cannot be written there is nobody to tell.
        drop(writeln!(io::stderr(), "warning: a restart would fail: {problem}"));
    }
}
