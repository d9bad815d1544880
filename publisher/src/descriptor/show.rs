//! Shows a descriptor as JSON for people: finds the period by itself, also shows what has expired.

use super::auth::ClientKey;
use super::decode::{Decoded, Skipped, UnknownLine, decode_as};
use super::error::{DescriptorError, Fault};
use super::outer::Outer;
use super::point::IntroPoint;
use crate::netdoc::date::Iso;
use data_encoding::HEXLOWER;
use onionkeep_common::{
    BlindedId, Minutes, OnionAddress, PeriodLength, PeriodNumber, PeriodRule, TimePeriod, UnixTime,
};
use serde_json::{Value, json};

/// Life of the certificate 08 in seconds: it was made this long before it ends, give or take an hour.
const CERT_LIFE: u64 = 54 * 3600;
/// How far from such a time a period is looked for, in seconds: an hour of rounding and some clock skew.
const MARGIN: u64 = 2 * 3600;
/// How many periods before and after the margin are tried: a descriptor is uploaded up to 1.5 periods beside its own.
const NEIGHBOURS: u64 = 3;

/// Decrypts a descriptor of `onion`, verifies all but its times, and returns it as JSON.
///
/// Its period is looked for among `candidates`, and around `now` and the certificate's own time for the public
/// network's period length and those of the candidates. What is odd about it stands in the field `warnings`.
///
/// # Errors
/// [`DescriptorError`] says precisely where it is broken: layer, line, keyword.
pub fn show(
    text: &[u8],
    onion: &OnionAddress,
    now: UnixTime,
    candidates: &[TimePeriod],
    client_key: Option<&ClientKey>,
) -> Result<Value, DescriptorError> {
    let outer = Outer::read(text, None)?;
    outer.check_signature()?;
    let cert = outer.timely_cert(None)?;
    let made = cert.expires().time().minus(CERT_LIFE);
    let tried = periods_to_try(candidates, [now, made]);
    let ours = |period: &TimePeriod| {
        let blinded = onion.identity().blinded(*period).ok()?;
        (blinded.as_bytes() == cert.signer()).then_some((*period, blinded))
    };
    let found = tried.iter().find_map(ours);
    let (period, blinded) = found.ok_or_else(|| outer.cert_error(Fault::NoPeriod(tried.len())))?;
    let subcredential = onion.identity().credential().subcredential(&blinded);
    let decoded = decode_as(text, &blinded, &subcredential, client_key, None)?;
    let in_time = decode_as(text, &blinded, &subcredential, client_key, Some(now));
    let mut warnings = oddities(&decoded);
    warnings.extend(expiries(&decoded, in_time, now));
    Ok(to_json(onion, period, &decoded, &warnings))
}

/// The candidates, then the periods around the given times, without repetition.
fn periods_to_try(candidates: &[TimePeriod], times: [UnixTime; 2]) -> Vec<TimePeriod> {
    let mut periods = candidates.to_vec();
    let lengths = candidates.iter().map(|period| period.length).chain([PeriodLength::DAY]);
    for length in lengths.collect::<std::collections::BTreeSet<_>>() {
        // The offset is half a period on every network: 12 of 24 voting intervals.
        let rule = PeriodRule { length, offset: Minutes(length.minutes() / 2) };
        for time in times {
            let first = rule.number_at(time.minus(MARGIN)).0.saturating_sub(NEIGHBOURS);
            let last = rule.number_at(time.plus(MARGIN)).0.saturating_add(NEIGHBOURS);
            periods.extend((first..=last).map(|number| TimePeriod { number: PeriodNumber(number), length }));
        }
    }
    let mut seen = std::collections::HashSet::new();
    periods.retain(|period| seen.insert(*period));
    periods
}

