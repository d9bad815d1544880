//! Targets for the descriptor's layers, and the only place of the targets that signs and encrypts.
//!
//! The octets are one layer's text. Signature and encryption, which no random octets would have, are put around it with
//! fixed keys, so that the real reader gets to see the layer.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::{BASE64, BASE64_NOPAD};
use ed25519_dalek::{Signer, SigningKey};
use onionkeep_common::{
    BlindedId, EncodedCert, ExpirationHours, OnionAddress, PeriodLength, PeriodNumber, Subcredential,
    TimePeriod, UnixTime,
};
use onionkeep_core::{CertTerms, ExpandedKey, Hedge};
use onionkeep_publisher::descriptor::{
    ClientKey, Decoded, DescriptorError, Draft, FlowControl, IntroPoint, MAX_INTRO_POINTS, PERIOD_KEYS_LEN,
    PeriodKeys, decode, show,
};
use sha3::{Digest, Sha3_256};
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};
use std::fmt::Write;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// `revision-counter` of the texts that are made here.
pub const REVISION: u64 = 2_345;
/// The time of the targets.
pub const NOW: UnixTime = UnixTime(20_000 * 86_400);
/// The service that all layers belong to.
pub static SERVICE: LazyLock<Service> = LazyLock::new(Service::new);

/// A service with fixed keys.
pub struct Service {
    /// Its address.
    pub onion: OnionAddress,
    /// Its period.
    pub period: TimePeriod,
    /// Blinded key.
    pub blinded: BlindedId,
    /// `N_hs_subcred`.
    pub subcredential: Subcredential,
    /// The period's keys.
    pub keys: PeriodKeys,
    /// Certificate 08.
    pub cert: EncodedCert,
    /// The secret half of the descriptor signing key.
    signing: SigningKey,
    /// A client's key.
    client: ClientKey,
}

impl Service {
    /// Makes the keys.
    fn new() -> Self {
        let key = ExpandedKey::from_seed(&[1; 32]).unwrap();
        let onion = OnionAddress::new(*key.public());
        let period = TimePeriod { number: PeriodNumber(20_000), length: PeriodLength::DAY };
        let blinded = onion.identity().blinded(period).unwrap();
        let octets: [u8; PERIOD_KEYS_LEN] = std::array::from_fn(|at| u8::try_from(at % 251).unwrap());
        let keys = PeriodKeys::from_bytes(&octets).unwrap();
        let terms = CertTerms {
            period,
            key: *keys.signing_key(),
            expires: ExpirationHours::of_desc_signing_cert(NOW),
        };
        Self {
            onion,
            period,
            blinded,
            subcredential: onion.identity().credential().subcredential(&blinded),
            cert: key.certify(&terms, &Hedge::new(Zeroizing::new([3; 32]))).unwrap(),
            signing: SigningKey::from_bytes(octets.first_chunk().unwrap()),
            keys,
            client: ClientKey::from_bytes([5; 32]),
        }
    }

    /// Makes a descriptor as the publisher does.
    pub fn draft<'a>(&'a self, points: &'a [IntroPoint], flow: Option<&'a FlowControl>) -> Draft<'a> {
        Draft {
            blinded: &self.blinded,
            subcredential: &self.subcredential,
            cert08: &self.cert,
            keys: &self.keys,
            revision: REVISION,
            flow_control: flow,
            single_onion: false,
            clients: None,
            intro_points: points,
            max_descriptor_size: 1_000_000,
            now: NOW,
        }
    }

    /// Encrypts a layer.
    ///
    /// Spec: rend-spec-v3, 2.5.3.
    pub fn encrypt(&self, constant: &str, plaintext: &[u8]) -> Vec<u8> {
        let salt = [6; 16];
        let mut hash = Shake256::default();
        hash.update(self.blinded.as_bytes());
        hash.update(&self.subcredential.0);
        hash.update(&REVISION.to_be_bytes());
        hash.update(&salt);
        hash.update(constant.as_bytes());
        let mut keys = [0; 80];
        hash.finalize_xof().read(&mut keys);
        let mut ciphertext = plaintext.to_vec();
        Ctr128BE::<Aes256>::new_from_slices(&keys[..32], &keys[32..48])
            .unwrap()
            .apply_keystream(&mut ciphertext);
        let mac = Sha3_256::new()
            .chain_update(32_u64.to_be_bytes())
            .chain_update(&keys[48..])
            .chain_update(16_u64.to_be_bytes())
            .chain_update(salt)
            .chain_update(&ciphertext)
            .finalize();
        [&salt[..], &ciphertext, &mac].concat()
    }

    /// The middle layer around an inner one.
    pub fn middle(&self, inner: &[u8]) -> String {
        let ephemeral = BASE64.encode(&[9; 32]);
        let client = ["A".repeat(11), "A".repeat(22), "A".repeat(22)].join(" ");
        let mut text =
            format!("desc-auth-type x25519\ndesc-auth-ephemeral-key {ephemeral}\nauth-client {client}\n");
        object(&mut text, "encrypted", "MESSAGE", &self.encrypt("hsdir-encrypted-data", inner));
        text
    }

    /// The outer layer around a middle one, without its signature.
    pub fn outer(&self, middle: &[u8]) -> String {
        let mut text = "hs-descriptor 3\ndescriptor-lifetime 180\n".to_owned();
        object(&mut text, "descriptor-signing-key-cert", "ED25519 CERT", &self.cert.0);
        writeln!(text, "revision-counter {REVISION}").unwrap();
        object(&mut text, "superencrypted", "MESSAGE", &self.encrypt("hsdir-superencrypted-data", middle));
        text
    }

    /// The outer layer with its signature.
    ///
    /// Spec: rend-spec-v3, 2.4.
    pub fn signed(&self, outer: &[u8]) -> Vec<u8> {
        let message = [b"Tor onion service descriptor sig v3", outer].concat();
        let signature = BASE64_NOPAD.encode(&self.signing.sign(&message).to_bytes());
        [outer, b"signature ", signature.as_bytes(), b"\n"].concat()
    }

    /// Reads a text as this service's; `show` must agree, which looks at no time. It is slow and asked for a quarter of the texts.
    pub fn decode(&self, text: &[u8]) -> Result<Decoded, DescriptorError> {
        let decoded = decode(text, &self.onion, self.period, Some(&self.client), NOW);
        if !text.len().is_multiple_of(4) {
            return decoded;
        }
        let shown = show(text, &self.onion, NOW, &[self.period], Some(&self.client));
        assert!(shown.is_ok() || decoded.is_err(), "read but not shown: {shown:?}");
        decoded
    }
}

