//! The process that is the gate, step by step: books open, a vault ready, socket bound, hardened, serving.

use super::child::prepare;
use super::inner;
use super::line::Note;
use crate::clock::SystemClock;
use crate::config::{Config, Depth};
use crate::error::{Failure, Kind};
use crate::gate::Gate;
use crate::gate::listener::Listener;
use crate::harden;
use crate::ledger::{Keep, Ledger};
use crate::log::{Level, line};
use crate::policy::Policy;
use crate::token::TokenError;
use crate::vault::client::VaultClient;
use crate::vault::{Answer, Ask, Certifier};
use onionkeep_common::OnionAddress;
use std::io::PipeReader;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Runs the gate until the keeper is gone.
///
/// # Errors
/// [`Failure`] of whatever comes first.
pub(super) fn run(path: &Path, self_test: Option<Duration>) -> Result<ExitCode, Failure> {
    let client = VaultClient::new(inner(std::io::stdin())?, inner(std::io::stdout())?);
    let client = Arc::new(client.map_err(cannot("watch the vault"))?);
    prepare(c"onionkeep-gate").map_err(cannot("end with the keeper"))?;
    let config = Config::load(path, Depth::Text)?;
    let ledger = Ledger::open(&config.state_dir, Keep::for_periods(&config.periods))?;
    client.note(Note::Proceed).map_err(cannot("tell the keeper"))?;
    let audit = client.wait_ready().map_err(cannot("hear the keeper"))?;
    ledger.must_name(audit.ok_or(TokenError::NoAuditKey)?)?;
    let listener = Listener::bind(&config.socket, config.socket_mode, config.socket_group)?;
    harden::gate(&config)?;
    // From here on the vault can be asked.
    let stop = listen_to_vault(&client)?;
    let tested = config.grants.first().map(|grant| grant.onion);
    let policy = Policy { grants: config.grants, periods: config.periods };
    let gate = Gate::new(policy, ledger, Box::new(Arc::clone(&client)), Box::new(SystemClock));
    gate.start()?;
    client.note(Note::Serving).map_err(cannot("tell the keeper"))?;
    line(Level::Info, "listening", &[("socket", &config.socket.display())]);
    if let (Some(every), Some(onion)) = (self_test, tested) {
        spawn("self-test", move || watch(&client, onion, every))?;
    }
    serve(listener, Arc::new(gate), &stop)
}

/// Listens to vault and keeper in a thread; what is returned can be read once the keeper is gone.
fn listen_to_vault(client: &Arc<VaultClient>) -> Result<PipeReader, Failure> {
    let (stop, stopping) = std::io::pipe().map_err(cannot("make a pipe"))?;
    let client = Arc::clone(client);
    spawn("vault", move || {
        // Ends with the first error: the keeper is gone, and the gate must not outlive it.
        while client.listen().is_ok() {}
        drop(stopping);
    })?;
    Ok(stop)
}

/// Serves peers until the keeper is gone.
fn serve(mut listener: Listener, gate: Arc<Gate>, stop: &PipeReader) -> Result<ExitCode, Failure> {
    listener.serve(&gate, stop).map_err(cannot("wait for peers"))?;
    Ok(ExitCode::from(Kind::Internal.code()))
}

/// Tells the keeper that all is well for as long as it is. A token that is away is no reason to start everything
/// anew: that would enter the PIN again, and the keeper brings the vault back by itself.
fn watch(client: &VaultClient, onion: OnionAddress, every: Duration) {
    loop {
        std::thread::sleep(every);
        let well = match client.ask(Ask::SelfTest { onion }) {
            Answer::Well | Answer::Busy { .. } => true,
            Answer::Away { why, .. } => {
                line(Level::Warn, "self-test-away", &[("why", &why)]);
                true
            }
            Answer::Failed(why) => {
                line(Level::Error, "self-test-failed", &[("why", &why)]);
                false
            }
            Answer::Certificate(_)
            | Answer::HeadSignature(_)
            | Answer::DeviceLog(_)
            | Answer::Starting(_)
            | Answer::Ready { .. } => {
                line(Level::Error, "self-test-failed", &[("why", &"the vault answered another question")]);
                false
            }
        };
        if well && client.note(Note::Alive).is_err() {
            return;
        }
    }
}

/// Starts a thread.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(128 * 1024);
    builder.spawn(work).map(drop).map_err(cannot("start a thread"))
}

/// A failure of the system.
fn cannot(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(Kind::Internal, format!("the gate cannot {what}: {error}"), "")
}
