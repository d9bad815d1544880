//! Which two descriptors a consensus asks for: period, shared random value and counter origin of each.

use super::{Consensus, Srv};
use onionkeep_common::{PeriodRule, Segment, TimePeriod, UnixTime};
use sha3::{Digest, Sha3_256};

/// One descriptor's period with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// The time period.
    pub period: TimePeriod,
    /// The shared random value that places it in the ring (the disaster value if the consensus has none).
    pub srv: Srv,
    /// Start of the protocol run that its revision counter counts from.
    pub run_start: UnixTime,
}

/// What a service publishes and a client fetches under one consensus.
///
/// Spec: rend-spec-v3, 2.2.4; C tor, `build_descriptors_for_new_service`, `node_set_hsdir_index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HsSchedule {
    /// The first descriptor ("current" in C tor): previous shared random value.
    pub first: Role,
    /// The second descriptor ("next" in C tor): current shared random value.
    pub second: Role,
    /// The one that clients ask for now: one of the two.
    pub fetch: Role,
    /// When the period that clients ask for ends, and with it what they remember of its descriptor.
    ///
    /// Spec: C tor, `hs_get_start_time_of_next_time_period`.
    pub fetch_until: UnixTime,
    /// The first `valid_after` at which second becomes first.
    pub next_rotation: UnixTime,
    /// The segment of the day.
    pub segment: Segment,
}

impl Srv {
    /// The value that takes the place of a missing one in `period`.
    ///
    /// Spec: rend-spec-v3, 2.3.1.
    #[must_use]
    pub fn disaster(period: TimePeriod) -> Self {
        let hash = Sha3_256::new()
            .chain_update(b"shared-random-disaster")
            .chain_update(u64::from(period.length.minutes()).to_be_bytes())
            .chain_update(period.number.0.to_be_bytes());
        Self(hash.finalize().into())
    }
}

impl Consensus {
    /// The two descriptors to publish and the one to fetch; `testing` is tor's option `TestingTorNetwork`.
    #[must_use]
    pub fn schedule(&self, testing: bool) -> HsSchedule {
        let rule: PeriodRule = self.period_rule(testing);
        let run_start = self.run_start();
        let run_length = self.voting_interval().max(1).saturating_mul(24);
        let segment = Segment::at(&rule, run_start, self.valid_after);
        let now = rule.at(self.valid_after);
        let (first, second) = match segment {
            Segment::BetweenSrvAndPeriod => (now, now.next()),
            Segment::BetweenPeriodAndSrv => (now.previous(), now),
        };
        let role = |period, srv: Option<Srv>, run_start| Role {
            period,
            srv: srv.unwrap_or_else(|| Srv::disaster(period)),
            run_start,
        };
        let first = role(first, self.srv_previous, run_start.minus(run_length));
        let second = role(second, self.srv_current, run_start);
        let fetch = match segment {
            Segment::BetweenSrvAndPeriod => first,
            Segment::BetweenPeriodAndSrv => second,
        };
        let fetch_until = rule.start(fetch.period.number.next());
        HsSchedule { first, second, fetch, fetch_until, next_rotation: run_start.plus(run_length), segment }
    }
}
