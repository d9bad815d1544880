//! A signer that answers to order: good certificates, each wrong one, and every way not to answer.

use super::*;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::wire::Proof;
use onionkeep_common::{CertBody, DescSigningKey, IdentityKey, PeriodNumber, Signature};
use tokio::net::UnixListener;

const NOW: UnixTime = UnixTime(20_780 * 86_400 + 1234);

/// A frontend with a key of its own, as a signer holds it.
pub(crate) struct Onion {
    expanded: ExpandedSecretKey,
    pub(crate) identity: IdentityKey,
}

impl Onion {
    pub(crate) fn new(seed: u8) -> Self {
        let expanded = ExpandedSecretKey::from(&[seed; 32]);
        let identity = IdentityKey::from_bytes(VerifyingKey::from(&expanded).to_bytes()).unwrap();
        Self { expanded, identity }
    }

    /// Signs a body by the blinded key of the request's period.
    fn sign(&self, request: &CertifyRequest, body: &CertBody) -> EncodedCert {
        let period =
            TimePeriod { number: request.period, length: PeriodLength::new(request.length).unwrap() };
        self.sign_for(period, body)
    }

    /// Signs a body by the blinded key of a period.
    pub(crate) fn sign_for(&self, period: TimePeriod, body: &CertBody) -> EncodedCert {
        let factor = BlindingFactor::new(&self.identity, period).scalar();
        let blinded = ExpandedSecretKey {
            scalar: self.expanded.scalar * factor,
            hash_prefix: self.expanded.hash_prefix,
        };
        let verifying = VerifyingKey::from(&blinded);
        let signature = raw_sign::<sha2::Sha512>(&blinded, body.as_bytes(), &verifying);
        body.with_signature(&Signature(signature.to_bytes()))
    }

    /// The certificate that a correct signer gives at `now`.
    fn certificate(&self, request: &CertifyRequest, now: UnixTime) -> EncodedCert {
        let period =
            TimePeriod { number: request.period, length: PeriodLength::new(request.length).unwrap() };
        let blinded = self.identity.blinded(period).unwrap();
        let expires = ExpirationHours::of_desc_signing_cert(now);
        self.sign(request, &CertBody::desc_signing(&request.key, expires, &blinded))
    }

    fn request(&self, seed: u8) -> CertifyRequest {
        let secret = SigningKey::from_bytes(&[seed; 32]);
        let key = DescSigningKey::from_bytes(secret.verifying_key().to_bytes()).unwrap();
        let period = PeriodNumber(20_780);
        let proof = Proof::new(&self.identity, period, 1440, &key);
        let proof = Signature(secret.sign(proof.as_bytes()).to_bytes());
        CertifyRequest { onion: self.identity, period, length: 1440, key, proof }
    }
}

/// What the pretended signer does with its one connection.
enum Answer {
    /// Writes these octets after the request.
    Octets(Vec<u8>),
    /// Never answers.
    Silence,
}

/// Asks a pretended signer, and returns what came of it.
async fn asked(answer: Answer) -> Result<EncodedCert, CertSourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signer.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let request = Onion::new(7).request(9);
    let server = tokio::spawn(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let mut octets = vec![0; request.to_frame().as_bytes().len()];
        stream.read_exact(&mut octets).await.unwrap();
        assert_eq!(octets, request.to_frame().as_bytes());
        match answer {
            Answer::Octets(octets) => stream.write_all(&octets).await.unwrap(),
            Answer::Silence => std::future::pending().await,
        }
    });
    let mut socket = SignerSocket::new(path);
    socket.deadline = Duration::from_secs(1);
    let result = socket.certify(&request, NOW).await;
    server.abort();
    result
}

#[tokio::test]
async fn a_good_certificate_is_taken() {
    let onion = Onion::new(7);
    let cert = onion.certificate(&onion.request(9), NOW);
    let frame = Reply::Certificate(cert).to_frame();
    assert_eq!(asked(Answer::Octets(frame.as_bytes().to_vec())).await.unwrap(), cert);
}

#[tokio::test]
async fn refusals_and_away_keep_their_reasons() {
    let refused = Reply::Refused { rule: Rule::KeyFresh, retry_after: 0 }.to_frame();
    let result = asked(Answer::Octets(refused.as_bytes().to_vec())).await;
    assert!(matches!(result, Err(CertSourceError::Refused { rule: Rule::KeyFresh, retry_after: 0 })));
    let away = Reply::Away { reason: AwayReason::TokenAway, retry_after: 30 }.to_frame();
    let result = asked(Answer::Octets(away.as_bytes().to_vec())).await;
    assert!(matches!(result, Err(CertSourceError::Away { reason: AwayReason::TokenAway, retry_after: 30 })));
}

#[tokio::test]
async fn silence_a_cut_answer_and_nobody_end_in_their_errors() {
    assert!(matches!(asked(Answer::Silence).await, Err(CertSourceError::Timeout { .. })));
    let cut = asked(Answer::Octets(vec![0, 142, 1])).await;
    assert!(matches!(cut, Err(CertSourceError::Unreachable { .. })), "{cut:?}");
    let folder = tempfile::tempdir().unwrap();
    let nobody = SignerSocket::new(folder.path().join("none"));
    let result = nobody.certify(&Onion::new(7).request(9), NOW).await;
    assert!(matches!(result, Err(CertSourceError::Unreachable { .. })));
}

