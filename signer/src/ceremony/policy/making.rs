//! The rules that are looked at while certificates are made: the clock, the record, and what was made.

use super::{Refusal, named, unless};
use crate::ledger::Memory;
use crate::token::AuditKey;
use onionkeep_common::UnixTime;
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::{self, Bundle, Read, Request};

/// `clock-confirmed`: the operator's watch shows the hour of the clock, or the one beside it.
///
/// # Errors
/// The [`Refusal`].
pub fn clock_confirmed(now: UnixTime, watch: UnixTime) -> Result<(), Refusal> {
    let hour = |time: UnixTime| time.0 / 3600;
    let verdict = unless(
        hour(now).abs_diff(hour(watch)) > 1,
        || format!("the clock says {}, your watch {}", Iso(now), Iso(watch)),
        "set the clock by a watch that you trust; both are in UTC",
    );
    named("clock-confirmed", verdict)
}

/// `audit-first`: the request and each of its keys are in the ledger, whose audit key is the token's.
///
/// # Errors
/// The [`Refusal`].
pub fn audit_first(
    facts: &Memory,
    request: &Read<Request>,
    ledger: AuditKey,
    token: AuditKey,
) -> Result<(), Refusal> {
    let recorded = facts.ceremonies().is_recorded(request);
    let verdict = unless(
        !recorded || ledger != token,
        || format!("the ledger names the audit key {ledger}, the token has {token}; recorded: {recorded}"),
        "use the token to which this ledger belongs, or onionkeep-signer init --new-audit-key",
    );
    named("audit-first", verdict)
}

/// `cert-expiry`: every certificate ends at an hour that C tor would write in its period, and at no other.
///
/// # Errors
/// The [`Refusal`].
pub fn cert_expiry(bundle: &Bundle) -> Result<(), Refusal> {
    let right = |slot: &paper::BundleSlot| {
        let (first, last) = bundle.clockwork.ladder(slot.period);
        let ends = slot
            .certs
            .iter()
            .map(|cert| cert.0.get(2..6).and_then(|octets| <[u8; 4]>::try_from(octets).ok()));
        ends.eq((first.0..=last.0).map(|hour| Some(hour.to_be_bytes())))
    };
    let wrong = bundle.slots.iter().find(|slot| !right(slot));
    let verdict = unless(
        wrong.is_some(),
        || format!("slot {} has a certificate of a wrong hour", wrong.map_or(0, |slot| slot.period.0)),
        "this is a fault of the machine: run the ceremony on another one",
    );
    named("cert-expiry", verdict)
}

/// `cert-verify`: the finished file reads back as the bundle, every certificate and the signature verify in software.
///
/// # Errors
/// The [`Refusal`].
pub fn cert_verify(file: &[u8], bundle: &Bundle, key: AuditKey) -> Result<(), Refusal> {
    let good = crate::ceremony::check::signed(file, Some(key)).map(|read| read.content == *bundle);
    let verdict = unless(
        good != Ok(true),
        || {
            format!(
                "what was made does not verify: {}",
                good.err().unwrap_or_else(|| "it reads back otherwise".to_owned())
            )
        },
        "this is a fault of the machine or the token: run onionkeep-signer doctor --login",
    );
    named("cert-verify", verdict)
}
