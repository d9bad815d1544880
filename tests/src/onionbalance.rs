//! Onionbalance, the program that frontends came from: the only place where the harness writes its configuration and runs it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use onionkeep_common::{IdentityKey, OnionAddress};

use crate::files;
use crate::process::{self, Process, User};
use crate::tornet::Node;

/// Names the program; `tests/run look` installs it and sets this.
pub const PROGRAM_VARIABLE: &str = "ONIONKEEP_ONIONBALANCE";
/// What comes before the seed in an unencrypted PKCS#8 file with an Ed25519 key.
///
/// Spec: RFC 8410, 7.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// One address that it serves.
#[derive(Clone, Debug)]
pub struct Frontend {
    /// With `.onion`.
    pub address: String,
    /// The PEM file with its key.
    pub key: PathBuf,
    /// Names and addresses of the backends.
    pub backends: Vec<(String, String)>,
}

/// Onionbalance with its configuration, running or not.
pub struct Onionbalance {
    /// Configuration, keys and log.
    dir: PathBuf,
    /// The program.
    program: PathBuf,
    /// The control socket of its tor.
    control: PathBuf,
    /// Whether the network has its test clockwork: periods of eight minutes.
    testnet: bool,
    /// The process, while it runs.
    process: Option<Process>,
}

impl Onionbalance {
    /// Finds the program and makes its directory.
    pub fn new(run: &Path, tor: &Node, testnet: bool) -> Result<Self> {
        let program = std::env::var_os(PROGRAM_VARIABLE).map(PathBuf::from).with_context(|| {
            format!("Onionbalance is missing: tests/run look installs it, or set {PROGRAM_VARIABLE}")
        })?;
        ensure!(program.exists(), "{PROGRAM_VARIABLE}: there is no {}", program.display());
        let dir = run.join("onionbalance");
        files::make_dir(&dir, User::Harness, 0o755)?;
        Ok(Self { dir, program, control: tor.control_socket(), testnet, process: None })
    }

    /// A key of a new address, as `onionbalance-config` would write it.
    pub fn new_frontend(&self, backends: Vec<(String, String)>) -> Result<Frontend> {
        let mut seed = [0; 32];
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed)?;
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let address = OnionAddress::new(IdentityKey::from_bytes(public.to_bytes())?).to_string();
        let body = data_encoding::BASE64.encode(&[&PKCS8[..], &seed].concat());
        let key = self.dir.join(format!("{}.key", address.trim_end_matches(".onion")));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        files::write(&key, pem, User::Harness, 0o600)?;
        Ok(Frontend { address, key, backends })
    }

    /// `config.yaml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("config.yaml")
    }

    /// Writes the configuration for these addresses.
    pub fn serve(&self, frontends: &[Frontend]) -> Result<()> {
        let mut text = "services:\n".to_owned();
        for frontend in frontends {
            text.push_str("- instances:\n");
            for (name, address) in &frontend.backends {
                text.push_str(&format!("  - address: {address}\n    name: {name}\n"));
            }
            text.push_str(&format!("  key: {}\n", frontend.key.display()));
        }
        files::write(&self.config(), text, User::Harness, 0o644)
    }

    /// Starts it; it publishes first after 45 seconds, or when a consensus comes.
    pub fn start(&mut self) -> Result<()> {
        let mut command = process::command(&self.program, User::Harness);
        command.arg("--config").arg(self.config()).arg("--socket").arg(&self.control);
        command.args(["--verbosity", "info"]);
        if self.testnet {
            command.arg("--is-testnet");
        }
        self.process = Some(Process::start("Onionbalance", command, &self.log_file())?);
        Ok(())
    }

    /// The running process.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("Onionbalance does not run")
    }

    /// Ends it.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// An error with the end of its log when it is not running.
    pub fn must_run(&mut self) -> Result<()> {
        let log = self.log();
        self.process()?.must_run().with_context(|| format!("its log ends:\n{}", process::tail(&log, 10)))
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where it logs.
    fn log_file(&self) -> PathBuf {
        self.dir.join("log")
    }
}
