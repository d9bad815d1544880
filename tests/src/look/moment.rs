//! When the upload was made of which HSDirs hold copies: the only place that says how exactly that is known.
//!
//! An acknowledgement names the service and the HSDir, but not which of the two descriptors was stored, and it comes some seconds after the
//! descriptor was made, which are minutes where clocks go 60 times faster. So there is an earliest and a latest moment, and a row that
//! goes by the hour finds something odd only if it fits no moment between them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::uploads::Ack;

/// Seconds in an hour.
const HOUR: f64 = 3600.0;
/// Seconds of a day: a protocol run, after which the counters of another descriptor begin anew.
const DAY: f64 = 86_400.0;
/// The certificate of the descriptor-signing key ends so many hours after the next full hour.
///
/// Spec: C tor, `HS_DESC_CERT_LIFETIME`.
const LIFETIME: f64 = 54.0;
/// An HSDir has nothing that it was given longer ago: it forgets a descriptor after three hours, and looks every half hour what is to be
/// forgotten. The counters alone do not tell, for those of the day before at the same hour fit as well.
///
/// Spec: C tor, `cache_clean_v3_as_dir`.
const LONGEST: f64 = 3.5 * HOUR;
/// Copies that are stored within so many seconds of each other belong to one burst.
pub(super) const BURST: f64 = 120.0;
/// An HSDir acknowledges an upload within so many seconds of the harness' own time, at usual speed.
const ANSWER: f64 = 5.0;
/// A counter grows by so much each second, on average.
///
/// Spec: rend-spec-v3, F.2.
const SLOPE: f64 = 32_768.5;
/// A counter misses that average by no more seconds: five standard deviations at the end of its two days.
const OFF: f64 = 1200.0;

/// Two moments between which something was made, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// Not before.
    pub earliest: f64,
    /// Not after.
    pub latest: f64,
}

impl Between {
    /// Row 3: whether a certificate that was made at one of these moments would end at this hour since 1970.
    #[must_use]
    pub fn allows(self, expires: u32) -> bool {
        let end = |at: f64| (at / HOUR).ceil() + LIFETIME;
        (end(self.earliest)..=end(self.latest)).contains(&f64::from(expires))
    }

    /// Of an upload that was heard from first and last at these times, where so many seconds pass in one.
    fn heard(first: f64, last: f64, speed: u32) -> Self {
        Self { earliest: first - ANSWER * f64::from(speed), latest: last }
    }
}

/// When the upload with this counter was made that these HSDirs hold, by a service's acknowledgements; `looked`: when they
/// were seen to hold it; `speed`: how many seconds passed in one second at most.
///
/// It is a burst of acknowledgements at a time that fits the counter, and of those the ones from the most of these HSDirs; if there
/// are several it can be any of them.
#[must_use]
pub fn of(acks: &[Ack], holders: &BTreeSet<&str>, revision: u64, looked: f64, speed: u32) -> Between {
    let mut acks: Vec<_> = acks.iter().filter(|ack| (looked - LONGEST..=looked).contains(&ack.at)).collect();
    acks.sort_by(|one, other| one.at.total_cmp(&other.at));
    let bursts = acks.chunk_by(|one, next| next.at - one.at < BURST);
    let fitting = bursts.filter_map(|burst| {
        let fits = burst.iter().any(|ack| counter_off(ack.at, revision).abs() <= OFF);
        let held: BTreeSet<_> =
            burst.iter().filter(|ack| holders.contains(&*ack.hsdir)).map(|ack| &ack.hsdir).collect();
        let (first, last) = (burst.first()?.at, burst.last()?.at);
        // Only if one HSDir stored twice are these two uploads.
        let all: BTreeSet<_> = burst.iter().map(|ack| &ack.hsdir).collect();
        let latest = if all.len() == burst.len() { first } else { last };
        let between = Between::heard(first, latest, speed);
        (fits && !held.is_empty()).then_some((held.len(), between))
    });
    let fitting: Vec<_> = fitting.collect();
    let most = fitting.iter().map(|(held, _between)| *held).max();
    let best = fitting.into_iter().filter(|(held, _between)| Some(*held) == most);
    let hull = best.map(|(_held, between)| between).reduce(|one, other| Between {
        earliest: one.earliest.min(other.earliest),
        latest: one.latest.max(other.latest),
    });
    // If none is known, it can be any that is still held.
    hull.unwrap_or_else(|| Between::heard(looked - LONGEST, looked, speed))
}

