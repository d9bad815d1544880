//! Where a frontend's certificate comes from: its signer, its bundles, or its bundles when the signer gives none.

use super::{CertSource, CertSourceError, SignerSocket, check};
use crate::ceremony::BundleFault;
use onionkeep_common::wire::CertifyRequest;
use onionkeep_common::{EncodedCert, UnixTime};

/// A certificate, and who gave it.
#[derive(Debug)]
pub struct Given {
    /// The certificate, checked.
    pub cert: EncodedCert,
    /// Who gave it.
    pub giver: Giver,
}

/// Who gave a certificate.
#[derive(Debug)]
pub enum Giver {
    /// The signer.
    Signer,
    /// A bundle.
    Bundle,
    /// A bundle, because the signer gave none.
    BundleInstead(CertSourceError),
}

/// Who can give a certificate for one request at one time.
pub enum Source {
    /// The signer alone.
    Signer(SignerSocket),
    /// The bundles alone: what they have for this request.
    Bundles(Result<EncodedCert, BundleFault>),
    /// The signer, and if it gives none the bundles.
    Both(SignerSocket, Result<EncodedCert, BundleFault>),
}

impl Source {
    /// Whether the signer is asked.
    #[must_use]
    pub const fn asks_signer(&self) -> bool {
        matches!(self, Self::Signer(_) | Self::Both(..))
    }

    /// Obtains a certificate that is good for `now`.
    ///
    /// # Errors
    /// [`CertSourceError`]: the signer's, if there is one.
    pub async fn obtain(self, request: &CertifyRequest, now: UnixTime) -> Result<Given, CertSourceError> {
        let checked = |cert: EncodedCert| check(request, &cert, now).map(|()| cert);
        match self {
            Self::Signer(signer) => {
                let cert = signer.certify(request, now).await?;
                Ok(Given { cert, giver: Giver::Signer })
            }
            Self::Bundles(found) => Ok(Given { cert: checked(found?)?, giver: Giver::Bundle }),
            Self::Both(signer, found) => match signer.certify(request, now).await {
                Ok(cert) => Ok(Given { cert, giver: Giver::Signer }),
                Err(error) => match found.ok().and_then(|cert| checked(cert).ok()) {
                    Some(cert) => Ok(Given { cert, giver: Giver::BundleInstead(error) }),
                    None => Err(error),
                },
            },
        }
    }
}
