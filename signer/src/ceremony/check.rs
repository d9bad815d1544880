//! `bundle verify`: a bundle against its address, its request and the audit key. Needs no secret, no token and no network.

use crate::audit_key::{AuditKey, AuditSignature};
use onionkeep_common::OnionAddress;
use onionkeep_common::iso::Iso;
use onionkeep_common::paper::{Bundle, Kind, Purpose, Read, Request};

/// What a bundle is to fit.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The address.
    pub onion: OnionAddress,
    /// The request that it answers.
    pub request: Option<&'a [u8]>,
    /// The audit key that is known from elsewhere.
    pub auditor: Option<AuditKey>,
    /// Whether it is to count.
    pub purpose: Purpose,
}

/// Reads a bundle and checks certificates and signature, by the key that it names or by the one that is known.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn signed(file: &[u8], known: Option<AuditKey>) -> Result<Read<Bundle>, String> {
    let (read, signed) = Bundle::parse(file).map_err(|error| error.to_string())?;
    let named = read.content.auditor.parse::<AuditKey>();
    let named = named.map_err(|why| format!("the line \"auditor\": {why}"))?;
    if let Some(known) = known.filter(|known| *known != named) {
        return Err(format!("it is signed by the audit key {named}, known is {known}"));
    }
    let signature = AuditSignature(signed.signature);
    named.verify(&signed.text, &signature).map_err(|why| format!("the last line: {why}"))?;
    Ok(read)
}

/// Checks a bundle.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn bundle(file: &[u8], wanted: &Wanted<'_>) -> Result<Read<Bundle>, String> {
    let read = signed(file, wanted.auditor)?;
    let found = &read.content;
    if found.onion != wanted.onion {
        return Err(format!("it is for {}, wanted is {}", found.onion, wanted.onion));
    }
    match (found.purpose, wanted.purpose) {
        (Purpose::Real, Purpose::Real) | (Purpose::Rehearsal, Purpose::Rehearsal) => {}
        (Purpose::Rehearsal, Purpose::Real) => {
            return Err("it was made to practise and is worth nothing".to_owned());
        }
        (Purpose::Real, Purpose::Rehearsal) => return Err("it is no file of a rehearsal".to_owned()),
    }
    match wanted.request {
        Some(request) => answers(found, request).map(|()| read),
        None => Ok(read),
    }
}

/// Whether a bundle is the answer to a request.
fn answers(bundle: &Bundle, request: &[u8]) -> Result<(), String> {
    let read = Request::parse(request).map_err(|error| format!("the request: {error}"))?;
    let asked = &read.content;
    let slots = match bundle.kind {
        Kind::Main => &asked.slots,
        Kind::Emergency => &asked.standby,
    };
    let same_keys = bundle.slots.iter().map(|slot| (slot.period, slot.key));
    for (fits, what) in [
        (bundle.request_digest == read.digest, "it answers another request"),
        (bundle.request == asked.id, "it names another request"),
        (bundle.onion == asked.onion, "the request is for another onion"),
        (bundle.sequence == asked.sequence, "the request has another number"),
        (bundle.previous == asked.previous, "the request goes on after another bundle"),
        (bundle.clockwork == asked.clockwork, "the request is for another network"),
        (
            same_keys.eq(slots.iter().map(|slot| (slot.period, slot.key))),
            "the request has other keys or periods",
        ),
    ] {
        if !fits {
            return Err(what.to_owned());
        }
    }
    Ok(())
}

/// What a good bundle is, for people.
#[must_use]
pub fn report(read: &Read<Bundle>, wanted: &Wanted<'_>) -> String {
    let Read { content, digest } = read;
    let ends = |slot: Option<&onionkeep_common::paper::BundleSlot>| {
        slot.map(|slot| content.clockwork.span(slot.period))
    };
    let (from, to) = (ends(content.slots.first()), ends(content.slots.last()));
    let (from, to) = (from.map(|span| Iso(span.0).to_string()), to.map(|span| Iso(span.1).to_string()));
    let request = match wanted.request {
        Some(_) => "answers the request, key by key",
        None => "not compared with a request: --request does",
    };
    let auditor = match wanted.auditor {
        Some(_) => "is the one that was given",
        None => "as the bundle names it: --auditor compares it",
    };
    format!(
        "{} bundle {} for {}\n{} slots, {} certificates, every one valid for its period and key; none missing, none extra\n\
         uploads from {} to {}\nfollows {}\nrequest {}: {request}\naudit key {}: {auditor}\n\
         ledger line {}\ndigest {digest}\nwords  {}\nVALID\n",
        content.kind,
        content.sequence,
        content.onion,
        content.slots.len(),
        content.certificates(),
        from.unwrap_or_default(),
        to.unwrap_or_default(),
        content.previous,
        content.request,
        content.auditor,
        content.ledger.sequence,
        digest.words(),
    )
}
