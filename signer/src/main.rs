//! Parses the command line, runs it, maps the outcome to an exit code.

use clap::Parser;
use onionkeep_signer::{cli::Cli, command, log};
use std::process::ExitCode;

fn main() -> ExitCode {
    match command::run(&Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            log::raw(&format!("{failure}\n"));
            failure.exit_code()
        }
    }
}
