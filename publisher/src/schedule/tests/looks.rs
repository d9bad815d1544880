//! Uploads that are looked after, with HSDirs that refuse, hang, drop what they took, or go on giving an old one.

use super::*;
use std::collections::HashMap;

/// How an HSDir behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Good,
    /// It refuses every upload.
    Refuses,
    /// It never answers.
    Hangs,
    /// It says that it stored the upload, and did not.
    Drops,
    /// It says that it stored the upload, and gives the first one for ever.
    KeepsOld,
    /// It forgets what it has once, as a relay that was restarted.
    ForgetsOnce,
}

/// The HSDirs 1, 2, ... of both descriptors.
const NATURES: [Nature; 8] = [
    Nature::Good,
    Nature::Refuses,
    Nature::Good,
    Nature::Hangs,
    Nature::Drops,
    Nature::KeepsOld,
    Nature::ForgetsOnce,
    Nature::Good,
];
/// The period that clients fetch, and that is looked at.
const FETCHED: u64 = 11;
/// Seconds of the run.
const RUN: u64 = 11 * 3600;

/// What happened at one HSDir, for the period that is fetched.
#[derive(Default)]
struct Record {
    /// Upload numbers that it has, or pretends to have.
    held: Vec<u64>,
    rounds: u64,
    repeats: u64,
    looks: Vec<(u64, Found)>,
    first_held: Option<u64>,
}

struct Hostile {
    bench: Bench,
    records: HashMap<Fingerprint, Record>,
    /// The last upload to all.
    round: u64,
    forgotten: bool,
}

impl Hostile {
    fn run() -> Self {
        let mut bench = Bench::new(1);
        bench.machine.set_looks(3600);
        let mut world = Self { bench, records: HashMap::new(), round: 0, forgotten: false };
        world.take(Event::TorUp);
        world.take(plan(FETCHED - 1, NOON, &[1, 2, 3, 4, 5, 6, 7, 8]));
        for number in [FETCHED - 1, FETCHED] {
            world.take(Event::Points(period(number), Some(Digest([1; 32]))));
        }
        for _second in 0..RUN {
            world.bench.now = world.bench.now.plus(1);
            world.take(Event::Tick);
        }
        world
    }

    fn take(&mut self, event: Event) {
        for action in self.bench.feed(event) {
            match action {
                Action::Upload { period, number, hsdirs, why } => self.upload(period, number, &hsdirs, why),
                Action::Look { period: of, hsdir } => {
                    assert_eq!(of, period(FETCHED), "another period cannot be asked for");
                    let found = self.look(hsdir);
                    self.take(Event::Looked(of, hsdir, found));
                }
                Action::Fetch { backend, .. } => self.take(Event::Fetched(backend, Verdict::Good)),
                Action::LearnCounter { period } => self.take(Event::CounterLearned(period)),
                Action::Certify { period } => {
                    let expires = ExpirationHours::of_desc_signing_cert(self.bench.now);
                    self.take(Event::Certified(period, expires));
                }
                Action::Probe { .. } | Action::Begin { .. } | Action::End { .. } => {}
            }
        }
    }

    fn upload(&mut self, of: TimePeriod, number: u64, hsdirs: &[Fingerprint], why: Why) {
        let fetched = of == period(FETCHED);
        if fetched && why != Why::Retry {
            self.round = number;
        }
        for target in hsdirs {
            let nature = NATURES[usize::from(target.0[0]) - 1];
            let after = self.bench.now.since(START);
            if fetched {
                let record = self.records.entry(*target).or_default();
                *(if why == Why::Retry { &mut record.repeats } else { &mut record.rounds }) += 1;
                if nature == Nature::ForgetsOnce && after >= 3 * 3600 && !self.forgotten {
                    self.forgotten = true;
                    record.held.clear();
                } else if matches!(nature, Nature::Good | Nature::ForgetsOnce)
                    || nature == Nature::KeepsOld && record.held.is_empty()
                {
                    record.held.push(number);
                    record.first_held.get_or_insert(after);
                }
            }
            let stored = match nature {
                Nature::Refuses => Stored::Rejected,
                Nature::Hangs => continue,
                Nature::Good | Nature::Drops | Nature::KeepsOld | Nature::ForgetsOnce => Stored::Yes,
            };
            self.take(Event::Uploaded { period: of, hsdir: *target, number, stored });
        }
    }

