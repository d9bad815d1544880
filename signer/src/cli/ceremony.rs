//! The words of a ceremony's commands; the only place that names them.

use crate::audit_key::AuditKey;
use crate::ceremony::policy::{HORIZON, HORIZON_MAX};
use clap::Subcommand;
use onionkeep_common::OnionAddress;
use std::path::PathBuf;

/// How a request is looked at.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Look {
    /// This is the onion's first request since its publisher was enrolled.
    #[arg(long)]
    pub first: bool,
    /// How many periods ahead may be asked for.
    #[arg(long, value_name = "PERIODS", default_value_t = HORIZON, value_parser = clap::value_parser!(u64).range(1..=HORIZON_MAX))]
    pub horizon: u64,
    /// Practise on a throw-away token: every line says so, and no publisher takes what is made.
    #[arg(long)]
    pub rehearse: bool,
}

/// What was confirmed already; what is missing is asked on the terminal.
#[derive(Clone, Debug, clap::Args)]
pub struct Said {
    /// The ten words that the publisher's side read aloud.
    #[arg(long, value_name = "WORDS")]
    pub heard: Option<String>,
    /// Date and hour on a watch, in UTC, as in "2026-11-22 16".
    #[arg(long, value_name = "HOUR")]
    pub watch: Option<String>,
}

/// Commands about requests.
#[derive(Debug, Subcommand)]
pub enum RequestCommand {
    /// Show what a request asks for and what each rule says. Exit code 3 names the first rule that it breaks.
    ///
    /// Example: `onionkeep-signer --config signer.toml request show front.request`
    Show {
        /// The request.
        file: PathBuf,
        /// How it is looked at.
        #[command(flatten)]
        look: Look,
    },
    /// From now on take this onion's requests from the publisher with this key, and from no other.
    ///
    /// Example: `onionkeep-signer --config signer.toml request enrol --onion ADDRESS --key HEX`
    Enrol {
        /// The onion.
        #[arg(long, value_name = "ADDRESS")]
        onion: OnionAddress,
        /// The public key that `onionkeep-publisher request key` printed.
        #[arg(long = "key", value_name = "HEX")]
        public: String,
        /// The ten words of the key that the publisher's side read aloud; asked on the terminal if they are not given.
        #[arg(long, value_name = "WORDS")]
        heard: Option<String>,
        /// Practise: every line says so.
        #[arg(long)]
        rehearse: bool,
    },
}

/// Commands about bundles.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Check every certificate and the signature. Needs no secret, no token, no network and no configuration. Exit code 4 if
    /// anything is wrong.
    ///
    /// Example: `onionkeep-signer bundle verify front.bundle --onion ADDRESS --request front.request --auditor ed25519:HEX`
    Verify {
        /// The bundle.
        file: PathBuf,
        /// Whose it must be.
        #[arg(long, value_name = "ADDRESS")]
        onion: OnionAddress,
        /// The request that it must answer.
        #[arg(long, value_name = "FILE")]
        request: Option<PathBuf>,
        /// The public audit key that `init` printed.
        #[arg(long, value_name = "KEY")]
        auditor: Option<AuditKey>,
        /// It is of a rehearsal.
        #[arg(long)]
        rehearse: bool,
    },
}

/// Commands about ceremonies.
#[derive(Debug, Subcommand)]
pub enum CeremonyCommand {
    /// Begin a ceremony in a directory: answer a request, or, with --first alone, prepare token, key and backup.
    ///
    /// Exit code 9 if something is to be done by hand before it goes on.
    ///
    /// Example: `onionkeep-signer --config signer.toml ceremony start ceremony-7 --request front.request`
    ///
    /// The first of all: `onionkeep-signer --config signer.toml ceremony start ceremony-0 --first --second second.toml`
    Start(Box<CeremonyStart>),
    /// Show which steps are done and what is next. Needs no token. Exit code 9 if a step is left.
    ///
    /// Example: `onionkeep-signer --config signer.toml ceremony status ceremony-7`
    Status {
        /// The ceremony's directory.
        dir: PathBuf,
    },
    /// Go on after a pause, a mistake or a power cut.
    ///
    /// Example: `onionkeep-signer --config signer.toml ceremony resume ceremony-7`
    Resume {
        /// The ceremony's directory.
        dir: PathBuf,
        /// What was confirmed already.
        #[command(flatten)]
        said: Said,
        /// What a first ceremony is told while it goes on.
        #[command(flatten)]
        told: Told,
    },
}

/// What a ceremony is begun with.
#[derive(Clone, Debug, clap::Args)]
pub struct CeremonyStart {
    /// The ceremony's directory; it is made.
    pub dir: PathBuf,
    /// The request that is answered.
    #[arg(long, value_name = "FILE", required_unless_present = "first")]
    pub request: Option<PathBuf>,
    /// The bundle; in the ceremony's directory if not given.
    #[arg(short, long, value_name = "FILE", requires = "request")]
    pub out: Option<PathBuf>,
    /// The bundle for the standby keys; in the ceremony's directory if not given.
    #[arg(long, value_name = "FILE", requires = "request")]
    pub emergency: Option<PathBuf>,
    /// How the request is looked at. Without a request --first is the first ceremony of all.
    #[command(flatten)]
    pub look: Look,
    /// What was confirmed already.
    #[command(flatten)]
    pub said: Said,
    /// What a first ceremony is told while it goes on.
    #[command(flatten)]
    pub told: Told,
    /// The configuration of a second token, onto which the key is restored.
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    pub second: Option<PathBuf>,
    /// How many shares the backup has.
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "request")]
    pub shares: u8,
    /// How many of them restore the key.
    #[arg(long, value_name = "K", default_value_t = 3, conflicts_with = "request")]
    pub threshold: u8,
    /// Bring the key of a service that exists, instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "rehearse"])]
    pub import: Option<PathBuf>,
    /// The key of this address is on the token already.
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["request", "import"])]
    pub onion: Option<OnionAddress>,
}

/// What a first ceremony is told while it goes on; what is missing is asked on the terminal.
#[derive(Clone, Debug, clap::Args)]
pub struct Told {
    /// The public key that `onionkeep-publisher request key` printed.
    #[arg(long, value_name = "HEX")]
    pub publisher: Option<String>,
    /// Destroy everything on the token with exactly this serial number first.
    #[arg(long, value_name = "SERIAL")]
    pub erase: Option<String>,
}
