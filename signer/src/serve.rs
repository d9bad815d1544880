//! Serving, step by step: started, hardened, serving. Each step takes the value that the step before returned.

use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::error::{Failure, Kind};
use crate::gate::Gate;
use crate::gate::listener::Listener;
use crate::harden;
use crate::ledger::{Keep, Ledger};
use crate::log::{Level, line};
use crate::policy::{Grant, Policy};
use crate::token::pkcs11::Access;
use crate::token::{Token, open};
use crate::vault::Vault;
use crate::vault::thread::VaultThread;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use std::sync::Arc;
use std::time::Duration;

/// How long the token may take for one certificate.
const TOKEN_PATIENCE: Duration = Duration::from_secs(5);

/// The token is open, every configured onion was unsealed once, the ledger is read. Not yet hardened.
pub struct Started {
    /// The configuration.
    config: Config,
    /// The vault.
    vault: Vault<Box<dyn Token>>,
    /// The ledger.
    ledger: Ledger,
    /// Readable once the signer is asked to stop.
    stop: SignalFd,
}

/// The process has given up what it does not need. Only this can listen.
pub struct Hardened(Started);

/// The socket listens.
pub struct Serving {
    /// Answers.
    gate: Arc<Gate>,
    /// The socket.
    listener: Listener,
    /// Readable once the signer is asked to stop.
    stop: SignalFd,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// By SIGTERM, as a service manager does.
    Asked,
    /// By SIGINT, from the keyboard.
    Interrupted,
}

impl Started {
    /// Reads the PIN, opens the token, checks root key and onions, reads the ledger.
    ///
    /// # Errors
    /// [`Failure`] of whatever comes first; nothing is changed by then.
    pub fn new(config: Config) -> Result<Self, Failure> {
        if config.grants.is_empty() {
            return Err(ConfigError::Missing("[[onion]]").into());
        }
        let ledger = Ledger::open(&config.state_dir, Keep::for_periods(&config.periods))?;
        let pin = open::pin(&config, Access::Read)?;
        // Before any thread exists, so that all threads inherit it.
        let stop = stop_signals()?;
        let token = open::open(&config, pin, Access::Read)?;
        let mut vault = Vault::open(token, &config.state_dir)?;
        vault.check_root()?;
        ledger.must_name(vault.audit_key()?)?;
        for Grant { onion, uid, budget: _ } in &config.grants {
            vault.check(*onion)?;
            line(Level::Info, "onion-ready", &[("onion", &onion.redacted()), ("uid", uid)]);
        }
        Ok(Self { config, vault, ledger, stop })
    }

    /// Gives up what serving does not need.
    ///
    /// # Errors
    /// [`Failure`] if something cannot be given up.
    pub fn harden(self) -> Result<Hardened, Failure> {
        harden::harden(self.config.memory_lock)?;
        Ok(Hardened(self))
    }
}

impl Hardened {
    /// Moves the vault into its thread and listens.
    ///
    /// # Errors
    /// [`Failure`] if the socket cannot be had.
    pub fn listen(self) -> Result<Serving, Failure> {
        let Started { config, vault, ledger, stop } = self.0;
        let vault = VaultThread::start(vault, TOKEN_PATIENCE)
            .map_err(|error| Failure::new(Kind::Internal, format!("cannot start a thread: {error}"), ""))?;
        let policy = Policy { grants: config.grants, periods: config.periods };
        let gate = Gate::new(policy, ledger, Box::new(vault), Box::new(SystemClock));
        gate.start()?;
        let listener = Listener::bind(&config.socket, config.socket_mode, config.socket_group)?;
        line(Level::Info, "listening", &[("socket", &config.socket.display())]);
        Ok(Serving { gate: Arc::new(gate), listener, stop })
    }
}

impl Serving {
    /// Serves until SIGTERM or SIGINT; then removes the socket.
    ///
    /// # Errors
    /// [`Failure`] if the system does not let it wait for peers.
    pub fn run(mut self) -> Result<Stopped, Failure> {
        self.listener
            .serve(&self.gate, &self.stop)
            .map_err(|error| Failure::new(Kind::Internal, format!("cannot wait for peers: {error}"), ""))?;
        let signal = self.stop.read_signal().ok().flatten();
        let signal = signal.and_then(|info| i32::try_from(info.ssi_signo).ok());
        let interrupted = signal.map(Signal::try_from) == Some(Ok(Signal::SIGINT));
        line(Level::Info, "stopped", &[]);
        Ok(if interrupted { Stopped::Interrupted } else { Stopped::Asked })
    }
}

/// Takes SIGTERM and SIGINT as something to be read instead of an end in the middle of things.
fn stop_signals() -> Result<SignalFd, Failure> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    let taken = signals.thread_block().and_then(|()| SignalFd::new(&signals));
    taken.map_err(|error| Failure::new(Kind::Internal, format!("cannot take signals: {error}"), ""))
}
