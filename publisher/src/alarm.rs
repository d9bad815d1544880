//! Alarms: what is wrong, by stable names. The only place that lists them; `docs/operate/alarms.md` explains each.

mod watch;

pub use watch::{Change, Key, Raised, Watch};

use crate::log::Level;

/// A kind of alarm. Its word never changes: logs, status, metrics and the operator's rules know it by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// tor cannot be reached or is not ready.
    TorAway,
    /// tor says that it has no circuits or no network.
    TorOffline,
    /// There is no consensus that descriptors can be published by.
    NoConsensus,
    /// Our clock and the network's differ.
    ClockSkew,
    /// The configuration file was refused, so that another one runs.
    ReloadRefused,
    /// Too few HSDirs hold a descriptor.
    UploadsFailing,
    /// A descriptor is overdue.
    UploadLate,
    /// A descriptor is longer than others of its kind.
    SizeClassLeft,
    /// A certificate is missing or ends soon.
    CertificateEnds,
    /// The signer cannot be reached, or cannot answer.
    SignerAway,
    /// The signer refuses.
    SignerRefuses,
    /// The bundles last for less than half of their time.
    BundleHorizon,
    /// The bundles are over, or there are none.
    BundleOver,
    /// Bundles on disk cannot be used, or lack a period.
    BundleFault,
    /// Nothing is known of a backend.
    BackendUnknown,
    /// A backend has not renewed its descriptor.
    BackendStale,
    /// A backend does not answer.
    BackendDown,
    /// A backend has no descriptor.
    BackendMissing,
    /// A backend asks for proof of work.
    BackendPow,
    /// A backend lists introduction points that another one lists too.
    BackendsShareKeys,
    /// The backends differ in what a descriptor can say once only.
    BackendsDiffer,
    /// Probes say nothing about backends, or come far too seldom.
    ProbesFailing,
    /// Another publisher of the address has another counter secret.
    PublishersDiffer,
    /// No backend counts as up.
    NoBackend,
    /// Nobody can read the descriptor.
    NoClients,
    /// The state folder cannot be used.
    StateFault,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::TorAway,
        Self::TorOffline,
        Self::NoConsensus,
        Self::ClockSkew,
        Self::ReloadRefused,
        Self::UploadsFailing,
        Self::UploadLate,
        Self::SizeClassLeft,
        Self::CertificateEnds,
        Self::SignerAway,
        Self::SignerRefuses,
        Self::BundleHorizon,
        Self::BundleOver,
        Self::BundleFault,
        Self::BackendUnknown,
        Self::BackendStale,
        Self::BackendDown,
        Self::BackendMissing,
        Self::BackendPow,
        Self::BackendsShareKeys,
        Self::BackendsDiffer,
        Self::ProbesFailing,
        Self::PublishersDiffer,
        Self::NoBackend,
        Self::NoClients,
        Self::StateFault,
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TorAway => "tor-away",
            Self::TorOffline => "tor-offline",
            Self::NoConsensus => "no-consensus",
            Self::ClockSkew => "clock-skew",
            Self::ReloadRefused => "reload-refused",
            Self::UploadsFailing => "uploads-failing",
            Self::UploadLate => "upload-late",
            Self::SizeClassLeft => "size-class-left",
            Self::CertificateEnds => "certificate-ends",
            Self::SignerAway => "signer-away",
            Self::SignerRefuses => "signer-refuses",
            Self::BundleHorizon => "bundle-horizon",
            Self::BundleOver => "bundle-over",
            Self::BundleFault => "bundle-fault",
            Self::BackendUnknown => "backend-unknown",
            Self::BackendStale => "backend-stale",
            Self::BackendDown => "backend-down",
            Self::BackendMissing => "backend-missing",
            Self::BackendPow => "backend-pow",
            Self::BackendsShareKeys => "backends-share-keys",
            Self::BackendsDiffer => "backends-differ",
            Self::ProbesFailing => "probes-failing",
            Self::PublishersDiffer => "publishers-differ",
            Self::NoBackend => "no-backend",
            Self::NoClients => "no-clients",
            Self::StateFault => "state-fault",
        }
    }

    /// Whether it is about one service; else it is about the publisher as a whole.
    #[must_use]
    pub fn is_of_service(self) -> bool {
        !matches!(
            self,
            Self::TorAway | Self::TorOffline | Self::NoConsensus | Self::ClockSkew | Self::ReloadRefused
        )
    }

    /// How bad it is: an error if clients are or soon will be without the service.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::TorAway
            | Self::TorOffline
            | Self::NoConsensus
            | Self::UploadsFailing
            | Self::UploadLate
            | Self::BundleOver
            | Self::NoBackend
            | Self::NoClients
            | Self::StateFault => Level::Error,
            Self::ClockSkew
            | Self::ReloadRefused
            | Self::SizeClassLeft
            | Self::CertificateEnds
            | Self::SignerAway
            | Self::SignerRefuses
            | Self::BundleHorizon
            | Self::BundleFault
            | Self::BackendUnknown
            | Self::BackendStale
            | Self::BackendDown
            | Self::BackendMissing
            | Self::BackendPow
            | Self::BackendsShareKeys
            | Self::BackendsDiffer
            | Self::ProbesFailing
            | Self::PublishersDiffer => Level::Warn,
        }
    }

    /// For how long it must last until it is raised, in **seconds**: what a start or a short hiccup explains is none.
    #[must_use]
    pub const fn patience(self) -> u64 {
        match self {
            Self::TorAway | Self::TorOffline | Self::UploadsFailing | Self::UploadLate => 60,
            Self::NoConsensus
            | Self::CertificateEnds
            | Self::BackendUnknown
            | Self::ProbesFailing
            | Self::NoBackend => 120,
            Self::ClockSkew
            | Self::ReloadRefused
            | Self::SizeClassLeft
            | Self::SignerAway
            | Self::SignerRefuses
            | Self::BundleHorizon
            | Self::BundleOver
            | Self::BundleFault
            | Self::BackendStale
            | Self::BackendDown
            | Self::BackendMissing
            | Self::BackendPow
            | Self::BackendsShareKeys
            | Self::BackendsDiffer
            | Self::PublishersDiffer
            | Self::NoClients
            | Self::StateFault => 0,
        }
    }
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub name: Name,
    /// Which one, if there are several: a backend's name, or `first` or `second` for a descriptor.
    pub subject: Option<String>,
    /// A sentence for people.
    pub text: String,
}

impl Finding {
    /// Something that is wrong as a whole.
    pub fn new(name: Name, text: impl Into<String>) -> Self {
        Self { name, subject: None, text: text.into() }
    }

    /// Something that is wrong with one of several.
    pub fn of(name: Name, subject: &str, text: impl Into<String>) -> Self {
        Self { name, subject: Some(subject.to_owned()), text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_plain_and_each_is_there_once() {
        let words: BTreeSet<_> = Name::ALL.iter().map(|name| name.word()).collect();
        assert_eq!(words.len(), Name::ALL.len());
        let plain = |word: &&str| word.chars().all(|symbol| symbol.is_ascii_lowercase() || symbol == '-');
        assert!(words.iter().all(plain), "{words:?}");
    }

    #[test]
    fn the_list_is_whole() {
        // In the order of the enum, so that one that is forgotten leaves a hole.
        assert!(Name::ALL.is_sorted());
        assert_eq!(Name::ALL.first(), Some(&Name::TorAway));
        assert_eq!(Name::ALL.last(), Some(&Name::StateFault));
    }
}