/// By how many seconds a counter misses the curve for an upload at a time.
fn counter_off(at: f64, revision: u64) -> f64 {
    let start = at - Duration::from_secs(revision).as_secs_f64() / SLOPE;
    start - (start / DAY).round() * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full hour of some day, in seconds and in hours since 1970.
    const TURN: (f64, u32) = (DAY * 20_785.0 + 11.0 * HOUR, 20_785 * 24 + 11);
    /// How many seconds pass in one.
    const SPEED: u32 = 60;
    /// The HSDirs that hold what was uploaded.
    const HOLDERS: [&str; 3] = ["A", "B", "C"];

    /// The counter of an upload at a time, by an encryption that is so many seconds off.
    fn counter(at: f64, off: f64) -> u64 {
        let whole = format!("{:.0}", (at % DAY + DAY - off) * SLOPE);
        whole.parse().unwrap()
    }

    /// An upload that is acknowledged from this time on, by these HSDirs.
    fn burst(at: f64, hsdirs: &[&str]) -> Vec<Ack> {
        let ack = |(number, hsdir): (u32, &&str)| Ack {
            hsdir: (*hsdir).to_owned(),
            at: at + 20.0 * f64::from(number),
        };
        (0..).zip(hsdirs).map(ack).collect()
    }

    /// What is found for an upload of which the counter is of this time.
    fn found(acks: &[Vec<Ack>], made: f64, off: f64) -> Between {
        of(&acks.concat(), &HOLDERS.into(), counter(made, off), TURN.0 + 4000.0, SPEED)
    }

    #[test]
    fn c_tor_at_an_hours_turn_is_not_odd_and_an_expiry_one_rung_off_is() {
        let (turn, hour) = TURN;
        // Made ten seconds before and after the full hour, acknowledged a minute later.
        for (made, own) in [(turn - 10.0, hour + 54), (turn + 10.0, hour + 55)] {
            let between = found(&[burst(made + 60.0, &HOLDERS)], made, 300.0);
            assert!(between.allows(own), "{between:?}");
            assert!(!between.allows(hour + 53) && !between.allows(hour + 56), "{between:?}");
        }
        // No full hour between the earliest and the latest moment.
        for made in [turn + 300.0, turn + 1800.0, turn + 3500.0] {
            let between = found(&[burst(made + 60.0, &HOLDERS)], made, -300.0);
            assert!(
                between.allows(hour + 55) && !between.allows(hour + 54) && !between.allows(hour + 56),
                "{between:?}"
            );
        }
    }

    #[test]
    fn an_upload_of_the_day_before_is_not_taken_for_this_one() {
        let made = TURN.0 + 1800.0;
        // Its counter fits better.
        let acks = [burst(made - DAY, &HOLDERS), burst(made + 60.0, &HOLDERS)];
        assert_eq!(found(&acks, made, 0.0), found(&acks[1..], made, 0.0));
        let unknown = found(&acks[..1], made, 0.0);
        assert_eq!(unknown, Between::heard(TURN.0 + 4000.0 - LONGEST, TURN.0 + 4000.0, SPEED));
        assert!(unknown.allows(TURN.1 + 56) && unknown.allows(TURN.1 + 52), "{unknown:?}");
        assert!(!unknown.allows(TURN.1 + 57) && !unknown.allows(TURN.1 + 51), "{unknown:?}");
    }

    #[test]
    fn the_other_descriptors_upload_is_known_by_its_hsdirs_and_if_not_it_can_be_either() {
        let made = TURN.0 + 1800.0;
        let own = burst(made + 60.0, &HOLDERS);
        let alone = found(std::slice::from_ref(&own), made, 0.0);
        assert_eq!(found(&[burst(made - 600.0, &["A", "B", "D"]), own.clone()], made, 0.0), alone);
        let either = found(&[burst(made - 600.0, &HOLDERS), own.clone()], made, 0.0);
        assert!(either.earliest < made - 600.0 && either.latest == alone.latest, "{either:?}");
        // Both at once.
        let mixed = found(&[burst(made - 30.0, &["A", "B", "D"]), own], made, 0.0);
        assert!(mixed.earliest < made - 30.0 && mixed.latest >= made, "{mixed:?}");
    }
}
