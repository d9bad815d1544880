//! Which listed points stay although their backend's descriptor shows them no more, so that a descriptor changes as C tor's do. Pure.
//!
//! C tor replaces a point when its time is over, one at a time, and never all at the start of a period. So what is listed
//! and works unseen ([`Ages::carried`](crate::backend::Ages::carried)) stays, and is replaced in uploads that are made anyhow, in time before it is no longer
//! relied on. A descriptor that clients fetch no more goes on as it is; there a point is replaced when C tor would do it.

use super::{Candidate, Merged, Mode, Situation, choose, rank};
use crate::consensus::Lives;
use crate::descriptor::IntroPoint;
use onionkeep_common::{IntroAuthKey, UnixTime};
use sha3::{Digest as _, Sha3_256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The next regular upload comes after so many **seconds** at the latest, with some to spare.
///
/// Spec: C tor, `HS_SERVICE_NEXT_UPLOAD_TIME_MAX`.
const NEXT_UPLOAD: u64 = 7200 + 120;
/// A service has at most so many points one after the other in the place of one while its descriptor lives.
const GENERATIONS: u8 = 16;

/// Where a descriptor stands among those of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Clients will fetch it in the next period.
    Coming,
    /// Clients fetch it.
    Shown,
    /// Clients fetch it no more.
    Past,
}

/// Why and for which descriptor is chosen what it lists.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Where it stands.
    pub stage: Stage,
    /// An upload to all HSDirs is made in any case: what changes now is no news to them.
    pub uploads: bool,
    /// What it is to list so far.
    pub so_far: &'a Merged,
    /// How long points live.
    pub lives: Lives,
}

/// What is remembered of the points that a descriptor lists.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// The earliest time at which each can have been made.
    born: BTreeMap<IntroAuthKey, UnixTime>,
    /// Since when clients fetch the descriptor no more.
    past_since: Option<UnixTime>,
    /// When a listed point is to be replaced next although no backend shows a change.
    next: Option<UnixTime>,
}

impl Memo {
    /// When a listed point is to be replaced next although no backend shows a change: choose anew then.
    #[must_use]
    pub const fn next(&self) -> Option<UnixTime> {
        self.next
    }

    /// Whether such a moment has come.
    #[must_use]
    pub fn is_due(&self, now: UnixTime) -> bool {
        self.next.is_some_and(|next| now >= next)
    }

    /// When C tor would replace a listed point of a descriptor that clients fetch no more `since` a time.
    ///
    /// The point may be a later one in its place than is known: then the end of the last one counts.
    fn end(&self, key: &IntroAuthKey, since: UnixTime, turn: &Turn<'_>, secret: &[u8; 32]) -> UnixTime {
        let mut end = self.born.get(key).copied().unwrap_or(since);
        for generation in 0..GENERATIONS {
            end = end.plus(life(key, generation, turn.lives, secret));
            if end > since {
                break;
            }
        }
        end
    }

