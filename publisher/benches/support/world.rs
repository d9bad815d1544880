//! A made-up world for a publisher that runs in fast time: a tor's control port with a network and backends, and a signer.
//!
//! Each backend renews its descriptor every 90 minutes; each HSDir has a copy of its own, as with C tor.

use super::control_port::{Answer, Auth, Command, ControlPort, usual};
use super::network;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use onionkeep_common::blinding::BlindingFactor;
use onionkeep_common::wire::frame::Header;
use onionkeep_common::wire::{CertifyRequest, HEADER_LEN, Reply};
use onionkeep_common::{
    CertBody, DescSigningKey, EncodedCert, ExpirationHours, IdentityKey, IntroAuthKey, IntroEncKey,
    OnionAddress, PeriodLength, Signature, TimePeriod, UnixTime,
};
use onionkeep_publisher::consensus::{Consensus, Params, Role};
use onionkeep_publisher::descriptor::{
    Draft, FlowControl, IntroPoint, MAX_DESCRIPTOR_SIZE, PERIOD_KEYS_LEN, PeriodKeys,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// When the world begins: 2026-11-22 11:05:00.
pub(crate) const BEGIN: u64 = 1_795_345_500;
/// The valid-after of [`network::make`]: 2026-11-22 10:00:00.
const MADE: u64 = 1_795_341_600;
/// Relays of the network.
const RELAYS: usize = 7000;
/// A backend's descriptor is renewed so often, in seconds.
const RENEWED: u64 = 5400;
/// Introduction points of a backend.
pub(crate) const POINTS: usize = 3;

/// A key of an onion service, held as a signer holds it.
pub(crate) struct Onion {
    expanded: ExpandedSecretKey,
    identity: IdentityKey,
}

impl Onion {
    /// The one with this number of a kind.
    pub(crate) fn new(kind: u8, number: usize) -> Self {
        let expanded = ExpandedSecretKey::from(&octets(&[kind], number));
        let identity = IdentityKey::from_bytes(VerifyingKey::from(&expanded).to_bytes()).unwrap();
        Self { expanded, identity }
    }

    /// Its address.
    pub(crate) fn address(&self) -> OnionAddress {
        OnionAddress::new(self.identity)
    }

    /// The certificate of a descriptor-signing key.
    fn certify(&self, period: TimePeriod, key: &DescSigningKey, now: UnixTime) -> EncodedCert {
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

/// Thirty-two octets that look random.
fn octets(what: &[u8], number: usize) -> [u8; 32] {
    Sha256::new().chain_update(what).chain_update(number.to_be_bytes()).finalize().into()
}

/// A copy of a descriptor: when it was made, for which period, and its text.
type Made = (UnixTime, TimePeriod, String);

/// What was asked of the world.
#[derive(Default)]
pub(crate) struct Counts {
    /// Fetches of backends' descriptors.
    pub(crate) fetches: AtomicU64,
    /// Uploads.
    pub(crate) uploads: AtomicU64,
    /// Certificates.
    pub(crate) certificates: AtomicU64,
}

/// Everything that answers.
pub(crate) struct World {
    backends: HashMap<String, (usize, Onion)>,
    services: Vec<Onion>,
    network: network::Network,
    clock: Box<dyn Fn() -> UnixTime + Send + Sync>,
    /// The valid-after that the publisher has read last.
    read: AtomicU64,
    /// Copies by backend and HSDir's kind: when they were made for which period, and the text.
    copies: Mutex<HashMap<(usize, u8), Made>>,
    pub(crate) counts: Counts,
}

impl World {
    /// So many frontends and backends, whose time begins with the first question and runs so fast.
    pub(crate) fn fast(services: usize, backends: usize, speed: f64) -> Self {
        let start = OnceLock::new();
        let passed = move || start.get_or_init(Instant::now).elapsed().mul_f64(speed).as_secs();
        Self::new((services, backends, RELAYS), move || UnixTime(BEGIN + passed()))
    }

    /// So many frontends, backends and relays, whose time is that of a clock that begins with [`BEGIN`].
    pub(crate) fn new(
        (services, backends, relays): (usize, usize, usize),
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        let backend = |number| {
            let onion = Onion::new(b'b', number);
            (onion.address().to_string().trim_end_matches(".onion").to_owned(), (number, onion))
        };
        Self {
            backends: (0..backends).map(backend).collect(),
            services: (0..services).map(|number| Onion::new(b's', number)).collect(),
            network: network::make(relays),
            clock: Box::new(clock),
            read: AtomicU64::new(MADE),
            copies: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// The time.
    fn now(&self) -> UnixTime {
        (self.clock)()
    }

    /// Which descriptor of a backend is fetched under the consensus that was read.
    fn role(&self) -> Role {
        let valid_after = UnixTime(self.read.load(Ordering::Relaxed));
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
        consensus.schedule(false).fetch
    }

    /// What tor's control port answers.
    pub(crate) fn answer(&self, command: &Command) -> Answer {
        let now = self.now();
        let hour = now.0 / 3600 * 3600;
        let time = |at: u64| {
            let day = format!("2026-11-{:02}", 22 + (at / 86_400 - MADE / 86_400));
            format!("{day} {:02}:00:00", at % 86_400 / 3600)
        };
        let mut words = command.line.split(' ');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("HSFETCH", onion) => self.fetch(onion, server(&command.line)),
            ("+HSPOST", _server) => {
                self.counts.uploads.fetch_add(1, Ordering::Relaxed);
                let onion = command.line.rsplit('=').next().unwrap_or_default();
                let hsdir = server(&command.line);
                Answer::text(&format!("250 OK\n650 HS_DESC UPLOADED {onion} UNKNOWN ${hsdir}~relay\n"))
            }
            ("GETINFO", "consensus/valid-after") => {
                Answer::text(&format!("250-consensus/valid-after={}\n250 OK\n", time(hour)))
            }
            ("GETINFO", "consensus/valid-until") => {
                Answer::text(&format!("250-consensus/valid-until={}\n250 OK\n", time(hour + 3 * 3600)))
            }
            ("GETINFO", key @ "dir/status-vote/current/consensus-microdesc") => {
                self.read.store(hour, Ordering::Relaxed);
                let (head, rest) = self.network.consensus.split_once("voting-delay").unwrap();
                let head = head.replace(&time(MADE + 3 * 3600), &time(hour + 3 * 3600));
                let head = head.replace(&time(MADE + 3600), &time(hour + 3600));
                let head = head.replace(&time(MADE), &time(hour));
                Answer::block(key, &format!("{head}voting-delay{rest}"))
            }
            ("GETINFO", key @ "md/all") => Answer::block(key, &self.network.microdescs),
            _other => usual(command).unwrap_or_else(Answer::ok),
        }
    }

    /// An HSDir's answer to a fetch.
    fn fetch(&self, onion: &str, hsdir: &str) -> Answer {
        self.counts.fetches.fetch_add(1, Ordering::Relaxed);
        let Some((number, own)) = self.backends.get(onion) else {
            return Answer::text(&format!(
                "250 OK\n650 HS_DESC FAILED {onion} NO_AUTH ${hsdir}~relay x REASON=NOT_FOUND\n\
                 650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n\n.\n650 OK\n"
            ));
        };
        let text = self.copy(*number, own, hsdir.as_bytes()[39] % 6);
        Answer::text(&format!(
            "250 OK\n650 HS_DESC RECEIVED {onion} NO_AUTH ${hsdir}~relay x\n\
             650+HS_DESC_CONTENT {onion} x ${hsdir}~relay\n{text}.\n650 OK\n"
        ))
    }

    /// The copy of a backend's descriptor that some HSDirs have.
    fn copy(&self, number: usize, own: &Onion, kind: u8) -> String {
        let (now, role) = (self.now().0 + u64::try_from(number).unwrap() * 61, self.role());
        let made = UnixTime(now / RENEWED * RENEWED - u64::try_from(number).unwrap() * 61);
        let mut copies = self.copies.lock().unwrap();
        let copy = copies.entry((number, kind)).or_insert_with(|| (UnixTime(0), role.period, String::new()));
        if (copy.0, copy.1) != (made, role.period) {
            *copy = (made, role.period, make(number, own, &role, made, kind));
        }
        copy.2.clone()
    }

    /// Serves both sockets until the process ends.
    pub(crate) fn serve(self: &Arc<Self>, signer: &Path) -> ControlPort {
        let listener = UnixListener::bind(signer).unwrap();
        let world = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.sign(stream).await });
            }
        });
        let world = Arc::clone(self);
        ControlPort::unix(Auth::SafeCookie, move |command| world.answer(command))
    }

    /// Signs on one connection.
    pub(crate) async fn sign(&self, mut stream: UnixStream) -> Option<()> {
        loop {
            let mut head = [0; HEADER_LEN];
            stream.read_exact(&mut head).await.ok()?;
            let head = Header::parse(head).ok()?;
            let mut content = vec![0; head.content_len];
            stream.read_exact(&mut content).await.ok()?;
            let request = CertifyRequest::parse(head.kind, &content).ok()?;
            let own = self.services.iter().find(|own| own.identity == request.onion)?;
            let period = TimePeriod { number: request.period, length: PeriodLength::DAY };
            let cert = own.certify(period, &request.key, self.now());
            self.counts.certificates.fetch_add(1, Ordering::Relaxed);
            stream.write_all(Reply::Certificate(cert).to_frame().as_bytes()).await.ok()?;
        }
    }
}

