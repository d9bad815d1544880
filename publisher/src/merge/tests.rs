//! Tests of the choice; what holds for any backends is in `properties`, shares over a real ring are in `clients`.

use super::assign::relay;
use super::*;
use onionkeep_common::IntroEncKey;
use std::collections::BTreeMap;

mod carry;
mod clients;
mod properties;
mod room;
mod rotate;
mod shared;

/// As many points as C tor's default, evening out within hours.
const HOURLY: Mode = Mode::Ordinary { points: 3, rotate: Rotate::Hourly };

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

/// Backends with these points, as candidates of the same weight.
fn candidates<'a>(backends: &'a [Vec<IntroPoint>], flow: &'a FlowControl) -> Vec<Candidate<'a>> {
    let candidate = |(backend, points): (usize, &'a Vec<IntroPoint>)| Candidate {
        backend,
        weight: 1,
        place: u64::try_from(backend).unwrap(),
        points,
        flow_control: Some(flow),
        single_onion: false,
        pow: false,
        ages: None,
    };
    backends.iter().enumerate().map(candidate).collect()
}

fn keys(choice: &Choice) -> Vec<IntroAuthKey> {
    choice.keys()
}

/// One descriptor's choice in a mode, anew.
fn one(candidates: &[Candidate<'_>], listed: &[IntroAuthKey], mode: Mode, secret: u8) -> Choice {
    let merged = at(candidates, mode, 1, 0, &[listed.to_vec()], secret, false);
    merged.sets.into_iter().next().unwrap()
}

/// All sets in a mode at a time.
fn at(
    candidates: &[Candidate<'_>],
    mode: Mode,
    sets: usize,
    now: u64,
    listed: &[Vec<IntroAuthKey>],
    secret: u8,
    hold: bool,
) -> Merged {
    let (avoid, now) = (BTreeSet::new(), UnixTime(1_800_000_000 + now));
    let secret = [secret; 32];
    choose(
        candidates,
        &Situation { mode, sets, now, seed: &secret, secret: &secret, listed, avoid: &avoid, hold },
    )
}

/// Up to so many points.
const fn wide(points: usize) -> Mode {
    Mode::Wide { points }
}

/// So many backends with so many points each, every point on a relay of its own.
fn apart(backends: u8, each: u8) -> Vec<Vec<IntroPoint>> {
    (0..backends).map(|b| (0..each).map(|p| point(b * each + p, b * each + p)).collect()).collect()
}

/// How many places each backend has in a set.
fn counts(choice: &Choice, backends: usize) -> Vec<usize> {
    (0..backends).map(|backend| choice.count(backend)).collect()
}

#[test]
fn all_points_are_listed_while_there_is_room() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let choice = one(&candidates(&backends, &flow), &[], wide(20), 1);
    assert_eq!(choice.points.len(), 9);
    assert_eq!(choice.flow_control, Some(flow));
    assert!(!choice.single_onion);
}

#[test]
fn wide_lists_as_many_as_give_whole_shares() {
    for (count, places) in [(1, 3), (2, 6), (4, 12), (6, 18), (7, 14), (8, 16), (13, 13), (20, 20), (21, 20)]
    {
        let (backends, flow) = (apart(count, 3), flow(31));
        let merged = at(&candidates(&backends, &flow), wide(20), 1, 0, &[], 1, false);
        assert_eq!(merged.sets[0].points.len(), places, "{count} backends");
        assert_eq!(merged.next_step.is_some(), count > 20, "{count} backends");
    }
}

#[test]
fn ordinary_lists_its_number_whatever_the_backends() {
    for count in 1..9 {
        let (backends, flow) = (apart(count, 3), flow(31));
        let choice = one(&candidates(&backends, &flow), &[], HOURLY, 1);
        assert_eq!(choice.points.len(), 3, "{count} backends");
    }
    let (backends, flow) = (apart(1, 2), flow(31));
    assert_eq!(
        one(&candidates(&backends, &flow), &[], Mode::Ordinary { points: 8, rotate: Rotate::Hourly }, 1)
            .points
            .len(),
        2
    );
}

#[test]
fn weights_are_served_exactly_where_whole_shares_fit() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates[2].weight = 2;
    let choice = one(&candidates, &[], wide(20), 1);
    assert_eq!(counts(&choice, 3), [1, 1, 2]);
    candidates[2].weight = 1000;
    let choice = one(&candidates, &[], wide(20), 1);
    assert_eq!(choice.points.len(), 3, "more would give the light ones too much");
}

