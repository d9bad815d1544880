//! Why a bundle is not taken: one sentence and one advice for each reason.

use onionkeep_common::paper::RequestId;
use onionkeep_common::paper::lines::FileError;
use onionkeep_common::{OnionAddress, PeriodNumber};

/// Why a bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// Its text, or a certificate in it.
    #[error("the file is no whole and correct bundle: {0}")]
    File(#[from] FileError),
    /// Made to practise.
    #[error("the bundle was made in a rehearsal and is worth nothing")]
    Rehearsal,
    /// Another frontend's.
    #[error("the bundle is for {0}, which is no frontend with bundles in the configuration")]
    OtherOnion(OnionAddress),
    /// No request is open.
    #[error("the bundle answers request {0}, but no request is open here")]
    NoRequest(RequestId),
    /// Another request.
    #[error("the bundle answers request {found}, the open one is {open}")]
    OtherRequest {
        /// In the bundle.
        found: RequestId,
        /// The open one.
        open: RequestId,
    },
    /// A request of the same name with another content.
    #[error("the bundle answers a file that is named like our request but is another one")]
    AlteredRequest,
    /// A field that must be as in the request.
    #[error("the bundle's {0} is not the request's")]
    Field(&'static str),
    /// Older than the one at hand.
    #[error("the bundle has number {found}, the one at hand {current}: it is older")]
    Older {
        /// In the bundle.
        found: u32,
        /// At hand.
        current: u32,
    },
    /// It follows another bundle than the one at hand.
    #[error("the bundle follows another bundle than the one at hand")]
    Chain,
    /// It ends before the one at hand.
    #[error("the bundle ends with period {found}, the one at hand with period {current}: it is shorter")]
    Shorter {
        /// In the bundle.
        found: PeriodNumber,
        /// At hand.
        current: PeriodNumber,
    },
    /// Periods between the one at hand and this one.
    #[error("there is a gap: no bundle would cover the periods {from} to {to}")]
    Gap {
        /// The first.
        from: PeriodNumber,
        /// The last.
        to: PeriodNumber,
    },
    /// The bundle before the one at hand would be dropped while it is in use.
    #[error("the bundle before the one at hand is still needed for period {0}, and only two are kept")]
    StillNeeded(PeriodNumber),
    /// All its periods are over.
    #[error("all periods of the bundle are over, the last was {0}")]
    Over(PeriodNumber),
    /// Not the periods of the request.
    #[error("the bundle has slots for the periods {found}, the request asked for {asked}")]
    Slots {
        /// In the bundle.
        found: String,
        /// In the request.
        asked: String,
    },
    /// A certificate for a key that was not asked for.
    #[error("the slot of period {0} is for another key than the one that was asked for")]
    OtherKey(PeriodNumber),
    /// The private key is gone.
    #[error("the private key of the slot of period {0} is not here")]
    KeyGone(PeriodNumber),
    /// The audit key is no key.
    #[error("the bundle names {0:?} as the audit key, which is none")]
    NoAuditor(String),
    /// Another token's audit key.
    #[error("the bundle is signed by the audit key {found}, the one of the first import is {enrolled}")]
    OtherAuditor {
        /// In the bundle.
        found: String,
        /// Known.
        enrolled: String,
    },
    /// The signature.
    #[error("the bundle's signature is not good: {0}")]
    Signature(String),
    /// An emergency bundle needs its keys.
    #[error("this is an emergency bundle, whose keys are in the file of standby keys")]
    Emergency,
    /// A bundle that is no emergency bundle needs none.
    #[error("this is no emergency bundle: its keys are here, no file of standby keys belongs to it")]
    NoEmergency,
    /// The standby keys of another request.
    #[error("the standby keys belong to another request than this emergency bundle")]
    OtherStandby,
}

impl ImportFault {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::File(_) => "copy the file from the ceremony's medium again, without any conversion",
            Self::Rehearsal => "take the bundle of the real ceremony",
            Self::OtherOnion(_) => {
                "import it where that frontend runs, and see bundles = true in its [[service]]"
            }
            Self::NoRequest(_) | Self::OtherRequest { .. } => {
                "take the bundle that answers the request that `request new` wrote last"
            }
            Self::AlteredRequest | Self::Field(_) | Self::Slots { .. } | Self::OtherKey(_) => {
                "do not trust this medium: hold a ceremony again with the request that this publisher wrote"
            }
            Self::Older { .. } | Self::Shorter { .. } | Self::Over(_) => {
                "nothing is wrong with what runs; see `bundle status` for how long it lasts"
            }
            Self::Chain => "see `bundle status` for the bundle at hand, and make the next request now",
            Self::Gap { .. } => {
                "make a request that begins with the first missing period: `request new --from`"
            }
            Self::StillNeeded(_) => "import it again when that period is over; see `bundle status`",
            Self::KeyGone(_) => {
                "make a new request with `request new --replace`: without its key a slot is useless"
            }
            Self::NoAuditor(_) | Self::OtherAuditor { .. } | Self::Signature(_) => {
                "verify it with `onionkeep-signer bundle verify`; if the token was replaced on purpose, remove the file auditor"
            }
            Self::Emergency => "name that file with --keys FILE, if this is an emergency",
            Self::NoEmergency => "leave --keys away",
            Self::OtherStandby => "take the file of standby keys that was written with the same request",
        }
    }
}
