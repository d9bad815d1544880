//! The command line; the only place that names its words.

use crate::audit_key::AuditKey;
use crate::ledger::Head;
use crate::pin::PinSource;
use clap::{Parser, Subcommand};
use onionkeep_common::OnionAddress;
use std::path::PathBuf;

mod ceremony;

pub use ceremony::{BundleCommand, CeremonyCommand, CeremonyStart, Look, RequestCommand, Said, Told};

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
    /// Split, check and export the backup of a key.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Bring a key back from its backup, to the configured token.
    ///
    /// Example: `onionkeep-signer --config signer.toml restore --wrapped A.g1.wrapped --verifier A.g1.verifier`
    Restore {
        /// The wrapped key.
        #[arg(long, value_name = "FILE")]
        wrapped: PathBuf,
        /// The verifier of the same backup.
        #[arg(long, value_name = "FILE")]
        verifier: PathBuf,
        /// Read the shares from a pipe, one a line: for drills only, because whoever fills the pipe has the key.
        #[arg(long)]
        shares_from_stdin: bool,
    },
    /// Change the token's PIN.
    #[command(subcommand)]
    Pin(PinCommand),
    /// Serve the publisher on the socket.
    ///
    /// Example: `onionkeep-signer --config signer.toml serve`
    Serve,
    /// Make the ledger, and the audit key on the token by which it is signed. Once, before the first `serve`.
    ///
    /// Example: `onionkeep-signer --config signer.toml init`
    Init {
        /// Go on with the old ledger after moving to another token, whose audit key it names from now on.
        #[arg(long)]
        new_audit_key: bool,
    },
    /// Never certify a key again, or anything of an onion. While the signer is stopped.
    ///
    /// Example: `onionkeep-signer --config signer.toml deny --onion ADDRESS`
    Deny {
        /// The descriptor-signing public key, in hex.
        #[arg(long = "key", value_name = "HEX", required_unless_present_any = ["onion", "request"])]
        public: Option<String>,
        /// The onion address.
        #[arg(long, value_name = "ADDRESS", conflicts_with = "public")]
        onion: Option<OnionAddress>,
        /// The name of a request, as `request show` prints it.
        #[arg(long, value_name = "HEX", conflicts_with_all = ["public", "onion"])]
        request: Option<String>,
    },
    /// Look at a publisher's request, or learn whose requests count. Needs no token.
    #[command(subcommand)]
    Request(RequestCommand),
    /// Sign the certificates that a request asks for: all of them or none.
    ///
    /// Example: `onionkeep-signer --config signer.toml issue front.request -o front.bundle --emergency spare.bundle`
    Issue {
        /// The request.
        file: PathBuf,
        /// The bundle.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// The bundle for the standby keys; keep it sealed.
        #[arg(long, value_name = "FILE")]
        emergency: Option<PathBuf>,
        /// How the request is looked at.
        #[command(flatten)]
        look: Look,
        /// What was confirmed already.
        #[command(flatten)]
        said: Said,
    },
    /// Check a bundle.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// A whole ceremony, step by step, with a transcript: what is done stays done, whatever happens.
    #[command(subcommand)]
    Ceremony(CeremonyCommand),
    /// Check, show or hand over the ledger.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The part of serve that has the socket, the rules and the ledger.
    #[command(hide = true)]
    Gate {
        /// Test the vault that often.
        #[arg(long, value_name = "SECONDS")]
        self_test: Option<u64>,
    },
    /// The part of serve that has the token.
    #[command(hide = true)]
    Vault {
        /// How many vaults there were with this one.
        #[arg(long, value_name = "COUNT")]
        generation: u32,
    },
    /// Look at everything that the signer depends on: one line each, OK, WARN or FAIL, and what to do.
    ///
    /// Exit code 0 if all is well, 9 with warnings, otherwise that of the first failure.
    ///
    /// Example: `onionkeep-signer --config signer.toml doctor`
    Doctor {
        /// Log in too, once, and look at the objects on the token. Without it the PIN is not even read.
        #[arg(long)]
        login: bool,
        /// Write one JSON object instead of the table.
        #[arg(long)]
        json: bool,
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

/// Commands about the ledger.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every line, certificate and checkpoint; needs neither token nor PIN. Exit code 4 names the broken line.
    ///
    /// Example: `onionkeep-signer audit verify --key ed25519:HEX ledger.export`
    Verify {
        /// The ledger's files, oldest first, or an export; default: those in the configured state directory.
        files: Vec<PathBuf>,
        /// The public audit key that `init` printed; once for each key the ledger has had.
        #[arg(long = "key", value_name = "KEY")]
        trusted: Vec<AuditKey>,
        /// A hash that was noted before; some line must have it, or lines were cut off.
        #[arg(long, value_name = "HEX")]
        expect_head: Option<Head>,
        /// The token's own log, which the ledger's `device-log` lines must fit.
        #[arg(long, value_name = "FILE")]
        device_log: Option<PathBuf>,
        /// Answer with one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the lines for people.
    ///
    /// Example: `onionkeep-signer --config signer.toml audit show --last 20`
    Show {
        /// The ledger's files, oldest first, or an export; default: those in the configured state directory.
        files: Vec<PathBuf>,
        /// Only this many of the last lines.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Answer with one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Have the token sign the ledger as it is now. While the signer is stopped.
    ///
    /// Example: `onionkeep-signer --config signer.toml audit checkpoint`
    Checkpoint,
    /// Write the whole ledger as one text, for an auditor.
    ///
    /// Example: `onionkeep-signer --config signer.toml audit export --out ledger.export`
    Export {
        /// Write to this file, which must not exist, instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Commands about keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new onion identity on the token.
    ///
    /// Example: `onionkeep-signer --config signer.toml key new`
    New {
        /// Practise on a throw-away token: make an address that everybody sees to be one of a rehearsal.
        #[arg(long)]
        rehearse: bool,
    },
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
    /// Seal a key to a second token too, which another configuration names.
    ///
    /// Example: `onionkeep-signer --config signer.toml key copy --onion ADDRESS --to second.toml`
    Copy {
        /// Whose key.
        #[arg(long, value_name = "ADDRESS")]
        onion: OnionAddress,
        /// The configuration with the other token.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Commands about backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Wrap a key under a fresh secret and split that among custodians, each of whom types their share back.
    ///
    /// Example: `onionkeep-signer --config signer.toml backup split --onion ADDRESS --shares 5 --threshold 3`
    Split {
        /// Whose key.
        #[arg(long, value_name = "ADDRESS")]
        onion: OnionAddress,
        /// How many shares there are to be, 2 to 31.
        #[arg(long, value_name = "N")]
        shares: u8,
        /// How many of them restore, 2 or more.
        #[arg(long, value_name = "K")]
        threshold: u8,
        /// A directory on a custodian's own medium; once for each custodian. Without it the shares are shown on the terminal.
        #[arg(long, value_name = "DIR")]
        to: Vec<PathBuf>,
    },
    /// Have one custodian type their share, and say whether it is good. Needs no token; nothing is stored.
    ///
    /// Example: `onionkeep-signer backup check --verifier A.g1.verifier`
    Check {
        /// The verifier of the backup.
        #[arg(long, value_name = "FILE")]
        verifier: PathBuf,
        /// Read the share from a pipe: for drills only.
        #[arg(long)]
        shares_from_stdin: bool,
    },
    /// Copy the wrapped key and its verifier, which are useless without enough shares.
    ///
    /// Example: `onionkeep-signer --config signer.toml backup export --onion ADDRESS --to /media/backup`
    Export {
        /// Whose key.
        #[arg(long, value_name = "ADDRESS")]
        onion: OnionAddress,
        /// Where to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

/// Commands about the PIN.
#[derive(Debug, Subcommand)]
pub enum PinCommand {
    /// Change the user PIN: the old one from the configured source, the new one typed twice.
    ///
    /// Example: `onionkeep-signer --config signer.toml pin change --new file:/etc/onionkeep/pin.new`
    Change {
        /// Where the new PIN comes from: `file:/path`, `credential:NAME` or `prompt`.
        #[arg(long, value_name = "SOURCE", default_value = "prompt")]
        new: PinSource,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Arguments whose name is that of a secret; where one comes from is named otherwise.
    fn places_for_secrets(command: &clap::Command) -> Vec<String> {
        let secret = |name: &str| ["pin", "so_pin", "share", "key", "secret"].contains(&name);
        let own = command.get_arguments().map(|argument| argument.get_id().to_string());
        let mut found: Vec<_> = own.filter(|name| secret(name)).collect();
        found.extend(command.get_subcommands().flat_map(places_for_secrets));
        found
    }

    #[test]
    fn command_line_is_sound_and_has_no_place_for_a_pin() {
        Cli::command().debug_assert();
        assert_eq!(places_for_secrets(&Cli::command()), Vec::<String>::new());
        for bad in [
            vec!["onionkeep-signer", "--pin", "1234", "serve"],
            vec!["onionkeep-signer", "serve", "1234"],
            vec!["onionkeep-signer", "key"],
            vec!["onionkeep-signer", "deny"],
            vec!["onionkeep-signer", "deny", "--key", "00", "--request", "00"],
            vec!["onionkeep-signer", "issue", "a", "-o", "b", "--horizon", "91"],
            vec!["onionkeep-signer", "issue", "a"],
            vec!["onionkeep-signer", "ceremony", "start", "a"],
            vec!["onionkeep-signer", "ceremony", "start", "a", "--request", "r", "--second", "s"],
            vec!["onionkeep-signer", "ceremony", "start", "a", "--first", "--import", "k", "--rehearse"],
            vec!["onionkeep-signer", "serve", "--new-journal"],
            vec!["onionkeep-signer", "token", "init", "--erase"],
            vec!["onionkeep-signer", "pin", "change", "--new", "1234"],
            vec!["onionkeep-signer", "pin", "change", "1234"],
            vec!["onionkeep-signer", "restore", "--wrapped", "a", "--verifier", "b", "qpzr y9x8"],
            vec![
                "onionkeep-signer",
                "backup",
                "split",
                "--onion",
                "abc",
                "--shares",
                "5",
                "--threshold",
                "3",
            ],
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
            "key new --rehearse",
            "ceremony start d --request r",
            "ceremony start d --request r -o b --emergency e --first --rehearse --heard x --watch y",
            "ceremony start d --first --second s.toml --shares 3 --threshold 2 --publisher 00",
            "ceremony status d",
            "ceremony resume d --erase 00",
            "key import a --hostname b",
            "key show",
            "serve",
            "init",
            "init --new-audit-key",
            "deny --key 00",
            "deny --request 00",
            "request show a",
            "request show a --first --horizon 90 --rehearse",
            "request enrol --onion aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion --key 00",
            "issue a -o b",
            "issue a -o b --emergency c --first --rehearse --heard x --watch y",
            "bundle verify a --onion aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion --request b",
            "audit verify",
            "audit verify --json a b",
            "audit show --last 3",
            "audit checkpoint",
            "audit export --out a",
            "check-config",
            "key copy --onion aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion --to b.toml",
            "backup split --onion aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead --shares 5 --threshold 3",
            "backup check --verifier a.verifier",
            "backup export --onion aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead --to /media/a",
            "restore --wrapped a.wrapped --verifier a.verifier",
            "doctor",
            "doctor --login --json",
            "pin change",
            "pin change --new file:/a/b",
        ] {
            let line = ["onionkeep-signer", "--config", "signer.toml"].into_iter().chain(words.split(' '));
            assert!(Cli::try_parse_from(line).is_ok(), "{words}");
        }
    }
}
