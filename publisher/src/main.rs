//! `onionkeep-publisher`: the command line, nothing else.

fn main() -> std::process::ExitCode {
    onionkeep_publisher::cli::main(std::env::args_os())
}
