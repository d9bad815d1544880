//! Days of uploads of one service: a model of C tor, the real schedule, and a model of Onionbalance, in the same world.

use std::collections::BTreeMap;

use super::backends::Fate;
use super::frontend::{Case, Frontend, Way};
use onionkeep_common::{ExpirationHours, PeriodLength, PeriodNumber, TimePeriod, UnixTime};
use onionkeep_publisher::consensus::{Fingerprint, Role, Srv};
use onionkeep_publisher::schedule::{Action, DescPlan, Dice, Digest, Event, Machine, Plan, Stored, Verdict};

/// Seconds of an hour and of a day.
pub(crate) const HOUR: u64 = 3600;
pub(crate) const DAY: u64 = 86_400;
/// Start of a day, in UTC.
pub(crate) const START: u64 = 20_000 * DAY;
/// Days that are simulated; descriptors that begin in the first two and the last two are not counted.
pub(crate) const DAYS: u64 = 7;
/// The life of an introduction point.
///
/// Spec: C tor, `INTRO_POINT_LIFETIME_MIN_SECONDS` and `INTRO_POINT_LIFETIME_MAX_SECONDS`.
pub(crate) const LIFE: std::ops::RangeInclusive<u64> = 18 * HOUR..=24 * HOUR;
/// Points that are listed.
pub(crate) const POINTS: usize = 3;
/// One set of HSDirs in so many changes in an hour.
const CHURN: u64 = 12;

/// Whose uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A plain service of C tor.
    CTor,
    /// Our schedule, driven by points that live as C tor's do.
    Ours,
    /// A frontend of ours over backends, with all that decides what it lists.
    Frontend,
    /// The same, but all points change at the start of a period.
    AtOnce,
    /// Onionbalance: looks every five minutes whether an hour has passed.
    Onionbalance,
    /// Our schedule with dice that throw too low.
    Spoiled,
}

/// Dice that a seed repeats.
pub(crate) struct Seeded {
    /// xorshift64.
    state: u64,
    /// Throws half as far.
    low: bool,
}

impl Seeded {
    /// Fair dice.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, low: false }
    }
}

impl Dice for Seeded {
    fn pick(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let span = range.end() - range.start() + 1;
        let thrown = (self.state >> 11) % span;
        range.start() + if self.low && span > 3000 { thrown / 2 } else { thrown }
    }
}

/// The uploads of each descriptor: when its period's second descriptor came up, and the times.
pub(crate) fn uploads(kind: Kind, seed: u64) -> Vec<(u64, Vec<u64>)> {
    let dice = || Seeded { low: kind == Kind::Spoiled, ..Seeded::new(seed) };
    let world = World::new(&mut Seeded::new(seed));
    let all = match kind {
        Kind::CTor => c_tor(&world, &mut dice()),
        Kind::Onionbalance => onionbalance(&world),
        Kind::Ours | Kind::Spoiled => ours(&world, &mut dice()),
        Kind::Frontend => Frontend::run(&world, case(seed, Way::Real), seed, &mut dice()).uploads(),
        Kind::AtOnce => Frontend::run(&world, case(seed, Way::AtOnce), seed, &mut dice()).uploads(),
    };
    let whole = START + 2 * DAY..START + (DAYS - 2) * DAY;
    all.into_iter().filter(|(begin, _times)| whole.contains(begin)).collect()
}

/// Two to four backends that restart once in a month and are sometimes not found.
fn case(seed: u64, way: Way) -> Case {
    let fate = Fate { restarts: 30 * DAY, busy: false };
    Case { backends: 2 + usize::try_from(seed % 3).unwrap(), fate, failures: 50, way }
}

/// What happens to everybody alike: consensuses and their HSDirs.
pub(crate) struct World {
    /// When the consensus of each hour was fetched.
    pub(crate) consensuses: Vec<u64>,
    /// For each hour how often the set of HSDirs has changed.
    sets: Vec<u8>,
}

