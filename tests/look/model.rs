//! Days of uploads of one service: a model of C tor, the real schedule, and a model of Onionbalance, in the same world.

use std::collections::BTreeMap;

use onionkeep_common::{ExpirationHours, PeriodLength, PeriodNumber, TimePeriod, UnixTime};
use onionkeep_publisher::consensus::{Fingerprint, Role, Srv};
use onionkeep_publisher::schedule::{Action, DescPlan, Dice, Digest, Event, Machine, Plan, Stored, Verdict};

/// Seconds of an hour and of a day.
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;
/// Start of a day, in UTC.
const START: u64 = 20_000 * DAY;
/// Days that are simulated; descriptors that begin in the first two and the last two are not counted.
const DAYS: u64 = 7;
/// The life of an introduction point.
///
/// Spec: C tor, `INTRO_POINT_LIFETIME_MIN_SECONDS` and `INTRO_POINT_LIFETIME_MAX_SECONDS`.
const LIFE: std::ops::RangeInclusive<u64> = 18 * HOUR..=24 * HOUR;
/// Points that are listed.
const POINTS: usize = 3;
/// One set of HSDirs in so many changes in an hour.
const CHURN: u64 = 12;

/// Whose uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A plain service of C tor.
    CTor,
    /// Our schedule, driven by points that live as C tor's do.
    Ours,
    /// Our schedule as it is driven today: a listed point is of any age, and at the start of a period all points are others.
    OursAsListed,
    /// Onionbalance: looks every five minutes whether an hour has passed.
    Onionbalance,
    /// Our schedule with dice that throw too low.
    Spoiled,
}

/// Dice that a seed repeats.
struct Seeded {
    /// xorshift64.
    state: u64,
    /// Throws half as far.
    low: bool,
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
    let dice = || Seeded { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, low: kind == Kind::Spoiled };
    let world = World::new(&mut Seeded { low: false, ..dice() });
    let all = match kind {
        Kind::CTor => c_tor(&world, &mut dice()),
        Kind::Onionbalance => onionbalance(&world),
        Kind::Ours | Kind::Spoiled => ours(&world, &mut dice(), false),
        Kind::OursAsListed => ours(&world, &mut dice(), true),
    };
    let whole = START + 2 * DAY..START + (DAYS - 2) * DAY;
    all.into_iter().filter(|(begin, _times)| whole.contains(begin)).collect()
}

/// What happens to everybody alike: consensuses and their HSDirs.
struct World {
    /// When the consensus of each hour was fetched.
    consensuses: Vec<u64>,
    /// For each hour how often the set of HSDirs has changed.
    sets: Vec<u8>,
}

impl World {
    /// Consensuses come some time in their hour; now and then the HSDirs of a descriptor change.
    fn new(dice: &mut Seeded) -> Self {
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
    fn fetched(hour: usize) -> u64 {
        let at = START + u64::try_from(hour).unwrap() * HOUR;
        at / DAY + u64::from(at % DAY >= 12 * HOUR)
    }
}

/// When the second descriptor of a period comes up.
fn begin_of(period: u64) -> u64 {
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
fn ours(world: &World, dice: &mut Seeded, as_listed: bool) -> Vec<(u64, Vec<u64>)> {
    let mut run = Run {
        machine: Machine::new(UnixTime(START), 3, None),
        points: BTreeMap::new(),
        logs: BTreeMap::new(),
        as_listed,
        hour: 0,
    };
    let mut now = START;
    run.feed(now, Event::TorUp, dice);
    for (hour, at) in world.consensuses.iter().enumerate() {
        while now < *at {
            now = run.machine.wake(UnixTime(now)).0.max(now + 1).min(*at);
            run.feed(now, Event::Tick, dice);
        }
        run.hour = hour;
        run.feed(now, Event::Network(Box::new(plan(world, hour))), dice);
    }
    run.logs.into_iter().map(|(period, log)| (begin_of(period), log)).collect()
}

/// What the consensus of an hour means.
fn plan(world: &World, hour: usize) -> Plan {
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
    }
}

/// A period by its number.
fn period(number: u64) -> TimePeriod {
    TimePeriod { number: PeriodNumber(number), length: PeriodLength::DAY }
}

/// Our schedule at work.
struct Run {
    /// The schedule.
    machine: Machine,
    /// What each descriptor lists: a name and the end of each point, and the period in which it was fetched.
    points: BTreeMap<u64, Vec<(u64, u64)>>,
    /// The uploads of each descriptor.
    logs: BTreeMap<u64, Vec<u64>>,
    /// Whether points are of any age, and others at the start of a period.
    as_listed: bool,
    /// The hour of the consensus.
    hour: usize,
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
        let (fetched, mut events) = (World::fetched(self.hour), Vec::new());
        for (number, points) in &mut self.points {
            // What clients fetch no more stays as it is.
            if self.as_listed && *number < fetched && !points.is_empty() {
                continue;
            }
            points.retain(|(from, end)| *end > now && (!self.as_listed || *from == fetched));
            while points.len() < POINTS {
                let whole = dice.pick(LIFE);
                // One of a backend's three points is new when one has gone; each is as likely to be listed.
                let is_new = !self.as_listed || dice.pick(1..=3) == 1;
                points.push((fetched, now + if is_new { whole } else { dice.pick(60..=whole) }));
            }
            let mut digest = [0; 32];
            for (at, (_from, end)) in points.iter().enumerate() {
                digest[at * 8..at * 8 + 8].copy_from_slice(&end.to_be_bytes());
            }
            events.push(Event::Points(period(*number), Some(Digest(digest))));
        }
        events
    }
}
