//! Fetches a frontend's descriptors through tor for the comparison, as any client could.

use super::{Finding, Look, Network, judge};
use crate::clock;
use crate::consensus::{Consensus, ConsensusError, Fingerprint};
use crate::descriptor::Layers;
use crate::ring::Ring;
use crate::tor::{FetchFailure, Tor, TorConfig, TorError};
use onionkeep_common::OnionAddress;
use onionkeep_common::keys::KeyError;
use std::time::Duration;

/// How long tor may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long an HSDir may take to give a descriptor. Circuits are built for it.
const FETCH: Duration = Duration::from_secs(40);

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// tor.
    #[error(transparent)]
    Tor(#[from] TorError),
    /// The network's consensus.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// The address has no blinded key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No HSDir gave a descriptor.
    #[error(
        "none of {asked} responsible HSDirs gave a descriptor: {missing} have none, {silent} did not answer"
    )]
    Nothing {
        /// How many were asked.
        asked: usize,
        /// How many have none.
        missing: usize,
        /// How many did not answer.
        silent: usize,
    },
}

impl CompareError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Tor(error) => error.advice(),
            Self::Consensus(_) => "wait until tor has a current consensus and all microdescriptors",
            Self::Key(_) => "give the address of an onion service",
            Self::Nothing { .. } => "see with `status` that the service is published, and try again",
        }
    }
}

/// Looks at the descriptor of `onion` that clients get now, once, or twice with `again` in between, and judges it.
///
/// # Errors
/// [`CompareError`] if nothing could be looked at.
pub async fn compare(
    config: &TorConfig,
    onion: &OnionAddress,
    again: Option<Duration>,
) -> Result<Vec<Finding>, CompareError> {
    let (tor, _news) = Tor::connect(config).await?;
    tor.wait_bootstrapped(READY).await?;
    tor.signal_active().await?;
    let testing = tor.is_testing_network().await?;
    let (network, first) = look(&tor, onion, testing).await?;
    let Some(wait) = again else { return Ok(judge(&network, &first, None)) };
    tokio::time::sleep(wait).await;
    tor.signal_active().await?;
    let (later, second) = look(&tor, onion, testing).await?;
    // Another descriptor's turn has come in between: what belongs to one of them only is not compared.
    let same = later.run_start == network.run_start;
    Ok(if same { judge(&network, &first, Some(&second)) } else { judge(&later, &second, None) })
}

/// Asks every responsible HSDir.
async fn look(tor: &Tor, onion: &OnionAddress, testing: bool) -> Result<(Network, Look), CompareError> {
    let consensus: Consensus = tor.network().await?;
    consensus.check_usable(clock::now())?;
    let role = consensus.schedule(testing).fetch;
    let blinded = onion.identity().blinded(role.period)?;
    let params = &consensus.params;
    let ring = Ring::new(&consensus.hsdirs, role.period, &role.srv);
    let hsdirs = ring.responsible(&blinded, params.n_replicas, params.spread_store);
    let hsdirs: Vec<Fingerprint> = hsdirs.iter().map(|hsdir| hsdir.fingerprint).collect();
    let network = Network {
        run_start: role.run_start,
        sendme_inc: (params.cc_alg != 0).then_some(params.cc_sendme_inc),
    };
    let answers = tor.fetch(onion, &hsdirs, FETCH).await;
    let at = clock::now();
    let mut look = Look { at, copies: Vec::new(), unreadable: Vec::new(), without: Vec::new(), silent: 0 };
    for (hsdir, answer) in answers {
        match answer {
            Ok(text) => match Layers::open(&text, onion, role.period, at) {
                Ok(layers) => look.copies.push((hsdir, layers)),
                Err(error) => look.unreadable.push((hsdir, error.to_string())),
            },
            Err(FetchFailure::NotFound) => look.without.push(hsdir),
            Err(FetchFailure::BadDescriptor) => {
                look.unreadable.push((hsdir, "tor refuses it".to_owned()));
            }
            Err(_other) => look.silent = look.silent.saturating_add(1),
        }
    }
    if look.copies.is_empty() && look.unreadable.is_empty() {
        let (asked, missing) = (hsdirs.len(), look.without.len());
        return Err(CompareError::Nothing { asked, missing, silent: look.silent });
    }
    Ok((network, look))
}
