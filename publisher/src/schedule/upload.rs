//! When to upload one descriptor, to which HSDirs, and when to ask for its certificate: the clocks of one descriptor.

mod looks;

use super::cert::{CertClock, Gate};
use super::dice::{Dice, doubling};
use super::look::LookClock;
use super::{Action, DescPlan, Digest, Stored, Why};
use crate::consensus::Fingerprint;
use onionkeep_common::{TimePeriod, UnixTime};

/// Time between two uploads, in **seconds**.
///
/// Spec: C tor, `HS_SERVICE_NEXT_UPLOAD_TIME_MIN` and `HS_SERVICE_NEXT_UPLOAD_TIME_MAX`.
const UPLOAD_EVERY: std::ops::RangeInclusive<u64> = 3600..=7200;
/// How long changes of the introduction points are collected before an upload, in **seconds** since the last change.
const SETTLE: u64 = 3;
/// ... and since the first of them.
const SETTLE_MOST: u64 = 10;
/// How long the very first upload waits for further backends once one is known, in **seconds**.
const FIRST_WAIT: u64 = 2;
/// How long an upload waits for the answer to "which counters have the HSDirs seen", in **seconds**.
const COUNTER_WAIT: u64 = 4;
/// First wait before a failed upload to one HSDir is tried again, in **seconds**.
const RETRY: u64 = 10;
/// Longest such wait, in **seconds**.
const RETRY_MOST: u64 = 1800;
/// Wait after a refused upload, whose counter was too low, in **seconds**.
const REJECTED_RETRY: u64 = 4;
/// So many refusals of one HSDir in a row are answered that soon: the first try again relies on the time, the others go further
/// above what it may have.
const REJECTED_SOON: u32 = 3;
/// After so many seconds an unanswered upload or question counts as lost: its own deadline is far shorter.
const LOST: u64 = 300;

/// One HSDir's part of a descriptor.
#[derive(Clone, Debug)]
struct Slot {
    /// The HSDir.
    hsdir: Fingerprint,
    /// The number of the upload that is under way to it, and since when.
    in_flight: Option<(u64, UnixTime)>,
    /// Failures in a row.
    failures: u32,
    /// When to try again after a failure.
    retry_at: Option<UnixTime>,
    /// Whether it has confirmed the last upload to it.
    confirmed: bool,
    /// When to see what it gives.
    look: LookClock,
}

impl Slot {
    /// An HSDir to which nothing was sent.
    fn new(hsdir: Fingerprint) -> Self {
        let look = LookClock::default();
        Self { hsdir, in_flight: None, failures: 0, retry_at: None, confirmed: false, look }
    }
}

/// An upload to all HSDirs that is wanted.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Why first.
    why: Why,
    /// When it was first wanted.
    since: UnixTime,
    /// Not before.
    not_before: UnixTime,
}

/// Whether the HSDirs were asked which counters they have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    /// To be asked.
    Wanted,
    /// Asked at this time.
    Asked(UnixTime),
    /// Known, or not to be had.
    Done,
}

/// What every descriptor of a service has to know to act.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// tor is there and the consensus is live.
    pub(super) online: bool,
    /// Every backend was answered for at least once.
    pub(super) all_answered: bool,
    /// The period that clients fetch now: only its descriptor can be asked for.
    pub(super) fetched: Option<TimePeriod>,
    /// Within how many **seconds** after an upload its HSDirs are looked at; 0 if never.
    pub(super) look_within: u64,
}

/// One descriptor of a service.
#[derive(Clone, Debug)]
pub struct Desc {
    /// Period, shared random value, run start, HSDirs.
    plan: DescPlan,
    /// HSDirs in the plan's order.
    slots: Vec<Slot>,
    /// The next regular upload; `None` before the first.
    next_upload: Option<UnixTime>,
    /// What would be listed; `None` before any backend is known.
    points: Option<Digest>,
    /// What the last upload listed.
    listed: Option<Digest>,
    /// The upload that is wanted.
    due: Option<Due>,
    /// The certificate.
    cert: CertClock,
    /// The highest counter seen.
    counter: Counter,
    /// Number of the last upload.
    uploads: u64,
}

impl Desc {
    /// A descriptor that nothing was done for. `ask_counter`: clients fetch this period now, so its counters can be asked for.
    pub(super) fn new(plan: DescPlan, ask_counter: bool) -> Self {
        let slots = plan.hsdirs.iter().map(|hsdir| Slot::new(*hsdir)).collect();
        let counter = if ask_counter { Counter::Wanted } else { Counter::Done };
        let cert = CertClock::default();
        Self {
            plan,
            slots,
            next_upload: None,
            points: None,
            listed: None,
            due: None,
            cert,
            counter,
            uploads: 0,
        }
    }

