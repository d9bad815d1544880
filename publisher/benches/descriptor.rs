//! Making and reading a frontend descriptor against the bare cryptography in it, in one run.
//!
//! `cargo bench -p onionkeep-publisher --bench descriptor`. Each figure is the least of many rounds, ours and the bare
//! one by turns, so that other work on the machine does not count.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints its result and may panic"
)]

use aes::Aes256;
use anyhow::{Context, Result, ensure};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use onionkeep_common::{
    BlindedId, EncodedCert, IntroAuthKey, IntroEncKey, OnionAddress, PeriodLength, PeriodNumber,
    Subcredential, TimePeriod, UnixTime,
};
use onionkeep_publisher::descriptor::{
    Draft, FlowControl, IntroPoint, MAX_DESCRIPTOR_SIZE, PERIOD_KEYS_LEN, PeriodKeys, decode,
};
use sha3::{Digest, Sha3_256};
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Neither ratio may be higher.
const GOAL: f64 = 1.25;
/// Rounds of each measurement.
const ROUNDS: usize = 400;

/// A frontend of the golden vectors, whose certificate is known.
struct Frontend {
    onion: OnionAddress,
    period: TimePeriod,
    blinded: BlindedId,
    subcredential: Subcredential,
    cert: EncodedCert,
    keys: PeriodKeys,
    seed: [u8; 32],
    flow: FlowControl,
    now: UnixTime,
}

fn main() -> Result<()> {
    let frontend = Frontend::golden()?;
    let mut worst: f64 = 0.0;
    for count in [3, 20] {
        let points: Vec<_> = (0..count).map(point).collect::<Result<_>>()?;
        let text = make(&frontend, &points)?;
        let (ours, bare) =
            by_turns(|| make(&frontend, &points).is_ok(), || bare_making(&frontend.seed, count, &text));
        worst = worst.max(report(&format!("make, {count} points"), ours, bare));
        let good = || decode(text.as_bytes(), &frontend.onion, frontend.period, None, frontend.now).is_ok();
        ensure!(good(), "the descriptor does not decode");
        let verifications = verifications(&frontend.seed, 2 * usize::from(count) + 2, &text);
        let (ours, bare) = by_turns(good, || bare_reading(&verifications));
        worst = worst.max(report(&format!("read, {count} points"), ours, bare));
    }
    ensure!(worst <= GOAL, "a ratio is over {GOAL}");
    Ok(())
}

/// Prints one line and returns the ratio.
fn report(what: &str, ours: Duration, bare: Duration) -> f64 {
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!(
        "{what}: {} us, bare cryptography {} us, ratio {ratio:.2} (goal {GOAL})",
        ours.as_micros(),
        bare.as_micros()
    );
    ratio
}

/// The least time of each of two acts over many rounds.
fn by_turns(mut ours: impl FnMut() -> bool, mut bare: impl FnMut() -> bool) -> (Duration, Duration) {
    let mut least = (Duration::MAX, Duration::MAX);
    for _round in 0..ROUNDS {
        let start = Instant::now();
        black_box(ours());
        least.0 = least.0.min(start.elapsed());
        let start = Instant::now();
        black_box(bare());
        least.1 = least.1.min(start.elapsed());
    }
    least
}

/// Prepares, encrypts and signs one descriptor.
fn make(frontend: &Frontend, points: &[IntroPoint]) -> Result<String> {
    let draft = Draft {
        blinded: &frontend.blinded,
        subcredential: &frontend.subcredential,
        cert08: &frontend.cert,
        keys: &frontend.keys,
        revision: 1_830_354_583,
        flow_control: Some(&frontend.flow),
        single_onion: false,
        clients: None,
        intro_points: points,
        max_descriptor_size: MAX_DESCRIPTOR_SIZE,
        now: frontend.now,
    };
    Ok(draft.prepare()?.encode([[1; 16], [2; 16]])?)
}

