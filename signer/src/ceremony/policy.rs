//! The rules of a ceremony, one function each; the only place that decides what may be issued. For the operator: `docs/POLICY.md`.
//!
//! Pure: request, configuration, time and the ledger's memory go in, a refusal or nothing comes out. No rule can be switched off.

use super::{MARK, is_marked};
use crate::error::{Explain, Kind};
use crate::ledger::memory::Place;
use crate::ledger::{Denied, Memory};
use crate::policy::CLOCK_SLACK;
use onionkeep_common::iso::Iso;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::{self, Previous, Purpose, Read, Request, Slot};
use onionkeep_common::{OnionAddress, PeriodRule, TimePeriod, UnixTime};

mod making;

pub use making::{audit_first, cert_expiry, cert_verify, clock_confirmed};

/// How many periods ahead may be asked for if nothing else is said.
pub const HORIZON: u64 = 30;
/// How many periods ahead may be asked for at all.
pub const HORIZON_MAX: u64 = 90;
/// How far ahead the last period may start at all, in **seconds**: 90 days.
const HORIZON_SECONDS: u64 = 7_776_000;
/// A request may be made so long after now, in **seconds**: two clocks that are not set alike.
const AHEAD: u64 = 3600;
/// **Seconds** in a minute, twice: a shared random run has 24 voting intervals, a period's offset is 12 of them in minutes.
const RUN_PER_OFFSET: u64 = 120;

/// The clockwork of the network whose periods are configured.
#[must_use]
pub fn clockwork_of(rule: PeriodRule) -> Clockwork {
    Clockwork { rule, run: u64::from(rule.offset.0).saturating_mul(RUN_PER_OFFSET) }
}

/// A rule was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}. Nothing was signed")]
pub struct Refusal {
    /// The rule's name.
    pub rule: &'static str,
    /// What breaks it.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Explain for Refusal {
    fn kind(&self) -> Kind {
        match self.rule {
            "clock-forward" | "clock-confirmed" => Kind::Clock,
            "cert-expiry" | "cert-verify" => Kind::Verification,
            _ => Kind::Refused,
        }
    }

    fn hint(&self) -> String {
        self.fix.clone()
    }
}

/// What a rule says: it holds, or what breaks it and what to do.
type Verdict = Result<(), (String, &'static str)>;

/// Holds, or says why not.
fn unless(broken: bool, what: impl FnOnce() -> String, fix: &'static str) -> Verdict {
    if broken { Err((what(), fix)) } else { Ok(()) }
}

/// What the rules about a request look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Read<Request>,
    /// The configured onions.
    pub onions: &'a [OnionAddress],
    /// The configured periods.
    pub periods: PeriodRule,
    /// What the ledger says.
    pub memory: &'a Memory,
    /// The time.
    pub now: UnixTime,
    /// How many periods ahead may be asked for; never more than [`HORIZON_MAX`].
    pub horizon: u64,
    /// Whether the operator says that this is an onion's first request.
    pub first: bool,
    /// Whether the certificates are to count.
    pub purpose: Purpose,
}

impl Facts<'_> {
    /// What the request says.
    const fn asked(&self) -> &Request {
        &self.request.content
    }

    /// All keys.
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.asked().slots.iter().chain(&self.asked().standby)
    }
}

/// A rule about a request.
type Check = fn(&Facts<'_>) -> Verdict;

/// Every rule about a request, in the order in which they are looked at.
pub const REQUEST_RULES: [(&str, Check); 11] = [
    ("req-onion", req_onion),
    ("req-purpose", req_purpose),
    ("req-enrolled", req_enrolled),
    ("req-denied", req_denied),
    ("req-clockwork", req_clockwork),
    ("clock-forward", clock_forward),
    ("req-chain", req_chain),
    ("req-sequence", req_sequence),
    ("req-window", req_window),
    ("req-fresh", req_fresh),
    ("req-proof", req_proof),
];

/// The rules that are looked at while certificates are made.
pub const ISSUE_RULES: [&str; 4] = ["clock-confirmed", "audit-first", "cert-expiry", "cert-verify"];

/// What each rule about the request says.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Vec<(&'static str, Option<Refusal>)> {
    let refusal = |rule, (what, fix): (String, &str)| Refusal { rule, what, fix: fix.to_owned() };
    REQUEST_RULES.map(|(rule, check)| (rule, check(facts).err().map(|broken| refusal(rule, broken)))).to_vec()
}

/// Whether the request keeps all rules.
///
/// # Errors
/// The first [`Refusal`].
pub fn admit(facts: &Facts<'_>) -> Result<(), Refusal> {
    judge(facts).into_iter().find_map(|(_rule, refusal)| refusal).map_or(Ok(()), Err)
}

