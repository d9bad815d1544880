//! Made-up onion services: keys as a signer holds them, and the descriptors that backends with such keys have at HSDirs.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::{
    CertBody, DescSigningKey, EncodedCert, ExpirationHours, IdentityKey, IntroAuthKey, IntroEncKey,
    OnionAddress, Signature, TimePeriod, UnixTime,
};
use onionkeep_publisher::consensus::{Consensus, HsSchedule, Params, Role};
use onionkeep_publisher::descriptor::{
    Draft, FlowControl, IntroPoint, MAX_DESCRIPTOR_SIZE, PERIOD_KEYS_LEN, PeriodKeys,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// When the world begins: 2026-11-22 11:05:00.
pub(crate) const BEGIN: u64 = 1_795_345_500;
/// The valid-after of the made-up network: 2026-11-22 10:00:00.
pub(crate) const MADE: u64 = 1_795_341_600;
/// Relays of the network of the benches.
pub(crate) const RELAYS: usize = 7000;
/// A backend's descriptor is renewed so often, in seconds.
const RENEWED: u64 = 5400;
/// An introduction point lives so long, in seconds.
const LIFE: u64 = 20 * 3600;
/// Introduction points of a backend.
pub(crate) const POINTS: u64 = 3;

/// A key of an onion service, held as a signer holds it.
pub(crate) struct Onion {
    expanded: ExpandedSecretKey,
    identity: IdentityKey,
}

impl Onion {
    /// The one with this number of a kind.
    pub(crate) fn new(kind: u8, number: usize) -> Self {
        let expanded = ExpandedSecretKey::from(&octets(&[kind], u64::try_from(number).unwrap()));
        let identity = IdentityKey::from_bytes(VerifyingKey::from(&expanded).to_bytes()).unwrap();
        Self { expanded, identity }
    }

    /// Its identity key.
    pub(crate) const fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Its address.
    pub(crate) fn address(&self) -> OnionAddress {
        OnionAddress::new(self.identity)
    }

    /// The certificate of a descriptor-signing key.
    pub(crate) fn certify(&self, period: TimePeriod, key: &DescSigningKey, now: UnixTime) -> EncodedCert {
        let blinded = self.identity.blinded(period).unwrap();
        let body = CertBody::desc_signing(key, ExpirationHours::of_desc_signing_cert(now), &blinded);
        let factor = BlindingFactor::new(&self.identity, period).scalar();
        let secret = ExpandedSecretKey {
            scalar: self.expanded.scalar * factor,
            hash_prefix: self.expanded.hash_prefix,
        };
        let signature = raw_sign::<sha2::Sha512>(&secret, body.as_bytes(), &VerifyingKey::from(&secret));
        body.with_signature(&Signature(signature.to_bytes()))
    }
}

/// So many frontends.
pub(crate) fn services(count: usize) -> Vec<Onion> {
    (0..count).map(|number| Onion::new(b's', number)).collect()
}

/// So many backends: numbers and onions by address without `.onion`.
pub(crate) fn backends(count: usize) -> HashMap<String, (u64, Onion)> {
    let backend = |number: usize| {
        let onion = Onion::new(b'b', number);
        let number = u64::try_from(number).unwrap();
        (onion.address().bare().to_string(), (number, onion))
    };
    (0..count).map(backend).collect()
}

/// Thirty-two octets that look random.
pub(crate) fn octets(what: &[u8], number: u64) -> [u8; 32] {
    Sha256::new().chain_update(what).chain_update(number.to_be_bytes()).finalize().into()
}

/// What services do under a consensus of this network with this valid-after.
pub(crate) fn schedule(valid_after: u64) -> HsSchedule {
    let valid_after = UnixTime(valid_after);
    let consensus = Consensus {
        valid_after,
        fresh_until: valid_after.plus(3600),
        valid_until: valid_after.plus(3 * 3600),
        params: Params::default(),
        srv_previous: None,
        srv_current: None,
        hsdirs: Vec::new(),
        hsdirs_without_microdesc: 0,
        relay_count: 0,
    };
    consensus.schedule(false)
}

/// Which descriptor of a backend is fetched then.
pub(crate) fn fetched(valid_after: u64) -> Role {
    schedule(valid_after).fetch
}

/// When the backend with this number has renewed its descriptor last.
pub(crate) fn made(number: u64, now: u64) -> UnixTime {
    UnixTime((now + number * 61) / RENEWED * RENEWED - number * 61)
}

/// The HSDir of a command.
pub(crate) fn server(line: &str) -> &str {
    line.split_once("SERVER=").map_or("", |(_head, rest)| rest.get(..40).unwrap_or_default())
}

/// The points of the backend with this number: each lives twenty hours.
pub(crate) fn points(number: u64, made: UnixTime) -> Vec<IntroPoint> {
    let life = |at: u64| (made.0 + number * 997 + at * LIFE / POINTS) / LIFE;
    (0..POINTS).map(|at| point((number * POINTS + at) << 24 | life(at))).collect()
}

/// Makes the copy of an HSDir.
pub(crate) fn make(
    number: u64,
    own: &Onion,
    role: &Role,
    made: UnixTime,
    points: &[IntroPoint],
    hsdir: &str,
) -> String {
    let seed = octets(b"keys", number);
    let mut octets = [0; PERIOD_KEYS_LEN];
    octets.iter_mut().zip(seed.iter().cycle()).for_each(|(to, from)| *to = *from);
    let keys = PeriodKeys::from_bytes(&octets).unwrap();
    let blinded = own.identity.blinded(role.period).unwrap();
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    let (cert, subcredential) = (
        own.certify(role.period, keys.signing_key(), made),
        own.identity.credential().subcredential(&blinded),
    );
    let draft = Draft {
        blinded: &blinded,
        subcredential: &subcredential,
        cert08: &cert,
        keys: &keys,
        revision: made.since(role.run_start).max(1) * 65_537 / 2,
        flow_control: Some(&flow),
        single_onion: false,
        clients: None,
        intro_points: points,
        max_descriptor_size: MAX_DESCRIPTOR_SIZE,
        now: made,
    };
    let [a, b] = [0, 1].map(|half| Sha256::digest([&[half], hsdir.as_bytes()].concat()));
    draft.prepare().unwrap().encode([a[..16].try_into().unwrap(), b[..16].try_into().unwrap()]).unwrap()
}

/// A point on a relay that looks random.
fn point(number: u64) -> IntroPoint {
    let seed = octets(b"point", number);
    let auth = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
    let relay = octets(b"relay", (u64::from(seed[0]) * 256 + u64::from(seed[1])) % 4000);
    let links = [&[3, 0, 6, 192, 0, 2, seed[0], 1, 2, 2, 20][..], &relay[..20], &[3, 32], &relay].concat();
    IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
}
