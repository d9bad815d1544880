//! What a frontend's descriptors list: asks the merge, and tells the schedule when the answer changes.

use super::act::Hands;
use super::frontend::Frontend;
use super::period::Period;
use crate::backend::Health;
use crate::clients::Clients;
use crate::log;
use crate::merge::{Candidate, Merged, Mode, Rotate, Situation, Stage, Turn, renew};
use crate::schedule::{Digest, Event, SystemDice, Why};
use onionkeep_common::{IntroAuthKey, TimePeriod, UnixTime};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Backends that one log line names.
const NAMED: usize = 20;

impl Frontend {
    /// Chooses anew what each descriptor lists, and tells the schedule where it changed.
    pub(super) fn choose(&mut self, hands: &mut Hands<'_>) {
        let descs = self.machine.descs().iter().map(|desc| desc.plan().role.period);
        for at in descs.collect::<Vec<_>>() {
            if self.period_at(at).is_some()
                && let Some(digest) = self.merge(at, hands.now, None)
            {
                let points = self.merged(at).is_some_and(|merged| !merged.is_empty()).then_some(digest);
                self.feed(Event::Points(at, points), hands);
            }
        }
    }

    /// Time has passed: chooses anew if the wheel of what clients fetch has moved, or a listed point's time is over.
    pub(super) fn turn(&mut self, hands: &mut Hands<'_>) {
        let is_over = self.periods.iter().any(|period| period.memo.is_due(hands.now));
        if self.look_at_clients() || self.outage.is_over(hands.now) || is_over {
            self.choose(hands);
        }
        let next = self.shown().and_then(|merged| merged.next_step);
        if self.moves() && next.is_some_and(|next| hands.now >= next) {
            self.choose(hands);
        }
    }

    /// Whether what is listed changes by itself between uploads.
    pub(super) const fn moves(&self) -> bool {
        !matches!(self.config.mode, Mode::Ordinary { .. })
    }

    /// Looks whether clients were added or removed; true if so. What is wrong in their folder is logged.
    pub(super) fn look_at_clients(&mut self) -> bool {
        let Some(clients) = &mut self.clients else { return false };
        let before = clients.unseen().map(ToOwned::to_owned);
        let (news, folder) = (clients.look(), clients.path().display().to_string());
        let (count, changed) = (clients.keys().len(), clients.unseen() != before.as_deref());
        if changed {
            self.quiet = None;
        }
        let news = match news {
            Ok(None) => return false,
            Ok(Some(news)) => news,
            // Said once: the alarm tells how long it lasts.
            Err(_same) if !changed => return false,
            Err(error) => {
                let line = self.line(log::error("clients")).with("folder", folder).with("error", error);
                line.with("kept", count).write();
                return false;
            }
        };
        for (file, problem) in &news.problems {
            let line = self.line(log::warn("client-skipped")).with("folder", &folder);
            line.with("file", file).with("problem", problem).write();
        }
        if news.changed {
            self.line(log::info("clients")).with("folder", &folder).with("count", count).write();
        }
        if count == 0 {
            let line = self.line(log::error("no-clients")).with("folder", &folder);
            line.with("meaning", "nobody can read the descriptor").with("try", "client add NAME").write();
        }
        news.changed
    }

