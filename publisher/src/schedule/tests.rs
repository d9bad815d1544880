//! Tests of the schedule: plans and uploads here; what is away or lost in `away`; a year of it all in `year`.

use super::*;
use crate::consensus::{Fingerprint, Role, Srv};
use onionkeep_common::{ExpirationHours, PeriodLength, PeriodNumber};

mod away;
mod looks;
mod year;

/// Dice that repeat.
pub(crate) struct TestDice(pub(crate) u64);

impl Dice for TestDice {
    fn pick(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start() + self.0 % (range.end() - range.start() + 1)
    }
}

/// Noon of some day.
const NOON: UnixTime = UnixTime(1_800_014_400);
/// When the tests start: an hour has just begun, so a certificate stays fresh for most of it.
const START: UnixTime = NOON.plus(100);

fn period(number: u64) -> TimePeriod {
    TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY }
}

fn hsdir(number: u8) -> Fingerprint {
    Fingerprint([number; 20])
}

fn desc_plan(number: u64, hsdirs: &[u8]) -> DescPlan {
    let role = Role { period: period(number), srv: Srv([0; 32]), run_start: NOON.minus(43_200) };
    let hsdirs: Vec<_> = hsdirs.iter().map(|number| hsdir(*number)).collect();
    DescPlan { role, asked: hsdirs.clone(), hsdirs }
}

/// A consensus whose descriptors are of periods `first` and the one after, the second being fetched.
fn plan(first: u64, valid_after: UnixTime, hsdirs: &[u8]) -> Event {
    Event::Network(Box::new(Plan {
        valid_after,
        live_from: valid_after.minus(86_400),
        live_until: valid_after.plus(3 * 3600 + 86_400),
        first: desc_plan(first, hsdirs),
        second: desc_plan(first + 1, hsdirs),
        fetch_period: period(first + 1),
        fetch_until: NOON.plus(86_400),
    }))
}

/// A machine with its dice and its time.
struct Bench {
    machine: Machine,
    dice: TestDice,
    now: UnixTime,
    listed: Option<Digest>,
}

impl Bench {
    fn new(backends: usize) -> Self {
        Self::probing(backends, None)
    }

    fn probing(backends: usize, every: Option<u64>) -> Self {
        Self { machine: Machine::new(NOON, backends, every), dice: TestDice(7), now: START, listed: None }
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        self.machine.handle(self.now, event, &mut self.dice)
    }

    /// Both descriptors would list this now, and so would those that begin later.
    fn points(&mut self, number: u8) -> Vec<Action> {
        self.listed = Some(Digest([number; 32]));
        let periods: Vec<_> = self.machine.descs().iter().map(|desc| desc.plan().role.period).collect();
        periods.into_iter().flat_map(|period| self.feed(Event::Points(period, self.listed))).collect()
    }

    fn after(&mut self, seconds: u64) -> Vec<Action> {
        self.now = self.now.plus(seconds);
        self.feed(Event::Tick)
    }

    /// Answers what the machine asks for, with everything going well, until it asks for nothing more; gives the uploads.
    fn settle(&mut self, mut actions: Vec<Action>) -> Vec<(u64, Why, usize)> {
        let mut uploads = Vec::new();
        while !actions.is_empty() {
            let mut next = Vec::new();
            for action in actions {
                match action {
                    Action::Fetch { backend, .. } => {
                        next.extend(self.feed(Event::Fetched(backend, Verdict::Good)));
                    }
                    Action::Probe { backend } => next.extend(self.feed(Event::Probed(backend, true))),
                    Action::LearnCounter { period } => next.extend(self.feed(Event::CounterLearned(period))),
                    Action::Look { period, hsdir } => {
                        next.extend(self.feed(Event::Looked(period, hsdir, Found::Ours)));
                    }
                    Action::Certify { period } => {
                        let expires = ExpirationHours::of_desc_signing_cert(self.now);
                        next.extend(self.feed(Event::Certified(period, expires)));
                    }
                    Action::Upload { period, number, hsdirs, why } => {
                        uploads.push((period.number.0, why, hsdirs.len()));
                        for hsdir in hsdirs {
                            next.extend(self.feed(Event::Uploaded {
                                period,
                                hsdir,
                                number,
                                stored: Stored::Yes,
                            }));
                        }
                    }
                    Action::Begin { period } => next.extend(self.feed(Event::Points(period, self.listed))),
                    Action::End { .. } => {}
                }
            }
            actions = next;
        }
        uploads
    }

    /// A machine that has uploaded both descriptors.
    fn running() -> Self {
        Self::new(2).started()
    }

    fn started(self) -> Self {
        let mut bench = self;
        bench.feed(Event::TorUp);
        let actions = bench.feed(plan(10, NOON, &[1, 2, 3]));
        bench.settle(actions);
        let actions = bench.points(1);
        let uploads = bench.settle(actions);
        assert_eq!(uploads, [(10, Why::First, 3), (11, Why::First, 3)]);
        bench
    }
}

