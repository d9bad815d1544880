//! Where type-08 certificates come from; the only place that talks to a signer.

mod source;

pub use source::{Given, Giver, Source};

use crate::ceremony::BundleFault;
use onionkeep_common::EncodedCert;
use onionkeep_common::blinding::TimePeriod;
use onionkeep_common::cert::{CertError, CertType, UncheckedCert};
use onionkeep_common::keys::KeyError;
use onionkeep_common::units::{ExpirationHours, PeriodLength, UnixTime};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{AwayReason, CertifyRequest, FrameError, HEADER_LEN, Reply, Rule, WireError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a signer may take, connecting included.
const DEADLINE: Duration = Duration::from_secs(10);
/// How far the signer's clock may be from ours, in **seconds**, when it rounds the expiration to the hour.
const CLOCK_SKEW: u64 = 300;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertSourceError {
    /// The signer refused by a rule; asking the same again before `retry_after` **seconds** (0: ever) is useless.
    #[error("the signer refused by its rule {rule}")]
    Refused {
        /// The rule.
        rule: Rule,
        /// Seconds, 0 for never.
        retry_after: u32,
    },
    /// The signer cannot answer now.
    #[error("the signer cannot answer now: {}", reason.name())]
    Away {
        /// Why.
        reason: AwayReason,
        /// Ask again after so many **seconds**.
        retry_after: u32,
    },
    /// Nobody listens at the socket, or the connection broke.
    #[error("no answer from the signer at {path}: {source}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The signer took longer than 10 s.
    #[error("the signer at {path} did not answer within {seconds} s")]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// The deadline in **seconds**.
        seconds: u64,
    },
    /// The answer is not a frame of the protocol.
    #[error("what listens at {path} does not speak the signer's protocol: {what}")]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        what: ProtocolFault,
    },
    /// The signer answered with a certificate that is not the one that was asked for.
    #[error("the certificate is not usable: {0}")]
    BadCertificate(#[from] BadCertificate),
    /// The bundles have none.
    #[error(transparent)]
    Bundle(#[from] BundleFault),
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolFault {
    /// Its frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Its content.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// Its form, its signature, or it is expired.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The onion's blinded key cannot be computed.
    #[error("the blinded key of the period cannot be computed: {0}")]
    Blinding(#[from] KeyError),
    /// The period length in the request is outside 1 to 14400 minutes.
    #[error("a period of {0} minutes does not exist")]
    Period(u32),
    /// Another key signed it.
    #[error("it is not signed by the blinded key of this onion and period")]
    Signer,
    /// Another key is certified.
    #[error("it certifies another key than ours")]
    Certified,
    /// The expiration is not the one that C tor would write.
    #[error("it expires at hour {found}, tor would write {wanted}: see the clocks of signer and publisher")]
    Expiration {
        /// In the certificate.
        found: u32,
        /// At our time.
        wanted: u32,
    },
}

impl CertSourceError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "see docs/POLICY.md for the rule, and the signer's log for the request",
            Self::Away { .. } => "see the signer's log; the publisher asks again by itself",
            Self::Unreachable { .. } => "see that the signer runs and that this user may enter its socket",
            Self::Timeout { .. } => "see the signer's log and whether its token answers",
            Self::Protocol { .. } => {
                "see that service.signer names the signer's socket, and that both are of the same version"
            }
            Self::Bundle(_) => "see `bundle status`, and hold a ceremony if the bundles are over",
            Self::BadCertificate(_) => {
                "see that the signer's token holds this onion's key and that both clocks are right"
            }
        }
    }
}

/// Something that gives type-08 certificates and can be waited for.
pub trait CertSource {
    /// A certificate for the request, checked for `now`.
    fn certify(
        &self,
        request: &CertifyRequest,
        now: UnixTime,
    ) -> impl Future<Output = Result<EncodedCert, CertSourceError>> + Send;
}

/// A signer behind its Unix socket. Each request is a connection of its own.
#[derive(Clone, Debug)]
pub struct SignerSocket {
    /// The socket.
    path: PathBuf,
    /// How long one request may take.
    deadline: Duration,
}

impl SignerSocket {
    /// The signer that listens at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), deadline: DEADLINE }
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One request, one reply.
    async fn ask(&self, request: &CertifyRequest) -> Result<Reply, CertSourceError> {
        let unreachable = |source| CertSourceError::Unreachable { path: self.path.clone(), source };
        let mut stream = UnixStream::connect(&self.path).await.map_err(unreachable)?;
        stream.write_all(request.to_frame().as_bytes()).await.map_err(unreachable)?;
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await.map_err(unreachable)?;
        let header = Header::parse(header).map_err(|fault| self.protocol(fault.into()))?;
        let mut content = vec![0; header.content_len];
        stream.read_exact(&mut content).await.map_err(unreachable)?;
        Reply::parse(header.kind, &content).map_err(|fault| self.protocol(fault.into()))
    }

    /// The error for an answer outside the protocol.
    fn protocol(&self, what: ProtocolFault) -> CertSourceError {
        CertSourceError::Protocol { path: self.path.clone(), what }
    }
}

impl CertSource for SignerSocket {
    async fn certify(&self, request: &CertifyRequest, now: UnixTime) -> Result<EncodedCert, CertSourceError> {
        let timeout =
            |_elapsed| CertSourceError::Timeout { path: self.path.clone(), seconds: self.deadline.as_secs() };
        match tokio::time::timeout(self.deadline, self.ask(request)).await.map_err(timeout)?? {
            Reply::Certificate(cert) => {
                check(request, &cert, now)?;
                Ok(cert)
            }
            Reply::Refused { rule, retry_after } => Err(CertSourceError::Refused { rule, retry_after }),
            Reply::Away { reason, retry_after } => Err(CertSourceError::Away { reason, retry_after }),
        }
    }
}

/// Checks that a certificate is the one that `request` asked for and fits the time `now`.
///
/// The expiration may be the one of up to five minutes earlier or later: two clocks seldom agree to the second.
///
/// # Errors
/// [`BadCertificate`] says which field is wrong.
///
/// Spec: rend-spec-v3, 2.4 (`descriptor-signing-key-cert`); C tor, `build_desc_signing_key_cert`.
pub fn check(request: &CertifyRequest, cert: &EncodedCert, now: UnixTime) -> Result<(), BadCertificate> {
    let length = PeriodLength::new(request.length).ok_or(BadCertificate::Period(request.length))?;
    let blinded = request.onion.blinded(TimePeriod { number: request.period, length })?;
    let cert = UncheckedCert::parse(CertType::DescSigning, &cert.0)?.check_signature()?.check_time(now)?;
    if cert.signer() != blinded.as_bytes() {
        return Err(BadCertificate::Signer);
    }
    if cert.certified() != request.key.as_bytes() {
        return Err(BadCertificate::Certified);
    }
    let at = ExpirationHours::of_desc_signing_cert;
    if (at(now.minus(CLOCK_SKEW))..=at(now.plus(CLOCK_SKEW))).contains(&cert.expires()) {
        Ok(())
    } else {
        Err(BadCertificate::Expiration { found: cert.expires().0, wanted: at(now).0 })
    }
}

/// Whether a certificate that was checked once is still good at `now`.
#[must_use]
pub fn is_good(cert: &EncodedCert, now: UnixTime) -> bool {
    let cert = UncheckedCert::parse(CertType::DescSigning, &cert.0);
    cert.and_then(UncheckedCert::check_signature).and_then(|cert| cert.check_time(now)).is_ok()
}

#[cfg(test)]
pub(crate) mod tests;
