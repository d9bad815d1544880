//! Tests of the choice, most of them properties.

use super::*;
use onionkeep_common::IntroEncKey;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A point with key number `key` on relay number `relay`.
pub(crate) fn point(key: u8, relay: u8) -> IntroPoint {
    let mut links = vec![2, 0, 6, 127, 0, 0, 1, 0, 80, 2, 20];
    links.extend([relay; 20]);
    let scalar = curve25519_dalek::Scalar::from(u64::from(key) + 2);
    let auth = (curve25519_dalek::constants::ED25519_BASEPOINT_POINT * scalar).compress().to_bytes();
    let enc = curve25519_dalek::constants::X25519_BASEPOINT.to_bytes();
    IntroPoint::new(links, [key; 32], IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
}

/// Flow-control values.
fn flow(sendme_inc: u8) -> FlowControl {
    FlowControl { versions: "1-2".to_owned(), sendme_inc }
}

/// Backends with these points, as candidates.
fn candidates<'a>(backends: &'a [Vec<IntroPoint>], flow: &'a FlowControl) -> Vec<Candidate<'a>> {
    let candidate = |(backend, points): (usize, &'a Vec<IntroPoint>)| Candidate {
        backend,
        points,
        flow_control: Some(flow),
        single_onion: false,
        pow: false,
    };
    backends.iter().enumerate().map(candidate).collect()
}

fn keys(choice: &Choice) -> Vec<IntroAuthKey> {
    choice.points.iter().map(|(_backend, point)| *point.auth_key()).collect()
}

/// So many backends with so many points each, every point on a relay of its own.
fn apart(backends: u8, each: u8) -> Vec<Vec<IntroPoint>> {
    (0..backends).map(|b| (0..each).map(|p| point(b * each + p, b * each + p)).collect()).collect()
}

#[test]
fn all_points_are_listed_while_there_is_room() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let choice = choose(&candidates(&backends, &flow), &[], 20, &[1; 32]);
    assert_eq!(choice.points.len(), 9);
    assert_eq!(choice.flow_control, Some(flow));
    assert!(!choice.single_onion && choice.pow.is_empty());
}

#[test]
fn eight_backends_share_twenty_places_fairly() {
    let (backends, flow) = (apart(8, 3), flow(31));
    let choice = choose(&candidates(&backends, &flow), &[], 20, &[1; 32]);
    assert_eq!(choice.points.len(), 20);
    let shares: Vec<_> = (0..8).map(|backend| choice.count(backend)).collect();
    assert!(shares.iter().all(|share| (2..=3).contains(share)), "{shares:?}");
}

#[test]
fn no_points_no_choice() {
    let flow = flow(31);
    assert!(choose(&[], &[], 20, &[1; 32]).points.is_empty());
    assert!(choose(&candidates(&[vec![]], &flow), &[], 20, &[1; 32]).points.is_empty());
    assert!(choose(&candidates(&apart(2, 3), &flow), &[], 0, &[1; 32]).points.is_empty());
}

#[test]
fn sixty_points_of_one_backend_do_not_crowd_out_the_others() {
    let mut backends = apart(1, 60);
    backends.extend([vec![point(100, 100)], vec![point(101, 101), point(102, 102)]]);
    let flow = flow(31);
    let choice = choose(&candidates(&backends, &flow), &[], 20, &[1; 32]);
    assert_eq!((choice.count(0), choice.count(1), choice.count(2)), (17, 1, 2));
}

#[test]
fn one_relay_is_listed_once_and_the_listed_point_wins() {
    let backends = vec![vec![point(1, 7)], vec![point(2, 7), point(3, 8)]];
    let flow = flow(31);
    for secret in 0..20 {
        let choice = choose(&candidates(&backends, &flow), &[*point(1, 7).auth_key()], 20, &[secret; 32]);
        assert_eq!(choice.points.len(), 2);
        assert!(keys(&choice).contains(point(1, 7).auth_key()));
        assert!(keys(&choice).contains(point(3, 8).auth_key()));
    }
}