#[test]
fn nothing_is_asked_before_tor_and_a_consensus_are_there() {
    let mut bench = Bench::new(2);
    assert_eq!(bench.feed(Event::Tick), []);
    assert_eq!(bench.feed(Event::TorUp), []);
    let actions = bench.feed(plan(10, NOON, &[1]));
    assert!(actions.contains(&Action::Fetch { backend: 1, reach: Reach::Some }));
    assert!(actions.contains(&Action::Begin { period: period(10) }));
    assert!(
        actions.contains(&Action::Certify { period: period(11) }),
        "asked for before there is anything to list"
    );
    assert!(actions.contains(&Action::LearnCounter { period: period(11) }), "the fetched period's counters");
    assert!(
        !actions.contains(&Action::LearnCounter { period: period(10) }),
        "the other's cannot be asked for"
    );
}

#[test]
fn first_upload_waits_shortly_for_the_other_backends() {
    let mut bench = Bench::new(2);
    bench.feed(Event::TorUp);
    let actions: Vec<_> = bench.feed(plan(10, NOON, &[1, 2]));
    let answered =
        actions.into_iter().filter(|action| *action != Action::Fetch { backend: 1, reach: Reach::Some });
    let answered = answered.collect();
    assert_eq!(bench.settle(answered), []);
    let actions = bench.points(1);
    assert_eq!(bench.settle(actions), []);
    assert!(bench.machine.wake(bench.now) <= bench.now.plus(2));
    let actions = bench.after(2);
    assert_eq!(bench.settle(actions).len(), 2);
}

#[test]
fn changes_close_together_give_one_upload() {
    let mut bench = Bench::running();
    for digest in 2..5 {
        bench.now = bench.now.plus(1);
        let actions = bench.points(digest);
        assert_eq!(bench.settle(actions), []);
    }
    let actions = bench.after(3);
    assert_eq!(bench.settle(actions), [(10, Why::Points, 3), (11, Why::Points, 3)]);
    let actions = bench.after(60);
    assert_eq!(bench.settle(actions), []);
}

#[test]
fn each_descriptor_has_points_of_its_own_and_what_an_upload_took_along_is_not_uploaded_again() {
    let mut bench = Bench::running();
    bench.feed(Event::Points(period(11), Some(Digest([2; 32]))));
    let actions = bench.after(3);
    assert_eq!(bench.settle(actions), [(11, Why::Points, 3)], "the other one is left alone");
    bench.feed(Event::Listed(period(11), Digest([3; 32])));
    let actions = bench.feed(Event::Points(period(11), Some(Digest([3; 32]))));
    assert_eq!(bench.settle(actions), []);
    let actions = bench.after(60);
    assert_eq!(bench.settle(actions), []);
}

#[test]
fn endless_changes_do_not_put_off_an_upload() {
    let mut bench = Bench::running();
    let mut uploads = 0;
    for digest in 2..40 {
        bench.now = bench.now.plus(1);
        let actions = bench.points(digest);
        uploads += bench.settle(actions).len();
    }
    assert!((4..=8).contains(&uploads), "{uploads}");
}

#[test]
fn a_point_that_comes_back_in_time_needs_no_other_upload() {
    let mut bench = Bench::running();
    let actions = bench.points(1);
    assert_eq!(bench.settle(actions), []);
    let actions = bench.after(30);
    assert_eq!(bench.settle(actions), []);
}

#[test]
fn intervals_are_drawn_for_each_descriptor_from_one_to_two_hours() {
    let mut seen = Vec::new();
    for seed in 1..40 {
        let mut bench = Bench::running();
        bench.dice = TestDice(seed * 977);
        let actions = bench.points(2);
        bench.settle(actions);
        let actions = bench.after(3);
        bench.settle(actions);
        let waits: Vec<_> =
            bench.machine.descs().iter().map(|desc| desc.next_upload().unwrap().since(bench.now)).collect();
        assert!(waits.iter().all(|wait| (3600..=7200).contains(wait)), "{waits:?}");
        assert_ne!(waits[0], waits[1]);
        seen.extend(waits);
    }
    assert!(
        seen.iter().any(|wait| *wait < 4500) && seen.iter().any(|wait| *wait > 6300),
        "spread over the range"
    );
}

#[test]
fn a_new_hsdir_makes_an_upload_and_a_lost_one_does_not() {
    let mut bench = Bench::running();
    let actions = bench.feed(plan(10, NOON.plus(3600), &[1, 2]));
    assert_eq!(bench.settle(actions), []);
    let actions = bench.feed(plan(10, NOON.plus(3601), &[1, 2, 9]));
    assert_eq!(bench.settle(actions), [(10, Why::NewHsDir, 3), (11, Why::NewHsDir, 3)]);
}