    /// Period, shared random value, run start, HSDirs.
    #[must_use]
    pub const fn plan(&self) -> &DescPlan {
        &self.plan
    }

    /// The next regular upload; `None` before the first.
    #[must_use]
    pub const fn next_upload(&self) -> Option<UnixTime> {
        self.next_upload
    }

    /// Takes the plan of a new consensus for the same period. A new HSDir makes an upload due, a lost one does not.
    ///
    /// Spec: C tor, `service_desc_hsdirs_changed`.
    pub(super) fn replan(&mut self, now: UnixTime, plan: DescPlan) {
        let old = std::mem::take(&mut self.slots);
        let find = |hsdir: &Fingerprint| old.iter().find(|slot| slot.hsdir == *hsdir).cloned();
        let slots = plan.hsdirs.iter().map(|hsdir| find(hsdir).unwrap_or_else(|| Slot::new(*hsdir)));
        self.slots = slots.collect();
        let news = plan.hsdirs.iter().any(|hsdir| !old.iter().any(|slot| slot.hsdir == *hsdir));
        self.plan = plan;
        if news && self.next_upload.is_some() {
            self.want(now, Why::NewHsDir, now);
        }
    }

    /// This would be listed now.
    pub(super) fn points(&mut self, now: UnixTime, points: Option<Digest>, context: &Context) {
        self.points = points;
        if points.is_none() || points == self.listed {
            return;
        }
        match self.next_upload {
            None if context.all_answered => self.want(now, Why::First, now),
            None => self.want(now, Why::First, now.plus(FIRST_WAIT)),
            Some(_next) => self.collect(now),
        }
    }

    /// The upload that has just been asked for lists this.
    pub(super) const fn listed(&mut self, points: Digest) {
        self.points = Some(points);
        self.listed = Some(points);
    }

    /// Notes a change, to be uploaded when no more follow for some seconds.
    fn collect(&mut self, now: UnixTime) {
        let since = self.due.map_or(now, |due| due.since);
        let not_before = now.plus(SETTLE).min(since.plus(SETTLE_MOST));
        self.due = Some(Due { why: Why::Points, since, not_before });
    }

    /// Notes that an upload to all is wanted; an earlier wish stays unless this is sooner.
    pub(super) fn want(&mut self, now: UnixTime, why: Why, not_before: UnixTime) {
        let due = self.due.get_or_insert(Due { why, since: now, not_before });
        due.not_before = due.not_before.min(not_before);
    }

    /// Every backend was answered for: the first upload need not wait for more.
    pub(super) fn all_answered(&mut self, now: UnixTime) {
        if let Some(due) = self.due.as_mut().filter(|due| due.why == Why::First) {
            due.not_before = due.not_before.min(now);
        }
    }

    /// Does what is due.
    pub(super) fn step(
        &mut self,
        now: UnixTime,
        context: &Context,
        dice: &mut dyn Dice,
        out: &mut Vec<Action>,
    ) {
        self.give_up(now);
        if self.next_upload.is_some_and(|next| now >= next) {
            self.want(now, Why::Interval, now);
        }
        if !context.online {
            return;
        }
        self.prepare(now, out);
        self.look(now, context, out);
        if self.points.is_none() {
            return;
        }
        let due = self.due.filter(|due| now >= due.not_before);
        let retries = self.slots.iter().any(|slot| slot.retry_at.is_some_and(|at| now >= at));
        if due.is_none() && !retries {
            return;
        }
        match self.cert.gate(now) {
            Gate::Ask => {
                self.cert.ask(now);
                out.push(Action::Certify { period: self.plan.role.period });
            }
            Gate::Wait => {}
            Gate::Go if matches!(self.counter, Counter::Asked(_)) => {}
            Gate::Go => out.push(self.upload(now, due, dice)),
        }
    }

    /// Asks for what the first upload will need, before there is anything to list.
    fn prepare(&mut self, now: UnixTime, out: &mut Vec<Action>) {
        if self.counter == Counter::Wanted {
            self.counter = Counter::Asked(now);
            out.push(Action::LearnCounter { period: self.plan.role.period });
        }
        if self.next_upload.is_none() && self.cert.is_unanswered() && matches!(self.cert.gate(now), Gate::Ask)
        {
            self.cert.ask(now);
            out.push(Action::Certify { period: self.plan.role.period });
        }
    }