/// The bare cryptography of making: 2n+1 signatures, and key derivation, AES and MAC of both layers.
fn bare_making(seed: &[u8; 32], points: u8, text: &str) -> bool {
    let key = SigningKey::from_bytes(seed);
    let mut body = [7_u8; 76];
    for number in 0..2 * points {
        body[0] = number;
        black_box(key.sign(&body));
    }
    black_box(key.sign(text.as_bytes()));
    let inner = 40 + 742 * usize::from(points);
    let middle = (1270 + inner * 136 / 100).next_multiple_of(10_000);
    [inner, middle].into_iter().all(bare_layer)
}

/// Key derivation, AES and MAC of one layer.
fn bare_layer(len: usize) -> bool {
    let mut derive = Shake256::default();
    derive.update(&[3; 32 + 32 + 8 + 16 + 20]);
    let mut keys = [0; 80];
    derive.finalize_xof().read(&mut keys);
    let (mut key, mut iv) = ([0; 32], [0; 16]);
    key.copy_from_slice(&keys[..32]);
    iv.copy_from_slice(&keys[32..48]);
    let mut layer = vec![9; len];
    Ctr128BE::<Aes256>::new(&key.into(), &iv.into()).apply_keystream(&mut layer);
    black_box(Sha3_256::digest(&layer)).len() == 32
}

/// Signatures to verify: one over the text, the others over 76 octets.
fn verifications(seed: &[u8; 32], count: usize, text: &str) -> Vec<([u8; 32], Vec<u8>, Signature)> {
    let key = SigningKey::from_bytes(seed);
    let message = |number: usize| {
        if number == 0 { text.as_bytes().to_vec() } else { vec![number.to_le_bytes()[0]; 76] }
    };
    let signed = |message: Vec<u8>| (key.verifying_key().to_bytes(), message.clone(), key.sign(&message));
    (0..count).map(message).map(signed).collect()
}

/// The bare cryptography of reading: every signature verified on its own.
fn bare_reading(verifications: &[([u8; 32], Vec<u8>, Signature)]) -> bool {
    verifications.iter().all(|(key, message, signature)| {
        VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, signature).is_ok())
    })
}

/// A point with keys made from a number.
fn point(number: u8) -> Result<IntroPoint> {
    let seed = [number.wrapping_add(1); 32];
    let auth = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
    let links = [&[3, 0, 6, 192, 0, 2, number, 1, 2, 2, 20][..], &[number; 20], &[3, 32], &seed].concat();
    Ok(IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth)?, IntroEncKey(enc))?)
}

impl Frontend {
    /// The service of the first golden vector.
    fn golden() -> Result<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/golden_descriptors.json");
        let vectors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let text = |group: &str, name: &str| -> Result<String> {
            Ok(vectors["vectors"][0][group][name].as_str().context("the golden vectors changed")?.to_owned())
        };
        let hex = |group: &str, name: &str| -> Result<Vec<u8>> {
            Ok(HEXLOWER.decode(text(group, name)?.as_bytes())?)
        };
        let onion: OnionAddress = text("outputs", "address")?.parse()?;
        let period = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
        let blinded = onion.identity().blinded(period)?;
        let seed = hex("inputs", "desc_signing_seed")?;
        let mut keys = [4; PERIOD_KEYS_LEN];
        keys[..32].copy_from_slice(&seed);
        let cert = hex("outputs", "signing_cert")?;
        Ok(Self {
            subcredential: onion.identity().credential().subcredential(&blinded),
            onion,
            period,
            blinded,
            cert: EncodedCert(cert.try_into().map_err(|_length| anyhow::anyhow!("no certificate"))?),
            keys: PeriodKeys::from_bytes(&keys)?,
            seed: seed.try_into().map_err(|_length| anyhow::anyhow!("no seed"))?,
            flow: FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 },
            now: UnixTime(1_728_055_800),
        })
    }
}
