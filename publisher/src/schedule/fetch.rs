//! When to ask for a backend's descriptor and when to probe it: the clocks of one backend.

use super::dice::{Dice, doubling};
use super::{Action, Desc, Machine};
use onionkeep_common::UnixTime;
use std::collections::BTreeSet;

/// How often a good backend is fetched at most, as a part of the period: 300 to 900 s on the public network.
const FETCHES_PER_PERIOD: u64 = 288;
/// So much less often is a good backend fetched of which nothing is listed: every 1,200 to 3,600 s.
const STANDBY: u64 = 4;
/// So much oftener are attended backends fetched when the fetched period is over: every 60 to 180 s.
const OFTENER: u64 = 5;
/// The shortest time between two good fetches of a backend, in **seconds**.
const FETCH_MIN: u64 = 10;
/// First wait after a fetch that told nothing good, in **seconds**.
const AGAIN: u64 = 6;
/// Longest wait after such a fetch, in **seconds**.
const AGAIN_MOST: u64 = 120;
/// After so many such fetches in a row, ten minutes, a backend that no HSDir knows counts as gone.
const GONE: u32 = 10;
/// The wait between fetches of a backend that is gone, in **seconds**.
const AGAIN_GONE: u64 = 600;
/// How long after news about a backend it is asked at the latest, in **seconds**.
const SOON: u64 = 3;
/// The first probes, and those after one that told nothing, come within so many **seconds**, or within the interval if that is shorter.
const FIRST_PROBE: u64 = 60;
/// After so many seconds an unanswered fetch counts as lost: twice the 240 s that it waits for its turn and the 30 s that an HSDir has for
/// its answer, since others are asked after the first.
const LOST: u64 = 600;
/// After so many seconds a probe without an outcome counts as lost: longer than it waits for its turn.
const PROBE_LOST: u64 = 2100;

/// What a fetch told about a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A good descriptor that is not too old.
    Good,
    /// A good descriptor, but an old one, or of a backend that does not count as up.
    Doubtful,
    /// Every HSDir that was asked says that there is none.
    Missing,
    /// Nothing certain: timeouts, broken connections, bad descriptors.
    Unclear,
}

/// How many HSDirs a fetch asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One, another one each time: the last fetch was good and nothing has happened since.
    One,
    /// Some of those that clients ask.
    Some,
    /// Every one that stores the descriptor: the last fetch was not good.
    All,
}

/// The clocks of one backend.
#[derive(Clone, Debug)]
pub struct BackendClock {
    /// When to fetch next.
    next_fetch: UnixTime,
    /// Since when a fetch is under way.
    fetching: Option<UnixTime>,
    /// When the last fetch ended.
    fetched: Option<UnixTime>,
    /// Fetches in a row that were not good.
    misses: u32,
    /// Fetches in a row at which every HSDir said that there is none.
    unknown: u32,
    /// Whether the next fetch is one of many after a good one, and not due to news.
    routine: bool,
    /// Whether any fetch was answered since the start.
    answered: bool,
    /// Whether a good fetch is soon repeated: a restart that was not seen may be too recent for a new descriptor.
    again: bool,
    /// How often to probe, in **seconds**; `None` without a probe port.
    probe_every: Option<u64>,
    /// When to probe next; `None` until probes can be made, and then a moment that is picked at random: not all in the same second.
    next_probe: Option<UnixTime>,
    /// Since when a probe is under way.
    probing: Option<UnixTime>,
}

impl BackendClock {
    /// A backend of which nothing is known at `now`.
    #[must_use]
    pub const fn new(now: UnixTime, probe_every: Option<u64>) -> Self {
        Self {
            next_fetch: now,
            fetching: None,
            fetched: None,
            misses: 0,
            unknown: 0,
            routine: false,
            answered: false,
            again: false,
            probe_every,
            next_probe: None,
            probing: None,
        }
    }

    /// Whether any fetch was answered since the start.
    #[must_use]
    pub const fn answered(&self) -> bool {
        self.answered
    }