    /// Starts an upload: to all HSDirs if `due`, else to those whose next try is due.
    fn upload(&mut self, now: UnixTime, due: Option<Due>, dice: &mut dyn Dice) -> Action {
        self.uploads = self.uploads.saturating_add(1);
        let number = self.uploads;
        let mut hsdirs = Vec::new();
        for slot in &mut self.slots {
            if due.is_some() || slot.retry_at.is_some_and(|at| now >= at) {
                slot.in_flight = Some((number, now));
                slot.retry_at = None;
                slot.confirmed = false;
                slot.look.cancel();
                hsdirs.push(slot.hsdir);
            }
        }
        if due.is_some() {
            self.due = None;
            self.listed = self.points;
            self.next_upload = Some(now.plus(dice.pick(UPLOAD_EVERY)));
        }
        self.cert.used();
        let why = due.map_or(Why::Retry, |due| due.why);
        Action::Upload { period: self.plan.role.period, number, hsdirs, why }
    }

    /// The clock of the certificate.
    pub(super) const fn cert(&mut self) -> &mut CertClock {
        &mut self.cert
    }

    /// The highest counter is known, or not to be had.
    pub(super) fn counter_learned(&mut self) {
        self.counter = Counter::Done;
    }

    /// An HSDir answered, or did not. An answer to anything but the last upload to it is ignored.
    pub(super) fn uploaded(
        &mut self,
        now: UnixTime,
        (hsdir, number): (Fingerprint, u64),
        stored: Stored,
        context: &Context,
        dice: &mut dyn Dice,
    ) {
        let fetched_now = context.fetched == Some(self.plan.role.period);
        let asked = self.plan.asked.contains(&hsdir);
        let mine = |slot: &&mut Slot| {
            slot.hsdir == hsdir && slot.in_flight.is_some_and(|(last, _since)| last == number)
        };
        let Some(slot) = self.slots.iter_mut().find(mine) else { return };
        slot.in_flight = None;
        let wait = match stored {
            Stored::Yes => {
                slot.failures = 0;
                slot.confirmed = true;
                if fetched_now {
                    slot.look.stored(now, context.look_within, dice, asked);
                }
                return;
            }
            Stored::Rejected if slot.failures < REJECTED_SOON => dice.about(REJECTED_RETRY),
            Stored::Rejected | Stored::No => {
                dice.about(doubling(RETRY, RETRY_MOST, slot.failures.saturating_add(1)))
            }
        };
        slot.failures = slot.failures.saturating_add(1);
        slot.retry_at = Some(now.plus(wait));
        if stored == Stored::Rejected && fetched_now {
            self.counter = Counter::Wanted;
        }
    }

    /// The connection to tor ended: what was under way is tried again as soon as there is a new one.
    pub(super) fn connection_lost(&mut self, now: UnixTime) {
        for slot in self.slots.iter_mut().filter(|slot| slot.in_flight.is_some()) {
            slot.in_flight = None;
            slot.retry_at = Some(now);
        }
        if matches!(self.counter, Counter::Asked(_)) {
            self.counter = Counter::Wanted;
        }
    }

    /// Gives up what was never answered.
    fn give_up(&mut self, now: UnixTime) {
        let lost = |since: UnixTime| now.since(since) > LOST;
        for slot in &mut self.slots {
            if slot.in_flight.is_some_and(|(_number, since)| lost(since)) {
                slot.in_flight = None;
                slot.retry_at = Some(now);
            }
        }
        self.slots.iter_mut().for_each(|slot| slot.look.give_up(lost));
        self.cert.give_up(lost);
        if let Counter::Asked(since) = self.counter
            && now.since(since) >= COUNTER_WAIT
        {
            self.counter = Counter::Done;
        }
    }

    /// The wall clock went back by `seconds`: all times go with it.
    pub(super) fn shift_back(&mut self, seconds: u64) {
        let back = |time: &mut UnixTime| *time = time.minus(seconds);
        self.next_upload.iter_mut().for_each(back);
        if let Some(due) = &mut self.due {
            back(&mut due.since);
            back(&mut due.not_before);
        }
        self.cert.shift_back(seconds);
        for slot in &mut self.slots {
            slot.in_flight.iter_mut().for_each(|(_number, since)| back(since));
            slot.retry_at.iter_mut().for_each(back);
            slot.look.shift_back(seconds);
        }
        if let Counter::Asked(since) = &mut self.counter {
            back(since);
        }
    }

    /// When after `now` this descriptor has something to do; `None` if nothing is planned.
    pub(super) fn wake(&self, now: UnixTime) -> Option<UnixTime> {
        let asked =
            if let Counter::Asked(since) = self.counter { Some(since.plus(COUNTER_WAIT)) } else { None };
        let retries = self.slots.iter().filter_map(|slot| slot.retry_at);
        let looks = self.slots.iter().filter_map(|slot| slot.look.wake());
        let due = self.due.map(|due| due.not_before);
        let times =
            retries.chain(looks).chain(self.next_upload).chain(due).chain(self.cert.wake()).chain(asked);
        times.filter(|time| *time > now).min()
    }
}
