//! Chooses what each HSDir's descriptor lists out of the live backends' points. Pure: no clock, no dice.
//!
//! Fair by weight, at each moment or over time (`wheel`). Steady: a point that is listed stays while its backend lists
//! it and shares allow (`table`). No relay twice in one descriptor, as C tor never does (`assign`).

mod apart;
mod assign;
mod carry;
mod places;
mod table;
mod wheel;

pub use carry::{Memo, Stage, Turn, renew};
pub use places::Places;

use crate::backend::Ages;
use crate::descriptor::{ClientPublicKey, FlowControl, IntroPoint};
use crate::schedule::Digest;
use onionkeep_common::{IntroAuthKey, PeriodNumber, UnixTime};
use sha3::{Digest as _, Sha3_256};
use std::collections::BTreeSet;
use std::sync::Arc;
use table::Table;
use wheel::{Sector, Wheel};

/// How many points are listed, and whether all HSDirs get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A fixed small number, as a C tor service lists; which ones changes with the regular uploads only.
    Ordinary {
        /// The number.
        points: usize,
        /// How soon shares even out that are not whole numbers of places.
        rotate: Rotate,
    },
    /// As many as serve the weights best.
    Wide {
        /// At most.
        points: usize,
    },
    /// The same in each descriptor, but another set for each HSDir that clients ask.
    Distinct {
        /// At most in one descriptor.
        points: usize,
    },
}

/// How soon the shares even out in ordinary mode, where a descriptor has too few places for all backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotate {
    /// Over days: each time period lists other backends, and keeps to them. Points then stay as long as a C tor service's do.
    Daily,
    /// Over hours: one point or two change with each regular upload, as at a busy C tor service.
    Hourly,
}

impl Mode {
    /// The most points in one descriptor.
    #[must_use]
    pub const fn points(self) -> usize {
        match self {
            Self::Ordinary { points, .. } | Self::Wide { points } | Self::Distinct { points } => points,
        }
    }

    /// The word for configuration, logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary { .. } => "ordinary",
            Self::Wide { .. } => "wide",
            Self::Distinct { .. } => "distinct",
        }
    }
}

impl Rotate {
    /// Where the wheel of the descriptor for a time period starts: a secret that all publishers of the service share.
    ///
    /// What lists the same backends for a whole period starts at places that are spread evenly over the periods; else each period
    /// starts anywhere.
    #[must_use]
    pub fn seed(mode: Mode, secret: &[u8; 32], period: PeriodNumber) -> [u8; 32] {
        let hash = Sha3_256::new().chain_update(b"onionkeep wheel v1").chain_update(secret);
        match mode {
            Mode::Ordinary { rotate: Self::Daily, .. } => wheel::spread(hash.finalize().into(), period.0),
            Mode::Ordinary { .. } | Mode::Wide { .. } | Mode::Distinct { .. } => {
                hash.chain_update(period.0.to_be_bytes()).finalize().into()
            }
        }
    }
}

/// A live backend as the choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which backend.
    pub backend: usize,
    /// Its share of new clients is its weight against the sum of all; at least 1.
    pub weight: u32,
    /// Its place on the circle: any number that differs from the others' and stays.
    pub place: u64,
    /// Its introduction points.
    pub points: &'a [IntroPoint],
    /// Its flow-control line.
    pub flow_control: Option<&'a FlowControl>,
    /// Whether it is a single onion service.
    pub single_onion: bool,
    /// Whether it asks for proof of work.
    pub pow: bool,
    /// How old its points are, where that counts: in ordinary mode younger ones are taken first, as they stay longer.
    pub ages: Option<&'a Ages>,
}

/// For which descriptor and when a choice is made.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// How many points.
    pub mode: Mode,
    /// How many different descriptors the HSDirs get: 1 but in distinct mode.
    pub sets: usize,
    /// When.
    pub now: UnixTime,
    /// Secret of the descriptor, the same at all publishers of the service: where its wheel starts.
    pub seed: &'a [u8; 32],
    /// Secret of the service: the order of points where nothing else gives one.
    pub secret: &'a [u8; 32],
    /// What each set lists now; one list if that is not known for each.
    pub listed: &'a [Vec<IntroAuthKey>],
    /// What the service's other descriptor lists: C tor never lists a point in both.
    pub avoid: &'a BTreeSet<IntroAuthKey>,
    /// Change no more than must be: no turn of the wheel, no point that works replaced.
    pub hold: bool,
}

