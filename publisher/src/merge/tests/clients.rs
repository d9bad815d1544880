//! Clients over the real ring: each asks one of the HSDirs that clients ask, takes a point of its descriptor at random,
//! and lands at a backend. Each backend's clients are held against its weight by a chi-square test with fixed seeds, and
//! merges that are spoiled on purpose must fail the same test.

use super::*;
use crate::consensus::{Fingerprint, HsDir, RelayEd25519, Srv};
use crate::ring::Ring;
use crate::schedule::Dice;
use crate::schedule::tests::TestDice;
use onionkeep_common::{OnionAddress, PeriodLength, PeriodNumber, TimePeriod};
use std::sync::LazyLock;

/// HSDirs of the network.
const HSDIRS: u32 = 4000;
/// Clients of one run.
const CLIENTS: u64 = 6000;
/// Clients of a run in which each meets another service.
const STARTS: u64 = 1500;
/// When the clients come.
const NOW: u64 = 1_800_000_000;

/// A network, a service in it, and its backends.
struct World {
    points: &'static [Vec<IntroPoint>],
    weights: Vec<u32>,
    flow: FlowControl,
}

/// The network.
static NETWORK: LazyLock<Vec<HsDir>> = LazyLock::new(|| {
    let hsdir = |number: u32| HsDir {
        fingerprint: Fingerprint(octets(number, b"rsa")[..20].try_into().unwrap()),
        ed25519: RelayEd25519(octets(number, b"ed")),
    };
    (0..HSDIRS).map(hsdir).collect()
});