#[test]
fn no_points_no_choice() {
    let flow = flow(31);
    assert!(one(&[], &[], wide(20), 1).points.is_empty());
    assert!(one(&candidates(&[vec![]], &flow), &[], wide(20), 1).points.is_empty());
    assert!(one(&candidates(&apart(2, 3), &flow), &[], wide(0), 1).points.is_empty());
    assert!(at(&[], Mode::Distinct { points: 20 }, 6, 0, &[], 1, true).is_empty());
}

#[test]
fn sixty_points_of_one_backend_do_not_crowd_out_the_others() {
    let mut backends = apart(1, 60);
    backends.extend([vec![point(100, 100)], vec![point(101, 101), point(102, 102)]]);
    let flow = flow(31);
    assert_eq!(counts(&one(&candidates(&backends, &flow), &[], wide(20), 1), 3), [1, 1, 1]);
}

#[test]
fn one_relay_is_listed_once_and_the_listed_point_wins() {
    let backends = vec![vec![point(1, 7)], vec![point(2, 7), point(3, 8)]];
    let flow = flow(31);
    for secret in 0..20 {
        let choice = one(&candidates(&backends, &flow), &[*point(1, 7).auth_key()], wide(20), secret);
        assert_eq!(choice.points.len(), 2);
        assert!(keys(&choice).contains(point(1, 7).auth_key()));
        assert!(keys(&choice).contains(point(3, 8).auth_key()));
    }
}

#[test]
fn flow_control_is_listed_only_if_all_chosen_backends_agree() {
    let backends = apart(2, 1);
    let (own, other) = (flow(31), flow(32));
    let mut candidates = candidates(&backends, &own);
    candidates[1].flow_control = Some(&other);
    let mixed = one(&candidates, &[], wide(20), 1);
    assert!(mixed.mixed_flow_control && mixed.flow_control.is_none());
    candidates[1].flow_control = None;
    assert!(one(&candidates, &[], wide(20), 1).mixed_flow_control);
    candidates[0].flow_control = None;
    let none = one(&candidates, &[], wide(20), 1);
    assert!(!none.mixed_flow_control && none.flow_control.is_none());
    // A backend that gives no point has no say.
    candidates[0].flow_control = Some(&own);
    candidates[1].points = &[];
    assert_eq!(one(&candidates, &[], wide(20), 1).flow_control, Some(flow(31)));
}