/// What one descriptor lists.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The introduction points, each with its backend, in an order that only changes with the set.
    pub points: Vec<(usize, IntroPoint)>,
    /// The flow-control line: there if all chosen backends have the same.
    pub flow_control: Option<FlowControl>,
    /// Whether the single-onion line is there: if all chosen backends have it.
    pub single_onion: bool,
    /// The chosen backends differ in their flow-control lines.
    pub mixed_flow_control: bool,
    /// Some but not all of the chosen backends are single onion services.
    pub mixed_single_onion: bool,
}

/// What all copies of a descriptor list.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// What each set of HSDirs gets; one but in distinct mode.
    pub sets: Vec<Choice>,
    /// Backends that are left out because they ask for proof of work.
    pub pow: Vec<usize>,
    /// Backends that list keys which another one lists too, or one key twice.
    pub shared: Vec<usize>,
    /// When the wheel moves; `None` if it stands.
    pub next_step: Option<UnixTime>,
    /// Who can read it: everybody if `None`. Not chosen here, but part of what a descriptor says.
    pub clients: Option<Arc<BTreeSet<ClientPublicKey>>>,
}

impl Choice {
    /// The points alone.
    #[must_use]
    pub fn listed(&self) -> Vec<IntroPoint> {
        self.points.iter().map(|(_backend, point)| point.clone()).collect()
    }

    /// The points' keys.
    #[must_use]
    pub fn keys(&self) -> Vec<IntroAuthKey> {
        self.points.iter().map(|(_backend, point)| *point.auth_key()).collect()
    }

    /// How many points of a backend are listed.
    #[must_use]
    pub fn count(&self, backend: usize) -> usize {
        self.points.iter().filter(|(from, _point)| *from == backend).count()
    }