#[test]
fn a_take_over_that_was_lost_makes_an_upload_of_that_descriptor_to_all() {
    let mut bench = Bench::running();
    let actions = bench.feed(Event::TakeOver(period(10)));
    assert_eq!(bench.settle(actions), [(10, Why::TakeOver, 3)]);
    let actions = bench.feed(Event::TakeOver(period(12)));
    assert_eq!(bench.settle(actions), [], "nobody publishes that period");
}

#[test]
fn rotation_keeps_the_second_descriptor_and_its_clock() {
    let mut bench = Bench::running();
    let next = bench.machine.descs()[1].next_upload();
    let actions = bench.feed(plan(11, NOON.plus(43_200), &[1, 2, 3]));
    assert!(actions.contains(&Action::Begin { period: period(12) }));
    assert!(actions.contains(&Action::End { period: period(10) }));
    assert_eq!(bench.settle(actions), [(12, Why::First, 3)]);
    assert_eq!(bench.machine.descs()[0].plan().role.period, period(11));
    assert_eq!(bench.machine.descs()[0].next_upload(), next);
}

#[test]
fn an_older_consensus_rotates_nothing_back() {
    let mut bench = Bench::running();
    let actions = bench.feed(plan(11, NOON.plus(43_200), &[1, 2, 3]));
    bench.settle(actions);
    assert_eq!(bench.feed(plan(10, NOON.plus(36_000), &[1, 2, 3])), []);
    assert_eq!(bench.machine.descs()[0].plan().role.period, period(11));
}

#[test]
fn a_failed_upload_is_tried_again_with_growing_waits() {
    let mut bench = Bench::running();
    let actions = bench.points(2);
    assert_eq!(actions, []);
    let mut waits = Vec::new();
    let mut sent = bench.now;
    for _second in 0..3400 {
        for action in bench.after(1) {
            if let Action::Upload { period: number, number: upload, hsdirs, .. } = action {
                for target in hsdirs {
                    let bad = target == hsdir(2) && number == period(10);
                    let stored = if bad { Stored::No } else { Stored::Yes };
                    if bad {
                        waits.push(bench.now.since(sent));
                        sent = bench.now;
                    }
                    bench.feed(Event::Uploaded { period: number, hsdir: target, number: upload, stored });
                }
            }
        }
    }
    assert!((6..12).contains(&waits.len()), "{waits:?}");
    assert!(waits[1] <= 16 && *waits.last().unwrap() > 300, "{waits:?}");
}

#[test]
fn an_answer_to_an_older_upload_is_ignored() {
    let mut bench = Bench::running();
    bench.points(2);
    let uploads: Vec<_> = bench.after(3).into_iter().collect();
    assert_eq!(uploads.len(), 2);
    let old = Event::Uploaded { period: period(10), hsdir: hsdir(1), number: 1, stored: Stored::No };
    assert_eq!(bench.feed(old), []);
    for _second in 0..60 {
        assert!(!bench.after(1).iter().any(|action| matches!(action, Action::Upload { .. })));
    }
}

#[test]
fn a_retry_in_another_hour_carries_a_certificate_of_that_hour() {
    let mut bench = Bench::running();
    bench.points(2);
    for action in bench.after(3) {
        let Action::Upload { period, number, hsdirs, .. } = action else { panic!("{action:?}") };
        for (at, hsdir) in hsdirs.iter().enumerate() {
            let stored = if at == 0 { Stored::No } else { Stored::Yes };
            bench.feed(Event::Uploaded { period, hsdir: *hsdir, number, stored });
        }
    }
    bench.now = NOON.plus(3610);
    let asked = bench.feed(Event::Tick);
    assert_eq!(asked[..2], [10, 11].map(|at| Action::Certify { period: period(at) }));
    let upload = |action: &Action| matches!(action, Action::Upload { why: Why::Retry, .. });
    let expires = ExpirationHours::of_desc_signing_cert(bench.now);
    assert!(bench.feed(Event::Certified(period(10), expires)).iter().any(upload));
    assert!(bench.feed(Event::NotCertified(period(11), None)).iter().any(upload), "the one at hand is good");
}

#[test]
fn a_refused_upload_asks_for_the_counters_where_they_can_be_asked_for() {
    let mut bench = Bench::running();
    bench.points(2);
    for action in bench.after(3) {
        let Action::Upload { period, number, hsdirs, .. } = action else { panic!("{action:?}") };
        let asked =
            bench.feed(Event::Uploaded { period, hsdir: hsdirs[0], number, stored: Stored::Rejected });
        assert_eq!(asked.contains(&Action::LearnCounter { period }), period.number.0 == 11);
        bench.feed(Event::CounterLearned(period));
        for hsdir in &hsdirs[1..] {
            bench.feed(Event::Uploaded { period, hsdir: *hsdir, number, stored: Stored::Yes });
        }
    }
    let again: Vec<_> = (0..7).flat_map(|_second| bench.after(1)).collect();
    let retry = |action: &&Action| matches!(action, Action::Upload { why: Why::Retry, hsdirs, .. } if hsdirs.len() == 1);
    assert_eq!(again.iter().filter(retry).count(), 2, "{again:?}");
}