/// The HSDir of a command.
pub(crate) fn server(line: &str) -> &str {
    line.split_once("SERVER=").map_or("", |(_head, rest)| rest.get(..40).unwrap_or_default())
}

/// Makes one copy.
fn make(number: usize, own: &Onion, role: &Role, made: UnixTime, kind: u8) -> String {
    let seed = octets(b"keys", number);
    let mut octets = [0; PERIOD_KEYS_LEN];
    octets.iter_mut().zip(seed.iter().cycle()).for_each(|(to, from)| *to = *from);
    let keys = PeriodKeys::from_bytes(&octets).unwrap();
    let blinded = own.identity.blinded(role.period).unwrap();
    let points: Vec<_> = (0..POINTS).map(|at| point(number * POINTS + at)).collect();
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
        intro_points: &points,
        max_descriptor_size: MAX_DESCRIPTOR_SIZE,
        now: made,
    };
    draft.prepare().unwrap().encode([[kind; 16], [kind + 1; 16]]).unwrap()
}

/// A point on a relay that looks random.
fn point(number: usize) -> IntroPoint {
    let seed = octets(b"point", number);
    let auth = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
    let relay = octets(b"relay", usize::from(seed[0]) * 256 + usize::from(seed[1]) % 4000);
    let links = [&[3, 0, 6, 192, 0, 2, seed[0], 1, 2, 2, 20][..], &relay[..20], &[3, 32], &relay].concat();
    IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
}