impl World {
    /// Consensuses come some time in their hour; now and then the HSDirs of a descriptor change.
    pub(crate) fn new(dice: &mut Seeded) -> Self {
        let hours = 0..DAYS * 24;
        let consensuses = hours.clone().map(|hour| START + hour * HOUR + dice.pick(300..=2700)).collect();
        let mut set = 0;
        let mut change = |dice: &mut Seeded| {
            set += u8::from(dice.pick(1..=CHURN) == 1);
            set
        };
        Self { consensuses, sets: hours.map(|_hour| change(dice)).collect() }
    }

    /// Number of the first descriptor's period under the consensus of an hour; the second's is the next one.
    ///
    /// Shared random values change at 0:00 and periods at 12:00, UTC.
    fn first(hour: usize) -> u64 {
        (START + u64::try_from(hour).unwrap() * HOUR) / DAY
    }

    /// The same for what clients fetch.
    pub(crate) fn fetched(hour: usize) -> u64 {
        let at = START + u64::try_from(hour).unwrap() * HOUR;
        at / DAY + u64::from(at % DAY >= 12 * HOUR)
    }
}

/// When the second descriptor of a period comes up.
pub(crate) fn begin_of(period: u64) -> u64 {
    (period - 1) * DAY
}

/// C tor: a descriptor has points of its own, each replaced when its time has come.
fn c_tor(world: &World, dice: &mut Seeded) -> Vec<(u64, Vec<u64>)> {
    let mut logs = Vec::new();
    let periods = World::first(0)..World::first(world.consensuses.len() - 1) + 2;
    for period in periods {
        let hours = 0..world.consensuses.len();
        let mine: Vec<_> =
            hours.filter(|hour| (World::first(*hour)..=World::first(*hour) + 1).contains(&period)).collect();
        let [from, .., to] = mine[..] else { continue };
        // The first upload waits for the introduction circuits.
        let mut now = world.consensuses[from] + dice.pick(2..=8);
        let end = world.consensuses.get(to + 1).copied().unwrap_or(START + DAYS * DAY);
        let mut points: Vec<u64> = (0..POINTS).map(|_point| now + dice.pick(LIFE)).collect();
        let mut log = Vec::new();
        while now < end {
            log.push(now);
            let regular = now + dice.pick(HOUR..=2 * HOUR);
            let oldest = points.iter_mut().min().unwrap();
            let news = (from..to)
                .find(|hour| world.consensuses[hour + 1] > now && world.sets[hour + 1] != world.sets[*hour]);
            let news = news.map_or(u64::MAX, |hour| world.consensuses[hour + 1] + 1);
            now = regular.min(*oldest + 3).min(news);
            if now == *oldest + 3 {
                *oldest = now + dice.pick(LIFE);
            }
        }
        logs.push((begin_of(period), log));
    }
    logs
}

/// Onionbalance: both descriptors together, whenever an hour has passed at one of its looks.
fn onionbalance(world: &World) -> Vec<(u64, Vec<u64>)> {
    let mut logs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut last = 0;
    for look in (START + 45..START + DAYS * DAY).step_by(300) {
        if look - last >= HOUR {
            last = look;
            let hour = world.consensuses.partition_point(|at| *at <= look).saturating_sub(1);
            for period in [World::first(hour), World::first(hour) + 1] {
                logs.entry(begin_of(period)).or_default().push(look);
            }
        }
    }
    logs.into_iter().collect()
}

