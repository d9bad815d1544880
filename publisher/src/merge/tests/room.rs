//! Too few relays: whoever can be placed at all is placed, at each moment where the relays allow and in turn otherwise.

use super::properties::{build, modes, world};
use super::*;
use proptest::prelude::*;

/// Steps of any wheel that are looked at.
const STEPS: u64 = 240;

/// Backends with three points each on different relays of so many, by a fixed die.
fn crowd(backends: u8, relays: u8, die: u64) -> Vec<Vec<IntroPoint>> {
    let mut state = die.wrapping_mul(2).wrapping_add(1);
    let mut throw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((state >> 33) % u64::from(relays)).unwrap()
    };
    let mut own = |backend: u8| {
        let mut chosen = BTreeSet::new();
        while chosen.len() < 3 {
            chosen.insert(throw());
        }
        chosen.into_iter().zip(0..).map(|(relay, at)| point(backend * 3 + at, relay)).collect()
    };
    (0..backends).map(&mut own).collect()
}

/// How many places each backend has in all sets.
fn totals(merged: &Merged, backends: usize) -> Vec<usize> {
    (0..backends).map(|own| merged.sets.iter().map(|set| set.count(own)).sum()).collect()
}

/// How many sets there are that differ.
fn different(merged: &Merged) -> usize {
    let sets = merged.sets.iter().map(|set| set.keys().into_iter().collect::<BTreeSet<_>>());
    sets.collect::<BTreeSet<_>>().len()
}

