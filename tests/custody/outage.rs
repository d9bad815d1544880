//! A token that hangs, goes away or takes the vault with it: whoever asks is answered in time, and the service comes back by itself.
//!
//! With `ONIONKEEP_CUSTODY_TIMES=100` the promised times are judged; without it, on a machine that may be busy, twice them.

use std::thread;
use std::time::{Duration, Instant};

use onionkeep_common::wire::Reply;

use crate::kit::{Kit, is_measured, times};

/// A client is answered within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// The service works again so soon after the token does.
const RETURN: Duration = Duration::from_secs(10);
/// How long outages last after the first client was answered, by turns; when nothing is measured, no longer.
const HELD: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_millis(2500), Duration::from_secs(5)];
/// Outages with one signer; more run with several at the same time.
const LANE: u64 = 20;
/// Different keys that are asked for of one onion.
const KEYS: u64 = 6;

/// How one outage went.
struct Outage {
    /// The longest that a client waited for its answer.
    answered: Duration,
    /// How long after the token's return there was a certificate.
    returned: Duration,
}

/// Has one outage happen and end.
fn outage(kit: &Kit, faults: &[&str], number: u64) -> Outage {
    let onion = usize::try_from(number / KEYS).unwrap();
    kit.faults(faults);
    let mut answered = Duration::ZERO;
    let held = if is_measured() { HELD[usize::try_from(number).unwrap() % HELD.len()] } else { HELD[0] };
    let start = Instant::now();
    let mut first = None;
    while first.is_none_or(|first: Instant| first.elapsed() < held) {
        let asked = Instant::now();
        let reply = kit.ask(onion, number);
        answered = answered.max(asked.elapsed());
        first.get_or_insert_with(Instant::now);
        assert!(matches!(reply, Reply::Away { .. }), "{faults:?} did not bite: {reply:?}");
        thread::sleep(Duration::from_millis(200));
    }
    kit.token().heal().unwrap();
    let returned = kit.serves_again(onion, number);
    println!(
        "{faults:?} for {:.1} s: answered within {:.2} s, back after {:.2} s",
        start.elapsed().saturating_sub(returned).as_secs_f64(),
        answered.as_secs_f64(),
        returned.as_secs_f64()
    );
    Outage { answered, returned }
}

/// Has outages happen one after the other, with the kinds of fault by turns, and judges them all.
fn outages(kinds: &[&[&str]], many: u64) {
    let lane = |first: u64| {
        let here = LANE.min(many - first);
        let mut kit = Kit::serving(usize::try_from(here.div_ceil(KEYS)).unwrap());
        let process = kit.signer.process().unwrap().id();
        let outages: Vec<_> = (0..here)
            .map(|number| outage(&kit, kinds[usize::try_from(first + number).unwrap() % kinds.len()], number))
            .collect();
        kit.signer.process().unwrap().must_run().unwrap();
        assert_eq!(kit.signer.process().unwrap().id(), process, "serve was restarted");
        assert_eq!(kit.token().tries_left().unwrap(), 3, "a try of the PIN was lost");
        kit.assert_one_login_a_process();
        outages
    };
    let all: Vec<Outage> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..many)
            .step_by(usize::try_from(LANE).unwrap())
            .map(|first| scope.spawn(move || lane(first)))
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    let slack = if is_measured() { 1 } else { 2 };
    let good = all.iter().filter(|one| one.answered <= slack * ANSWER && one.returned <= slack * RETURN);
    let longest = |of: fn(&Outage) -> Duration| all.iter().map(of).max().unwrap_or_default().as_secs_f64();
    let (good, answered, returned) = (good.count(), longest(|one| one.answered), longest(|one| one.returned));
    println!(
        "{good} of {} good; the longest answer {answered:.2} s, the longest return {returned:.2} s",
        all.len()
    );
    assert_eq!(good, all.len());
}

#[test]
fn a_hanging_token_is_answered_for_and_served_again() {
    outages(
        &[
            &["hang on C_Sign"],
            &["hang on C_SignInit"],
            &["hang on C_Sign at 2", "hang on C_OpenSession"],
            &["sessions-lost on C_SignInit at 1", "hang on C_OpenSession"],
            &["sessions-lost on C_SignInit at 1", "hang on C_Login"],
        ],
        times(5),
    );
}

#[test]
fn a_vanished_token_is_answered_for_and_served_again() {
    outages(
        &[
            &["removed"],
            &["error CKR_DEVICE_ERROR"],
            &["error CKR_GENERAL_ERROR on C_SignInit"],
            &["removed", "slow 100"],
            &["error CKR_TOKEN_NOT_PRESENT on C_GetTokenInfo", "sessions-lost on C_SignInit at 1"],
        ],
        times(5),
    );
}

#[test]
fn a_vault_that_the_token_takes_with_it_is_replaced() {
    outages(&[&["die on C_Sign"], &["die on C_SignInit at 1", "die on C_Login"], &["die"]], times(3));
}