    /// Chooses what a descriptor lists; the digest if it changed.
    ///
    /// `upload`: for an upload to all HSDirs that is made in any case. Only for a regular one, or the first, does the
    /// wheel of a descriptor move that is not to show how many backends there are, or that clients do not fetch.
    pub(super) fn merge(&mut self, at: TimePeriod, now: UnixTime, upload: Option<Why>) -> Option<Digest> {
        let live = self.live(now);
        let stage = self.stage(at);
        let regular = matches!(upload, Some(Why::First | Why::Interval));
        let hidden = matches!(self.config.mode, Mode::Ordinary { .. });
        let seed = Rotate::seed(self.config.mode, &self.rank_secret, at.number);
        let period = self.periods.iter().find(|period| period.state.period == at)?;
        let others = self.periods.iter().filter(|other| other.state.period != at);
        let avoid: BTreeSet<IntroAuthKey> = others.flat_map(Period::keys).collect();
        let places = self.places.iter().find(|(period, _places)| *period == at);
        let candidates: Vec<_> = live.iter().filter_map(|at| self.candidate(*at)).collect();
        let situation = Situation {
            mode: self.config.mode,
            sets: places.map_or(1, |(_period, places)| places.count()),
            now,
            seed: &seed,
            secret: &self.rank_secret,
            listed: &period.listed,
            avoid: &avoid,
            hold: !regular && (hidden || stage != Stage::Shown),
        };
        // Before the first upload only those backends are known that have answered: nothing holds yet.
        let none = Merged::default();
        let so_far = if period.last.is_some() { &period.merged } else { &none };
        let turn = Turn { stage, uploads: upload.is_some(), so_far, lives: self.lives };
        let mut memo = period.memo.clone();
        let mut merged = renew(&mut memo, &turn, &candidates, &situation);
        merged.clients = self.clients.as_ref().map(Clients::keys);
        let digest = merged.digest();
        let is_news = !merged.is_empty() || !period.merged.is_empty();
        let changed = is_news && digest != period.merged.digest();
        if changed {
            self.say_chosen(at, &merged);
        }
        let period = self.periods.iter_mut().find(|period| period.state.period == at)?;
        if hidden && stage == Stage::Coming {
            self.machine.attend(merged.backends().collect());
        }
        (period.merged, period.memo) = (merged, memo);
        let listed =
            hidden.then(|| self.periods.iter().flat_map(|period| period.merged.backends()).collect());
        self.machine.list(now, listed, &mut SystemDice);
        changed.then_some(digest)
    }

    /// Where a descriptor stands among those that clients fetch.
    fn stage(&self, at: TimePeriod) -> Stage {
        match self.fetch_role.map(|role| at.number.cmp(&role.period.number)) {
            Some(Ordering::Less) => Stage::Past,
            Some(Ordering::Equal) => Stage::Shown,
            Some(Ordering::Greater) | None => Stage::Coming,
        }
    }

    /// A backend as the merge sees it.
    fn candidate(&self, at: usize) -> Option<Candidate<'_>> {
        let member = self.members.get(&at)?;
        let hidden = matches!(self.config.mode, Mode::Ordinary { .. });
        let backend = &member.backend;
        let seen = backend.seen()?;
        Some(Candidate {
            backend: at,
            weight: backend.weight,
            place: member.place,
            points: &seen.points,
            flow_control: seen.flow_control.as_ref(),
            single_onion: seen.single_onion,
            pow: seen.pow && !member.config.ignore_pow,
            ages: hidden.then(|| backend.ages()),
        })
    }

    /// The backends that may be listed.
    fn live(&mut self, now: UnixTime) -> Vec<usize> {
        let up = self.numbers(|backend| backend.health() == Health::Up);
        self.all_dead = up.is_empty();
        // Everything dead at once: more likely it is us, and the last good set stays.
        let mut live = self.outage.live(now, &up);
        live.retain(|at| self.members.contains_key(at));
        if live.is_empty() {
            return self.numbers(|backend| backend.seen().is_some());
        }
        let drains = |at: &usize| self.members.get(at).is_none_or(|member| member.backend.draining);
        let open: Vec<_> = live.iter().copied().filter(|at| !drains(at)).collect();
        // The last backends that are up all drain: they get clients rather than nobody, or than dead ones that are still kept.
        let serves = if up.is_empty() { !open.is_empty() } else { open.iter().any(|at| up.contains(at)) };
        if serves { open } else { live }
    }

    /// What a descriptor is to list.
    pub(super) fn merged(&self, at: TimePeriod) -> Option<&Merged> {
        self.periods.iter().find(|period| period.state.period == at).map(|period| &period.merged)
    }

    /// What the descriptor that clients fetch is to list.
    pub(super) fn shown(&self) -> Option<&Merged> {
        self.fetch_role.and_then(|role| self.merged(role.period))
    }

    /// Logs what is listed now.
    fn say_chosen(&self, at: TimePeriod, merged: &Merged) {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for backend in merged.backends() {
            let count = counts.entry(backend).or_default();
            *count = count.saturating_add(1);
        }
        let named = counts.iter().take(NAMED).filter_map(|(at, count)| {
            self.members.get(at).map(|member| format!("{}:{count}", member.backend.name))
        });
        let shares: Vec<_> = named.collect();
        let line = log::info("chosen").with("period", at.number).with("sets", merged.sets.len());
        let line = line.with("points", merged.keys().len()).with("backends", counts.len());
        self.line(line.with("shares", shares.join(","))).write();
        let (flow_control, single_onion) = merged.mixed();
        if flow_control || single_onion {
            let line = log::warn("mixed-backends").with("flow-control", flow_control);
            self.line(line.with("single-onion", single_onion)).write();
        }
    }
}