#[test]
fn single_onion_is_listed_only_if_all_are() {
    let (backends, flow) = (apart(2, 1), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates[0].single_onion = true;
    let mixed = one(&candidates, &[], wide(20), 1);
    assert!(mixed.mixed_single_onion && !mixed.single_onion);
    candidates[1].single_onion = true;
    let all = one(&candidates, &[], wide(20), 1);
    assert!(!all.mixed_single_onion && all.single_onion);
}

#[test]
fn a_backend_with_proof_of_work_is_left_out_and_named() {
    let (backends, flow) = (apart(2, 2), flow(31));
    let mut candidates = candidates(&backends, &flow);
    candidates[0].pow = true;
    let merged = at(&candidates, wide(20), 1, 0, &[], 1, false);
    assert_eq!((merged.pow.as_slice(), merged.count(0), merged.count(1)), ([0].as_slice(), 0, 2));
}

#[test]
fn digest_changes_with_anything_that_is_listed() {
    let (backends, flow) = (apart(2, 2), flow(31));
    let merged = at(&candidates(&backends, &flow), wide(20), 1, 0, &[], 1, false);
    let changed = |change: fn(&mut Choice)| {
        let mut other = merged.clone();
        change(&mut other.sets[0]);
        other.digest()
    };
    assert_ne!(merged.digest(), changed(|choice| choice.single_onion = true));
    assert_ne!(merged.digest(), changed(|choice| choice.flow_control = None));
    assert_ne!(merged.digest(), changed(|choice| drop(choice.points.pop())));
    assert_eq!(merged.digest(), merged.clone().digest());
}

#[test]
fn a_new_backend_whose_relays_are_all_taken_gets_a_place() {
    let backends = vec![vec![point(1, 1), point(2, 2), point(3, 3)], vec![point(4, 1), point(5, 2)]];
    let flow = flow(31);
    let listed = [1, 2, 3].map(|number| *point(number, number).auth_key());
    let choice = one(&candidates(&backends, &flow), &listed, wide(20), 1);
    assert_eq!(choice.points.len(), 3);
    assert!((1..=2).contains(&choice.count(1)), "{:?}", choice.points);
    assert!(keys(&choice).contains(point(3, 3).auth_key()));
}

#[test]
fn distinct_spreads_each_backends_points_over_the_sets() {
    let (backends, flow) = (apart(24, 3), flow(31));
    let merged = at(&candidates(&backends, &flow), Mode::Distinct { points: 20 }, 6, 0, &[], 1, false);
    assert_eq!(merged.sets.len(), 6);
    assert_eq!(merged.next_step, None, "five places of 120 for each, at each moment");
    for backend in 0..24 {
        let places: usize = merged.sets.iter().map(|set| set.count(backend)).sum();
        assert_eq!((places, merged.count(backend)), (5, 3), "all its points are used");
        assert_eq!(merged.share(backend), 1_000_000 / 24);
    }
}

#[test]
fn the_other_descriptors_points_are_left_alone_where_others_are_left() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let candidates = candidates(&backends, &flow);
    let mode = HOURLY;
    let first = one(&candidates, &[], mode, 1);
    let avoid: BTreeSet<_> = keys(&first).into_iter().collect();
    let secret = [2; 32];
    let now = UnixTime(1_800_000_000);
    let situation = |avoid| Situation {
        mode,
        sets: 1,
        now,
        seed: &secret,
        secret: &secret,
        listed: &[],
        avoid,
        hold: false,
    };
    let second = choose(&candidates, &situation(&avoid));
    assert!(second.keys().is_disjoint(&avoid));
    let all: BTreeSet<_> = backends.iter().flatten().map(|point| *point.auth_key()).collect();
    assert_eq!(choose(&candidates, &situation(&all)).keys().len(), 3, "rather twice than none");
}

#[test]
fn held_points_are_only_replaced_when_they_are_dead() {
    let (mut backends, flow) = (apart(8, 3), flow(31));
    let mode = HOURLY;
    let before = at(&candidates(&backends, &flow), mode, 1, 0, &[], 1, false);
    let listed = [before.sets[0].keys()];
    for hour in 0..48 {
        let later = at(&candidates(&backends, &flow), mode, 1, hour * 3600, &listed, 1, true);
        assert_eq!(later.digest(), before.digest(), "hour {hour}");
    }
    // The backend of one listed point goes away, and with it that point alone.
    let (lost, _point) = before.sets[0].points[0].clone();
    backends[lost].clear();
    let after = at(&candidates(&backends, &flow), mode, 1, 3600, &listed, 1, true);
    let kept = after.keys().intersection(&before.keys()).count();
    assert_eq!((after.sets[0].points.len(), kept), (3, 2));
}

#[test]
fn what_nobody_fetches_any_more_goes_on_while_its_backends_live() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let merged = at(&candidates(&backends, &flow), HOURLY, 1, 0, &[], 1, false);
    assert_eq!(merged.kept(&[0, 1, 2]).unwrap().digest(), merged.digest());
    assert!(merged.kept(&[0, 2]).is_none(), "a backend of it is gone");
    assert!(Merged::default().kept(&[0, 1, 2]).is_none(), "nothing is listed");
}