    /// Puts together what these points of these backends make.
    fn new(usable: &[&Candidate<'_>], chosen: Vec<(usize, &IntroPoint)>, secret: &[u8; 32]) -> Self {
        let used: BTreeSet<usize> = chosen.iter().map(|(at, _point)| *at).collect();
        let used: Vec<_> = used.into_iter().filter_map(|at| usable.get(at)).collect();
        let flow = used.first().and_then(|first| first.flow_control);
        let mixed_flow_control = used.iter().any(|candidate| candidate.flow_control != flow);
        let single = used.iter().filter(|candidate| candidate.single_onion).count();
        let point = |(at, point): (usize, &IntroPoint)| Some((usable.get(at)?.backend, point.clone()));
        let mut points: Vec<_> = chosen.into_iter().filter_map(point).collect();
        points.sort_by_cached_key(|(_backend, point)| rank(secret, point));
        Self {
            points,
            flow_control: flow.filter(|_line| !mixed_flow_control).cloned(),
            single_onion: single > 0 && single == used.len(),
            mixed_flow_control,
            mixed_single_onion: single > 0 && single < used.len(),
        }
    }

    /// Adds everything that a descriptor says about this choice.
    fn hash(&self, hash: &mut Sha3_256) {
        hash.update(u64::try_from(self.points.len()).unwrap_or(u64::MAX).to_be_bytes());
        for (_backend, point) in &self.points {
            hash.update(u64::try_from(point.link_specifiers().len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(point.link_specifiers());
            hash.update(point.onion_key());
            hash.update(point.auth_key().as_bytes());
            hash.update(point.enc_key().0);
        }
        hash.update([u8::from(self.single_onion), u8::from(self.flow_control.is_some())]);
        if let Some(flow) = &self.flow_control {
            hash.update(u64::try_from(flow.versions.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(flow.versions.as_bytes());
            hash.update([flow.sendme_inc]);
        }
    }
}

impl Merged {
    /// Whether nothing is listed anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.points.is_empty())
    }

    /// The same once more, if something is listed and every backend of it is among `live`.
    #[must_use]
    pub fn kept(&self, live: &[usize]) -> Option<Self> {
        let all = self.backends().all(|backend| live.contains(&backend));
        (!self.is_empty() && all).then(|| self.clone())
    }

    /// The backend of each point that is listed anywhere.
    pub fn backends(&self) -> impl Iterator<Item = usize> {
        self.sets.iter().flat_map(|set| &set.points).map(|(backend, _point)| *backend)
    }

    /// The keys of all points that are listed anywhere.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<IntroAuthKey> {
        self.sets.iter().flat_map(Choice::keys).collect()
    }

    /// How many different points of a backend are listed.
    #[must_use]
    pub fn count(&self, backend: usize) -> usize {
        let own = self.sets.iter().flat_map(|set| &set.points).filter(|(from, _point)| *from == backend);
        own.map(|(_backend, point)| point.auth_key()).collect::<BTreeSet<_>>().len()
    }

    /// A backend's share of the clients that come now, in millionths: an HSDir at random, a point of it at random.
    #[must_use]
    pub fn share(&self, backend: usize) -> u64 {
        let share = |set: &Choice| {
            let places = u64::try_from(set.points.len()).unwrap_or_default();
            let own = u64::try_from(set.count(backend)).unwrap_or_default();
            own.saturating_mul(1_000_000).checked_div(places).unwrap_or_default()
        };
        let sum: u64 = self.sets.iter().map(share).sum();
        sum.checked_div(u64::try_from(self.sets.len()).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether chosen backends differ in what their descriptors say: in flow control, in being single onion services.
    #[must_use]
    pub fn mixed(&self) -> (bool, bool) {
        let any = |test: fn(&Choice) -> bool| self.sets.iter().any(test);
        (any(|set| set.mixed_flow_control), any(|set| set.mixed_single_onion))
    }

    /// Stands for everything that the descriptors say about this choice.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha3_256::new();
        self.sets.iter().for_each(|set| set.hash(&mut hash));
        if let Some(clients) = &self.clients {
            hash.update(b"clients");
            clients.iter().for_each(|client| hash.update(client.as_bytes()));
        }
        Digest(hash.finalize().into())
    }
}

/// Chooses what each set lists, each key once.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], situation: &Situation<'_>) -> Merged {
    let shared = apart::shared(candidates);
    if shared.is_empty() {
        return choose_apart(candidates, situation);
    }
    let own = apart::apart(candidates, &shared, situation.secret);
    let apart = candidates.iter().zip(&own).map(|(candidate, points)| Candidate { points, ..*candidate });
    let lists = |candidate: &&Candidate<'_>| {
        !candidate.pow && candidate.points.iter().any(|point| shared.contains(point.auth_key()))
    };
    let backends = candidates.iter().filter(lists).map(|candidate| candidate.backend).collect();
    Merged { shared: backends, ..choose_apart(&apart.collect::<Vec<_>>(), situation) }
}

/// The same for backends of which no two list the same key.
///
/// A backend that asks for proof of work is left out: a client's solution is bound to the frontend's key, and the backend
/// would refuse it.
///
/// Spec: proposal 327; C tor, `hs_pow.c`.
fn choose_apart(candidates: &[Candidate<'_>], situation: &Situation<'_>) -> Merged {
    let pow =
        candidates.iter().filter(|candidate| candidate.pow).map(|candidate| candidate.backend).collect();
    let is_usable = |candidate: &&Candidate<'_>| !candidate.pow && !candidate.points.is_empty();
    let mut usable: Vec<_> = candidates.iter().filter(is_usable).collect();
    usable.sort_by_key(|candidate| candidate.place);
    let sector = |candidate: &&Candidate<'_>| Sector {
        weight: u64::from(candidate.weight.max(1)),
        points: u64::try_from(candidate.points.len()).unwrap_or_default(),
    };
    let wheel = Wheel::new(usable.iter().map(sector).collect(), situation.mode, situation.sets.max(1));
    let table = Table::new(&usable, &wheel, situation);
    let (sets, short) = table.seat();
    let sets = sets.into_iter().map(|set| Choice::new(&usable, set, situation.secret)).collect();
    let next_step = wheel.next_step(situation.seed, situation.now, short);
    Merged { sets, pow, shared: Vec::new(), next_step, clients: None }
}

/// A point's place in every order: a hash that only we can compute.
fn rank(secret: &[u8; 32], point: &IntroPoint) -> [u8; 32] {
    let hash = Sha3_256::new().chain_update(b"onionkeep order v1").chain_update(secret);
    hash.chain_update(point.auth_key().as_bytes()).finalize().into()
}

#[cfg(test)]
pub(crate) mod tests;
