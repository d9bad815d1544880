//! Backends through days as C tor runs them: points of some hours, rotations, restarts, and what a fetch shows of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use onionkeep_common::{BlindedId, DescSigningKey, ExpirationHours, IntroAuthKey, IntroEncKey, UnixTime};
use onionkeep_publisher::descriptor::{Decoded, IntroPoint, Lengths};
use onionkeep_publisher::schedule::Dice;

use super::model::{DAY, HOUR, LIFE, POINTS, START, Seeded, begin_of};

/// Points that one backend can have in a run.
const OWN: usize = 750;
/// How often one backend can start in a run.
const STARTS: usize = 100;
/// Most backends of one service.
pub(crate) const BACKENDS_MOST: usize = 8;
/// The life of a point that gets so many introductions that their number ends it.
///
/// Spec: C tor, `INTRO_POINT_MIN_LIFETIME_INTRODUCTIONS`.
const BUSY: std::ops::RangeInclusive<u64> = HOUR..=10 * HOUR;

/// Points on relays of a network of 7,000, each with another key.
static MADE: LazyLock<Vec<IntroPoint>> = LazyLock::new(|| {
    let base = curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    let enc = IntroEncKey(curve25519_dalek::constants::X25519_BASEPOINT.to_bytes());
    let (mut at, mut made) = (base, Vec::new());
    for number in 0..u64::try_from(OWN * BACKENDS_MOST).unwrap() {
        at += base;
        let relay = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 7000;
        let links = [&[2, 0, 6, 192, 0, 2, 1, 1, 2, 2, 20][..], &[9; 12], &relay.to_be_bytes()].concat();
        let auth = IntroAuthKey::from_bytes(at.compress().to_bytes()).unwrap();
        made.push(IntroPoint::new(links, [9; 32], auth, enc).unwrap());
    }
    made
});

/// Keys that stand in for signing keys, one for each start of a backend.
static SIGNERS: LazyLock<Vec<DescSigningKey>> = LazyLock::new(|| {
    let key = |point: &IntroPoint| DescSigningKey::from_bytes(*point.auth_key().as_bytes()).unwrap();
    MADE[..STARTS * BACKENDS_MOST].iter().map(key).collect()
});
/// A blinded key, which nobody looks at here.
static BLINDED: LazyLock<BlindedId> =
    LazyLock::new(|| BlindedId::from_bytes(*MADE[0].auth_key().as_bytes()).unwrap());

/// How one backend fares.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    /// It restarts once in so many seconds on average; never if 0.
    pub(crate) restarts: u64,
    /// It is so busy that its points end early.
    pub(crate) busy: bool,
}

/// A point of a backend: its number among the made ones, and when its time is over.
#[derive(Clone, Copy)]
struct Point {
    at: usize,
    end: u64,
}

/// What was uploaded last.
#[derive(Clone)]
struct Upload {
    at: u64,
    points: Vec<usize>,
    signer: usize,
}

/// One descriptor of a backend.
struct Desc {
    points: Vec<Point>,
    next_upload: u64,
    last: Option<Upload>,
    /// How far its counter is off, in thousandths of a standard deviation.
    off: i64,
}

/// One backend's tor.
pub(crate) struct Tor {
    dice: Seeded,
    first_point: usize,
    made: usize,
    fate: Fate,
    descs: BTreeMap<u64, Desc>,
    next_rotation: u64,
    next_restart: u64,
    signer: usize,
    /// When each point was closed.
    pub(crate) deaths: BTreeMap<IntroAuthKey, u64>,
}

impl Tor {
    /// A backend that starts at the beginning.
    pub(crate) fn new(number: usize, fate: Fate, dice: Seeded) -> Self {
        let mut tor = Self {
            dice,
            first_point: number * OWN,
            made: 0,
            fate,
            descs: BTreeMap::new(),
            next_rotation: 0,
            next_restart: u64::MAX,
            signer: number * STARTS,
            deaths: BTreeMap::new(),
        };
        for period in [START / DAY, START / DAY + 1] {
            tor.begin(period, START);
        }
        tor.next_rotation = START + DAY + tor.dice.pick(300..=2700);
        tor.plan_restart(START);
        tor
    }

    /// Lives on until a moment.
    pub(crate) fn advance(&mut self, to: u64) {
        loop {
            let ends = self.descs.values().flat_map(|desc| desc.points.iter().map(|point| point.end));
            let ends = ends.min().unwrap_or(u64::MAX);
            let uploads = self.descs.values().map(|desc| desc.next_upload).min().unwrap_or(u64::MAX);
            let now = ends.min(uploads).min(self.next_rotation).min(self.next_restart);
            if now > to {
                return;
            }
            if now == self.next_rotation {
                self.rotate(now);
            } else if now == self.next_restart {
                self.restart(now);
            } else if now == ends {
                self.replace(now);
            } else {
                self.upload(now);
            }
        }
    }

