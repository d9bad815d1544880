//! Backends that list keys of others, or one key twice, as only somebody who means harm does.

use super::*;

/// The modes.
const MODES: [Mode; 4] =
    [wide(20), HOURLY, Mode::Ordinary { points: 3, rotate: Rotate::Daily }, Mode::Distinct { points: 20 }];

/// Whether any set lists a key twice.
fn lists_twice(merged: &Merged) -> bool {
    merged.sets.iter().any(|set| set.keys().len() != set.keys().iter().collect::<BTreeSet<_>>().len())
}

#[test]
fn no_key_is_listed_twice_whatever_a_backend_lists() {
    let flow = flow(31);
    let honest = || vec![point(0, 0), point(1, 1), point(2, 2)];
    for (what, bad) in [
        ("its own key twice", vec![point(50, 50), point(50, 51), point(50, 52)]),
        ("another's keys on other relays", vec![point(0, 50), point(1, 51), point(2, 52)]),
        ("another's keys on the same relays", honest()),
        ("some of another's keys", vec![point(60, 60), point(1, 51), point(61, 61)]),
    ] {
        let backends = vec![honest(), bad];
        let candidates = candidates(&backends, &flow);
        for mode in MODES {
            for secret in 1..40 {
                let listed =
                    [backends[0].iter().chain(&backends[1]).map(|point| *point.auth_key()).collect()];
                let merged = at(&candidates, mode, 6, u64::from(secret) * 500, &listed, secret, false);
                assert!(!merged.is_empty() && !lists_twice(&merged), "{what} {mode:?} {secret}");
                let both = what.contains("another");
                assert_eq!(merged.shared, if both { vec![0, 1] } else { vec![1] }, "{what}");
            }
        }
    }
}

#[test]
fn whoever_copies_a_backends_keys_gets_half_of_them_and_can_choose_none() {
    let flow = flow(31);
    let backends = vec![
        vec![point(0, 0), point(1, 1), point(2, 2)],
        vec![point(0, 50), point(1, 51), point(2, 52)],
        vec![point(3, 3), point(4, 4), point(5, 5)],
    ];
    let candidates = candidates(&backends, &flow);
    let shared = apart::shared(&candidates);
    assert_eq!(shared.len(), 3);
    let mut copied = 0;
    for secret in 0..=255 {
        let own = apart::apart(&candidates, &shared, &[secret; 32]);
        assert_eq!(own[0].len() + own[1].len(), 3, "each key counts for one of them");
        assert_eq!(own[2], backends[2], "whoever shares nothing loses nothing");
        copied += own[1].len();
    }
    assert!((300..470).contains(&copied), "{copied} of 768");
}

#[test]
fn who_asks_for_proof_of_work_takes_no_key_from_others() {
    let flow = flow(31);
    let backends = vec![vec![point(0, 0), point(1, 1)], vec![point(0, 50), point(1, 51)]];
    let mut candidates = candidates(&backends, &flow);
    candidates[1].pow = true;
    for secret in 0..50 {
        let merged = at(&candidates, wide(20), 1, 0, &[], secret, false);
        assert_eq!((merged.count(0), merged.shared.as_slice()), (2, &[][..]));
    }
}
