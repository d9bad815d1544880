//! The dates that a ceremony is about: when its certificates end, when the next one is due, when the damage of a theft ends.
//!
//! Pure. The publisher warns by the same rule (its `horizon`): at half and at a tenth of the time.

use crate::ledger::{Denied, Memory};
use onionkeep_common::iso::Iso;
use onionkeep_common::ladder::Clockwork;
use onionkeep_common::paper::Request;
use onionkeep_common::{PeriodNumber, UnixTime};

/// When the next ceremony is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The publisher warns from here on: half of the time is gone.
    pub by: UnixTime,
    /// A tenth of the time is left.
    pub must: UnixTime,
    /// A period comes into use that has no certificate.
    pub over: UnixTime,
}

impl Due {
    /// After the bundle that answers a request now.
    #[must_use]
    pub fn after(request: &Request, now: UnixTime) -> Self {
        let last = request.slots.last().map_or(PeriodNumber(0), |slot| slot.period);
        let over = request.clockwork.span(last.next()).0;
        let whole = over.since(now);
        Self { by: over.minus(whole / 2), must: over.minus(whole / 10), over }
    }
}

/// Up to when somebody who has the private keys of a period and their certificates can publish with them.
#[must_use]
pub fn damage_ends(clockwork: &Clockwork, period: PeriodNumber) -> UnixTime {
    clockwork.span(period).1
}

/// What a denial does not call back, for people: up to when certificates that were made can be used.
#[must_use]
pub fn exposed(memory: &Memory, denied: &Denied, clockwork: &Clockwork, now: UnixTime) -> String {
    let ceremonies = memory.ceremonies();
    let last = match denied {
        Denied::Request(id) => ceremonies.named(id).map(|request| {
            PeriodNumber(request.first.0.saturating_add(u64::from(request.count)).saturating_sub(1))
        }),
        Denied::Key(key) => ceremonies.period_of(key).map(|period| period.number),
        Denied::Onion(onion) => ceremonies.last_period(onion).map(|period| period.number),
    };
    let Some(last) = last else {
        return "No ceremony of this ledger has certified anything of it.\n".to_owned();
    };
    let end = damage_ends(clockwork, last);
    if end <= now {
        return format!("The last certificate that a ceremony made for it ended with {}.\n", Iso(end));
    }
    format!(
        "A certificate cannot be called back. Whoever has the private keys can publish with those that were made\n\
         until {}: the damage ends then, and no later. Until then publish by the emergency bundle.\n",
        Iso(end)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use onionkeep_common::paper::{Previous, Purpose, RequestId, RequestKey, Slot};
    use onionkeep_common::{DescSigningKey, Signature};

    #[test]
    fn half_and_a_tenth_of_the_time_are_the_dates() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let slot = |period| Slot {
            period: PeriodNumber(period),
            key: DescSigningKey::from_bytes(key).unwrap(),
            proof: Signature([0; 64]),
        };
        let first = 20_779;
        let request = Request {
            purpose: Purpose::Real,
            onion: "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion".parse().unwrap(),
            id: RequestId([0; 16]),
            sequence: 1,
            previous: Previous::First,
            created: UnixTime(0),
            clockwork: Clockwork::PUBLIC,
            requester: RequestKey(key),
            slots: (first..first + 30).map(slot).collect(),
            standby: Vec::new(),
        };
        let over = Clockwork::PUBLIC.span(PeriodNumber(first + 30)).0;
        let due = Due::after(&request, over.minus(1_000_000));
        assert_eq!(due, Due { by: over.minus(500_000), must: over.minus(100_000), over });
        // What is late is due at once, and nothing is counted below zero.
        assert_eq!(Due::after(&request, over.plus(5)).by, over);
        assert!(damage_ends(&Clockwork::PUBLIC, PeriodNumber(first + 29)) > over);
    }
}