#[test]
fn a_backend_that_is_due_a_place_gets_it_at_once() {
    let (backends, flow) = (apart(3, 3), flow(31));
    let candidates = candidates(&backends, &flow);
    let mode = HOURLY;
    let before = one(&candidates[..2], &[], mode, 1);
    let after = at(&candidates, mode, 1, 60, &[keys(&before)], 1, true);
    assert_eq!(counts(&after.sets[0], 3), [1, 1, 1]);
}

#[test]
fn ordinary_changes_one_point_or_two_with_each_upload_and_serves_all_in_a_day() {
    let (backends, flow) = (apart(8, 3), flow(31));
    let candidates = candidates(&backends, &flow);
    let (mut listed, mut served, mut changes) = (Vec::new(), BTreeMap::new(), Vec::new());
    for upload in 0..16 {
        let choice = one_at(&candidates, upload * 5400, &listed);
        for (backend, _point) in &choice.points {
            *served.entry(*backend).or_insert(0) += 1;
        }
        changes.push(keys(&choice).iter().filter(|key| !listed.contains(*key)).count());
        listed = keys(&choice);
    }
    let day: usize = changes[1..].iter().sum();
    assert!((8..=30).contains(&day), "about one an hour: {changes:?}");
    assert!(served.len() == 8 && served.values().all(|times| (4..=8).contains(times)), "{served:?}");
}

/// An ordinary descriptor's choice for a regular upload.
fn one_at(candidates: &[Candidate<'_>], now: u64, listed: &[IntroAuthKey]) -> Choice {
    let merged = at(candidates, HOURLY, 1, now, &[listed.to_vec()], 1, false);
    merged.sets.into_iter().next().unwrap()
}

#[test]
fn over_an_hour_each_of_300_backends_has_its_weight() {
    let (backends, flow) = (apart(150, 1), flow(31));
    let other: Vec<_> = (0..150).map(|number| vec![other_point(number)]).collect();
    let all: Vec<_> = backends.into_iter().chain(other).collect();
    let mut candidates = candidates(&all, &flow);
    for candidate in &mut candidates {
        candidate.weight = u32::try_from(candidate.backend % 3).unwrap() + 1;
    }
    let mode = Mode::Distinct { points: 20 };
    let (mut shares, mut steps, mut now) = (vec![0; 300], 0, 0);
    let mut start = at(&candidates, mode, 6, 0, &[], 1, false).next_step.unwrap().0;
    let first = start;
    while start < first + 3600 {
        now = start - 1_800_000_000;
        let merged = at(&candidates, mode, 6, now, &[], 1, false);
        let next = merged.next_step.unwrap().0;
        for (backend, share) in shares.iter_mut().enumerate() {
            *share += merged.sets.iter().map(|set| set.count(backend)).sum::<usize>();
        }
        (steps, start) = (steps + 1, next);
    }
    assert_eq!(steps, 12, "every five minutes, {now}");
    for (candidate, share) in candidates.iter().zip(shares) {
        // All places of an hour, in proportion; a step more or less at each end of the backend's sector.
        let due = 12.0 * 120.0 * f64::from(candidate.weight) / 600.0;
        let off = f64::from(u32::try_from(share).unwrap()) - due;
        assert!(off.abs() < 2.0, "weight {}: {share} of {due}", candidate.weight);
    }
}

/// A point on a relay beyond the first 256.
fn other_point(number: u8) -> IntroPoint {
    let mut links = vec![2, 0, 6, 127, 0, 0, 1, 0, 80, 2, 20];
    links.extend([number; 19]);
    links.push(!number);
    let scalar = curve25519_dalek::Scalar::from(u64::from(number) + 1000);
    let auth = (curve25519_dalek::constants::ED25519_BASEPOINT_POINT * scalar).compress().to_bytes();
    let enc = curve25519_dalek::constants::X25519_BASEPOINT.to_bytes();
    IntroPoint::new(links, [9; 32], IntroAuthKey::from_bytes(auth).unwrap(), IntroEncKey(enc)).unwrap()
}