/// The places that each backend had over many steps, each step built on the one before.
fn over_time(candidates: &[Candidate<'_>], mode: Mode, sets: usize, secret: u8, step: u64) -> Vec<usize> {
    let mut sums = vec![0; candidates.len()];
    let mut listed = Vec::new();
    for number in 0..STEPS {
        let merged = at(candidates, mode, sets, number * step, &listed, secret, false);
        sums.iter_mut().zip(totals(&merged, candidates.len())).for_each(|(sum, own)| *sum += own);
        listed = merged.sets.iter().map(Choice::keys).collect();
    }
    sums
}

#[test]
fn twenty_four_backends_on_twelve_relays_have_two_places_of_forty_eight_each() {
    let flow = flow(31);
    for die in 0..60 {
        let backends = crowd(24, 12, die);
        let candidates = candidates(&backends, &flow);
        let merged = at(&candidates, Mode::Distinct { points: 8 }, 6, 0, &[], 1, false);
        assert_eq!(totals(&merged, 24), [2; 24], "die {die}");
        assert!(merged.sets.iter().all(|set| set.points.len() == 8));
    }
}

#[test]
fn no_two_sets_are_alike_although_the_other_descriptor_lists_most_points() {
    let (flow, mode) = (flow(31), Mode::Distinct { points: 8 });
    for die in 0..60 {
        let backends = crowd(24, 12, die);
        let candidates = candidates(&backends, &flow);
        let other = at(&candidates, mode, 6, 0, &[], 1, false);
        let (avoid, secret, now) = (other.keys(), [2; 32], UnixTime(1_800_000_000));
        let seed = &secret;
        let mut situation =
            Situation { mode, sets: 6, now, seed, secret: seed, listed: &[], avoid: &avoid, hold: false };
        let merged = choose(&candidates, &situation);
        assert_eq!(different(&merged), 6, "die {die}");
        // After a restart it is known what is listed, but not where.
        let listed = [merged.keys().into_iter().collect()];
        situation.listed = &listed;
        assert_eq!(different(&choose(&candidates, &situation)), 6, "die {die}, after a restart");
    }
}

#[test]
fn who_cannot_have_a_place_in_one_set_has_it_in_another() {
    // Four backends have nothing but relays 1 to 3; in one set only three of them fit.
    let mut backends: Vec<Vec<_>> =
        (0..4).map(|own| (1..4).map(|relay| point(own * 3 + relay, relay)).collect()).collect();
    backends
        .extend((0..4).map(|own| (0..3).map(|at| point(100 + own * 3 + at, 20 + own * 3 + at)).collect()));
    let flow = flow(31);
    let candidates = candidates(&backends, &flow);
    for secret in 0..20 {
        let merged = at(&candidates, Mode::Distinct { points: 4 }, 2, 0, &[], secret, false);
        assert_eq!(totals(&merged, 8), [1; 8], "secret {secret}");
        assert_eq!(merged.next_step, None, "nobody is short");
    }
}

#[test]
fn four_backends_on_three_relays_take_turns() {
    let backends: Vec<Vec<_>> =
        (0..4).map(|own| (1..4).map(|relay| point(own * 3 + relay, relay)).collect()).collect();
    let flow = flow(31);
    let candidates = candidates(&backends, &flow);
    for (mode, step) in [(wide(20), 600), (Mode::Ordinary { points: 4, rotate: Rotate::Hourly }, 3600)] {
        for secret in 0..4 {
            let sums = over_time(&candidates, mode, 1, secret, step);
            // Three of four in each of 240 steps: 180 each; the spread of a fair die is 6.7.
            assert_eq!(sums.iter().sum::<usize>(), 720);
            assert!(sums.iter().all(|sum| (150..=210).contains(sum)), "{mode:?}: {sums:?}");
        }
    }
    assert!(at(&candidates, wide(20), 1, 0, &[], 1, false).next_step.is_some(), "the short ones change");
}

#[test]
fn who_is_short_loses_in_proportion_to_its_weight() {
    // Two backends with one point each on the same relay, weights 1 and 3, beside one of weight 4 on relays of its own.
    let backends = vec![vec![point(1, 1)], vec![point(2, 1)], vec![point(3, 3), point(4, 4)]];
    let flow = flow(31);
    let mut candidates = candidates(&backends, &flow);
    (candidates[1].weight, candidates[2].weight) = (3, 4);
    let sums = over_time(&candidates, HOURLY, 1, 3, 3600);
    assert!(sums[0] * 2 < sums[1] && sums[0] * 6 > sums[1], "about one to three: {sums:?}");
}

#[test]
fn held_points_stay_when_relays_are_short_too() {
    let backends = crowd(9, 4, 5);
    let flow = flow(31);
    let candidates = candidates(&backends, &flow);
    let mode = Mode::Ordinary { points: 8, rotate: Rotate::Hourly };
    let before = at(&candidates, mode, 1, 0, &[], 1, false);
    for hour in 0..48 {
        let later = at(&candidates, mode, 1, hour * 3600, &[before.sets[0].keys()], 1, true);
        assert_eq!(later.digest(), before.digest(), "hour {hour}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn nobody_starves(
        world in world(), (mode, sets) in modes(), secret: u8,
        weights in proptest::collection::vec(1..6_u32, 9),
    ) {
        let (backends, flow) = (build(&world), flow(31));
        let mut candidates = candidates(&backends, &flow);
        candidates.iter_mut().zip(weights).for_each(|(candidate, weight)| candidate.weight = weight);
        // Daily rotation goes on with the periods; `rotate` looks at it.
        let (mode, step) = match mode {
            Mode::Ordinary { points, .. } => (Mode::Ordinary { points, rotate: Rotate::Hourly }, 3600),
            Mode::Wide { .. } | Mode::Distinct { .. } => (mode, 300),
        };
        let sums = over_time(&candidates, mode, sets, secret, step);
        for (own, sum) in backends.iter().zip(&sums) {
            prop_assert_eq!(own.is_empty(), *sum == 0, "{:?} in {:?}", sums, mode);
        }
    }

    #[test]
    fn as_many_are_served_as_relays_allow(world in world(), sets in 1..4_usize, secret: u8) {
        let (backends, flow) = (build(&world), flow(31));
        let merged = at(&candidates(&backends, &flow), Mode::Distinct { points: 20 }, sets, 0, &[], secret, false);
        for set in &merged.sets {
            // No free place beside a relay that nobody uses.
            let used: BTreeSet<_> = set.points.iter().map(|(_own, point)| relay(point)).collect();
            let all: BTreeSet<_> = backends.iter().flatten().map(relay).collect();
            let due = merged.sets.iter().map(|set| set.points.len()).max().unwrap_or_default();
            prop_assert!(set.points.len() == due || used.len() == all.len());
        }
    }
}
