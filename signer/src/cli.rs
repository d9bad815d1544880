//! The command line; the only place that names its words.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Holds the keys of onion services on a token and issues descriptor-signing-key certificates, nothing else.
#[derive(Debug, Parser)]
#[command(name = "onionkeep-signer", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/onionkeep/signer.toml", global = true)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prepare the token.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make, bring or look at keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Serve the publisher on the socket.
    ///
    /// Example: `onionkeep-signer --config signer.toml serve`
    Serve {
        /// Start an empty journal if there is none; keys certified before are no longer known then.
        #[arg(long)]
        new_journal: bool,
    },
    /// Find everything that is wrong with the configuration.
    ///
    /// Example: `onionkeep-signer --config signer.toml check-config`
    CheckConfig,
}

/// Commands about the token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Set label, security officer's PIN and user PIN of an empty token.
    ///
    /// Example: `onionkeep-signer --config signer.toml token init`
    Init {
        /// Destroy everything on the token with exactly this serial number first.
        #[arg(long, value_name = "SERIAL")]
        erase: Option<String>,
    },
}

/// Commands about keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new onion identity on the token.
    ///
    /// Example: `onionkeep-signer --config signer.toml key new`
    New,
    /// Bring the key of a service that exists.
    ///
    /// Example: `onionkeep-signer --config signer.toml key import /var/lib/tor/site/hs_ed25519_secret_key`
    Import {
        /// C tor's `hs_ed25519_secret_key`, or an unencrypted PKCS#8 PEM file as Onionbalance has.
        file: PathBuf,
        /// A file with the address that the key must have; default: the file `hostname` beside the key.
        #[arg(long, value_name = "FILE")]
        hostname: Option<PathBuf>,
    },
    /// List the onions on the token, and check each.
    ///
    /// Example: `onionkeep-signer --config signer.toml key show`
    Show,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_sound_and_has_no_place_for_a_pin() {
        Cli::command().debug_assert();
        let all = format!("{:?}", Cli::command()).to_lowercase();
        assert!(!all.contains("\"pin\""));
        for bad in [
            vec!["onionkeep-signer", "--pin", "1234", "serve"],
            vec!["onionkeep-signer", "serve", "1234"],
            vec!["onionkeep-signer", "key"],
            vec!["onionkeep-signer", "token", "init", "--erase"],
        ] {
            assert!(Cli::try_parse_from(bad).is_err());
        }
    }

    #[test]
    fn documented_commands_parse() {
        for words in [
            "token init",
            "token init --erase 1a2b",
            "key new",
            "key import a --hostname b",
            "key show",
            "serve",
            "serve --new-journal",
            "check-config",
        ] {
            let line = ["onionkeep-signer", "--config", "signer.toml"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(line).is_ok(), "{words}");
        }
    }
}