    /// How many HSDirs the next fetch should ask.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        match (self.misses, self.routine) {
            (0, true) => Reach::One,
            (0, false) => Reach::Some,
            _missed => Reach::All,
        }
    }

    /// Starts a fetch if one is due.
    pub fn start_fetch(&mut self, now: UnixTime) -> bool {
        let due = self.fetching.is_none() && now >= self.next_fetch;
        if due {
            self.fetching = Some(now);
        }
        due
    }

    /// Starts a probe if one is due; picks the moment of the first.
    pub fn start_probe(&mut self, now: UnixTime, dice: &mut dyn Dice) -> bool {
        let Some(every) = self.probe_every.filter(|_every| self.probing.is_none()) else { return false };
        let next = *self.next_probe.get_or_insert_with(|| now.plus(dice.pick(0..=every.min(FIRST_PROBE))));
        let due = now >= next;
        if due {
            self.probing = Some(now);
        }
        due
    }

    /// No probe can be made: those that come due meanwhile are not to be made all at once afterwards.
    pub(super) const fn hold_probes(&mut self) {
        self.next_probe = None;
    }

    /// Takes the outcome of a fetch; `interval` is the shortest time between two good ones, in **seconds**.
    pub fn fetched(&mut self, now: UnixTime, verdict: Verdict, interval: u64, dice: &mut dyn Dice) {
        self.fetching = None;
        self.fetched = Some(now);
        self.answered = true;
        self.routine = verdict == Verdict::Good;
        self.misses = if self.routine { 0 } else { self.misses.saturating_add(1) };
        self.unknown = if verdict == Verdict::Missing { self.unknown.saturating_add(1) } else { 0 };
        let wait = match verdict {
            Verdict::Good if std::mem::take(&mut self.again) => {
                self.routine = false;
                let oftener = oftener(interval);
                dice.pick(oftener..=oftener.saturating_mul(2))
            }
            Verdict::Good => dice.pick(interval..=interval.saturating_mul(3)),
            Verdict::Missing if self.unknown > GONE => dice.about(AGAIN_GONE),
            Verdict::Doubtful | Verdict::Missing | Verdict::Unclear => {
                dice.about(doubling(AGAIN, AGAIN_MOST, self.misses))
            }
        };
        self.next_fetch = now.plus(wait);
    }

    /// Moves the next fetch to soon after the fetched period is `over`, which it is in so many **seconds**.
    fn fetch_within(&mut self, now: UnixTime, over: u64, interval: u64, dice: &mut dyn Dice) {
        let oftener = oftener(interval);
        let wait = dice.pick(oftener..=oftener.saturating_mul(3));
        let end = now.plus(over);
        self.next_fetch = self.next_fetch.min(end.plus(wait));
        // What is seen last of the old period is relied on in the new one: it is not taken from one HSDir alone.
        self.routine &= self.next_fetch < end;
    }

    /// It is listed from now on: what is known of it is to be no older than what is known of others that are listed.
    fn called_up(&mut self, now: UnixTime, interval: u64, dice: &mut dyn Dice) {
        // While a fetch is under way its answer is the news.
        let Some(last) = self.fetched.filter(|_last| self.fetching.is_none()) else { return };
        let usual = last.plus(dice.pick(interval..=interval.saturating_mul(3)));
        if usual > now {
            self.next_fetch = self.next_fetch.min(usual);
        } else {
            self.fetch_soon(now, dice);
        }
    }

    /// Takes the outcome of a probe. After one that failed, a fetch follows at once.
    pub fn probed(&mut self, now: UnixTime, up: bool, dice: &mut dyn Dice) {
        self.probe_within(now, self.probe_every.unwrap_or(LOST), dice);
        if !up {
            self.fetch_soon(now, dice);
        }
    }

    /// A probe has ended that says nothing about the backend: it is made again soon, and nothing else follows.
    pub fn not_probed(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        self.probe_within(now, self.probe_every.unwrap_or(LOST).min(FIRST_PROBE), dice);
    }

    /// A probe has ended, and the next one comes within so many **seconds**.
    fn probe_within(&mut self, now: UnixTime, most: u64, dice: &mut dyn Dice) {
        self.probing = None;
        self.next_probe = Some(now.plus(dice.pick(most.div_ceil(2)..=most)));
    }

    /// Probes every `every` **seconds** from now on, or no longer; one that is under way does not count.
    const fn set_probing(&mut self, every: Option<u64>) {
        (self.probe_every, self.probing, self.next_probe) = (every, None, None);
    }

    /// Moves the next probe to the next seconds.
    pub fn probe_soon(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        let soon = now.plus(dice.pick(0..=SOON));
        self.next_probe = Some(self.next_probe.map_or(soon, |next| next.min(soon)));
    }

    /// Moves the next fetch to the next seconds, unless it is quite recent that one failed.
    pub fn fetch_soon(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        if self.misses == 0 {
            self.routine = false;
            self.next_fetch = self.next_fetch.min(now.plus(dice.pick(0..=SOON)));
        }
    }

    /// Fetches within the next seconds whatever happened before: a new period has begun, or tor was away.
    pub fn fetch_anew(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        self.misses = 0;
        self.fetch_soon(now, dice);
    }

    /// Fetches within the next seconds, and a minute or two later again: while tor was away nothing was seen, and a backend that has just
    /// restarted has no new descriptor yet.
    pub fn fetch_twice(&mut self, now: UnixTime, dice: &mut dyn Dice) {
        self.again = true;
        self.fetch_anew(now, dice);
    }

    /// The connection to tor ended: a fetch that was under way will not be answered. A probe ends by itself, and a second one beside it
    /// would wait for a turn of its own.
    pub const fn connection_lost(&mut self, now: UnixTime) {
        if self.fetching.take().is_some() {
            self.next_fetch = now;
        }
    }

    /// Gives up what was never answered.
    pub fn give_up(&mut self, now: UnixTime) {
        let lost = |since: UnixTime, after| now.since(since) > after;
        if self.fetching.is_some_and(|since| lost(since, LOST)) {
            self.fetching = None;
        }
        if self.probing.is_some_and(|since| lost(since, PROBE_LOST)) {
            self.probing = None;
        }
    }

    /// The wall clock went back by `seconds`: all times go with it.
    pub fn shift_back(&mut self, seconds: u64) {
        self.next_fetch = self.next_fetch.minus(seconds);
        self.next_probe = self.next_probe.map(|next| next.minus(seconds));
        self.fetching = self.fetching.map(|since| since.minus(seconds));
        self.fetched = self.fetched.map(|at| at.minus(seconds));
        self.probing = self.probing.map(|since| since.minus(seconds));
    }

    /// When this clock has something to do next.
    #[must_use]
    pub fn wake(&self) -> UnixTime {
        let fetch = self.fetching.map_or(self.next_fetch, |since| since.plus(LOST + 1));
        let probe = self.probing.map(|since| since.plus(PROBE_LOST + 1)).or(self.next_probe);
        probe.filter(|_probe| self.probe_every.is_some()).map_or(fetch, |probe| fetch.min(probe))
    }
}

