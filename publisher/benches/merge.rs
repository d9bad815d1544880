//! CPU time of choosing what the descriptors list, from 10 to 3,000 backends, in each mode: it must grow with the points.
//!
//! `cargo bench -p onionkeep-publisher --bench merge`. Each figure is the least of many rounds. The choice is the one after a
//! backend has changed its points, which is the usual reason to choose.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints its result and may panic"
)]

use anyhow::{Result, ensure};
use ed25519_dalek::SigningKey;
use onionkeep_common::{IntroAuthKey, IntroEncKey, UnixTime};
use onionkeep_publisher::descriptor::{FlowControl, IntroPoint};
use onionkeep_publisher::merge::{Candidate, Choice, Mode, Rotate, Situation, choose};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Numbers of backends, each with three points.
const BACKENDS: [usize; 6] = [10, 30, 100, 300, 1000, 3000];
/// Rounds of each measurement.
const ROUNDS: usize = 40;
/// Ten times the backends may cost at most so many times the time, above 300 backends.
const GOAL: f64 = 15.0;

fn main() -> Result<()> {
    let flow = FlowControl { versions: "1-2".to_owned(), sendme_inc: 31 };
    let points: Vec<Vec<IntroPoint>> = (0..BACKENDS[5]).map(three).collect::<Result<_>>()?;
    let modes = [
        (Mode::Ordinary { points: 3, rotate: Rotate::Daily }, 1),
        (Mode::Wide { points: 20 }, 1),
        (Mode::Distinct { points: 20 }, 6),
    ];
    println!("microseconds to choose what all copies of one descriptor list; three points for each backend");
    println!("{:>9} {:>9} {:>9} {:>9} {:>9}", "backends", "points", "ordinary", "wide", "distinct");
    let mut table = Vec::new();
    for count in BACKENDS {
        let candidates: Vec<_> =
            points[..count].iter().enumerate().map(|(at, own)| candidate(at, own, &flow)).collect();
        let times = modes.map(|(mode, sets)| least(&candidates, mode, sets));
        let [ordinary, wide, distinct] = times.map(|time| time.as_micros());
        println!("{count:>9} {:>9} {ordinary:>9} {wide:>9} {distinct:>9}", count * 3);
        table.push(times);
    }
    for (mode, name) in ["ordinary", "wide", "distinct"].into_iter().enumerate() {
        let ratio = table[5][mode].as_secs_f64() / table[3][mode].as_secs_f64();
        println!("{name}: 3000 against 300 backends: {ratio:.1} times the time (goal {GOAL})");
        ensure!(ratio <= GOAL, "{name} does not grow with the points: {ratio:.1}");
    }
    Ok(())
}

/// The least time of many rounds.
fn least(candidates: &[Candidate<'_>], mode: Mode, sets: usize) -> Duration {
    let avoid = BTreeSet::new();
    let mut situation = Situation {
        mode,
        sets,
        now: UnixTime(1_800_000_000),
        seed: &[1; 32],
        secret: &[2; 32],
        listed: &[],
        avoid: &avoid,
        hold: false,
    };
    let listed: Vec<_> = choose(candidates, &situation).sets.iter().map(Choice::keys).collect();
    situation.listed = &listed;
    situation.hold = matches!(mode, Mode::Ordinary { .. });
    let mut least = Duration::MAX;
    for _round in 0..ROUNDS {
        let start = Instant::now();
        black_box(choose(black_box(candidates), &situation).digest());
        least = least.min(start.elapsed());
    }
    least
}

/// A backend of the merge.
fn candidate<'a>(backend: usize, points: &'a [IntroPoint], flow: &'a FlowControl) -> Candidate<'a> {
    let number = u64::try_from(backend).unwrap_or_default();
    Candidate {
        backend,
        weight: u32::try_from(backend % 4).unwrap_or_default() + 1,
        place: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        points,
        flow_control: Some(flow),
        single_onion: false,
        pow: false,
        ages: None,
    }
}

/// A backend's three points, on three relays of 7,000.
fn three(backend: usize) -> Result<Vec<IntroPoint>> {
    let point = |own: usize| {
        let number = u64::try_from(backend * 3 + own)?;
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let auth = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let enc = x25519_dalek::x25519(seed, x25519_dalek::X25519_BASEPOINT_BYTES);
        let relay = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 7000;
        let links = [&[2, 0, 6, 192, 0, 2, 1, 1, 2, 2, 20][..], &[9; 12], &relay.to_be_bytes()].concat();
        Ok(IntroPoint::new(links, seed, IntroAuthKey::from_bytes(auth)?, IntroEncKey(enc))?)
    };
    (0..3).map(point).collect()
}