/// Appends an item with an object.
fn object(text: &mut String, keyword: &str, label: &str, octets: &[u8]) {
    writeln!(text, "{keyword}\n-----BEGIN {label}-----").unwrap();
    for line in octets.chunks(48) {
        writeln!(text, "{}", BASE64.encode(line)).unwrap();
    }
    writeln!(text, "-----END {label}-----").unwrap();
}

/// The outer layer, as it stands and with a good signature.
pub fn outer(octets: &[u8]) -> bool {
    assert!(SERVICE.decode(octets).is_err() || octets.windows(11).any(|window| window == b"\nsignature "));
    let Ok(decoded) = SERVICE.decode(&SERVICE.signed(octets)) else { return false };
    assert_eq!(decoded.signing_key, *SERVICE.keys.signing_key());
    assert!(decoded.lifetime_minutes <= 720);
    true
}

/// The middle layer.
pub fn middle(octets: &[u8]) -> bool {
    let text = SERVICE.signed(SERVICE.outer(octets).as_bytes());
    let Ok(decoded) = SERVICE.decode(&text) else { return false };
    assert!(decoded.auth_client_lines > 0 && decoded.lengths.middle <= octets.len());
    assert_eq!(decoded.lengths.middle_padded, octets.len());
    true
}

/// The inner layer: the points that are read, made into a descriptor again, are the same.
pub fn inner(octets: &[u8]) -> bool {
    let text = SERVICE.signed(SERVICE.outer(SERVICE.middle(octets).as_bytes()).as_bytes());
    let Ok(decoded) = SERVICE.decode(&text) else { return false };
    let points = &decoded.intro_points;
    for point in points {
        let links = point.link_specifiers().to_vec();
        let again = IntroPoint::new(links, *point.onion_key(), *point.auth_key(), *point.enc_key());
        assert_eq!(again.as_ref().ok(), Some(point));
        assert!(point.relay_fingerprint().is_some());
    }
    let draft = SERVICE.draft(points, decoded.flow_control.as_ref());
    let draft = Draft { single_onion: decoded.single_onion, ..draft };
    let Ok(prepared) = draft.prepare() else {
        let mut keys: Vec<_> = points.iter().map(IntroPoint::auth_key).collect();
        keys.sort();
        keys.dedup();
        assert!(
            points.len() > MAX_INTRO_POINTS || keys.len() < points.len(),
            "good points make no descriptor"
        );
        return true;
    };
    let made = prepared.encode([[1; 16], [2; 16]]).unwrap();
    if made.len() >= 50_000 {
        return true;
    }
    let again = SERVICE.decode(made.as_bytes()).unwrap();
    let sorted = |decoded: &Decoded| {
        let mut points = decoded.intro_points.clone();
        points.sort();
        points
    };
    assert_eq!(sorted(&again), sorted(&decoded));
    assert_eq!((again.flow_control, again.single_onion), (decoded.flow_control, decoded.single_onion));
    assert!(again.skipped_points.is_empty() && again.unknown_lines.is_empty());
    true
}
