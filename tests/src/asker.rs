//! A publisher's side of the signer's socket: the only place where the harness makes honest requests and judges certificates.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use onionkeep_common::cert::{CertType, UncheckedCert};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Proof, Reply};
use onionkeep_common::{
    DescSigningKey, EncodedCert, OnionAddress, PeriodNumber, PeriodRule, Signature, TimePeriod, UnixTime,
};

use crate::clock;

/// Far above the 5 s in which the signer answers.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A connection with a deadline.
pub fn connect(socket: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(socket).context("the signer's socket")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// The period now.
#[must_use]
pub fn period() -> TimePeriod {
    PeriodRule::PUBLIC.at(UnixTime(clock::unix_now()))
}

/// The descriptor signing key that a seed gives.
pub fn key(seed: u64) -> Result<(SigningKey, DescSigningKey)> {
    let mut octets = [7; 32];
    octets[..8].copy_from_slice(&seed.to_be_bytes());
    let secret = SigningKey::from_bytes(&octets);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes())?;
    Ok((secret, key))
}

/// A request for a period, with a proof that verifies.
pub fn request(onion: &OnionAddress, number: PeriodNumber, seed: u64) -> Result<CertifyRequest> {
    let (secret, key) = key(seed)?;
    let (onion, length) = (*onion.identity(), PeriodRule::PUBLIC.length.minutes());
    let proof = secret.sign(Proof::new(&onion, number, length, &key).as_bytes());
    Ok(CertifyRequest { onion, period: number, length, key, proof: Signature(proof.to_bytes()) })
}

/// One reply.
pub fn reply(stream: &mut UnixStream) -> Result<Reply> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).context("no reply")?;
    let header = Header::parse(header)?;
    let mut content = vec![0; header.content_len];
    stream.read_exact(&mut content).context("half a reply")?;
    Ok(Reply::parse(header.kind, &content)?)
}

/// Asks for a certificate now, on a connection of its own, and checks it if there is one.
pub fn ask(socket: &Path, onion: &OnionAddress, seed: u64) -> Result<Reply> {
    let period = period();
    let asked = request(onion, period.number, seed)?;
    let mut stream = connect(socket)?;
    stream.write_all(asked.to_frame().as_bytes())?;
    let reply = reply(&mut stream)?;
    if let Reply::Certificate(cert) = &reply {
        judge(cert, onion, period, &asked.key)?;
    }
    Ok(reply)
}

/// Whether a certificate verifies and says what it must.
pub fn judge(
    cert: &EncodedCert,
    onion: &OnionAddress,
    period: TimePeriod,
    key: &DescSigningKey,
) -> Result<()> {
    let checked = UncheckedCert::parse(CertType::DescSigning, &cert.0)?.check_signature()?;
    let cert = checked.check_time(UnixTime(clock::unix_now()))?;
    let blinded = onion.identity().blinded(period)?;
    ensure!(cert.certified() == key.as_bytes(), "the certificate is for another key");
    ensure!(cert.signer() == blinded.as_bytes(), "the certificate is by another key");
    Ok(())
}