    /// Remembers the listed points' births, and forgets the others'.
    fn remember(&mut self, listed: &Merged, candidates: &[Candidate<'_>], turn: &Turn<'_>, now: UnixTime) {
        let keys = listed.keys();
        self.born.retain(|key, _born| keys.contains(key));
        for key in keys {
            let seen =
                candidates.iter().filter_map(|candidate| candidate.ages).find_map(|ages| ages.born(&key));
            // Taken up where nobody fetches it: a point of this moment, as far as anybody can see.
            let born = if turn.stage == Stage::Past { now } else { seen.unwrap_or(now) };
            self.born.entry(key).or_insert(born);
        }
    }
}

/// Chooses what each set lists, as [`choose`] does, and keeps what may stay although it is not shown.
#[must_use]
pub fn renew(
    memo: &mut Memo,
    turn: &Turn<'_>,
    candidates: &[Candidate<'_>],
    situation: &Situation<'_>,
) -> Merged {
    let hidden = matches!(situation.mode, Mode::Ordinary { .. });
    memo.next = None;
    if turn.stage != Stage::Past {
        memo.past_since = None;
    }
    let merged = match turn.stage {
        Stage::Coming => choose(candidates, situation),
        Stage::Shown if hidden => shown(memo, turn, candidates, situation),
        Stage::Shown => choose(candidates, situation),
        Stage::Past => past(memo, turn, candidates, situation, hidden),
    };
    if hidden {
        memo.remember(&merged, candidates, turn, situation.now);
    }
    merged
}

/// What clients fetch: listed points that are carried stay until an upload before their time.
fn shown(
    memo: &mut Memo,
    turn: &Turn<'_>,
    candidates: &[Candidate<'_>],
    situation: &Situation<'_>,
) -> Merged {
    let listed: BTreeSet<_> = situation.listed.iter().flatten().collect();
    let carried = |candidate: &Candidate<'_>| -> Vec<(IntroPoint, UnixTime)> {
        let all = candidate.ages.into_iter().flat_map(|ages| ages.carried(situation.now));
        let own = all.filter(|(point, _born, _until)| listed.contains(point.auth_key()));
        own.map(|(point, _born, until)| (point.clone(), until)).collect()
    };
    let mut carried: Vec<_> = candidates.iter().map(carried).collect();
    let untils = |carried: &[Vec<(IntroPoint, UnixTime)>]| -> Vec<UnixTime> {
        carried.iter().flatten().map(|(_point, until)| *until).collect()
    };
    let all = untils(&carried);
    if all.is_empty() {
        return choose(candidates, situation);
    }
    if turn.uploads {
        // One at least that is seen: if so many come that points end early, that shows.
        let least = if all.len() >= listed.len() { all.iter().min().copied() } else { None };
        let limit = least.unwrap_or(situation.now).max(situation.now.plus(NEXT_UPLOAD));
        carried.iter_mut().for_each(|own| own.retain(|(_point, until)| *until > limit));
    }
    let points = carried.iter().map(|own| own.iter().map(|(point, _until)| point.clone()));
    let merged = with_points(points, candidates, situation);
    let kept = merged.keys();
    let stays = carried.iter().flatten().filter(|(point, _until)| kept.contains(point.auth_key()));
    memo.next = stays.map(|(_point, until)| *until).min();
    merged
}

/// What clients fetch no more: goes on as it is, but for points whose time would be over at C tor.
fn past(
    memo: &mut Memo,
    turn: &Turn<'_>,
    candidates: &[Candidate<'_>],
    situation: &Situation<'_>,
    hidden: bool,
) -> Merged {
    let live: Vec<_> = candidates.iter().map(|candidate| candidate.backend).collect();
    let Some(kept) = turn.so_far.kept(&live) else { return choose(candidates, situation) };
    if !hidden {
        return kept;
    }
    let since = *memo.past_since.get_or_insert(situation.now);
    let ends: BTreeMap<_, _> =
        kept.keys().into_iter().map(|key| (key, memo.end(&key, since, turn, situation.secret))).collect();
    memo.next = ends.values().copied().filter(|end| *end > situation.now).min();
    let is_over = |key: &IntroAuthKey| ends.get(key).is_some_and(|end| *end <= situation.now);
    if !ends.keys().any(is_over) {
        return kept;
    }
    let own = |candidate: &Candidate<'_>| {
        let listed = kept.sets.iter().flat_map(|set| &set.points);
        let own = listed.filter(|(backend, _point)| *backend == candidate.backend);
        own.map(|(_backend, point)| point)
            .filter(|point| !is_over(point.auth_key()))
            .cloned()
            .collect::<Vec<_>>()
    };
    let own: Vec<_> = candidates.iter().map(own).collect();
    with_points(
        own.iter().map(|own| own.iter().cloned()),
        candidates,
        &Situation { hold: true, ..*situation },
    )
}

/// Chooses among what backends show and some more points of each; these take the place of as many that are shown, so that a
/// backend counts for no more than before.
fn with_points<P: Iterator<Item = IntroPoint>>(
    more: impl Iterator<Item = P>,
    candidates: &[Candidate<'_>],
    situation: &Situation<'_>,
) -> Merged {
    let listed: BTreeSet<_> = situation.listed.iter().flatten().collect();
    let points = |(candidate, more): (&Candidate<'_>, P)| {
        let mut points: Vec<_> = more.filter(|point| !candidate.points.contains(point)).collect();
        let mut shown: Vec<_> = candidate.points.iter().collect();
        let born = |key: &IntroAuthKey| candidate.ages.and_then(|ages| ages.born(key));
        shown.sort_by_cached_key(|point| {
            let key = point.auth_key();
            let (is_listed, is_avoided) = (listed.contains(key), situation.avoid.contains(key));
            (!is_listed, is_avoided, Reverse(born(key)), rank(situation.secret, point))
        });
        let room = shown.len().saturating_sub(points.len());
        points.extend(shown.into_iter().take(room).cloned());
        points
    };
    let points: Vec<Vec<_>> = candidates.iter().zip(more).map(points).collect();
    let candidates: Vec<_> = candidates
        .iter()
        .zip(&points)
        .map(|(candidate, points)| Candidate { points, ..*candidate })
        .collect();
    choose(&candidates, situation)
}

/// The life of a point in **seconds**, as C tor would have drawn it: the same each time it is asked for.
fn life(key: &IntroAuthKey, generation: u8, lives: Lives, secret: &[u8; 32]) -> u64 {
    let hash = Sha3_256::new().chain_update(b"onionkeep life v1").chain_update(secret);
    let hash = hash.chain_update(key.as_bytes()).chain_update([generation]).finalize();
    let number = hash.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet));
    let span = lives.most.saturating_sub(lives.least).max(1);
    lives.least.saturating_add(number.checked_rem(span).unwrap_or_default()).max(1)
}
