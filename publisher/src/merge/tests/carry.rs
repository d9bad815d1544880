//! What stays listed over the start of a period, what is replaced when, and what happens where clients fetch no more.

use super::super::*;
use super::{HOURLY, point};
use crate::backend::Backend;
use crate::consensus::Lives;
use crate::descriptor::{Decoded, Lengths};
use onionkeep_common::{BlindedId, DescSigningKey, ExpirationHours, PeriodLength, PeriodNumber, TimePeriod};

/// Seconds of an hour.
const HOUR: u64 = 3600;
/// The shared random value of period 1 is known.
const BEGIN: UnixTime = UnixTime(20_000 * 24 * HOUR);

/// Three backends, whose youngest points came in one hour after the other.
struct World {
    backends: Vec<Backend>,
    memo: Memo,
    merged: Merged,
}

fn hours(hours: u64) -> UnixTime {
    BEGIN.plus(hours * HOUR)
}

/// A descriptor of a period with points of these numbers, uploaded at an hour.
fn descriptor(number: u64, uploaded: u64, keys: &[u8]) -> Decoded {
    let base = curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED.to_bytes();
    Decoded {
        revision: (uploaded - (number - 1) * 24) * HOUR * 65_537 / 2,
        lifetime_minutes: 180,
        signing_key: DescSigningKey::from_bytes(base).unwrap(),
        cert_expires: ExpirationHours::of_desc_signing_cert(hours(uploaded)),
        blinded: BlindedId::from_bytes(base).unwrap(),
        auth_client_lines: 16,
        client_authorization: false,
        flow_control: None,
        single_onion: false,
        pow: Vec::new(),
        intro_points: keys.iter().map(|key| point(*key, *key)).collect(),
        skipped_points: Vec::new(),
        unknown_lines: Vec::new(),
        sign_bits: 0,
        lengths: Lengths { text: 0, superencrypted: 0, middle_padded: 0, middle: 0, encrypted: 0, inner: 0 },
    }
}

impl World {
    /// The first of them was not there an hour before `first`.
    fn new(first: u64) -> Self {
        let address = crate::config::tests::B.parse().unwrap();
        let backend = |number| Backend::new(format!("b{number}"), address, 1);
        let mut world = Self {
            backends: (0..3).map(backend).collect(),
            memo: Memo::default(),
            merged: Merged::default(),
        };
        for hour in std::iter::once(1).chain(first - 1..first + 3) {
            world.look(hour, 1, |own| vec![own, own + 1, own + if own / 10 + first <= hour { 3 } else { 2 }]);
        }
        world.merged = world.choose(hours(first + 3), Stage::Coming, true, HOURLY);
        world
    }

    /// The same after noon: other points are shown.
    fn after_noon(first: u64) -> Self {
        let mut world = Self::new(first);
        world.look(36, 1, |own| vec![own, own + 1, own + 3]);
        world.look(37, 2, |own| vec![own + 6, own + 7, own + 8]);
        world
    }

    /// A look at all backends; what number `n` shows is told by `10 * n`.
    fn look(&mut self, hour: u64, number: u64, keys: impl Fn(u64) -> Vec<u64>) {
        let period = TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY };
        for (own, backend) in (0_u64..).zip(&mut self.backends) {
            let keys: Vec<_> = keys(own * 10).into_iter().map(|key| u8::try_from(key).unwrap()).collect();
            let uploaded = if number == 2 { 35 } else { hour };
            backend.observe(
                hours(hour),
                period,
                hours((number - 1) * 24),
                descriptor(number, uploaded, &keys),
            );
        }
    }

    fn choose(&mut self, now: UnixTime, stage: Stage, uploads: bool, mode: Mode) -> Merged {
        let candidates: Vec<_> = self.backends.iter().enumerate().map(candidate).collect();
        let (avoid, secret) = (BTreeSet::new(), [3; 32]);
        let listed: Vec<_> = self.merged.sets.iter().map(Choice::keys).collect();
        let situation = Situation {
            mode,
            sets: 1,
            now,
            seed: &secret,
            secret: &secret,
            listed: &listed,
            avoid: &avoid,
            hold: !uploads,
        };
        let turn = Turn { stage, uploads, so_far: &self.merged, lives: Lives::PUBLIC };
        renew(&mut self.memo, &turn, &candidates, &situation)
    }

    /// The numbers of what is listed.
    fn listed(&self) -> Vec<u8> {
        let number = |key: &IntroAuthKey| (0..60).find(|own| point(*own, *own).auth_key() == key).unwrap();
        let mut listed: Vec<_> = self.merged.keys().iter().map(number).collect();
        listed.sort_unstable();
        listed
    }
}

