//! The shared vectors, and our words in the Tor project's types, for the tests in `tests/`.

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use onionkeep_common::{
    BlindedId, OnionAddress, PeriodLength, PeriodNumber, Subcredential, TimePeriod, UnixTime,
};
use onionkeep_publisher::descriptor::{FlowControl, IntroPoint};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tor_checkable::TimeBound;
use tor_hscrypto::pk::{HsBlindId, HsClientDescEncKeypair};
use tor_llcrypto::pk::curve25519;
use tor_netdoc::doc::hsdesc::{HsDesc, IntroPointDesc};

/// A file among the shared vectors.
pub fn vector_file(name: &str) -> Result<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// A JSON file among the shared vectors.
pub fn vectors(name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&vector_file(name)?)?)
}

/// A text field.
pub fn text<'v>(row: &'v Value, name: &str) -> Result<&'v str> {
    row[name].as_str().with_context(|| format!("no text {name}"))
}

/// A number field.
pub fn number(row: &Value, name: &str) -> Result<u64> {
    row[name].as_u64().with_context(|| format!("no number {name}"))
}

/// A field of octets in hex.
pub fn octets<const N: usize>(row: &Value, name: &str) -> Result<[u8; N]> {
    let octets = HEXLOWER.decode(text(row, name)?.as_bytes())?;
    octets.try_into().map_err(|_octets| anyhow::anyhow!("{name} has not {N} octets"))
}

/// The time period of a row.
pub fn period(row: &Value) -> Result<TimePeriod> {
    let length = PeriodLength::new(u32::try_from(number(row, "period_length_minutes")?)?);
    Ok(TimePeriod { number: PeriodNumber(number(row, "time_period")?), length: length.context("length")? })
}

/// A time of ours in theirs.
pub fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.0)
}

/// A client key pair in their types.
pub fn client_keys(secret: [u8; 32]) -> HsClientDescEncKeypair {
    let secret = curve25519::StaticSecret::from(secret);
    let public = curve25519::PublicKey::from(&secret);
    HsClientDescEncKeypair::new(public.into(), secret.into())
}

/// Their reading of a descriptor: parsed, decrypted, all signatures verified, good at `now`.
pub fn read(
    text: &str,
    blinded: &BlindedId,
    subcredential: &Subcredential,
    client: Option<&HsClientDescEncKeypair>,
    now: UnixTime,
) -> Result<HsDesc> {
    let blinded = HsBlindId::from(*blinded.as_bytes());
    let subcredential = subcredential.0.into();
    let bound = HsDesc::parse_decrypt_validate(text, &blinded, &subcredential, client)?;
    Ok(bound.if_valid_at(&system_time(now))?)
}

/// Compares their points with ours, whatever the order is: they keep the order of the text, so it must be the same.
pub fn compare_points(theirs: &[IntroPointDesc], ours: &[IntroPoint]) -> Result<()> {
    ensure!(theirs.len() == ours.len(), "{} points and {} points", theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(ours) {
        let mut links = vec![u8::try_from(theirs.link_specifiers().len())?];
        for link in theirs.link_specifiers() {
            tor_bytes::Writer::write(&mut links, link)?;
        }
        ensure!(links == ours.link_specifiers(), "link specifiers differ");
        ensure!(theirs.ipt_ntor_key().as_bytes() == ours.onion_key(), "onion keys differ");
        ensure!(theirs.ipt_sid_key().as_ref().as_bytes() == ours.auth_key().as_bytes(), "auth keys differ");
        ensure!(theirs.svc_ntor_key().as_bytes() == &ours.enc_key().0, "enc keys differ");
    }
    Ok(())
}

/// Compares the flow control of a descriptor.
pub fn compare_flow_control(theirs: &HsDesc, ours: Option<&FlowControl>) -> Result<()> {
    let theirs = theirs.flow_control().map(|(_versions, sendme_inc)| sendme_inc.get());
    ensure!(theirs == ours.map(|flow| flow.sendme_inc), "flow control differs");
    Ok(())
}

/// An onion address and what belongs to it in one period.
pub struct Service {
    /// The address.
    pub onion: OnionAddress,
    /// The period.
    pub period: TimePeriod,
    /// The blinded key.
    pub blinded: BlindedId,
    /// The subcredential.
    pub subcredential: Subcredential,
}

impl Service {
    /// The service of an address in a period.
    pub fn new(onion: OnionAddress, period: TimePeriod) -> Result<Self> {
        let blinded = onion.identity().blinded(period)?;
        let subcredential = onion.identity().credential().subcredential(&blinded);
        Ok(Self { onion, period, blinded, subcredential })
    }
}