/// Our schedule with everything going well: backends' points age as C tor's do, and fetches show it.
fn ours(world: &World, dice: &mut Seeded) -> Vec<(u64, Vec<u64>)> {
    let mut run = Run {
        machine: Machine::new(UnixTime(START), 3, None),
        points: BTreeMap::new(),
        logs: BTreeMap::new(),
    };
    let mut now = START;
    run.feed(now, Event::TorUp, dice);
    for (hour, at) in world.consensuses.iter().enumerate() {
        while now < *at {
            now = run.machine.wake(UnixTime(now)).0.max(now + 1).min(*at);
            run.feed(now, Event::Tick, dice);
        }
        run.feed(now, Event::Network(Box::new(plan(world, hour))), dice);
    }
    run.logs.into_iter().map(|(period, log)| (begin_of(period), log)).collect()
}

/// What the consensus of an hour means.
pub(crate) fn plan(world: &World, hour: usize) -> Plan {
    let valid_after = UnixTime(START + u64::try_from(hour).unwrap() * HOUR);
    let desc = |number: u64| DescPlan {
        role: Role { period: period(number), srv: Srv([0; 32]), run_start: UnixTime(begin_of(number)) },
        hsdirs: (0..8)
            .map(|hsdir| {
                Fingerprint(
                    [hsdir + world.sets[hour] / 8 * 8 + u8::from(hsdir < world.sets[hour] % 8) * 8; 20],
                )
            })
            .collect(),
        // Looks at the HSDirs are fetches; here only uploads are judged.
        asked: Vec::new(),
    };
    Plan {
        valid_after,
        live_from: valid_after.minus(DAY),
        live_until: valid_after.plus(DAY + 3 * HOUR),
        first: desc(World::first(hour)),
        second: desc(World::first(hour) + 1),
        fetch_period: period(World::fetched(hour)),
        fetch_until: UnixTime(begin_of(World::fetched(hour)) + 36 * HOUR),
    }
}

/// A period by its number.
pub(crate) fn period(number: u64) -> TimePeriod {
    TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY }
}

/// Our schedule at work.
struct Run {
    /// The schedule.
    machine: Machine,
    /// When the time of each point of each descriptor is over.
    points: BTreeMap<u64, Vec<u64>>,
    /// The uploads of each descriptor.
    logs: BTreeMap<u64, Vec<u64>>,
}

impl Run {
    /// Gives an event to the schedule and answers what it asks for.
    fn feed(&mut self, now: u64, event: Event, dice: &mut Seeded) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.machine.handle(UnixTime(now), event, dice) {
                match action {
                    Action::Fetch { backend, .. } => {
                        events.push(Event::Fetched(backend, Verdict::Good));
                        events.extend(self.look_at_points(now, dice));
                    }
                    Action::LearnCounter { period } => events.push(Event::CounterLearned(period)),
                    Action::Certify { period } => {
                        let expires = ExpirationHours::of_desc_signing_cert(UnixTime(now));
                        events.push(Event::Certified(period, expires));
                    }
                    Action::Upload { period, number, hsdirs, .. } => {
                        self.logs.entry(period.number.0).or_default().push(now);
                        let stored = |hsdir| Event::Uploaded { period, hsdir, number, stored: Stored::Yes };
                        events.extend(hsdirs.into_iter().map(stored));
                    }
                    Action::Begin { period } => {
                        self.points.insert(period.number.0, Vec::new());
                        events.extend(self.look_at_points(now, dice));
                    }
                    Action::End { period } => {
                        self.points.remove(&period.number.0);
                    }
                    Action::Probe { .. } | Action::Look { .. } => {}
                }
            }
        }
    }

    /// A fetch shows which listed points have gone; others take their places.
    fn look_at_points(&mut self, now: u64, dice: &mut Seeded) -> Vec<Event> {
        let mut events = Vec::new();
        for (number, points) in &mut self.points {
            points.retain(|end| *end > now);
            while points.len() < POINTS {
                points.push(now + dice.pick(LIFE));
            }
            let mut digest = [0; 32];
            for (at, end) in points.iter().enumerate() {
                digest[at * 8..at * 8 + 8].copy_from_slice(&end.to_be_bytes());
            }
            events.push(Event::Points(period(*number), Some(Digest(digest))));
        }
        events
    }
}