#[test]
fn flow_control_is_listed_only_if_all_chosen_backends_agree() {
    let backends = apart(2, 1);
    let (one, other) = (flow(31), flow(32));
    let mut candidates = candidates(&backends, &one);
    candidates[1].flow_control = Some(&other);
    let mixed = choose(&candidates, &[], 20, &[1; 32]);
    assert!(mixed.mixed_flow_control && mixed.flow_control.is_none());
    candidates[1].flow_control = None;
    assert!(choose(&candidates, &[], 20, &[1; 32]).mixed_flow_control);
    candidates[0].flow_control = None;
    let none = choose(&candidates, &[], 20, &[1; 32]);
    assert!(!none.mixed_flow_control && none.flow_control.is_none());
    // A backend that gives no point has no say.
    candidates[0].flow_control = Some(&one);
    candidates[1].points = &[];
    assert_eq!(choose(&candidates, &[], 20, &[1; 32]).flow_control, Some(flow(31)));
}

#[test]
fn single_onion_is_listed_only_if_all_are() {
    let (backends, flow) = (apart(2, 1), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates[0].single_onion = true;
    let mixed = choose(&candidates, &[], 20, &[1; 32]);
    assert!(mixed.mixed_single_onion && !mixed.single_onion);
    candidates[1].single_onion = true;
    let all = choose(&candidates, &[], 20, &[1; 32]);
    assert!(!all.mixed_single_onion && all.single_onion);
}

#[test]
fn a_backend_with_proof_of_work_is_left_out_and_named() {
    let (backends, flow) = (apart(2, 2), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates[0].pow = true;
    let choice = choose(&candidates, &[], 20, &[1; 32]);
    assert_eq!((choice.pow.as_slice(), choice.count(0), choice.count(1)), ([0].as_slice(), 0, 2));
}

#[test]
fn digest_changes_with_anything_that_is_listed() {
    let (backends, flow) = (apart(2, 2), flow(31));
    let choice = choose(&candidates(&backends, &flow), &[], 20, &[1; 32]);
    let mut other = choice.clone();
    other.single_onion = true;
    assert_ne!(choice.digest(), other.digest());
    let mut other = choice.clone();
    other.flow_control = None;
    assert_ne!(choice.digest(), other.digest());
    let mut other = choice.clone();
    other.points.pop();
    assert_ne!(choice.digest(), other.digest());
    assert_eq!(choice.digest(), choice.clone().digest());
}

#[test]
fn a_new_backend_whose_relays_are_all_taken_gets_a_place() {
    let backends = vec![vec![point(1, 1), point(2, 2), point(3, 3)], vec![point(4, 1), point(5, 2)]];
    let flow = flow(31);
    let listed = [1, 2, 3].map(|number| *point(number, number).auth_key());
    let choice = choose(&candidates(&backends, &flow), &listed, 20, &[1; 32]);
    assert_eq!(choice.points.len(), 3);
    assert!((1..=2).contains(&choice.count(1)), "{:?}", choice.points);
    assert!(keys(&choice).contains(point(3, 3).auth_key()));
}

/// Backends with points of given relays; every point has a key of its own.
fn world() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(0..14_u8, 0..5), 0..9)
}