/// Whether what answered the request may be handed out once more: what was denied, or is by a publisher who does not count any
/// more, never is.
///
/// # Errors
/// The first [`Refusal`].
pub fn admit_again(facts: &Facts<'_>) -> Result<(), Refusal> {
    named("req-denied", req_denied(facts))?;
    named("req-enrolled", req_enrolled(facts))
}

/// Names the rule that is broken.
fn named(rule: &'static str, verdict: Verdict) -> Result<(), Refusal> {
    verdict.map_err(|(what, fix)| Refusal { rule, what, fix: fix.to_owned() })
}

/// `req-onion`: the onion is configured.
fn req_onion(facts: &Facts<'_>) -> Verdict {
    let onion = facts.asked().onion;
    unless(
        !facts.onions.contains(&onion),
        || format!("{onion} is not configured here"),
        "check that this is the right request; [[onion]] in the configuration names what is served",
    )
}

/// `req-purpose`: what was made to practise meets nothing that counts.
fn req_purpose(facts: &Facts<'_>) -> Verdict {
    let ceremonies = facts.memory.ceremonies();
    match facts.purpose {
        Purpose::Real => {
            unless(
                facts.asked().purpose == Purpose::Rehearsal,
                || "the request was made to practise".to_owned(),
                "ask the publisher for a request that counts, or add --rehearse on a throw-away token",
            )?;
            unless(
                ceremonies.is_rehearsed(),
                || "this ledger and its token were used to practise".to_owned(),
                "use the token and the state directory that never practised",
            )
        }
        Purpose::Rehearsal => {
            unless(
                ceremonies.is_real(),
                || "this ledger and its token make certificates that count".to_owned(),
                "rehearse with a throw-away token and a state directory of its own",
            )?;
            let onion = facts.asked().onion;
            unless(
                !is_marked(&onion),
                || format!("{onion} is no address of a rehearsal, which begins with {MARK}"),
                "make a key to practise with: onionkeep-signer key new --rehearse, on a throw-away token",
            )
        }
    }
}

/// `req-enrolled`: it is by the key that was enrolled for the onion.
fn req_enrolled(facts: &Facts<'_>) -> Verdict {
    let asked = facts.asked();
    let fix =
        "compare the words that onionkeep-publisher request key prints; then onionkeep-signer request enrol";
    match facts.memory.ceremonies().requester(&asked.onion) {
        None => Err(("no publisher is enrolled for this onion".to_owned(), fix)),
        Some(key) => unless(
            key != asked.requester,
            || {
                format!(
                    "it is by another publisher (words of its key: {})",
                    paper::spoken(&asked.requester.0)
                )
            },
            fix,
        ),
    }
}

/// `req-denied`: neither the request nor its onion nor one of its keys was denied.
fn req_denied(facts: &Facts<'_>) -> Verdict {
    let asked = facts.asked();
    let whole = [Denied::Request(asked.id), Denied::Onion(asked.onion)];
    let mut all = whole.into_iter().chain(facts.slots().map(|slot| Denied::Key(slot.key)));
    unless(
        all.any(|denied| facts.memory.is_denied(&denied)),
        || "the request, its onion or one of its keys was denied for ever".to_owned(),
        "on the publisher run onionkeep-publisher request new, which makes other keys",
    )
}

/// `req-clockwork`: its periods and runs are those of the configured network.
fn req_clockwork(facts: &Facts<'_>) -> Verdict {
    let (found, wanted) = (&facts.asked().clockwork, facts.periods);
    let run = clockwork_of(wanted).run;
    unless(
        *found != clockwork_of(wanted),
        || {
            let (length, offset) = (found.rule.length.minutes(), found.rule.offset.0);
            let configured = wanted.length.minutes();
            format!(
                "its network has periods of {length} minutes with offset {offset} and runs of {} s, the configured one \
                 {configured}, {} and {run}",
                found.run, wanted.offset.0
            )
        },
        "the public network has 1440, 720 and 86400; for a test network [period] says what it has",
    )
}

/// `clock-forward`: the clock is behind neither the ledger nor the request.
fn clock_forward(facts: &Facts<'_>) -> Verdict {
    let latest = facts.memory.latest().max(facts.memory.written());
    let (now, fix) = (facts.now, "set the clock by a watch that you trust");
    unless(
        now.plus(CLOCK_SLACK) < latest,
        || format!("the clock says {}, the ledger was written at {}", Iso(now), Iso(latest)),
        fix,
    )?;
    let created = facts.asked().created;
    let made = || format!("the clock says {}, the request was made at {}", Iso(now), Iso(created));
    unless(now.plus(AHEAD) < created, made, fix)
}