    fn look(&mut self, target: Fingerprint) -> Found {
        let (round, after) = (self.round, self.bench.now.since(START));
        let record = self.records.get_mut(&target).unwrap();
        let found = match record.held.last() {
            None => Found::Missing,
            Some(held) if *held < round => Found::Older,
            Some(_) => Found::Ours,
        };
        record.looks.push((after, found));
        found
    }

    fn record(&self, number: u8) -> &Record {
        &self.records[&hsdir(number)]
    }
}

#[test]
fn one_bad_hsdir_never_blocks_the_others_and_each_lost_copy_is_replaced() {
    let world = Hostile::run();
    assert!(world.forgotten);
    let rounds = world.record(1).rounds;
    assert!((6..=11).contains(&rounds), "{rounds} regular uploads in 11 hours");
    for good in [1, 3, 8] {
        let record = world.record(good);
        assert_eq!((record.rounds, record.repeats), (rounds, 0), "nothing but the regular uploads");
        assert_eq!(record.first_held, Some(0), "at once, whatever the others do");
        assert!(record.looks.iter().all(|(_at, found)| *found == Found::Ours));
        assert!(
            (rounds - 1..=rounds).contains(&u64::try_from(record.looks.len()).unwrap()),
            "a look a round"
        );
    }
    let forgot = world.record(7);
    assert_eq!(forgot.looks.iter().filter(|(_at, found)| *found == Found::Missing).count(), 1);
    assert_eq!(forgot.repeats, 1, "it got its copy again, once");
    assert_eq!(forgot.looks.last().map(|(_at, found)| *found), Some(Found::Ours));
}

#[test]
fn hsdirs_that_do_not_keep_what_they_took_are_found_out_and_not_flooded() {
    let world = Hostile::run();
    let drops = world.record(5);
    assert!(!drops.looks.is_empty() && drops.looks.iter().all(|(_at, found)| *found == Found::Missing));
    assert_eq!(drops.repeats, 5);
    let old = world.record(6);
    assert!(old.looks.iter().any(|(_at, found)| *found == Found::Older));
    assert!((1..=5).contains(&old.repeats), "{}", old.repeats);
    for (name, number) in [("refuses", 2), ("hangs", 4)] {
        let record = world.record(number);
        assert!(record.looks.is_empty(), "{name}: it never said that it has one");
        assert!((10..140).contains(&record.repeats), "{name}: tried again {} times", record.repeats);
    }
}

#[test]
fn looks_make_no_rhythm() {
    let mut gaps = Vec::new();
    let world = Hostile::run();
    for number in [1, 3, 8] {
        let looks: Vec<_> = world.record(number).looks.iter().map(|(at, _found)| *at).collect();
        gaps.extend(looks.windows(2).map(|pair| pair[1] - pair[0]));
    }
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(most - least > 2400, "from {least} to {most} seconds apart");
    let close = |at: &u64| world.record(3).looks.iter().any(|(other, _found)| at.abs_diff(*other) < 20);
    let together = world.record(1).looks.iter().filter(|(at, _found)| close(at)).count();
    assert!(together <= 2, "{together} times two HSDirs were asked at about the same time");
}

/// The plan of descriptors 10 and 11 under which clients fetch this one.
fn fetching(number: u64, valid_after: UnixTime) -> Event {
    let Event::Network(mut plan) = plan(10, valid_after, &[1, 2, 3]) else { panic!("not a plan") };
    plan.fetch_period = period(number);
    Event::Network(plan)
}

/// Periods and HSDirs of the looks in the next 700 seconds.
fn looks(bench: &mut Bench) -> Vec<(u64, Fingerprint)> {
    let mut looks = Vec::new();
    for _second in 0..700 {
        for action in bench.after(1) {
            if let Action::Look { period, hsdir } = action {
                looks.push((period.number.0, hsdir));
                bench.feed(Event::Looked(period, hsdir, Found::Ours));
            }
        }
    }
    looks.sort_unstable();
    looks
}

#[test]
fn a_descriptor_that_clients_come_to_fetch_is_looked_at_from_then_on() {
    let mut bench = Bench::new(1);
    bench.machine.set_looks(600);
    bench.feed(Event::TorUp);
    let actions = bench.feed(fetching(10, NOON));
    bench.settle(actions);
    let actions = bench.points(1);
    assert_eq!(bench.settle(actions).len(), 2);
    assert_eq!(looks(&mut bench), [1, 2, 3].map(|number| (10, hsdir(number))));
    let actions = bench.feed(fetching(11, NOON.plus(3600)));
    bench.settle(actions);
    assert_eq!(looks(&mut bench), [1, 2, 3].map(|number| (11, hsdir(number))));
}
