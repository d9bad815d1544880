//! `client`: its words on the command line, and what it prints.

use super::{WARNING, address, print, written};
use crate::clients;
use crate::config::Config;
use crate::error::Failure;
use clap::Subcommand;
use onionkeep_common::OnionAddress;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What to do with clients. A running publisher notices within seconds.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Make a key pair, let the client in, and print both halves; the secret one is kept nowhere
    #[command(
        after_help = "Example:\n  onionkeep-publisher --config publisher.toml client add alice --to alice.auth_private"
    )]
    Add {
        /// The client's name: the file that lets it in is called so
        name: String,
        /// The service, if several let only some clients in
        #[arg(long, value_name = "ADDRESS")]
        onion: Option<String>,
        /// Write the secret half to this new file instead of stdout
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Show the clients; exit code 9 if a file does not count
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml client list")]
    List {
        /// The service, if several let only some clients in
        #[arg(long, value_name = "ADDRESS")]
        onion: Option<String>,
    },
    /// Take a client out: the next descriptor, which is uploaded at once, is not for it
    #[command(after_help = "Example:\n  onionkeep-publisher --config publisher.toml client remove alice")]
    Remove {
        /// The client's name
        name: String,
        /// The service, if several let only some clients in
        #[arg(long, value_name = "ADDRESS")]
        onion: Option<String>,
    },
}

/// `client`.
pub(super) fn run(config: &Config, command: &ClientCommand) -> Result<u8, Failure> {
    let meant = |onion: &Option<String>| onion.as_deref().map(address).transpose();
    match command {
        ClientCommand::Add { name, onion, to } => add(config, name, meant(onion)?.as_ref(), to.as_deref()),
        ClientCommand::List { onion } => {
            let folder = clients::list(config, meant(onion)?.as_ref())?;
            for client in &folder.clients {
                print(format_args!("{} {}\n", client.name, client.key))?;
            }
            for (file, problem) in &folder.problems {
                drop(writeln!(io::stderr(), "skipped: {file}: {problem}"));
            }
            Ok(if folder.problems.is_empty() { 0 } else { WARNING })
        }
        ClientCommand::Remove { name, onion } => {
            let file = clients::remove(config, name, meant(onion)?.as_ref())?;
            print(format_args!("removed {}\n", file.display()))
        }
    }
}

/// `client add`. A client is in only if its secret half has reached somebody.
fn add(config: &Config, name: &str, onion: Option<&OnionAddress>, to: Option<&Path>) -> Result<u8, Failure> {
    let added = clients::add(config, name, onion, to)?;
    let public = format!("# {}\n{}\n", added.file.display(), added.public);
    let Some(secret) = &added.secret else {
        let what = "write to stdout (the client is in, and its secret half in the file)";
        return written(public).map(|()| 0).map_err(|source| Failure::System { what, source });
    };
    let head = format!("# {name}.auth_private, for the client's ClientOnionAuthDir");
    match written(format_args!("{public}{head}\n{}", **secret)) {
        Ok(()) => Ok(0),
        Err(source) => Err(clients::take_back(&added, source).into()),
    }
}