/// The points of a world.
fn build(world: &[Vec<u8>]) -> Vec<Vec<IntroPoint>> {
    let mut key = 0;
    let mut next = |relay: &u8| {
        key += 1;
        point(key, *relay)
    };
    world.iter().map(|relays| relays.iter().map(&mut next).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn choice_is_bounded_apart_and_made_of_live_points(world in world(), max in 0..21_usize, secret: u8) {
        let (backends, flow) = (build(&world), flow(31));
        let choice = choose(&candidates(&backends, &flow), &[], max, &[secret; 32]);
        prop_assert!(choice.points.len() <= max);
        for (at, (backend, chosen)) in choice.points.iter().enumerate() {
            prop_assert!(backends[*backend].contains(chosen));
            prop_assert!(choice.points[at + 1..].iter().all(|(_other, point)| relay(point) != relay(chosen)));
        }
    }

    #[test]
    fn nothing_usable_is_left_out_while_there_is_room(world in world(), secret: u8) {
        let (backends, flow) = (build(&world), flow(31));
        let choice = choose(&candidates(&backends, &flow), &[], 20, &[secret; 32]);
        if choice.points.len() < 20 {
            for left in backends.iter().flatten() {
                prop_assert!(choice.points.iter().any(|(_backend, point)| relay(point) == relay(left)));
            }
        }
    }

    #[test]
    fn shares_differ_by_one_unless_a_backend_has_no_more(each in 1..5_u8, count in 1..9_u8, max in 1..21_usize, secret: u8) {
        let (backends, flow) = (apart(count, each), flow(31));
        let choice = choose(&candidates(&backends, &flow), &[], max, &[secret; 32]);
        let mut shares = BTreeMap::new();
        for (backend, _point) in &choice.points {
            *shares.entry(*backend).or_insert(0_usize) += 1;
        }
        let most = shares.values().copied().max().unwrap_or_default();
        for backend in 0..usize::from(count) {
            let share = shares.get(&backend).copied().unwrap_or_default();
            prop_assert!(share + 1 >= most, "{shares:?}");
        }
    }

    #[test]
    fn no_backend_goes_without_while_it_could_have_a_place(world in world(), secret: u8) {
        // Checked against every way to give each backend one relay, by trying them all.
        fn most(world: &[Vec<u8>], used: &mut Vec<u8>) -> usize {
            let Some((first, rest)) = world.split_first() else { return 0 };
            let mut best = most(rest, used);
            for relay in first {
                if best <= rest.len() && !used.contains(relay) {
                    used.push(*relay);
                    best = best.max(1 + most(rest, used));
                    used.pop();
                }
            }
            best
        }
        let world: Vec<_> = world.into_iter().take(6).collect();
        let (backends, flow) = (build(&world), flow(31));
        let choice = choose(&candidates(&backends, &flow), &[], 20, &[secret; 32]);
        let served = (0..backends.len()).filter(|backend| choice.count(*backend) > 0).count();
        prop_assert_eq!(served, most(&world, &mut Vec::new()));
    }

    #[test]
    fn the_same_again_is_the_same_and_the_order_of_backends_does_not_matter(world in world(), max in 0..21_usize, secret: u8) {
        let (backends, flow) = (build(&world), flow(31));
        let mut candidates = candidates(&backends, &flow);
        let choice = choose(&candidates, &[], max, &[secret; 32]);
        let again = choose(&candidates, &keys(&choice), max, &[secret; 32]);
        prop_assert_eq!(keys(&again), keys(&choice));
        candidates.reverse();
        let turned = choose(&candidates, &keys(&choice), max, &[secret; 32]);
        prop_assert_eq!(turned.digest(), choice.digest());
    }

    #[test]
    fn a_lost_backend_moves_no_point_of_the_others(count in 2..7_u8, lost in 0..7_usize, secret: u8) {
        let (backends, flow) = (apart(count, 3), flow(31));
        let mut candidates = candidates(&backends, &flow);
        let before = choose(&candidates, &[], 20, &[secret; 32]);
        let lost = lost % candidates.len();
        candidates.remove(lost);
        let after = choose(&candidates, &keys(&before), 20, &[secret; 32]);
        for (backend, point) in &before.points {
            let stays = after.points.iter().any(|(_backend, other)| other == point);
            prop_assert_eq!(stays, *backend != lost);
        }
        prop_assert_eq!(after.points.len(), (usize::from(count) - 1) * 3);
    }
}