/// A backend as the merge sees it.
fn candidate((at, backend): (usize, &Backend)) -> Candidate<'_> {
    Candidate {
        backend: at,
        weight: 1,
        place: u64::try_from(at).unwrap(),
        points: &backend.seen().unwrap().points,
        flow_control: None,
        single_onion: false,
        pow: false,
        ages: Some(backend.ages()),
    }
}

#[test]
fn the_youngest_point_of_each_backend_is_taken() {
    assert_eq!(World::new(21).listed(), [3, 13, 23]);
}

#[test]
fn at_the_start_of_a_period_nothing_changes() {
    let mut world = World::after_noon(21);
    world.merged = world.choose(hours(37), Stage::Shown, false, HOURLY);
    assert_eq!(world.listed(), [3, 13, 23]);
    // The first was not there at 20 hours: relied on for 18 hours from then, less a quarter.
    assert_eq!(world.memo.next(), Some(hours(38).minus(900)));
    assert!(!world.memo.is_due(hours(37)) && world.memo.is_due(hours(38)));
    world.merged = world.choose(hours(38), Stage::Shown, false, HOURLY);
    let kept = world.listed();
    assert!(!kept.contains(&3) && kept.contains(&13) && kept.contains(&23), "{kept:?}");
}

#[test]
fn an_upload_replaces_what_would_not_last_until_the_next_one() {
    // Relied on until 37:45, 38:45 and 39:45; the next upload comes at 39 hours at the latest.
    let mut world = World::after_noon(21);
    world.merged = world.choose(hours(37), Stage::Shown, true, HOURLY);
    let kept = world.listed();
    assert!(!kept.contains(&3) && !kept.contains(&13) && kept.contains(&23), "{kept:?}");
    assert_eq!(world.memo.next(), Some(hours(40).minus(900)));
}

#[test]
fn an_upload_leaves_one_point_at_least_that_is_seen() {
    // All would last until the next upload.
    let mut world = World::after_noon(24);
    world.merged = world.choose(hours(37), Stage::Shown, true, HOURLY);
    let kept = world.listed();
    assert!(!kept.contains(&3) && kept.contains(&13) && kept.contains(&23), "{kept:?}");
    world.merged = world.choose(hours(38), Stage::Shown, true, HOURLY);
    assert_eq!(world.listed(), kept, "one is seen by now");
}

#[test]
fn modes_that_show_more_points_change_at_once_as_before() {
    let mut world = World::after_noon(21);
    for mode in [Mode::Wide { points: 3 }, Mode::Distinct { points: 3 }] {
        let merged = world.choose(hours(37), Stage::Shown, false, mode);
        assert!(merged.keys().is_disjoint(&world.merged.keys()), "{mode:?}");
    }
}

#[test]
fn what_clients_fetch_no_more_changes_one_by_one_when_points_would_be_over() {
    let mut world = World::after_noon(21);
    let mut changes = Vec::new();
    for minute in 0..=11 * 60 {
        let now = hours(37).plus(minute * 60);
        let before = world.merged.keys();
        world.merged = world.choose(now, Stage::Past, false, HOURLY);
        let gone = before.difference(&world.merged.keys()).count();
        assert!(gone <= 1 && world.merged.keys().len() == 3);
        changes.extend(std::iter::repeat_n(now.since(BEGIN) / HOUR, gone));
    }
    // Made at 20, 21 and 22 hours: each goes 18 to 24 hours later.
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(changes.iter().all(|hour| (38..46).contains(hour)), "{changes:?}");
    assert!(world.listed().iter().all(|key| key % 10 >= 6), "points that are shown: {:?}", world.listed());
}

#[test]
fn without_its_backend_nothing_is_kept() {
    let mut world = World::after_noon(21);
    world.backends.truncate(2);
    for stage in [Stage::Shown, Stage::Past] {
        let merged = world.choose(hours(37), stage, false, HOURLY);
        assert_eq!(merged.count(2), 0, "{stage:?}");
        assert_eq!(merged.keys().len(), 3, "{stage:?}");
    }
}