impl Machine {
    /// Takes a backend in: it is fetched and probed from now on.
    pub fn add_backend(&mut self, now: UnixTime, backend: usize) {
        self.backends.insert(backend, BackendClock::new(now, self.probe_every));
    }

    /// Fetches these backends more often from the end of the fetched period on until tor fetches the next one, so that
    /// little can happen unseen between the two.
    pub fn attend(&mut self, backends: BTreeSet<usize>) {
        self.attended = backends;
    }

    /// These backends are listed from now on, and the others stand by: nobody is sent to them, and they are fetched less often. With `None` what
    /// is listed changes all the time, and no backend stands by.
    pub fn list(&mut self, now: UnixTime, listed: Option<BTreeSet<usize>>, dice: &mut dyn Dice) {
        let interval = self.interval();
        let before = std::mem::replace(&mut self.listed, listed);
        for (backend, clock) in &mut self.backends {
            if is_listed(&self.listed, *backend) && !is_listed(&before, *backend) {
                clock.called_up(now, interval, dice);
            }
        }
    }

    /// The shortest time between two good fetches of a backend that is listed, in **seconds**.
    fn interval(&self) -> u64 {
        let length = self.plan.as_ref().map_or(86_400, |plan| plan.fetch_period.length.seconds());
        length.checked_div(FETCHES_PER_PERIOD).unwrap_or(FETCH_MIN).max(FETCH_MIN)
    }

    /// Whether this backend is fetched and probed.
    #[must_use]
    pub fn watches(&self, backend: usize) -> bool {
        self.backends.contains_key(&backend)
    }

    /// Forgets a backend; nobody waits for its answers any more.
    pub fn remove_backend(&mut self, now: UnixTime, backend: usize) {
        self.backends.remove(&backend);
        self.note_answered(now);
    }

    /// Probes the backends in another way, every `every` **seconds** from now on, or no longer. Nobody waits for probes that are under way.
    pub fn set_probing(&mut self, every: Option<u64>) {
        self.probe_every = every;
        self.backends.values_mut().for_each(|clock| clock.set_probing(every));
    }

    /// A fetch of a backend's descriptor has ended.
    pub(super) fn fetched(&mut self, now: UnixTime, backend: usize, verdict: Verdict, dice: &mut dyn Dice) {
        let interval = self.interval();
        let usual =
            if is_listed(&self.listed, backend) { interval } else { interval.saturating_mul(STANDBY) };
        let over = self.plan.as_ref().map_or(0, |plan| plan.fetch_until.since(now));
        let attended = self.attended.contains(&backend);
        if let Some(clock) = self.backends.get_mut(&backend) {
            clock.fetched(now, verdict, usual, dice);
            if attended {
                clock.fetch_within(now, over, interval, dice);
            }
        }
        self.note_answered(now);
    }

    /// Tells the descriptors if every backend was answered about.
    fn note_answered(&mut self, now: UnixTime) {
        if self.backends.values().all(BackendClock::answered) {
            self.descs.iter_mut().for_each(|desc: &mut Desc| desc.all_answered(now));
        }
    }

    /// Starts the fetches and probes that are due.
    pub(super) fn start_fetches(&mut self, now: UnixTime, dice: &mut dyn Dice, out: &mut Vec<Action>) {
        for (&backend, clock) in &mut self.backends {
            if clock.start_fetch(now) {
                out.push(Action::Fetch { backend, reach: clock.reach() });
            }
            if clock.start_probe(now, dice) {
                out.push(Action::Probe { backend });
            }
        }
    }
}

/// The shortest time between two fetches where more often than usual is meant, in **seconds**.
fn oftener(interval: u64) -> u64 {
    interval.checked_div(OFTENER).unwrap_or(FETCH_MIN).max(FETCH_MIN)
}

/// Whether a backend is listed, or may be at any time.
fn is_listed(listed: &Option<BTreeSet<usize>>, backend: usize) -> bool {
    listed.as_ref().is_none_or(|listed| listed.contains(&backend))
}