/// What is unusual, apart from times.
fn oddities(decoded: &Decoded) -> Vec<String> {
    let points = decoded.intro_points.len();
    let rules = [
        (decoded.has_too_many_points(), format!("{points} introduction points: clients refuse more than 20")),
        (points == 0, "no usable introduction point: clients cannot connect".to_owned()),
        (
            !decoded.skipped_points.is_empty(),
            format!("clients skip {} introduction points", decoded.skipped_points.len()),
        ),
        (!decoded.pow.is_empty(), "the service asks for proof of work, which cannot be balanced".to_owned()),
        (
            decoded.sign_bits > 0,
            format!("{} enc-key certificates have a sign bit, unlike C tor's", decoded.sign_bits),
        ),
        (!decoded.lengths.middle_padded.is_multiple_of(10_000), "the padding is not C tor's".to_owned()),
        (
            !decoded.auth_client_lines.is_multiple_of(16),
            "the number of auth-client lines is not C tor's".to_owned(),
        ),
    ];
    rules.into_iter().filter_map(|(applies, text)| applies.then_some(text)).collect()
}

/// What is past at `now`; `in_time` is the result of reading with the times checked.
fn expiries(decoded: &Decoded, in_time: Result<Decoded, DescriptorError>, now: UnixTime) -> Option<String> {
    let end = Iso(decoded.cert_expires.time());
    if decoded.cert_expires.is_past(now) {
        return Some(format!("expired: its certificate ended at {end}"));
    }
    let good = in_time.map_or(0, |decoded| decoded.intro_points.len());
    let past = decoded.intro_points.len().saturating_sub(good);
    (past > 0).then(|| format!("expired: the certificates of {past} introduction points have ended"))
}

/// The whole as JSON.
fn to_json(onion: &OnionAddress, period: TimePeriod, decoded: &Decoded, warnings: &[String]) -> Value {
    json!({
        "onion": onion.to_string(),
        "period": { "number": period.number.0, "length_minutes": period.length.minutes() },
        "warnings": warnings,
        "outer": {
            "length": decoded.lengths.text,
            "lifetime_minutes": decoded.lifetime_minutes,
            "revision_counter": decoded.revision,
            "blinded_key": hex(BlindedId::as_bytes(&decoded.blinded)),
            "descriptor_signing_key": hex(decoded.signing_key.as_bytes()),
            "certificate_expires": Iso(decoded.cert_expires.time()).to_string(),
        },
        "middle": {
            "length": decoded.lengths.middle,
            "padded_length": decoded.lengths.middle_padded,
            "auth_client_lines": decoded.auth_client_lines,
            "client_authorization": decoded.client_authorization,
        },
        "inner": {
            "length": decoded.lengths.inner,
            "single_onion_service": decoded.single_onion,
            "flow_control": decoded.flow_control.as_ref().map(|flow| json!({
                "versions": flow.versions, "sendme_inc": flow.sendme_inc,
            })),
            "pow_params": decoded.pow,
            "introduction_points": decoded.intro_points.iter().map(point_json).collect::<Vec<_>>(),
            "skipped_points": decoded.skipped_points.iter().map(skipped_json).collect::<Vec<_>>(),
        },
        "unknown_lines": decoded.unknown_lines.iter().map(unknown_json).collect::<Vec<_>>(),
    })
}

/// One introduction point.
fn point_json(point: &IntroPoint) -> Value {
    json!({
        "relay_fingerprint": point.relay_fingerprint().map(|id| id.to_string()),
        "relay_ed25519": point.relay_ed25519().map(|id| hex(&id.0)),
        "link_specifiers": hex(point.link_specifiers()),
        "onion_key": hex(point.onion_key()),
        "auth_key": hex(point.auth_key().as_bytes()),
        "enc_key": hex(&point.enc_key().0),
    })
}

/// One skipped point.
fn skipped_json(skipped: &Skipped) -> Value {
    json!({ "line": skipped.line, "reason": skipped.reason.to_string() })
}

/// One unknown line.
fn unknown_json(unknown: &UnknownLine) -> Value {
    json!({ "layer": unknown.layer.to_string(), "line": unknown.line, "keyword": unknown.keyword })
}

/// Lower-case hex.
fn hex(octets: &[u8]) -> String {
    HEXLOWER.encode(octets)
}
