//! Upload logs over days, on injected time: C tor's documented behaviour beside our schedule, and Onionbalance's.
//!
//! What takes hours cannot be seen on a network of minutes. So the pure schedule runs here through days of consensuses,
//! relays that come and go and introduction points that age, and a model of C tor through the same; the classifier gets
//! what the HSDirs of one descriptor see in its two days. The model of C tor is the one that the project's notes read
//! from its source: 60 to 120 minutes between uploads, and at once when a point or the set of HSDirs changes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at anything unexpected")]

mod backends;
mod frontend;
mod model;

use onionkeep_tests::look::judge::{Sample, tell_apart};

use backends::{BACKENDS_MOST, Fate};
use frontend::{Case, Frontend, Way};
use model::{DAY, Kind, Seeded, World, uploads};

/// Services of each kind: enough for an interval of some hundredths.
const SERVICES: usize = 120;
/// Enough where the difference is great.
const FEW: usize = 50;
/// Services over which each kind of backends is tried.
const TRIED: u64 = 12;
/// Seconds of an hour.
const HOUR: u64 = 3600;

/// What the HSDirs of one descriptor see, for each descriptor of each service.
fn samples(kind: Kind) -> Vec<Sample> {
    samples_of(kind, SERVICES)
}

/// The same for so many services.
fn samples_of(kind: Kind, services: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    for service in 0..services {
        for (begin, times) in uploads(kind, u64::try_from(service).unwrap() + 1) {
            samples.push(sample(&format!("{kind:?} {service}"), begin, &times));
        }
    }
    samples
}

/// One descriptor's log as numbers: `begin` is when its first HSDirs became responsible.
fn sample(service: &str, begin: u64, times: &[u64]) -> Sample {
    let number = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let at = |part: usize| gaps.get(gaps.len() * part / 10).copied().unwrap_or_default();
    let sum: u64 = gaps.iter().sum();
    let hour_after = |hour: u64| {
        let from = begin + hour * HOUR;
        number(u64::try_from(times.iter().filter(|at| (from..from + HOUR).contains(at)).count()).unwrap())
    };
    let features = vec![
        ("count", number(u64::try_from(times.len()).unwrap())),
        ("first", number(times.first().map_or(0, |at| at - begin))),
        ("shortest", number(at(0))),
        ("tenth", number(at(1))),
        ("middle", number(at(5))),
        ("ninth", number(at(9))),
        ("longest", number(gaps.last().copied().unwrap_or_default())),
        ("mean", number(sum / u64::try_from(gaps.len().max(1)).unwrap())),
        ("early", number(u64::try_from(gaps.iter().filter(|gap| **gap < HOUR).count()).unwrap())),
        ("hour-12", hour_after(12)),
        ("hour-36", hour_after(36)),
    ];
    Sample { block: service.to_owned(), features }
}

#[test]
fn our_schedule_is_c_tors() {
    let verdict = tell_apart(&samples(Kind::CTor), &samples(Kind::Ours), 7).unwrap();
    println!(
        "upload times over days, C tor against our schedule with points that live as its own: {verdict}"
    );
    assert!(verdict.auc <= 0.55, "{verdict}");
}

/// Rows 17 and 23: all that decides what is listed is in the loop, over backends whose points live as C tor's do.
#[test]
fn a_frontends_upload_times_are_c_tors() {
    let verdict = tell_apart(&samples(Kind::CTor), &samples(Kind::Frontend), 7).unwrap();
    println!("upload times over days, C tor against a frontend over backends: {verdict}");
    assert!(verdict.interval.0 <= 0.55, "{verdict}");
}

#[test]
fn points_that_change_at_once_at_the_start_of_a_period_are_heard() {
    let verdict = tell_apart(&samples_of(Kind::CTor, FEW), &samples_of(Kind::AtOnce, FEW), 7).unwrap();
    println!("upload times over days, C tor against a frontend whose points change at once: {verdict}");
    assert!(verdict.auc > 0.7, "{verdict}");
}

/// So many services of a kind of backends: seconds in which clients were sent to dead points, in all and too late.
fn dead(fate: Fate, failures: u64, way: Way) -> (u64, u64) {
    let (mut all, mut late) = (0, 0);
    for seed in 1..=TRIED {
        let world = World::new(&mut Seeded::new(seed));
        let backends = 2 + usize::try_from(seed % 3).unwrap();
        let case = Case { backends, fate, failures, way };
        let (own, too_late) = Frontend::run(&world, case, seed, &mut Seeded::new(seed)).dead();
        (all, late) = (all + own, late + too_late);
    }
    (all, late)
}

#[test]
fn no_client_is_sent_to_a_dead_point_once_a_fetch_could_show_it() {
    for (restarts, busy, failures) in
        [(0, false, 0), (6 * HOUR, false, 0), (DAY, false, 3), (0, true, 10), (2 * DAY, true, 5)]
    {
        let fate = Fate { restarts, busy };
        let (all, late) = dead(fate, failures, Way::Real);
        println!(
            "{fate:?}, one fetch in {failures} fails: {all} s to dead points, {late} s of them too late"
        );
        assert_eq!(late, 0, "{fate:?}");
    }
}

/// Eight backends, three points in each descriptor: some of them stand by, and are fetched less often.
#[test]
fn backends_that_stand_by_send_hardly_more_clients_to_dead_points_when_they_are_called_up() {
    let run = |way| {
        let (mut all, mut late, mut fetches) = (0, 0, 0);
        // With twice as many backends each takes its time.
        for seed in 1..=TRIED / 3 {
            let world = World::new(&mut Seeded::new(seed));
            let fate = Fate { restarts: DAY, busy: false };
            let case = Case { backends: BACKENDS_MOST, fate, failures: 20, way };
            let frontend = Frontend::run(&world, case, seed, &mut Seeded::new(seed));
            let (own, too_late) = frontend.dead();
            (all, late, fetches) = (all + own, late + too_late, fetches + frontend.fetches());
        }
        (all, late, fetches)
    };
    let ((real, late, few), (alike, _late, many)) = (run(Way::Real), run(Way::Alike));
    println!(
        "{BACKENDS_MOST} backends: {real} s to dead points with {few} fetches, {alike} s with {many} if all are fetched alike"
    );
    assert_eq!(late, 0);
    assert!(few * 10 < many * 9, "{few} fetches instead of {many}");
    assert!(real * 10 < alike * 11, "{real} s instead of {alike}");
}

#[test]
fn a_frontend_that_does_not_look_at_its_backends_is_found_to_send_clients_to_dead_points() {
    let fate = Fate { restarts: DAY, busy: false };
    assert!(dead(fate, 0, Way::Blind).1 > 0);
}

#[test]
fn onionbalances_upload_times_are_told() {
    let verdict = tell_apart(&samples(Kind::CTor), &samples(Kind::Onionbalance), 7).unwrap();
    println!("upload times over days, C tor against Onionbalance: {verdict}");
    assert!(verdict.auc > 0.95, "{verdict}");
}

#[test]
fn a_schedule_with_other_intervals_is_told() {
    let verdict = tell_apart(&samples(Kind::CTor), &samples(Kind::Spoiled), 7).unwrap();
    println!("upload times over days, C tor against a schedule of 60 to 90 minutes: {verdict}");
    assert!(verdict.auc > 0.95, "{verdict}");
}
