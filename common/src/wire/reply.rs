//! What a signer answers: a certificate, a refusal with its rule, or that it cannot answer now.

use super::{CERT_LEN, EncodedCert, Fields, Frame, WireError};
use core::fmt;

/// Message kind of [`Reply::Certificate`] (replies are odd).
pub const KIND_CERTIFICATE: u8 = 0x11;
/// Message kind of [`Reply::Refused`].
pub const KIND_REFUSED: u8 = 0x13;
/// Message kind of [`Reply::Away`].
pub const KIND_AWAY: u8 = 0x15;
/// Octets of a refusal or away content: code (1) and seconds (4).
const CODE_LEN: usize = 5;

/// Defines the rules with their codes and names in one table.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// A rule by which a request is refused. Names and codes are stable: they stand in documents, logs and tests.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

rules! {
    /// The frame or message could not be read; the connection ends.
    WellFormed = 1, "well-formed";
    /// The onion is not configured for this peer.
    KnownOnion = 2, "known-onion";
    /// The period length is not the configured one.
    PeriodLength = 3, "period-length";
    /// The period is not the current one, the one before or the one after.
    PeriodWindow = 4, "period-window";
    /// The private half of the key was not shown to be held.
    ProofOfPossession = 5, "proof-of-possession";
    /// The key was already used in another period or for another onion.
    KeyFresh = 6, "key-fresh";
    /// Too many different keys were certified for this period.
    KeysPerPeriod = 7, "keys-per-period";
    /// The key equals an identity key or a blinded key.
    KeyDistinct = 8, "key-distinct";
    /// The clock is behind a time that was already recorded.
    ClockForward = 9, "clock-forward";
    /// Too many certificates were asked for this onion in a short time.
    RateBudget = 10, "rate-budget";
    /// The key or the onion was denied by the signer's operator.
    DeniedKey = 11, "denied-key";
}

impl Rule {
    /// The rule of a code.
    fn of(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.code() == code)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a signer cannot answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwayReason {
    /// It is serving others.
    Busy,
    /// The token is absent or does not answer.
    TokenAway,
    /// Its state could not be written.
    Storage,
    /// Something inside failed; its log says what.
    Internal,
}

impl AwayReason {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 4] = [Self::Busy, Self::TokenAway, Self::Storage, Self::Internal];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Busy => 1,
            Self::TokenAway => 2,
            Self::Storage => 3,
            Self::Internal => 4,
        }
    }

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::TokenAway => "token-away",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }
}

/// A signer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The certificate. The publisher checks it itself before use.
    Certificate(EncodedCert),
    /// Refused by a rule; asking again is useless before `retry_after` **seconds** (0: never).
    Refused {
        /// The rule.
        rule: Rule,
        /// Seconds, 0 for never.
        retry_after: u32,
    },
    /// Not now; ask again after `retry_after` **seconds**.
    Away {
        /// Why.
        reason: AwayReason,
        /// Seconds.
        retry_after: u32,
    },
}

impl Reply {
    /// Frames the reply.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        match self {
            Self::Certificate(cert) => Frame::new(KIND_CERTIFICATE, &[&cert.0]),
            Self::Refused { rule, retry_after } => {
                Frame::new(KIND_REFUSED, &[&[rule.code()], &retry_after.to_be_bytes()])
            }
            Self::Away { reason, retry_after } => {
                Frame::new(KIND_AWAY, &[&[reason.code()], &retry_after.to_be_bytes()])
            }
        }
    }

    /// Reads a reply out of a frame's kind and content.
    ///
    /// # Errors
    /// [`WireError`] for another kind, a wrong length or an unknown code.
    pub fn parse(kind: u8, content: &[u8]) -> Result<Self, WireError> {
        match kind {
            KIND_CERTIFICATE => {
                Ok(Self::Certificate(EncodedCert(Fields::new(kind, content, CERT_LEN)?.array()?)))
            }
            KIND_REFUSED => {
                let (code, retry_after) = code_and_seconds(kind, content)?;
                Ok(Self::Refused { rule: Rule::of(code).ok_or(WireError::Code(code))?, retry_after })
            }
            KIND_AWAY => {
                let (code, retry_after) = code_and_seconds(kind, content)?;
                let reason = AwayReason::ALL.into_iter().find(|reason| reason.code() == code);
                Ok(Self::Away { reason: reason.ok_or(WireError::Code(code))?, retry_after })
            }
            other => Err(WireError::Kind(other)),
        }
    }
}

/// Reads the content of a refusal or an away reply.
fn code_and_seconds(kind: u8, content: &[u8]) -> Result<(u8, u32), WireError> {
    let mut fields = Fields::new(kind, content, CODE_LEN)?;
    let [code] = fields.array()?;
    Ok((code, u32::from_be_bytes(fields.array()?)))
}
