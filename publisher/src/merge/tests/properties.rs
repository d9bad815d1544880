//! What the choice promises for any backends.

use super::*;
use proptest::prelude::*;

/// Backends with points of given relays; every point has a key of its own.
pub(super) fn world() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(0..14_u8, 0..5), 0..9)
}

/// The points of a world.
pub(super) fn build(world: &[Vec<u8>]) -> Vec<Vec<IntroPoint>> {
    let mut key = 0;
    let mut next = |relay: &u8| {
        key += 1;
        point(key, *relay)
    };
    world.iter().map(|relays| relays.iter().map(&mut next).collect()).collect()
}

/// Any mode with the number of its sets.
pub(super) fn modes() -> impl Strategy<Value = (Mode, usize)> {
    prop_oneof![
        (3..9_usize, any::<bool>()).prop_map(|(points, daily)| {
            let rotate = if daily { Rotate::Daily } else { Rotate::Hourly };
            (Mode::Ordinary { points, rotate }, 1)
        }),
        (1..21_usize).prop_map(|points| (Mode::Wide { points }, 1)),
        (1..21_usize, 1..7_usize).prop_map(|(points, sets)| (Mode::Distinct { points }, sets)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn choice_is_bounded_apart_and_made_of_live_points(
        world in world(), (mode, sets) in modes(), secret: u8, now in 0..100_000_u64, hold: bool,
        weights in proptest::collection::vec(1..1001_u32, 9),
    ) {
        let (backends, flow) = (build(&world), flow(31));
        let mut candidates = candidates(&backends, &flow);
        candidates.iter_mut().zip(weights).for_each(|(candidate, weight)| candidate.weight = weight);
        let merged = at(&candidates, mode, sets, now, &[], secret, hold);
        prop_assert_eq!(merged.sets.len(), sets);
        for choice in &merged.sets {
            prop_assert!(choice.points.len() <= mode.points());
            let least = backends.iter().flatten().map(relay).collect::<BTreeSet<_>>().len();
            prop_assert!(choice.points.len() >= least.min(mode.points()).min(1), "never empty for nothing");
            for (at, (backend, chosen)) in choice.points.iter().enumerate() {
                prop_assert!(backends[*backend].contains(chosen));
                prop_assert!(choice.points[at + 1..].iter().all(|(_other, point)| relay(point) != relay(chosen)));
            }
        }
    }

    #[test]
    fn places_are_the_share_rounded_up_or_down(
        count in 1..30_u8, (mode, sets) in modes(), secret: u8, now in 0..100_000_u64,
        weights in proptest::collection::vec(1..6_u32, 30),
    ) {
        let (backends, flow) = (apart(count, 3), flow(31));
        let mut candidates = candidates(&backends, &flow);
        candidates.iter_mut().zip(weights).for_each(|(candidate, weight)| candidate.weight = weight);
        let total: u32 = candidates.iter().map(|candidate| candidate.weight).sum();
        for choice in at(&candidates, mode, sets, now, &[], secret, false).sets {
            let places = u32::try_from(choice.points.len()).unwrap();
            for candidate in &candidates {
                let own = u32::try_from(choice.count(candidate.backend)).unwrap();
                let due = places * candidate.weight;
                prop_assert!(own * total < due + total && due < (own + 1) * total, "{own} of {places}, {candidate:?}");
            }
        }
    }

    #[test]
    fn the_same_again_is_the_same_and_the_order_of_backends_does_not_matter(
        world in world(), (mode, sets) in modes(), secret: u8, hold: bool,
    ) {
        let (backends, flow) = (build(&world), flow(31));
        let mut candidates = candidates(&backends, &flow);
        let merged = at(&candidates, mode, sets, 0, &[], secret, false);
        let listed: Vec<_> = merged.sets.iter().map(Choice::keys).collect();
        let again = at(&candidates, mode, sets, 0, &listed, secret, hold);
        prop_assert_eq!(again.digest(), merged.digest());
        candidates.reverse();
        let turned = at(&candidates, mode, sets, 0, &listed, secret, false);
        prop_assert_eq!(turned.digest(), merged.digest());
    }

    #[test]
    fn a_lost_backend_moves_no_point_of_the_others(count in 2..7_u8, lost in 0..7_usize, secret: u8) {
        let (backends, flow) = (apart(count, 3), flow(31));
        let mut candidates = candidates(&backends, &flow);
        let before = one(&candidates, &[], wide(20), secret);
        let lost = lost % candidates.len();
        candidates.remove(lost);
        let after = one(&candidates, &keys(&before), wide(20), secret);
        for (backend, point) in &before.points {
            let stays = after.points.iter().any(|(_backend, other)| other == point);
            prop_assert_eq!(stays, *backend != lost);
        }
        prop_assert_eq!(after.points.len(), (usize::from(count) - 1) * 3);
    }
}