/// `req-chain`: it names the bundle that this ledger issued last for the onion, and leaves no gap after it.
fn req_chain(facts: &Facts<'_>) -> Verdict {
    let asked = facts.asked();
    let Some(last) = facts.memory.ceremonies().last(&asked.onion) else {
        let fix = "for the first request after request enrol add --first; otherwise this is not the ledger of this onion";
        let first = asked.previous == Previous::First && facts.first;
        return unless(!first, || "the ledger knows no bundle before it".to_owned(), fix);
    };
    unless(
        facts.first || asked.previous != Previous::Bundle(last.main),
        || {
            format!(
                "the last bundle of this ledger is {}, the request goes on after {}",
                last.main, asked.previous
            )
        },
        "import the last bundle on the publisher, then onionkeep-publisher request new; leave --first away",
    )?;
    let end = last.request.first.0.saturating_add(u64::from(last.request.count));
    let now = facts.periods.number_at(facts.now).0;
    let first = asked.slots.first().map_or(0, |slot| slot.period.0);
    unless(
        first > end.max(now),
        || format!("its first period is {first}, the last bundle ends before {end}: there is a gap"),
        "on the publisher run onionkeep-publisher request new --from with the period after the last bundle",
    )
}

/// `req-sequence`: it is younger than the last one.
fn req_sequence(facts: &Facts<'_>) -> Verdict {
    let number = facts.asked().sequence;
    let last = facts.memory.ceremonies().last(&facts.asked().onion).map_or(0, |last| last.request.sequence);
    unless(
        number <= last,
        || format!("it is number {number}, and number {last} was answered already"),
        "on the publisher run onionkeep-publisher request new",
    )
}

/// `req-window`: its periods begin now and end within the horizon.
fn req_window(facts: &Facts<'_>) -> Verdict {
    let slots = &facts.asked().slots;
    let (Some(first), Some(last)) = (slots.first(), slots.last()) else {
        return Err((
            "it asks for nothing".to_owned(),
            "on the publisher run onionkeep-publisher request new",
        ));
    };
    let (now, horizon) = (facts.periods.number_at(facts.now).0, facts.horizon.min(HORIZON_MAX));
    let fix = "compare the clock with a watch; on the publisher run onionkeep-publisher request new, with fewer --periods";
    unless(
        first.period.0 < now.saturating_sub(1),
        || format!("its first period {} is over, now is {now}", first.period),
        fix,
    )?;
    let far = last.period.0 > now.saturating_add(horizon)
        || facts.periods.start(last.period).since(facts.now) > HORIZON_SECONDS;
    unless(far, || format!("its last period {} is more than {horizon} ahead of {now}", last.period), fix)
}

/// `req-fresh`: none of its keys was used for anything else.
fn req_fresh(facts: &Facts<'_>) -> Verdict {
    let mut seen = std::collections::BTreeMap::new();
    let fix = "two periods with one key can be linked by a directory: on the publisher run onionkeep-publisher request new";
    for slot in facts.slots() {
        if let Some(earlier) = seen.insert(slot.key, slot.period) {
            return Err((format!("slot {} has the key of slot {earlier}", slot.period), fix));
        }
        unless(is_used(facts, slot), || format!("the key of slot {} was used before", slot.period), fix)?;
        unless(
            is_ours(facts, slot),
            || format!("the key of slot {} is a key of the onion", slot.period),
            fix,
        )?;
    }
    Ok(())
}

/// Whether a key was certified by the socket elsewhere, or named by another request that was answered or for another place.
fn is_used(facts: &Facts<'_>, slot: &Slot) -> bool {
    let asked = facts.asked();
    let minutes = asked.clockwork.rule.length.minutes();
    let place = Place { onion: asked.onion, number: slot.period, minutes };
    let elsewhere = facts.memory.place_of(&slot.key).is_some_and(|known| known != place);
    let ceremonies = facts.memory.ceremonies();
    let named = ceremonies.used(&slot.key).is_some_and(|(request, known, _kind)| {
        request != facts.request.digest && (known != place || ceremonies.answer(&request).is_some())
    });
    elsewhere || named
}

/// Whether a key is an identity key or the period's blinded key.
fn is_ours(facts: &Facts<'_>, slot: &Slot) -> bool {
    let key = slot.key.as_bytes();
    let period = TimePeriod { number: slot.period, length: facts.asked().clockwork.rule.length };
    let blinded = facts.asked().onion.identity().blinded(period);
    let identity = facts.onions.iter().any(|onion| onion.identity().as_bytes() == key);
    identity || blinded.is_ok_and(|blinded| blinded.as_bytes() == key)
}

/// `req-proof`: whoever asks holds the private half of every key.
fn req_proof(facts: &Facts<'_>) -> Verdict {
    let wrong = facts.slots().find(|slot| facts.asked().certify_request(slot).check_proof().is_err());
    unless(
        wrong.is_some(),
        || format!("slot {} has no proof for its key", wrong.map_or(0, |slot| slot.period.0)),
        "on the publisher run onionkeep-publisher request new",
    )
}