/// 300 backends with three points each, on relays of their own choice.
static POINTS: LazyLock<Vec<Vec<IntroPoint>>> = LazyLock::new(|| {
    let base = curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    let point = |number: u32| {
        let relay = u32::from_be_bytes(octets(number, b"choice")[..4].try_into().unwrap()) % HSDIRS;
        let relay = NETWORK[usize::try_from(relay).unwrap()].fingerprint;
        let links = [&[2, 0, 6, 127, 0, 0, 1, 0, 80, 2, 20][..], &relay.0].concat();
        let auth = (base * curve25519_dalek::Scalar::from(number + 7)).compress().to_bytes();
        let enc = curve25519_dalek::constants::X25519_BASEPOINT.to_bytes();
        IntroPoint::new(links, [9; 32], IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
    };
    (0..300).map(|at| (0..3).map(|own| point(at * 3 + own)).collect()).collect()
});

/// A merge under test.
type Merge = fn(&[Candidate<'_>], &Situation<'_>) -> Merged;

/// Thirty-two octets that look random.
fn octets(number: u32, what: &[u8]) -> [u8; 32] {
    Sha3_256::new().chain_update(what).chain_update(number.to_be_bytes()).finalize().into()
}

impl World {
    /// So many of the made-up backends, with weights in turn.
    fn new(backends: usize, weights: &[u32]) -> Self {
        Self {
            points: &POINTS[..backends],
            weights: weights.iter().copied().cycle().take(backends).collect(),
            flow: FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 },
        }
    }

    /// Its backends, as the publisher sees them.
    fn candidates(&self) -> Vec<Candidate<'_>> {
        let place = |number| u64::from_be_bytes(octets(number, b"place")[..8].try_into().unwrap());
        let candidate = |backend: usize| Candidate {
            backend,
            weight: self.weights[backend],
            place: place(u32::try_from(backend).unwrap()),
            points: &self.points[backend],
            flow_control: Some(&self.flow),
            single_onion: false,
            pow: false,
            ages: None,
        };
        (0..self.points.len()).map(candidate).collect()
    }

    /// The HSDirs that store the descriptor, and those of them that clients ask.
    fn responsible(&self) -> (Vec<Fingerprint>, Vec<Fingerprint>) {
        let period = TimePeriod { number: PeriodNumber(20_833), length: PeriodLength::DAY };
        let onion: OnionAddress = crate::config::tests::A.parse().unwrap();
        let blinded = onion.identity().blinded(period).unwrap();
        let ring = Ring::new(&NETWORK, period, &Srv([5; 32]));
        let of =
            |spread| ring.responsible(&blinded, 2, spread).iter().map(|hsdir| hsdir.fingerprint).collect();
        (of(4), of(3))
    }

    /// Where clients land that come evenly over `span` seconds to one service; to several services one client each.
    ///
    /// Spec: C tor, `pick_hsdir_v3` and `client_get_random_intro`.
    fn visit(&self, mode: Mode, span: u64, services: u64, merge: Merge) -> Vec<u64> {
        let (candidates, (store, fetch)) = (self.candidates(), self.responsible());
        let places = Places::new(mode, &store, &fetch);
        let mut landed = vec![0; candidates.len()];
        let mut dice = TestDice(4242);
        for service in 0..services {
            let seed = octets(u32::try_from(service).unwrap(), b"seed");
            let mut merged = None;
            let clients = if services == 1 { CLIENTS } else { 1 };
            for client in 0..clients {
                let now = UnixTime(NOW + span * client / clients);
                if merged.as_ref().is_none_or(|(_m, next): &(Merged, UnixTime)| now >= *next) {
                    let avoid = BTreeSet::new();
                    let sets = places.count();
                    let situation = Situation {
                        mode,
                        sets,
                        now,
                        seed: &seed,
                        secret: &seed,
                        listed: &[],
                        avoid: &avoid,
                        hold: false,
                    };
                    let new = merge(&candidates, &situation);
                    let next = new.next_step.unwrap_or(UnixTime(u64::MAX));
                    merged = Some((new, next));
                }
                let (merged, _next) = merged.as_ref().unwrap();
                let any = |count: usize, dice: &mut TestDice| {
                    usize::try_from(dice.pick(0..=u64::try_from(count).unwrap() - 1)).unwrap()
                };
                let hsdir = &fetch[any(fetch.len(), &mut dice)];
                let set = &merged.sets[places.set(hsdir)];
                let (backend, _point) = &set.points[any(set.points.len(), &mut dice)];
                landed[*backend] += 1;
            }
        }
        landed
    }

    /// How far the clients are from the weights, in standard deviations of a chi-square variable.
    fn off(&self, landed: &[u64]) -> f64 {
        let float = |number: u64| f64::from(u32::try_from(number).unwrap());
        let clients = float(landed.iter().sum());
        let weight: u32 = self.weights.iter().sum();
        let due = self.weights.iter().map(|own| clients * f64::from(*own) / f64::from(weight));
        let chi: f64 = landed.iter().zip(due).map(|(got, due)| (float(*got) - due).powi(2) / due).sum();
        let freedom = float(u64::try_from(landed.len()).unwrap()) - 1.0;
        // Wilson and Hilferty: the cube root of chi-square over its degrees of freedom is nearly normal.
        let spread = 2.0 / (9.0 * freedom);
        ((chi / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
    }
}

/// Beyond this a chance in 31,000 would have to be at work: the shares are not the weights.
const LIMIT: f64 = 4.0;

/// The modes with their most points.
const MODES: [Mode; 4] = [
    HOURLY,
    Mode::Wide { points: 20 },
    Mode::Distinct { points: 20 },
    Mode::Ordinary { points: 3, rotate: Rotate::Daily },
];

#[test]
fn at_each_moment_distinct_serves_24_backends_by_weight() {
    for weights in [&[1][..], &[1, 2, 3, 4]] {
        let world = World::new(24, weights);
        let off = world.off(&world.visit(Mode::Distinct { points: 20 }, 1, 1, choose));
        assert!(off < LIMIT, "{weights:?}: {off} standard deviations");
    }
}

#[test]
fn at_each_moment_every_mode_serves_what_fits_by_weight() {
    let ordinary = World::new(3, &[1]);
    assert!(ordinary.off(&ordinary.visit(MODES[0], 1, 1, choose)) < LIMIT);
    let wide = World::new(9, &[1, 2, 3]);
    assert!(wide.off(&wide.visit(MODES[1], 1, 1, choose)) < LIMIT);
}

#[test]
fn over_an_hour_distinct_serves_300_backends_by_weight() {
    let world = World::new(300, &[1, 1, 2, 4]);
    let off = world.off(&world.visit(Mode::Distinct { points: 20 }, 3600, 1, choose));
    assert!(off < LIMIT, "{off} standard deviations");
    let moment = world.off(&world.visit(Mode::Distinct { points: 20 }, 1, 1, choose));
    assert!(moment > LIMIT, "120 points are not enough for 300 backends at one moment: {moment}");
}

#[test]
fn whatever_the_mode_the_expected_share_is_the_weight_at_each_moment() {
    // Each client meets a service with a start of its own, at the same moment: the mean over all starts.
    let world = World::new(50, &[1, 2, 4, 3]);
    for mode in MODES {
        let off = world.off(&world.visit(mode, 1, STARTS, choose));
        assert!(off < LIMIT, "{mode:?}: {off} standard deviations");
    }
}

#[test]
fn a_merge_that_ignores_weights_is_caught() {
    let spoiled: Merge = |candidates, situation| {
        let equal: Vec<_> = candidates.iter().map(|own| Candidate { weight: 1, ..*own }).collect();
        choose(&equal, situation)
    };
    let world = World::new(24, &[1, 2]);
    assert!(world.off(&world.visit(MODES[2], 1, 1, spoiled)) > LIMIT);
    let world = World::new(300, &[1, 2, 4]);
    assert!(world.off(&world.visit(MODES[2], 3600, 1, spoiled)) > LIMIT);
    let world = World::new(50, &[1, 2, 4, 3]);
    for mode in MODES {
        assert!(world.off(&world.visit(mode, 1, STARTS, spoiled)) > LIMIT, "{mode:?}");
    }
}

#[test]
fn a_wheel_that_stands_still_and_a_backend_that_is_forgotten_are_caught() {
    let standing: Merge = |candidates, situation| Merged {
        next_step: None,
        ..choose(candidates, &Situation { now: UnixTime(NOW), ..*situation })
    };
    let world = World::new(300, &[1]);
    assert!(world.off(&world.visit(MODES[2], 3600, 1, standing)) > LIMIT);
    let forgetful: Merge = |candidates, situation| choose(&candidates[1..], situation);
    let world = World::new(24, &[1]);
    assert!(world.off(&world.visit(MODES[2], 1, 1, forgetful)) > LIMIT);
}

#[test]
fn two_publishers_with_the_same_secret_choose_the_same() {
    let world = World::new(300, &[1, 2, 4]);
    let avoid = BTreeSet::new();
    for mode in MODES {
        let mut candidates = world.candidates();
        let (now, seed) = (UnixTime(NOW), [7; 32]);
        let situation = Situation {
            mode,
            sets: 6,
            now,
            seed: &seed,
            secret: &seed,
            listed: &[],
            avoid: &avoid,
            hold: false,
        };
        let one = choose(&candidates, &situation);
        candidates.reverse();
        assert_eq!(choose(&candidates, &situation).digest(), one.digest());
        let third = Situation { seed: &[0x98; 32], ..situation };
        assert_ne!(choose(&candidates, &third).digest(), one.digest(), "another secret, another start");
    }
}
