//! A peer of the signer's socket: the only place where the harness speaks the wire protocol.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use onionkeep_common::cert::{CertType, EncodedCert, UncheckedCert};
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Proof, Reply};
use onionkeep_common::{
    DescSigningKey, IdentityKey, OnionAddress, PeriodNumber, PeriodRule, Signature, UnixTime,
};

use crate::clock;
use crate::wait::{self, Seen};

/// Far above the 5 s in which the signer answers.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The current period of the public network.
#[must_use]
pub fn period_now() -> PeriodNumber {
    PeriodRule::PUBLIC.number_at(UnixTime(clock::unix_now()))
}

/// A request with a proof that verifies, for the key whose seed is `seed`.
#[must_use]
pub fn request(onion: OnionAddress, period: PeriodNumber, seed: [u8; 32]) -> CertifyRequest {
    let onion: IdentityKey = *onion.identity();
    let secret = SigningKey::from_bytes(&seed);
    let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).expect("dalek made it");
    let length = PeriodRule::PUBLIC.length.minutes();
    let proof = secret.sign(Proof::new(&onion, period, length, &key).as_bytes());
    CertifyRequest { onion, period, length, key, proof: Signature(proof.to_bytes()) }
}

/// Checks a certificate as a stranger would: type, signature by the blinded key of the address, time, and that it
/// certifies the key that was asked for.
pub fn check(request: &CertifyRequest, cert: &EncodedCert) -> Result<()> {
    let now = UnixTime(clock::unix_now());
    let cert = UncheckedCert::parse(CertType::DescSigning, &cert.0)?.check_signature()?.check_time(now)?;
    let length = PeriodRule::PUBLIC.length;
    let period = onionkeep_common::TimePeriod { number: request.period, length };
    ensure!(cert.signer() == request.onion.blinded(period)?.as_bytes(), "signed by another key");
    ensure!(cert.certified() == request.key.as_bytes(), "certifies another key");
    Ok(())
}

/// Asks for a certificate of the current period on a connection of its own; one that comes is checked.
pub fn ask(socket: &Path, onion: OnionAddress, number: u64) -> Result<Reply> {
    let asked = request(onion, period_now(), seed(number));
    let reply = Peer::connect(socket, LIMIT)?.ask(&asked)?;
    if let Reply::Certificate(cert) = &reply {
        check(&asked, cert)?;
    }
    Ok(reply)
}

/// The seed of the key with this number.
#[must_use]
pub fn seed(number: u64) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

/// One connection.
pub struct Peer {
    /// The connection.
    stream: UnixStream,
    /// Every octet that came.
    pub received: Vec<u8>,
}

impl Peer {
    /// Connects; no read or write takes longer than `limit`.
    pub fn connect(socket: &Path, limit: Duration) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// Reads one reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut head = [0; HEADER_LEN];
        self.stream.read_exact(&mut head)?;
        let header = Header::parse(head).map_err(io::Error::other)?;
        let mut content = vec![0; header.content_len];
        self.stream.read_exact(&mut content)?;
        self.received.extend_from_slice(&head);
        self.received.extend_from_slice(&content);
        Reply::parse(header.kind, &content).map_err(io::Error::other)
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, request: &CertifyRequest) -> io::Result<Reply> {
        self.send(request.to_frame().as_bytes())?;
        self.reply()
    }

    /// Asks as long as the answer is to come back later, for at most a minute: a machine with too much to do makes the token
    /// late, and one late answer has the vault replaced.
    pub fn answered(&mut self, request: &CertifyRequest) -> Result<Reply> {
        wait::until("an answer that is one", LIMIT * 3, || {
            Ok(match self.ask(request) {
                Ok(away @ Reply::Away { .. }) => Seen::NotYet(format!("{away:?}")),
                Ok(reply @ (Reply::Certificate(_) | Reply::Refused { .. })) => Seen::Ready(reply),
                Err(error) => Seen::Hopeless(error.to_string()),
            })
        })
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }
}