    /// The counter of what an HSDir gives now.
    pub(crate) fn revision(&self, period: u64) -> Option<u64> {
        let desc = self.descs.get(&period)?;
        let into = desc.last.as_ref()?.at - begin_of(period);
        let off = desc.off * 577 * i64::try_from(into.isqrt()).unwrap() / 1000;
        let told = u64::try_from((i64::try_from(into).unwrap() * 1000 + off).max(1)).unwrap();
        Some(told * 65_537 / 2000)
    }

    /// What an HSDir gives now.
    pub(crate) fn fetch(&self, period: u64) -> Option<Decoded> {
        let Upload { at, points, signer } = self.descs.get(&period)?.last.clone()?;
        Some(Decoded {
            revision: self.revision(period)?,
            lifetime_minutes: 180,
            signing_key: SIGNERS[signer],
            cert_expires: ExpirationHours::of_desc_signing_cert(UnixTime(at)),
            blinded: *BLINDED,
            auth_client_lines: 16,
            client_authorization: false,
            flow_control: None,
            single_onion: false,
            pow: Vec::new(),
            intro_points: points.iter().map(|at| MADE[*at].clone()).collect(),
            skipped_points: Vec::new(),
            unknown_lines: Vec::new(),
            sign_bits: 0,
            lengths: Lengths {
                text: 0,
                superencrypted: 0,
                middle_padded: 0,
                middle: 0,
                encrypted: 0,
                inner: 0,
            },
        })
    }

    /// A new point that begins now.
    fn point(&mut self, now: u64) -> Point {
        self.made += 1;
        assert!(self.made < OWN, "too few points were made");
        let life = if self.fate.busy { BUSY } else { LIFE };
        Point { at: self.first_point + self.made, end: now + self.dice.pick(life) }
    }

    /// Begins a descriptor.
    fn begin(&mut self, period: u64, now: u64) {
        let points = (0..POINTS).map(|_point| self.point(now)).collect();
        let sum: u64 = (0..12).map(|_throw| self.dice.pick(0..=1000)).sum();
        let off = i64::try_from(sum).unwrap() - 6000;
        let next_upload = now + self.dice.pick(2..=8);
        self.descs.insert(period, Desc { points, next_upload, last: None, off });
    }

    /// The shared random value has changed.
    fn rotate(&mut self, now: u64) {
        let day = now / DAY;
        let old = self.descs.remove(&(day - 1)).unwrap();
        self.close(&old.points, now);
        self.begin(day + 1, now);
        self.next_rotation = (day + 1) * DAY + self.dice.pick(300..=2700);
    }

    /// Everything anew.
    fn restart(&mut self, now: u64) {
        self.signer += 1;
        assert!(!self.signer.is_multiple_of(STARTS), "too few signing keys were made");
        let back = now + self.dice.pick(5..=60);
        for period in self.descs.keys().copied().collect::<Vec<_>>() {
            let points = (0..POINTS).map(|_point| self.point(back)).collect();
            let desc = self.descs.get_mut(&period).unwrap();
            let old = std::mem::replace(&mut desc.points, points);
            desc.next_upload = back + self.dice.pick(3..=20);
            self.close(&old, now);
        }
        self.plan_restart(now);
    }

    /// Points whose time is over get others in their places.
    fn replace(&mut self, now: u64) {
        for period in self.descs.keys().copied().collect::<Vec<_>>() {
            let over = self.descs[&period].points.iter().position(|point| point.end == now);
            let Some(over) = over else { continue };
            let (point, soon) = (self.point(now), now + self.dice.pick(2..=6));
            let desc = self.descs.get_mut(&period).unwrap();
            let old = std::mem::replace(&mut desc.points[over], point);
            desc.next_upload = desc.next_upload.min(soon);
            self.close(&[old], now);
        }
    }

    /// Uploads what is due.
    fn upload(&mut self, now: u64) {
        let signer = self.signer;
        for desc in self.descs.values_mut().filter(|desc| desc.next_upload == now) {
            let points = desc.points.iter().map(|point| point.at).collect();
            desc.last = Some(Upload { at: now, points, signer });
            desc.next_upload = now + self.dice.pick(HOUR..=2 * HOUR);
        }
    }

    /// These work no more.
    fn close(&mut self, points: &[Point], now: u64) {
        for point in points {
            self.deaths.insert(*MADE[point.at].auth_key(), now);
        }
    }

    /// When it restarts next.
    fn plan_restart(&mut self, now: u64) {
        let within = self.fate.restarts * 2;
        self.next_restart =
            if within == 0 { u64::MAX } else { now + 120 + self.dice.pick(0..=within.max(1)) };
    }
}