#[tokio::test]
async fn answers_outside_the_protocol_are_refused() {
    for octets in [&[0xff, 0xff, 1, 0x11][..], &[0, 2, 9, 0x11], &[0, 2, 1, 0x10], &[0, 2, 1, 0x11]] {
        let result = asked(Answer::Octets(octets.to_vec())).await;
        assert!(matches!(result, Err(CertSourceError::Protocol { .. })), "{octets:?} {result:?}");
    }
}

/// A signer that gives this answer to whoever asks, and where it listens; `None`: nobody listens.
fn signer(folder: &tempfile::TempDir, answer: Option<Reply>) -> SignerSocket {
    let path = folder.path().join("signer.sock");
    if let Some(answer) = answer {
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut octets = vec![0; Onion::new(7).request(9).to_frame().as_bytes().len()];
            stream.read_exact(&mut octets).await.unwrap();
            stream.write_all(answer.to_frame().as_bytes()).await.unwrap();
        });
    }
    SignerSocket::new(path)
}

#[tokio::test]
async fn the_signer_is_asked_first_and_the_bundle_is_the_fallback() {
    let onion = Onion::new(7);
    let request = onion.request(9);
    let cert = onion.certificate(&request, NOW);
    let refused = || Reply::Refused { rule: Rule::KeyFresh, retry_after: 0 };
    let both = async |answer, found| {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Both(signer(&folder, answer), found);
        source.obtain(&request, NOW).await
    };
    let given = both(Some(Reply::Certificate(cert)), Ok(cert)).await.unwrap();
    assert!(given.cert == cert && matches!(given.giver, Giver::Signer));
    for answer in [None, Some(refused()), Some(Reply::Certificate(Onion::new(8).certificate(&request, NOW)))]
    {
        let given = both(answer, Ok(cert)).await.unwrap();
        assert!(given.cert == cert && matches!(given.giver, Giver::BundleInstead(_)), "{:?}", given.giver);
    }
    // A bundle that has none, or one for another hour, does not hide what the signer said.
    let none = both(Some(refused()), Err(BundleFault::None)).await;
    assert!(matches!(none, Err(CertSourceError::Refused { .. })), "{none:?}");
    let other_hour = onion.certificate(&request, NOW.plus(3 * 3600));
    let late = both(None, Ok(other_hour)).await;
    assert!(matches!(late, Err(CertSourceError::Unreachable { .. })), "{late:?}");
}

#[tokio::test]
async fn a_bundle_alone_is_checked_like_a_signer() {
    let onion = Onion::new(7);
    let request = onion.request(9);
    let alone = async |found| Source::Bundles(found).obtain(&request, NOW).await;
    let given = alone(Ok(onion.certificate(&request, NOW))).await.unwrap();
    assert!(matches!(given.giver, Giver::Bundle));
    for wrong in [
        onion.certificate(&request, NOW.plus(3600)),
        onion.certificate(&onion.request(10), NOW),
        Onion::new(8).certificate(&request, NOW),
    ] {
        assert!(matches!(alone(Ok(wrong)).await, Err(CertSourceError::BadCertificate(_))));
    }
    let over = alone(Err(BundleFault::NoSlot(request.period))).await;
    assert!(matches!(over, Err(CertSourceError::Bundle(BundleFault::NoSlot(_)))));
}

#[test]
fn each_wrong_field_is_named() {
    let onion = Onion::new(7);
    let request = onion.request(9);
    let good = onion.certificate(&request, NOW);
    assert_eq!(check(&request, &good, NOW), Ok(()));
    let other = Onion::new(8);
    assert_eq!(check(&request, &other.certificate(&request, NOW), NOW), Err(BadCertificate::Signer));
    let other_period = CertifyRequest { period: request.period.next(), ..request };
    assert_eq!(check(&other_period, &good, NOW), Err(BadCertificate::Signer));
    let other_key = onion.certificate(&onion.request(10), NOW);
    assert_eq!(check(&request, &other_key, NOW), Err(BadCertificate::Certified));
    let no_period = CertifyRequest { length: 0, ..request };
    assert_eq!(check(&no_period, &good, NOW), Err(BadCertificate::Period(0)));
    for at in 0..good.0.len() {
        let mut altered = good;
        altered.0[at] ^= 1;
        assert!(check(&request, &altered, NOW).is_err(), "octet {at}");
    }
}

#[test]
fn expiration_must_be_the_one_of_c_tor() {
    let onion = Onion::new(7);
    let request = onion.request(9);
    let hour = UnixTime(480_000 * 3600);
    // A signer whose clock is two minutes behind, at the turn of the hour.
    let early = onion.certificate(&request, hour.minus(120));
    assert_eq!(check(&request, &early, hour.plus(1)), Ok(()));
    assert_eq!(
        check(&request, &early, hour.plus(301)),
        Err(BadCertificate::Expiration { found: 480_054, wanted: 480_055 })
    );
    let late = check(&request, &early, hour.plus(55 * 3600));
    assert!(matches!(late, Err(BadCertificate::Cert(CertError::Expired(_)))));
}
